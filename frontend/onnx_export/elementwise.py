"""Elementwise ops."""

from __future__ import annotations

import math

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx_export.builder import BOOL, Builder, dtype_of, exact_dtype, exports, unit
from edgec.frontend.onnx_export.integer_binary import integer_function
from edgec.frontend.onnx_export.quantised import dyadic_quantised, refuse
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Clip,
    Mul,
    PRelu,
    Relu,
    Softmax,
    Sub,
    Unary,
    Where,
    centered_range,
    clip_levels,
)
from edgec.ops.elementwise import INTEGER_FUNCTIONS

_ARITHMETIC = {Add: "Add", Sub: "Sub", Mul: "Mul"}


@exports(Add, Sub, Mul)
def arithmetic(b: Builder, op: Add | Sub | Mul) -> str:
    """Exact on real values (or on levels of one unit), then the op's quantiser."""
    kind = _ARITHMETIC[type(op)]
    if op.format.is_float:
        return b.each(kind, b.read(op.x), b.read(op.y))
    try:
        exact = op.replace(out=None)
    except EdgecError:
        raise refuse(op, "integers that wrap at 64 bits") from None
    lo, hi = centered_range(exact.format)
    dtype = exact_dtype(max(-lo, hi), op)
    y = b.each(kind, b.read(op.x, dtype), b.read(op.y, dtype))
    if op.out is not None:
        step = unit(exact.format)
        y = dyadic_quantised(b, y, op.out, (lo * step, hi * step), op)
    return b.cast(y, dtype_of(op))


@exports(Relu)
def relu(b: Builder, op: Relu) -> str:
    return b.each("Relu", b.read(op.x))


@exports(Clip)
def clip(b: Builder, op: Clip) -> str:
    x = b.read(op.x)
    lo, hi = op.lo, op.hi
    if not op.format.is_float:
        zero, step = int(op.format.zero_point_array[0]), unit(op.format)
        lo, hi = ((level - zero) * step for level in clip_levels(op.format, op.lo, op.hi))
    bounds = ["" if math.isinf(v) else b.scalar(v, b.dtype(x)) for v in (lo, hi)]
    return b.node("Clip", [x, *bounds] if bounds[1] else [x, bounds[0]], op.shape, b.dtype(x))


@exports(PRelu)
def prelu(b: Builder, op: PRelu) -> str:
    return b.each("PRelu", b.read(op.x), b.read(op.slope))


_UNARY = {
    name: name.capitalize()
    for name in [
        "abs",
        "neg",
        "exp",
        "log",
        "sqrt",
        "reciprocal",
        "sigmoid",
        "tanh",
        "erf",
        "softplus",
        "softsign",
        "floor",
        "ceil",
        "round",
        "sign",
        "sin",
        "cos",
        "mish",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
    ]
} | {"hard_swish": "HardSwish", "gelu": "Gelu"}
_ALPHA = {"elu": "Elu", "celu": "Celu", "leaky_relu": "LeakyRelu", "thresholded_relu": "ThresholdedRelu"}


@exports(Unary)
def unary(b: Builder, op: Unary) -> str:
    x = b.read(op.x)
    match op.function:
        case "not":
            return b.each("Sub", b.scalar(1, b.dtype(x)), x)
        case "hard_sigmoid":
            return b.each("HardSigmoid", x, alpha=op.alpha, beta=op.beta)
        case "selu":
            return b.each("Selu", x, alpha=op.alpha, gamma=op.beta)
        case "gelu_tanh":
            return b.each("Gelu", x, approximate="tanh")
        case name if name in _ALPHA:
            return b.each(_ALPHA[name], x, alpha=op.alpha)
    return b.each(_UNARY[op.function], x)


_BINARY = {"div": "Div", "pow": "Pow", "max": "Max", "min": "Min"}
_COMPARE = {
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}
_LOGIC = {"and": "And", "or": "Or", "xor": "Xor"}


@exports(Binary)
def binary(b: Builder, op: Binary) -> str:
    if not op.x.format.is_float and op.function in INTEGER_FUNCTIONS:
        return integer_function(b, op)
    x, y = b.read(op.x), b.read(op.y)
    if op.function == "mod":
        return b.each("Mod", x, y, fmod=1)
    if op.function == "floor_mod":
        return _floor_mod(b, x, y)
    if op.function in _COMPARE:
        return b.cast(b.each(_COMPARE[op.function], x, y, dtype=BOOL), dtype_of(op))
    if op.function in _LOGIC:
        truth = b.each(_LOGIC[op.function], b.cast(x, BOOL), b.cast(y, BOOL), dtype=BOOL)
        return b.cast(truth, dtype_of(op))
    return b.each(_BINARY[op.function], x, y)


def _floor_mod(b: Builder, x: str, y: str) -> str:
    """The remainder with the sign of y: that of x, plus y where the signs differ."""
    rest, zero = b.each("Mod", x, y, fmod=1), b.scalar(0, b.dtype(y))
    differs = b.each("Less", b.each("Mul", b.each("Sign", rest), b.each("Sign", y)), zero, dtype=BOOL)
    return b.each("Where", differs, b.each("Add", rest, y), rest, dtype=b.dtype(x))


@exports(Where)
def where(b: Builder, op: Where) -> str:
    return b.each("Where", b.cast(b.read(op.x), BOOL), b.read(op.y), b.read(op.z), dtype=dtype_of(op))


@exports(BatchNorm)
def batch_norm(b: Builder, op: BatchNorm) -> str:
    operands = [b.read(o) for o in op.operands]
    return b.node("BatchNormalization", operands, op.shape, op.format.dtype, epsilon=op.epsilon)


@exports(Softmax)
def softmax(b: Builder, op: Softmax) -> str:
    return b.each("LogSoftmax" if op.log else "Softmax", b.read(op.x), axis=op.axis)
