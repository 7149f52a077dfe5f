"""Convolutions and dense layers by VMLADAVA: one or two places times two output channels at a time.

A window is a row of bytes: where it lies in the image, or copied together from its rows. Behind the last whole vector
of it weights are loaded under a predicate, with zeros for the lanes beyond; what these multiply does not matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import numbers as known
from edgec.backends.c.mcu.layer import taps

VECTOR = 16
PLACES = 2


def size(layer: ByteLayer) -> int:
    """Bytes of a window."""
    rows, columns, run = taps(layer)
    return rows * columns * run


def in_place(layer: ByteLayer) -> bool:
    """Whether a window lies in one run."""
    rows, columns, _ = taps(layer)
    return rows * columns == 1


def room(layer: ByteLayer) -> int:
    """Bytes that the copy of a window takes, with what vectors write behind it."""
    return 0 if in_place(layer) else -(-size(layer) // VECTOR) * VECTOR + VECTOR


def packed(layer: ByteLayer) -> NDArray[np.int8]:
    """Weights by two output channels, then by vector; a last channel without a partner by itself."""
    outputs = len(layer.weights)
    w = layer.weights.reshape(outputs, -1)
    whole = w.shape[1] - w.shape[1] % VECTOR
    even = outputs - outputs % 2
    pair = even // 2
    first = w[:even, :whole].reshape(pair, 2, whole // VECTOR, VECTOR).transpose(0, 2, 1, 3).reshape(pair, 2 * whole)
    rest = w[:even, whole:].reshape(pair, 2 * (w.shape[1] - whole))
    return np.concatenate([np.concatenate([first, rest], axis=1).ravel(), w[even:].ravel()])


def numbers(layer: ByteLayer) -> NDArray[np.int32]:
    """What is known of every channel: [2 or 3, channels]."""
    return known(layer, -layer.shift)


def copied(layer: ByteLayer) -> tuple[str, str]:
    """Name and text of the function that copies a window: rows, or rows of columns."""
    spaced = taps(layer)[1] > 1
    name = "@mve_copy" + "_columns" * spaced
    run = "for (int32_t k = 0; k < run; k += 16) { vstrbq_s8(to + k, vldrbq_s8(x + k)); }"
    columns = [
        "    const int8_t *x = row;",
        "    for (int32_t j = t->columns; j > 0; j--, x += column_step, to += run) {",
        f"      {run}",
        "    }",
    ]
    lines = [
        "/* The runs of a window one behind the other; up to 15 bytes more are read and written. */",
        f"NOINLINE_ static void {name}(const int8_t *{'row' if spaced else 'x'}, int8_t *to, const @layer *t) {{",
        "  const int32_t run = t->run;",
        f"  const ptrdiff_t row_step = t->row_step{', column_step = t->column_step' * spaced};",
        f"  for (int32_t i = t->rows; i > 0; i--, {'row += row_step' if spaced else 'x += row_step, to += run'}) {{",
        *(columns if spaced else [f"    {run}"]),
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"


def scaled(own: bool) -> tuple[str, str]:
    """Name and text of the function that makes results of sums; `own`: channels have shifts of their own."""
    name = "@mve_scaled" + "_own" * own
    lines = [
        "/* The sums of all channels of a place, rescaled, clamped and stored. */",
        f"static void {name}(const int32_t *sums, const int32_t *multipliers, int8_t *y, const @layer *t) {{",
        "  const int32x4_t lo = vdupq_n_s32(t->lo), hi = vdupq_n_s32(t->hi);",
        "  const int32_t zero = t->zero;",
        "  const int32_t *shifts = multipliers + t->outputs;"
        if own
        else "  const int32x4_t r = vdupq_n_s32(t->shift);",
        "  for (int32_t left = t->outputs; left > 0; left -= 4) {",
        "    const mve_pred16_t p = vctp32q((uint32_t)left);",
        "    int32x4_t v = vqdmulhq_s32(vldrwq_z_s32(sums, p), vldrwq_z_s32(multipliers, p));",
        f"    v = vaddq_n_s32(vrshlq_s32(v, {'vldrwq_z_s32(shifts, p)' if own else 'r'}), zero);",
        "    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(v, lo), hi), p);",
        "    sums += 4;",
        "    multipliers += 4;",
        *(["    shifts += 4;"] * own),
        "    y += 4;",
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"


def _channels(places: int, outputs: int) -> list[str]:
    p, o = range(places), range(outputs)
    starts = [f"s0{k} = bias[{k}]" for k in o] + [f"s{i}{k} = s0{k}" for i in p[1:] for k in o]
    adds = [f"s{i}{k} = vmladavaq_s8(s{i}{k}, w{k}, v{i});" for k in o for i in p]
    activations = ", ".join(f"v{i} = vldrbq_s8(a{i})" for i in p)
    whole = ", ".join(f"w{k} = vldrbq_s8(w + {VECTOR * k})" for k in o)
    rest = ", ".join(f"w{k} = vldrbq_z_s8(w + {k} * rest, p)" for k in o)
    return [
        f"int32_t {', '.join(starts)};",
        f"const int8_t {', '.join(f'*a{i} = x{i}' for i in p)};",
        "for (int32_t n = whole; n > 0; n--) {",
        f"  const int8x16_t {activations}, {whole};",
        *("  " + line for line in adds),
        f"  {' '.join(f'a{i} += {VECTOR};' for i in p)} w += {VECTOR * outputs};",
        "}",
        "if (rest > 0) {",
        "  const mve_pred16_t p = vctp8q((uint32_t)rest);",
        f"  const int8x16_t {activations}, {rest};",
        *("  " + line for line in adds),
        f"  w += {outputs} * rest;",
        "}",
        *(f"sums{i}[{k}] = s{i}{k};" for i in p for k in o),
    ]


def multiply(places: int) -> tuple[str, str]:
    """Name and text of the function that makes the sums of all channels at some places."""
    p = range(places)
    windows = ", ".join(f"const int8_t *x{i}" for i in p)
    lines = [
        f"NOINLINE_ static void @mve_{places}(",
        f"    {windows}, const int8_t *w, const int32_t *bias, int32_t *sums0, const @layer *t) {{",
        "  const int32_t whole = t->size >> 4, rest = t->size & 15;",
        *(f"  int32_t *sums{i} = sums0 + {i} * t->outputs;" for i in p[1:]),
        "  for (int32_t left = t->outputs >> 1; left > 0; left--) {",
        *("    " + line for line in _channels(places, 2)),
        f"    {' '.join(f'sums{i} += 2;' for i in p)} bias += 2;",
        "  }",
        "  if (t->outputs & 1) {",
        *("    " + line for line in _channels(places, 1)),
        "  }",
        "}",
    ]
    return f"@mve_{places}", "\n".join(lines) + "\n"


def loops(copy: str, two: bool, own: bool) -> tuple[str, str]:
    """Name and text of the function that goes over all places; `copy`: what copies windows, empty for nothing; `two`:
    there are rows of more than one."""
    copied = copy != ""
    name = f"@mve_{'rows' if two else 'place'}" + copy.replace("@mve", "") + "_own" * own
    end = scaled(own)[0]

    def one(x: str, y: str) -> list[str]:
        made = [f"{copy}({x}, window, t);"] * copied
        window = "window" if copied else x
        return [
            *made,
            f"@mve_1({window}, weights, numbers, sums, t);",
            f"{end}(sums, numbers + t->outputs, {y}, t);",
        ]

    memory = ["    int8_t *window,"] * copied
    lines = [
        f"NOINLINE_ static void {name}(",
        "    const int8_t *from, const int8_t *weights, const int32_t *numbers, int8_t *to, int32_t *sums,",
        *memory,
        "    const @layer *t) {",
        "  for (int32_t line = t->lines; line > 0; line--, from += t->x_row, to += t->y_row) {",
    ]
    if two:
        first, second = ("window", "window + t->room") if copied else ("x", "x + t->x_step")
        both = [f"{copy}(x, window, t);", f"{copy}(x + t->x_step, window + t->room, t);"] * copied
        lines += [
            "    const int8_t *x = from;",
            "    int8_t *y = to;",
            "    int32_t left = t->places;",
            "    for (; left > 1; left -= 2, x += 2 * t->x_step, y += 2 * t->y_step) {",
            *("      " + line for line in both),
            f"      @mve_2({first}, {second}, weights, numbers, sums, t);",
            f"      {end}(sums, numbers + t->outputs, y, t);",
            f"      {end}(sums + t->outputs, numbers + t->outputs, y + t->y_step, t);",
            "    }",
            "    if (left > 0) {",
            *("      " + line for line in one("x", "y")),
            "    }",
        ]
    else:
        lines += ["    " + line for line in one("from", "to")]
    return name, "\n".join([*lines, "  }", "}"]) + "\n"
