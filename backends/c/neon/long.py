"""Convolutions and dense layers whose weights are so small that the sums of whole runs fit into 16 bits.

SMLAL and SMLAL2 alone, eight multiplications an instruction; sums of a run are added to those in 32 bits behind it. A
run that is too long is visited in parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.narrow import fits, sizes
from edgec.backends.c.neon.pair import PairTile
from edgec.backends.c.vector.tile import LANES, Tile

LEAST = 4
"""Vectors of a part of a run: with fewer the additions behind it cost what is saved."""


class LongTile(PairTile):
    """Sums in 16 bits are `q`, those in 32 bits `p`."""

    FAMILY = "long"

    @classmethod
    def refined(cls, w: NDArray[np.int8]) -> type[Tile]:
        return cls

    @classmethod
    def can(cls, w: NDArray[np.int8]) -> bool:
        return w.max(initial=0) <= 127 and cls._visits(w) > 0

    @classmethod
    def parts(cls, w: NDArray[np.int8]) -> NDArray[np.int8]:
        visits = max(cls._visits(w), 1)
        channels, rows, columns, run = w.shape
        return w.reshape(channels, rows, columns * visits, run // visits)

    @classmethod
    def _visits(cls, w: NDArray[np.int8]) -> int:
        """In how many parts a run of weights [channels, rows, columns, run] has to be done; 0 where it cannot."""
        columns, run = w.shape[2:]
        if run < LEAST * cls.PIECE:
            return 0
        halves = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, -run % cls.PIECE))).reshape(len(w), -1, 8)
        together = halves.shape[1] // (w.shape[1] * columns)
        least = -(-127 * int(sizes(halves.reshape(-1, together, 8), 1).max(initial=0)) // 32768)
        for visits in range(max(least, 1), run // (LEAST * cls.PIECE) + 1 if columns == 1 else 2):
            whole = visits == 1 or run % (visits * cls.PIECE) == 0
            if whole and fits(halves.reshape(-1, together // visits, 8), 1):
                return visits
        return 0

    def _run(self) -> list[str]:
        names = [name for _, _, name in self._names()]
        start = ", ".join(f"q{name[1:]} = vdupq_n_s16(0)" for name in names)
        if self.single:
            ends = [f"{name} = vpaddlq_s16(q{name[1:]});" for name in names]
        else:
            ends = [f"{name} = vpadalq_s16({name}, q{name[1:]});" for name in names]
        return [f"int16x8_t {start};", *super()._run(), *ends]

    @property
    def straight(self) -> bool:
        return self.single

    def piece(self, offset: int) -> list[str]:
        return self._multiplied(self.DEPTH, offset)

    def remainder(self) -> list[str]:
        return self._multiplied(self.rest, 0)

    def _multiplied(self, count: int, offset: int) -> list[str]:
        """Eight bytes of every place, `count` times."""
        whole = count == self.DEPTH
        q, at = "q" * whole, f" + {offset}" if offset else ""
        kind = f"int8x{16 if whole else 8}_t"
        lines = [f"const {kind} {', '.join(f'a{i} = vld1{q}_s8(x{i}{at})' for i in range(self.places))};"]
        for channel in range(LANES * self.vectors):
            step = 8 * count * channel
            lines += [f"const {kind} w{channel} = vld1{q}_s8(w{f' + {step}' if step else ''});", "FENCE_"]
            for i in range(self.places):
                s = f"q{i}_{channel}"
                low = f"vget_low_s8(w{channel}), vget_low_s8(a{i})" if whole else f"w{channel}, a{i}"
                lines.append(f"{s} = vmlal_s8({s}, {low});")
                if whole:
                    lines.append(f"{s} = vmlal_high_s8({s}, w{channel}, a{i});")
        return [*lines, f"w += {8 * count * LANES * self.vectors};"]
