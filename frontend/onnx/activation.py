"""Functions of one tensor: activations, softmax, clipping."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.arithmetic import same_format
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.ops import Binary, Clip, Mul, Op, PRelu, Relu, Reshape, Softmax, Unary

_PLAIN = {
    name: name.lower()
    for name in [
        "Exp",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Softplus",
        "Softsign",
        "Floor",
        "Ceil",
        "Round",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Acosh",
        "Atanh",
        "Mish",
    ]
}
_WITH_PARAMETERS: dict[str, tuple[str, float, float]] = {
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "Elu": ("elu", 1.0, 0.0),
    "Celu": ("celu", 1.0, 0.0),
    "LeakyRelu": ("leaky_relu", 0.01, 0.0),
    "ThresholdedRelu": ("thresholded_relu", 1.0, 0.0),
}
"""Operator -> function, default alpha, default beta."""


@imports(*_PLAIN)
def unary(node: Node) -> Op:
    return Unary(node.floating(0), _PLAIN[node.op_type], loc=node.loc)


@imports(*_WITH_PARAMETERS)
def parametric(node: Node) -> Op:
    function, alpha, beta = _WITH_PARAMETERS[node.op_type]
    alpha = node.number("alpha", alpha)
    beta = node.number("beta", beta) if node.op_type == "HardSigmoid" else beta
    return Unary(node.floating(0), function, alpha, beta, loc=node.loc)


@imports("Selu")
def selu(node: Node) -> Op:
    alpha = node.number("alpha", 1.67326319217681884765625)
    gamma = node.number("gamma", 1.05070102214813232421875)
    return Unary(node.floating(0), "selu", alpha, gamma, loc=node.loc)


@imports("HardSwish")
def hard_swish(node: Node) -> Op:
    return Unary(node.floating(0), "hard_swish", loc=node.loc)


@imports("Gelu")
def gelu(node: Node) -> Op:
    tanh = node.string("approximate", "none", ("none", "tanh")) == "tanh"
    return Unary(node.floating(0), "gelu_tanh" if tanh else "gelu", loc=node.loc)


@imports("Swish")
def swish(node: Node) -> Op:
    """x * sigmoid(alpha * x)."""
    x, alpha = node.floating(0), node.number("alpha", 1.0)
    inner = x
    if alpha != 1.0:
        inner = Mul(x, constant_op(np.array(alpha, x.format.dtype), node.loc), loc=node.loc)
    return Mul(x, Unary(inner, "sigmoid", loc=node.loc), loc=node.loc)


@imports("Relu")
def relu(node: Node) -> Op:
    return Relu(plain(node.op(0)), loc=node.loc)


@imports("PRelu")
def prelu(node: Node) -> Op:
    x, slope = node.floating(0), node.floating(1)
    if node.opset < 7 and len(slope.shape) == 1 and len(x.shape) > 2:
        slope = Reshape(slope, (*slope.shape, *(1,) * (len(x.shape) - 2)), loc=node.loc)
    return PRelu(x, slope, loc=node.loc)


@imports("Clip")
def clip(node: Node) -> Op:
    """Bounds are attributes before opset 11, operands (constant or not) from then on."""
    x = plain(node.op(0))
    bounds: list[float | None] = []
    if node.opset < 11:
        bounds = [node.number(name, default) for name, default in (("min", -3.4028235e38), ("max", 3.4028235e38))]
    else:
        for index in (1, 2):
            if node.has(index) and not isinstance(node.value(index), np.ndarray):
                return _clip_computed(node, x)
            bounds.append(node.known_scalar(index, "bound") if node.has(index) else None)
    if any(b is not None and math.isnan(b) for b in bounds):
        node.unsupported("a bound that is not a number")
    lo = -math.inf if bounds[0] is None else bounds[0]
    hi = math.inf if bounds[1] is None else bounds[1]
    if lo > hi:  # the standard applies min first, then max: everything becomes max
        return _clip_computed(node, x)
    return Clip(x, lo, hi, loc=node.loc)


def _clip_computed(node: Node, x: Op) -> Op:
    for index, function in ((1, "max"), (2, "min")):
        if node.has(index):
            x = Binary(*same_format(node, x, plain(node.op(index))), function, loc=node.loc)
    return x


@imports("Softmax", "LogSoftmax")
def softmax(node: Node) -> Op:
    """Before opset 13 all axes from `axis` on are one; from then on only `axis`."""
    x = node.floating(0)
    rank, log = len(x.shape), node.op_type == "LogSoftmax"
    if not rank:
        node.malformed("softmax of a scalar")
    if node.opset >= 13:
        return Softmax(x, node.axis(-1, rank), log, loc=node.loc)
    axis = node.integer("axis", 1)
    if axis == rank == 1:  # the default on a vector: nothing is left to flatten
        axis = 0
    if not -rank <= axis < rank:
        node.malformed(f"axis {axis} of a tensor with {rank} dimensions")
    axis %= rank
    if math.prod(x.shape[axis:]) == x.shape[-1]:
        return Softmax(x, rank - 1, log, loc=node.loc)
    flat = Reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), loc=node.loc)
    return Reshape(Softmax(flat, 1, log, loc=node.loc), x.shape, loc=node.loc)
