"""Winograd's F(4 x 4, 3 x 3) for halves, in binary32: the transformed weights too, or their rounding would be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.winograd import SIXTHS, FloatWinograd
from edgec.backends.c.scalar import number
from edgec.backends.c.vector.winograd import vectors


class HalfWinograd(FloatWinograd):
    """Halves are converted before they are transformed, and results are rounded."""

    FAMILY = "half_winograd"
    TYPES = ("uint16_t", "float", "float")
    BYTES = (2, 4, 4)
    MOST_STORED = 1 << 18  # eight times as many as the weights themselves, which are halves to save memory
    STORE = "@store_f16"

    def load(self, pointer: str) -> str:
        return f"@load_f16({pointer})"

    def load_weights(self, pointer: str) -> str:
        return f"vmulq_n_f32(@load_f16({pointer}), {number(float(np.float32(1 / SIXTHS)), 'float')})"

    @classmethod
    def packed(cls, layer: FloatLayer) -> NDArray:
        """The halves as they are: they are divided when they are transformed."""
        return vectors(layer.weights, cls.GROUP)
