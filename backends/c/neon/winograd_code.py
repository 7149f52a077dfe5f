"""The inner loops of Winograd's F(4 x 4, 3 x 3): transform activations, multiply, transform sums to results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgec.backends.c.int8.finish import finished

STRUCT = """\
/* Distances between rows and places of x and y, the zero point and the clamp. */
typedef struct {
  int32_t x_row, x_step, y_row, y_step;
  int16_t zero;
  int8_t lo, hi;
} @plane;
"""
INVERSE_OF_9 = 954437177
"""Modulo 2^32."""


def _activations(d: Sequence[str], out: Sequence[str]) -> list[str]:
    """Six values of a row or column transformed: B^T d."""
    return [
        f"int16x8_t {', '.join(out)};",
        "{",
        f"  const int16x8_t a = vmlsq_s16({d[4]}, {d[2]}, four), b = vmlsq_s16({d[3]}, {d[1]}, four);",
        f"  const int16x8_t c = vsubq_s16({d[4]}, {d[2]}), e = vsubq_s16({d[3]}, {d[1]}), f = vaddq_s16(e, e);",
        f"  {out[0]} = vmlaq_s16(c, vsubq_s16({d[0]}, {d[2]}), four);",
        f"  {out[1]} = vaddq_s16(a, b);",
        f"  {out[2]} = vsubq_s16(a, b);",
        f"  {out[3]} = vaddq_s16(c, f);",
        f"  {out[4]} = vsubq_s16(c, f);",
        f"  {out[5]} = vmlsq_s16(vsubq_s16({d[5]}, {d[3]}), e, four);",
        "}",
    ]


def _results(m: Sequence[str], out: Sequence[str]) -> list[str]:
    """Four results from six sums of a row or column: A^T m, the last sum times 4."""
    return [
        f"int32x4_t {', '.join(out)};",
        "{",
        f"  const int32x4_t a = vaddq_s32({m[1]}, {m[2]}), b = vsubq_s32({m[1]}, {m[2]});",
        f"  const int32x4_t c = vaddq_s32({m[3]}, {m[4]}), d = vsubq_s32({m[3]}, {m[4]}), e = vaddq_s32(d, d);",
        f"  {out[0]} = vaddq_s32(vaddq_s32({m[0]}, a), c);",
        f"  {out[1]} = vaddq_s32(b, e);",
        f"  {out[2]} = vmlaq_s32(a, c, four);",
        f"  {out[3]} = vmlaq_s32(b, vaddq_s32(e, {m[5]}), four);",
        "}",
    ]


def _patch() -> str:
    lines = [
        "/* Six by six places of eight channels at a time, transformed, to v[group][position][patch][8]. */",
        "NOINLINE_ static void @winograd_patch(const int8_t *x, int16_t *v, int32_t groups, const @plane *t) {",
        "  const int16x8_t four = vdupq_n_s16(4);",
        "  const ptrdiff_t x_row = t->x_row, x_step = t->x_step;",
        "  for (int32_t g = 0; g < groups; g++, x += 8, v += 36 * 32) {",
        "    const int8_t *row = x;",
    ]
    for i in range(6):
        loads = ", ".join(f"d{i}{j} = vmovl_s8(vld1_s8(row{f' + {j} * x_step' if j else ''}))" for j in range(6))
        lines.append(f"    const int16x8_t {loads};")
        lines += [
            "    " + line for line in _activations([f"d{i}{j}" for j in range(6)], [f"r{i}{j}" for j in range(6)])
        ]
        if i < 5:
            lines.append("    row += x_row;")
    for j in range(6):
        lines += [
            "    " + line for line in _activations([f"r{i}{j}" for i in range(6)], [f"v{i}{j}" for i in range(6)])
        ]
        lines += [f"    vst1q_s16(v + {32 * (6 * i + j)}, v{i}{j});" for i in range(6)]
    return "\n".join([*lines, "  }", "}"]) + "\n"


def _group(first: bool) -> list[str]:
    """The products of eight channels, 16 outputs and four patches; the first make the sums."""
    lines = ["{", f"  const int16x8_t {', '.join(f'a{i} = vld1q_s16(a + {8 * i})' for i in range(4))};"]
    for lane in range(8):
        lines += ["  {", "    const int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);", "    w += 16;"]
        for i in range(4):
            for n in range(4):
                w = f"w{n // 2}"
                high, operand = ("_high", w) if n % 2 else ("", f"vget_low_s16({w})")
                if first and lane == 0:
                    lines.append(f"    s{i}{n} = vmull{high}_laneq_s16({operand}, a{i}, 0);")
                else:
                    lines.append(f"    s{i}{n} = vmlal{high}_laneq_s16(s{i}{n}, {operand}, a{i}, {lane});")
        lines.append("  }")
    return [*lines, "}"]


def _products() -> str:
    lines = [
        "/* Sums over all channels for 16 outputs of four patches, to m[position][patch][16]. */",
        "NOINLINE_ static void @winograd_products(const int16_t *v, const int16_t *w, int32_t *m, int32_t groups) {",
        "  for (int32_t p = 0; p < 36; p++, v += 32, m += 64) {",
        "    const int16_t *a = v;",
        f"    int32x4_t {', '.join(f's{i}{n}' for i in range(4) for n in range(4))};",
        *("    " + line for line in _group(True)),
        "    for (int32_t g = 1; g < groups; g++) {",
        "      a += 36 * 32;",
        *("      " + line for line in _group(False)),
        "    }",
        *(f"    vst1q_s32(m + {16 * i + 4 * n}, s{i}{n});" for i in range(4) for n in range(4)),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


PATCH = _patch()
PRODUCTS = _products()


@dataclass(frozen=True)
class Results:
    """The function that makes four by four places of 16 channels; `shift` and `clamp` as in `tile.Tile`."""

    shift: int
    clamp: bool

    @property
    def name(self) -> str:
        return "@winograd_results" + f"_s{self.shift}" * (self.shift > 0) + "_clamp" * self.clamp

    def function(self) -> str:
        lines = [
            f"NOINLINE_ static void {self.name}(",
            "    const int32_t *m, const int32_t *numbers, int8_t *y, const @plane *t) {",
            "  const ptrdiff_t y_row = t->y_row, y_step = t->y_step;",
            f"  const int32x4_t four = vdupq_n_s32(4), inverse = vdupq_n_s32({INVERSE_OF_9});",
            "  const int16x8_t zero = vdupq_n_s16(t->zero);",
            *(["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []),
            "  for (int32_t n = 0; n < 16; n += 4) {",
        ]
        for j in range(6):
            loads = ", ".join(f"m{i}{j} = vld1q_s32(m + {64 * (6 * i + j)} + n)" for i in range(6))
            lines.append(f"    const int32x4_t {loads};")
            sums, out = [f"m{i}{j}" for i in range(6)], [f"r{i}{j}" for i in range(4)]
            lines += ["    " + line for line in _results(sums, out)]
        lines.append("    const int32x4_t bias = vld1q_s32(numbers + n), multiplier = vld1q_s32(numbers + 16 + n);")
        if not self.shift:
            lines.append("    const int32x4_t shift = vld1q_s32(numbers + 32 + n);")
        lines.append("    int8_t *to = y + n;")
        for i in range(4):
            sums, out = [f"r{i}{j}" for j in range(6)], [f"y{i}{j}" for j in range(4)]
            lines += ["    " + line for line in _results(sums, out)]
            exact = [f"vmlaq_s32(bias, {name}, inverse)" for name in out]
            stores = [(f"to + {j} * y_step" if j else "to", 4) for j in range(4)]
            done = finished(exact, ["multiplier"] * 4, ["shift"] * 4, self.shift, self.clamp, stores)
            lines += ["    " + line for line in done]
            if i < 3:
                lines.append("    to += y_row;")
        return "\n".join([*lines, "  }", "}"]) + "\n"
