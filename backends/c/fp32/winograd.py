"""Winograd's F(4 x 4, 3 x 3) in binary32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32 import finish
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.tile import weights
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.winograd import BLOCK, TOGETHER, Arithmetic, Winograd, transformed
from edgec.backends.c.view import View

MOST_CHANNELS = 128
"""Of x. The error grows with the square root of their number: 6e-6 of a tensor's largest number for 80 channels of
normal numbers, 1.3e-5 for 448, where the other loops have 1e-6 and 2.5e-6."""
FLOATS = Arithmetic("float32x4_t", "f32", fused=True)


@dataclass(frozen=True)
class FloatWinograd(Winograd):
    """Weights are transformed in binary64 and rounded once."""

    FAMILY = "float_winograd"
    TYPES = ("float", "float", "float")
    NUMBER = "float"
    GROUP = 4
    BYTES = (4, 4, 4)
    MOST_BYTES = 1 << 20
    INNER = OUTER = FLOATS
    FACTS = ("float_plane", *finish.FACTS)
    STORE: ClassVar[str] = "vst1q_f32"
    """The function that stores a vector of results."""

    @classmethod
    def of(cls, layer: FloatLayer) -> FloatWinograd:
        return cls(layer.clamp)

    @classmethod
    def can(cls, layer: Layer, y: View) -> bool:
        return layer.weights.shape[3] <= MOST_CHANNELS and super().can(layer, y)

    @classmethod
    def facts(cls, layer: FloatLayer) -> list[str]:
        return layer.facts()

    @classmethod
    def packed(cls, layer: FloatLayer) -> NDArray[np.float32]:
        return (transformed(layer.weights.astype(np.float64)) / 24**2).astype(np.float32)

    def numbers(self, layer: FloatLayer) -> NDArray[np.float32]:
        """The bias."""
        return layer.bias.reshape(-1, 1, BLOCK)

    def load(self, pointer: str) -> str:
        return f"vld1q_f32({pointer})"

    def group(self, first: bool) -> list[str]:
        loads = ", ".join(f"a{i} = vld1q_f32(a + {self.GROUP * i})" for i in range(TOGETHER))
        lines = ["{", f"  const float32x4_t {loads};"]
        for lane in range(self.GROUP):
            lines += ["  {", *("    " + line for line in weights(4)), f"    w += {BLOCK};"]
            for i in range(TOGETHER):
                for n in range(4):
                    s, operands = f"s{i}{n}", f"w{n}, a{i}, {lane}"
                    start = first and lane == 0
                    value = f"vmulq_laneq_f32({operands})" if start else f"vfmaq_laneq_f32({s}, {operands})"
                    lines.append(f"    {s} = {value};")
            lines.append("  }")
        return [*lines, "}"]

    def held(self) -> list[str]:
        return finish.held(self.clamp)

    def numbers_held(self) -> list[str]:
        return ["const float32x4_t bias = vld1q_f32(numbers + n);"]

    def finish(self, sums: Sequence[str], stores: Sequence[str]) -> list[str]:
        values = (finish.clamped(f"vaddq_f32({s}, bias)", self.clamp) for s in sums)
        return [f"{self.STORE}({to}, {value});" for to, value in zip(stores, values, strict=True)]


def cost(layer: FloatLayer, y: View) -> float:
    """Instructions, roughly."""
    return FloatWinograd.cost(layer, y, group=230, products=77, patch=4 * 200)
