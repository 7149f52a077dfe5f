"""Products of two variables, and dot products over lanes.

Lanes hold many numbers bit-sliced: plane b is the vector of bit b of all of them. One operator on planes then works
on all products of a dot product at once, in the netlist, in simulation and in evaluation alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edgec.backends.rtl.circuit.arith import full_add, half_add
from edgec.backends.rtl.circuit.cost import cost_of
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import AndOr, bitwise, invert
from edgec.backends.rtl.circuit.matrix import Matrix, scale
from edgec.backends.rtl.circuit.rounding import Rounding, increment, rounded_interval
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, bits, cast, concat, require

Form = Literal["auto", "and", "booth"]


@dataclass(frozen=True)
class Lanes:
    """`count` numbers of one interval; `planes[b]` has bit b of number i as its bit i."""

    planes: tuple[Wire, ...]
    interval: Interval

    @property
    def count(self) -> int:
        return self.planes[0].width

    @classmethod
    def of(cls, wires: Sequence[Wire]) -> Lanes:
        """Transpose numbers into planes; the interval is the hull of theirs. Costs nothing but wiring."""
        interval = Interval.hull(w.interval for w in wires)
        columns = [[bits(w, b, 1) for w in wires] for b in range(interval.width)]
        return cls(tuple(concat(column) for column in columns), interval)

    @classmethod
    def input(cls, port: str, count: int, interval: Interval) -> Lanes:
        """An input port laid out by planes: bit b of number i is bit b * count + i of the port."""
        plane = Interval.of_bits(count)
        return cls(tuple(Input(port, plane, b) for b in range(interval.width)), interval)

    def numbers(self) -> list[Wire]:
        """The numbers one by one; wiring only."""
        return [cast(concat([bits(p, i, 1) for p in self.planes]), self.interval) for i in range(self.count)]


@dataclass
class LaneSum:
    """One number a lane as a sum of planes: sum of planes[c] * 2**c + constant, in `interval`.

    `shared` holds terms (wire, shift, negate) that are already summed over all lanes. `sign` is the plane of
    negative numbers, valid where the number is not 0."""

    count: int
    interval: Interval
    columns: dict[int, list[Wire]] = field(default_factory=dict)
    constant: int = 0
    shared: list[tuple[Wire, int, bool]] = field(default_factory=list)
    sign: Wire | None = None

    def put(self, column: int, plane: Wire, negative: bool = False) -> None:
        """A plane of weight 2**column, or of -2**column."""
        if negative:
            plane, self.constant = invert(plane), self.constant - (1 << column)
        self.columns.setdefault(column, []).append(plane)


def and_products(x: Lanes, w: Lanes) -> LaneSum:
    """x * w lane by lane, one AND a pair of bits (Baugh and Wooley 1973 for the signs)."""
    require(x.count == w.count, f"{x.count} numbers times {w.count}")
    result = LaneSum(x.count, x.interval * w.interval, sign=_sign(x, w))
    for i, a in enumerate(x.planes):
        for j, b in enumerate(w.planes):
            minus = (x.interval.signed and i == len(x.planes) - 1) != (w.interval.signed and j == len(w.planes) - 1)
            result.columns.setdefault(i + j, []).append(bitwise("nand" if minus else "and", a, b))
            result.constant -= minus << (i + j)
    return result


@dataclass(frozen=True)
class Recoded:
    """Booth digits (radix 4) of lanes: digit d is (1, 2 or 0 by `one`, `two`), negative where `minus`.

    `minus_total` is the sum over lanes and digits of minus * 4**d: recode once, use it in every product."""

    digits: tuple[tuple[Wire, Wire, Wire], ...]
    minus_total: Wire
    source: Lanes


def recode(w: Lanes) -> Recoded:
    """Booth's radix-4 digits of w (MacSorley 1961)."""
    zero = Const(0, w.count)
    planes = list(w.planes)
    top = planes[-1] if w.interval.signed else zero
    planes += [top] * (2 if not w.interval.signed and len(planes) % 2 == 0 else len(planes) % 2)
    digits = []
    below: Wire = zero
    total = Matrix()
    for d in range(0, len(planes), 2):
        low, high = planes[d], planes[d + 1]
        one = bitwise("xor", low, below)
        differs = high if below is zero else bitwise("xor", high, low)  # where one is 0, low is below
        two = bitwise("and", differs, invert(one)) if high is not low else Const(0, w.count)
        digits.append((one, two, high))
        if not isinstance(high, Const):
            total.add_bits(high, d)
            total.hi += w.count << d
        below = high
    return Recoded(tuple(digits), total.total(), w)


def booth_products(x: Lanes, w: Recoded, keep_low: int = 0) -> LaneSum:
    """x * w lane by lane from Booth digits of w.

    A negative digit inverts its row and adds 1 at the row's lowest column. Those ones are added for all lanes at
    once through `minus_total`, except below column `keep_low`, where each product is needed by itself; there the
    lowest bit stays, and the 1 goes a column higher where that bit is 0."""
    require(x.count == w.source.count, f"{x.count} numbers times {w.source.count}")
    width = len(x.planes)
    result = LaneSum(x.count, x.interval * w.source.interval, sign=_sign(x, w.source))
    late = Matrix()
    for d, (one, two, minus) in enumerate(w.digits):
        column = 2 * d
        for i in range(width + 1):
            top = x.planes[-1] if x.interval.signed else None
            single = x.planes[i] if i < width else top
            double = x.planes[i - 1] if i > 0 else None
            pairs = [(s, p) for s, p in ((one, single), (two, double)) if p is not None and not isinstance(s, Const)]
            if len(pairs) == 2:
                plane: Wire = AndOr(*pairs[0], *pairs[1])
            else:
                plane = bitwise("and", *pairs[0]) if pairs else Const(0, x.count)
            if i == 0 and column < keep_low and not isinstance(minus, Const):
                # (p xor minus) + minus = p + 2 (minus and not p): one gate less, and a column higher
                result.put(column, plane)
                result.put(column + 1, bitwise("and", minus, invert(plane)))
                continue
            plane = bitwise("xor", plane, minus)
            if not isinstance(plane, Const):
                result.put(column + i, plane, negative=x.interval.signed and i == width)
        if isinstance(minus, Const):
            continue
        if column >= keep_low:
            late.add_bits(minus, column - keep_low)
            late.hi += x.count << (column - keep_low)
    if not x.interval.signed:
        result.shared.append((w.minus_total, width + 1, True))
    if keep_low == 0:
        result.shared.append((w.minus_total, 0, False))
    elif late.hi:
        result.shared.append((late.total(), keep_low, False))
    return result


