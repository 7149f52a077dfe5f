"""Which steps the code for Cortex-M can do: those of int8/match.py, and depthwise convolutions of any window."""

from __future__ import annotations

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.match import matched as matched_bytes
from edgec.ops import Conv, Op


def matched(ops: tuple[Op, ...]) -> ByteLayer | None:
    """The layer of a step's ops, None where the code cannot do it."""
    return matched_bytes(ops, any_window)


def any_window(op: Conv) -> bool:
    """`fits` in vector/layer.py has the rest: one image, and all channels in a group or each in its own."""
    return True
