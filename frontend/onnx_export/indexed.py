"""Computed indices, ordering, running totals."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx_export.builder import BOOL, I64, Builder, dtype_of, exact_dtype, exports, unit
from edgec.frontend.onnx_export.quantised import dyadic_quantised, refuse
from edgec.ops import Cumulate, Op, Scatter, Take, TopK, centered_range


def _from_end(b: Builder, indices: Op, n: int) -> str:
    """int64 indices, those below zero counted from the end of `n` elements."""
    name = b.read(indices, I64)
    if not indices.format.signed:
        return name
    below = b.each("Less", name, b.scalar(0, I64), dtype=BOOL)
    return b.each("Where", below, b.each("Add", name, b.scalar(n, I64)), name, dtype=I64)


@exports(Take)
def take(b: Builder, op: Take) -> str:
    axis = op.axis % len(op.x.shape)
    n = op.x.shape[axis]
    indices = _from_end(b, op.indices, n)
    lo, hi = op.indices.format.code_range
    if lo < 0 or hi >= n:
        indices = b.each("Clip", indices, b.scalar(0, I64), b.scalar(n - 1, I64))
    x = b.read(op.x)
    return b.node("Gather", [x, indices], op.shape, b.dtype(x), axis=axis)


@exports(Scatter)
def scatter(b: Builder, op: Scatter) -> str:
    """Updates outside go to a row behind x, which is cut off again."""
    if op.reduction == "add" and not op.format.is_float:
        raise refuse(op, "a scatter that adds integers")
    n, dtype = op.x.shape[0], dtype_of(op)
    indices, x = _from_end(b, op.indices, n), b.read(op.x, dtype)
    lo, hi = op.indices.format.code_range
    outside = lo < 0 or hi >= n
    if outside:
        bad = [
            b.each("Less", indices, b.scalar(0, I64), dtype=BOOL),
            b.each("GreaterOrEqual", indices, b.scalar(n, I64), dtype=BOOL),
        ]
        indices = b.each("Where", b.each("Or", *bad), b.scalar(n, I64), indices, dtype=I64)
        spare = b.constant(np.zeros((1, *op.shape[1:]), dtype))
        x = b.node("Concat", [x, spare], (n + 1, *op.shape[1:]), dtype, axis=0)
    places = b.reshape(indices, (op.indices.shape[0], 1))
    operands = [x, places, b.read(op.updates, dtype)]
    y = b.node("ScatterND", operands, b.shape(x), dtype, reduction=op.reduction)
    return b.node("Slice", [y, b.ints([0]), b.ints([n]), b.ints([0])], op.shape, dtype) if outside else y


@exports(TopK)
def top_k(b: Builder, op: TopK) -> str:
    """The node with both results; `Get` reads them."""
    x = b.read(op.x)
    shape = op.type.elements[0].shape  # type: ignore[union-attr]
    names = [b.unique(f"{b.stem}.{n}") for n in ("values", "indices")]
    attributes: dict[str, Any] = {"axis": op.axis, "largest": int(op.largest), "sorted": 1}
    b.nodes.append(onnx.helper.make_node("TopK", [x, b.ints([op.k])], names, name=names[0], **attributes))
    b.info[names[0]], b.info[names[1]] = (b.dtype(x), shape), (I64, shape)
    b.parts[op] = names
    return ""


@exports(Cumulate)
def cumulate(b: Builder, op: Cumulate) -> str:
    if op.function != "sum":
        raise refuse(op, "a running product")
    axis = b.scalar(op.axis % len(op.x.shape), I64)
    flags: dict[str, Any] = {"exclusive": int(op.exclusive), "reverse": int(op.reverse)}
    if op.format.is_float:
        return b.node("CumSum", [b.read(op.x), axis], op.shape, dtype_of(op), **flags)
    try:
        exact = op.replace(out=None)
    except EdgecError:
        raise refuse(op, "integers that wrap at 64 bits") from None
    lo, hi = centered_range(exact.format)
    dtype = exact_dtype(max(-lo, hi), op)
    y = b.node("CumSum", [b.read(op.x, dtype), axis], op.shape, dtype, **flags)
    if op.out is not None:
        step = unit(exact.format)
        y = dyadic_quantised(b, y, op.out, (lo * step, hi * step), op)
    return b.cast(y, dtype_of(op))
