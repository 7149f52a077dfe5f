"""Pooling and reductions."""

from __future__ import annotations

import math

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Quantizer
from edgec.frontend.onnx.arithmetic import fits
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.frontend.onnx.unpooling import places_of_maxima
from edgec.frontend.onnx.windows import Window, window
from edgec.ops import ArgMax, AvgPool, Binary, MaxPool, Mul, Op, Reduce, Unary

_REDUCTIONS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceSumSquare": "sum_square",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
}


@imports("MaxPool")
def max_pool(node: Node) -> tuple[Op, ...]:
    """The maxima and, where they are read, their places in the flattened input."""
    x = node.op(0)
    by_column = node.opset >= 8 and node.flag("storage_order")
    w = window(node, x.shape, None)
    pooled = MaxPool(x, w.kernel, w.strides, w.pads, w.dilations, w.ceil_mode, loc=node.loc)
    return (pooled, places_of_maxima(node, pooled, by_column)) if node.output_used(1) else (pooled,)


@imports("LpPool", "GlobalLpPool")
def lp_pool(node: Node) -> Op:
    """(sum of |x| ** p) ** (1 / p): the mean with padding counted, times the size of the window."""
    x, p = node.floating(0), node.integer("p", 2)
    node.require(p >= 1, f"the norm of order {p}")
    if len(x.shape) < 3:
        node.malformed(f"pooling of {list(x.shape)}")
    if node.op_type == "GlobalLpPool":
        w = Window(x.shape[2:], (), (), (), False)
    else:
        w = window(node, x.shape, None)

    def number(value: float) -> Op:
        return constant_op(np.array(value, x.format.dtype), node.loc)

    power = Binary(Unary(x, "abs", loc=node.loc), number(p), "pow", loc=node.loc)
    mean = AvgPool(power, w.kernel, w.strides, w.pads, w.dilations, w.ceil_mode, True, loc=node.loc)
    if w.ceil_mode:
        full = AvgPool(power, w.kernel, w.strides, w.pads, w.dilations, False, True, loc=node.loc)
        node.require(full.shape == mean.shape, "ceil_mode with a window that reaches outside")
    total = Mul(mean, number(math.prod(w.kernel)), loc=node.loc)
    return Binary(total, number(1 / p), "pow", loc=node.loc)


@imports("AveragePool")
def average_pool(node: Node) -> Op:
    x = node.floating(0)
    w = window(node, x.shape, None)
    include = "count_include_pad" in node.attributes and node.flag("count_include_pad")
    return AvgPool(x, w.kernel, w.strides, w.pads, w.dilations, w.ceil_mode, include, loc=node.loc)


@imports("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> Op:
    x = node.op(0)
    if len(x.shape) < 2:
        node.malformed(f"global pooling of {list(x.shape)}")
    if len(x.shape) == 2:
        return x
    if node.op_type == "GlobalMaxPool":
        return MaxPool(x, x.shape[2:], loc=node.loc)
    return AvgPool(node.floating(0), x.shape[2:], loc=node.loc)


@imports(*_REDUCTIONS)
def reduce(node: Node) -> Op:
    """Axes are an attribute first, an operand from opset 13 (sum) or 18 (all others) on; none means all."""
    x = plain(node.op(0))
    rank = len(x.shape)
    stated = node.ints_at("axes", 1, 13 if node.op_type == "ReduceSum" else 18, "axes")
    noop = "noop_with_empty_axes" in node.attributes and node.flag("noop_with_empty_axes")
    keepdims = node.flag("keepdims", True)
    if not stated and noop:
        if node.op_type not in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
            stated = ()  # the function of each element by itself
        else:
            return x
    axes = node.axes(stated or (), rank) if stated or noop else tuple(range(rank))
    function = _REDUCTIONS[node.op_type]
    if x.format.is_float or function != "sum":
        node.require(x.format.is_float or function in ("max", "min"), f"{node.op_type} of integers")
        return Reduce(x, function, axes, keepdims, loc=node.loc)
    target = node.element(0) or x.format
    try:
        exact = Reduce(x, function, axes, keepdims, loc=node.loc)
    except EdgecError:  # more bits than any format has: it wraps
        exact = None
    if exact is not None and fits(exact.format, target):
        return exact
    return Reduce(x, function, axes, keepdims, Quantizer(target, "floor", "wrap"), loc=node.loc)


@imports("ArgMax", "ArgMin")
def arg_max(node: Node) -> Op:
    x = plain(node.op(0))
    last = "select_last_index" in node.attributes and node.flag("select_last_index")
    axis, keepdims = node.axis(0, len(x.shape)), node.flag("keepdims", True)
    return ArgMax(x, axis, keepdims, last, node.op_type == "ArgMin", loc=node.loc)
