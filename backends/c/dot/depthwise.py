"""Depthwise convolutions with SDOT.

The three rows of a column are interleaved, so that each 32-bit lane holds the column of one channel, and SDOT adds a
column times its weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.depthwise import ByteWindow


class DotWindow(ByteWindow):
    def registers(self, column: int) -> list[str]:
        return [f"c{column}{n}" for n in range(4)]

    def column(self, column: int) -> list[str]:
        """Three rows of 16 channels, interleaved."""
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

    def multiplied(self, order: list[int]) -> list[str]:
        return [
            " ".join(f"s{n} = vdotq_s32(s{n}, w{k}{n}, c{column}{n});" for n in range(4))
            for k, column in enumerate(order)
        ]

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.int8]:
        """[3 columns, 4 vectors, 4 channels, 4 rows], the fourth row zero."""
        return np.ascontiguousarray(np.pad(w.transpose(2, 0, 1), ((0, 0), (0, 0), (0, 1))))
