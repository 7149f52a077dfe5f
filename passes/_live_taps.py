"""Which taps of a layer ever see data: padding and the empty places of a cell map contribute nothing.

`liveness` finds, per tensor, the elements that are the value zero in every frame (padding, Gather index -1,
constants) and follows them through moves and through ops that keep zero. `live_taps` then tells for every output
position of a convolution which taps can be non-zero. Hardware builds the others away (the 8x8 image of
the ECON-T encoder, arXiv 2105.01683, with its empty quadrant keeps 680 of 1152 convolution products).
"""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import F32, TensorType
from edgec.graph import Graph
from edgec.interp import evaluate
from edgec.interp.mac import windows
from edgec.ops import (
    Add,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Constant,
    Conv,
    Dense,
    Dequantize,
    Expand,
    Gather,
    Get,
    Input,
    MaxPool,
    Mul,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Slice,
    Split,
    Sub,
    Transpose,
)

MOVES = (Reshape, Transpose, Concat, Slice, Pad, Gather, Expand, MaxPool, AvgPool)
"""Evaluated on 1 (live) and 0 (always zero) themselves; of 0 and 1, pooling is live where an element is."""
KEEP_ZERO = (Quantize, Dequantize, Cast, Relu)
"""Zero stays zero in them (a quantiser must be able to write it)."""

Liveness = dict[Op, np.ndarray]


def liveness(graph: Graph) -> Liveness:
    """For every op with one result, bool [*shape]: False where the value is zero in every frame."""
    live: Liveness = {}
    for op in graph.ops:
        if isinstance(op.type, TensorType):
            live[op] = _live(op, live)
    return live


def _live(op: Op, live: Liveness) -> np.ndarray:
    match op:
        case Constant():
            return op.values != 0
        case Quantize(x=x) if not op.format.has_zero:
            return np.ones(op.shape, bool)
        case Clip(x=x) if op.lo <= 0 <= op.hi:
            return live[x]
        case Get(x=Split(x=x) as split):
            return np.split(live[x], np.cumsum(split.sizes)[:-1], axis=split.axis)[op.index]
        case Add(x=x, y=y) | Sub(x=x, y=y):
            return np.broadcast_to(live[x] | live[y], op.shape)
        case Mul(x=x, y=y):
            return np.broadcast_to(live[x] & live[y], op.shape)
    if isinstance(op, KEEP_ZERO):
        return live[op.x]
    if isinstance(op, MOVES):
        return _moved(op, live)
    return np.ones(op.shape, bool)


def _moved(op: Op, live: Liveness) -> np.ndarray:
    """`op` itself, done in floats on the liveness of its operands."""
    masks = [live[o].astype(np.float32) for o in op.operands]
    stand_ins = [Input(f"x{i}", type=TensorType(F32, m.shape)) for i, m in enumerate(masks)]
    twin = (op.replace(out=None) if isinstance(op, AvgPool) and op.out is not None else op).with_operands(stand_ins)
    return evaluate(twin, [m[None] for m in masks])[0] != 0


def live_taps(op: Conv, live: np.ndarray | None = None) -> np.ndarray:
    """Bool [N, C, *T, *K]: whether tap K of input channel C sees data at output position T.

    `live` [N, C, *S] marks the live elements of the input (from `liveness`); None means all of them.
    """
    mask = np.ones(op.x.shape, bool) if live is None else live
    return np.ascontiguousarray(windows(mask, op))


def live_macs(op: Conv | Dense, live: np.ndarray | None = None) -> int:
    """Products of one frame that are left when taps that never see data are dropped."""
    if isinstance(op, Conv):
        return int(live_taps(op, live).sum()) * (op.w.shape[0] // op.groups)
    inputs = math.prod(op.x.shape) if live is None else int(live.sum())
    return inputs * op.w.shape[0]
