"""Convolutions and dense layers with FMLA by a lane: some places in a row times some vectors of output channels.

A vector of sums is that of one place and four channels; four numbers of every place are loaded at a time, each of which
is a lane that multiplies the weights of all channels. Depthwise convolutions whose window does not stay in registers
multiply vectors of channels instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32 import finish
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.vector.tile import LANES, Tile

MOST_PLACES = {8: 2, 7: 2, 6: 2, 5: 2, 4: 5, 3: 6, 2: 8, 1: 10}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""


@dataclass(frozen=True)
class FloatTile(Tile):
    """The rest of a run is counted in numbers."""

    FAMILY = "float"
    TWICE = True
    PIECE = 4
    ELEMENT = "float"
    WEIGHT = "float"
    NUMBER = "float"
    FACTS = ("float_tile", *finish.FACTS)

    @classmethod
    def facts(cls, layer: FloatLayer) -> list[str]:
        return layer.facts()

    @classmethod
    def numbers(cls, layer: FloatLayer, first: int, count: int) -> NDArray[np.float32]:
        """The bias."""
        bias = layer.bias[first : first + count]
        return np.pad(bias, (0, count - len(bias)))

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(run, 4)

    @classmethod
    def block(cls, places: int) -> int:
        return 8 if places <= 2 else 4

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return MOST_PLACES[vectors]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return min(pieces, 2 if pieces % 2 == 0 and sums > 8 else 1)

    @classmethod
    def packed(cls, w: NDArray[np.float32]) -> NDArray[np.float32]:
        """For each number of a run the channels."""
        return w.transpose(1, 2, 3, 0)

    @staticmethod
    def load(pointer: str) -> str:
        """The expression of four numbers at a place."""
        return f"vld1q_f32({pointer})"

    @staticmethod
    def loaded(count: int) -> list[str]:
        """Statements that load up to four vectors of weights at w, w0 and on."""
        return weights(count)

    @staticmethod
    def stored(to: str, value: str, count: int) -> list[str]:
        """Statements that store the first `count` lanes of a variable."""
        return finish.stored(to, value, count)

    @property
    def short(self) -> bool:
        return self.single and not self.loop

    def held(self) -> list[str]:
        return ["  " + line for line in finish.held(self.clamp)]

    def begun(self) -> list[str]:
        lines = []
        for i in range(self.places):  # loads in pairs are half as many instructions as copies
            lines += ["IN_ORDER_;"] if i else []
            starts = (f"s{i}{n} = vld1q_f32(numbers + {LANES * n})" for n in range(self.vectors))
            lines.append(f"float32x4_t {', '.join(starts)};")
        return lines

    def piece(self, offset: int) -> list[str]:
        return self._numbers(4, offset)

    def remainder(self) -> list[str]:
        return self._numbers(self.rest, 0)

    def _numbers(self, lanes: int, offset: int) -> list[str]:
        p = range(self.places)
        at = f" + {offset}" if offset else ""
        lines = ["const float32x4_t " + ", ".join(f"a{i} = {self.load(f'x{i}{at}')}" for i in p) + ";"]
        for lane in range(lanes):
            for first in range(0, self.vectors, 4):
                n = min(4, self.vectors - first)
                lines += (
                    ["IN_ORDER_;"] if offset or lane or first else []
                )  # weights of the next lane have no registers yet
                lines.append("{")
                lines += ["  " + line for line in self.loaded(n)]
                for i in p:
                    for k in range(n):
                        s = f"s{i}{first + k}"
                        lines.append(f"  {s} = vfmaq_laneq_f32({s}, w{k}, a{i}, {lane});")
                lines += [f"  w += {LANES * n};", "}"]
        return lines

    def finish(self) -> list[str]:
        lines = []
        for i in range(self.places):
            for n in range(self.vectors):
                s = f"s{i}{n}"
                to = " + ".join(filter(None, ["y", f"{i} * y_step" * (i > 0), f"{LANES * n}" * (n > 0)]))
                if self.clamp:
                    lines.append(f"{s} = {finish.clamped(s, self.clamp)};")
                lines += self.stored(to, s, min(LANES, self.count - LANES * n))
        return lines


def weights(count: int) -> list[str]:
    """Statements that load up to four vectors of weights at w, w0 and on."""
    if count == 4:
        names = ", ".join(f"w{k} = q.val[{k}]" for k in range(4))
        return ["const float32x4x4_t q = LOAD_FOUR_(w);", f"const float32x4_t {names};"]
    return [f"const float32x4_t w{k} = vld1q_f32(w + {LANES * k});" for k in range(count)]


@dataclass(frozen=True)
class TapTile(FloatTile):
    """Depthwise convolutions: every tap is a vector of channels of x times one of weights."""

    FAMILY = "float_taps"

    @classmethod
    def block(cls, places: int) -> int:
        return 1

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return 8

    def piece(self, offset: int) -> list[str]:
        lines = [*self.loaded(1), f"w += {LANES};"]
        return lines + [f"s{i}0 = vfmaq_f32(s{i}0, {self.load(f'x{i}')}, w0);" for i in range(self.places)]
