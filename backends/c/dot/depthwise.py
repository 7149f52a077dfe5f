"""The inner loop of 3 x 3 depthwise convolutions: 16 channels at a time along a row.

The three rows of a column are interleaved, so that each 32-bit lane holds the column of one channel, and SDOT adds a
column times its weights. Columns stay in registers until the window has passed them.
"""

from __future__ import annotations

from edgec.backends.c.dot.tiles import finished

STRUCT = """\
/* Distances from row to row, from column to column and from result to result, the zero point and the clamp. */
typedef struct {
  int32_t row_step, column_step, y_step;
  int16_t zero;
  int8_t lo, hi;
} @window;
"""


def name(advance: int, shift: int, clamp: bool) -> str:
    return f"@depthwise_{advance}" + (f"_s{shift}" if shift else "") + ("_clamp" if clamp else "")


def function(advance: int, shift: int, clamp: bool) -> str:
    """`places` results in a row, each `advance` columns behind the last; `shift` as in `tiles.Tile`."""
    lines = [
        "NOINLINE_ static void " + name(advance, shift, clamp) + "(",
        "    const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *y, int32_t places, const @window *t) {",
    ]
    for column in range(3):
        made = ", ".join(f"w{column}{n} = vld1q_s8(w + {64 * column + 16 * n})" for n in range(4))
        lines.append(f"  const int8x16_t {made};")
    lines.append("  const int8x16_t none = vdupq_n_s8(0);")
    lines.append("  const int16x8_t zero = vdupq_n_s16(t->zero);")
    if clamp:
        lines.append("  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);")
    lines.append("  const ptrdiff_t row_step = t->row_step, column_step = t->column_step, y_step = t->y_step;")
    for column in range(3):
        lines.append("  int8x16_t " + ", ".join(f"c{column}{n} = none" for n in range(4)) + ";")
    for column in range(3 - advance):
        lines += ["  " + line for line in _column(column)]
    lines.append("  for (;;) {")
    order = [0, 1, 2]
    for _ in range(3):  # after three places the columns are in their old registers
        lines.append("    if (places-- == 0) { return; }")
        lines += ["    " + line for line in _place(order, advance, shift, clamp)]
        order = order[advance:] + order[:advance]
    lines += ["  }", "}"]
    return "\n".join(lines) + "\n"


def _column(column: int) -> list[str]:
    """Load the next column, three rows of 16 channels, and interleave them."""
    c = f"c{column}"
    return [
        "{",
        "  const int8x16_t r0 = vld1q_s8(x), r1 = vld1q_s8(x + row_step), r2 = vld1q_s8(x + 2 * row_step);",
        "  x += column_step;",
        *(
            f"  const int16x8_t {pair}{half} = vreinterpretq_s16_s8(vzip{half + 1}q_s8({rows}));"
            for pair, rows in (("p", "r0, r1"), ("q", "r2, none"))
            for half in range(2)
        ),
        f"  {c}0 = vreinterpretq_s8_s16(vzip1q_s16(p0, q0));",
        f"  {c}1 = vreinterpretq_s8_s16(vzip2q_s16(p0, q0));",
        f"  {c}2 = vreinterpretq_s8_s16(vzip1q_s16(p1, q1));",
        f"  {c}3 = vreinterpretq_s8_s16(vzip2q_s16(p1, q1));",
        "}",
    ]


def _place(order: list[int], advance: int, shift: int, clamp: bool) -> list[str]:
    lines = []
    for k in range(3 - advance, 3):
        lines += _column(order[k])
    lines.append("{")
    for n in range(4):
        lines.append(f"  int32x4_t s{n} = vld1q_s32(numbers + {4 * n});")
    for k, column in enumerate(order):
        lines.append("  " + " ".join(f"s{n} = vdotq_s32(s{n}, w{k}{n}, c{column}{n});" for n in range(4)))
    m, r = ([f"vld1q_s32(numbers + {base + 4 * n})" for n in range(4)] for base in (16, 32))
    lines += ["  " + line for line in finished([f"s{n}" for n in range(4)], m, r, shift, clamp, "y", 16)]
    lines += ["  y += y_step;", "}"]
    return lines
