"""Rounding and overflow: the two decisions of every number that becomes narrower.

All functions are exact: integers stay integers, and a float is rounded in its own precision.
`docs/numerics.md` has the table of modes with their names in ap_fixed and QONNX.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Rounding = Literal["floor", "ceil", "trunc", "away", "half_even", "half_up", "half_down", "half_away", "half_zero"]
Overflow = Literal["saturate", "wrap", "saturate_symmetric"]
ROUNDINGS: tuple[str, ...] = get_args(Rounding)
OVERFLOWS: tuple[str, ...] = get_args(Overflow)


def round_float(values: np.ndarray, rounding: Rounding) -> np.ndarray:
    """Round float `values` to integral floats in the same precision; all modes of `Rounding`."""
    x = np.asarray(values)
    match rounding:
        case "floor":
            return np.floor(x)
        case "ceil":
            return np.ceil(x)
        case "trunc":
            return np.trunc(x)
        case "away":
            return np.copysign(np.ceil(np.abs(x)), x)
        case "half_even":
            return np.rint(x)
    low = np.floor(x)
    gap = x - low  # exact: both share the exponent of x or smaller
    half = x.dtype.type(0.5)
    match rounding:
        case "half_up":
            up = gap >= half
        case "half_down":
            up = gap > half
        case "half_away":
            up = np.where(x >= 0, gap >= half, gap > half)
        case "half_zero":
            up = np.where(x >= 0, gap > half, gap >= half)
        case _:
            raise ValueError(f"unknown rounding {rounding!r}")
    return low + up


def divide_round(numerator: np.ndarray, divisor: int | np.ndarray, rounding: Rounding) -> np.ndarray:
    """Exact integer `numerator / divisor` (divisor > 0) rounded to an integer, int64 (or object) in and out."""
    quotient = numerator // divisor
    remainder = numerator - quotient * divisor
    twice = 2 * remainder
    match rounding:
        case "floor":
            return quotient
        case "ceil":
            up = remainder > 0
        case "trunc":
            up = (remainder > 0) & (numerator < 0)
        case "away":
            up = (remainder > 0) & (numerator > 0)
        case "half_even":
            up = (twice > divisor) | ((twice == divisor) & (quotient % 2 == 1))
        case "half_up":
            up = twice >= divisor
        case "half_down":
            up = twice > divisor
        case "half_away":
            up = (twice > divisor) | ((twice == divisor) & (numerator >= 0))
        case "half_zero":
            up = (twice > divisor) | ((twice == divisor) & (numerator < 0))
        case _:
            raise ValueError(f"unknown rounding {rounding!r}")
    return quotient + up


def shift_round(levels: np.ndarray, right: int, rounding: Rounding) -> np.ndarray:
    """`levels * 2**-right` rounded to an integer; a negative `right` shifts left.

    The result is int64, or Python integers in an object array where int64 cannot hold it."""
    levels = np.asarray(levels)
    if right == 0:
        return levels
    if right < 0:
        if levels.dtype != object and -right + _bits(levels) > 62:
            levels = levels.astype(object)
        return levels << -right if levels.dtype != object else levels * (1 << -right)
    if rounding == "floor":
        return levels >> right if right < 63 or levels.dtype == object else levels >> 63
    if right >= 62 and levels.dtype != object:
        return divide_round(levels.astype(object), 1 << right, rounding).astype(np.int64)
    return divide_round(levels, 1 << right, rounding)


def _bits(levels: np.ndarray) -> int:
    """Bits of the largest magnitude among int64 `levels`."""
    return max(int(levels.max(initial=0)).bit_length(), (-int(levels.min(initial=0))).bit_length())


def overflow_levels(levels: np.ndarray, lo: int, hi: int, overflow: Overflow) -> np.ndarray:
    """Bring integral `levels` into lo..hi, int64. `wrap` is modulo 2**bits.

    A narrow range (without the most negative code) wraps as the full one and then excludes that code."""
    levels = np.asarray(levels)
    if levels.dtype.kind == "f":
        ends = (0.0, 0.0) if overflow == "wrap" else (float(hi), float(lo))
        levels = np.nan_to_num(levels, nan=0.0, posinf=ends[0], neginf=ends[1])
        if hi >= 1 << 53 or (overflow == "wrap" and np.abs(levels).max(initial=0) >= 2.0**62):  # not exact below
            levels = np.array([int(v) for v in levels.ravel()], object).reshape(levels.shape)
    if overflow == "wrap":
        span = 1 << (hi - lo).bit_length()
        base = -span // 2 if lo < 0 else 0
        if levels.dtype != object:
            levels = levels.astype(np.int64)
            if span >= 1 << 64:
                return levels
        return np.maximum(((levels - base) & (span - 1)) + base, lo).astype(np.int64)
    if overflow == "saturate_symmetric" and lo < 0:
        lo = -hi
    if levels.dtype == object:
        return np.minimum(np.maximum(levels, lo), hi).astype(np.int64)
    return np.clip(levels, lo, hi).astype(np.int64)
