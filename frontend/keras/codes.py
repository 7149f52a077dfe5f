"""Weights to codes: what each quantiser of QKeras makes of an array, as integers with a scale.

The arithmetic is float32 with the array in Keras's layout, outputs last, as QKeras computes it: scales found from the
weights are one for each output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgec.formats import Format, FormatError, Integer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.frontend.keras.layer import Layer
from edgec.frontend.onnx.types import scaled
from edgec.ops import Constant

EPSILON = np.float32(1e-7)
"""Keras's fuzz, which QKeras adds to divisors and logarithms."""
WIDEST_POW2 = 6


class Arguments(Protocol):
    """The arguments of a quantiser (`quantizers.Call`)."""

    layer: Layer
    name: str

    @property
    def alpha(self) -> float | str | None: ...
    def number(self, name: str, default: float) -> float: ...
    def integer(self, name: str, default: int, low: int, high: int) -> int: ...
    def flag(self, name: str, default: bool = False) -> bool: ...
    def refuse(self, what: str, why: str) -> None: ...


@dataclass
class Codes:
    """value = level of the code in `base` · scale; the scale broadcasts to the codes."""

    codes: np.ndarray
    scale: np.ndarray
    base: Format

    def values(self) -> np.ndarray:
        """Real values, float64."""
        return self.base.levels(self.codes) * self.scale


def constant_of(layer: Layer, quantised: Codes, rearrange: Callable[[np.ndarray], np.ndarray]) -> Constant:
    """The codes in the IR's layout, outputs first, in the plainest format that says the same."""
    codes = np.ascontiguousarray(rearrange(quantised.codes))
    scale = np.asarray(quantised.scale, np.float64)
    if scale.size == 1 or (scale == scale.flat[0]).all():
        per_output, axis = scale.ravel()[:1], None
    else:
        spread = rearrange(np.broadcast_to(scale, quantised.codes.shape))
        per_output, axis = spread.reshape(spread.shape[0], -1)[:, 0], 0
    per_output = np.where(per_output == 0, 1.0, per_output)  # of channels of zeros
    codes, base, per_output = common_unit(codes, quantised.base, per_output)
    try:
        if per_output.size == 1 and per_output[0] == 1.0 and not isinstance(base, Integer):
            fmt = base
        else:
            fmt = scaled(base, per_output, np.zeros(1, np.int64), axis if per_output.size > 1 else None)
        return layer.keep(Constant(codes, type=TensorType(fmt, codes.shape), loc=layer.loc))
    except FormatError as error:
        layer.unsupported(str(error), why="scales must be positive and finite")


def common_unit(codes: np.ndarray, base: Format, scales: np.ndarray) -> tuple[np.ndarray, Format, np.ndarray]:
    """Integers with a power of two for each output, on the finest of these units, where few bits more hold them.

    Sums then have one unit, and shifts replace multiplications. Other codes stay as they are.
    """
    mantissa, exponent = np.frexp(scales)
    if scales.size == 1 or not isinstance(base, Integer) or (mantissa != 0.5).any():
        return codes, base, scales
    shift = exponent - exponent.min()
    bits = base.bits + int(shift.max())
    if bits > 16:
        return codes, base, scales
    levels = codes.astype(np.int64) << shift.reshape(-1, *(1,) * (codes.ndim - 1))
    return levels, Integer(bits, base.signed_, base.narrow), np.array([math.ldexp(0.5, int(exponent.min()))])


def _axes(array: np.ndarray) -> tuple[int, ...]:
    return tuple(range(array.ndim - 1)) if array.ndim > 1 else (0,)


def _power_of_two(scale: np.ndarray) -> np.ndarray:
    return np.exp2(np.rint(np.log(scale + EPSILON) / np.float32(math.log(2.0)))).astype(np.float32)


