"""The inner loops of convolutions and dense layers: some places in a row times up to 16 output channels.

Sums of one place and four channels are a vector; SDOT adds to it four bytes of every channel's weights times four
bytes of the place, which it takes from a lane. A run of bytes (the columns of the window times the channels) lies in
memory without gaps, so that a window of any width is one run a row.
"""

from __future__ import annotations

from dataclasses import dataclass

STRUCT = """\
/* What a tile needs to know: rows and columns of taps that are visited one by one with the distance to the next, whole
   vectors in a run of bytes, distances between places, the zero point and the clamp. */
typedef struct {
  int32_t rows, row_step, columns, column_step, vectors, x_step, y_step;
  int16_t zero;
  int8_t lo, hi;
} @tile;
"""


@dataclass(frozen=True)
class Tile:
    """`places` times `vectors` vectors of sums, of which `count` channels are stored, rescaled with a `shift` that all
    channels share (0: each has its own) and clamped or not.

    `whole`: vectors of 16 bytes of a run that one turn of the loop does (0: runs are shorter), `loop`: there are more
    turns than one; `words`: words of four bytes behind them; `columns`: the taps of a row are visited one by one."""

    places: int
    vectors: int
    count: int
    clamp: bool
    shift: int
    whole: int
    loop: bool
    words: int
    columns: bool

    @property
    def name(self) -> str:
        parts = [
            f"@dot_{self.places}x{self.vectors}",
            f"{'l' if self.loop else 'v'}{self.whole}" * (self.whole > 0) + f"w{self.words}" * (self.words > 0),
        ]
        parts += [f"n{self.count}"] if self.count != 4 * self.vectors else []
        parts += [f"s{self.shift}"] if self.shift else []
        return "_".join(filter(None, [*parts, "columns" * self.columns, "clamp" * self.clamp]))

    def function(self) -> str:
        """`tiles` times `places` neighbouring results."""
        p, v = range(self.places), range(self.vectors)
        lines = [
            f"NOINLINE_ static void {self.name}(",
            "    const int8_t *x, const int8_t *weights, const int32_t *numbers, int8_t *y, int32_t tiles,",
            "    const @tile *t) {",
            "  /* in registers: a store of codes might change the struct, as far as a compiler knows */",
            "  const ptrdiff_t row_step = t->row_step, x_step = t->x_step, y_step = t->y_step;",
            "  const int32_t rows = t->rows;",
            *(["  const int32_t vectors = t->vectors;"] if self.loop else []),
            *(["  const ptrdiff_t column_step = t->column_step;"] if self.columns else []),
            *(["  const int32_t columns = t->columns;"] if self.columns else []),
            "  const int16x8_t zero = vdupq_n_s16(t->zero);",
            *(["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []),
            "  for (int32_t k = 0; k < tiles; k++) {",
            "    const int8_t *w = weights, *row = x;",
        ]
        for n in v:
            lines.append("    int32x4_t " + ", ".join(f"s{i}{n} = vld1q_s32(numbers + {4 * n})" for i in p) + ";")
        inner = self._run()
        if self.columns:
            head = "for (int32_t j = 0; j < columns; j++, column += column_step) {"
            inner = ["const int8_t *column = row;", head, *("  " + line for line in inner), "}"]
        lines.append("    for (int32_t i = 0; i < rows; i++, row += row_step) {")
        lines += ["      " + line for line in inner]
        lines.append("    }")
        for n in v:
            lines.append(f"    const int32x4_t m{n} = vld1q_s32(numbers + {4 * self.vectors + 4 * n});")
            if not self.shift:
                lines.append(f"    const int32x4_t r{n} = vld1q_s32(numbers + {8 * self.vectors + 4 * n});")
        for i in p:
            sums, m, r = ([f"{letter}{n}" for n in v] for letter in (f"s{i}", "m", "r"))
            done = finished(sums, m, r, self.shift, self.clamp, f"y + {i} * y_step", self.count)
            lines += ["    " + line for line in done]
        lines += [f"    x += {self.places} * x_step;", f"    y += {self.places} * y_step;", "  }", "}"]
        return "\n".join(lines) + "\n"

    def _run(self) -> list[str]:
        """One run of bytes of every place."""
        p = range(self.places)
        lines = [f"const int8_t *x0 = {'column' if self.columns else 'row'};"]
        lines += [f"const int8_t *x{i} = x{i - 1} + x_step;" for i in p[1:]]
        if self.whole:
            lines.append(f"for (int32_t c = 0; c < vectors; c += {self.whole}) {{" if self.loop else "{")
            for turn in range(self.whole):
                lines += ["  {", *("    " + line for line in self._vector(4, 16 * turn)), "  }"]
            on = self.loop or self.words
            lines += [*(["  " + " ".join(f"x{i} += {16 * self.whole};" for i in p)] if on else []), "}"]
        return lines + (["{", *("  " + line for line in self._vector(self.words)), "}"] if self.words else [])

    def _vector(self, lanes: int, offset: int = 0) -> list[str]:
        """16 bytes of every place, or as many words of them as count."""
        p, v = range(self.places), range(self.vectors)
        at = f" + {offset}" if offset else ""
        lines = ["const int8x16_t " + ", ".join(f"a{i} = vld1q_s8(x{i}{at})" for i in p) + ";"]
        for lane in range(lanes):
            lines.append("{")
            lines.append("  const int8x16_t " + ", ".join(f"w{n} = vld1q_s8(w + {16 * n})" for n in v) + ";")
            for i in p:
                adds = [f"s{i}{n} = vdotq_laneq_s32(s{i}{n}, w{n}, a{i}, {lane});" for n in v]
                lines.append("  " + " ".join(adds))
            lines += [f"  w += {16 * self.vectors};", "}"]
        return lines


def finished(
    sums: list[str], multipliers: list[str], shifts: list[str], shift: int, clamp: bool, to: str, count: int
) -> list[str]:
    """Statements that rescale vectors of sums, add the zero point, saturate, clamp and store `count` codes."""
    scaled = [f"vqdmulhq_s32({s}, {m})" for s, m in zip(sums, multipliers, strict=True)]
    if shift:
        narrow = [f"vqrshrn_n_s32({s}, {shift})" for s in scaled]
    else:
        narrow = [f"vqmovn_s32(vrshlq_s32({s}, {r}))" for s, r in zip(scaled, shifts, strict=True)]
    narrow += [narrow[-1]] * (-len(narrow) % 2)
    halves = [f"vqaddq_s16(vcombine_s16({a}, {b}), zero)" for a, b in zip(narrow[::2], narrow[1::2], strict=True)]
    if len(halves) == 1:
        halves *= 2
    lines = ["{", f"  int8x16_t v = vcombine_s8(vqmovn_s16({halves[0]}), vqmovn_s16({halves[1]}));"]
    if clamp:
        lines.append("  v = vminq_s8(vmaxq_s8(v, low), high);")
    return [*lines, *(f"  {line}" for line in _stored(to, count)), "}"]


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
    if "@store_word(" in text:
        functions.setdefault("store_word", STORE_WORD)
    functions.setdefault(name, text)
