"""Depthwise convolutions of 8-bit integers with any window: products of bytes, a few taps of them added in 16 bits.

A tap is a vector of 16 channels of x times one of weights, which some places in a row share. The taps of a row of the
window (of its column, where it is one wide) follow each other, as many of them added in 16 bits as the weights allow.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.narrow import fits
from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.tile import LANES, Tile
from edgec.backends.c.view import View

MOST_PLACES = {4: 4, 3: 5, 2: 8, 1: 8}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""
CHANNELS = 16
"""Of one vector of x and of weights."""


class TapTile(ByteTile):
    """A run is the taps of a row, a piece of it `DEPTH` taps, the rest is counted in taps."""

    FAMILY = "taps"
    DEPTH: ClassVar[int] = 1
    """Products that are added in 16 bits."""

    @classmethod
    def row(cls, kernel: tuple[int, int]) -> tuple[int, int]:
        """(rows, taps in each)."""
        return (1, kernel[0]) if kernel[1] == 1 else kernel

    @classmethod
    def walk(cls, layer: Layer, x: View) -> tuple[int, int, int, int, int]:
        kernel, _, (dy, dx), _ = layer.window
        rows, taps = cls.row(kernel)
        down = x.strides[2] * dy
        return rows, down if rows > 1 else 0, 1, down if kernel[1] == 1 else x.strides[3] * dx, taps

    @classmethod
    def refined(cls, w: NDArray[np.int8]) -> type[Tile]:
        return next((tile for tile in (FourTaps, ThreeTaps, TwoTaps) if tile.can(w)), cls)

    @classmethod
    def can(cls, w: NDArray[np.int8]) -> bool:
        """Whether sums of `DEPTH` products stay within 16 bits for weights [channels, rows, columns, 1]."""
        rows, taps = cls.row((w.shape[1], w.shape[2]))
        w = np.pad(w.reshape(len(w), rows, taps), ((0, 0), (0, 0), (0, -taps % cls.DEPTH)))
        return taps >= cls.DEPTH and fits(w.reshape(-1, cls.DEPTH), 1)

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(run, cls.DEPTH)

    @classmethod
    def block(cls, places: int) -> int:
        return CHANNELS // LANES

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return MOST_PLACES[vectors]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return next((n for n in (4, 3, 2) if pieces % n == 0), 1) if pieces else 0

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """For each tap 16 channels."""
        return np.pad(w[..., 0].transpose(1, 2, 0), ((0, 0), (0, 0), (0, -len(w) % CHANNELS)))

    def special(self) -> list[str]:
        return [f"d{self.DEPTH}", *super().special()]

    def held(self) -> list[str]:
        return [*super().held(), "  const ptrdiff_t column_step = t->column_step;"]

    def begun(self) -> list[str]:
        p = range(self.places)
        starts = (", ".join(f"s{i}{n} = vld1q_s32(numbers + {LANES * n})" for i in p) for n in range(self.vectors))
        return [f"int32x4_t {start};" for start in starts]

    def _run(self) -> list[str]:
        p = range(self.places)
        lines = ["const int8_t *x0 = row;", *(f"const int8_t *x{i} = x{i - 1} + x_step;" for i in p[1:])]
        if self.whole:
            lines.append("for (int32_t c = 0; c < turns; c++) {" if self.loop else "{")
            for _ in range(self.whole):
                lines += ["  {", *("    " + line for line in self._taps(self.DEPTH)), "  }"]
            lines.append("}")
        return lines + (["{", *("  " + line for line in self._taps(self.rest)), "}"] if self.rest else [])

    def _taps(self, count: int) -> list[str]:
        """So many taps of every place."""
        loads = (f"w{k} = vld1q_s8(w{f' + {CHANNELS * k}' if k else ''})" for k in range(count))
        lines = [f"const int8x16_t {', '.join(loads)};", f"w += {CHANNELS * count};"]
        steps = ("", " + column_step", *(f" + {k} * column_step" for k in range(2, count)))
        for i in range(self.places):
            loads = (f"a{k} = vld1q_s8(x{i}{steps[k]})" for k in range(count))
            lines += ["{", f"  const int8x16_t {', '.join(loads)};", f"  x{i} += {count} * column_step;"]
            for n in range(0, self.vectors, 2):
                lines += ["  {", *("    " + line for line in _products(count, high=n > 0))]
                lines.append(f"    s{i}{n} = vaddw_s16(s{i}{n}, vget_low_s16(v));")
                if n + 1 < self.vectors:
                    lines.append(f"    s{i}{n + 1} = vaddw_high_s16(s{i}{n + 1}, v);")
                lines.append("  }")
            lines.append("}")
        return lines


class TwoTaps(TapTile):
    """Two products in 16 bits: all weights but two neighbours of -128."""

    DEPTH = 2


class ThreeTaps(TapTile):
    """Three."""

    DEPTH = 3


class FourTaps(TapTile):
    """Four."""

    DEPTH = 4


def _products(count: int, *, high: bool) -> list[str]:
    """The sum of products of half of a0.. and w0.. as `v`."""
    lines = []
    for k in range(count):
        name = f"{'vmlal' if k else 'vmull'}{'_high' if high else ''}_s8"
        operands = f"a{k}, w{k}" if high else f"vget_low_s8(a{k}), vget_low_s8(w{k})"
        lines.append(f"v = {name}(v, {operands});" if k else f"int16x8_t v = {name}({operands});")
    return lines
