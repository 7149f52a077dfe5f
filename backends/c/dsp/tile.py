"""Convolutions and dense layers by SMLAD: one or two places times two output channels at a time.

Activations are widened once to pairs of 16 bits, in the order in which SXTB16 takes a word apart: bytes 0 and 2, then 1
and 3. Weights stay bytes, packed so that SXTB16 gives them the same order: a word for each output channel and four
taps, those of two channels side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import numbers as known
from edgec.backends.c.mcu.layer import taps

PLACES = 2


def pairs(run: int) -> list[tuple[int, int]]:
    """The pairs of positions in which a run of bytes is widened; -1 for none."""
    found = [pair for k in range(0, run - 3, 4) for pair in ((k, k + 2), (k + 1, k + 3))]
    k = run - run % 4
    return found + [[], [(k, -1)], [(k, k + 1)], [(k, k + 2), (k + 1, -1)]][run % 4]


def words(layer: ByteLayer) -> int:
    """Words of weights of one output channel."""
    rows, columns, run = taps(layer)
    return -(-rows * columns * len(pairs(run)) // 2)


def packed(layer: ByteLayer) -> NDArray[np.int32]:
    """Weights by two output channels, then by word; a last channel without a partner by itself."""
    rows, columns, run = taps(layer)
    outputs = len(layer.weights)
    w = layer.weights.reshape(outputs, rows * columns, run)
    w = np.pad(w, ((0, 0), (0, 0), (0, 1)))  # position -1 is a zero
    ordered = w[:, :, np.array(pairs(run))].reshape(outputs, -1, 2)
    ordered = np.pad(ordered, ((0, 0), (0, ordered.shape[1] % 2), (0, 0))).reshape(outputs, -1, 2, 2)
    whole = np.ascontiguousarray(ordered.transpose(0, 1, 3, 2)).reshape(outputs, -1).view("<i4")
    even = outputs - outputs % 2
    paired = whole[:even].reshape(even // 2, 2, whole.shape[1]).transpose(0, 2, 1)
    return np.concatenate([paired.ravel(), whole[even:].ravel()]).astype(np.int32)


@dataclass(frozen=True)
class Kind:
    """What the end of a loop depends on: whether channels have shifts of their `own`, whether one of them needs a bit
    of its product's lower half (`wide`), whether there is a `clamp` beside that to bytes."""

    own: bool
    wide: bool
    clamp: bool

    @classmethod
    def of(cls, layer: ByteLayer) -> Kind:
        shared = layer.common_shift
        return cls(shared == 0, bool((layer.shift == 1).any()) if shared == 0 else shared == 1, bool(layer.clamp))

    @property
    def name(self) -> str:
        return "_own" * self.own + "_wide" * self.wide + "_clamp" * self.clamp

    @property
    def each(self) -> int:
        """Numbers of a channel."""
        return 3 if self.own else 2

    @property
    def scaled(self) -> str:
        return "scaled_wide" if self.wide else "scaled"

    def facts(self) -> list[str]:
        """Statements for what all channels share."""
        lines = ["const int32_t twice = 2 * t->zero + 1;"]
        lines += ["const int32_t r = t->shift;"] * (not self.own)
        return lines + ["const int32_t lo = t->lo, hi = t->hi;"] * self.clamp

    def stored(self, sums: Sequence[tuple[str, str]]) -> list[str]:
        """Statements that rescale sums by `m` and `r` and store the codes."""
        lines = []
        for total, to in sums:
            lines.append(f"q = @{self.scaled}({total}, m, r, twice);")
            lines += ["q = q < lo ? lo : q;", "q = q > hi ? hi : q;"] if self.clamp else []
            lines.append(f"{to} = (int8_t)q;")
        return lines


def numbers(layer: ByteLayer) -> NDArray[np.int32]:
    """What is known of every channel: [channels, 2 or 3]."""
    return np.ascontiguousarray(known(layer, layer.shift - less(layer)).T)


def less(layer: ByteLayer) -> int:
    """What the shift of a loop is less than that of the layer: it leaves one bit to round, and the product's upper half
    another one."""
    return 1 if Kind.of(layer).wide else 2


