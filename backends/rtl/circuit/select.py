"""Bit searching and shifting: leading-one detection and barrel shifters."""

from __future__ import annotations

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import any_bit, extend, mux
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, concat, narrow, require, shift_right_floor


def leading_one(x: Wire) -> Wire:
    """floor(log2(x)) of an unsigned integer x, 0 for x = 0: halves are tested from the largest down."""
    require(not x.signed, "leading_one takes unsigned numbers")
    if x.width == 1:
        return Const(0)
    half = 1 << ((x.width - 1).bit_length() - 1)
    rest = extend(x, 2 * half)
    found: list[Wire] = []
    while half >= 1:
        upper, lower = bits(rest, half, half), bits(rest, 0, half)
        hit = any_bit(upper)
        found.insert(0, hit)
        rest = mux(hit, upper, lower)
        half //= 2
    highest = x.interval.hi.bit_length() - 1
    lowest = max(x.interval.lo.bit_length() - 1, 0)
    if lowest == highest:
        return Const(highest)
    return cast(concat(found), Interval(lowest, highest))


def shift_right(x: Wire, amount: Wire) -> Wire:
    """floor(x / 2**amount) in the unit of x, for an unsigned integer `amount`."""
    a = amount.interval
    require(a.lo >= 0 and a.frac == 0, "a shift amount is an unsigned integer")
    i = x.interval
    result = x
    for b in range(amount.width):
        shifted = shift_right_floor(result, 1 << b)
        shifted = cast(shifted, Interval(shifted.interval.lo, shifted.interval.hi, i.frac))
        result = mux(bits(amount, b, 1), shifted, result)
    ends = [v >> s for v in (i.lo, i.hi) for s in (a.lo, a.hi)]
    return narrow(result, Interval(min(ends), max(ends), i.frac))


def shift_left_by(x: Wire, amount: Wire) -> Wire:
    """x * 2**amount in the unit of x, for an unsigned integer `amount`."""
    a = amount.interval
    require(a.lo >= 0 and a.frac == 0, "a shift amount is an unsigned integer")
    i = x.interval
    ends = [v << s for v in (i.lo, i.hi) for s in (a.lo, a.hi)]
    target = Interval(min(ends), max(ends), i.frac)
    result = extend(x, target.width)
    for b in range(amount.width):
        places = 1 << b
        keep = target.width - places
        shifted = concat([Const(0, places), bits(result, 0, keep)]) if keep > 0 else Const(0, target.width)
        result = mux(bits(amount, b, 1), shifted, result)
    return cast(result, target)
