"""What the steps of C code do, as counts of the kinds of work that a target prices with `cycles.KIND`.

`edgec.target_constants.WORK` says what every kind is.

Loops are counted as they are written: taps that lie outside an image are not done, and dot-product code is counted in
its own instructions, tile by tile.
"""

from __future__ import annotations

import math
from collections import Counter

from edgec.backends.c.dot.match import DotLayer
from edgec.backends.c.dot.pack import BLOCK, LANES, blocks, runs
from edgec.backends.c.dot.steps import geometry, most_places, split, turn
from edgec.backends.c.element import TRANSCENDENTAL
from edgec.backends.c.schedule import ELEMENTWISE, Schedule, Step
from edgec.ops import (
    ArgMax,
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    MatMul,
    MaxPool,
    Normalize,
    Op,
    Quantize,
    Reduce,
    Requantize,
    Softmax,
    Unary,
)

CHAINS = 4
"""Sums that have to be under way at the same time to keep the multipliers busy; fewer take as long as these."""


def multiplications(op: Op) -> int:
    """Multiply-accumulates of one op, padded taps included."""
    match op:
        case Dense() | Conv():
            return op.tensor.size * op.terms
        case ConvTranspose():
            return op.x.tensor.size * math.prod(op.w.shape[1:])
        case MatMul():
            return op.tensor.size * op.x.shape[-1]
    return 0


def work(schedule: Schedule, step: Step) -> dict[str, float]:
    """Counts by kind for one step."""
    found: Counter[str] = Counter()
    if step.layer is not None:
        _dot(found, schedule, step)
    else:
        found["step"] += 1
        found["byte"] += step.result.tensor.size * step.result.format.dtype.itemsize
        found["byte"] += sum(op.tensor.size * op.format.dtype.itemsize for op in step.reads)
        y = schedule.views[step.result]
        if any(y.buffer.halo):
            found["row"] += y.shape[0] * y.shape[2]
        for op in step.ops:
            _portable(found, op)
    return {kind: float(count) for kind, count in found.items() if count}


def _portable(found: Counter[str], op: Op) -> None:
    size = op.tensor.size
    if multiplications(op):
        taps = _taps(op)
        found["tap"] += taps
        found[_mac_kind(op)] += taps * _terms(op)
    elif isinstance(op, AvgPool):
        found["pool"] += _visited(op)
        found["mean"] += size
    elif isinstance(op, MaxPool):
        found["max"] += _visited(op)
    elif isinstance(op, Reduce | ArgMax | Normalize):
        found["max" if isinstance(op, ArgMax) else "pool"] += op.x.tensor.size
    elif isinstance(op, Softmax):  # twice the exponential of every element; that of the largest, exp(0), is quick
        found["double"] += 2 * size - size // max(op.shape[op.axis], 1)
    elif isinstance(op, Unary) and op.function in TRANSCENDENTAL:
        found["double"] += size
    elif isinstance(op, Requantize | Quantize | Dequantize):
        found["rescale"] += size
    elif isinstance(op, ELEMENTWISE):
        found["element"] += size


def _terms(op: Op) -> int:
    """Multiply-accumulates of one run."""
    match op:
        case Conv():
            return int(op.w.shape[1])
        case ConvTranspose():
            return int(op.w.shape[1])
    return multiplications(op) // max(op.tensor.size, 1)


def _taps(op: Op) -> int:
    """Runs of multiply-accumulates: results times the places of their windows that lie in the image."""
    match op:
        case Conv():
            channels = op.tensor.size // math.prod(op.shape[2:])
            rank = len(op.shape) - 2
            return channels * math.prod(
                _inside(op.x.shape[2 + a], op.shape[2 + a], int(op.w.shape[2 + a]), op.strides[a], op.pads[a],
                        op.dilations[a]) for a in range(rank)
            )  # fmt: skip
        case ConvTranspose():
            return multiplications(op) // max(_terms(op), 1)
    return op.tensor.size


def _visited(op: AvgPool | MaxPool) -> int:
    channels = op.tensor.size // math.prod(op.shape[2:])
    return channels * math.prod(
        _inside(op.x.shape[2 + a], op.shape[2 + a], op.kernel[a], op.strides[a], op.pads[a], op.dilations[a])
        for a in range(len(op.kernel))
    )


def _inside(size: int, results: int, taps: int, stride: int, before: int, dilation: int) -> int:
    """Pairs of a result and a tap of one axis that lie in the image."""
    return sum(0 <= r * stride + k * dilation - before < size for k in range(taps) for r in range(results))


def _mac_kind(op: Op) -> str:
    """The type of a multiply-accumulate: its operands' width, or the precision."""
    fmt = op.operands[0].format
    if fmt.is_float:
        return "mac_f64" if fmt.dtype.itemsize == 8 else "mac_f32"
    if op.format.bits > 32 and not isinstance(op, MatMul) and max(o.format.bits for o in op.operands[:2]) > 16:
        return "mac_i64"
    return "mac_i8" if max(o.format.bits for o in op.operands[:2]) <= 8 else "mac_i16"


def _dot(found: Counter[str], schedule: Schedule, step: Step) -> None:
    """Dot-product code: the loops of dot/steps.py."""
    layer = step.layer
    assert layer is not None
    x, y = schedule.views[layer.op.x], schedule.views[step.result]
    if step.scratch is not None:
        found["copy"] += x.size
        found["clear"] += step.scratch.buffer.elements
        x = step.scratch
    if layer.depthwise:
        channels, rows, places = len(layer.weights), y.shape[2], y.shape[3]
        paired = channels < BLOCK
        advance = 2 if paired else layer.window[1][1]
        steps = -(-places // 2) if paired else places
        done = -(-channels // BLOCK) * rows
        found["dot"] += done * steps * 3 * LANES
        found["dot_column"] += done * (steps * advance + 3 - advance)
        found["dot_rescale"] += done * steps * _rescaling(layer, LANES)
        found["dot_row"] += done
        return
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    taps, quads, loads = tap_rows * columns, -(-run // 4), -(-run // 16)
    for block in blocks(layer):
        for count, n in split(places, most_places(run, block.vectors)):
            tiles = rows * n
            found["dot_call"] += rows
            dots = quads * max(count * block.vectors, CHAINS)
            found["dot"] += tiles * taps * dots
            found["dot_load"] += tiles * taps * max(quads * block.vectors + loads * count - dots, 0)
            found["dot_rescale"] += tiles * count * _rescaling(layer, block.vectors)
            whole = turn(run // 16, count * block.vectors)
            found["dot_turn"] += tiles * taps * (run // 16 // whole if whole else 0)
            found["dot_run"] += tiles * taps
            found["dot_tile"] += tiles


def _rescaling(layer: DotLayer, vectors: int) -> int:
    """Vector instructions of `tiles.finished` for one place."""
    clamp = 2 if (layer.lo, layer.hi) != (-128, 127) else 0
    return vectors * (2 if layer.common_shift else 3) + -(-vectors // 2) * 2 + clamp + 1
