"""Functions of one tensor: activations, softmax, clipping, roots and powers."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.torch.node import Missing, Node, Value
from edgec.frontend.torch.registry import imports
from edgec.ops import Add, Binary, Clip, Mul, Op, PRelu, Relu, Reshape, Softmax, Sub, Unary, Where

_PLAIN = {
    f"{name}.default": name
    for name in (
        [
            "abs",
            "neg",
            "exp",
            "log",
            "sqrt",
            "reciprocal",
            "sigmoid",
            "tanh",
            "erf",
            "floor",
            "ceil",
            "round",
            "sign",
            "sin",
            "cos",
            "mish",
        ]
    )
}


_KNOWN = {"abs": np.abs, "neg": np.negative, "sign": np.sign, "floor": np.asarray, "ceil": np.asarray}


@imports(*_PLAIN)
def unary(node: Node) -> Value:
    function, x = _PLAIN[node.operator.removeprefix("aten.")], node.value("self")
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and node.dtype().kind in "iu" and function in _KNOWN:
        return _KNOWN[function](x).astype(node.dtype())
    return Unary(node.floating("self"), function, loc=node.loc)


_OTHER_BASES = {"exp2": math.log(2), "log2": 1 / math.log(2), "log10": 1 / math.log(10)}


@imports(*(f"{name}.default" for name in _OTHER_BASES))
def other_base(node: Node) -> Op:
    """Exponential and logarithms whose base is not e."""
    name, x = node.operator.split(".")[1], node.floating("self")
    factor = node.constant(_OTHER_BASES[name], x.format)
    if name == "exp2":
        return Unary(Mul(x, factor, loc=node.loc), "exp", loc=node.loc)
    return Mul(Unary(x, "log", loc=node.loc), factor, loc=node.loc)


@imports("log1p.default")
def log1p(node: Node) -> Op:
    """log(1 + x), the sum rounded: within half a unit in the last place of 1 (6e-8 in float32)."""
    x = node.floating("self")
    return Unary(Add(x, node.constant(1.0, x.format), loc=node.loc), "log", loc=node.loc)


@imports("expm1.default")
def expm1(node: Node) -> Op:
    """exp(x) - 1, which an elu is below zero."""
    x = node.floating("self")
    above = Sub(Unary(x, "exp", loc=node.loc), node.constant(1.0, x.format), loc=node.loc)
    positive = Binary(x, node.constant(0.0, x.format), "greater", loc=node.loc)
    return Where(positive, above, Unary(x, "elu", 1.0, loc=node.loc), loc=node.loc)


@imports("relu.default")
def relu(node: Node) -> Op:
    return Relu(node.op("self"), loc=node.loc)


@imports("relu6.default")
def relu6(node: Node) -> Op:
    return Clip(node.floating("self"), 0.0, 6.0, loc=node.loc)


@imports("hardtanh.default")
def hardtanh(node: Node) -> Op:
    return _clip(node, node.op("self"), node.number("min_val", -1.0), node.number("max_val", 1.0))


@imports("clamp.default")
def clamp(node: Node) -> Op:
    lo = node.number("min") if node.has("min") else -math.inf
    hi = node.number("max") if node.has("max") else math.inf
    return _clip(node, node.op("self"), lo, hi)


@imports("clamp_min.default")
def clamp_min(node: Node) -> Op:
    return _clip(node, node.op("self"), node.number("min"), math.inf)


@imports("clamp_max.default")
def clamp_max(node: Node) -> Op:
    return _clip(node, node.op("self"), -math.inf, node.number("max"))


def _clip(node: Node, x: Op, lo: float, hi: float) -> Op:
    node.require(not (math.isnan(lo) or math.isnan(hi)), "a bound that is not a number")
    return Clip(x, min(lo, hi), hi, loc=node.loc)  # PyTorch gives the upper bound where the two are crossed


@imports("clamp.Tensor")
def clamp_tensor(node: Node) -> Op:
    x = node.floating("self")
    for name, function in (("min", "max"), ("max", "min")):
        if node.has(name):
            x = Binary(x, node.as_float(node.op(name), x.format), function, loc=node.loc)
    return x


@imports("leaky_relu.default")
def leaky_relu(node: Node) -> Op:
    return Unary(node.floating("self"), "leaky_relu", node.finite("negative_slope", 0.01), loc=node.loc)


@imports("rrelu.default")
def rrelu(node: Node) -> Op:
    """At inference the slope is the middle of the range that training draws from."""
    node.not_training(node.flag("training"))
    slope = (node.finite("lower", 1 / 8) + node.finite("upper", 1 / 3)) / 2
    return Unary(node.floating("self"), "leaky_relu", slope, loc=node.loc)


@imports("rrelu_with_noise_functional.default")
def decomposed_rrelu(node: Node) -> tuple[Op, Missing]:
    """The decomposed form, which hands the slopes of the training on."""
    node.ignore("noise")
    return rrelu(node), Missing("the noise of an rrelu")


@imports("elu.default")
def elu(node: Node) -> Op:
    node.require(node.number("input_scale", 1.0) == 1.0, "an elu with an input scale")
    x, alpha, scale = node.floating("self"), node.finite("alpha", 1.0), node.finite("scale", 1.0)
    if scale == 1.0:
        return Unary(x, "elu", alpha, loc=node.loc)
    return Unary(x, "selu", alpha, scale, loc=node.loc)


@imports("selu.default")
def selu(node: Node) -> Op:
    """The constants of PyTorch's SELU."""
    return Unary(node.floating("self"), "selu", 1.6732632423543772, 1.0507009873554805, loc=node.loc)


@imports("celu.default")
def celu(node: Node) -> Op:
    alpha = node.finite("alpha", 1.0)
    node.require(alpha != 0.0, "a celu with alpha 0")
    return Unary(node.floating("self"), "celu", alpha, loc=node.loc)


