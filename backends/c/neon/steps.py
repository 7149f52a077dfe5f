"""A step's body with the instructions of Armv8.0-A: which of the inner loops does a layer."""

from __future__ import annotations

from functools import partial

from edgec.backends.c.constants import Constants
from edgec.backends.c.int8.dense import dense, geometry
from edgec.backends.c.int8.depthwise import depthwise
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.place import runs
from edgec.backends.c.int8.tile import Tile
from edgec.backends.c.neon.depthwise import NeonWindow
from edgec.backends.c.neon.lane import LaneTile
from edgec.backends.c.neon.pair import PairTile
from edgec.backends.c.view import View


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        window = partial(NeonWindow, depth=NeonWindow.depth_of(layer.weights))
        return depthwise(layer, x, y, constants, base, window)
    return dense(layer, x, y, constants, base, tile_of(layer, geometry(layer, x, y)[1]))


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return 0


def tile_of(layer: ByteLayer, places: int) -> type[Tile]:
    """The tile that takes fewer instructions for a layer with `places` in a row."""
    rows, columns, run = runs(layer)
    if not PairTile.can(layer.weights.reshape(len(layer.weights), rows, columns, run)):
        return LaneTile
    pieces, rest = PairTile.pieces(run)
    together = min(places, 4)
    # instructions for one place and four channels: arithmetic, loads of both operands, pairwise additions
    pair = rows * columns * (12 * pieces + 8 * rest + (pieces + rest) * (1 + 2 / together)) + 4
    lane = rows * columns * (run * (1 + 0.5 / together) + 0.5 * -(-run // 8))
    return PairTile if pair <= lane else LaneTile
