"""Layers of binary32 whose weights are stored as bytes, and expanded to floats in every inference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.tile import FloatTile
from edgec.backends.c.multiples import Multiples
from edgec.backends.c.scalar import number
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.tile import LANES
from edgec.backends.c.view import View

TOGETHER = 8
"""Weights that are expanded together."""
FUNCTION = """\
/* Weights: codes times a unit; count is a multiple of 8. */
NOINLINE_ static void @float_expand(const int8_t *codes, float *to, int32_t count, float unit) {
  for (int32_t i = 0; i < count; i += 8) {
    const int16x8_t q = vmovl_s8(vld1_s8(codes + i));
    vst1q_f32(to + i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), unit));
    vst1q_f32(to + i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(q))), unit));
  }
}
"""


def room(layer: FloatLayer) -> int:
    """Bytes of expanded weights."""
    outputs = -(-len(layer.weights) // LANES) * LANES
    return 4 * _rounded(outputs * math.prod(layer.weights.shape[1:]))


def _rounded(count: int) -> int:
    return -(-count // TOGETHER) * TOGETHER


def expanded(
    layer: FloatLayer, multiples: Multiples, x: View, y: View, constants: Constants, base: str, work: int
) -> list[str]:
    """Statements for x at `base` and y at `y`, with expanded weights in `scratch` from byte `work` on."""
    arrays: list[NDArray[np.int8]] = []

    def place(values: NDArray) -> str:
        at = sum(a.size for a in arrays)
        arrays.append(np.rint(values / multiples.unit).astype(np.int8))
        return f"w + {at}" if at else "w"

    lines = dense(layer, x, y, constants, base, FloatTile, stored=place)
    codes = np.concatenate(arrays)
    count = _rounded(codes.size)
    assert 4 * count == room(layer)
    add(constants, "float_expand", FUNCTION)
    name = constants.array(np.pad(codes, (0, count - codes.size)), as_is=True)
    return [
        f"float *w = scratch + {work // 4};",
        f"@float_expand({name}, w, {count}, {number(float(multiples.unit), 'float')});",
        *lines,
    ]
