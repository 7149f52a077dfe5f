"""Pooling and reductions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgec.formats import Integer, Quantizer, TensorType
from edgec.ops.base import Op, normalize_axis, require, same_float
from edgec.ops.elementwise import exact_format
from edgec.ops.mac import centered_range, quantized, window_shape

REDUCTIONS = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")


@dataclass(frozen=True, eq=False)
class _Pool(Op):
    x: Op
    kernel: tuple[int, ...]
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        rank = len(self.kernel)
        for name, default in (("strides", (1,) * rank), ("pads", (0,) * 2 * rank), ("dilations", (1,) * rank)):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        super().__post_init__()

    def _spatial(self) -> tuple[int, ...]:
        x = self.x.shape
        require(len(x) >= 3, "pooling needs [N, C, spatial...]")
        shape = window_shape(x[2:], self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        require(
            all(p < k for p, k in zip(self.pads, self.kernel + self.kernel, strict=True)),
            "pads as large as the kernel",
        )
        for size, n, k, s, d, pad in zip(
            x[2:], shape, self.kernel, self.strides, self.dilations, self.pads[: len(shape)], strict=True
        ):
            if d > 1:  # wide steps can jump over the whole tensor: the first tap at or behind the start must be inside
                start = np.arange(n) * s - pad
                first = -(np.minimum(start, 0) // d)
                inside = (first < k) & (start + first * d < size)
                require(bool(inside.all()), f"a window of {k} (dilation {d}) lies outside the {size} elements")
        return shape


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Maximum over windows of [N, C, *S]; padded elements never win."""

    def infer(self) -> TensorType:
        return TensorType(self.x.format, (*self.x.shape[:2], *self._spatial()))


@dataclass(frozen=True, eq=False)
class AvgPool(_Pool):
    """Mean over windows of [N, C, *S].

    `count_include_pad` divides by the kernel size always, else by the number of elements inside the tensor.
    On integers the exact rational sum/count is rounded into `out` (stated; default is the format of x with
    half_even), which must have the unit and zero point of x or both power-of-two units.
    """

    count_include_pad: bool = False
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        shape = (*self.x.shape[:2], *self._spatial())
        fmt = self.x.format
        if fmt.is_float:
            require(self.out is None, "quantizers need integer operands")
            return TensorType(fmt, shape)
        require(fmt.axis is None, "average pooling needs one scale per tensor")
        target = (self.out or Quantizer(fmt)).format
        require(not target.is_float, "average pooling of integers gives integers, not floats")
        require(target.axis is None, "average pooling gives one scale per tensor")
        dyadic = fmt.frac is not None and target.frac is not None
        same_unit = fmt.scale_array.tolist() == target.scale_array.tolist()
        require(dyadic or same_unit, f"{fmt} and {target} have different units: requantize")
        places = abs((target.frac or 0) - (fmt.frac or 0)) if dyadic else 0
        bits = fmt.bits + math.prod(self.kernel).bit_length() + places
        require(bits <= 62, f"the mean of {fmt} in the unit of {target} needs {bits} bits; at most 62")
        return TensorType(target, shape)


@dataclass(frozen=True, eq=False)
class Reduce(Op):
    """A named reduction over `axes`; integers support exact `sum` and `max`/`min`, floats all.

    An integer sum is quantised if `out` is stated."""

    x: Op
    function: str
    axes: tuple[int, ...]
    keepdims: bool = True
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        require(self.function in REDUCTIONS, f"unknown reduction {self.function!r}")
        rank = len(self.x.shape)
        axes = {normalize_axis(a, rank) for a in self.axes}
        require(len(axes) == len(self.axes), "an axis is reduced twice")
        if self.keepdims:
            shape = tuple(1 if i in axes else n for i, n in enumerate(self.x.shape))
        else:
            shape = tuple(n for i, n in enumerate(self.x.shape) if i not in axes)
        fmt = self.x.format
        require(fmt.axis is None, "reductions need one scale per tensor")
        require(self.out is None or (self.function == "sum" and not fmt.is_float), "quantizers need a sum of integers")
        if fmt.is_float or self.function in ("max", "min"):
            return TensorType(fmt, shape)
        require(self.function == "sum", f"{self.function} of integers")
        require(fmt.frac is not None, f"sums of {fmt} need a power-of-two unit")
        terms = math.prod(self.x.shape[a] for a in axes)
        lo, hi = centered_range(fmt)
        exact = exact_format("sum", terms * min(lo, 0), terms * max(hi, 0), fmt.frac or 0, self.out)
        return TensorType(quantized(exact, self.out), shape)


@dataclass(frozen=True, eq=False)
class ArgMax(Op):
    """Index of the largest element along `axis` (the first of equals, or the last), as an integer."""

    x: Op
    axis: int
    keepdims: bool = True
    select_last: bool = False
    smallest: bool = False

    def infer(self) -> TensorType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        n = self.x.shape[axis]
        require(n >= 1, "argmax of nothing")
        require(self.x.format.axis is None, "argmax needs one scale per tensor")
        shape = tuple(1 if i == axis else d for i, d in enumerate(self.x.shape) if i != axis or self.keepdims)
        return TensorType(Integer(max((n - 1).bit_length(), 1), signed_=False), shape)


@dataclass(frozen=True, eq=False)
class Normalize(Op):
    """(x - mean) / sqrt(var + epsilon) over the last axes from `axis` on, times scale plus bias; floats."""

    x: Op
    scale: Op
    bias: Op | None
    axis: int = -1
    epsilon: float = 1e-5

    def infer(self) -> TensorType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        for p in self.operands[1:]:
            require(p.shape == self.x.shape[axis:], f"parameter {list(p.shape)} for axes {list(self.x.shape[axis:])}")
        return TensorType(same_float(*self.operands), self.x.shape)
