"""Products by a sign, by -1, 0 or +1, and by a signed power of two that is held in a register: no multiplier.

A magnitude bit of the weight selects whether a row is shifted by 1, 2, 4, ... places (a barrel shifter over all lanes
at once); the sign inverts the row. The ones that complete the negative rows are counted over all lanes and added once.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import AndOr, bitwise, invert
from edgec.backends.rtl.circuit.matrix import Matrix
from edgec.backends.rtl.circuit.multiply import Lanes, LaneSum
from edgec.backends.rtl.circuit.wire import Const, Wire, require


def sign_products(x: Lanes, minus: Wire, keep_low: int = 0) -> LaneSum:
    """x or -x lane by lane, -x where the plane `minus` is 1."""
    if is_sign(x):
        return sign_by_sign(x, minus)
    return signed(list(x.planes), x.interval.signed, minus, hull(x.interval, 1), keep_low, x)


def ternary_products(x: Lanes, nonzero: Wire, minus: Wire, keep_low: int = 0) -> LaneSum:
    """x * w for w of -1, 0, +1 in two's complement: bit 0 says that it is not zero, bit 1 that it is negative."""
    planes = [bitwise("and", p, nonzero) if not isinstance(p, Const) else _gated(p, nonzero) for p in x.planes]
    return signed(planes, x.interval.signed, minus, hull(x.interval, 1), keep_low, x)


def pow2_products(x: Lanes, code: Sequence[Wire], zero: bool, keep_low: int = 0) -> LaneSum:
    """x * +-2**s for codes of `Pow2`: the planes of s from below, then the sign; with `zero` s = 0 means 0, else
    2**(s-1)."""
    *exponent, minus = code
    planes: list[Wire] = list(x.planes)
    if zero:
        nonzero = exponent[0]
        for plane in exponent[1:]:
            nonzero = bitwise("or", nonzero, plane)
        planes = [bitwise("and", p, nonzero) if not isinstance(p, Const) else _gated(p, nonzero) for p in planes]
    for b, choose in enumerate(exponent):
        planes = shifted_where(planes, x.interval.signed, choose, 1 << b)
    top = (1 << len(exponent)) - 1
    if zero:
        planes, top = planes[1:], top - 1
    return signed(planes, x.interval.signed, minus, hull(x.interval, 1 << top), keep_low, x)


def shifted_where(planes: list[Wire], is_signed: bool, choose: Wire, places: int) -> list[Wire]:
    """The numbers shifted left by `places` where the plane `choose` is 1, in as many planes as that needs."""
    stay = invert(choose)
    result: list[Wire] = []
    for i in range(len(planes) + places):
        moved = planes[i - places] if i >= places else None
        kept = planes[i] if i < len(planes) else planes[-1] if is_signed else None
        pairs = [(s, p) for s, p in ((choose, moved), (stay, kept)) if p is not None]
        if len(pairs) == 1:
            select, plane = pairs[0]
            result.append(_gated(plane, select) if isinstance(plane, Const) else bitwise("and", plane, select))
        elif moved is kept:
            result.append(planes[-1])
        else:
            (a, b), (c, d) = pairs
            result.append(AndOr(a, b, c, d))
    return result


def signed(planes: list[Wire], is_signed: bool, minus: Wire, interval: Interval, keep_low: int, x: Lanes) -> LaneSum:
    """The numbers in `planes`, negated where `minus` is 1: every bit inverted, and 1 added.

    For unsigned planes of W bits -v = ~v + 1 - 2**W. With `keep_low` (products that are rounded one by one) the 1 of
    every lane is a bit of its own product; otherwise all are counted together.
    """
    width = len(planes)
    sign = bitwise("xor", planes[-1], minus) if is_signed else minus
    result = LaneSum(x.count, interval, sign=sign)
    for i, plane in enumerate(planes):
        result.put(i, bitwise("xor", minus, plane), negative=is_signed and i == width - 1)
    if keep_low > 0:
        result.put(0, minus)
        if not is_signed:
            result.put(width, minus, negative=True)
        return result
    total = Matrix()
    total.add_bits(minus, 0)
    total.hi += x.count
    count = total.total()
    result.shared.append((count, 0, False))
    if not is_signed:
        result.shared.append((count, width, True))
    return result


def is_sign(x: Lanes) -> bool:
    """Whether the lanes are -1 or +1 as two's complement: a constant 1 below the sign."""
    low = x.planes[0]
    return (x.interval.lo, x.interval.hi) == (-1, 1) and isinstance(low, Const) and low.raw == (1 << x.count) - 1


def sign_by_sign(x: Lanes, minus: Wire) -> LaneSum:
    """+-1 times +-1: 1 - 2 (x negative xor w negative), one XOR a lane."""
    differ = bitwise("xor", x.planes[-1], minus)
    result = LaneSum(x.count, Interval(-1, 1, x.interval.frac), sign=differ)
    result.put(1, differ, negative=True)
    result.constant += 1
    return result


def hull(x: Interval, factor: int) -> Interval:
    """Of x times anything between -factor and factor."""
    reach = max(abs(x.lo), abs(x.hi)) * factor
    return Interval(-reach, reach, x.frac)


def _gated(plane: Const, select: Wire) -> Wire:
    """A constant plane where `select` is 1."""
    full = (1 << plane.width) - 1
    require(plane.raw in (0, full), "a constant plane is all zeros or all ones")
    return select if plane.raw else plane