def _least_squares(alpha: str, x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The scale that brings q nearest to x, for each output (for each element of a vector)."""
    if x.ndim > 1:
        qx, qq = ((a.mean(axis=_axes(x), keepdims=True, dtype=np.float32)) for a in (x * q, q * q))
    else:
        qx, qq = x * q, q * q
    scale = qx / (qq + EPSILON)
    return _power_of_two(scale) if alpha == "auto_po2" else scale


def bits_codes(call: Arguments, x: np.ndarray) -> Codes:
    """`quantized_bits`: a grid, symmetric where the scale is found from the weights."""
    bits, integer = call.integer("bits", 8, 1, 32), call.integer("integer", 0, -64, 64)
    keep, alpha = call.flag("keep_negative", True), call.alpha
    unit = math.ldexp(1.0, integer)
    if isinstance(alpha, str):
        if bits < 2:
            call.refuse(f"one bit and alpha = {alpha!r}", "its scale is a division by zero; give alpha=1")
        top = np.float32((1 << (bits - 1)) - 1)
        y = x / np.float32(unit)
        scale = np.abs(y).max(axis=_axes(x), keepdims=True) * np.float32(2) / (np.float32(2) * top)
        if alpha == "auto_po2":
            scale = _power_of_two(scale)
            for _ in range(5):
                scale = _least_squares(alpha, y, _rounded(y, scale, top))
        levels = _rounded(y, scale, top).astype(np.int64)
        return Codes(levels, scale.astype(np.float64) * unit, Integer(bits, narrow=True))
    factor = 1.0 if alpha is None else float(np.float32(alpha))
    if bits == 1 and keep:
        return Codes((x >= 0).astype(np.uint8), np.array([factor]), Binary())
    m = math.ldexp(1.0, bits - keep)
    lowest = -m + call.flag("symmetric") if keep else 0.0
    levels = np.clip(np.rint(x * np.float32(m / unit)), lowest, m - 1).astype(np.int64)
    base = Integer(bits, keep, keep and call.flag("symmetric"))
    return Codes(levels, np.array([factor * unit / m]), base)


def _rounded(x: np.ndarray, scale: np.ndarray, top: np.float32) -> np.ndarray:
    """Half away from zero, at most `top` in magnitude."""
    magnitude = np.floor(np.abs(x) / scale + np.float32(0.5))
    return np.nan_to_num(np.sign(x) * np.where(magnitude < top, magnitude, top))


def binary_codes(call: Arguments, x: np.ndarray) -> Codes:
    """`binary`: the sign, + for zero; 0 and 1 with `use_01`."""
    positive, alpha = (x >= 0).astype(np.uint8), call.alpha
    zero_one = call.name == "binary" and call.flag("use_01")
    base = Integer(1, signed_=False) if zero_one else Binary()
    if isinstance(alpha, str):
        q = base.levels(positive).astype(np.float32)
        scale = _least_squares(alpha, x, q).astype(np.float64)
        if (scale <= 0).any():
            call.refuse(f"alpha = {alpha!r} on a channel of zeros", "its scale is zero, and a sign has no zero")
        return Codes(positive, scale, base)
    return Codes(positive, np.array([1.0 if alpha is None else float(np.float32(alpha))]), base)


def ternary_codes(call: Arguments, x: np.ndarray) -> Codes:
    """`ternary`: the sign where the magnitude reaches a threshold, which follows the scale where that is found."""
    alpha = call.alpha
    if not isinstance(alpha, str):
        threshold = np.float32(call.number("threshold", 0.33))
        codes = ((np.abs(x) >= threshold) * np.sign(x)).astype(np.int64)
        return Codes(codes, np.array([1.0 if alpha is None else float(np.float32(alpha))]), Ternary())
    scale = np.abs(x).max(axis=_axes(x), keepdims=True) * np.float32(2) / np.float32(3)
    if alpha == "auto_po2":
        scale = _power_of_two(scale)
    q = np.zeros_like(x)
    for _ in range(call.integer("number_of_unrolls", 5, 1, 100)):
        threshold = scale / np.float32(2)
        q = ((np.abs(scale * np.rint(x / scale)) >= threshold) * np.sign(x)).astype(np.float32)
        scale = _least_squares(alpha, x, q)
    return Codes(q.astype(np.int64), scale.astype(np.float64), Ternary())


def exponent_range(call: Arguments) -> tuple[int, int, int]:
    """Smallest and largest rounded exponent of a power-of-two quantiser, and what an exponent counts (1 or 2).

    Without `max_value`, or with one above 1, one bit is the sign of the exponent; `quantized_po2` has one more for
    the sign of the number.
    """
    bits = call.integer("bits", 8, 1, 8)
    bound = call.number("max_value", 2.0)
    if bound < 0:
        call.refuse(f"max_value = {bound:g}", "a positive one is supported")
    width = bits - (call.name == "quantized_po2") - (bound > 1)
    if width < 0:
        call.refuse(f"{bits} bits", "no bit is left for the exponent")
    low, high = -(1 << width), (1 << width) - 1
    if call.flag("quadratic_approximation"):
        return low, 2 * (high // 2), 2
    return low, high, 1


def _exponents(call: Arguments, magnitude: np.ndarray) -> np.ndarray:
    """Rounded base-2 logarithms in range, int64."""
    low, high, step = exponent_range(call)
    bounded = np.maximum(magnitude, EPSILON)
    if call.number("max_value", -1.0) >= 0:
        bounded = np.minimum(bounded, np.float32(call.number("max_value", 0.0)))
    logarithm = np.log(np.sqrt(bounded) if step == 2 else bounded) / np.float32(math.log(2.0))
    floors = getattr(call, "arguments", {}).get("log2_rounding") == "floor"
    rounded = np.clip(np.floor(logarithm) if floors else np.rint(logarithm), low, high)
    return np.where(magnitude < EPSILON, low, step * rounded).astype(np.int64)


def po2_codes(call: Arguments, x: np.ndarray) -> Codes:
    """`quantized_po2`, and `quantized_relu_po2` of parameters: a power of two with a sign, never zero."""
    negative = x < 0
    power = _exponents(call, np.abs(x))
    if call.name == "quantized_relu_po2":
        slope = call.number("negative_slope", 0.0)
        power = _exponents(call, np.maximum(x, 0))
        if slope:
            power = np.where(negative, _exponents(call, np.maximum(-x, 0) * np.float32(slope)), power)
        negative = negative & (slope != 0)
    low, high, step = exponent_range(call)
    lowest, highest = step * low if step == 1 else min(step * low, low), step * high
    if highest - lowest >= 1 << 4:  # wider than needed: keep what the weights use
        lowest, highest = int(power.min()), int(power.max())
    width = max(math.ceil(math.log2(highest - lowest + 1)) + 1, 2)
    if width > WIDEST_POW2:
        call.refuse(f"exponents from {lowest} to {highest}", "at most 32 powers of two are supported")
    base = Pow2(width)
    codes = (power - lowest) + (negative.astype(np.int64) << (width - 1))
    return Codes(codes, np.array([math.ldexp(1.0, lowest)]), base)