@imports("gelu.default")
def gelu(node: Node) -> Op:
    tanh = node.string("approximate", "none", ("none", "tanh")) == "tanh"
    return Unary(node.floating("self"), "gelu_tanh" if tanh else "gelu", loc=node.loc)


@imports("silu.default")
def silu(node: Node) -> Op:
    x = node.floating("self")
    return Mul(x, Unary(x, "sigmoid", loc=node.loc), loc=node.loc)


@imports("hardsigmoid.default")
def hardsigmoid(node: Node) -> Op:
    return Unary(node.floating("self"), "hard_sigmoid", 1 / 6, 0.5, loc=node.loc)


@imports("hardswish.default")
def hardswish(node: Node) -> Op:
    return Unary(node.floating("self"), "hard_swish", loc=node.loc)


@imports("softplus.default")
def softplus(node: Node) -> Op:
    """log(1 + exp(beta x)) / beta, and x where beta x is above the threshold."""
    x, beta, threshold = node.floating("self"), node.finite("beta", 1.0), node.number("threshold", 20.0)
    node.require(beta > 0, f"a softplus with beta {beta}")
    scaled = x if beta == 1.0 else Mul(x, node.constant(beta, x.format), loc=node.loc)
    y: Op = Unary(scaled, "softplus", loc=node.loc)
    if beta != 1.0:
        y = Mul(y, node.constant(1 / beta, x.format), loc=node.loc)
    if threshold >= 20.0:  # from there on both branches are one float32 number (within 3e-9)
        return y
    return Where(Binary(scaled, node.constant(threshold, x.format), "greater", loc=node.loc), x, y, loc=node.loc)


@imports("log_sigmoid.default")
def log_sigmoid(node: Node) -> Op:
    negative = Unary(node.floating("self"), "neg", loc=node.loc)
    return Unary(Unary(negative, "softplus", loc=node.loc), "neg", loc=node.loc)


@imports("hardshrink.default")
def hardshrink(node: Node) -> Op:
    x, limit = node.floating("self"), node.finite("lambd", 0.5)
    inside = Binary(Unary(x, "abs", loc=node.loc), node.constant(limit, x.format), "less_equal", loc=node.loc)
    return Where(inside, node.constant(0.0, x.format), x, loc=node.loc)


@imports("softshrink.default")
def softshrink(node: Node) -> Op:
    x, limit = node.floating("self"), node.finite("lambd", 0.5)
    return Sub(x, Clip(x, -limit, limit, loc=node.loc), loc=node.loc)


@imports("threshold.default")
def threshold(node: Node) -> Op:
    x, limit, value = node.floating("self"), node.finite("threshold"), node.finite("value")
    above = Binary(x, node.constant(limit, x.format), "greater", loc=node.loc)
    return Where(above, x, node.constant(value, x.format), loc=node.loc)


@imports("prelu.default")
def prelu(node: Node) -> Op:
    """One slope, or one a channel (axis 1)."""
    x, slope = node.floating("self"), node.floating("weight")
    shape = [1] * len(x.shape)
    if slope.tensor.size > 1:
        if len(x.shape) < 2 or slope.tensor.size != x.shape[1]:
            node.malformed(f"{slope.tensor.size} slopes for {list(x.shape)}")
        shape[1] = slope.tensor.size
    return PRelu(x, _reshaped(slope, tuple(shape)), loc=node.loc)


@imports("_prelu_kernel.default")
def prelu_kernel(node: Node) -> Op:
    """The decomposed form: slopes that broadcast."""
    return PRelu(node.floating("self"), node.floating("weight"), loc=node.loc)


def _reshaped(op: Op, shape: tuple[int, ...]) -> Op:
    from edgec.frontend.onnx.fold import moved

    return op if op.shape == shape else moved(Reshape(op, shape, loc=op.loc))


@imports("softmax.int", "log_softmax.int", "_softmax.default", "_log_softmax.default")
def softmax(node: Node) -> Op:
    x = node.floating("self")
    node.require(not node.flag("half_to_float"), "a softmax that changes the element type")
    if node.has("dtype"):
        x = node.as_float(x, node.format())
    return Softmax(x, node.axis("dim", len(x.shape)), "log" in node.operator, loc=node.loc)


@imports("rsqrt.default")
def rsqrt(node: Node) -> Op:
    return Unary(Unary(node.floating("self"), "sqrt", loc=node.loc), "reciprocal", loc=node.loc)


@imports("square.default")
def square(node: Node) -> Op:
    x = node.floating("self")
    return Mul(x, x, loc=node.loc)


@imports("pow.Tensor_Scalar")
def power(node: Node) -> Op:
    x, exponent = node.floating("self"), node.finite("exponent")
    if exponent == 2.0:
        return Mul(x, x, loc=node.loc)
    if exponent == 3.0:
        return Mul(Mul(x, x, loc=node.loc), x, loc=node.loc)
    if exponent == 0.5:
        return Unary(x, "sqrt", loc=node.loc)
    if exponent == -1.0:
        return Unary(x, "reciprocal", loc=node.loc)
    return Binary(x, node.constant(exponent, x.format), "pow", loc=node.loc)


@imports("native_dropout.default")
def native_dropout(node: Node) -> tuple[Value, Missing]:
    """The decomposed form."""
    node.not_training(node.flag("train"))
    node.ignore("p")
    return node.value("input"), Missing("the mask of a dropout")


@imports("dropout.default", "feature_dropout.default", "alpha_dropout.default", "feature_alpha_dropout.default")
def dropout(node: Node) -> Value:
    """Nothing at inference."""
    node.not_training(node.flag("train"))
    node.ignore("p")  # it matters in training only
    return node.value("input")
