"""Folds batch normalisation and per-channel factors into the float weights beside them.

After a Conv, Dense or ConvTranspose: w' = w * s, b' = b * s + t per output channel, with s = scale / sqrt(var +
epsilon) and t = bias - mean * s. Before a Conv or Dense: w' = w * s per input channel, b' = b + sum(w * t); with
padding only when t is 0, because a padded tap is zero before and after. A product with (or a quotient by) a
constant is the case t = 0, an added constant before a layer the case s = 1.

The new weights are computed in float64 and rounded once, so results agree to float32 rounding, not bit for bit.
Quantised weights (`Dequantize(Constant)`, power-of-two ones among them) are never touched: their scale belongs to
the requantisation behind the sum.
"""

from __future__ import annotations

import numpy as np

from edgec.graph import Graph, Uses, rewrite
from edgec.ops import Add, BatchNorm, Binary, Constant, Conv, ConvTranspose, Dense, Mul, Op, Sub, constant, merge_loc
from edgec.passes._patterns import MacOp, channel_axis, float_constant, per_channel
from edgec.pipeline import Context

Scaling = tuple[np.ndarray, np.ndarray]
"""Factor and offset per channel, float64 [C]: y = x * factor + offset."""


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with batch normalisations and per-channel factors in the weights, where these are floats."""
    return rewrite(graph, rule)


def rule(op: Op, uses: Uses) -> Op | None:
    """What replaces `op`, or None."""
    return behind(op, uses) or before(op, uses)


def behind(op: Op, uses: Uses) -> Op | None:
    """A layer whose only reader `op` scales its channels."""
    found = scaling(op, after_layer=True)
    if found is None:
        return None
    layer, (factor, offset) = found
    if not isinstance(layer, MacOp) or uses(layer) != 1 or layer.shape != op.shape:
        return None
    w, b = float_constant(layer.w), float_constant(layer.b)
    if w is None or (layer.b is not None and b is None):
        return None
    weights = w.values * output_factor(layer, factor)
    bias = offset if b is None else b.values * factor + offset
    loc = merge_loc(layer, op)
    return layer.replace(
        w=parameter(weights, w, op),
        b=parameter(bias, b or w, op) if b is not None or offset.any() else None,
        loc=loc,
    )


def before(op: Op, uses: Uses) -> Op | None:
    """A Conv or Dense that reads scaled channels."""
    if not isinstance(op, Conv | Dense) or uses(op.x) != 1:
        return None
    old, b = float_constant(op.w), float_constant(op.b)
    if old is None or (op.b is not None and b is None):
        return None
    found = scaling(op.x, after_layer=False, axis=channel_axis(op))
    if found is None:
        return None
    source, (factor, offset) = found
    if source.shape != op.x.shape or (offset.any() and isinstance(op, Conv) and any(op.pads)):
        return None
    w = old.values
    if isinstance(op, Conv):
        per_group = w.shape[1]
        group = np.arange(w.shape[0]) // (w.shape[0] // op.groups)
        channels = group[:, None] * per_group + np.arange(per_group)  # input channel of every weight, [O, C/groups]
        spread = (slice(None), slice(None), *(None,) * (w.ndim - 2))
        weights, shift = w * factor[channels][spread], (w * offset[channels][spread]).sum(axis=tuple(range(1, w.ndim)))
    else:
        weights, shift = w * factor, w @ offset
    bias = shift if b is None else b.values + shift
    return op.replace(
        x=source,
        w=parameter(weights, old, op.x),
        b=parameter(bias, b or old, op.x) if b is not None or offset.any() else None,
        loc=merge_loc(op.x, op),
    )


def scaling(op: Op, *, after_layer: bool, axis: int = -1) -> tuple[Op, Scaling] | None:
    """The operand that `op` scales per channel with constants, and how; `axis` is taken from a layer when behind it."""
    if isinstance(op, BatchNorm):
        if after_layer and isinstance(op.x, MacOp):
            axis = channel_axis(op.x)
        parameters = [float_constant(p) for p in (op.scale, op.bias, op.mean, op.var)]
        if axis != 1 or any(p is None for p in parameters):
            return None
        scale, bias, mean, var = (p.values for p in parameters if p is not None)
        root = np.sqrt(var + op.epsilon)
        if not (np.isfinite(root) & (root > 0)).all():
            return None
        return op.x, (scale / root, bias - mean * scale / root)
    if not isinstance(op, Mul | Binary | Add | Sub) or not op.format.is_float:
        return None
    if isinstance(op, Binary) and op.function != "div":
        return None
    if after_layer and isinstance(op, Add | Sub):
        return None  # that is a bias: `fuse`
    if (fixed := float_constant(op.y)) is not None:
        source = op.x
    elif isinstance(op, Mul | Add) and (fixed := float_constant(op.x)) is not None:
        source = op.y
    else:
        return None
    if after_layer:
        if not isinstance(source, MacOp):
            return None
        axis = channel_axis(source)
    values = per_channel(fixed.values, source.shape, axis)
    if values is None or not np.isfinite(values).all():
        return None
    one, zero = np.ones(values.size), np.zeros(values.size)
    match op:
        case Mul():
            return source, (values, zero)
        case Binary():
            return (source, (1 / values, zero)) if values.all() else None
        case Add():
            return source, (one, values)
    return source, (one, -values)


def output_factor(layer: MacOp, factor: np.ndarray) -> np.ndarray:
    """`factor` per output channel, shaped to multiply the weights of `layer`."""
    w = layer.w
    if not isinstance(layer, ConvTranspose):
        return factor.reshape(-1, *(1,) * (len(w.shape) - 1))
    groups = layer.groups  # w is [C, O/groups, *K]; input channel c belongs to group c // (C/groups)
    by_group = np.repeat(factor.reshape(groups, -1), w.shape[0] // groups, axis=0)
    return by_group.reshape(*w.shape[:2], *(1,) * (len(w.shape) - 2))


def parameter(values: np.ndarray, old: Op, cause: Op) -> Constant:
    return constant(values, old.format, loc=merge_loc(old, cause))
