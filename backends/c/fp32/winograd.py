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
from edgec.backends.c.vector.order import Prices
from edgec.backends.c.vector.winograd import BLOCK, TOGETHER, Arithmetic, Winograd, blocks_of, transformed, vectors

MOST_CHANNELS = 128
"""Of x. The error grows with the square root of their number: 6e-6 of a tensor's largest number for 80 channels of
normal numbers, 1.3e-5 for 448, where the other loops have 1e-6 and 2.5e-6."""
WEIGHTS = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 1]], np.float64)
"""Transforms a row of three weights without the factors 1/4, -1/6, -1/6, 1/24, 1/24 and 1 of the rows: -1/6 is a factor
of the weights, the others relative to it one of the results, where it costs nothing."""
SIXTHS = 36
FLOATS = Arithmetic("float32x4_t", "f32", fused=True)


@dataclass(frozen=True)
class FloatWinograd(Winograd):
    """Weights that are stored transformed are so in binary64 and rounded once. Those that are transformed in every
    inference are divided by 36 beforehand, which is rounded once, too."""

    FAMILY = "float_winograd"
    TYPES = ("float", "float", "float")
    NUMBER = "float"
    GROUP = 4
    BYTES = (4, 4, 4)
    MOST_STORED = 1 << 20
    MOST_SCRATCH = 1 << 17
    PRICES = Prices(group=230, products=77, patch=4 * 200, weights=1800)
    WEIGHTS = WEIGHTS
    INNER = OUTER = FLOATS
    FACTS = ("float_plane", *finish.FACTS)
    STORE: ClassVar[str] = "vst1q_f32"
    """The function that stores a vector of results."""

    @classmethod
    def of(cls, layer: FloatLayer) -> FloatWinograd:
        return cls(layer.clamp)

    @classmethod
    def can(cls, layer: Layer) -> bool:
        return layer.weights.shape[3] <= MOST_CHANNELS and super().can(layer)

    @classmethod
    def facts(cls, layer: FloatLayer) -> list[str]:
        return layer.facts()

    @classmethod
    def stored(cls, layer: FloatLayer) -> NDArray[np.float32]:
        return blocks_of(
            (transformed(cls.WEIGHTS, layer.weights.astype(np.float64)) / SIXTHS).astype(np.float32), cls.GROUP
        )

    @classmethod
    def packed(cls, layer: FloatLayer) -> NDArray[np.float32]:
        return vectors((layer.weights.astype(np.float64) / SIXTHS).astype(np.float32), cls.GROUP)

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
        return ["const float32x4_t scale = {1.5F, 0.25F, 0.5F, 6.0F};", *finish.held(self.clamp)]

    def weights_held(self) -> list[str]:
        return ["const float32x4_t four = vdupq_n_f32(4.0F);"]

    def weights(self, g: Sequence[str], out: Sequence[str]) -> list[str]:
        """Three weights of a row or column transformed: `WEIGHTS` g."""
        return [
            f"float32x4_t {', '.join(out)};",
            "{",
            f"  const float32x4_t a = vaddq_f32({g[0]}, {g[2]}), b = vfmaq_f32({g[0]}, {g[2]}, four);",
            f"  const float32x4_t c = vaddq_f32({g[1]}, {g[1]});",
            f"  {out[0]} = {g[0]};",
            f"  {out[1]} = vaddq_f32(a, {g[1]});",
            f"  {out[2]} = vsubq_f32(a, {g[1]});",
            f"  {out[3]} = vaddq_f32(b, c);",
            f"  {out[4]} = vsubq_f32(b, c);",
            f"  {out[5]} = {g[2]};",
            "}",
        ]

    def results(self, m: Sequence[str], out: Sequence[str]) -> list[str]:
        """Four results from six sums of a row or column: A^T m, with factors that make up for those of the weights."""

        def less(total: str, value: str, lane: int) -> str:
            return f"vfmsq_laneq_f32({total}, {value}, scale, {lane})"

        return [
            f"float32x4_t {', '.join(out)};",
            "{",
            f"  const float32x4_t a = vaddq_f32({m[1]}, {m[2]}), b = vsubq_f32({m[1]}, {m[2]});",
            f"  const float32x4_t c = vaddq_f32({m[3]}, {m[4]}), d = vsubq_f32({m[3]}, {m[4]});",
            f"  {out[2]} = vsubq_f32(a, c);",
            f"  {out[0]} = {less(less('a', m[0], 0), 'c', 1)};",
            f"  {out[1]} = {less('b', 'd', 2)};",
            f"  {out[3]} = {less(less(out[1], 'd', 0), m[5], 3)};",
            "}",
        ]

    def numbers_held(self) -> list[str]:
        return ["const float32x4_t bias = vld1q_f32(numbers + n);"]

    def finish(self, sums: Sequence[str], stores: Sequence[str]) -> list[str]:
        values = (finish.clamped(f"vaddq_f32({s}, bias)", self.clamp) for s in sums)
        return [f"{self.STORE}({to}, {value});" for to, value in zip(stores, values, strict=True)]
