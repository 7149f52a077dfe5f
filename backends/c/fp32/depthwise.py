"""Depthwise convolutions whose window and weights stay in registers, four channels at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32 import finish
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.vector.depthwise import Window
from edgec.backends.c.view import View

REGISTERS = 29
"""Vectors that there are, without the bias and the clamp."""


@dataclass(frozen=True)
class FloatWindow(Window):
    """Windows with `rows` rows."""

    BLOCK = 4
    FAMILY = "float_depthwise"
    ELEMENT = "float"
    NUMBER = "float"
    VECTOR = ("float32x4_t", "vld1q_f32", "vdupq_n_f32")
    FACTS = ("float_window", *finish.FACTS)
    STORE: ClassVar[str] = "vst1q_f32"
    """The function that stores a vector of results."""

    rows: int

    @classmethod
    def can(cls, layer: FloatLayer, y: View) -> bool:
        """Whether a layer has a vector of channels, and columns that follow each other."""
        (kh, kw), (_, advance), dilations, _ = layer.window
        fits = 2 * kh * kw + 1 <= REGISTERS and advance <= kw
        return fits and len(layer.weights) >= cls.BLOCK and dilations == (1, 1)

    @classmethod
    def of(cls, layer: FloatLayer, advance: int, together: int) -> FloatWindow:
        (kh, kw), (down, _), _, _ = layer.window
        return cls(kw, advance, down, together, layer.clamp, kh)

    @classmethod
    def most_rows(cls, layer: FloatLayer) -> int:
        """As many as registers hold sums, rows of x and weights of; rows that no window has are not loaded."""
        (kh, kw), (down, _), _, _ = layer.window
        fits = (n for n in (3, 2) if down <= kh and (kh + kh + down * (n - 1)) * kw + n <= REGISTERS)
        return next(fits, 1)

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
        return [f"c{column}{row}" for row in range(self.rows + self.down * (self.together - 1))]

    def weights(self, column: int) -> list[str]:
        return [f"w{column}{row}" for row in range(self.rows)]

    def column(self, column: int) -> list[str]:
        lines = []
        for row, name in enumerate(self.registers(column)):
            lines.append(f"{name} = {self.VECTOR[1]}({f'x + {row} * row_step' if row else 'x'});")
        return [*lines, "x += column_step;"]

    def held(self) -> list[str]:
        return ["  const float32x4_t bias = vld1q_f32(numbers);", *("  " + line for line in finish.held(self.clamp))]

    def place(self, order: list[int]) -> list[str]:
        n = range(self.together)
        lines = [f"float32x4_t {', '.join(f's{i} = bias' for i in n)};"]
        for k, column in enumerate(order):
            for row in range(self.rows):
                for i in n:
                    lines.append(f"s{i} = vfmaq_f32(s{i}, w{k}{row}, c{column}{row + self.down * i});")
        for i in n:
            to = f"y + {i} * y_row" if i else "y"
            lines.append(f"{self.STORE}({to}, {finish.clamped(f's{i}', self.clamp)});")
        return lines
