"""Computes at compile time what depends on constants only, with the reference interpreter.

`Quantize(Constant)` becomes a constant of codes; `Dequantize(Constant)` stays, because that is how quantised
parameters are written, and layout changes move inside it. Results that are much larger than their operands (an
expanded scalar) are left to run time. Identities go as well (`eliminate-identity`). All of it is exact.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph, Uses, rewrite
from edgec.interp import evaluate
from edgec.ops import (
    Constant,
    Conv,
    Dense,
    Dequantize,
    Get,
    Input,
    MatMul,
    Op,
    Quantize,
    Reshape,
    Split,
    Transpose,
    merge_loc,
)
from edgec.passes import eliminate_identity
from edgec.passes._patterns import quantized_constant
from edgec.pipeline import Context

SMALL = 4096
"""Results of up to this many elements are always kept; larger ones when they are no larger than twice the operands."""

MOST = 1 << 28
"""Elements of all results together: what goes beyond is left to run time, too."""
PRODUCTS = 1 << 33
"""Multiplications that one result may take."""


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with constant subgraphs evaluated and identities removed."""
    left = MOST

    def within(op: Op, uses: Uses) -> Op | None:
        nonlocal left
        if left < 0:
            return layout_inside(op) or eliminate_identity.rule(op, uses)
        new = rule(op, uses)
        if isinstance(new, Constant):
            left -= new.tensor.size
        return new

    return rewrite(graph, within)


def rule(op: Op, uses: Uses) -> Op | None:
    """What replaces `op`, or None."""
    return folded(op) or layout_inside(op) or eliminate_identity.rule(op, uses)


def folded(op: Op) -> Constant | None:
    """`op` as a constant, when all its operands are and the result is not unreasonably large."""
    if isinstance(op, Input | Constant | Dequantize | Split):
        return None
    if isinstance(op, Get):
        split = op.x
        if not isinstance(split, Split) or not isinstance(split.x, Constant):
            return None
        return _constant(op, evaluate(op, [evaluate(split, [split.x.data[None]])]), merge_loc(split.x, split, op))
    if isinstance(op, Quantize) and (codes := quantized_constant(op.x)) is not None:
        values = evaluate(op.x, [codes.data[None]])
        return _constant(op, evaluate(op, [values]), merge_loc(codes, op))
    operands = op.operands
    if not operands or not all(isinstance(o, Constant) for o in operands):
        return None
    if op.tensor.size > max(SMALL, 2 * sum(o.tensor.size for o in operands)):
        return None
    if isinstance(op, Dense | Conv | MatMul) and op.tensor.size * _terms(op) > PRODUCTS:
        return None
    return _constant(op, evaluate(op, [o.data[None] for o in operands]), merge_loc(*operands, op))  # type: ignore[attr-defined]


def _terms(op: Dense | Conv | MatMul) -> int:
    return op.x.shape[-1] if isinstance(op, MatMul) else op.terms


def _constant(op: Op, codes: np.ndarray, loc: tuple[str, ...]) -> Constant:
    data = np.asarray(np.broadcast_to(codes, (1, *op.shape))[0], order="C")  # of a scalar too
    data.flags.writeable = False  # the constant can then take it as it is
    return Constant(data, type=op.type, loc=loc)


def layout_inside(op: Op) -> Op | None:
    """Reshape and Transpose of dequantised parameters done on the codes, where their channels survive."""
    if not isinstance(op, Reshape | Transpose) or (codes := quantized_constant(op.x)) is None:
        return None
    assert isinstance(op.x, Dequantize)
    try:
        moved = folded(op.replace(x=codes))
    except EdgecError:
        return None
    return Dequantize(moved, op.x.to, loc=merge_loc(op.x, op)) if moved is not None else None
