"""Convolutions and dense layers of 16-bit integers whose sums may pass 32 bits.

Some products are added in 32 bits, as many as the weights of a block allow for any activations, and these sums in 64.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int16.tile import WordTile
from edgec.backends.c.vector.tile import LANES

MOST_PLACES = {4: 2, 3: 2, 2: 4, 1: 8}
"""Places that are computed together, by vectors of four channels a place: as many as registers hold sums of."""


class WideTile(WordTile):
    """Numbers are bias, multiplier and minus the shift behind the product's low 16 bits, by channel."""

    FAMILY = "wide"
    NUMBER = "int64_t"
    TOGETHER: ClassVar[int] = 1
    """Products that are added in 32 bits."""

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return MOST_PLACES[vectors]

    @classmethod
    def refined(cls, w: NDArray) -> type[WideTile]:
        size = np.abs(w.astype(np.int64))
        size = np.pad(size, ((0, 0), (0, 0), (0, 0), (0, -size.shape[3] % 8)))
        fits = (n for n in (8, 4, 2) if (size.reshape(-1, n).sum(axis=1) << 15).max(initial=0) < 1 << 31)
        return OF[next(fits, 1)]

    @classmethod
    def numbers(cls, layer: ByteLayer, first: int, count: int) -> NDArray:
        table = np.stack([layer.bias, layer.multiplier, -15 - layer.shift])[:, first : first + count]
        return np.pad(table, ((0, 0), (0, count - table.shape[1]))).astype(np.int64)

    def special(self) -> list[str]:
        return [f"g{self.TOGETHER}"]

    def begun(self) -> list[str]:
        lines = []
        for i in range(self.places):
            starts = (f"s{i}{n}{h} = vld1q_s64(numbers + {4 * n + 2 * h})" for n in range(self.vectors) for h in (0, 1))
            lines.append(f"int64x2_t {', '.join(starts)};")
        return lines

    def _bytes(self, lanes: int, offset: int) -> list[str]:
        p, v = range(self.places), range(self.vectors)
        at = f" + {offset}" if offset else ""
        lines = ["const int16x8_t " + ", ".join(f"a{i} = {self.load(f'x{i}{at}')}" for i in p) + ";"]
        for start in range(0, lanes, self.TOGETHER):
            lines.append("{")
            lines.append(f"  int32x4_t {', '.join(f't{i}{n}' for i in p for n in v)};")
            for lane in range(start, min(start + self.TOGETHER, lanes)):
                lines.append("  {")
                for n in range(0, self.vectors, 2):
                    q = "q" * (n + 1 < self.vectors)
                    lines.append(f"    const int16x{8 if q else 4}_t w{n} = vld1{q}_s16(w + {LANES * n});")
                for i in p:
                    for n in v:
                        value = _product(f"t{i}{n}", n, (n | 1) < self.vectors, f"a{i}", lane, lane == start)
                        lines.append(f"    t{i}{n} = {value};")
                lines += [f"    w += {LANES * self.vectors};", "  }"]
            for t in (f"{i}{n}" for i in p for n in v):
                lines.append(f"  s{t}0 = vaddw_s32(s{t}0, vget_low_s32(t{t}));")
                lines.append(f"  s{t}1 = vaddw_high_s32(s{t}1, t{t});")
            lines.append("}")
        return lines

    def scaled(self, n: int) -> tuple[list[str], str]:
        lines = []
        for h in (0, 1):
            m, r = (f"vld1q_s64(numbers + {LANES * (k * self.vectors + n) + 2 * h})" for k in (1, 2))
            lines.append(f"const int32x2_t m{h} = vmovn_s64({m});")
            lines.append(f"const int64x2_t r{h} = {r};")
        halves = (f"@rescaled(s@{n}{h}, m{h}, r{h})" for h in (0, 1))
        return lines, f"vqaddq_s32(vcombine_s32({', '.join(halves)}), zero)"


def _product(total: str, n: int, whole: bool, a: str, lane: int, first: bool) -> str:
    """The product of a lane of `a` and vector `n` of weights, in a `whole` register or half of one, added to `total`
    unless it is the first."""
    operands = f"w{n - 1}, {a}, {lane}" if n % 2 else f"{f'vget_low_s16(w{n})' if whole else f'w{n}'}, {a}, {lane}"
    high = "high_" * (n % 2)
    return f"vmull_{high}laneq_s16({operands})" if first else f"vmlal_{high}laneq_s16({total}, {operands})"


class WideTile2(WideTile):
    """Two products in 32 bits."""

    TOGETHER = 2


class WideTile4(WideTile):
    """Four products in 32 bits."""

    TOGETHER = 4


class WideTile8(WideTile):
    """Eight products in 32 bits."""

    TOGETHER = 8


OF: dict[int, type[WideTile]] = {1: WideTile, 2: WideTile2, 4: WideTile4, 8: WideTile8}
"""The tile by the products that it adds in 32 bits."""
