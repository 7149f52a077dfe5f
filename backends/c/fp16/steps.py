"""A step's body in half precision: which of the inner loops does a layer."""

from __future__ import annotations

import math

from edgec.backends.c.constants import Constants
from edgec.backends.c.fp16 import match
from edgec.backends.c.fp16.depthwise import HalfWindow
from edgec.backends.c.fp16.long import LongTile
from edgec.backends.c.fp16.tile import HalfTapTile, HalfTile
from edgec.backends.c.fp16.winograd import HalfWinograd
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.depthwise import depthwise
from edgec.backends.c.vector.order import Order
from edgec.backends.c.vector.patches import by_patches
from edgec.backends.c.view import View
from edgec.ops import Op


def body(layer: FloatLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        if HalfWindow.can(layer, y):
            return depthwise(layer, x, y, constants, base, HalfWindow)
        return dense(layer, x, y, constants, base, HalfTapTile)
    if layer.winograd is not None:
        return by_patches(HalfWinograd.of(layer), layer, x, y, constants, base, work)
    return dense(layer, x, y, constants, base, HalfTile)


def workspace(layer: FloatLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return layer.winograd.scratch if layer.winograd is not None else 0


def orders(layer: FloatLayer) -> tuple[Order, ...]:
    """How Winograd's method could do a layer with fewer instructions than the other loops."""
    return HalfWinograd.orders(layer, layer.op.tensor.size * math.prod(layer.weights.shape[1:]) / 3.2)


def matched_long(ops: tuple[Op, ...]) -> FloatLayer | None:
    """The layer of a step's ops, None where FMLAL cannot do it: a depthwise convolution has no lanes to multiply by."""
    layer = match.matched(ops)
    return None if layer is None or layer.depthwise else layer


def body_long(layer: FloatLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`, on a core with FMLAL."""
    if layer.winograd is not None:
        return body(layer, x, y, constants, base, work)
    return dense(layer, x, y, constants, base, LongTile)