def round_products(products: LaneSum, drop: int, rounding: Rounding = "floor") -> LaneSum:
    """Each product rounded by `drop` bits before anything is added.

    The low columns of every lane are added by themselves; only their carries go on, which is exactly `floor`. The
    other modes add at most 1 more."""
    if drop <= 0:
        return products
    require(all(shift >= drop for _, shift, _ in products.shared), "a shared term is below the rounding point")
    columns = {c: list(planes) for c, planes in products.columns.items()}
    constant = products.constant
    exact_columns = drop + (rounding == "half_even")
    low: list[Wire] = []
    for c in range(exact_columns):
        one = constant >> c & 1
        constant -= one << c
        low.append(_finish_column(columns, c, bool(one), products.count))
    result = LaneSum(products.count, rounded_interval(products.interval, drop, rounding), sign=products.sign)
    result.constant = constant >> drop
    result.shared = [(wire, shift - drop, negate) for wire, shift, negate in products.shared]
    for c in sorted(columns):
        if c >= exact_columns:
            result.columns[c - drop] = columns[c]
    if rounding == "half_even":
        result.put(0, low[drop])
    extra = increment(rounding, low[:drop], low[-1], products.sign)
    if extra is not None:
        result.put(0, extra)
    return result


def _finish_column(columns: dict[int, list[Wire]], c: int, one: bool, count: int) -> Wire:
    """Reduce column c of every lane to one bit, carries going to column c + 1; the bit is returned."""
    planes = columns.pop(c, [])
    carries = columns.setdefault(c + 1, [])
    if one and len(planes) == 1:
        carries.append(planes[0])
        return invert(planes[0])
    if one and planes:
        total, carry = half_add(planes[0], planes[1], one=True)
        planes = planes[2:] + [total]
        carries.append(carry)
        one = False
    while len(planes) >= 2:
        total, carry = full_add(*planes[:3]) if len(planes) >= 3 else half_add(planes[0], planes[1])
        planes = planes[3:] + [total]
        carries.append(carry)
    return planes[0] if planes else Const(((1 << count) - 1) * one, count)


def add_products(matrix: Matrix, products: LaneSum) -> None:
    """Add all lanes' numbers to a sum of the same unit."""
    for column in sorted(products.columns):
        for plane in products.columns[column]:
            if isinstance(plane, Const):
                matrix.constant += plane.raw.bit_count() << column
            else:
                matrix.add_bits(plane, column)
    for wire, shift, negate in products.shared:
        matrix.add(wire, shift, negate, ranged=False)
    matrix.constant += products.constant * products.count
    matrix.lo += products.interval.lo * products.count
    matrix.hi += products.interval.hi * products.count


def products(x: Lanes, w: Lanes, drop: int = 0, rounding: Rounding = "floor", form: Form = "auto") -> LaneSum:
    """x * w lane by lane, each rounded by `drop` bits, in the cheaper form, the sum over lanes included.

    `form` chooses one: "and" for AND arrays, "booth" for Booth digits of w."""
    made: list[tuple[float, LaneSum]] = []
    for name in ("and", "booth") if form == "auto" else (form,):
        if name == "and":
            exact = and_products(x, w)
        else:
            exact = booth_products(x, recode(w), keep_low=drop + (rounding == "half_even") if drop > 0 else 0)
        result = round_products(exact, drop, rounding)
        if form != "auto":
            return result
        matrix = Matrix()
        add_products(matrix, result)
        made.append((cost_of([matrix.total()]), result))
    return min(made, key=lambda item: item[0])[1]


def multiply(x: Wire, y: Wire) -> Wire:
    """x * y exactly: rows of the longer operand, one for each bit of the shorter one."""
    if isinstance(x, Const):
        return scale(y, x.value, x.frac)
    if isinstance(y, Const):
        return scale(x, y.value, y.frac)
    if x.width < y.width:
        x, y = y, x
    interval = x.interval * y.interval
    matrix = Matrix(interval.frac)
    for j in range(y.width):
        minus = y.signed and j == y.width - 1
        row = bitwise("and", bits(x, 0, x.width), bits(y, j, 1))
        if x.signed:
            row = cast(row, Interval.of_bits(x.width, signed=True))
        matrix.add(row, j, minus, ranged=False)
    matrix.lo, matrix.hi = interval.lo, interval.hi
    return matrix.total()


def _sign(x: Lanes, w: Lanes) -> Wire | None:
    """The plane of negative products, right where the product is not 0; None if there are none."""
    signs = [lanes.planes[-1] for lanes in (x, w) if lanes.interval.signed]
    if len(signs) == 2:
        return bitwise("xor", *signs)
    return signs[0] if signs else None
