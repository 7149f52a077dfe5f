"""Ops that hand on values, order them, or clamp them: `op(Dequantize(x))` is `Dequantize(op(x))`, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import F32, F64, smallest_fixed
from edgec.ops import (
    ArgMax,
    Cast,
    Clip,
    Concat,
    Constant,
    Dequantize,
    Expand,
    Gather,
    Get,
    MaxPool,
    Op,
    Pad,
    Quantize,
    Reduce,
    Relu,
    Reshape,
    Resize,
    Slice,
    Split,
    Transpose,
    centered_range,
    clip_levels,
    merge_loc,
)
from edgec.passes._cone import NoIntegerForm
from edgec.passes._thresholds import ordered


def codes_behind(op: Op, wide: bool = False) -> Op | None:
    """The integer tensor x of `Dequantize(x)` to float32; with `wide` to float64 too."""
    return op.x if isinstance(op, Dequantize) and (op.to == F32 or (wide and op.to == F64)) else None


def converted(op: Cast) -> Op | None:
    """Dequantize to the other float format, where both hold every value of the codes."""
    codes = codes_behind(op.x, wide=True)
    if codes is None or op.out.format not in (F32, F64) or codes.format.frac is None:
        return None
    fits = smallest_fixed(*centered_range(codes.format), 0).bits <= 24 + codes.format.signed
    return Dequantize(codes, op.out.format, loc=op.loc) if fits else None


def downwards(op: Op, splits: dict[tuple[Op, tuple[int, ...], int], Split]) -> Op | None:
    """`op` on codes with Dequantize behind it, or None when its operands are not dequantised codes.

    `splits` shares one Split between its results. Raises `NoIntegerForm` for formats that cannot express it.
    """
    match op:
        case Cast():
            return converted(op)
        case Reshape(x=x) | Transpose(x=x) | Slice(x=x) | Expand(x=x) | Gather(x=x) | Pad(x=x) | MaxPool(x=x):
            codes = codes_behind(x, wide=True)
            return None if codes is None else folded(_rebuilt(op, x=codes), op)
        case Resize(x=x, mode="nearest") if (codes := codes_behind(x, wide=True)) is not None:
            return folded(_rebuilt(op, x=codes), op)
        case Reduce(x=x, function="max" | "min") if (codes := codes_behind(x, wide=True)) is not None:
            return folded(_rebuilt(op, x=codes), op)
        case Reduce(x=x, function="sum") if (
            codes := codes_behind(x, wide=True)
        ) is not None and codes.format.frac is not None:
            return folded(_rebuilt(op, x=codes), op)
        case Concat(xs=xs):
            inner = [codes_behind(x, wide=True) for x in xs]
            if all(c is not None and c.format == xs[0].operands[0].format for c in inner):
                return folded(_rebuilt(op, xs=tuple(inner)), op)
        case Get(x=Split(x=x) as split) if (codes := codes_behind(x, wide=True)) is not None:
            key = (codes, split.sizes, split.axis)
            if key not in splits:
                splits[key] = _rebuilt(split, x=codes)
            return Dequantize(Get(splits[key], op.index, loc=op.loc), op.format)
        case ArgMax(x=x) if (codes := codes_behind(x, wide=True)) is not None and ordered(codes.format):
            return _rebuilt(op, x=codes)
        case Relu(x=x) if (codes := codes_behind(x, wide=True)) is not None and codes.format.has_zero:
            return folded(_rebuilt(op, x=codes), op)
        case Clip(x=x) if (codes := codes_behind(x, wide=True)) is not None:
            return _clip(op, codes)
    return None


AnyOp = TypeVar("AnyOp", bound=Op)


def _rebuilt(op: AnyOp, **changes: object) -> AnyOp:
    try:
        return op.replace(**changes)
    except EdgecError as error:
        raise NoIntegerForm(error.diagnostics[0].what) from None


def folded(op: Op, like: Op) -> Op:
    """Dequantize of `op` to the float format of `like`, evaluated at once when it moves a constant."""
    from edgec.interp import evaluate

    if op.operands and all(isinstance(o, Constant) for o in op.operands):
        data = evaluate(op, [o.data[None] for o in op.operands if isinstance(o, Constant)])[0]
        op = Constant(np.asarray(data, order="C"), type=op.tensor, loc=merge_loc(*op.operands, op))
    return Dequantize(op, like.format, loc=like.loc)


def _clip(op: Clip, codes: Op) -> Op | None:
    """Clamping of codes, when both bounds are values of the format or lie outside it."""
    fmt = codes.format
    if fmt.axis is not None or fmt.code_range != fmt.level_range:
        return None
    scale, zero = np.float32(fmt.scale_array[0]), int(fmt.zero_point_array[0])
    low, high = fmt.level_range
    try:
        lo, hi = clip_levels(fmt, op.lo, op.hi)
    except OverflowError:
        return None
    for bound, level, extreme in ((op.lo, lo, low), (op.hi, hi, high)):
        if math.isfinite(bound) and level != extreme and np.float32(level - zero) * scale != np.float32(bound):
            return None
        if not low <= level <= high:
            return None
    if (lo, hi) == (low, high):
        return Dequantize(codes, op.format, loc=op.loc)
    return Dequantize(_rebuilt(op, x=codes), op.format, loc=op.loc)


def upwards(op: Quantize, quantized: Callable[[Op], Op]) -> Op | None:
    """Quantize in front of a move, a maximum or a concatenation of floats instead of behind it.

    `quantized(x)` is what becomes of an operand that is quantised like `op`.
    """
    if op.format.axis is not None:
        return None
    move = op.x
    match move:
        case Reshape(x=x) | Transpose(x=x) | Slice(x=x) | Expand(x=x):
            return _rebuilt(move, x=quantized(x), loc=merge_loc(move, op))
        case Gather(x=x, indices=indices) if -1 not in indices:
            return _rebuilt(move, x=quantized(x), loc=merge_loc(move, op))
        case Pad(x=x, mode=mode, value=value) if mode != "constant" or op.format.encodes(value):
            return _rebuilt(move, x=quantized(x), loc=merge_loc(move, op))
        case MaxPool(x=x) if op.out.overflow != "wrap" and ordered(op.format):
            return _rebuilt(move, x=quantized(x), loc=merge_loc(move, op))
        case Concat(xs=xs):
            return _rebuilt(move, xs=tuple(quantized(x) for x in xs), loc=merge_loc(move, op))
    return None
