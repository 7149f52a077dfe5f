"""A step's body for 16-bit integers: which of the inner loops does a layer."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.int16.match import WordLayer
from edgec.backends.c.int16.tile import WordTapTile, WordTile
from edgec.backends.c.int16.wide import WideTile
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.view import View


def body(layer: WordLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    return dense(layer, x, y, constants, base, tile_of(layer))


def tile_of(layer: WordLayer) -> type[WordTile]:
    """The tile of a layer."""
    return WordTapTile if layer.depthwise else WideTile if layer.wide else WordTile


def workspace(layer: WordLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return 0
