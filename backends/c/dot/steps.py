"""A step's body with dot-product instructions."""

from __future__ import annotations

from dataclasses import replace

from edgec.backends.c.constants import Constants
from edgec.backends.c.dot.coded import coded_tile
from edgec.backends.c.dot.depthwise import DotWindow
from edgec.backends.c.dot.tiles import DotTile
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.taps import TapTile
from edgec.backends.c.lowbit.decode import workspace as decoding
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.depthwise import depthwise
from edgec.backends.c.view import View


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        if DotWindow.can(layer, y):
            return depthwise(layer, x, y, constants, base, DotWindow)
        return dense(layer, x, y, constants, base, TapTile)
    coded = coded_tile(layer, y)
    if coded is not None:
        return dense(replace(layer, codes=None), x, y, constants, base, coded)
    return dense(layer, x, y, constants, base, DotTile, room=f"scratch + {work}")


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return 0 if coded_tile(layer, y) is not None else decoding(layer, [DotTile], y.shape[-1])
