"""Which steps the vector code for half precision can do."""

from __future__ import annotations

from edgec.backends.c.fp32 import match
from edgec.backends.c.fp32.match import FloatLayer
from edgec.formats import F16
from edgec.ops import Op


class HalfLayer(FloatLayer):
    """y = min(max(x . w + bias, lo), hi) in binary32, rounded to binary16; weights are binary16, the bias is exact."""


def matched(ops: tuple[Op, ...]) -> FloatLayer | None:
    """The layer of a step's ops, None where the vector code cannot do it."""
    return match.matched(ops, F16, HalfLayer)
