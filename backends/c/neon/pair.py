"""Convolutions and dense layers by products of bytes: SMULL, SMLAL, SADALP.

A vector of eight sums of products in 16 bits belongs to one place and one channel. It holds two products a lane (four,
where the weights of a block are small enough), then its neighbouring lanes are added to four sums in 32 bits, and at
the end those to one. Per instruction that is 5.3 (6.4) multiplications without loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.narrow import fits
from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.vector.tile import LANES, Tile

SUMS = 16
"""Vectors of 32-bit sums that are kept in registers."""
MOST_AHEAD = 12
"""Halves of vectors of activations beside which registers have room for the weights of the next channel."""


class PairTile(ByteTile):
    """Runs are counted in halves of a vector, eight bytes each."""

    FAMILY = "pair"
    DEPTH: ClassVar[int] = 2
    """Products that are added in 16 bits."""
    TURNS: ClassVar[tuple[int, ...]] = (4, 3, 2)

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(-(-run // 8), cls.DEPTH)

    @classmethod
    def block(cls, places: int) -> int:
        return 1 if places > 2 else 2 if places == 2 else LANES

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return SUMS // LANES // vectors

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return next((n for n in cls.TURNS if pieces % n == 0), 1) if pieces else 0

    @classmethod
    def refined(cls, w: NDArray[np.int8]) -> type[Tile]:
        return DeepTile if DeepTile.can(w) else PairTile

    @classmethod
    def can(cls, w: NDArray[np.int8]) -> bool:
        """Whether sums of `DEPTH` products stay within 16 bits for weights [channels, rows, columns, run]."""
        return w.max(initial=0) <= 127 and fits(cls._padded(w).reshape(-1, cls.DEPTH, 8), 1)

    @classmethod
    def _padded(cls, w: NDArray[np.int8]) -> NDArray[np.int8]:
        return np.pad(w, ((0, 0), (0, 0), (0, 0), (0, -w.shape[3] % cls.PIECE)))

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """For each piece, then for the rest: channels x its bytes."""
        channels, rows, columns, run = w.shape
        whole, rest = cls.pieces(run)
        size = cls.PIECE
        w = cls._padded(w).transpose(1, 2, 0, 3)
        first = w[..., : whole * size].reshape(rows, columns, channels, whole, size).transpose(0, 1, 3, 2, 4)
        last = w[..., whole * size : whole * size + 8 * rest]
        return np.concatenate([a.reshape(rows, columns, -1) for a in (first, last)], axis=2)

    @property
    def straight(self) -> bool:
        """Whether the first sums can be made instead of added to zero."""
        return self.single and not self.loop

    def _names(self) -> Iterator[tuple[int, int, str]]:
        for i in range(self.places):
            for channel in range(LANES * self.vectors):
                yield i, channel, f"p{i}_{channel}"

    def begun(self) -> list[str]:
        start = "" if self.straight else " = vdupq_n_s32(0)"
        return [f"int32x4_t {', '.join(f'{name}{start}' for _, _, name in self._names())};"]

    def summed(self) -> list[str]:
        """One vector for each place and four channels, from four of each."""
        lines = []
        for n in range(self.vectors):
            lines.append(f"const int32x4_t b{n} = vld1q_s32(numbers + {LANES * n});")
            for i in range(self.places):
                a, b, c, d = (f"p{i}_{LANES * n + k}" for k in range(LANES))
                both = f"vpaddq_s32(vpaddq_s32({a}, {b}), vpaddq_s32({c}, {d}))"
                lines.append(f"const int32x4_t s{i}{n} = vaddq_s32({both}, b{n});")
        return lines

    def piece(self, offset: int) -> list[str]:
        """A piece, with the activations of the next one, which is done with it."""
        at = offset // self.PIECE
        if self.DEPTH == 2 and at % 2:  # done with the one before
            return []
        lines = self._loaded(self.DEPTH, offset)
        if self.DEPTH > 2 or at + 1 == self.whole:
            return lines + self._halves(self.DEPTH, "x", first=offset == 0)
        loads = [f"z{i}_0 = {_load(f'x{i}', offset + self.PIECE, True)};" for i in range(self.places)]
        return [
            *lines,
            f"int8x16_t {', '.join(f'z{i}_0' for i in range(self.places))};",
            *(f"EARLY_({load})" for load in loads),
            *["{", *("  " + line for line in self._halves(self.DEPTH, "x", first=offset == 0)), "}"],
            *(f"LATE_({load})" for load in loads),
            *["{", *("  " + line for line in self._halves(self.DEPTH, "z", first=False)), "}"],
        ]

    def remainder(self) -> list[str]:
        return self._loaded(self.rest, 0) + self._halves(self.rest, "x", first=not self.whole)

    def _loaded(self, count: int, offset: int) -> list[str]:
        """`count` halves of vectors of every place."""
        return [
            f"const int8x{16 if whole else 8}_t "
            + ", ".join(f"x{i}_{at} = {_load(f'x{i}', offset + at, whole)}" for i in range(self.places))
            + ";"
            for at, whole in _vectors(count)
        ]

    def _halves(self, count: int, x: str, *, first: bool) -> list[str]:
        """Eight bytes of every place, `count` times."""
        p, channels = range(self.places), range(LANES * self.vectors)
        lines = []
        together = max(LANES // self.places, 1)  # channels whose sums are completed together
        ahead = self.places * self.DEPTH <= MOST_AHEAD
        loaded = 0
        for channel in channels:
            while loaded <= min(channel + ahead, channels[-1]):
                for _ in range(2 if count <= 2 else 1):  # two vectors, which one instruction loads
                    lines += self._weights(count, loaded)
                    loaded += 1
            lines.append("FENCE_")
            for i in p:
                lines += ["{", *("  " + line for line in _products(count, f"w{channel}", f"{x}{i}"))]
                sums = f"p{i}_{channel}"
                start = "vpaddlq_s16(v)" if first and self.straight else f"vpadalq_s16({sums}, v)"
                lines += [f"  {sums} = {start};", "}"]
            if channel % together == together - 1:
                lines += [f"DONE_(p{i}_{c})" for c in channels[channel + 1 - together : channel + 1] for i in p]
        return [*lines, f"w += {8 * count * LANES * self.vectors};"]

    def _weights(self, count: int, channel: int) -> list[str]:
        """The weights of a channel for as many halves."""
        return [
            f"const int8x{16 if whole else 8}_t w{channel}_{at} = {_load('w', 8 * count * channel + at, whole)};"
            for at, whole in _vectors(count)
        ]


class DeepTile(PairTile):
    """Four products in 16 bits."""

    FAMILY = "deep"
    PIECE = 32
    DEPTH = 4
    TURNS = (3, 2)

    @classmethod
    def refined(cls, w: NDArray[np.int8]) -> type[Tile]:
        return cls


def _vectors(halves: int) -> list[tuple[int, bool]]:
    """(offset, whether it has 16 bytes) of the vectors that hold so many halves."""
    return [(8 * n, n + 1 < halves) for n in range(0, halves, 2)]


def _load(pointer: str, offset: int, whole: bool) -> str:
    return f"vld1{'q' * whole}_s8({pointer}{f' + {offset}' if offset else ''})"


def _products(halves: int, w: str, x: str) -> list[str]:
    """The sum of products of the halves of w and x as `v`."""
    lines = []
    for at, whole in _vectors(halves):
        a, b = (f"vget_low_s8({name}_{at})" if whole else f"{name}_{at}" for name in (w, x))
        lines.append(f"v = vmlal_s8(v, {a}, {b});" if at else f"int16x8_t v = vmull_s8({a}, {b});")
        if whole:
            lines.append(f"v = vmlal_high_s8(v, {w}_{at}, {x}_{at});")
    return lines