WIDENED = """\
/* The bytes of a word as two pairs of 16 bits: bytes 0 and 2, bytes 1 and 3. */
static inline int32_t @even(int32_t v) {
  __asm__("sxtb16 %0, %0" : "+r"(v));
  return v;
}
static inline int32_t @odd(int32_t v) {
  __asm__("sxtb16 %0, %0, ror #8" : "+r"(v));
  return v;
}
"""
LOAD = """\
static inline int32_t @load_word(const int8_t *p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}
"""
SCALED = """\
/* A sum times a multiplier, shifted, with the zero point, rounded and saturated; `twice` is 2 * zero point + 1. */
static inline int32_t @scaled(int32_t sum, int32_t multiplier, int32_t shift, int32_t twice) {
  int32_t v = (((int32_t)(((int64_t)sum * multiplier) >> 32)) >> shift) + twice;
  __asm__("ssat %0, #8, %0, asr #1" : "+r"(v));
  return v;
}
"""
SCALED_WIDE = """\
static inline int32_t @scaled_wide(int32_t sum, int32_t multiplier, int32_t shift, int32_t twice) {
  int32_t v = __qadd(((int32_t)(((int64_t)sum * multiplier) >> 31)) >> shift, twice);
  __asm__("ssat %0, #8, %0, asr #1" : "+r"(v));
  return v;
}
"""


