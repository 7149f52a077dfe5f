"""Brings equal computations into one form, so that later passes and backends meet few patterns.

Bit-exact in float32 (the sign of a zero aside):
  * a constant moves to the right of Add, Mul, max and min; x - c becomes x + (-c); x / 2**k becomes x * 2**-k
  * a constant added per output channel behind a layer without bias becomes its bias, dequantised codes too
  * Relu and Clip in a row become one; max or min with one value becomes Clip; PRelu with one slope leaky ReLU
  * a Relu or Clip behind a move or max pooling goes in front of it, next to the layer that it belongs to

Equal up to float32 rounding (stated, 1e-5 relative to the largest term):
  * a constant added behind a layer that has a bias already: the two biases are summed first
  * MatMul with constant weights becomes Dense; the mean over all spatial axes becomes average pooling: other
    orders of summation
"""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import TensorType
from edgec.graph import Graph, Uses, rewrite
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Clip,
    Constant,
    Dense,
    Dequantize,
    MatMul,
    MaxPool,
    Mul,
    Op,
    PRelu,
    Reduce,
    Relu,
    Reshape,
    Sub,
    Transpose,
    Unary,
    constant,
    merge_loc,
)
from edgec.ops.shape import moved
from edgec.passes._patterns import (
    MacOp,
    channel_axis,
    float_constant,
    is_parameter,
    only_value,
    per_channel,
    quantized_constant,
)
from edgec.passes.eliminate_identity import rule as identity_rule
from edgec.passes.fold_constants import layout_inside
from edgec.pipeline import Context


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` in canonical form."""
    return rewrite(graph, rule)


def rule(op: Op, uses: Uses) -> Op | None:
    """What replaces `op`, or None."""
    for step in (ordered, bias, clipping, one_value, reductions, product):
        if (new := step(op, uses)) is not None:
            return new
    return activation_first(op, uses) or identity_rule(op, uses)


def ordered(op: Op, uses: Uses) -> Op | None:
    """Constants to the right, Sub of a constant as Add, Div by a power of two as Mul."""
    match op:
        case Add(x=x, y=y) | Mul(x=x, y=y) if is_parameter(x) and not is_parameter(y):
            return op.replace(x=y, y=x)
        case Binary(x=x, y=y, function="max" | "min") if is_parameter(x) and not is_parameter(y):
            return op.replace(x=y, y=x)
        case Sub(x=x, y=Constant() as c, out=None) if c.format.is_float:
            return Add(x, _same(c, -c.data), loc=op.loc)
        case Binary(x=x, y=Constant() as c, function="div") if c.format.is_float and c.data.size:
            mantissa, exponent = np.frexp(np.abs(c.data))
            if bool((mantissa == 0.5).all()) and int(np.abs(exponent).max()) < 100:
                return Mul(x, _same(c, 1 / c.data), loc=op.loc)
    return None


def _same(like: Constant, data: np.ndarray) -> Constant:
    return Constant(np.asarray(data, like.data.dtype), type=like.type, loc=like.loc)


def bias(op: Op, uses: Uses) -> Op | None:
    """A constant that is added per output channel, as the bias of the layer in front."""
    match op:
        case Add(x=x, y=y, out=None) if isinstance(x, MacOp) and is_parameter(y):
            layer = x
        case _:
            return None
    if uses(layer) != 1 or layer.shape != op.shape or not layer.format.is_float:
        return None
    axis = channel_axis(layer)
    codes = quantized_constant(op.y)
    if codes is not None:
        data = per_channel(codes.data, op.shape, axis)
        if layer.b is not None or data is None or (codes.format.axis is not None and codes.data.size != data.size):
            return None
        fmt = moved(codes.format, 0)
        assert isinstance(op.y, Dequantize)
        new: Op = Dequantize(Constant(data, type=TensorType(fmt, data.shape), loc=codes.loc), op.y.to, loc=op.y.loc)
    else:
        added = float_constant(op.y)
        old = float_constant(layer.b)
        if added is None or (layer.b is not None and old is None):
            return None
        data = per_channel(added.data, op.shape, axis)
        if data is None:
            return None
        data = data if old is None else data + old.data
        new = constant(data, added.format, loc=merge_loc(old, added))
    return layer.replace(b=new, loc=merge_loc(layer, op))


def bounds(op: Op) -> tuple[float, float] | None:
    """The range that a Relu or Clip cuts to."""
    if isinstance(op, Relu):
        return 0.0, math.inf
    return (op.lo, op.hi) if isinstance(op, Clip) else None


def clipping(op: Op, uses: Uses) -> Op | None:
    """Relu and Clip in a row as one, Clip(0, inf) as Relu, max and min with one value as Clip."""
    if isinstance(op, Clip) and (op.lo, op.hi) == (0.0, math.inf):
        return Relu(op.x, loc=op.loc)
    if isinstance(op, Binary) and op.function in ("max", "min") and op.x.shape == op.shape:
        value = only_value(op.y)
        if value is None or math.isnan(value):
            return None
        lo, hi = (value, math.inf) if op.function == "max" else (-math.inf, value)
        return Clip(op.x, lo, hi, loc=op.loc)
    outer = bounds(op)
    inner = bounds(op.x) if outer is not None else None  # type: ignore[attr-defined]
    if outer is None or inner is None or uses(op.x) != 1:  # type: ignore[attr-defined]
        return None
    lo, hi = max(inner[0], outer[0]), min(inner[1], outer[1])
    return Clip(op.x.x, lo, hi, loc=merge_loc(op.x, op)) if lo <= hi else None  # type: ignore[attr-defined]


def one_value(op: Op, uses: Uses) -> Op | None:
    """PRelu with one slope as leaky ReLU, leaky ReLU without slope as ReLU."""
    match op:
        case PRelu(x=x, slope=slope) if (alpha := only_value(slope)) is not None and math.isfinite(alpha):
            return Unary(x, "leaky_relu", alpha, loc=op.loc)
        case Unary(x=x, function="leaky_relu", alpha=0.0):
            return Relu(x, loc=op.loc)
    return None


def reductions(op: Op, uses: Uses) -> Op | None:
    """The mean over all spatial axes as average pooling."""
    if not isinstance(op, Reduce) or op.function != "mean":
        return None
    rank = len(op.x.shape)
    if rank < 3 or sorted(a % rank for a in op.axes) != list(range(2, rank)):
        return None
    pooled = AvgPool(op.x, op.x.shape[2:], loc=op.loc)
    return pooled if op.keepdims else Reshape(pooled, op.shape, loc=op.loc)


def product(op: Op, uses: Uses) -> Op | None:
    """MatMul with constant weights [K, N] as Dense."""
    if not isinstance(op, MatMul) or len(op.y.shape) != 2 or not is_parameter(op.y):
        return None
    transposed = Transpose(op.y, (1, 0), loc=op.y.loc)
    if isinstance(op.y, Constant):
        weights: Op | None = Constant(op.y.data.T, type=transposed.type, loc=op.y.loc)
    else:
        weights = layout_inside(transposed)
    if weights is None or (weights.operands and weights.operands[0].format.axis not in (None, 0)):
        return None
    return Dense(op.x, weights, loc=op.loc)


def activation_first(op: Op, uses: Uses) -> Op | None:
    """Relu and Clip in front of the moves and max poolings that they follow; they commute."""
    if bounds(op) is None or not op.format.is_float:
        return None
    move = op.x  # type: ignore[attr-defined]
    if uses(move) != 1:
        return None
    pool = isinstance(move, MaxPool) and not move.ceil_mode and all(d == 1 for d in move.dilations)
    if not (pool or isinstance(move, Reshape | Transpose)) or is_parameter(move.x):
        return None
    if uses(move.x) != 1:
        return None  # another reader wants the values before the activation
    inner = op.replace(x=move.x)
    return move.replace(x=clipping(inner, uses) or activation_first(inner, uses) or inner)
