"""Which steps the code for Cortex-M can do: those of int8/match.py, and depthwise convolutions of any window."""

from __future__ import annotations

from dataclasses import fields

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.match import matched as matched_bytes
from edgec.ops import Constant, Conv, Op


class PlaneLayer(ByteLayer):
    """A layer whose depthwise loops copy x, and put the padding around the copy."""

    @property
    def halo(self) -> tuple[int, int, int, int]:
        return (0, 0, 0, 0) if self.depthwise else super().halo


def matched(ops: tuple[Op, ...]) -> ByteLayer | None:
    """The layer of a step's ops, None where the code cannot do it: weights of +128, and offsets behind sums."""
    layer = matched_bytes(ops, any_window)
    if layer is None or layer.offset is not None:
        return None
    assert isinstance(layer.op.w, Constant)
    return layer if layer.op.w.levels.max(initial=0) <= 127 else None


def without_halo(ops: tuple[Op, ...]) -> PlaneLayer | None:
    """The same for loops that need no padding around the images of depthwise convolutions."""
    layer = matched(ops)
    return None if layer is None else PlaneLayer(**{f.name: getattr(layer, f.name) for f in fields(layer)})


def any_window(op: Conv) -> bool:
    """`fits` in vector/layer.py has the rest: one image, and all channels in a group or each in its own."""
    return True
