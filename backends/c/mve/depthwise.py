"""Depthwise convolutions with MVE: eight channels at a time, their products in two vectors of 32 bits.

VMULLB multiplies the even lanes of 16 bits, VMULLT the odd ones; so what is known of channels is stored for the even
ones of a block first. Channels beyond the last have weights of zero and are not stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import numbers as known

BLOCK = 8
UNROLLED = 5
"""Columns of a window up to which the loop over them is written out."""


def packed(layer: ByteLayer) -> NDArray[np.int8]:
    """Weights by eight channels, then by tap."""
    w = layer.weights[..., 0]
    w = np.pad(w, ((0, -len(w) % BLOCK), (0, 0), (0, 0)))
    return w.reshape(len(w) // BLOCK, BLOCK, -1).transpose(0, 2, 1)


def numbers(layer: ByteLayer) -> NDArray[np.int32]:
    """For eight channels: bias, multiplier and, where channels have their own, minus shift, each of the even channels
    and of the odd ones."""
    table = known(layer, -layer.shift)
    table = np.pad(table, ((0, 0), (0, -table.shape[1] % BLOCK)))
    return table.reshape(len(table), -1, BLOCK // 2, 2).transpose(1, 0, 3, 2)


def function(columns: int, own: bool) -> tuple[str, str]:
    """Name and text of the function that does a layer with so many columns of taps; `own`: channels have shifts of
    their own."""
    written = columns <= UNROLLED
    name = "@mve_depthwise" + f"_{columns}" * written + "_own" * own
    tap = [
        "{",
        "  const int16x8_t v = vldrbq_s16(at), k = vldrbq_s16(w);",
        "  even = vaddq_s32(even, vmullbq_int_s16(v, k));",
        "  odd = vaddq_s32(odd, vmulltq_int_s16(v, k));",
        "}",
        f"w += {BLOCK};",
    ]
    step = "at += column_step;"
    row = [*tap, *([step, *tap] * (columns - 1))]
    if not written:
        row = ["for (int32_t j = t->columns; j > 0; j--) {", *("  " + line for line in [*tap, step]), "}"]
    lines = [
        f"NOINLINE_ static void {name}(",
        "    const int8_t *from, const int8_t *weights, const int32_t *numbers, int8_t *to, const @layer *t) {",
        f"  const ptrdiff_t row_step = t->row_step{', column_step = t->column_step' * (columns > 1)};",
        "  const int32_t outputs = t->outputs, rows = t->rows;",
        "  const int16_t zero = (int16_t)t->zero, lo = (int16_t)t->lo, hi = (int16_t)t->hi;",
        *(["  const int32x4_t r = vdupq_n_s32(t->shift);"] * (not own)),
        "  for (int32_t line = t->lines; line > 0; line--, from += t->x_row, to += t->y_row) {",
        "    const int8_t *x = from;",
        "    int8_t *y = to;",
        "    for (int32_t place = t->places; place > 0; place--, x += t->x_step, y += t->y_step) {",
        "      const int8_t *w = weights, *block = x;",
        "      const int32_t *n = numbers;",
        "      int8_t *results = y;",
        f"      for (int32_t left = outputs; left > 0; left -= {BLOCK}) {{",
        "        int32x4_t even = vldrwq_s32(n), odd = vldrwq_s32(n + 4);",
        "        const int8_t *row = block;",
        "        for (int32_t i = rows; i > 0; i--, row += row_step) {",
        "          const int8_t *at = row;",
        *("          " + line for line in row),
        "        }",
        f"        even = vrshlq_s32(vqdmulhq_s32(even, vldrwq_s32(n + 8)), {'vldrwq_s32(n + 16)' if own else 'r'});",
        f"        odd = vrshlq_s32(vqdmulhq_s32(odd, vldrwq_s32(n + 12)), {'vldrwq_s32(n + 20)' if own else 'r'});",
        "        int16x8_t v = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), even), odd);",
        "        v = vqaddq_n_s16(v, zero);",
        "        v = vminq_s16(vmaxq_s16(v, vdupq_n_s16(lo)), vdupq_n_s16(hi));",
        "        vstrbq_p_s16(results, v, vctp16q((uint32_t)left));",
        f"        n += {24 if own else 16};",
        f"        block += {BLOCK};",
        f"        results += {BLOCK};",
        "      }",
        "    }",
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"
