"""Rounding and overflow out of standard operators."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgec.frontend.onnx_export.builder import BOOL
from edgec.rounding import Overflow, Rounding


class Emitter(Protocol):
    """What writes nodes: the builder of a graph, or the body of a function."""

    def each(self, op_type: str, *inputs: str, dtype: np.dtype | None = None) -> str: ...
    def scalar(self, value: float, dtype: np.dtype) -> str: ...
    def constant(self, array: np.ndarray) -> str: ...
    def cast(self, name: str, dtype: np.dtype) -> str: ...
    def dtype(self, name: str) -> np.dtype: ...


QONNX_ROUNDINGS: dict[str, str] = {
    "half_even": "ROUND",
    "ceil": "CEIL",
    "floor": "FLOOR",
    "away": "UP",
    "trunc": "DOWN",
    "half_away": "HALF_UP",
    "half_zero": "HALF_DOWN",
}


def rounded(b: Emitter, x: str, rounding: Rounding) -> str:
    """Float `x` rounded to integers; exact for |x| below 2**22 (float32)."""
    half = b.scalar(0.5, b.dtype(x))
    match rounding:
        case "half_even":
            return b.each("Round", x)
        case "floor":
            return b.each("Floor", x)
        case "ceil":
            return b.each("Ceil", x)
        case "half_up":  # up when the gap to the floor is at least a half; adding a half first could round
            low = b.each("Floor", x)
            up = b.each("GreaterOrEqual", b.each("Sub", x, low), half, dtype=BOOL)
            return b.each("Add", low, b.cast(up, b.dtype(x)))
        case "half_down":
            low = b.each("Floor", x)
            up = b.each("Greater", b.each("Sub", x, low), half, dtype=BOOL)
            return b.each("Add", low, b.cast(up, b.dtype(x)))
    size = b.each("Abs", x)
    match rounding:
        case "trunc":
            size = b.each("Floor", size)
        case "away":
            size = b.each("Ceil", size)
        case "half_away" | "half_zero":
            low = b.each("Floor", size)
            compare = "GreaterOrEqual" if rounding == "half_away" else "Greater"
            up = b.each(compare, b.each("Sub", size, low), half, dtype=BOOL)
            size = b.each("Add", low, b.cast(up, b.dtype(x)))
    return b.each("Mul", b.each("Sign", x), size)


def overflowed(b: Emitter, levels: str, lo: int, hi: int, overflow: Overflow, zero: np.ndarray | None = None) -> str:
    """Integral `levels` (float or int64) brought into lo..hi; with `zero`, levels and result are centred on it."""
    dtype = b.dtype(levels)
    zeros = np.zeros((), np.int64) if zero is None else zero
    if overflow == "wrap":
        span = 1 << (hi - lo).bit_length()
        base = -span // 2 if lo < 0 else 0
        low = b.constant((base - zeros).astype(dtype))
        period = b.scalar(span, dtype)
        above = b.each("Sub", levels, low)
        if dtype.kind == "i":
            inside = b.each("Mod", above, period)
        else:
            inside = b.each("Sub", above, b.each("Mul", b.each("Floor", b.each("Div", above, period)), period))
        wrapped = b.each("Add", inside, low)
        return wrapped if base == lo else b.each("Max", wrapped, b.constant((lo - zeros).astype(dtype)))
    if overflow == "saturate_symmetric" and lo < 0:
        lo = -hi
    low, high = (b.constant((bound - zeros).astype(dtype)) for bound in (lo, hi))
    return b.each("Min", b.each("Max", levels, low), high)


def rounded_quotient(b: Emitter, n: str, d: str, rounding: Rounding) -> str:
    """int64 `n` / `d` (positive) rounded to int64, exactly."""
    zero, one, two = (b.scalar(v, np.dtype(np.int64)) for v in (0, 1, 2))
    rest = b.each("Mod", n, d)  # in 0..d-1: the remainder has the sign of the divisor
    quotient = b.each("Div", b.each("Sub", n, rest), d)
    if rounding == "floor":
        return quotient
    positive = b.each("Greater", rest, zero, dtype=BOOL)
    twice = b.each("Mul", rest, two)
    more = b.each("Greater", twice, d, dtype=BOOL)
    tie = b.each("Equal", twice, d, dtype=BOOL)

    def both(x: str, y: str) -> str:
        return b.each("And", x, y, dtype=BOOL)

    match rounding:
        case "ceil":
            up = positive
        case "trunc":
            up = both(positive, b.each("Less", n, zero, dtype=BOOL))
        case "away":
            up = both(positive, b.each("Greater", n, zero, dtype=BOOL))
        case "half_down":
            up = more
        case "half_up":
            up = b.each("Or", more, tie, dtype=BOOL)
        case "half_even":
            odd = b.each("Equal", b.each("Mod", quotient, two), one, dtype=BOOL)
            up = b.each("Or", more, both(tie, odd), dtype=BOOL)
        case _:
            sign = b.each("GreaterOrEqual" if rounding == "half_away" else "Less", n, zero, dtype=BOOL)
            up = b.each("Or", more, both(tie, sign), dtype=BOOL)
    return b.each("Add", quotient, b.cast(up, np.dtype(np.int64)))
