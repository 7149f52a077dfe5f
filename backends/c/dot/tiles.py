"""Convolutions and dense layers with SDOT: some places in a row times up to 16 output channels.

Sums of one place and four channels are a vector; SDOT adds to it four bytes of every channel's weights times four
bytes of the place, which it takes from a lane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.vector.tile import LANES

MOST_PLACES = {4: 5, 3: 6, 2: 8, 1: 8}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""


class DotTile(ByteTile):
    """The rest of a run is counted in words of four bytes."""

    FAMILY = "dot"

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return run // 16, -(-(run % 16) // 4)

    @classmethod
    def block(cls, places: int) -> int:
        return 4

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        """4 places with three vectors a turn take fewer instructions than 5 with one."""
        return 4 if vectors == 4 and cls.turn(run // 16, 16) == 3 else MOST_PLACES[vectors]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        """3 or 2 where they divide the run, and where the sums leave registers to load the next ones into."""
        most = (3, 2) if sums <= 16 else ()
        return next((n for n in most if pieces % n == 0), 1) if pieces else 0

    @classmethod
    def parts(cls, w: NDArray) -> NDArray:
        """127 and 1 for +128."""
        if w.max(initial=0) <= 127:
            return w.astype(np.int8)
        first = np.minimum(w, 127)
        return np.concatenate([first, w - first], axis=2).astype(np.int8)

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """Each four bytes of a run: vectors x 4 channels x 4 bytes."""
        outputs, rows, columns, run = w.shape
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, -run % 4)))
        return w.reshape(outputs // LANES, LANES, rows, columns, -1, 4).transpose(2, 3, 4, 0, 1, 5)

    @property
    def short(self) -> bool:
        return not self.whole

    def begun(self) -> list[str]:
        p = range(self.places)
        starts = (", ".join(f"s{i}{n} = vld1q_s32(numbers + {LANES * n})" for i in p) for n in range(self.vectors))
        return [f"int32x4_t {start};" for start in starts]

    def piece(self, offset: int) -> list[str]:
        return self._words(4, offset)

    def remainder(self) -> list[str]:
        return self._words(self.rest)

    def _words(self, lanes: int, offset: int = 0) -> list[str]:
        """16 bytes of every place, or as many words of them as count."""
        p, v = range(self.places), range(self.vectors)
        at = f" + {offset}" if offset else ""
        lines = ["const int8x16_t " + ", ".join(f"a{i} = vld1q_s8(x{i}{at})" for i in p) + ";"]
        for lane in range(lanes):
            # for GCC: weights are loaded together, and ahead only where a turn is long
            lines += [*["FENCE_"] * (self.whole <= 1), "{"]
            lines += [*("  " + line for line in self.loaded()), "  FENCE_"]
            for i in p:
                adds = [f"s{i}{n} = vdotq_laneq_s32(s{i}{n}, w{n}, a{i}, {lane});" for n in v]
                lines.append("  " + " ".join(adds))
            lines += [f"  w += {self.advance()};", "}"]
        return lines

    def loaded(self) -> list[str]:
        """Statements for the weights of all channels for four bytes of a run."""
        loads = ", ".join(f"w{n} = vld1q_s8(w + {16 * n})" for n in range(self.vectors))
        return [f"const int8x16_t {loads};"]

    def advance(self) -> int:
        """How far these lie apart."""
        return 16 * self.vectors
