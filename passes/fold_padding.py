"""Folds explicit padding into the `pads` attribute of the convolution or pooling that reads it.

Legal, and exact, when the padding holds what the window op assumes outside of its tensor: the value zero (in a
format with a zero point, its code) for Conv and for AvgPool that counts padded elements; nothing above the smallest
value that can occur for MaxPool. Padding may be asymmetric. Relu and Clip between the two, and Quantize and
Dequantize of zeros, are passed through.
"""

from __future__ import annotations

import math

from edgec.graph import Graph, Uses, rewrite
from edgec.ops import (
    AvgPool,
    Clip,
    Conv,
    Dequantize,
    MaxPool,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Transpose,
    Unary,
    merge_loc,
)
from edgec.pipeline import Context

NEVER_NEGATIVE = ("sigmoid", "softplus", "exp", "abs", "sqrt", "hard_sigmoid")


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with explicit padding folded where legal."""
    return rewrite(graph, rule)


def rule(op: Op, uses: Uses) -> Op | None:
    """What replaces `op`, or None."""
    if isinstance(op, Pad):
        return joined(op, uses)
    if not isinstance(op, Conv | MaxPool | AvgPool):
        return None
    found = padding_above(op.x, uses)
    if found is None:
        return None
    pad, value, source = found
    rank = len(op.x.shape) - 2
    outer = spatial_pads(pad, rank)
    if outer is None or not legal(op, value, source):
        return None
    pads = tuple(a + b for a, b in zip(op.pads, outer, strict=True))
    if isinstance(op, MaxPool | AvgPool) and any(p >= k for p, k in zip(pads, op.kernel * 2, strict=True)):
        return None  # a window that sees nothing but padding
    changes = {"count_include_pad": True} if isinstance(op, AvgPool) else {}
    return op.replace(x=source, pads=pads, loc=merge_loc(pad, op), **changes)


def joined(op: Pad, uses: Uses) -> Op | None:
    """Two growing constant paddings of one value as one."""
    inner = op.x
    if not isinstance(inner, Pad) or uses(inner) != 1 or not (inner.mode == op.mode == "constant"):
        return None
    if inner.value != op.value or min(*inner.pads, *op.pads) < 0:
        return None
    return op.replace(
        x=inner.x, pads=tuple(a + b for a, b in zip(inner.pads, op.pads, strict=True)), loc=merge_loc(inner, op)
    )


def padding_above(op: Op, uses: Uses) -> tuple[Pad, float, Op] | None:
    """The Pad above `op`, what its value has become at `op`, and `op` rebuilt without it."""
    if isinstance(op, Pad):
        return (op, op.value, op.x) if op.mode == "constant" else None
    if not isinstance(op, Quantize | Dequantize | Relu | Clip) or uses(op) != 1:
        return None
    found = padding_above(op.x, uses)
    if found is None:
        return None
    pad, value, source = found
    if isinstance(op, Relu):
        value = max(value, 0.0)
    elif isinstance(op, Clip) and op.format.is_float:
        value = min(max(value, op.lo), op.hi)
    elif value != 0 or (isinstance(op, Quantize) and not op.format.has_zero):
        return None
    return pad, value, op.replace(x=source)


def spatial_pads(pad: Pad, rank: int) -> tuple[int, ...] | None:
    """The pads of the spatial axes (begin..., end...) when only those grow."""
    pads = pad.pads
    half = rank + 2
    if len(pads) != 2 * half or min(pads) < 0 or any((*pads[:2], *pads[half : half + 2])):
        return None
    return (*pads[2:half], *pads[half + 2 :])


def legal(op: Conv | MaxPool | AvgPool, value: float, source: Op) -> bool:
    """Whether the padded elements are what `op` assumes outside of its tensor."""
    if isinstance(op, Conv):
        return value == 0
    if op.ceil_mode or any(d != 1 for d in op.dilations):
        return False
    if isinstance(op, MaxPool):
        return value <= lower_bound(source)
    return value == 0 and (op.count_include_pad or not any(op.pads))


def lower_bound(op: Op) -> float:
    """A value that no element of `op` is below, as far as its formats and the ops above it tell."""
    fmt = op.format
    known = -math.inf
    if not fmt.is_float and fmt.axis is None:
        known = (fmt.level_range[0] - int(fmt.zero_point_array[0])) * float(fmt.scale_array[0])
    match op:
        case Relu(x=x):
            return max(known, lower_bound(x), 0.0)
        case Clip(x=x, lo=lo) if fmt.is_float:
            return max(lower_bound(x), lo)
        case Unary(function=function) if function in NEVER_NEGATIVE:
            return 0.0
        case Dequantize(x=x) | MaxPool(x=x) | Reshape(x=x) | Transpose(x=x):
            return max(known, lower_bound(x))
    return known
