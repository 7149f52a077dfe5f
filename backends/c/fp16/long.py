"""Convolutions and dense layers with FMLAL by a lane (Armv8.2-A FP16FML): halves times halves, added to binary32.

Products of halves are exact in binary32, so that the sums are those of `tile`, bit for bit, without its conversions.
"""

from __future__ import annotations

from edgec.backends.c.fp16.tile import HalfTile
from edgec.backends.c.vector.tile import LANES

MOST_PLACES = {8: 2, 7: 2, 6: 2, 5: 2, 4: 5, 3: 7, 2: 10, 1: 12}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""


class LongTile(HalfTile):
    """Eight halves of a place at a time, and of weights: those of two vectors of channels."""

    FAMILY = "half_long"
    PIECE = 8

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return divmod(run, 8)

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        return MOST_PLACES[vectors]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return min(pieces, 1)

    def piece(self, offset: int) -> list[str]:
        return self._numbers(8, offset)

    def _numbers(self, lanes: int, offset: int) -> list[str]:
        p = range(self.places)
        at = f" + {offset}" if offset else ""
        wide = lanes > LANES
        lane_of = "laneq" if wide else "lane"
        load = "vreinterpretq_f16_u16(vld1q_u16(@))" if wide else "vreinterpret_f16_u16(vld1_u16(@))"
        loads = ", ".join(f"a{i} = {load.replace('@', f'x{i}{at}')}" for i in p)
        lines = [f"const float16x{8 if wide else 4}_t {loads};"]
        for lane in range(lanes):
            for first in range(0, self.vectors, 4):
                n = min(4, self.vectors - first)
                lines += ["IN_ORDER_;"] if lane or first else []  # weights of the next lane have no registers yet
                lines.append("{")
                for k in range(0, n, 2):
                    both = k + 1 < n
                    at_w = f"w + {LANES * k}"
                    whole = f"vld1q_u16({at_w})" if both else f"vcombine_u16(vld1_u16({at_w}), vdup_n_u16(0))"
                    lines.append(f"  const float16x8_t h{k} = vreinterpretq_f16_u16({whole});")
                for i in p:
                    for k in range(n):
                        s = f"s{i}{first + k}"
                        half = "high" if k % 2 else "low"
                        product = f"vfmlalq_{lane_of}_{half}_f16({s}, h{k - k % 2}, a{i}, {lane})"
                        lines.append(f"  {s} = {product};")
                lines += [f"  w += {LANES * n};", "}"]
        return lines
