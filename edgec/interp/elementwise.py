"""Elementwise ops: exact on integers, IEEE in the operand's precision on floats."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgec.formats import Format
from edgec.interp.mac import requantize_dyadic
from edgec.interp.registry import align, evaluates, frame_levels, zero_points
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
    clip_levels,
)
from edgec.ops.elementwise import INTEGER_FUNCTIONS


def _common_unit(op: Add | Sub, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, int | None]:
    a, b = frame_levels(x, op.x), frame_levels(y, op.y)
    fx, fy = op.x.format.frac, op.y.format.frac
    if fx is None or fy is None:
        return a, b, None
    common = max(fx, fy)
    return a << (common - fx), b << (common - fy), common


def _finish(op: Add | Sub | Mul, levels: np.ndarray, frac: int | None) -> np.ndarray:
    if op.out is not None:
        assert frac is not None, "checked by infer"
        levels = requantize_dyadic(levels, frac, op.out)
    return op.format.codes_of_levels(levels)


@evaluates(Add)
def add(op: Add, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = align(x, len(op.shape)), align(y, len(op.shape))
    if op.format.is_float:
        return x + y
    a, b, frac = _common_unit(op, x, y)
    return _finish(op, a + b, frac)


@evaluates(Sub)
def sub(op: Sub, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = align(x, len(op.shape)), align(y, len(op.shape))
    if op.format.is_float:
        return x - y
    a, b, frac = _common_unit(op, x, y)
    return _finish(op, a - b, frac)


@evaluates(Mul)
def mul(op: Mul, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = align(x, len(op.shape)), align(y, len(op.shape))
    if op.format.is_float:
        return x * y
    frac = (op.x.format.frac or 0) + (op.y.format.frac or 0)
    return _finish(op, frame_levels(x, op.x) * frame_levels(y, op.y), frac)


@evaluates(Relu)
def relu(op: Relu, x: np.ndarray) -> np.ndarray:
    fmt = op.format
    if fmt.is_float:
        return np.maximum(x, fmt.dtype.type(0))
    return fmt.codes_of_levels(np.maximum(fmt.levels(x), zero_points(op.x)))


@evaluates(Clip)
def clip(op: Clip, x: np.ndarray) -> np.ndarray:
    fmt = op.format
    if fmt.is_float:
        return np.clip(x, fmt.dtype.type(op.lo), fmt.dtype.type(op.hi))
    return fmt.codes_of_levels(np.clip(fmt.levels(x), *clip_levels(fmt, op.lo, op.hi)))


@evaluates(PRelu)
def prelu(op: PRelu, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    slope = align(slope, len(op.shape))
    return np.where(x >= 0, x, x * slope)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


_UNARY: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "abs": lambda x, a, b: np.abs(x),
    "neg": lambda x, a, b: -x,
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "reciprocal": lambda x, a, b: 1 / x,
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "erf": lambda x, a, b: _erf(x),
    "softplus": lambda x, a, b: _softplus(x),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "hard_swish": lambda x, a, b: x * np.clip(x / 6 + 0.5, 0, 1),
    "elu": lambda x, a, b: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
    "selu": lambda x, a, b: b * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
    "celu": lambda x, a, b: np.maximum(x, 0) + np.minimum(a * np.expm1(np.minimum(x, 0) / a), 0),
    "leaky_relu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
    "gelu": lambda x, a, b: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, a, b: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "mish": lambda x, a, b: x * np.tanh(_softplus(x)),
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "round": lambda x, a, b: np.rint(x),
    "sign": lambda x, a, b: np.sign(x),
    "sin": lambda x, a, b: np.sin(x),
    "cos": lambda x, a, b: np.cos(x),
    "not": lambda x, a, b: 1 - x,
    "tan": lambda x, a, b: np.tan(x),
    "asin": lambda x, a, b: np.arcsin(x),
    "acos": lambda x, a, b: np.arccos(x),
    "atan": lambda x, a, b: np.arctan(x),
    "sinh": lambda x, a, b: np.sinh(x),
    "cosh": lambda x, a, b: np.cosh(x),
    "asinh": lambda x, a, b: np.arcsinh(x),
    "acosh": lambda x, a, b: np.arccosh(x),
    "atanh": lambda x, a, b: np.arctanh(x),
}


_TRANSCENDENTAL = ("exp", "log", "sigmoid", "tanh", "erf", "softplus", "elu", "selu", "celu", "mish", "sin", "cos")
_TRANSCENDENTAL += ("gelu", "gelu_tanh", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
"""Computed in float64 and rounded once, so that tables made from them are the same on every machine."""


def apply_function(name: str, values: np.ndarray, alpha: float = 0.0, beta: float = 0.0) -> np.ndarray:
    """The named function of `Unary` on float64 or float32 `values`, in their precision."""
    return _UNARY[name](values, values.dtype.type(alpha), values.dtype.type(beta))


@evaluates(Unary)
def unary(op: Unary, x: np.ndarray) -> np.ndarray:
    dtype = op.format.dtype
    if op.function == "not":
        return (1 - x).astype(dtype)
    wide = x.astype(np.float32) if dtype == np.float16 else x  # one rounding, as hardware and onnxruntime do
    if op.function in _TRANSCENDENTAL:
        wide = x.astype(np.float64)  # numpy's float32 versions differ by the vector unit of the machine
    return apply_function(op.function, wide, op.alpha, op.beta).astype(dtype)


_BINARY: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "div": np.divide,
    "pow": lambda x, y: np.power(x.astype(np.float64), y.astype(np.float64)),  # the same on every machine
    "max": np.maximum,
    "min": np.minimum,
    "mod": np.fmod,
    "floor_mod": np.mod,
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}


@evaluates(Binary)
def binary(op: Binary, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = align(x, len(op.shape)), align(y, len(op.shape))
    if not op.x.format.is_float:
        a, b = _ordered(x, op.x.format), _ordered(y, op.y.format)
        if op.function in INTEGER_FUNCTIONS:
            result = _integer_function(op.function, a, b, op.format.bits)
            return op.format.codes_of_levels(op.format.clip_levels(result, "wrap"))
        result = _BINARY[op.function](a, b)
        if op.function in ("max", "min"):
            return op.format.codes_of_levels(result)
        return result.astype(op.format.dtype)
    return _BINARY[op.function](x, y).astype(op.format.dtype)


def _integer_function(name: str, x: np.ndarray, y: np.ndarray, bits: int) -> np.ndarray:
    """The function of int64 levels, not yet wrapped."""
    match name:
        case "bit_and":
            return x & y
        case "bit_or":
            return x | y
        case "bit_xor":
            return x ^ y
        case "shift_left":
            return np.where((y >= 0) & (y < bits), x << np.clip(y, 0, bits - 1), 0)
        case "shift_right":
            return np.where((y >= 0) & (y < bits), x >> np.clip(y, 0, bits - 1), np.minimum(np.sign(x), 0))
    divisor = np.where(y == 0, 1, y)
    floor = x // divisor
    rest = x - floor * divisor  # the sign of y
    if name == "floor_mod":
        return np.where(y == 0, 0, rest)
    truncated = (rest != 0) & ((x < 0) != (divisor < 0))  # floor lies one below
    if name == "mod":
        return np.where(y == 0, 0, np.where(truncated, rest - divisor, rest))
    return np.where(y == 0, 0, floor + truncated)


def _ordered(codes: np.ndarray, fmt: Format) -> np.ndarray:
    return fmt.levels(codes)  # one format on both sides: levels order as values do


@evaluates(Where)
def where(op: Where, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    rank = len(op.shape)
    return np.where(align(x, rank) != 0, align(y, rank), align(z, rank))


@evaluates(BatchNorm)
def batch_norm(op: BatchNorm, x: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    tail = (1,) * (len(op.shape) - 2)
    scale, bias, mean, var = (p.reshape(p.shape[0], 1, -1, *tail) for p in parameters)
    return ((x - mean) / np.sqrt(var + op.format.dtype.type(op.epsilon)) * scale + bias).astype(op.format.dtype)


@evaluates(Softmax)
def softmax(op: Softmax, x: np.ndarray) -> np.ndarray:
    """In float64 and rounded once, so that a quantiser behind it sees the same numbers on every machine.

    binary16 is computed step by step in its own precision, as other executors do."""
    axis = op.axis % len(op.shape) + 1
    wide = x if x.dtype == np.float16 else x.astype(np.float64)
    shifted = wide - wide.max(axis=axis, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=axis, keepdims=True)
    return (shifted - np.log(total) if op.log else e / total).astype(op.format.dtype)
