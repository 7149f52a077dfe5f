"""Convolutions and dense layers of 16-bit integers with SMLAL by a lane, depthwise ones with SMLAL.

The tiles are those of `neon.lane`, which widens bytes to 16 bits for the same instruction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.neon.lane import LaneTile
from edgec.backends.c.vector.tile import LANES


class WordTile(LaneTile):
    """Eight numbers of a place at a time; the rest of a run is counted in numbers."""

    FAMILY = "word"
    ELEMENT = "int16_t"
    FACTS = ("word_tile", ", the zero point and the clamp", "  int32_t zero;\n  int16_t lo, hi;\n")

    def load(self, pointer: str) -> str:
        return f"vld1q_s16({pointer})"

    def held(self) -> list[str]:
        clamp = ["  const int16x4_t low = vdup_n_s16(t->lo), high = vdup_n_s16(t->hi);"] if self.clamp else []
        return ["  const int32x4_t zero = vdupq_n_s32(t->zero);", *clamp]

    def scaled(self, n: int) -> tuple[list[str], str]:
        """Statements that load what is known of vector n, and the expression of its rescaled sums with the zero point,
        whose place is written @."""
        m, r = (f"vld1q_s32(numbers + {LANES * (k * self.vectors + n)})" for k in (1, 2))
        return [f"const int32x4_t m = {m}, r = {r};"], f"vaddq_s32(vrshlq_s32(vqdmulhq_s32(s@{n}, m), r), zero)"

    def finish(self) -> list[str]:
        """Rescales sums, adds the zero point, saturates, clamps and stores."""
        lines = []
        for n in range(self.vectors):
            count = min(LANES, self.count - LANES * n)
            held, scaled = self.scaled(n)
            lines += ["{", *("  " + line for line in held)]
            for i in range(self.places):
                value = f"vqmovn_s32({scaled.replace('s@', f's{i}')})"
                value = f"vmin_s16(vmax_s16({value}, low), high)" if self.clamp else value
                to = " + ".join(filter(None, ["y", f"{i} * y_step" * (i > 0), f"{LANES * n}" * (n > 0)]))
                if count == LANES:
                    lines.append(f"  vst1_s16({to}, {value});")
                else:
                    lanes = " ".join(f"vst1_lane_s16({to} + {k}, v, {k});" for k in range(count))
                    lines.append(f"  {{ const int16x4_t v = {value}; {lanes} }}")
            lines.append("}")
        return lines


class WordTapTile(WordTile):
    """Depthwise convolutions: every tap is a vector of eight channels of x times one of weights, or of four."""

    FAMILY = "word_taps"

    @classmethod
    def block(cls, places: int) -> int:
        return 2

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return 8

    @classmethod
    def packed(cls, w: NDArray) -> NDArray[np.int16]:
        """[rows, columns, channels]."""
        return w.transpose(1, 2, 3, 0)

    def piece(self, offset: int) -> list[str]:
        p = range(self.places)
        if self.vectors == 1:
            lines = ["const int16x4_t k = vld1_s16(w);"]
            lines += [f"s{i}0 = vmlal_s16(s{i}0, vld1_s16(x{i}), k);" for i in p]
        else:
            lines = ["const int16x8_t k = vld1q_s16(w);"]
            for i in p:
                lines += ["{", f"  const int16x8_t a = vld1q_s16(x{i});"]
                lines.append(f"  s{i}0 = vmlal_s16(s{i}0, vget_low_s16(a), vget_low_s16(k));")
                lines += [f"  s{i}1 = vmlal_high_s16(s{i}1, a, k);", "}"]
        return [*lines, f"w += {LANES * self.vectors};"]
