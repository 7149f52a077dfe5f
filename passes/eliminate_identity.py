"""Removes ops that change nothing and joins moves that undo or continue each other.

Exact: every value stays bit for bit, only the sign of a zero may change (x + 0 is dropped, which makes -0 of -0).
A rounding to nearest straight back into the format that a value came from is such an identity too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edgec.diagnostics import EdgecError
from edgec.graph import Graph, Uses, rewrite
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Cast,
    Clip,
    Concat,
    Dequantize,
    Expand,
    Gather,
    Get,
    MaxPool,
    Mul,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Resize,
    Slice,
    Split,
    Sub,
    Transpose,
    merge_loc,
)
from edgec.passes._patterns import only_value
from edgec.pipeline import Context

EXACT_LEVEL_BITS = 16
"""Levels of up to this width survive level * scale / scale in float32 when rounded to nearest."""


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` without identities."""
    return rewrite(graph, rule)


def rule(op: Op, uses: Uses) -> Op | None:
    """What replaces `op`, or None."""
    if isinstance(op, Get) and isinstance(op.x, Split) and len(op.x.sizes) == 1:
        return op.x.x
    source = identity(op)
    if source is not None and source.type == op.type:
        return source
    return joined(op)


def identity(op: Op) -> Op | None:
    """The operand that `op` returns unchanged, if it does (the caller compares the types)."""
    match op:
        case Reshape(x=x) | Expand(x=x) | Concat(xs=(x,)) | Cast(x=x):
            return x  # of the same type, which is compared: nothing happened
        case Transpose(x=x, perm=perm) if perm == tuple(range(len(perm))):
            return x
        case Slice(x=x, steps=steps) if all(s == 1 for s in steps):
            return x
        case Pad(x=x, pads=pads) if not any(pads):
            return x
        case Gather(x=x, indices=indices) if indices == tuple(range(len(indices))):
            return x
        case MaxPool(x=x) | AvgPool(x=x, out=None) if math.prod(op.kernel) == 1 and not any(op.pads):
            return x
        case Resize(x=x, scales=scales) if all(s == 1.0 for s in scales):
            return x
        case Clip(x=x, lo=lo, hi=hi) if lo == -math.inf and hi == math.inf:
            return x
        case Relu(x=Relu() as x):
            return x
        case Relu(x=Clip(lo=lo) as x) if lo >= 0:
            return x
        case Quantize(x=Dequantize(x=x)) if survives(op, x):
            return x
        case Add(x=x, y=y, out=None) if x.format.is_float:
            return x if only_value(y) == 0 else y if only_value(x) == 0 else None
        case Sub(x=x, y=y, out=None) if x.format.is_float and only_value(y) == 0:
            return x
        case Mul(x=x, y=y, out=None) if x.format.is_float:
            return x if only_value(y) == 1 else y if only_value(x) == 1 else None
        case Binary(x=x, y=y, function="div" | "pow") if only_value(y) == 1:
            return x
    return None


def survives(op: Quantize, codes: Op) -> bool:
    """Whether dequantised `codes` come back from `op` as they were."""
    return (
        op.format == codes.format
        and op.format.bits <= EXACT_LEVEL_BITS
        and op.out.rounding.startswith("half")
        and op.out.overflow != "saturate_symmetric"
    )


def joined(op: Op) -> Op | None:
    """One move for two in a row, where the number format follows."""
    match op:
        case Reshape(x=Reshape(x=x) as inner, to=to):
            return typed(op, lambda: Reshape(x, to, loc=merge_loc(inner, op)))
        case Transpose(x=Transpose(x=x, perm=first) as inner, perm=second):
            return typed(op, lambda: Transpose(x, tuple(first[p] for p in second), loc=merge_loc(inner, op)))
        case Concat(xs=xs, axis=axis) if any(isinstance(x, Concat) and same_axis(x, op) for x in xs):
            flat: list[Op] = []
            for x in xs:
                flat += x.xs if isinstance(x, Concat) and same_axis(x, op) else (x,)
            return Concat(tuple(flat), axis, loc=op.loc)
    return None


def same_axis(inner: Concat, outer: Concat) -> bool:
    rank = len(outer.shape)
    return inner.axis % rank == outer.axis % rank


def typed(op: Op, build: Callable[[], Op]) -> Op | None:
    """What `build` gives, when it has the type of `op` (per-channel formats may lose their channels on the way)."""
    try:
        new = build()
    except EdgecError:
        return None
    return new if new.type == op.type else None
