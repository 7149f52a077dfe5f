"""A step's body with the instructions of Armv8.0-A: which of the inner loops does a layer."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.taps import TapTile
from edgec.backends.c.lowbit.decode import workspace as decoding
from edgec.backends.c.neon import winograd
from edgec.backends.c.neon.depthwise import NeonWindow
from edgec.backends.c.neon.lane import LaneTile
from edgec.backends.c.neon.long import LongTile
from edgec.backends.c.neon.pair import PairTile
from edgec.backends.c.vector.dense import dense, geometry
from edgec.backends.c.vector.depthwise import depthwise
from edgec.backends.c.vector.order import Order
from edgec.backends.c.vector.patches import by_patches
from edgec.backends.c.vector.place import runs
from edgec.backends.c.vector.tile import LANES, Tile
from edgec.backends.c.view import View


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    if layer.depthwise:
        if NeonWindow.can(layer, y):
            return depthwise(layer, x, y, constants, base, NeonWindow)
        return dense(layer, x, y, constants, base, TapTile)
    if layer.winograd is not None:
        return by_patches(winograd.ByteWinograd.of(layer), layer, x, y, constants, base, work)
    return dense(layer, x, y, constants, base, tile_of(layer, geometry(layer, x, y)[1]), room=f"scratch + {work}")


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    if layer.winograd is not None:
        return layer.winograd.scratch
    return 0 if layer.depthwise else decoding(layer, list(costs(layer, y.shape[3])), y.shape[3])


def orders(layer: ByteLayer) -> tuple[Order, ...]:
    """How Winograd's method could do a layer with fewer instructions than the other loops."""
    if layer.codes is not None or not winograd.ByteWinograd.can(layer):
        return ()
    height, width = layer.op.shape[2:]
    least = min(costs(layer, width).values()) + 8
    return winograd.ByteWinograd.orders(layer, len(layer.weights) / LANES * height * width * least)


def tile_of(layer: ByteLayer, places: int) -> type[Tile]:
    """The tile that takes fewer instructions for a layer with `places` in a row."""
    found = costs(layer, places)
    return min(found, key=lambda tile: found[tile])


def costs(layer: ByteLayer, places: int) -> dict[type[Tile], float]:
    """Instructions for one place and four channels, without those behind the sums, of the tiles that can do a layer."""
    rows, columns, run = runs(layer)
    together = min(places, 4)
    found: dict[type[Tile], float] = {}
    weights = layer.weights.reshape(len(layer.weights), rows, columns, run)
    if LongTile.can(weights):
        pieces, rest = LongTile.pieces(run)
        visits = rows * LongTile.parts(weights).shape[2]
        found[LongTile] = rows * columns * (8 * pieces + 4 * rest + (pieces + rest) * (1 + 2 / together))
        found[LongTile] += visits * (8 if visits == 1 else 16) + 4
    if PairTile.can(weights):
        pieces, rest = PairTile.pieces(run)  # arithmetic, loads of both operands, pairwise additions
        found[PairTile] = rows * columns * (12 * pieces + 8 * rest + (pieces + rest) * (1 + 2 / together)) + 4
    found[LaneTile] = rows * columns * (run * (1 + 0.5 / together) + 0.5 * -(-run // 8))
    return found
