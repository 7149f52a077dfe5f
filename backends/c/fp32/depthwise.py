"""Depthwise convolutions whose window and weights stay in registers, four channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32 import finish
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.vector.depthwise import Window

MOST_TAPS = 12
"""Weights, and as many numbers of x, that registers hold."""


@dataclass(frozen=True)
class FloatWindow(Window):
    BLOCK = 4
    FAMILY = "float_depthwise"
    ELEMENT = "float"
    NUMBER = "float"
    VECTOR = ("float32x4_t", "vld1q_f32", "vdupq_n_f32")
    FACTS = ("float_window", *finish.FACTS)

    rows: int

    @classmethod
    def can(cls, layer: FloatLayer) -> bool:
        """Whether a layer has a vector of channels, and columns that follow each other."""
        (kh, kw), (_, advance), dilations, _ = layer.window
        return len(layer.weights) >= cls.BLOCK and dilations == (1, 1) and kh * kw <= MOST_TAPS and advance <= kw

    @classmethod
    def of(cls, layer: FloatLayer, advance: int) -> FloatWindow:
        kh, kw = layer.window[0]
        return cls(kw, advance, layer.clamp, kh)

    @classmethod
    def facts(cls, layer: FloatLayer) -> list[str]:
        return layer.facts()

    @classmethod
    def numbers(cls, layer: FloatLayer, channels: NDArray) -> NDArray[np.float32]:
        """The bias."""
        return layer.bias[channels]

    @classmethod
    def packed(cls, w: NDArray[np.float32]) -> NDArray[np.float32]:
        """[columns, rows, channels]."""
        return w.transpose(2, 1, 0)

    def special(self) -> str:
        return f"_{self.rows}x{self.columns}"

    def registers(self, column: int) -> list[str]:
        return [f"c{column}{row}" for row in range(self.rows)]

    def column(self, column: int) -> list[str]:
        steps = ["x", "x + row_step", *(f"x + {row} * row_step" for row in range(2, self.rows))]
        loads = [f"{name} = vld1q_f32({at});" for name, at in zip(self.registers(column), steps, strict=False)]
        return [*loads, "x += column_step;"]

    def held(self) -> list[str]:
        return ["  const float32x4_t bias = vld1q_f32(numbers);", *("  " + line for line in finish.held(self.clamp))]

    def place(self, order: list[int]) -> list[str]:
        lines, total = [], "bias"
        for k, column in enumerate(order):
            for row in range(self.rows):
                kind = "float32x4_t " if total == "bias" else ""
                lines.append(f"{kind}s = vfmaq_f32({total}, w{k}{row}, c{column}{row});")
                total = "s"
        return [*lines, f"vst1q_f32(y, {finish.clamped('s', self.clamp)});"]
