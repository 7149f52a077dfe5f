"""Winograd's F(4 x 4, 3 x 3) in exact integers, for convolutions of bytes.

Weights are transformed times 24 in each direction, beforehand or in every inference, which keeps them within 16 bits,
as the transformed activations are. All sums are taken modulo 2^32, so that they are 576 = 9 * 64 times the true ones
modulo 2^32; times the inverse of 9 they are 64 times the true ones, exactly, as long as these stay below 2^25. The
factor 64 goes into the shift of the rescaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.finish import finished
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.order import Prices
from edgec.backends.c.vector.winograd import BLOCK, Arithmetic, Winograd, blocks_of, transformed, vectors

SCALE_BITS = 6
"""The sums are 2^6 times too large when they are rescaled."""
INVERSE_OF_9 = 954437177
"""Modulo 2^32."""


WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]], np.int64)
"""Transforms a row of three weights, times 24; the last row times 6, which the results make up for."""


@dataclass(frozen=True)
class ByteWinograd(Winograd):
    """`shift` as in `tile.ByteTile`, `SCALE_BITS` in it."""

    FAMILY = "winograd"
    TYPES = ("int8_t", "int16_t", "int32_t")
    NUMBER = "int32_t"
    GROUP = 8
    BYTES = (1, 2, 4)
    MOST_STORED = 1 << 19
    MOST_SCRATCH = 1 << 16
    PRICES = Prices(group=340, products=141, patch=4 * 260, weights=2600)
    WEIGHTS = WEIGHTS
    INNER = Arithmetic("int16x8_t", "s16")
    OUTER = Arithmetic("int32x4_t", "s32")
    FACTS = ("plane", ", the zero point and the clamp", "  int16_t zero;\n  int8_t lo, hi;\n")

    shift: int
    even: bool

    @classmethod
    def of(cls, layer: ByteLayer) -> ByteWinograd:
        common = layer.common_shift
        return cls(layer.clamp, common + SCALE_BITS if common and common + SCALE_BITS <= 16 else 0, layer.even)

    @classmethod
    def can(cls, layer: Layer) -> bool:
        if not super().can(layer) or not isinstance(layer, ByteLayer):
            return False
        if layer.offset is not None or layer.weights.dtype != np.int8:
            return False
        weights = np.abs(layer.weights.astype(np.int64)).reshape(len(layer.weights), -1)
        most = 128 * weights.sum(axis=1) + np.abs(layer.bias)
        return bool(most.max(initial=0) < 1 << (31 - SCALE_BITS))

    @classmethod
    def facts(cls, layer: ByteLayer) -> list[str]:
        return [str(layer.zero), str(layer.lo), str(layer.hi)]

    @classmethod
    def stored(cls, layer: ByteLayer) -> NDArray[np.int16]:
        w = transformed(cls.WEIGHTS, layer.weights.astype(np.int64))
        assert np.abs(w).max(initial=0) < 1 << 15
        return blocks_of(w.astype(np.int16), cls.GROUP)

    @classmethod
    def packed(cls, layer: ByteLayer) -> NDArray[np.int8]:
        return vectors(layer.weights, cls.GROUP)

    def numbers(self, layer: ByteLayer) -> NDArray[np.int32]:
        """Bias times 64, multiplier, minus shift."""
        common = layer.common_shift
        shifts = np.full_like(layer.shift, common) if common else layer.shift
        table = np.stack([layer.bias << SCALE_BITS, layer.shared, -(shifts + SCALE_BITS)])
        return table.reshape(3, -1, BLOCK).transpose(1, 0, 2).astype(np.int32)

    def load(self, pointer: str) -> str:
        return f"vmovl_s8(vld1_s8({pointer}))"

    def group(self, first: bool) -> list[str]:
        lines = ["{", f"  const int16x8_t {', '.join(f'a{i} = vld1q_s16(a + {8 * i})' for i in range(4))};"]
        for lane in range(8):
            lines += ["  {", "    const int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);", "    w += 16;"]
            for i in range(4):
                for n in range(4):
                    w = f"w{n // 2}"
                    high, operand = ("_high", w) if n % 2 else ("", f"vget_low_s16({w})")
                    if first and lane == 0:
                        lines.append(f"    s{i}{n} = vmull{high}_laneq_s16({operand}, a{i}, 0);")
                    else:
                        lines.append(f"    s{i}{n} = vmlal{high}_laneq_s16(s{i}{n}, {operand}, a{i}, {lane});")
            lines.append("  }")
        return [*lines, "}"]

    def weights_held(self) -> list[str]:
        constants = ", ".join(f"{n} = vdupq_n_s16({k})" for n, k in (("four", 4), ("six", 6), ("minus", -4)))
        return [f"const int16x8_t {constants};"]

    def weights(self, g: Sequence[str], out: Sequence[str]) -> list[str]:
        """Three weights of a row or column transformed: `WEIGHTS` g."""
        o = self.INNER
        return [
            f"{o.vector} {', '.join(out)};",
            "{",
            f"  const {o.vector} a = {o('add', g[0], g[2])}, b = {o('mla', g[0], g[2], 'four')};",
            f"  const {o.vector} c = {o('add', g[1], g[1])};",
            f"  {out[0]} = {o('mul', g[0], 'six')};",
            f"  {out[1]} = {o('mul', o('add', 'a', g[1]), 'minus')};",
            f"  {out[2]} = {o('mul', o('sub', 'a', g[1]), 'minus')};",
            f"  {out[3]} = {o('add', 'b', 'c')};",
            f"  {out[4]} = {o('sub', 'b', 'c')};",
            f"  {out[5]} = {o('mul', g[2], 'six')};",
            "}",
        ]

    def results(self, m: Sequence[str], out: Sequence[str]) -> list[str]:
        """Four results from six sums of a row or column: A^T m, the last sum times 4."""
        o = self.OUTER
        return [
            f"{o.vector} {', '.join(out)};",
            "{",
            f"  const {o.vector} a = {o('add', m[1], m[2])}, b = {o('sub', m[1], m[2])};",
            f"  const {o.vector} c = {o('add', m[3], m[4])}, d = {o('sub', m[3], m[4])}, e = {o('add', 'd', 'd')};",
            f"  {out[0]} = {o('add', o('add', m[0], 'a'), 'c')};",
            f"  {out[1]} = {o('add', 'b', 'e')};",
            f"  {out[2]} = {o('mla', 'a', 'c', 'four')};",
            f"  {out[3]} = {o('mla', 'b', o('add', 'e', m[5]), 'four')};",
            "}",
        ]

    def special(self) -> str:
        return "_even" * self.even + f"_s{self.shift}" * (self.shift > 0)

    def held(self) -> list[str]:
        clamp = ["const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []
        inverse = f"const int32x4_t inverse = vdupq_n_s32({INVERSE_OF_9});"
        four = "const int32x4_t four = vdupq_n_s32(4);"
        return [four, inverse, "const int16x8_t zero = vdupq_n_s16(t->zero);", *clamp]

    def numbers_held(self) -> list[str]:
        shift = [] if self.shift else ["const int32x4_t shift = vld1q_s32(numbers + 32 + n);"]
        return ["const int32x4_t bias = vld1q_s32(numbers + n), multiplier = vld1q_s32(numbers + 16 + n);", *shift]

    def finish(self, sums: Sequence[str], stores: Sequence[str]) -> list[str]:
        exact = [f"vmlaq_s32(bias, {name}, inverse)" for name in sums]
        places = [(to, 4) for to in stores]
        return finished(exact, ["multiplier"] * 4, ["shift"] * 4, self.shift, bool(self.clamp), places, self.even)
