"""Depthwise convolutions with the DSP extension: a channel at a time.

Channels lie side by side, so the image of two channels is first taken out into scratch memory, widened to 16 bits,
with its padding. There a pair of neighbouring taps is one load, whatever its alignment, and SMLAD multiplies it by two
weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.dsp.tile import Kind
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.view import View

SLACK = 4
"""Numbers behind a plane that loads of pairs may read and weights of zero drop."""
STRUCT = """\
/* Planes of 16-bit numbers, `pitch` apart from row to row: rows and columns of x in them from `first` on, how these lie
   in x, and the code `pad` around them; rows of results and results in each; taps of a row as words of four weights,
   rows of taps, distances between taps and windows. */
typedef struct {
  int32_t channels, height, width, pitch, plane, first, pad, x_row, x_column;
  int32_t lines, places, y_row, y_step;
  int32_t rows, columns, down, across, row_step, step;
  int32_t zero, lo, hi, shift;
} @planes;
"""
TAKEN = """\
/* Two neighbouring channels of an image, as two planes: pairs of places where they are aligned. */
NOINLINE_ static void @dsp_planes(const int8_t *from, int16_t *to, const @planes *t) {
  const ptrdiff_t column = t->x_column;
  for (int32_t i = t->height; i > 0; i--, from += t->x_row, to += t->pitch) {
    const int8_t *x = from;
    int16_t *one = to, *other = to + t->plane;
    int32_t left = t->width;
    if (t->first & 1) {
      *one++ = x[0];
      *other++ = x[1];
      x += column;
      left--;
    }
    for (; left > 1; left -= 2, x += 2 * column, one += 2, other += 2) {
      const int32_t v = (int32_t)(@load_half(x) | (@load_half(x + column) << 16));
      @store_pair(one, @even(v));
      @store_pair(other, @odd(v));
    }
    if (left > 0) {
      *one = x[0];
      *other = x[1];
    }
  }
}
"""
HALF = """\
static inline uint32_t @load_half(const int8_t *p) {
  uint16_t v;
  __builtin_memcpy(&v, p, 2);
  return v;
}
static inline void @store_pair(int16_t *p, int32_t v) {
  __builtin_memcpy(p, &v, 4);
}
"""
PAIR = """\
static inline int32_t @load_pair(const int16_t *p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}
"""


def kind(layer: ByteLayer) -> str:
    """Which loop does a layer: `three` for windows of 3 x 3, of neighbours at stride 1; `row` for others without
    dilation of columns, `tap` for the rest."""
    (kh, kw), (_, sx), (_, dx), _ = layer.window
    if dx > 1:
        return "tap"
    return "row" if (kh, kw) != (3, 3) else "three" if sx == 1 else "three_apart"


def plane(layer: ByteLayer) -> tuple[int, int, int]:
    """(rows, columns, numbers from row to row) of x with its padding, as far as windows reach."""
    (kh, kw), (sy, sx), (dy, dx), _ = layer.window
    *_, lines, places = (1, *layer.op.shape[2:])
    height, width = (lines - 1) * sy + (kh - 1) * dy + 1, (places - 1) * sx + (kw - 1) * dx + 1
    return height, width, width + width % 2


def plane_size(layer: ByteLayer) -> int:
    """Numbers of one plane, an even number."""
    height, _, pitch = plane(layer)
    return height * pitch + SLACK


def packed(layer: ByteLayer) -> NDArray[np.integer]:
    """Words of four weights by channel and row of taps; for single taps the bytes as they are.

    SXTB16 takes bytes 0 and 2 of a word, then 1 and 3. Of three taps the two pairs share the middle one."""
    w = layer.weights[..., 0]
    if kind(layer) == "tap":
        return w
    if w.shape[1:] == (3, 3):
        return np.ascontiguousarray(w[..., [0, 1, 1, 2]]).view("<i4").astype(np.int32)
    w = np.pad(w, ((0, 0), (0, 0), (0, -w.shape[2] % 4)))
    w = w.reshape(*w.shape[:2], -1, 4)[..., [0, 2, 1, 3]]
    return np.ascontiguousarray(w).view("<i4").astype(np.int32)


def facts(layer: ByteLayer, x: View, y: View, shift: int) -> list[int]:
    """The members of the struct; `shift` as the loops take it."""
    (kh, kw), (sy, sx), (dy, dx), _ = layer.window
    height, width, pitch = plane(layer)
    top, left, _, _ = layer.window[3]
    inside = [max(0, min(height - top, x.shape[2])), max(0, min(width - left, x.shape[3]))]
    columns = kw if kind(layer) == "tap" else -(-kw // 4)
    image = [len(layer.weights), *inside, pitch, plane_size(layer), top * pitch + left, layer.pad, *x.strides[2:]]
    results = [y.shape[2], y.shape[3], y.strides[2], y.strides[3]]
    window = [kh, columns, sy * pitch, sx, dy * pitch, dx]
    return [*image, *results, *window, layer.zero, int(layer.lo), int(layer.hi), shift]


def _three(two: bool) -> list[str]:
    """Sums of the three rows at x: of two neighbouring places, or of one."""
    lines = []
    for i in range(3):
        at = ("x", "x + row_step", "x + 2 * row_step")[i]
        lines.append(f"a = @load_pair({at}); b = @load_pair({at} + 2);")
        lines.append(f"s = __smlad(u{i}, a, s); s = __smlatb(v{i}, b, s);")
        lines += [f"z = __smlabt(u{i}, a, z); z = __smlad(v{i}, b, z);"] * two
    return lines


def function(layer: ByteLayer, end: Kind) -> tuple[str, str]:
    """Name and text of the function that makes the results of one channel from its plane."""
    how = kind(layer)
    name = f"@dsp_plane_{how}{end.name}"
    weight = "int8_t" if how == "tap" else "int32_t"
    lines = [
        f"NOINLINE_ static void {name}(",
        f"    const int16_t *plane, const {weight} *w, const int32_t *numbers, int8_t *to, const @planes *t) {{",
        "  const int32_t bias = numbers[0], m = numbers[1];",
        *(["  const int32_t r = numbers[2];"] * end.own),
        *("  " + line for line in end.facts()),
        "  const ptrdiff_t row_step = t->row_step, y_step = t->y_step;",
    ]
    if how.startswith("three"):
        lines += [f"  const int32_t u{i} = @even(w[{i}]), v{i} = @odd(w[{i}]);" for i in range(3)]
    if how != "three":
        lines.append("  const ptrdiff_t across = t->across;")
    if how in ("row", "tap"):
        lines.append("  const int32_t rows = t->rows, columns = t->columns;")
    lines += [*(["  const ptrdiff_t step = t->step;"] * (how == "tap"))]
    lines += [
        "  for (int32_t line = t->lines; line > 0; line--, plane += t->down, to += t->y_row) {",
        "    const int16_t *x = plane;",
        "    int8_t *y = to;",
        "    int32_t left = t->places;",
    ]
    one = end.stored([("s", "*y")])
    if how == "three":
        both = end.stored([("s", "*y"), ("z", "y[y_step]")])
        lines += [
            "    for (; left > 1; left -= 2, x += 2, y += 2 * y_step) {",
            "      int32_t s = bias, z = bias, a, b, q;",
            *("      " + line for line in [*_three(True), *both]),
            "    }",
            "    if (left > 0) {",
            "      int32_t s = bias, a, b, q;",
            *("      " + line for line in [*_three(False), *one]),
            "    }",
        ]
    else:
        inner = {
            "three_apart": ["int32_t a, b;", *_three(False)],
            "row": [
                "const int16_t *row = x;",
                f"const {weight} *k = w;",
                "for (int32_t i = rows; i > 0; i--, row += row_step) {",
                "  const int16_t *taps = row;",
                "  for (int32_t j = columns; j > 0; j--, taps += 4, k++) {",
                "    s = __smlad(@even(*k), @load_pair(taps), s);",
                "    s = __smlad(@odd(*k), @load_pair(taps + 2), s);",
                "  }",
                "}",
            ],
            "tap": [
                "const int16_t *row = x;",
                f"const {weight} *k = w;",
                "for (int32_t i = rows; i > 0; i--, row += row_step) {",
                "  const int16_t *taps = row;",
                "  for (int32_t j = columns; j > 0; j--, taps += step) { s += *taps * *k++; }",
                "}",
            ],
        }[how]
        lines += [
            "    for (; left > 0; left--, x += across, y += y_step) {",
            "      int32_t s = bias, q;",
            *("      " + line for line in [*inner, *one]),
            "    }",
        ]
    return name, "\n".join([*lines, "  }", "}"]) + "\n"


def statements(
    layer: ByteLayer, each: int, x_at: str, y_at: str, function: str, weights: str, numbers: str
) -> list[str]:
    """The loop over channels, two at a time; `each`: numbers of a channel."""
    size = packed(layer)[0].size
    padded = ["for (int32_t k = 0; k < 2 * t.plane; k++) { planes[k] = (int16_t)t.pad; }"] * any(layer.window[3])

    def one(plane: str, c: str) -> str:
        return f"{function}({plane}, {weights} + ({c}) * {size}, {numbers} + ({c}) * {each}, {y_at} + {c}, &t);"

    return [
        *padded,
        "for (int32_t c = 0; c < t.channels; c += 2) {",
        f"  @dsp_planes({x_at} + c, planes + t.first, &t);",
        f"  {one('planes', 'c')}",
        f"  if (c + 1 < t.channels) {{ {one('planes + t.plane', 'c + 1')} }}",
        "}",
    ]
