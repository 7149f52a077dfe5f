"""Ops that move values."""

from __future__ import annotations

import numpy as np

from edgec.frontend.onnx_export.builder import DETECTOR, F32, Builder, dtype_of, exports, unit
from edgec.ops import (
    Concat,
    Expand,
    Gather,
    Get,
    Pad,
    Reshape,
    Resize,
    Slice,
    Split,
    Transpose,
    centered_levels,
)
from edgec.ops.shape import fill_code

_INT64_MIN = -(1 << 63)


@exports(Reshape)
def reshape(b: Builder, op: Reshape) -> str:
    return b.reshape(b.read(op.x), op.shape)


@exports(Transpose)
def transpose(b: Builder, op: Transpose) -> str:
    return b.transpose(b.read(op.x), op.perm)


@exports(Concat)
def concat(b: Builder, op: Concat) -> str:
    return b.node("Concat", [b.read(x) for x in op.xs], op.shape, dtype_of(op), axis=op.axis)


@exports(Slice)
def slice_(b: Builder, op: Slice) -> str:
    stops = [_INT64_MIN if s < 0 and e < 0 else e for e, s in zip(op.stops, op.steps, strict=True)]
    axes = list(range(len(op.shape)))
    operands = [b.read(op.x), *(b.ints(v) for v in (op.starts, stops, axes, op.steps))]
    return b.node("Slice", operands, op.shape, dtype_of(op))


@exports(Pad)
def pad(b: Builder, op: Pad) -> str:
    fmt, dtype = op.format, dtype_of(op)
    operands = [b.read(op.x), b.ints(op.pads)]
    if op.mode == "constant":
        value = op.value
        if not fmt.is_float:
            level = centered_levels(np.array(fill_code(fmt, op.value)), fmt) if fmt.axis is None else np.zeros(1)
            value = float(level.ravel()[0]) * unit(fmt)
        operands.append(b.scalar(value, dtype))
    return b.node("Pad", operands, op.shape, dtype, mode=op.mode)


@exports(Gather)
def gather(b: Builder, op: Gather) -> str:
    x, axis = b.read(op.x), op.axis % len(op.x.shape)
    if -1 in op.indices:
        return b.node("CellMap", [x], op.shape, b.dtype(x), domain=DETECTOR, axis=axis, indices=list(op.indices))
    return b.node("Gather", [x, b.ints(op.indices)], op.shape, b.dtype(x), axis=axis)


@exports(Expand)
def expand(b: Builder, op: Expand) -> str:
    return b.node("Expand", [b.read(op.x), b.ints(op.to)], op.shape, dtype_of(op))


@exports(Split)
def split(b: Builder, op: Split) -> str:
    """Several results: slices, one a part, made when they are read."""
    return ""


@exports(Get)
def get(b: Builder, op: Get) -> str:
    whole = op.x
    if whole in b.parts:
        return b.cast(b.reshape(b.parts[whole][op.index], op.shape), dtype_of(op))
    assert isinstance(whole, Split)
    start = sum(whole.sizes[: op.index])
    operands = [b.ints(v) for v in ([start], [start + whole.sizes[op.index]], [whole.axis])]
    return b.node("Slice", [b.read(whole.x), *operands], op.shape, dtype_of(op))


@exports(Resize)
def resize(b: Builder, op: Resize) -> str:
    """Scales where they give the stated sizes, else the sizes themselves."""
    sizes = tuple(int(np.floor(np.float32(n * np.float32(s)))) for n, s in zip(op.x.shape[2:], op.scales, strict=True))
    if sizes == op.sizes:
        operands = [b.constant(np.array([1.0, 1.0, *op.scales], F32)), ""]
    else:
        operands = ["", b.ints(op.shape)]
    x = b.read(op.x)
    return b.node(
        "Resize",
        [x, "", *operands][: 3 if not operands[1] else 4],
        op.shape,
        b.dtype(x),
        mode=op.mode,
        coordinate_transformation_mode=op.coordinates,
        nearest_mode=op.nearest,
        cubic_coeff_a=op.cubic_a if op.mode == "cubic" else None,
        exclude_outside=int(op.exclude_outside) or None,
    )
