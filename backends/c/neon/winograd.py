"""3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): 36 products for 16 results of a channel instead of 144.

After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with the points 0, 1, -1, 2, -2 and
infinity, in integers: weights are transformed times 24 in each direction, which keeps them within 16 bits, as the
transformed activations are. All sums are taken modulo 2^32, so that they are 576 = 9 * 64 times the true ones modulo
2^32; times the inverse of 9 they are 64 times the true ones, exactly, as long as these stay below 2^25. The factor 64
goes into the shift of the rescaling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.int8.finish import add
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.place import BLOCK, corner
from edgec.backends.c.neon import winograd_code as code
from edgec.backends.c.view import View
from edgec.ops import Conv

WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]], np.int64)
"""Transforms a row of three weights, times 24; the last row times 6, which the results make up for."""
SCALE_BITS = 6
"""The sums are 2^6 times too large when they are rescaled."""
SIDE = 4
"""Rows and columns of results of a patch."""
TOGETHER = 4
"""Patches that are multiplied together."""
MOST_BYTES = 1 << 19
"""Transformed weights take 8 bytes for each: larger ones would not stay in a cache of the second level."""


def can(layer: ByteLayer, y: View) -> bool:
    """Whether the method is exact for a layer, and its result large enough for a patch."""
    if not isinstance(layer.op, Conv) or layer.depthwise or len(y.shape) != 4:
        return False
    kernel, strides, dilations, _ = layer.window
    outputs, channels = len(layer.weights), layer.weights.shape[3]
    if (kernel, strides, dilations) != ((3, 3), (1, 1), (1, 1)) or channels % 8 or outputs % BLOCK:
        return False
    if min(y.shape[2:]) < SIDE or 2 * 36 * outputs * channels > MOST_BYTES:
        return False
    most = 128 * np.abs(layer.weights.astype(np.int64)).reshape(outputs, -1).sum(axis=1) + np.abs(layer.bias)
    return bool(most.max(initial=0) < 1 << (31 - SCALE_BITS))


def patches(y: View) -> tuple[int, int]:
    """Patches below each other and beside each other; the last ones may overlap those before."""
    return -(-y.shape[2] // SIDE), -(-y.shape[3] // SIDE)


def cost(layer: ByteLayer, y: View) -> float:
    """Instructions, roughly."""
    down, across = patches(y)
    outputs, channels = len(layer.weights), layer.weights.shape[3]
    products = 36 * (141 * channels / 8 + 28)
    four = TOGETHER * 340 * channels / 8 + outputs / BLOCK * (products + TOGETHER * 4 * 260)
    return -(-down * across // TOGETHER) * four


def workspace(layer: ByteLayer) -> int:
    """Bytes for the transformed activations and the sums of four patches."""
    return 36 * TOGETHER * (2 * layer.weights.shape[3] + 4 * BLOCK)


def packed(layer: ByteLayer) -> NDArray[np.int16]:
    """Transformed weights [blocks, 36 positions, channels, 16 outputs]."""
    w = np.einsum("ai,oijc,bj->oabc", WEIGHTS, layer.weights.astype(np.int64), WEIGHTS)
    outputs, _, _, channels = w.shape
    w = w.reshape(outputs // BLOCK, BLOCK, 36, channels).transpose(0, 2, 3, 1)
    assert np.abs(w).max(initial=0) < 1 << 15
    return w.astype(np.int16)


def numbers(layer: ByteLayer, shift: int) -> NDArray[np.int32]:
    """Bias times 64, multiplier, minus shift [blocks, 3, 16]; `shift`: what all channels share, as in `ByteLayer`."""
    shifts = np.full_like(layer.shift, shift) if shift else layer.shift
    table = np.stack([layer.bias << SCALE_BITS, layer.shared, -(shifts + SCALE_BITS)])
    return table.reshape(3, -1, BLOCK).transpose(1, 0, 2).astype(np.int32)


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`, with memory at `work` in `scratch`."""
    outputs, channels = len(layer.weights), layer.weights.shape[3]
    down, across = patches(y)
    groups, blocks, most = channels // 8, outputs // BLOCK, down * across
    clamp = (layer.lo, layer.hi) != (-128, 127)
    common = layer.common_shift
    shift = common + SCALE_BITS if common and common + SCALE_BITS <= 16 else 0
    finish = code.Results(shift, clamp)
    constants.functions.setdefault("plane", code.STRUCT)
    add(constants.functions, "winograd_patch", code.PATCH)
    add(constants.functions, "winograd_products", code.PRODUCTS)
    add(constants.functions, finish.name, finish.function())
    weights = constants.array(packed(layer), as_is=True)
    table = constants.array(numbers(layer, common), as_is=True)
    facts = [x.strides[2], x.strides[3], y.strides[2], y.strides[3], layer.zero, layer.lo, layer.hi]
    rows, columns = (
        _first(f"t{axis}", n, size) for axis, n, size in (("y", down, y.shape[2]), ("x", across, y.shape[3]))
    )
    sums = work + 2 * 36 * TOGETHER * channels
    return [
        f"static const @plane t = {{{', '.join(map(str, facts))}}};",
        f"int16_t *v = (int16_t *)(void *)(scratch + {work});",
        f"int32_t *m = (int32_t *)(void *)(scratch + {sums});",
        f"for (int32_t k = 0; k < {most}; k += {TOGETHER}) {{",
        f"  int32_t to[{TOGETHER}];",
        f"  for (int32_t i = 0; i < {TOGETHER}; i++) {{ /* behind the last patch comes the last again */",
        f"    const int32_t n = k + i < {most} ? k + i : {most - 1}, ty = n / {across}, tx = n % {across};",
        f"    const int32_t row = {rows}, column = {columns};",
        f"    @winograd_patch({base} + {corner(layer, x)} + row * {x.strides[2]} + column * {x.strides[3]},",
        f"        v + 8 * i, {groups}, &t);",
        f"    to[i] = {y.offset} + row * {y.strides[2]} + column * {y.strides[3]};",
        "  }",
        f"  for (int32_t b = 0; b < {blocks}; b++) {{",
        f"    @winograd_products(v, {weights} + b * {36 * channels * BLOCK}, m, {groups});",
        f"    for (int32_t i = 0; i < {TOGETHER}; i++) {{",
        f"      {finish.name}(m + {BLOCK} * i, {table} + b * {3 * BLOCK}, y + to[i] + b * {BLOCK}, &t);",
        "    }",
        "  }",
        "}",
    ]


def _first(index: str, count: int, size: int) -> str:
    """The first row or column of a patch, as an expression."""
    if size % SIDE == 0:
        return f"{SIDE} * {index}"
    return f"({index} < {count - 1} ? {SIDE} * {index} : {size - SIDE})"
