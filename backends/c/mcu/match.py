"""Which steps the code for Cortex-M can do: those of int8/match.py."""

from __future__ import annotations

from dataclasses import fields

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.match import matched as matched
from edgec.ops import Op


class PlaneLayer(ByteLayer):
    """A layer whose depthwise loops copy x, and put the padding around the copy."""

    @property
    def halo(self) -> tuple[int, int, int, int]:
        return (0, 0, 0, 0) if self.depthwise else super().halo


def without_halo(ops: tuple[Op, ...]) -> PlaneLayer | None:
    """The same for loops that need no padding around the images of depthwise convolutions."""
    layer = matched(ops)
    return None if layer is None else PlaneLayer(**{f.name: getattr(layer, f.name) for f in fields(layer)})
