"""Narrower numbers: rounding, saturation, wrapping. The modes are those of `edgec.rounding`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from edgec.backends.rtl.circuit.arith import add, at_least
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import any_bit, bitwise, invert, mux, select_low
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, require, shift_left, shift_right_floor
from edgec.rounding import ROUNDINGS, Overflow, Rounding, divide_round


def increment(rounding: Rounding, low: Sequence[Wire], lsb: Wire, sign: Wire | None) -> Wire | None:
    """The bit to add to the floor: for each position of the vectors in `low`, the dropped bits, lowest first.

    `lsb` is the lowest bit that stays, `sign` is 1 for negative numbers (right at least where a dropped bit is 1);
    None where nothing is ever negative. The result is None where nothing is ever added."""
    require(rounding in ROUNDINGS, f"unknown rounding {rounding!r}")
    half = low[-1]
    sticky = reduce(lambda a, b: bitwise("or", a, b), low[:-1]) if len(low) > 1 else None
    inexact = half if sticky is None else bitwise("or", half, sticky)
    positive = invert(sign) if sign is not None else None

    def either(x: Wire | None, y: Wire | None) -> Wire | None:
        return bitwise("or", x, y) if x is not None and y is not None else x if y is None else y

    def half_and(condition: Wire | None) -> Wire | None:
        return bitwise("and", half, condition) if condition is not None else None

    match rounding:
        case "floor":
            return None
        case "ceil":
            return inexact
        case "trunc":
            return bitwise("and", inexact, sign) if sign is not None else None
        case "away":
            return bitwise("and", inexact, positive) if positive is not None else inexact
        case "half_up":
            return half
        case "half_down":
            return half_and(sticky)
        case "half_even":
            return half_and(either(sticky, lsb))
        case "half_away":
            return half_and(either(sticky, positive)) if positive is not None else half
        case "half_zero":
            return half_and(either(sticky, sign))
    raise AssertionError(rounding)


def rounded_interval(interval: Interval, drop: int, rounding: Rounding) -> Interval:
    """The interval after rounding by `drop` bits; rounding is monotonic."""
    ends = divide_round(np.array([interval.lo, interval.hi], object), 1 << drop, rounding)
    return Interval(int(ends[0]), int(ends[1]), interval.frac - drop)


def round_to(x: Wire, frac: int, rounding: Rounding = "floor") -> Wire:
    """x in the unit 2**-frac: exact if that is finer, else rounded."""
    drop = x.frac - frac
    if drop <= 0:
        return shift_left(x, -drop)
    interval = Interval(x.value, x.value, x.frac) if isinstance(x, Const) else x.interval
    target = rounded_interval(interval, drop, rounding)
    if target.lo == target.hi:
        return Const(target.lo, unit=frac)
    floor = shift_right_floor(x, drop)
    sign = bits(x, x.width - 1, 1) if x.signed else None
    lower = [bits(x, drop - 1, 1)]
    if drop > 1:
        lower.insert(0, any_bit(bits(x, 0, drop - 1)))
    extra = increment(rounding, lower, bits(x, drop, 1), sign)
    if extra is None:
        return floor
    total = add(floor, cast(extra, Interval(extra.interval.lo, extra.interval.hi, frac)))
    return cast(total, target) if target.width <= total.width else total


def clamp(x: Wire, lo: int, hi: int) -> Wire:
    """min(max(x, lo), hi), bounds as integers in the unit of x."""
    i = x.interval
    if i.hi <= lo or i.lo >= hi or lo == hi:
        return Const(lo if i.hi <= lo else hi, unit=i.frac)
    if lo == 0 and i.lo < 0:  # a rectifier: AND with the inverted sign
        kept = bitwise("and", bits(x, 0, Interval(0, i.hi).width), invert(bits(x, x.width - 1, 1)))
        x = cast(kept, Interval(0, i.hi, i.frac))
    elif i.lo < lo:
        limit = Const(lo, unit=i.frac)
        x = cast(mux(at_least(x, limit), x, limit), Interval(lo, i.hi, i.frac))
    if x.interval.hi > hi:
        low = x.interval.lo
        to = Interval(low, hi, i.frac)
        if low >= 0 and hi & (hi + 1) == 0:  # too large: one of the upper bits is 1, then all lower ones become 1
            over = any_bit(bits(x, hi.bit_length(), x.width - hi.bit_length()))
            x = cast(bitwise("or", bits(x, 0, max(hi.bit_length(), 1)), over), to)
        else:
            limit = Const(hi, unit=i.frac)
            x = cast(mux(at_least(limit, x), x, limit), to)
    return x


def overflow_to(x: Wire, lo: int, hi: int, overflow: Overflow) -> Wire:
    """x brought into lo..hi as `edgec.rounding.overflow_levels` does."""
    if overflow == "saturate_symmetric" and lo < 0:
        lo = -hi
    if overflow != "wrap":
        return clamp(x, lo, hi)
    if lo <= x.interval.lo and x.interval.hi <= hi:
        return x
    full = Interval.of_bits(Interval(lo, hi).width, lo < 0, x.frac)
    return clamp(select_low(x, full), lo, hi)


def quantize(x: Wire, to: Interval, rounding: Rounding = "floor", overflow: Overflow = "saturate") -> Wire:
    """x rounded to the unit of `to` and brought into its range. The result's interval can be narrower."""
    return overflow_to(round_to(x, to.frac, rounding), to.lo, to.hi, overflow)