def expand(places: int, spaced: bool) -> tuple[str, str]:
    """Name and text of the function that widens a window, of rows or of rows of columns (`spaced`); its pairs lie
    `places` words apart."""
    name = f"@dsp_widen_{places}" + "_columns" * spaced
    two, four = (places, 2 * places)
    step = [f"to[{four * k}] = @even(v{k}); to[{four * k + two}] = @odd(v{k});" for k in range(2)]
    run = [
        f"for (int32_t k = run >> 3; k > 0; k--, x += 8, to += {2 * four}) {{",
        "  const int32_t v0 = @load_word(x), v1 = @load_word(x + 4);",
        *("  " + line for line in step),
        "}",
        "if (run & 4) {",
        "  const int32_t v = @load_word(x);",
        f"  to[0] = @even(v); to[{two}] = @odd(v);",
        f"  to += {four};",
        "  x += 4;",
        "}",
        "if (rest == 1) {",
        "  *to = x[0];",
        f"  to += {two};",
        "} else if (rest == 2) {",
        "  *to = (int32_t)((uint32_t)(uint16_t)x[0] | ((uint32_t)x[1] << 16));",
        f"  to += {two};",
        "} else if (rest == 3) {",
        "  to[0] = (int32_t)((uint32_t)(uint16_t)x[0] | ((uint32_t)x[2] << 16));",
        f"  to[{two}] = x[1];",
        f"  to += {four};",
        "}",
    ]
    columns = [
        "const int8_t *column = row;",
        "for (int32_t j = t->columns; j > 0; j--, column += column_step) {",
        "  const int8_t *x = column;",
        *("  " + line for line in run),
        "}",
    ]
    lines = [
        f"NOINLINE_ static void {name}(const int8_t *row, int32_t *to, const @layer *t) {{",
        "  const int32_t run = t->run, rest = run & 3;",
        f"  const ptrdiff_t row_step = t->row_step{', column_step = t->column_step' * spaced};",
        "  for (int32_t i = t->rows; i > 0; i--, row += row_step) {",
        *("    " + line for line in (columns if spaced else ["const int8_t *x = row;", *run])),
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"


def _products(places: int, outputs: int, second: bool, pairs: str) -> list[str]:
    """Assembly: the pairs of every place times the first or second half of the words of weights."""
    names = [f"w{o}" if second else f"v{o}" for o in range(outputs)]
    widened = [f"sxtb16 %[{v}], %[w{o}]{', ror #8' * second}" for o, v in enumerate(names)]
    return widened + [
        f"smlad %[s{i}{o}], %[{v}], %[{pairs[i]}], %[s{i}{o}]" for o, v in enumerate(names) for i in range(places)
    ]


def _step(places: int, outputs: int) -> list[str]:
    """Assembly for a word of weights of every output channel. Registers a and b hold pairs: of two places, or the two
    of one."""
    weights = "ldrd %[w0], %[w1], [%[w]], #8" if outputs == 2 else "ldr %[w0], [%[w]], #4"
    pairs = "ldrd %[a], %[b], [%[x]], #8"
    if places == 2:
        first, second = _products(2, outputs, False, "ab"), _products(2, outputs, True, "ab")
        return [weights, pairs, *first, pairs, *second]
    return [weights, pairs, *_products(1, outputs, False, "a"), *_products(1, outputs, True, "b")]


def _loop(places: int, outputs: int) -> list[str]:
    """C: the sums of `words` words, two in a turn."""
    step = _step(places, outputs)
    assembly = [
        "lsrs %[n], %[n], #1", "bcc 1f", *step, "cmp %[n], #0", "beq 2f",
        "1:", *step, *step, "subs %[n], %[n], #1", "bne 1b", "2:",
    ]  # fmt: skip
    sums = [f"s{i}{o}" for i in range(places) for o in range(outputs)]
    temporaries = ["a", "b", *(f"{letter}{o}" for letter in "vw" for o in range(outputs))]
    changed = ", ".join(f'[{v}] "+r"({v})' for v in [*sums, "w", "x", "n"])
    written = ", ".join(f'[{v}] "=&r"({v})' for v in temporaries)
    return [
        f"int32_t {', '.join(temporaries)}, n = words;",
        "const int32_t *x = window;",
        "__asm__ volatile(",
        *(f'    "{line}\\n\\t"' for line in assembly),
        f"    : {changed},",
        f"      {written}",
        '    : : "cc", "memory");',
    ]


def _finish(places: int, outputs: int, kind: Kind) -> list[str]:
    lines = []
    for o in range(outputs):
        lines.append(f"m = numbers[{kind.each * o + 1}];")
        lines += [f"r = numbers[{kind.each * o + 2}];"] * kind.own
        lines += kind.stored([(f"s{i}{o}", f"{('y', 'next')[i]}[{o}]") for i in range(places)])
    return lines


def multiply(places: int, kind: Kind) -> tuple[str, str]:
    """Name and text of the function that makes the results of all channels at some places."""
    name = f"@dsp_{places}{kind.name}"

    def channels(outputs: int) -> list[str]:
        o = range(outputs)
        starts = [f"s0{k} = numbers[{kind.each * k}]" for k in o] + [
            f"s{i}{k} = s0{k}" for i in range(1, places) for k in o
        ]
        return [
            f"int32_t {', '.join(starts)};",
            "{", *("  " + line for line in _loop(places, outputs)), "}",
            f"int32_t m, {'r, ' * kind.own}q;",
            *_finish(places, outputs, kind),
        ]  # fmt: skip

    lines = [
        f"NOINLINE_ static void {name}(",
        "    const int32_t *window, const int32_t *w, const int32_t *numbers, int8_t *y, const @layer *t) {",
        "  const int32_t words = t->size;",
        *("  " + line for line in kind.facts()),
        *(["  int8_t *next = y + t->y_step;"] * (places == 2)),
        "  for (int32_t left = t->outputs >> 1; left > 0; left--) {",
        *("    " + line for line in channels(2)),
        f"    numbers += {2 * kind.each};",
        "    y += 2;",
        *(["    next += 2;"] * (places == 2)),
        "  }",
        "  if (t->outputs & 1) {",
        *("    " + line for line in channels(1)),
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"


def loops(kind: Kind, two: bool, spaced: bool) -> tuple[str, str]:
    """Name and text of the function that goes over all places; `two`: there are rows of more than one; `spaced`:
    windows have columns."""
    columns = "_columns" * spaced
    name = f"@dsp_{'rows' if two else 'place'}{columns}{kind.name}"
    lines = [
        f"NOINLINE_ static void {name}(",
        "    const int8_t *from, const int32_t *weights, const int32_t *numbers, int8_t *to, int32_t *window,",
        "    const @layer *t) {",
    ]
    if two:
        lines += [
            "  for (int32_t line = t->lines; line > 0; line--, from += t->x_row, to += t->y_row) {",
            "    const int8_t *x = from;",
            "    int8_t *y = to;",
            "    int32_t left = t->places;",
            "    for (; left > 1; left -= 2, x += 2 * t->x_step, y += 2 * t->y_step) {",
            f"      @dsp_widen_2{columns}(x, window, t);",
            f"      @dsp_widen_2{columns}(x + t->x_step, window + 1, t);",
            f"      @dsp_2{kind.name}(window, weights, numbers, y, t);",
            "    }",
            "    if (left > 0) {",
            f"      @dsp_widen_1{columns}(x, window, t);",
            f"      @dsp_1{kind.name}(window, weights, numbers, y, t);",
            "    }",
            "  }",
        ]
    else:
        lines += [
            "  for (int32_t line = t->lines; line > 0; line--, from += t->x_row, to += t->y_row) {",
            f"    @dsp_widen_1{columns}(from, window, t);",
            f"    @dsp_1{kind.name}(window, weights, numbers, to, t);",
            "  }",
        ]
    return name, "\n".join([*lines, "}"]) + "\n"
