"""3 x 3 depthwise convolutions of 8-bit integers: 16 channels at a time, or two neighbouring places of eight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.finish import finished
from edgec.backends.c.int8.match import EXACT, ByteLayer, table_of
from edgec.backends.c.vector.depthwise import Window
from edgec.backends.c.view import View


@dataclass(frozen=True)
class ByteWindow(Window):
    """`shift` as in `tile.ByteTile`."""

    BLOCK = 16
    FAMILY = "depthwise"
    ELEMENT = "int8_t"
    NUMBER = "int32_t"
    VECTOR = ("int8x16_t", "vld1q_s8", "vdupq_n_s8")
    FACTS = ("window", ", the zero point and the clamp", "  int16_t zero;\n  int8_t lo, hi;\n")

    shift: int
    even: bool

    @classmethod
    def can(cls, layer: ByteLayer, y: View) -> bool:
        """Whether a layer has such a window, and 16 channels or two neighbouring places of 8 fill its lanes."""
        kernel, strides, dilations, _ = layer.window
        if kernel != (3, 3) or dilations != (1, 1):
            return False
        if len(layer.weights) >= cls.BLOCK:
            return strides[1] in (1, 2)
        return len(layer.weights) == 8 and strides[1] == 1 and y.shape[3] > 1

    @classmethod
    def of(cls, layer: ByteLayer, advance: int, together: int) -> ByteWindow:
        return cls(3, advance, layer.window[1][0], together, layer.clamp, layer.common_shift, layer.even)

    @classmethod
    def facts(cls, layer: ByteLayer) -> list[str]:
        return [str(layer.zero), str(layer.lo), str(layer.hi)]

    @classmethod
    def numbers(cls, layer: ByteLayer, channels: NDArray) -> NDArray[np.int32]:
        """Bias, multiplier, minus shift, offset."""
        return table_of(layer, channels, len(channels))

    def special(self) -> str:
        exact = "_offset" if self.shift == EXACT else f"_s{self.shift}" * (self.shift > 0)
        return "_even" * self.even + exact

    def held(self) -> list[str]:
        clamp = ["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []
        return ["  const int16x8_t zero = vdupq_n_s16(t->zero);", *clamp]

    def multiplied(self, order: list[int]) -> list[str]:
        """Statements that add the products of the columns, which lie in registers in this order, to s0 .. s3."""
        raise NotImplementedError

    def place(self, order: list[int]) -> list[str]:
        sums = [f"int32x4_t s{n} = vld1q_s32(numbers + {4 * n});" for n in range(4)]
        m, r = ([f"vld1q_s32(numbers + {base + 4 * n})" for n in range(4)] for base in (16, 32))
        at = [f"numbers + {48 + 8 * n}" for n in range(4)]
        stores = [("y", 16)]
        done = finished([f"s{n}" for n in range(4)], m, r, self.shift, bool(self.clamp), stores, self.even, at)
        return [*sums, *self.multiplied(order), *done]
