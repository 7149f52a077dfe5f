"""What plain C does in pools and moves, as counts of kinds of work (`work.py`)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from edgec.backends.c.loops import Nest, nest
from edgec.backends.c.moves import filled_first
from edgec.backends.c.pool import Pool, inside, together, written
from edgec.backends.c.schedule import Schedule, Step
from edgec.backends.c.view import View, dense
from edgec.ops import Concat, Constant, Gather, MaxPool, Op, Pad, Reshape, Resize, Take, centered_range

MOST_WIDE = 64
"""Channels whose loop compilers write out, so that the additions of several do not wait for each other."""
MOST_WRITTEN_OUT = 64
"""Bytes of a `memcpy` that compilers write out."""
NEAR = 4
"""Elements from one that is copied to the next, which some cores load together."""
MOVES = Concat | Gather | Pad | Reshape | Resize | Take
"""Anchors whose steps are counted here, reading and writing included."""


def pooled(found: defaultdict[str, float], views: Mapping[Op, View], op: Pool, y: View) -> None:
    """Visits of windows that are written out, with the channels side by side in the operand and in y or not, and of
    loops."""
    number = "number_" * op.x.format.is_float
    visited = op.tensor.size // math.prod(op.shape[2:]) * math.prod(
        pairs(op.x.shape[2 + a], op.shape[2 + a], op.kernel[a], op.strides[a], op.pads[a], op.dilations[a])
        for a in range(len(op.kernel))
    )  # fmt: skip
    kind = number + ("max" if isinstance(op, MaxPool) else "average")
    block = together(views, op)
    if block > 1:
        found[f"{kind}_beside" if inside(op) else f"{kind}_clipped"] += visited
        found["window" if inside(op) else "window_clipped"] += visited / block
    else:
        beside = op.shape[1] > 1 and views[op.x].strides[1] == y.strides[1] == 1
        wide = kind == "number_average" and op.shape[1] > MOST_WIDE
        found[f"{kind}_apart" if not beside else f"{kind}_wide" if wide else kind] += visited
    if block == 1 and not written(op):
        found["clipped"] += visited
    if not isinstance(op, MaxPool):
        if number:  # by a power of two, division is multiplication
            shifts = inside(op) and math.prod(op.kernel).bit_count() == 1
            found["number_mean" if shifts else "number_mean_divided"] += op.tensor.size
        else:
            signed = centered_range(op.x.format)[0] < 0
            found["mean_clipped" if not inside(op) else "mean_signed" if signed else "mean"] += op.tensor.size


def moved(found: defaultdict[str, float], schedule: Schedule, step: Step) -> None:
    """Runs that are copied, elements that are copied one by one, and those whose place has to be computed."""
    op, y = step.anchor, schedule.views[step.result]
    size = step.result.format.dtype.itemsize
    if isinstance(op, Concat):
        for x in op.xs:
            _copied(found, nest(x.shape, [_strides(schedule, x), y.strides], y.order), size)
    elif isinstance(op, Reshape):
        _copied(found, nest(op.x.shape, [_strides(schedule, op.x), dense(op.x.shape)]), size)
    elif isinstance(op, Pad) and filled_first(op, step.result):
        found["filled"] += step.result.tensor.size * size
        _copied(found, nest(op.x.shape, [_strides(schedule, op.x), y.strides], y.order), size)
    else:
        assert op is not None
        inner = next((op.shape[a] for a in reversed(y.order) if op.shape[a] > 1), 1)
        found["placed"] += op.tensor.size
        found["loop"] += op.tensor.size // max(inner, 1)
        if isinstance(op, Pad):
            found["tested"] += op.tensor.size * sum(n > 0 for n in op.pads)


def _copied(found: defaultdict[str, float], loops: Nest, size: int) -> None:
    elements, run = math.prod(count for _, count in loops.loops), loops.run(size)
    if run > 1:
        found["run"] += elements / run
        found["long_byte" if run * size > MOST_WRITTEN_OUT else "run_byte"] += elements * size
    else:
        near = bool(loops.loops) and max(s[-1] for s in loops.strides) <= NEAR
        found["moved_near" if near else "moved" if size == 1 else "number_moved"] += elements
        found["loop"] += elements / max(loops.loops[-1][1] if loops.loops else 1, 1)


def _strides(schedule: Schedule, op: Op) -> tuple[int, ...]:
    return dense(op.shape) if isinstance(op, Constant) else schedule.views[op].strides


def pairs(size: int, results: int, taps: int, stride: int, before: int, dilation: int) -> int:
    """Pairs of a result and a tap of one axis that lie in the image."""
    return sum(0 <= r * stride + k * dilation - before < size for k in range(taps) for r in range(results))
