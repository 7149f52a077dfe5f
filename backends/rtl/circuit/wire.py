"""Wires: a circuit is a graph of immutable operators, each of which is the wire it drives.

An operator is a frozen dataclass. A field that is a `Wire` (or a tuple of them) is an operand, every other field an
attribute. Each operator states four things: the exact interval of its result, its value on samples, its
SystemVerilog, and the cells it costs. Several results: the operator's own interval is unused and `Get` picks one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.value import INT64_BITS, Value

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.emit import Emitter, Ref

Cells = Counter[str]
"""How many of each cell: FA, HA, AND2, NAND2, OR2, NOR2, XOR2, AO22, AOI22, OAI21, MUX2, NOT, FF."""


def _is_operand(value: Any) -> bool:
    return isinstance(value, Wire) or (isinstance(value, tuple) and bool(value) and isinstance(value[0], Wire))


def require(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Wire:
    """Base of all operators."""

    interval: Interval = field(init=False, repr=False)
    operands: tuple[Wire, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        operands: list[Wire] = []
        for name in self.attributes():
            value = getattr(self, name)
            if isinstance(value, Wire):
                operands.append(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], Wire):
                operands.extend(value)
        object.__setattr__(self, "operands", tuple(operands))
        object.__setattr__(self, "interval", self.infer())

    @classmethod
    def attributes(cls) -> tuple[str, ...]:
        """Names of the constructor's fields."""
        names = cls.__dict__.get("_attributes")
        if names is None:
            names = tuple(f.name for f in fields(cls) if f.init)
            cls._attributes = names  # type: ignore[attr-defined]
        return names

    def key(self) -> tuple[Any, ...]:
        """The attributes that, with the operands, make two operators the same."""
        values = (getattr(self, name) for name in self.attributes())
        return tuple(
            v for v in values if not isinstance(v, Wire) and not (isinstance(v, tuple) and v and isinstance(v[0], Wire))
        )

    @property
    def width(self) -> int:
        return self.interval.width

    @property
    def signed(self) -> bool:
        return self.interval.signed

    @property
    def frac(self) -> int:
        return self.interval.frac

    def infer(self) -> Interval:
        """The exact interval of the result."""
        raise NotImplementedError

    def evaluate(self, args: Sequence[Value], samples: int) -> Any:
        """The `Value` of the result, or a list of them where there are several."""
        raise NotImplementedError

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Any:
        """Writes the SystemVerilog and returns the `Ref` to the result, or a list of them."""
        raise NotImplementedError

    def cells(self, used: frozenset[int]) -> Cells:
        """What it costs; `used` are the results that are read, where there are several."""
        return Counter()

    def known(self) -> tuple[int, int]:
        """Masks of bits that are always 0 and always 1."""
        return 0, 0

    def of_ints(self, ints: np.ndarray) -> Value:
        if self.width > INT64_BITS and ints.dtype != object:
            ints = ints.astype(object)
        elif self.width <= INT64_BITS and ints.dtype != np.int64:
            ints = ints.astype(np.int64)
        return Value(self.width, self.signed, len(ints), ints=ints)

    def of_bits(self, bits: np.ndarray, samples: int) -> Value:
        return Value(self.width, self.signed, samples, bits=bits)


@dataclass(frozen=True, eq=False)
class Input(Wire):
    """Element `index` of input port `port`; the elements of a port are packed, element 0 lowest."""

    port: str
    range: Interval
    index: int = 0

    def infer(self) -> Interval:
        return self.range

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return e.input(self)


def input_array(port: str, count: int, interval: Interval) -> list[Input]:
    """The `count` elements of one input port, all of one interval."""
    return [Input(port, interval, i) for i in range(count)]


@dataclass(frozen=True, eq=False)
class Const(Wire):
    """A constant. `bits` widens it with zeros, for parts of a concatenation."""

    value: int
    bits: int = 0
    unit: int = 0

    def infer(self) -> Interval:
        if self.bits:
            require(0 <= self.value < 1 << self.bits, f"{self.value} does not fit {self.bits} bits")
            return Interval(0, (1 << self.bits) - 1)
        return Interval(self.value, self.value, self.unit)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_ints(np.full(samples, self.value, np.int64 if self.width <= INT64_BITS else object))

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return e.literal(self.raw, self.width)

    @property
    def raw(self) -> int:
        """The bits as an unsigned number."""
        return self.value & ((1 << self.width) - 1)

    def known(self) -> tuple[int, int]:
        return ~self.raw & ((1 << self.width) - 1), self.raw


@dataclass(frozen=True, eq=False)
class Slice(Wire):
    """Bits lsb .. lsb + count - 1 of x as an unsigned number; use `bits`."""

    x: Wire
    lsb: int
    count: int

    def infer(self) -> Interval:
        require(self.lsb >= 0 and self.count >= 1 and self.lsb + self.count <= self.x.width, "slice outside the wire")
        x = self.x.interval
        if not x.signed and self.lsb + self.count == x.width and x.hi >> self.lsb >= 1 << (self.count - 1):
            return Interval(x.lo >> self.lsb, x.hi >> self.lsb)
        return Interval.of_bits(self.count)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_bits(args[0].bits[self.lsb : self.lsb + self.count], samples)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return args[0].bits(self.lsb, self.count)

    def known(self) -> tuple[int, int]:
        zeros, ones = self.x.known()
        mask = (1 << self.count) - 1
        return zeros >> self.lsb & mask, ones >> self.lsb & mask


