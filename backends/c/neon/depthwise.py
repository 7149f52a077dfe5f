"""Depthwise convolutions: products of bytes, a few of them added in 16 bits, then in 32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.depthwise import ByteWindow
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.narrow import fits


@dataclass(frozen=True)
class NeonWindow(ByteWindow):
    """`depth`: how many products are added in 16 bits."""

    depth: int = 1

    @classmethod
    def of(cls, layer: ByteLayer, advance: int, together: int) -> NeonWindow:
        depth, shift = cls.depth_of(layer.weights), layer.common_shift
        return cls(3, advance, layer.window[1][0], together, layer.clamp, shift, layer.even, depth)

    def special(self) -> str:
        return f"x{self.depth}" + super().special()

    def registers(self, column: int) -> list[str]:
        return [f"c{column}{row}" for row in range(3)]

    def column(self, column: int) -> list[str]:
        """Three rows of 16 channels."""
        rows = ("x", "x + row_step", "x + 2 * row_step")
        loads = [f"{name} = vld1q_s8({row});" for name, row in zip(self.registers(column), rows, strict=True)]
        return [*loads, "x += column_step;"]

    def multiplied(self, order: list[int]) -> list[str]:
        taps = [(f"w{k}{row}", f"c{column}{row}") for k, column in enumerate(order) for row in range(3)]
        lines = []
        for first in range(0, len(taps), self.depth):
            for half in ("low", "high"):
                lines.append("{")
                for n, (w, c) in enumerate(taps[first : first + self.depth]):
                    operands = f"vget_low_s8({w}), vget_low_s8({c})" if half == "low" else f"{w}, {c}"
                    high = "_high" * (half == "high")
                    lines.append(
                        f"  v = vmlal{high}_s8(v, {operands});" if n else f"  int16x8_t v = vmull{high}_s8({operands});"
                    )
                s = 0 if half == "low" else 2
                lines.append(f"  s{s} = vaddw_s16(s{s}, vget_low_s16(v)); s{s + 1} = vaddw_high_s16(s{s + 1}, v);")
                lines.append("}")
        return lines

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.int8]:
        """[3 columns, 3 rows, 16 channels]."""
        return np.ascontiguousarray(w.transpose(2, 1, 0))

    @classmethod
    def depth_of(cls, w: NDArray[np.int8]) -> int:
        """How many products of a layer [O, 3, 3, 1] can be added in 16 bits, column by column."""
        taps = w[..., 0].transpose(2, 1, 0).reshape(9, -1)
        if fits(taps.reshape(3, 3, -1), 1):
            return 3
        return 2 if fits(taps[:8].reshape(4, 2, -1), 1) else 1
