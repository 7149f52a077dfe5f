"""The tiles of fp32/ on halves: converted as they are loaded (FCVTL), and back before they are stored (FCVTN)."""

from __future__ import annotations

from edgec.backends.c.fp32.tile import FloatTile, TapTile
from edgec.backends.c.vector.tile import LANES


class Halves:
    """Loads and stores of tiles."""

    ELEMENT = "uint16_t"
    WEIGHT = "uint16_t"

    @staticmethod
    def load(pointer: str) -> str:
        return f"@load_f16({pointer})"

    @staticmethod
    def loaded(count: int) -> list[str]:
        """Two vectors of weights at once."""
        lines = []
        for k in range(0, count - 1, 2):
            lines.append(f"const float16x8_t h{k} = vreinterpretq_f16_u16(vld1q_u16(w + {LANES * k}));")
            both = f"w{k} = vcvt_f32_f16(vget_low_f16(h{k})), w{k + 1} = vcvt_high_f32_f16(h{k})"
            lines.append(f"const float32x4_t {both};")
        if count % 2:
            lines.append(f"const float32x4_t w{count - 1} = @load_f16(w + {LANES * (count - 1)});")
        return lines

    @staticmethod
    def stored(to: str, value: str, count: int) -> list[str]:
        if count == LANES:
            return [f"@store_f16({to}, {value});"]
        lanes = " ".join(f"vst1_lane_u16({to} + {k}, h, {k});" for k in range(count))
        return ["{", f"  const uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32({value}));", f"  {lanes}", "}"]


class HalfTile(Halves, FloatTile):
    """Four halves of a place at a time."""

    FAMILY = "half"

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return min(pieces, 1)  # of more, Clang converts ahead, and lacks registers for it


class HalfTapTile(Halves, TapTile):
    """Depthwise convolutions."""

    FAMILY = "half_taps"
