"""Pooling and reductions."""

from __future__ import annotations

from edgec.diagnostics import EdgecError
from edgec.formats import Quantizer
from edgec.frontend.onnx.arithmetic import fits
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import plain
from edgec.frontend.onnx.windows import window
from edgec.ops import ArgMax, AvgPool, MaxPool, Op, Reduce

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
def max_pool(node: Node) -> Op:
    if node.output_used(1):
        node.unsupported("max pooling that returns indices")
    node.ignore("storage_order")  # it is about the indices only
    x = node.op(0)
    w = window(node, x.shape, None)
    return MaxPool(x, w.kernel, w.strides, w.pads, w.dilations, w.ceil_mode, loc=node.loc)


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
