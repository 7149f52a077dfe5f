"""Winograd's F(4 x 4, 3 x 3) for halves, in binary32: the transformed weights too, or their rounding would be seen."""

from __future__ import annotations

from edgec.backends.c.fp32.winograd import FloatWinograd


class HalfWinograd(FloatWinograd):
    """Halves are converted before they are transformed, and results are rounded."""

    FAMILY = "half_winograd"
    TYPES = ("uint16_t", "float", "float")
    BYTES = (2, 4, 4)
    MOST_BYTES = 1 << 18  # eight times as many as the weights themselves, which are halves to save memory
    STORE = "@store_f16"

    def load(self, pointer: str) -> str:
        return f"@load_f16({pointer})"
