"""A step's body in binary32: which of the inner loops does a layer."""

from __future__ import annotations

import math

from edgec.backends.c.constants import Constants
from edgec.backends.c.fp32.depthwise import FloatWindow
from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.tile import FloatTile, TapTile
from edgec.backends.c.fp32.winograd import FloatWinograd, cost
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.depthwise import depthwise
from edgec.backends.c.vector.winograd import body as winograd
from edgec.backends.c.view import View


def body(layer: FloatLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        if FloatWindow.can(layer):
            return depthwise(layer, x, y, constants, base, FloatWindow)
        return dense(layer, x, y, constants, base, TapTile)
    if by_winograd(layer, y):
        return winograd(FloatWinograd.of(layer), layer, x, y, constants, base, work)
    return dense(layer, x, y, constants, base, FloatTile)


def workspace(layer: FloatLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return FloatWinograd.workspace(layer) if by_winograd(layer, y) else 0


def by_winograd(layer: FloatLayer, y: View, method: type[FloatWinograd] = FloatWinograd) -> bool:
    """Whether Winograd's method can do a layer and takes fewer instructions."""
    if not method.can(layer, y):
        return False
    direct = math.prod(y.shape) * math.prod(layer.weights.shape[1:]) / 3.2
    return cost(layer, y) < direct
