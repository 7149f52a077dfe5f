"""The end of every inner loop: sums are rescaled, saturated, clamped and stored, 16 codes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from edgec.backends.c.int8.match import EXACT

Store = tuple[str, int]
"""Where codes go and how many of them."""


def finished(
    sums: Sequence[str],
    multipliers: Sequence[str],
    shifts: Sequence[str],
    shift: int,
    clamp: bool,
    stores: Sequence[Store],
    even: bool = False,
    offsets: Sequence[str] = (),
) -> list[str]:
    """Statements that rescale up to four vectors of sums, add the zero point, saturate, clamp and store the codes.

    `shift`: what all channels share, 0: `shifts` holds vectors of minus the shift, EXACT: and `offsets` say where the
    offsets are, which are added in 64 bits. `even`: halves are rounded to even, by `shifts` behind an exact product.
    The vectors are split evenly among `stores`, each of which gets the first codes of its share."""
    before: list[str] = []
    scaled = [f"vqdmulhq_s32({s}, {m})" for s, m in zip(sums, multipliers, strict=True)]
    if shift == EXACT:
        each = zip(sums, multipliers, shifts, offsets, strict=True)
        narrow = [f"@with_offset({s}, {m}, {r}, {at})" for s, m, r, at in each]
    elif even:  # what would be rounded up from an even number loses a half
        before = [
            f"const int32x4_t e{k} = vmulq_s32({s}, {m});"
            for k, (s, m) in enumerate(zip(sums, multipliers, strict=True))
        ]
        lower = [f"vsubq_s32(e{k}, vbicq_s32(vdupq_n_s32(1), vshlq_s32(e{k}, {r})))" for k, r in enumerate(shifts)]
        narrow = [f"vqmovn_s32(vrshlq_s32({s}, {r}))" for s, r in zip(lower, shifts, strict=True)]
    elif shift:
        narrow = [f"vqrshrn_n_s32({s}, {shift})" for s in scaled]
    else:
        narrow = [f"vqmovn_s32(vrshlq_s32({s}, {r}))" for s, r in zip(scaled, shifts, strict=True)]
    narrow += [narrow[-1]] * (-len(narrow) % 2)
    halves = [f"vqaddq_s16(vcombine_s16({a}, {b}), zero)" for a, b in zip(narrow[::2], narrow[1::2], strict=True)]
    if len(halves) == 1:
        halves *= 2
    lines = [
        "{",
        *("  " + line for line in before),
        f"  int8x16_t v = vcombine_s8(vqmovn_s16({halves[0]}), vqmovn_s16({halves[1]}));",
    ]
    if clamp:
        lines.append("  v = vminq_s8(vmaxq_s8(v, low), high);")
    share = 4 * (len(sums) // len(stores))
    for k, (to, count) in enumerate(stores):
        lines += ["  " + line for line in stored(to, count, share * k)]
    return [*lines, "}"]


def stored(to: str, count: int, lane: int) -> list[str]:
    """Statements that store `count` codes of the vector `v` from `lane` on, a multiple of 4."""
    if count == 16:
        return [f"vst1q_s8({to}, v);"]
    lines, at = [], 0
    if count >= 8 and lane % 8 == 0:
        lines.append(f"vst1_s8({to}, vget_{'high' if lane else 'low'}_s8(v));")
        at = 8
    while count - at >= 4:
        place = f"{to} + {at}" if at else to
        lines.append(f"@store_word({place}, vgetq_lane_s32(vreinterpretq_s32_s8(v), {(lane + at) // 4}));")
        at += 4
    return lines + [f"vst1q_lane_s8({to} + {k}, v, {lane + k});" for k in range(at, count)]
