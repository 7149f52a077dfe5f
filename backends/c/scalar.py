"""C expressions of one element: exact integers with their interval, or IEEE numbers.

Integer arithmetic picks `int32_t` where the interval of the result allows it, else `int64_t`; no operation can
overflow. Rounding and saturation are those of `edgec.rounding`, and what the interval shows to be superfluous is left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgec.formats import FormatError
from edgec.rounding import Overflow, Rounding

Kind = Literal["int", "half", "float", "double"]


@dataclass(frozen=True)
class Scalar:
    """`code` is a name or a literal. Integers lie in lo..hi; a `half` is held in a float and rounded after every op."""

    code: str
    kind: Kind = "int"
    lo: int = 0
    hi: int = 0
    stored: str = ""
    """The code in memory, where a level has one and its format is a table."""

    @property
    def ctype(self) -> str:
        return integer_type(self.lo, self.hi) if self.kind == "int" else NUMBERS[self.kind]


NUMBERS = {"half": "float", "float": "float", "double": "double"}
FLOATS = {"float16": "half", "float32": "float", "float64": "double"}


def integer_type(lo: int, hi: int) -> str:
    """The type of arithmetic that holds lo..hi; FormatError beyond 64 bits."""
    if lo >= -(1 << 31) and hi < 1 << 31:
        return "int32_t"
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "int64_t"
    raise FormatError(f"integers from {lo} to {hi} need more than 64 bits")


def integer(value: int) -> str:
    """A literal of `value`; the most negative ones cannot be written directly."""
    if value == -(1 << 31):
        return "(-2147483647 - 1)"
    if value == -(1 << 63):
        return "(-INT64_C(9223372036854775807) - 1)"
    text = str(value) if -(1 << 31) < value < 1 << 31 else f"INT64_C({value})"
    return text if value >= 0 else f"({text})"


def number(value: float, kind: Kind) -> str:
    """A literal that reads back as exactly `value`."""
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = float(value).hex() if value else ("-0.0" if np.signbit(value) else "0.0")
    text += "" if kind == "double" else "f"
    return f"({text})" if text.startswith("-") else text


class Body:
    """Statements that compute one element."""

    def __init__(self, prefix: str = "t") -> None:
        self.lines: list[str] = []
        self.prefix, self.count = prefix, 0
        self.single = False
        """Functions of binary32 may be computed in it."""

    def name(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"

    def let(self, expression: str, lo: int, hi: int) -> Scalar:
        """A named integer."""
        made = Scalar(self.name(), "int", lo, hi)
        self.lines.append(f"const {made.ctype} {made.code} = {expression};")
        return made

    def let_number(self, expression: str, kind: Kind) -> Scalar:
        """A named number, rounded to `kind`."""
        made = Scalar(self.name(), kind)
        expression = f"@round_half({expression})" if kind == "half" else expression
        self.lines.append(f"const {made.ctype} {made.code} = {expression};")
        return made


def constant(value: int) -> Scalar:
    return Scalar(integer(value), "int", value, value)


def widened(a: Scalar, lo: int, hi: int) -> str:
    """`a` in the type that holds its own and the interval lo..hi."""
    wanted = integer_type(min(lo, a.lo), max(hi, a.hi))
    return a.code if a.ctype == wanted else f"({wanted}){a.code}"


def add(body: Body, a: Scalar, b: Scalar) -> Scalar:
    lo, hi = a.lo + b.lo, a.hi + b.hi
    if (b.lo, b.hi) == (0, 0):
        return a
    if (a.lo, a.hi) == (0, 0):
        return b
    lo_all, hi_all = min(lo, b.lo), max(hi, b.hi)
    return body.let(f"({integer_type(lo, hi)})({widened(a, lo_all, hi_all)} + {widened(b, lo, hi)})", lo, hi)


def subtract(body: Body, a: Scalar, b: Scalar) -> Scalar:
    lo, hi = a.lo - b.hi, a.hi - b.lo
    if (b.lo, b.hi) == (0, 0):
        return a
    lo_all, hi_all = min(lo, b.lo), max(hi, b.hi)
    return body.let(f"({integer_type(lo, hi)})({widened(a, lo_all, hi_all)} - {widened(b, lo, hi)})", lo, hi)


def multiply(body: Body, a: Scalar, b: Scalar) -> Scalar:
    corners = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    lo, hi = min(corners), max(corners)
    for one, other in ((a, b), (b, a)):
        if (one.lo, one.hi) == (1, 1):
            return other
    lo_all, hi_all = min(lo, b.lo), max(hi, b.hi)
    return body.let(f"({integer_type(lo, hi)})({widened(a, lo_all, hi_all)} * {widened(b, lo, hi)})", lo, hi)


def maximum(body: Body, a: Scalar, value: int) -> Scalar:
    if a.lo >= value:
        return a
    return _picked(body, f"{a.code} < {integer(value)} ? {integer(value)} : {a.code}", a, value, max(a.hi, value))


def minimum(body: Body, a: Scalar, value: int) -> Scalar:
    if a.hi <= value:
        return a
    return _picked(body, f"{a.code} > {integer(value)} ? {integer(value)} : {a.code}", a, min(a.lo, value), value)


def _picked(body: Body, choice: str, a: Scalar, lo: int, hi: int) -> Scalar:
    """`a` or a bound; narrowed where the bounds allow a smaller type."""
    narrow = integer_type(lo, hi)
    return body.let(choice if narrow == a.ctype else f"({narrow})({choice})", lo, hi)


UP = {
    "ceil": "{r} > 0",
    "trunc": "{r} > 0 && {a} < 0",
    "away": "{r} > 0 && {a} > 0",
    "half_even": "{r} > {h} || ({r} == {h} && ({q} & 1) != 0)",
    "half_down": "{r} > {h}",
    "half_away": "{r} > {h} || ({r} == {h} && {a} >= 0)",
    "half_zero": "{r} > {h} || ({r} == {h} && {a} < 0)",
}
"""When the quotient rounded down goes up: r is the remainder, h half of the divisor (see `edgec.rounding`)."""


def shift_round(body: Body, a: Scalar, right: int, rounding: Rounding) -> Scalar:
    """a * 2**-right rounded, as `edgec.rounding.shift_round`."""
    if right <= 0:
        return multiply(body, a, constant(1 << -right))
    if right > 62:
        raise FormatError(f"a shift by {right} bits")
    lo, hi = a.lo >> right, (a.hi >> right) + 1
    half = 1 << (right - 1)
    if rounding == "floor":
        return body.let(f"({integer_type(lo, hi)})({widened(a, 0, 1 << right)} >> {right})", lo, a.hi >> right)
    if rounding == "half_up":
        more = add(body, a, constant(half))
        low, high = more.lo >> right, more.hi >> right
        return body.let(f"({integer_type(low, high)})({widened(more, 0, 1 << right)} >> {right})", low, high)
    wide = integer_type(min(a.lo, 0), max(a.hi, 1 << right))
    x = f"({wide}){a.code}"
    q = body.let(f"({integer_type(lo, hi)})({x} >> {right})", lo, hi)
    mask = (1 << right) - 1
    r = body.let(f"({integer_type(0, mask)})({x} & {integer(mask)})", 0, mask)
    up = UP[rounding].format(r=r.code, a=a.code, q=q.code, h=integer(half))
    return body.let(f"{q.code} + (({up}) ? 1 : 0)", lo, hi)


def divide_round(body: Body, a: Scalar, divisor: Scalar, rounding: Rounding) -> Scalar:
    """a / divisor (a positive integer) rounded, as `edgec.rounding.divide_round`."""
    bound = max(abs(a.lo), abs(a.hi)) // max(divisor.lo, 1) + 1
    kind = integer_type(-2 * divisor.hi - abs(a.lo), 2 * divisor.hi + abs(a.hi))
    x, d = f"({kind}){a.code}", f"({kind}){divisor.code}"
    whole = body.let(f"({kind})({x} / {d})", -bound, bound)
    rest = body.let(f"({kind})({x} % {d})", -divisor.hi, divisor.hi)
    q = body.let(f"({integer_type(-bound, bound)})({whole.code} - ({rest.code} < 0 ? 1 : 0))", -bound, bound)
    if rounding == "floor":
        return q
    r = body.let(f"({kind})(2 * ({kind})({rest.code} + ({rest.code} < 0 ? {d} : 0)))", 0, 2 * divisor.hi)
    rule = "{r} >= {h}" if rounding == "half_up" else UP[rounding]
    up = rule.format(r=r.code, a=a.code, q=q.code, h=d)
    return body.let(f"{q.code} + (({up}) ? 1 : 0)", -bound, bound)


def overflow(body: Body, a: Scalar, lo: int, hi: int, rule: Overflow) -> Scalar:
    """`a` brought into lo..hi, as `edgec.rounding.overflow_levels`."""
    if rule == "wrap":
        if lo <= a.lo and a.hi <= hi:
            return a
        span = 1 << (hi - lo).bit_length()
        base = -span // 2 if lo < 0 else 0
        if span >= 1 << 63:
            return wrapped(body, "+", a, constant(0), lo, hi)
        moved = subtract(body, a, constant(base))
        kind = integer_type(min(moved.lo, 0), max(moved.hi, span))
        low = body.let(f"({integer_type(0, span - 1)})(({kind}){moved.code} & {integer(span - 1)})", 0, span - 1)
        return maximum(body, add(body, low, constant(base)), lo)
    if rule == "saturate_symmetric" and lo < 0:
        lo = -hi
    return minimum(body, maximum(body, a, lo), hi)


def wrapped(body: Body, sign: str, a: Scalar, b: Scalar, lo: int, hi: int) -> Scalar:
    """a sign b modulo 2**64, and of that what the bits of lo..hi write."""
    name = body.name()
    other = b.code if sign == "<<" else f"(uint64_t){b.code}"
    body.lines.append(f"const uint64_t {name} = (uint64_t){a.code} {sign} {other};")
    return low_bits(body, name, lo, hi)


def low_bits(body: Body, name: str, lo: int, hi: int) -> Scalar:
    """The level in lo..hi that the low bits of a `uint64_t` write; a narrow range has no most negative code."""
    width = (hi - lo).bit_length()
    kind, mask = integer_type(lo, hi), f"UINT64_C({(1 << width) - 1})"
    if lo >= 0:
        return body.let(f"({kind})({name} & {mask})", lo, hi)
    if width == 64:
        return maximum(body, body.let(f"(int64_t){name}", -(1 << 63), hi), lo)
    half = 1 << (width - 1)
    shifted = f"(int64_t)(({name} + UINT64_C({half})) & {mask}) - INT64_C({half})"
    return maximum(body, body.let(f"({integer_type(-half, hi)})({shifted})", -half, hi), lo)


def as_number(body: Body, a: Scalar, kind: Kind) -> Scalar:
    """An integer as a number of `kind`, rounded once."""
    return body.let_number(f"({NUMBERS[kind]}){a.code}", kind)


ROUND = {
    "floor": "floor{f}({x})",
    "ceil": "ceil{f}({x})",
    "trunc": "trunc{f}({x})",
    "away": "copysign{f}(ceil{f}(fabs{f}({x})), {x})",
    "half_even": "rint{f}({x})",
}
GAP = {
    "half_up": "{g} >= {h}",
    "half_down": "{g} > {h}",
    "half_away": "({x} >= 0 ? {g} >= {h} : {g} > {h})",
    "half_zero": "({x} >= 0 ? {g} > {h} : {g} >= {h})",
}


def round_number(body: Body, a: Scalar, rounding: Rounding) -> Scalar:
    """A number rounded to an integral one of the same kind, as `edgec.rounding.round_float`."""
    f = "" if a.kind == "double" else "f"
    if rounding in ROUND:
        return body.let_number(ROUND[rounding].format(f=f, x=a.code), a.kind)
    low = body.let_number(f"floor{f}({a.code})", a.kind)
    gap = body.let_number(f"{a.code} - {low.code}", a.kind)
    up = GAP[rounding].format(g=gap.code, x=a.code, h=f"0.5{f}")
    return body.let_number(f"{low.code} + (({up}) ? 1.0{f} : 0.0{f})", a.kind)


def to_levels(body: Body, a: Scalar, zero: int, lo: int, hi: int, rule: Overflow) -> Scalar:
    """An integral number plus `zero` brought into lo..hi: NaN counts as level 0, infinities saturate."""
    if rule == "wrap":
        span = 1 << (hi - lo).bit_length()
        shifted = body.let_number(f"(double){a.code} + {number(float(zero), 'double')}", "double").code
        rest = body.let_number(f"fmod({shifted}, {number(float(span), 'double')})", "double").code
        bits = body.name()  # infinities and NaN count as level 0
        test, size = f"{shifted} - {shifted} != 0", f"(uint64_t)fabs({rest})"
        body.lines.append(f"const uint64_t {bits} = {test} ? 0 : {rest} < 0 ? 0 - {size} : {size};")
        return low_bits(body, bits, lo, hi)
    if rule == "saturate_symmetric" and lo < 0:
        lo = -hi
    nan = min(max(0, lo), hi)
    kind = integer_type(lo - zero, hi - zero)
    exact = max(abs(lo - zero), abs(hi - zero)) < 1 << (24 if a.kind != "double" else 53)
    x = a.code if exact or a.kind == "double" else body.let_number(f"(double){a.code}", "double").code
    literal: Kind = a.kind if exact else "double"
    low, high = number(float(lo - zero), literal), number(float(hi - zero), literal)
    moved = body.let(
        f"{x} != {x} ? {integer(nan - zero)} : {x} <= {low} ? {integer(lo - zero)} : {x} >= {high} ? "
        f"{integer(hi - zero)} : ({kind}){x}",
        lo - zero,
        hi - zero,
    )
    return add(body, moved, constant(zero))
