"""Convolutions and dense layers of single bits: EOR, CNT, UADALP.

Each vector holds 128 products of one place and one channel; differing bits are counted a byte at a time and added in
16 bits, then the counts of four channels become one vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.finish import stored
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.lowbit.binary import BitLayer
from edgec.backends.c.vector.tile import LANES

SUMS = 16
"""Vectors of 16-bit counts that are kept in registers."""


class XnorTile(ByteTile):
    """Runs are counted in bytes of eight bits."""

    FAMILY = "xnor"
    ELEMENT = "uint8_t"
    RESULT = "int8_t"
    WEIGHT = "uint8_t"

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(run, cls.PIECE)

    @classmethod
    def block(cls, places: int) -> int:
        return 1 if places > 2 else 2 if places == 2 else LANES

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return SUMS // LANES // vectors

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return next((n for n in (3, 2) if pieces % n == 0), 1) if pieces else 0

    @classmethod
    def packed(cls, w: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """For each vector of a run the channels; what is behind a run is zero, also for the places."""
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, -w.shape[3] % cls.PIECE)))
        channels, rows, columns, run = w.shape
        return w.reshape(channels, rows, columns, run // cls.PIECE, cls.PIECE).transpose(1, 2, 3, 0, 4)

    def held(self) -> list[str]:
        mask = []
        if self.rest and self.rest != 8:
            bytes_ = ", ".join(str(255 * (k < self.rest)) for k in range(self.PIECE))
            mask = [f"  static const uint8_t run[16] = {{{bytes_}}};", "  const uint8x16_t mask = vld1q_u8(run);"]
        return [*super().held(), *mask]

    def _names(self) -> Iterator[tuple[int, int, str]]:
        for i in range(self.places):
            for channel in range(LANES * self.vectors):
                yield i, channel, f"p{i}_{channel}"

    def begun(self) -> list[str]:
        return [f"uint16x8_t {', '.join(f'{name} = vdupq_n_u16(0)' for _, _, name in self._names())};"]

    def piece(self, offset: int) -> list[str]:
        at = f" + {offset}" if offset else ""
        return self._bits([f"vld1q_u8(x{i}{at})" for i in range(self.places)])

    def remainder(self) -> list[str]:
        p = range(self.places)
        if self.rest == 8:
            return self._bits([f"vcombine_u8(vld1_u8(x{i}), vdup_n_u8(0))" for i in p])
        return self._bits([f"vandq_u8(vld1q_u8(x{i}), mask)" for i in p])

    def _bits(self, loads: list[str]) -> list[str]:
        """One vector of every place times that of every channel."""
        channels = LANES * self.vectors
        lines = [f"const uint8x16_t {', '.join(f'a{i} = {load}' for i, load in enumerate(loads))};"]
        for channel in range(channels):
            at = f" + {self.PIECE * channel}" if channel else ""
            lines.append(f"const uint8x16_t w{channel} = vld1q_u8(w{at});")
            for i in range(self.places):
                name = f"p{i}_{channel}"
                lines.append(f"{name} = vpadalq_u8({name}, vcntq_u8(veorq_u8(a{i}, w{channel})));")
        return [*lines, f"w += {self.PIECE * channels};"]

    def summed(self) -> list[str]:
        lines = []
        for n in range(self.vectors):
            lines.append(f"const int32x4_t b{n} = vld1q_s32(numbers + {LANES * n});")
            for i in range(self.places):
                a, b, c, d = (f"p{i}_{LANES * n + k}" for k in range(LANES))
                both = f"vpaddq_u16(vpaddq_u16({a}, {b}), vpaddq_u16({c}, {d}))"
                count = f"vreinterpretq_s32_u32(vpaddlq_u16({both}))"
                lines.append(f"const int32x4_t s{i}{n} = {self.total(count, n)};")
        return lines

    def total(self, count: str, n: int) -> str:
        """The sums, from how many bits differ."""
        return f"vsubq_s32(b{n}, vshlq_n_s32({count}, 1))"


class BitTile(XnorTile):
    """Results are bits: whether a sum reaches a threshold. Numbers are what a count is multiplied with and added to."""

    FAMILY = "bit"

    @classmethod
    def kind(cls, layer: ByteLayer) -> dict[str, Any]:
        return {**super().kind(layer), "clamp": "", "shift": 0}

    @classmethod
    def numbers(cls, layer: ByteLayer, first: int, count: int) -> NDArray[np.int32]:
        table = np.stack([layer.bias, layer.multiplier])[:, first : first + count]
        return np.pad(table, ((0, 0), (0, count - table.shape[1]))).astype(np.int32)

    def held(self) -> list[str]:
        return [line for line in super().held() if "zero" not in line]

    def total(self, count: str, n: int) -> str:
        return f"vmlaq_s32(b{n}, {count}, vld1q_s32(numbers + {LANES * (self.vectors + n)}))"

    def finish(self) -> list[str]:
        lines = self.summed()
        together = max(1, LANES // self.vectors)
        for first in range(0, self.places, together):
            places = range(self.places)[first : first + together]
            halves = [f"vmovn_u32(vcgezq_s32(s{i}{n}))" for i in places for n in range(self.vectors)]
            halves += [halves[-1]] * (-len(halves) % 4)
            low, high = (f"vmovn_u16(vcombine_u16({halves[k]}, {halves[k + 1]}))" for k in (0, 2))
            ones = f"vandq_u8(vcombine_u8({low}, {high}), vdupq_n_u8(1))"
            lines += ["{", f"  const int8x16_t v = vreinterpretq_s8_u8({ones});"]
            share = LANES * self.vectors
            for k, i in enumerate(places):
                lines += ["  " + line for line in stored(f"y + {i} * y_step" if i else "y", self.count, share * k)]
            lines.append("}")
        return lines


def tile_of(layer: BitLayer) -> type[XnorTile]:
    return BitTile if layer.threshold else XnorTile
