"""The inner loops of convolutions and dense layers: some places in a row times up to 16 output channels.

Sums of one place and four channels are a vector; SDOT adds to it four bytes of every channel's weights times four
bytes of the place, which it takes from a lane. A run of bytes (the columns of the window times the channels) lies in
memory without gaps, so that a window of any width is one run a row.
"""

from __future__ import annotations

STRUCT = """\
/* What a tile needs to know: taps that are visited (rows and columns of the window, with the distance to the next),
   whole vectors and further words of a run of bytes, distances between places, the zero point and the clamp. */
typedef struct {
  int32_t rows, row_step, columns, column_step, vectors, words, x_step, y_step;
  int16_t zero;
  int8_t lo, hi;
} @tile;
"""


def tile_name(places: int, vectors: int, count: int, clamp: bool) -> str:
    """The name of the function for so many places, vectors of sums and stored channels."""
    return f"@dot_{places}x{vectors}" + (f"_{count}" if count != 4 * vectors else "") + ("_clamp" if clamp else "")


def tile(places: int, vectors: int, count: int, clamp: bool) -> str:
    """The function: `tiles` times `places` neighbouring results."""
    p, v = range(places), range(vectors)
    lines = [
        "NOINLINE_ static void " + tile_name(places, vectors, count, clamp) + "(",
        "    const int8_t *x, const int8_t *weights, const int32_t *numbers, int8_t *y, int32_t tiles, const @tile *t) {",
        # in registers: a store of codes might change the struct, as far as a compiler knows
        "  const ptrdiff_t row_step = t->row_step, column_step = t->column_step, x_step = t->x_step, y_step = t->y_step;",
        "  const int32_t rows = t->rows, columns = t->columns, vectors = t->vectors, words = t->words;",
        "  const int16x8_t zero = vdupq_n_s16(t->zero);",
        *(["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if clamp else []),
        "  for (int32_t k = 0; k < tiles; k++) {",
        "    const int8_t *w = weights, *row = x;",
    ]
    for n in v:
        lines.append("    int32x4_t " + ", ".join(f"s{i}{n} = vld1q_s32(numbers + {4 * n})" for i in p) + ";")
    lines += [
        "    for (int32_t i = 0; i < rows; i++, row += row_step) {",
        "      const int8_t *column = row;",
        "      for (int32_t j = 0; j < columns; j++, column += column_step) {",
        "        const int8_t *x0 = column;",
    ]
    for i in p[1:]:
        lines.append(f"        const int8_t *x{i} = x{i - 1} + x_step;")
    lines.append("        for (int32_t c = 0; c < vectors; c++) {")
    lines.append("          const int8x16_t " + ", ".join(f"a{i} = vld1q_s8(x{i})" for i in p) + ";")
    for lane in range(4):
        lines.append("          {")
        lines.append("            const int8x16_t " + ", ".join(f"w{n} = vld1q_s8(w + {16 * n})" for n in v) + ";")
        for i in p:
            lines.append(
                "            " + " ".join(f"s{i}{n} = vdotq_laneq_s32(s{i}{n}, w{n}, a{i}, {lane});" for n in v)
            )
        lines.append(f"            w += {16 * vectors};")
        lines.append("          }")
    lines.append("          " + " ".join(f"x{i} += 16;" for i in p))
    lines += ["        }", "        for (int32_t c = 0; c < words; c++) {"]
    lines.append("          const int8x16_t " + ", ".join(f"w{n} = vld1q_s8(w + {16 * n})" for n in v) + ";")
    for i in p:
        lines.append(f"          const int8x16_t a{i} = @word(x{i});")
        lines.append("          " + " ".join(f"s{i}{n} = vdotq_s32(s{i}{n}, w{n}, a{i});" for n in v))
    lines.append("          " + " ".join(f"x{i} += 4;" for i in p))
    lines += [f"          w += {16 * vectors};", "        }", "      }", "    }"]
    for n in v:
        lines.append(f"    const int32x4_t m{n} = vld1q_s32(numbers + {4 * vectors + 4 * n});")
        lines.append(f"    const int32x4_t r{n} = vld1q_s32(numbers + {8 * vectors + 4 * n});")
    for i in p:
        lines += ["    " + line for line in finished([f"s{i}{n}" for n in v], [f"m{n}" for n in v],
                                                      [f"r{n}" for n in v], clamp, f"y + {i} * y_step", count)]  # fmt: skip
    lines += [f"    x += {places} * x_step;", f"    y += {places} * y_step;", "  }", "}"]
    return "\n".join(lines) + "\n"


def finished(
    sums: list[str], multipliers: list[str], shifts: list[str], clamp: bool, to: str, count: int
) -> list[str]:
    """Statements that rescale vectors of sums, add the zero point, saturate, clamp and store `count` codes."""
    scaled = [f"vrshlq_s32(vqdmulhq_s32({s}, {m}), {r})" for s, m, r in zip(sums, multipliers, shifts, strict=True)]
    scaled += [scaled[-1]] * (-len(scaled) % 2)
    halves = [
        f"vqaddq_s16(vcombine_s16(vqmovn_s32({scaled[k]}), vqmovn_s32({scaled[k + 1]})), zero)"
        for k in range(0, len(scaled), 2)
    ]
    if len(halves) == 1:
        halves *= 2
    lines = ["{", f"  int8x16_t v = vcombine_s8(vqmovn_s16({halves[0]}), vqmovn_s16({halves[1]}));"]
    if clamp:
        lines.append("  v = vminq_s8(vmaxq_s8(v, low), high);")
    lines += [f"  {line}" for line in _stored(to, count)]
    return [*lines, "}"]


def _stored(to: str, count: int) -> list[str]:
    if count == 16:
        return [f"vst1q_s8({to}, v);"]
    lines, at = [], 0
    if count >= 8:
        lines.append(f"vst1_s8({to}, vget_low_s8(v));")
        at = 8
    half = "vget_high_s8(v)" if at else "vget_low_s8(v)"
    if count - at >= 4:
        lines.append(f"@store_word({to} + {at}, vget_lane_s32(vreinterpret_s32_s8({half}), 0));")
        at += 4
    return lines + [f"vst1q_lane_s8({to} + {k}, v, {k});" for k in range(at, count)]


WORD = """\
/* Four bytes at any address, in all lanes. */
static inline int8x16_t @word(const int8_t *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(v));
}
"""
STORE_WORD = "static inline void @store_word(int8_t *p, int32_t v) { memcpy(p, &v, 4); }\n"
NOINLINE = """\
#if defined(__GNUC__)
#define NOINLINE_ __attribute__((noinline))
#else
#define NOINLINE_
#endif
"""


def add(functions: dict[str, str], name: str, text: str) -> None:
    """Add a function, with the helpers that it calls in front of it."""
    functions.setdefault("noinline", NOINLINE)
    for helper, body in (("@word(", WORD), ("@store_word(", STORE_WORD)):
        if helper in text:
            functions.setdefault(helper, body)
    functions.setdefault(name, text)
