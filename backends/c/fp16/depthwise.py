"""Depthwise convolutions of halves whose window and weights stay in registers, in binary32."""

from __future__ import annotations

from edgec.backends.c.fp32.depthwise import FloatWindow


class HalfWindow(FloatWindow):
    """Halves are converted as they are loaded, and back before they are stored."""

    FAMILY = "half_depthwise"
    ELEMENT = "uint16_t"
    VECTOR = ("float32x4_t", "@load_f16", "vdupq_n_f32")
    STORE = "@store_f16"
