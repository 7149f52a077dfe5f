"""What is computed from constants is computed at import, unless a small file asks for hours of work."""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import TupleType
from edgec.frontend.onnx.fold import settle
from edgec.frontend.torch.node import Node
from edgec.graph import topological
from edgec.ops import AvgPool, Conv, ConvTranspose, Dense, MatMul, MaxPool, Op

MAX_WORK = 1 << 32
"""Multiplications (or elements looked at) of one call on constants: about ten seconds."""


def folded(node: Node, op: Op) -> Op | np.ndarray:
    """The value of an op above constants only."""
    work = sum(_work(each) for each in topological(op) if not isinstance(each.type, TupleType))
    node.require(work <= MAX_WORK, f"{work} operations on constants", why=f"at most {MAX_WORK} are done at import")
    return settle(op)


def _work(op: Op) -> int:
    size = math.prod(op.shape)
    match op:
        case Conv() | Dense():
            return size * op.terms
        case ConvTranspose():
            return math.prod(op.x.shape) * math.prod(op.w.shape[1:])
        case MatMul():
            return size * op.x.shape[-1]
        case AvgPool() | MaxPool():
            return size * math.prod(op.kernel)
    return size
