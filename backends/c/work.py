"""What the steps of C code do, as counts of the kinds of work that a target prices with `cycles.KIND`.

`edgec.target_constants.WORK` says what every kind is.

Loops are counted as they are written: taps that lie outside an image are not done; `vector_work.py` counts vector
code in its own instructions, tile by tile.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from edgec.backends.c.functions import TRANSCENDENTAL
from edgec.backends.c.plain_work import MOVES, moved, pairs, pooled
from edgec.backends.c.schedule import ELEMENTWISE, Schedule, Step
from edgec.backends.c.vector_work import function, gates, others, vectors
from edgec.backends.c.view import View
from edgec.formats import F32, TensorType
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    Gru,
    Lstm,
    MatMul,
    MaxPool,
    Mul,
    Normalize,
    Op,
    Quantize,
    Reduce,
    Requantize,
    Rnn,
    Softmax,
    Sub,
    Unary,
)

MOST_WRITTEN = 4
"""Elements of a row whose loops compilers write out."""
MOST_SCALAR = 16
"""Numbers of a loop that compilers make a vector loop of: fewer are done one by one."""


def multiplications(op: Op) -> int:
    """Multiply-accumulates of one op, padded taps included."""
    match op:
        case Dense() | Conv():
            return op.tensor.size * op.terms
        case ConvTranspose():
            return op.x.tensor.size * math.prod(op.w.shape[1:])
        case MatMul():
            return op.tensor.size * op.x.shape[-1]
        case Rnn() | Gru() | Lstm():
            steps, sequences, _ = op.x.shape
            return steps * sequences * (op.w.tensor.size + op.r.tensor.size)
    return 0


def work(schedule: Schedule, step: Step) -> dict[str, float]:
    """Counts by kind for one step."""
    found: defaultdict[str, float] = defaultdict(int)
    if step.layer is not None:
        vectors(found, schedule, step, step.layer)
    elif step.family is not None:
        others(found, schedule, step)
        if step.anchor is None:
            _halo(found, schedule, step)
    else:
        found["step"] += 1
        if isinstance(step.anchor, MOVES):
            moved(found, schedule, step)
        else:
            _moved(found, step.results)
            _moved(found, step.reads, by_elements=step.anchor is None)
        _halo(found, schedule, step)
        for op in step.ops:
            _portable(found, schedule, op, schedule.views[step.result])
        if step.codes is not None:
            found["code"] += _taps(step.ops[0]) * _terms(step.ops[0])
    return {kind: float(count) for kind, count in found.items() if count}


def _halo(found: defaultdict[str, float], schedule: Schedule, step: Step) -> None:
    """What is written around the result."""
    y = schedule.views[step.result]
    if any(y.buffer.halo):
        found["row"] += y.shape[2] if len(y.shape) == 4 else 1
        found["clear"] += y.buffer.bytes - y.size * step.result.format.dtype.itemsize


def _portable(found: defaultdict[str, float], schedule: Schedule, op: Op, y: View) -> None:
    size, single = op.tensor.size if isinstance(op.type, TensorType) else y.size, op in schedule.single
    if multiplications(op):
        taps = _taps(op)
        clipped = isinstance(op, Conv) and taps < op.tensor.size * math.prod(op.w.shape[2:])
        found["tap" if clipped else "tap_inside"] += taps
        found[_mac_kind(op)] += taps * _terms(op)
        if isinstance(op, Rnn | Gru | Lstm):
            gates(found, op, single)
    elif isinstance(op, AvgPool | MaxPool):
        pooled(found, schedule.views, op, y)
    elif isinstance(op, Reduce | ArgMax | Normalize):
        largest = isinstance(op, ArgMax) or (isinstance(op, Reduce) and op.function in ("max", "min"))
        beside = isinstance(op, Reduce) and len(op.x.shape) - 1 not in {a % len(op.x.shape) for a in op.axes}
        found["number_max_apart" if largest else "reduced_beside" if beside else "reduced"] += op.x.tensor.size
    elif isinstance(op, Softmax) and single and not op.log:
        n = op.shape[op.axis]
        found["softmax_written" if n <= MOST_WRITTEN else "softmax_few" if n < MOST_SCALAR else "softmax"] += size
        found["softmax_step"] += 1
        found["softmax_row"] += size // max(op.shape[op.axis], 1)
    elif isinstance(op, Softmax):  # twice the exponential of every element; the largest, exp(0), is four times as quick
        found["double"] += 2 * size - 1.5 * (size // max(op.shape[op.axis], 1))
    elif isinstance(op, Unary) and op.function in TRANSCENDENTAL:
        function(found, op.function, size, single and op.format == F32)
    elif isinstance(op, Requantize):
        found["rescale"] += size
    elif isinstance(op, Quantize | Dequantize):
        found["quantized" if isinstance(op, Quantize) else "dequantized"] += size
    elif isinstance(op, ELEMENTWISE):
        number = "number_add" if isinstance(op, Add | Sub | Mul) else "number_op"
        found[number if op.operands[0].format.is_float else "element"] += size


def _moved(found: defaultdict[str, float], tensors: Iterable[Op], by_elements: bool = True) -> None:
    """What a step reads or writes. Numbers that are read otherwise than one for each result are counted there."""
    for op in tensors:
        size = op.tensor.size * op.format.dtype.itemsize
        if not op.format.is_float:
            found["byte"] += size
        elif by_elements:
            found["number"] += size / 4


def _terms(op: Op) -> int:
    """Multiply-accumulates of one run."""
    match op:
        case Conv():
            return int(op.w.shape[1])
        case ConvTranspose():
            return int(op.w.shape[1])
        case Rnn() | Gru() | Lstm():
            return int(op.w.shape[-1])
    return multiplications(op) // max(op.tensor.size, 1)


def _taps(op: Op) -> int:
    """Runs of multiply-accumulates: results times the places of their windows that lie in the image."""
    match op:
        case Conv():
            channels = op.tensor.size // math.prod(op.shape[2:])
            rank = len(op.shape) - 2
            return channels * math.prod(
                pairs(op.x.shape[2 + a], op.shape[2 + a], int(op.w.shape[2 + a]), op.strides[a], op.pads[a],
                        op.dilations[a]) for a in range(rank)
            )  # fmt: skip
        case ConvTranspose() | Rnn() | Gru() | Lstm():
            return multiplications(op) // max(_terms(op), 1)
    return op.tensor.size


def _mac_kind(op: Op) -> str:
    """The type of a multiply-accumulate: its operands' width, or the precision."""
    fmt = op.operands[0].format
    if fmt == F32 and isinstance(op, Dense | MatMul | Rnn | Gru | Lstm):
        return "row_f32" if isinstance(op, Dense | MatMul) else "recurrent_f32"
    if fmt.is_float:
        return "mac_f64" if fmt.dtype.itemsize == 8 else "mac_f32"
    if (
        not isinstance(op, MatMul | Rnn | Gru | Lstm)
        and op.format.bits > 32
        and max(o.format.bits for o in op.operands[:2]) > 16
    ):
        return "mac_i64"
    return "mac_i8" if max(o.format.bits for o in op.operands[:2]) <= 8 else "mac_i16"
