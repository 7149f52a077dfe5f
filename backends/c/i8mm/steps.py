"""A step's body with matrix products: layers with two places or more. The others are left to the family behind."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.i8mm.tile import MatrixTile
from edgec.backends.c.int8 import match
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.place import runs
from edgec.backends.c.view import View
from edgec.ops import Op

SHORT = 4
"""Runs up to this many bytes fill half of a matrix product, which is then no more than a dot product."""


def matched(ops: tuple[Op, ...]) -> ByteLayer | None:
    """The layer of a step's ops, None where matrix products cannot do it or would be half empty."""
    layer = match.matched(ops)
    if layer is None or layer.depthwise or layer.op.tensor.size == len(layer.weights):
        return None
    return layer if runs(layer)[2] > SHORT else None


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    return dense(layer, x, y, constants, base, MatrixTile)


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x."""
    return 0
