"""A step's body in binary32: which of the inner loops does a layer."""

from __future__ import annotations

import math
from dataclasses import replace

from edgec.backends.c.constants import Constants
from edgec.backends.c.fp32.depthwise import FloatWindow
from edgec.backends.c.fp32.expanded import expanded, room
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.tile import FloatTile, TapTile
from edgec.backends.c.fp32.winograd import FloatWinograd
from edgec.backends.c.multiples import multiples
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.depthwise import depthwise
from edgec.backends.c.vector.order import Order
from edgec.backends.c.vector.patches import by_patches
from edgec.backends.c.view import View


def body(layer: FloatLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        if FloatWindow.can(layer, y):
            return depthwise(layer, x, y, constants, base, FloatWindow)
        return dense(layer, x, y, constants, base, TapTile)
    if layer.winograd is not None:
        return by_patches(FloatWinograd.of(layer), layer, x, y, constants, base, work)
    if layer.multiples is not None:
        return expanded(layer, layer.multiples, x, y, constants, base, work)
    return dense(layer, x, y, constants, base, FloatTile)


def workspace(layer: FloatLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    if layer.multiples is not None:
        return room(layer)
    return layer.winograd.scratch if layer.winograd is not None else 0


def narrowed(layer: FloatLayer) -> tuple[FloatLayer, int] | None:
    """The layer with weights that are stored as bytes and expanded in every inference, and the bytes that this saves;
    None where it cannot be."""
    if layer.winograd is not None or layer.depthwise or (found := multiples(layer.weights)) is None:
        return None
    return replace(layer, multiples=found), 3 * layer.weights.size


def orders(layer: FloatLayer) -> tuple[Order, ...]:
    """How Winograd's method could do a layer with fewer instructions than the other loops."""
    return FloatWinograd.orders(layer, layer.op.tensor.size * math.prod(layer.weights.shape[1:]) / 3.2)
