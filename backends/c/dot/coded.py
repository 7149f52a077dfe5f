"""SDOT with weights that are stored as codes and looked up in registers.

For few places: each weight is needed by one tile, so nothing is gained by decoding it to memory first. A vector of
codes is as many vectors of weights as a byte has codes; the table stands in front of every block.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.dot.tiles import DotTile
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.lowbit.codebook import VECTOR, Codebook
from edgec.backends.c.lowbit.decode import code_vector, tables
from edgec.backends.c.view import View

PLACES = 4
"""Places of a tile, with what decoding needs in registers."""


class CodedTile(DotTile):
    BOOK: ClassVar[Codebook]
    WEIGHT = "uint8_t"
    FULL = True

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return PLACES

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return min(pieces, 1)

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.uint8]:
        codes = cls.BOOK.packed_vectors(super().packed(w).reshape(1, -1))
        return np.concatenate([tables(cls.BOOK, 1, False).ravel(), codes.ravel()])

    def special(self) -> list[str]:
        return [f"codes{self.BOOK.width}", *super().special()]

    def held(self) -> list[str]:
        look = ["const uint8x16_t table = vld1q_u8(weights);"]
        look.append(f"const uint8x16_t mask = vdupq_n_u8({(1 << self.BOOK.width) - 1});")
        return [*super().held(), *("  " + line for line in look)]

    def begun(self) -> list[str]:
        return [*super().begun(), f"w += {VECTOR};"]

    def loaded(self) -> list[str]:
        """The weights of all channels for four bytes of a run."""
        lines = []
        for n in range(self.vectors):
            part = n % self.BOOK.per_byte
            if part == 0:
                at = f" + {VECTOR * (n // self.BOOK.per_byte)}" if n else ""
                lines.append(f"const uint8x16_t c{n} = vld1q_u8(w{at});")
            code = code_vector(self.BOOK.width, part, f"c{n - part}")
            lines.append(f"const int8x16_t w{n} = vreinterpretq_s8_u8(vqtbl1q_u8(table, {code}));")
        return lines

    def advance(self) -> int:
        return VECTOR * self.vectors // self.BOOK.per_byte


def coded_tile(layer: ByteLayer, y: View) -> type[CodedTile] | None:
    """The tile for a layer with few results, None where weights are not codes or go through memory."""
    few = y.shape[2] * y.shape[3] <= PLACES
    if layer.codes is None or not few or layer.codes.per_byte > 4 or layer.weights.max(initial=0) > 127:
        return None
    return type("CodedTile", (CodedTile,), {"BOOK": layer.codes})
