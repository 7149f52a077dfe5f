"""Elementwise ops. Add, Sub, Mul, Relu, Clip work on integers and floats; Unary and Binary are float functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgec.formats import Affine, Format, Integer, Quantizer, TensorType, smallest_fixed
from edgec.ops.base import Op, broadcast, normalize_axis, plain_integers, require, same_float
from edgec.ops.mac import centered_range, product_range, quantized

UNARY_FUNCTIONS = (
    "abs", "neg", "exp", "log", "sqrt", "reciprocal", "sigmoid", "tanh", "erf", "softplus", "softsign",
    "hard_sigmoid", "hard_swish", "elu", "selu", "celu", "leaky_relu", "thresholded_relu", "gelu", "gelu_tanh",
    "mish", "floor", "ceil", "round", "sign", "sin", "cos", "not",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
)  # fmt: skip
BINARY_FUNCTIONS = (
    "div", "pow", "max", "min", "mod", "equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor",
    "floor_mod", "bit_and", "bit_or", "bit_xor", "shift_left", "shift_right",
)  # fmt: skip
PREDICATES = ("equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor", "not")
INTEGER_FUNCTIONS = ("div", "mod", "floor_mod", "bit_and", "bit_or", "bit_xor", "shift_left", "shift_right")
"""Of plain integers, which wrap in their format: `div` truncates (0 where the divisor is 0), `mod` has the sign of x,
`floor_mod` that of y (0 where y is 0), `shift_right` keeps the sign. A shift by less than 0 or by the width or more
leaves 0, a `shift_right` of a negative x leaves -1."""
BOOL = Integer(1, signed_=False)
"""The format of truth values: 0 or 1."""


def exact_format(what: str, lo: int, hi: int, frac: int, out: Quantizer | None) -> Format:
    """The narrowest format of all results; that of `out` where they need more than 64 bits but only wrap.

    Integers modulo 2**64 give the same codes modulo any smaller power of two, so nothing is lost then."""
    bits = max((-lo - 1).bit_length(), max(hi, 0).bit_length()) + 1 if lo < 0 else hi.bit_length()
    if bits <= (64 if lo < 0 and what == "sum" else 63):
        return smallest_fixed(lo, hi, frac)
    wraps = out is not None and out.overflow == "wrap" and out.format.frac == frac
    require(wraps, f"the exact {what} needs {bits} bits; at most 63")
    assert out is not None
    return out.format


def _sum_format(x: Format, y: Format, negate_y: bool, out: Quantizer | None) -> Format:
    if x.is_float or y.is_float:
        require(x == y, f"operands of different formats: {x} and {y}")
        return x
    (a, b), (c, d) = centered_range(x), centered_range(y)
    if negate_y:
        c, d = -d, -c
    if x.frac is not None and y.frac is not None:
        frac = max(x.frac, y.frac)
        i, j = frac - x.frac, frac - y.frac
        return exact_format("sum", (a << i) + (c << j), (b << i) + (d << j), frac, out)
    require(
        x.scale_array.tolist() == y.scale_array.tolist() and x.axis == y.axis,
        f"operands of different units: {x} and {y}; requantize them to one",
    )
    bits = smallest_fixed(a + c, b + d, 0).bits + 1
    return Affine(Integer(max(bits, 32)), tuple(x.scale_array.tolist()), (0,), x.axis)


@dataclass(frozen=True, eq=False)
class Add(Op):
    """x + y with numpy broadcasting; integers are added exactly on the finer unit, then optionally quantised."""

    x: Op
    y: Op
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        fmt = _sum_format(self.x.format, self.y.format, False, self.out)
        return TensorType(quantized(fmt, self.out), broadcast(self.x.shape, self.y.shape))


@dataclass(frozen=True, eq=False)
class Sub(Op):
    """x - y with numpy broadcasting; integers as in `Add`."""

    x: Op
    y: Op
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        fmt = _sum_format(self.x.format, self.y.format, True, self.out)
        return TensorType(quantized(fmt, self.out), broadcast(self.x.shape, self.y.shape))


@dataclass(frozen=True, eq=False)
class Mul(Op):
    """x * y with numpy broadcasting; integer products are exact, then optionally quantised."""

    x: Op
    y: Op
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        x, y = self.x.format, self.y.format
        shape = broadcast(self.x.shape, self.y.shape)
        if x.is_float or y.is_float:
            require(self.out is None, "quantizers need integer operands")
            return TensorType(same_float(self.x, self.y), shape)
        require(x.frac is not None and y.frac is not None, f"products of {x} and {y} need power-of-two units")
        lo, hi = product_range(centered_range(x), centered_range(y))
        exact = exact_format("product", lo, hi, (x.frac or 0) + (y.frac or 0), self.out)
        return TensorType(quantized(exact, self.out), shape)


@dataclass(frozen=True, eq=False)
class Relu(Op):
    """max(x, 0) in the format of x, which must have a zero."""

    x: Op

    def infer(self) -> TensorType:
        fmt = self.x.format
        require(fmt.is_float or fmt.has_zero, f"{fmt} cannot write the zero of a relu")
        return self.x.tensor


@dataclass(frozen=True, eq=False)
class Clip(Op):
    """min(max(x, lo), hi) in the format of x; integer bounds are the tightest levels inside [lo, hi]."""

    x: Op
    lo: float = -math.inf
    hi: float = math.inf

    def infer(self) -> TensorType:
        require(self.lo <= self.hi, f"empty range {self.lo}..{self.hi}")
        fmt = self.x.format
        if not fmt.is_float:
            require(fmt.axis is None, "clip needs one scale per tensor")
            lo, hi = clip_levels(fmt, self.lo, self.hi)
            require(lo <= hi, f"{fmt} has no value in {self.lo}..{self.hi}")
        return self.x.tensor


def clip_levels(fmt: Format, lo: float, hi: float) -> tuple[int, int]:
    """The levels (zero point included) of the smallest and largest value of `fmt` in [lo, hi].

    The first is larger than the second when there is none."""
    scale, zero = float(fmt.scale_array[0]), int(fmt.zero_point_array[0])
    low, high = fmt.level_range
    if math.isfinite(lo):
        low = max(low, math.ceil(lo / scale) + zero)
    if math.isfinite(hi):
        high = min(high, math.floor(hi / scale) + zero)
    if fmt.bits <= 12:  # tables and binary have gaps between their levels
        first, last = fmt.code_range
        levels = fmt.levels(np.arange(first, last + 1))
        inside = levels[(levels >= low) & (levels <= high)]
        return (int(inside.min()), int(inside.max())) if inside.size else (1, 0)
    return low, high


@dataclass(frozen=True, eq=False)
class PRelu(Op):
    """x where x >= 0, else slope * x; floats, slope broadcast to x."""

    x: Op
    slope: Op

    def infer(self) -> TensorType:
        shape = broadcast(self.x.shape, self.slope.shape)
        require(shape == self.x.shape, "the slope does not broadcast to the input")
        return TensorType(same_float(self.x, self.slope), shape)


@dataclass(frozen=True, eq=False)
class Unary(Op):
    """A named float function of one operand; `alpha` and `beta` are its parameters where it has any."""

    x: Op
    function: str
    alpha: float = 0.0
    beta: float = 0.0

    def infer(self) -> TensorType:
        require(self.function in UNARY_FUNCTIONS, f"unknown function {self.function!r}")
        if self.function == "not":
            require(self.x.format == BOOL, "not needs truth values")
            return self.x.tensor
        same_float(self.x)
        return self.x.tensor


@dataclass(frozen=True, eq=False)
class Binary(Op):
    """A named function of two operands with numpy broadcasting; predicates give `uint<1>`.

    All but the bits and shifts work on floats, `INTEGER_FUNCTIONS` on plain integers, comparisons, max and min on both.
    """

    x: Op
    y: Op
    function: str

    def infer(self) -> TensorType:
        require(self.function in BINARY_FUNCTIONS, f"unknown function {self.function!r}")
        shape = broadcast(self.x.shape, self.y.shape)
        if self.function in ("and", "or", "xor"):
            require(self.x.format == BOOL and self.y.format == BOOL, f"{self.function} needs truth values")
            return TensorType(BOOL, shape)
        require(self.x.format == self.y.format, f"operands of different formats: {self.x.format} and {self.y.format}")
        if self.function in PREDICATES:
            return TensorType(BOOL, shape)
        if self.function in ("max", "min"):
            return TensorType(self.x.format, shape)
        fmt = self.x.format
        if not fmt.is_float and self.function in INTEGER_FUNCTIONS:
            require(plain_integers(fmt), f"{self.function} of {fmt}")
            return TensorType(fmt, shape)
        require(not self.function.startswith(("bit_", "shift_")), f"{self.function} needs integers")
        return TensorType(same_float(self.x, self.y), shape)


@dataclass(frozen=True, eq=False)
class Where(Op):
    """y where the condition is 1, else z; numpy broadcasting, y and z of one format."""

    x: Op
    y: Op
    z: Op

    def infer(self) -> TensorType:
        require(self.x.format == BOOL, "where needs truth values")
        require(self.y.format == self.z.format, f"branches of different formats: {self.y.format} and {self.z.format}")
        return TensorType(self.y.format, broadcast(self.x.shape, self.y.shape, self.z.shape))


@dataclass(frozen=True, eq=False)
class BatchNorm(Op):
    """(x - mean) / sqrt(var + epsilon) * scale + bias along axis 1, floats; all parameters [C]."""

    x: Op
    scale: Op
    bias: Op
    mean: Op
    var: Op
    epsilon: float = 1e-5

    def infer(self) -> TensorType:
        require(len(self.x.shape) >= 2, "batch normalisation needs a channel axis")
        for p in (self.scale, self.bias, self.mean, self.var):
            require(p.shape == (self.x.shape[1],), f"parameter {list(p.shape)} for {self.x.shape[1]} channels")
        return TensorType(same_float(*self.operands), self.x.shape)


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """exp(x - max) / sum along `axis`, floats; `log` gives its logarithm."""

    x: Op
    axis: int = -1
    log: bool = False

    def infer(self) -> TensorType:
        normalize_axis(self.axis, len(self.x.shape))
        same_float(self.x)
        return self.x.tensor
