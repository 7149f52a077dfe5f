"""Sums of int8 tensors in vector code, as behind residual connections: each operand is rescaled, then their sum.

All of it is one form: y = clamp((x0 * m0 + x1 * m1 + ... + constant) >> shift), with the zero points, the half that
rounds and the zero point of y in the constant. The sum is below 2^31; ADDHN adds the constant and leaves the upper 16
bits, SQSHRN shifts by the rest and saturates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgec.backends.c.int8.match import clamp_of, signed
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.runs import calls, run_of
from edgec.backends.c.view import View
from edgec.backends.c.writer import Writer
from edgec.formats import Quantizer
from edgec.ops import Add, Cast, Constant, Op, Requantize, Sub

MOST = 3
"""Operands, which the struct has room for."""
LEAST_SHIFT, MOST_SHIFT = 17, 24
"""Shifts that ADDHN by 16 and SQSHRN by 1 to 8 do together."""
WORD = 1 << 31
STRUCT = """\
/* What a sum of bytes needs to know: multipliers, the constant, the clamp. */
typedef struct {
  int32_t m[3], constant;
  int8_t lo, hi;
} @sums;
"""


@dataclass(frozen=True)
class Linear:
    """A level as the sum of codes of tensors times whole numbers, and a constant."""

    terms: Mapping[Op, int]
    constant: int

    def plus(self, other: Linear, sign: int = 1) -> Linear:
        terms = dict(self.terms)
        for op, m in other.terms.items():
            terms[op] = terms.get(op, 0) + sign * m
        return Linear(terms, self.constant + sign * other.constant)

    def times(self, factor: int, more: int = 0) -> Linear:
        return Linear({op: m * factor for op, m in self.terms.items()}, self.constant * factor + more)

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the largest it can be for any int8 codes."""
        low = sum(min(m * -128, m * 127) for m in self.terms.values())
        high = sum(max(m * -128, m * 127) for m in self.terms.values())
        return low + self.constant, high + self.constant


@dataclass(frozen=True)
class Sums:
    """clamp(`linear` >> `shift`), zero point included."""

    linear: Linear
    shift: int
    lo: int
    hi: int

    @property
    def clamp(self) -> bool:
        return (self.lo, self.hi) != (-128, 127)


def matched(ops: Sequence[Op]) -> Sums | None:
    """The form of a step's ops; None where they have none that is exact in 32 bits."""
    known: dict[Op, Linear] = {}
    for k, op in enumerate(ops):
        if not isinstance(op, Add | Sub | Requantize | Cast):
            return None
        found = _level(op, known)
        if found is None:
            return None
        linear, shift, out = found
        if k == len(ops) - 1 or signed(op.format):
            return _ended(tuple(ops[k:]), linear, shift, out)
        low, high = op.format.level_range
        if shift or (out is not None and not low <= min(linear.ends) <= max(linear.ends) <= high):
            return None
        known[op] = linear
    return None


def can(ops: Sequence[Op]) -> bool:
    return matched(ops) is not None


def suits(ops: Sequence[Op], views: Mapping[Op, View]) -> bool:
    """Whether operands and the result lie side by side."""
    sums = matched(ops)
    assert sums is not None
    return run_of(list(sums.linear.terms), ops[-1], views) > 0


def room(ops: Sequence[Op], views: Mapping[Op, View]) -> int:
    """It needs no scratch memory."""
    return 0


def body(w: Writer) -> list[str]:
    """Statements of a step with the operands of `w`."""
    sums = matched(w.step.ops)
    assert sums is not None
    operands, multipliers = list(sums.linear.terms), [*sums.linear.terms.values()]
    name = f"@sums_{len(operands)}_s{sums.shift}{'_clamp' * sums.clamp}"
    w.constants.function("sums", STRUCT)
    add(w.constants, name, function(name, len(operands), sums.shift, sums.clamp))
    constant = (sums.linear.constant + WORD) % (2 * WORD) - WORD
    words = ", ".join(map(_word, multipliers + [0] * (MOST - len(operands))))
    head = f"static const @sums t = {{{{{words}}}, {_word(constant)}, {sums.lo}, {sums.hi}}};"
    return [head, *calls(w, name, operands, "&t")]


