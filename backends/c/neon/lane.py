"""Convolutions and dense layers by 16-bit numbers: SMLAL by a lane.

A vector of sums is that of one place and four channels; the place's activations are widened to 16 bits, and each of
them is a lane that multiplies four channels' weights. For short runs, which leave most of a vector of bytes empty, and
for weights whose products do not fit into 16 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.vector.tile import LANES

MOST_PLACES = {4: 4, 3: 5, 2: 8, 1: 8}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""


class LaneTile(ByteTile):
    """Weights are 16 bits wide; the rest of a run is counted in bytes."""

    FAMILY = "lane"
    PIECE = 8
    WEIGHT = "int16_t"

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(run, 8)

    @classmethod
    def block(cls, places: int) -> int:
        return 4

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return MOST_PLACES[vectors]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return min(pieces, 1)

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """For each byte of a run the channels."""
        return w.transpose(1, 2, 3, 0).astype(np.int16)

    def load(self, pointer: str) -> str:
        """The expression of eight numbers at a place, in 16 bits."""
        return f"vmovl_s8(vld1_s8({pointer}))"

    def begun(self) -> list[str]:
        p = range(self.places)
        starts = (", ".join(f"s{i}{n} = vld1q_s32(numbers + {LANES * n})" for i in p) for n in range(self.vectors))
        return [f"int32x4_t {start};" for start in starts]

    def piece(self, offset: int) -> list[str]:
        return self._bytes(8, offset)

    def remainder(self) -> list[str]:
        return self._bytes(self.rest, 0)

    def _bytes(self, lanes: int, offset: int) -> list[str]:
        p = range(self.places)
        at = f" + {offset}" if offset else ""
        lines = ["const int16x8_t " + ", ".join(f"a{i} = {self.load(f'x{i}{at}')}" for i in p) + ";"]
        for lane in range(lanes):
            lines.append("{")
            for n in range(0, self.vectors, 2):
                q = "q" * (n + 1 < self.vectors)
                lines.append(f"  const int16x{8 if q else 4}_t w{n} = vld1{q}_s16(w + {LANES * n});")
            for i in p:
                for n in range(self.vectors):
                    lines.append(f"  s{i}{n} = {_product(f's{i}{n}', n, (n | 1) < self.vectors, f'a{i}', lane)};")
            lines += [f"  w += {LANES * self.vectors};", "}"]
        return lines


def _product(total: str, n: int, whole: bool, a: str, lane: int) -> str:
    """A sum and the product of a lane of `a` and vector `n` of weights, in a `whole` register or half of one."""
    if n % 2:
        return f"vmlal_high_laneq_s16({total}, w{n - 1}, {a}, {lane})"
    w = f"vget_low_s16(w{n})" if whole else f"w{n}"
    return f"vmlal_laneq_s16({total}, {w}, {a}, {lane})"
