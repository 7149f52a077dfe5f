"""What the tiles of 8-bit integers have in common: the rescaling behind the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edgec.backends.c.int8.finish import finished
from edgec.backends.c.int8.match import EXACT, ByteLayer, table_of
from edgec.backends.c.vector.tile import LANES, Tile


@dataclass(frozen=True)
class ByteTile(Tile):
    """Sums are rescaled with a `shift` that all channels share; 0: each has its own; EXACT: and an offset.

    Numbers are bias, multiplier, minus shift and offset, by channel."""

    PIECE = 16
    ELEMENT = "int8_t"
    WEIGHT = "int8_t"
    NUMBER = "int32_t"
    FACTS = ("tile", ", the zero point and the clamp", "  int16_t zero;\n  int8_t lo, hi;\n")

    shift: int
    even: bool = False

    @classmethod
    def facts(cls, layer: ByteLayer) -> list[str]:
        return [str(layer.zero), str(layer.lo), str(layer.hi)]

    @classmethod
    def kind(cls, layer: ByteLayer) -> dict[str, Any]:
        return {**super().kind(layer), "shift": layer.common_shift, "even": layer.even}

    @classmethod
    def numbers(cls, layer: ByteLayer, first: int, count: int) -> NDArray:
        return table_of(layer, slice(first, first + count), count)

    def special(self) -> list[str]:
        exact = ["offset"] if self.shift == EXACT else [f"s{self.shift}"] * (self.shift > 0)
        return ["even"] * self.even + exact

    def held(self) -> list[str]:
        clamp = ["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []
        return ["  const int16x8_t zero = vdupq_n_s16(t->zero);", *clamp]

    def summed(self) -> list[str]:
        """Statements that leave the sums of place i and vector n in `s{i}{n}`."""
        return []

    def finish(self) -> list[str]:
        lines = self.summed()
        for n in range(self.vectors):
            lines.append(f"const int32x4_t m{n} = vld1q_s32(numbers + {LANES * (self.vectors + n)});")
            if self.shift <= 0:
                lines.append(f"const int32x4_t r{n} = vld1q_s32(numbers + {LANES * (2 * self.vectors + n)});")
        together = max(1, LANES // self.vectors)
        for first in range(0, self.places, together):
            lines += self._finished(range(self.places)[first : first + together])
        return lines

    def _finished(self, places: Sequence[int]) -> list[str]:
        """Statements that store the codes of some places, 16 at the most."""
        v = range(self.vectors)
        stores = [(f"y + {i} * y_step" if i else "y", self.count) for i in places]
        sums = [f"s{i}{n}" for i in places for n in v]
        m, r = ([f"{letter}{n}" for _ in places for n in v] for letter in "mr")
        at = [f"numbers + {LANES * (3 * self.vectors + 2 * n)}" for _ in places for n in v]
        return finished(sums, m, r, self.shift, bool(self.clamp), stores, self.even, at)