def function(name: str, operands: int, shift: int, clamp: bool) -> str:
    """n results from operands that lie as they do: 16 at a time, 8, then one by one."""
    xs = range(operands)
    plain = " + ".join(f"(uint32_t)x{i}[k] * (uint32_t)t->m[{i}]" for i in xs)
    lines = [
        f"NOINLINE_ static void {name}(",
        f"    {', '.join(f'const int8_t *x{i}' for i in xs)}, int8_t *y, int32_t n, const @sums *t) {{",
        f"  const int32x4_t {', '.join(f'm{i} = vdupq_n_s32(t->m[{i}])' for i in xs)};",
        "  const int32x4_t c = vdupq_n_s32(t->constant);",
        *(["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if clamp else []),
        "  int32_t k = 0;",
        "  for (; k + 16 <= n; k += 16) {",
        *(f"    const int8x16_t a{i} = vld1q_s8(x{i} + k);" for i in xs),
        *(f"    const int16x8_t l{i} = vmovl_s8(vget_low_s8(a{i})), h{i} = vmovl_high_s8(a{i});" for i in xs),
        *("    " + line for half in "lh" for line in _half(half, operands)),
        f"    int8x16_t v = vqshrn_high_n_s16(vqshrn_n_s16(lw, {shift - 16}), hw, {shift - 16});",
        *(["    v = vminq_s8(vmaxq_s8(v, low), high);"] if clamp else []),
        "    vst1q_s8(y + k, v);",
        "  }",
        "  if (k + 8 <= n) {",
        *(f"    const int16x8_t l{i} = vmovl_s8(vld1_s8(x{i} + k));" for i in xs),
        *("    " + line for line in _half("l", operands)),
        f"    int8x8_t v = vqshrn_n_s16(lw, {shift - 16});",
        *(["    v = vmin_s8(vmax_s8(v, vget_low_s8(low)), vget_low_s8(high));"] if clamp else []),
        "    vst1_s8(y + k, v);",
        "    k += 8;",
        "  }",
        "  for (int32_t rest = n - k; rest > 0; rest--, k++) {",
        "    IN_ORDER_; /* too few for a vector loop */",
        f"    const int32_t v = (int32_t)({plain} + (uint32_t)t->constant) >> {shift};",
        "    y[k] = (int8_t)(v < t->lo ? t->lo : v > t->hi ? t->hi : v);",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _half(half: str, operands: int) -> list[str]:
    """The upper 16 bits of eight sums as `{half}w`, from operands in 16 bits."""
    lines = []
    for n, take in enumerate(("vmovl_s16(vget_low_s16({}))", "vmovl_high_s16({})")):
        total = f"vmulq_s32({take.format(f'{half}0')}, m0)"
        for i in range(1, operands):
            total = f"vmlaq_s32({total}, {take.format(f'{half}{i}')}, m{i})"
        lines.append(f"const int32x4_t {half}s{n} = {total};")
    return [*lines, f"const int16x8_t {half}w = vaddhn_high_s32(vaddhn_s32({half}s0, c), {half}s1, c);"]


def _word(value: int) -> str:
    return "INT32_MIN" if value == -WORD else str(value)


def _level(op: Op, known: Mapping[Op, Linear]) -> tuple[Linear, int, Quantizer | None] | None:
    """The exact level of an op as a form, the shift behind it that rounds, and what that is rounded to."""
    operands = [_read(x, known) for x in ((op.x, op.y) if isinstance(op, Add | Sub) else (op.x,))]  # type: ignore[attr-defined]
    if any(x is None for x in operands):
        return None
    first = operands[0]
    assert first is not None
    if isinstance(op, Requantize):
        parameters = [p for p in (op.multiplier, op.shift, op.offset) if p is not None]
        if not all(isinstance(p, Constant) and p.data.size and (p.data == p.data.flat[0]).all() for p in parameters):
            return None
        multiplier, shift, *offset = (int(p.data.flat[0]) for p in parameters)  # type: ignore[attr-defined]
        return first.times(multiplier, offset[0] if offset else 0), shift, op.out
    if isinstance(op, Cast):
        source, target = op.x.format.frac, op.out.format.frac
        return None if source is None or target is None else (first, source - target, op.out)
    assert isinstance(op, Add | Sub)
    second = operands[1]
    assert second is not None
    fx, fy = op.x.format.frac, op.y.format.frac
    if fx is not None and fy is not None:
        first, second = first.times(1 << max(fy - fx, 0)), second.times(1 << max(fx - fy, 0))
    total = first.plus(second, 1 if isinstance(op, Add) else -1)
    if op.out is None:
        return total, 0, None
    if fx is None or fy is None:
        return None
    return total, max(fx, fy) - (op.out.format.frac or 0), op.out


def _read(op: Op, known: Mapping[Op, Linear]) -> Linear | None:
    """The level of an operand without its zero point."""
    if op in known:
        return known[op] if not op.format.zero_point_array.any() else None
    if isinstance(op, Constant) or not signed(op.format):
        return None
    return Linear({op: 1}, -int(op.format.zero_point_array[0]))


def _ended(ops: tuple[Op, ...], linear: Linear, shift: int, out: Quantizer | None) -> Sums | None:
    """The form whose last rescaling is that of ops[0], with the clamps behind it."""
    last = ops[0]
    if out is None or out.overflow not in ("saturate", "saturate_symmetric") or not signed(last.format):
        return None
    if out.rounding not in ("half_up", "floor") and shift > 0:
        return None
    bounds = clamp_of((last, *ops), last)  # type: ignore[arg-type]
    if bounds is None or not 0 < len(linear.terms) <= MOST or shift > MOST_SHIFT:
        return None
    up = max(LEAST_SHIFT - shift, 0)
    half = 1 << (shift - 1) if shift > 0 and out.rounding == "half_up" else 0
    zero = int(last.format.zero_point_array[0])
    shift += up
    whole = linear.times(1, half).times(1 << up, zero << shift)
    fits = all(abs(m) < WORD for m in whole.terms.values()) and whole.ends[0] >= -WORD and whole.ends[1] < WORD
    return Sums(whole, shift, *bounds) if fits else None
