"""Pooling and reductions."""

from __future__ import annotations

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx_export.builder import F32, I64, Builder, dtype_of, exact_dtype, exports, unit
from edgec.frontend.onnx_export.quantised import dyadic_quantised, refuse
from edgec.frontend.onnx_export.requantised import integer_average
from edgec.frontend.onnx_export.unfold import unfolded
from edgec.interp.pool import window_counts
from edgec.ops import ArgMax, AvgPool, MaxPool, Normalize, Reduce, centered_range

_REDUCE = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "sum_square": "ReduceSumSquare",
    "log_sum": "ReduceLogSum",
    "log_sum_exp": "ReduceLogSumExp",
}


@exports(MaxPool)
def max_pool(b: Builder, op: MaxPool) -> str:
    """Windows beyond the end (ceil mode) become end padding, so that every tool has the same ones."""
    rank = len(op.kernel)
    pads = list(op.pads)
    for i in range(rank):
        need = (op.shape[2 + i] - 1) * op.strides[i] + op.dilations[i] * (op.kernel[i] - 1) + 1
        pads[rank + i] = max(need - op.x.shape[2 + i] - op.pads[i], 0)
    x = b.read(op.x)
    return b.node(
        "MaxPool",
        [x],
        op.shape,
        b.dtype(x),
        pads=pads,
        strides=list(op.strides),
        kernel_shape=list(op.kernel),
        dilations=list(op.dilations) if any(d != 1 for d in op.dilations) else None,
    )


@exports(AvgPool)
def avg_pool(b: Builder, op: AvgPool) -> str:
    """Integers: see `requantised.integer_average`."""
    x = b.read(op.x)
    plain = not op.ceil_mode and all(d == 1 for d in op.dilations)
    if op.format.is_float and plain and op.format.dtype == F32:
        return b.node(
            "AveragePool",
            [x],
            op.shape,
            b.dtype(x),
            kernel_shape=list(op.kernel),
            strides=list(op.strides),
            pads=list(op.pads),
            count_include_pad=int(op.count_include_pad),
        )
    counts = window_counts(op)
    if not op.format.is_float:
        return integer_average(b, op, counts)
    taps = unfolded(b, x, op.kernel, op.strides, op.pads, op.dilations, op.shape[2:])
    total = b.node("ReduceSum", [taps, b.ints([-1])], b.shape(taps)[:-1], b.dtype(taps), keepdims=0)
    return b.each("Div", b.reshape(total, op.shape), b.constant(counts.astype(b.dtype(total))))


@exports(Reduce)
def reduce(b: Builder, op: Reduce) -> str:
    if op.out is not None:
        return _quantised_sum(b, op)
    dtype = dtype_of(op)
    x = b.read(op.x, dtype)
    axes = [a % len(op.x.shape) for a in op.axes]
    operands = [x, b.ints(axes)] if axes else [x]
    if not axes:  # an empty list would mean all axes
        shape = b.reshape(x, (*op.x.shape, 1))
        reduced = b.node(_REDUCE[op.function], [shape, b.ints([-1])], op.x.shape, dtype, keepdims=0)
        return b.reshape(reduced, op.shape)
    return b.node(_REDUCE[op.function], operands, op.shape, dtype, keepdims=int(op.keepdims))


def _quantised_sum(b: Builder, op: Reduce) -> str:
    try:
        exact = op.replace(out=None)
    except EdgecError:
        raise refuse(op, "integers that wrap at 64 bits") from None
    lo, hi = centered_range(exact.format)
    dtype, step = exact_dtype(max(-lo, hi), op), unit(exact.format)
    y = b.read(op.x, dtype)
    if op.axes:  # an empty list would mean all axes
        axes = b.ints([a % len(op.x.shape) for a in op.axes])
        y = b.node("ReduceSum", [y, axes], op.shape, dtype, keepdims=int(op.keepdims))
    assert op.out is not None
    return b.cast(dyadic_quantised(b, y, op.out, (lo * step, hi * step), op), dtype_of(op))


@exports(ArgMax)
def arg_max(b: Builder, op: ArgMax) -> str:
    index = b.node(
        "ArgMin" if op.smallest else "ArgMax",
        [b.read(op.x)],
        op.shape,
        I64,
        axis=op.axis,
        keepdims=int(op.keepdims),
        select_last_index=int(op.select_last),
    )
    return b.cast(index, dtype_of(op))


@exports(Normalize)
def normalize(b: Builder, op: Normalize) -> str:
    operands = [b.read(o) for o in (op.x, op.scale, op.bias) if o is not None]
    return b.node("LayerNormalization", operands, op.shape, op.format.dtype, axis=op.axis, epsilon=op.epsilon)