@dataclass(frozen=True, eq=False)
class Concat(Wire):
    """Parts put side by side, the first one lowest, as an unsigned number; use `concat`."""

    parts: tuple[Wire, ...]

    def infer(self) -> Interval:
        return Interval.of_bits(sum(p.width for p in self.parts))

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_bits(np.concatenate([a.bits for a in args]), samples)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return e.assign(self.width, e.concat(args))

    def known(self) -> tuple[int, int]:
        zeros = ones = at = 0
        for part in self.parts:
            z, o = part.known()
            zeros, ones, at = zeros | z << at, ones | o << at, at + part.width
        return zeros, ones


@dataclass(frozen=True, eq=False)
class Cast(Wire):
    """The low bits of x read as a number of `to`. Evaluation raises where the value is outside `to`; use `cast`."""

    x: Wire
    to: Interval

    def infer(self) -> Interval:
        require(self.to.width <= self.x.width, f"{self.to} does not fit the {self.x.width} bits of {self.x.interval}")
        return self.to

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        value = self.of_bits(args[0].bits[: self.width], samples)
        check_range(value, self.to, "cast")
        return value

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return args[0].bits(0, self.width)

    def known(self) -> tuple[int, int]:
        zeros, ones = self.x.known()
        mask = (1 << self.width) - 1
        return zeros & mask, ones & mask


@dataclass(frozen=True, eq=False)
class Get(Wire):
    """Result `index` of an operator with several results."""

    x: Wire
    index: int
    range: Interval

    def infer(self) -> Interval:
        return self.range


def check_range(value: Value, interval: Interval, what: str) -> None:
    """Raise `ValueError` when a sample is outside `interval`."""
    if interval == Interval.of_bits(interval.width, interval.signed, interval.frac) or not value.samples:
        return
    low, high = value.ints.min(), value.ints.max()
    require(interval.lo <= low and high <= interval.hi, f"{what}: {low}..{high} outside {interval}")


def bits(x: Wire, lsb: int, count: int) -> Wire:
    """Bits of x as an unsigned number; beyond the width the sign (or 0) goes on."""
    if isinstance(x, Const):
        return Const(x.value >> lsb & ((1 << count) - 1), count)
    if lsb + count > x.width:
        top = bits(x, x.width - 1, 1) if x.signed else Const(0, 1)
        inside = max(x.width - lsb, 0)
        parts = [bits(x, lsb, inside)] if inside else []
        return concat(parts + [top] * (count - inside))
    if lsb == 0 and count == x.width and not x.signed and x.frac == 0:
        return x
    if isinstance(x, Slice):
        return bits(x.x, x.lsb + lsb, count)
    if isinstance(x, Cast):
        return bits(x.x, lsb, count)
    return Slice(x, lsb, count)


def concat(parts: Sequence[Wire]) -> Wire:
    """Parts side by side, the first one lowest, as an unsigned number."""
    merged: list[Wire] = []
    for part in parts:
        last = merged[-1] if merged else None
        if (
            isinstance(last, Slice)
            and isinstance(part, Slice)
            and (last.x, last.lsb + last.count) == (part.x, part.lsb)
        ):
            merged[-1] = bits(part.x, last.lsb, last.count + part.count)
        elif isinstance(last, Const) and isinstance(part, Const):
            merged[-1] = Const(last.raw | part.raw << last.width, last.width + part.width)
        else:
            merged.append(part)
    if len(merged) == 1:
        return bits(merged[0], 0, merged[0].width)
    return Concat(tuple(merged))


def cast(x: Wire, to: Interval) -> Wire:
    """The low bits of x read as a number of `to`; free."""
    if x.interval == to:
        return x
    if isinstance(x, Const) and x.value == to.lo == to.hi:
        return Const(x.value, unit=to.frac)
    return Cast(x, to)


def narrow(x: Wire, interval: Interval) -> Wire:
    """x, which is known to be inside `interval`, with the tighter of both intervals; free."""
    return cast(x, Interval(max(x.interval.lo, interval.lo), min(x.interval.hi, interval.hi), x.frac))


def shift_left(x: Wire, places: int) -> Wire:
    """x * 2**places as an integer, with `places` more fraction bits: the same real number in a finer unit; free."""
    if places == 0:
        return x
    i = x.interval
    to = Interval(i.lo << places, i.hi << places, i.frac + places)
    if isinstance(x, Const):
        return Const(x.value << places, unit=to.frac)
    return cast(concat([Const(0, places), x]), to)


def shift_right_floor(x: Wire, places: int) -> Wire:
    """floor(x / 2**places), with `places` fewer fraction bits; free."""
    if places == 0:
        return x
    i = x.interval
    to = Interval(i.lo >> places, i.hi >> places, i.frac - places)
    if isinstance(x, Const):
        return Const(x.value >> places, unit=to.frac)
    if to.lo == to.hi:
        return Const(to.lo, unit=to.frac)
    return cast(bits(x, places, max(x.width - places, 1)), to)


def with_frac(x: Wire, frac: int) -> Wire:
    """The same integers in the unit 2**-frac; free."""
    return cast(x, Interval(x.interval.lo, x.interval.hi, frac))
