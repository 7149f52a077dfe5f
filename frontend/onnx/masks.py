"""Operators that choose by place or by kind of number: triangles, one-hot vectors, tests for NaN and infinity."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.arithmetic import same_format
from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.ops import ArgMax, Binary, Op, Reshape, Slice, Unary, Where


@imports("Trilu")
def trilu(node: Node) -> Op:
    """The upper or lower triangle of the last two axes, zero elsewhere."""
    x = plain(node.op(0))
    if len(x.shape) < 2:
        node.malformed(f"a triangle of {list(x.shape)}")
    upper = node.flag("upper", True)
    k = int(node.known_scalar(1, "diagonal")) if node.has(1) else 0
    rows, columns = x.shape[-2:]
    distance = np.arange(columns) - np.arange(rows)[:, None]
    mask = constant_op(distance >= k if upper else distance <= k, node.loc)
    return Where(mask, x, constant_op(np.zeros((), x.format.dtype), node.loc, x.format), loc=node.loc)


def _places(node: Node, index: Op, depth: int, axis: int, first: int = 0) -> Op:
    """Where `index`, of size 1 along `axis`, equals first, first + 1, ... along it."""
    shape = [depth if i == axis else 1 for i in range(len(index.shape))]
    steps = np.arange(first, first + depth).reshape(shape)
    if index.format.is_float:
        return Binary(index, constant_op(steps.astype(index.format.dtype), node.loc), "equal", loc=node.loc)
    return Binary(*same_format(node, index, constant_op(steps, node.loc)), "equal", loc=node.loc)


@imports("OneHot")
def one_hot(node: Node) -> Op:
    """`values[1]` at the index (counted from the end below zero), `values[0]` elsewhere."""
    indices, depth, values = plain(node.op(0)), int(node.known_scalar(1, "depth")), plain(node.op(2))
    rank = len(indices.shape) + 1
    axis = node.axis(-1, rank)
    if depth < 1 or values.shape != (2,):
        node.malformed(f"depth {depth} with values {list(values.shape)}")
    node.limit(*indices.shape, depth)
    wide = moved(Reshape(indices, (*indices.shape[:axis], 1, *indices.shape[axis:]), loc=node.loc))
    hot = _places(node, wide, depth, axis)
    if indices.format.signed:
        hot = Binary(hot, _places(node, wide, depth, axis, -depth), "or", loc=node.loc)
    off, on = (moved(Reshape(moved(Slice(values, (i,), (i + 1,), (1,))), ())) for i in (0, 1))
    return Where(hot, on, off, loc=node.loc)


@imports("Hardmax")
def hardmax(node: Node) -> Op:
    """1 at the first largest element; before opset 13 over all axes from `axis` on."""
    x = node.floating(0)
    shape, rank = x.shape, len(x.shape)
    axis = node.axis(-1 if node.opset >= 13 else 1, rank)
    if node.opset < 13:
        x, axis = Reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])), loc=node.loc), 1
    hot = _places(node, ArgMax(x, axis, loc=node.loc), x.shape[axis], axis)
    one, zero = (constant_op(np.array(v, x.format.dtype), node.loc) for v in (1, 0))
    y = Where(hot, one, zero, loc=node.loc)
    return y if y.shape == shape else Reshape(y, shape, loc=node.loc)


@imports("IsNaN")
def is_nan(node: Node) -> Op:
    x = node.floating(0)
    return Unary(Binary(x, x, "equal", loc=node.loc), "not", loc=node.loc)


@imports("IsInf")
def is_inf(node: Node) -> Op:
    x = node.floating(0)
    negative, positive = node.flag("detect_negative", True), node.flag("detect_positive", True)
    if not negative and not positive:
        return constant_op(np.zeros(x.shape, np.bool_), node.loc)
    if negative and positive:
        x = Unary(x, "abs", loc=node.loc)
    limit = constant_op(np.array(math.inf if positive else -math.inf, x.format.dtype), node.loc)
    return Binary(x, limit, "equal", loc=node.loc)
