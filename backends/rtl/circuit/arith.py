"""Adders: one-bit full and half adders applied to whole vectors, carry-propagate addition, comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import invert, mux
from edgec.backends.rtl.circuit.value import INT64_BITS, Value
from edgec.backends.rtl.circuit.wire import Cells, Const, Get, Wire, bits, narrow, require, shift_left

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.emit import Emitter, Ref

SUM, CARRY = 0, 1


@dataclass(frozen=True, eq=False)
class FullAdder(Wire):
    """A full adder at each bit of three equally wide vectors: vectors of sums (0) and of carries (1)."""

    a: Wire
    b: Wire
    c: Wire

    def infer(self) -> Interval:
        require(self.a.width == self.b.width == self.c.width, "full adders need equal widths")
        return Interval.of_bits(self.a.width)

    def evaluate(self, args: Sequence[Value], samples: int) -> list[Value]:
        a, b, c = (v.bits for v in args)
        half = a ^ b
        return [self.of_bits(half ^ c, samples), self.of_bits(a & b | half & c, samples)]

    def emit(self, e: Emitter, args: Sequence[Ref]) -> list[Ref]:
        a, b, c = (r.text for r in args)
        if e.used != {SUM, CARRY}:
            text = f"{a} ^ {b} ^ {c}" if SUM in e.used else f"({a} & {b}) | ({c} & ({a} | {b}))"
            return [e.assign(self.width, text)] * 2
        total, carry = e.pair(self.width)
        half = e.inline_wire(self.width)
        e.inline(f"assign {half} = {a} ^ {b};")
        e.inline(f"assign {total.text} = {half} ^ {c};")
        e.inline(f"assign {carry.text} = ({a} & {b}) | ({half} & {c});")
        e.cell("edgec_fa", self.width, a=a, b=b, c=c, s=total.text, co=carry.text)
        return [total, carry]

    def cells(self, used: frozenset[int]) -> Cells:
        if used == {SUM}:
            return Counter(XOR2=2 * self.width)
        if used == {CARRY}:
            return Counter(NAND2=2 * self.width, OAI21=self.width)
        return Counter(FA=self.width)


@dataclass(frozen=True, eq=False)
class HalfAdder(Wire):
    """A half adder at each bit: sums (0) and carries (1). With `one` the constant 1 is added at each bit too."""

    a: Wire
    b: Wire
    one: bool = False

    def infer(self) -> Interval:
        require(self.a.width == self.b.width, "half adders need equal widths")
        return Interval.of_bits(self.a.width)

    def evaluate(self, args: Sequence[Value], samples: int) -> list[Value]:
        a, b = (v.bits for v in args)
        total, carry = (~(a ^ b), a | b) if self.one else (a ^ b, a & b)
        return [self.of_bits(total, samples), self.of_bits(carry, samples)]

    def emit(self, e: Emitter, args: Sequence[Ref]) -> list[Ref]:
        a, b = (r.text for r in args)
        totals, carries = (f"~({a} ^ {b})", f"{a} | {b}") if self.one else (f"{a} ^ {b}", f"{a} & {b}")
        if e.used != {SUM, CARRY}:
            return [e.assign(self.width, totals if SUM in e.used else carries)] * 2
        total, carry = e.pair(self.width)
        e.inline(f"assign {total.text} = {totals};")
        e.inline(f"assign {carry.text} = {carries};")
        e.cell("edgec_ha1" if self.one else "edgec_ha", self.width, a=a, b=b, s=total.text, co=carry.text)
        return [total, carry]

    def cells(self, used: frozenset[int]) -> Cells:
        if used == {SUM}:
            return Counter(XOR2=self.width)
        if used == {CARRY}:
            return Counter({"OR2" if self.one else "AND2": self.width})
        return Counter(XOR2=self.width, OR2=self.width) if self.one else Counter(HA=self.width)


def full_add(a: Wire, b: Wire, c: Wire) -> tuple[Wire, Wire]:
    """Vectors of sums and carries of three vectors; a carry's bit belongs one column higher."""
    adder = FullAdder(a, b, c)
    return Get(adder, SUM, adder.interval), Get(adder, CARRY, adder.interval)


def half_add(a: Wire, b: Wire, one: bool = False) -> tuple[Wire, Wire]:
    """Vectors of sums and carries of two vectors, plus the constant 1 at each bit where `one`."""
    adder = HalfAdder(a, b, one)
    return Get(adder, SUM, adder.interval), Get(adder, CARRY, adder.interval)


@dataclass(frozen=True, eq=False)
class Add(Wire):
    """x + y or x - y with a carry-propagate adder; modulo 2**wrap (unsigned) if `wrap` is not 0."""

    x: Wire
    y: Wire
    subtract: bool = False
    wrap: int = 0

    def infer(self) -> Interval:
        require(self.x.frac == self.y.frac or bool(self.wrap), f"sum of {self.x.interval} and {self.y.interval}")
        if self.wrap:
            return Interval.of_bits(self.wrap)
        return self.x.interval - self.y.interval if self.subtract else self.x.interval + self.y.interval

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        x, y = (v.ints for v in args)
        if max(self.width, self.x.width, self.y.width) >= INT64_BITS:
            x, y = x.astype(object), y.astype(object)
        total = x - y if self.subtract else x + y
        return self.of_ints(total & ((1 << self.wrap) - 1) if self.wrap else total)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        x = args[0].extend(self.width, self.x.signed)
        y = args[1].extend(self.width, self.y.signed)
        total = e.inline_assign(self.width, f"{x} {'-' if self.subtract else '+'} {y}")
        e.cells_of(lambda: self._emit_cells(e, args, total))
        return total

    def chain(self) -> list[tuple[str, str, str]]:
        """What each bit's carry, and so its cell, is made from: "x" (live) or a known "0" or "1" of x, y and carry.

        In a subtraction y is inverted and the first carry is 1."""
        x, y = (_bit_kinds(w, self.width) for w in (self.x, self.y))
        carry = "0"
        if self.subtract:
            y, carry = [{"0": "1", "1": "0"}.get(bit, bit) for bit in y], "1"
        bits = []
        for i in range(self.width):
            bits.append((x[i], y[i], carry))
            live, ones = bits[-1].count("x"), bits[-1].count("1")
            carry = "x" if live >= 2 or (live == 1 and ones == 1) else "1" if ones >= 2 else "0"
        return bits

    def cells(self, used: frozenset[int]) -> Cells:
        """The ripple chain: a full adder where both operands have a live bit, less where bits are known."""
        cells: Cells = Counter()
        chain = self.chain()
        for i, kinds in enumerate(chain):
            last = i == self.width - 1
            cells["NOT"] += self.subtract and kinds[1] == "x"
            live, ones = kinds.count("x"), kinds.count("1")
            if live == 3:
                cells.update({"XOR2": 2} if last else {"FA": 1})
            elif live == 2:
                cells.update({"XOR2": 1} if last else {"XOR2": 1, "OR2": 1} if ones else {"HA": 1})
            elif live == 1 and ones == 1:
                cells["NOT"] += 1
        return cells

    def _emit_cells(self, e: Emitter, args: Sequence[Ref], total: Ref) -> None:
        """The ripple chain, a cell a bit; every carry is a net of its own, or simulators would see a loop."""
        carry = ""
        for i, kinds in enumerate(self.chain()):
            live: list[str] = []
            for kind, wire, arg in zip(kinds, (self.x, self.y), args, strict=False):
                if kind == "x":
                    text = _bit(arg, wire.signed, i)
                    live.append(f"~{text}" if self.subtract and wire is self.y else text)
            live += [carry] * (kinds[2] == "x")
            s, odd = total.bits(i, 1).text, kinds.count("1") % 2 == 1
            if i == self.width - 1 or len(live) < 2:
                value = " ^ ".join(live) or "1'b0"
                e.cell_line(f"assign {s} = {f'~({value})' if odd else value};")
                carry = live[0] if live else "1'b0"  # read where the other known bit is a 1
                continue
            net = e.cell_net(1).text
            if len(live) == 3:
                e.cell("edgec_fa", 1, a=live[0], b=live[1], c=live[2], s=s, co=net)
            else:
                e.cell("edgec_ha1" if odd else "edgec_ha", 1, a=live[0], b=live[1], s=s, co=net)
            carry = net


def _bit(arg: Ref, signed: bool, i: int) -> str:
    """Bit i of an operand, extended beyond its width."""
    if i < arg.width:
        return arg.bits(i, 1).text
    return arg.bits(arg.width - 1, 1).text if signed else "1'b0"


def _bit_kinds(wire: Wire, width: int) -> list[str]:
    """For each bit '0' or '1' where it is known, else 'x'."""
    zeros, ones = wire.known()
    kinds = ["0" if zeros >> i & 1 else "1" if ones >> i & 1 else "x" for i in range(min(wire.width, width))]
    return kinds + [kinds[-1] if wire.signed else "0"] * (width - len(kinds))


def align(x: Wire, y: Wire) -> tuple[Wire, Wire]:
    """Both in the finer of the two units."""
    frac = max(x.frac, y.frac)
    return shift_left(x, frac - x.frac), shift_left(y, frac - y.frac)


def add(x: Wire, y: Wire) -> Wire:
    """x + y exactly, in the finer of the two units."""
    x, y = align(x, y)
    if isinstance(x, Const) and isinstance(y, Const):
        return Const(x.value + y.value, unit=x.frac)
    for zero, other in ((x, y), (y, x)):
        if isinstance(zero, Const) and zero.value == 0:
            return other
    return Add(x, y)


def subtract(x: Wire, y: Wire) -> Wire:
    """x - y exactly, in the finer of the two units."""
    x, y = align(x, y)
    if isinstance(y, Const):
        return add(x, Const(-y.value, unit=y.frac))
    return Add(x, y, subtract=True)


def negate(x: Wire) -> Wire:
    """-x exactly."""
    return subtract(Const(0, unit=x.frac), x)


@dataclass(frozen=True, eq=False)
class AtLeast(Wire):
    """1 where x >= y."""

    x: Wire
    y: Wire

    def infer(self) -> Interval:
        require(self.x.frac == self.y.frac, f"comparison of {self.x.interval} and {self.y.interval}")
        return Interval(0, 1)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_ints((args[0].ints >= args[1].ints).astype(np.int64))

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        signed = self.x.signed or self.y.signed
        width = Interval.hull([self.x.interval, self.y.interval]).width
        x, y = args[0].extend(width, self.x.signed), args[1].extend(width, self.y.signed)
        return e.assign(1, f"$signed({x}) >= $signed({y})" if signed else f"{x} >= {y}")

    def cells(self, used: frozenset[int]) -> Cells:
        """The borrow chain; against a constant one AND or OR a bit above its lowest 1."""
        width = Interval.hull([self.x.interval, self.y.interval]).width
        for side in (self.x, self.y):
            if isinstance(side, Const):
                bound = side.value + (side is self.x)
                low = (bound & -bound).bit_length() - 1 if bound else width - 1
                return Counter(AND2=max(width - 1 - low, 0), NOT=int(side is self.x or bound == 0))
        return Counter(AND2=2 * width, OR2=2 * width, NOT=width)


def at_least(x: Wire, y: Wire) -> Wire:
    """1 where x >= y, a constant where the intervals decide."""
    x, y = align(x, y)
    if x.interval.lo >= y.interval.hi:
        return Const(1, 1)
    if x.interval.hi < y.interval.lo:
        return Const(0, 1)
    if x.signed and isinstance(y, Const) and y.value == 0:
        sign = bits(x, x.width - 1, 1)
        return invert(sign)
    return AtLeast(x, y)


def maximum(x: Wire, y: Wire) -> Wire:
    """The larger of x and y."""
    x, y = align(x, y)
    a, b = x.interval, y.interval
    return narrow(mux(at_least(x, y), x, y), Interval(max(a.lo, b.lo), max(a.hi, b.hi), a.frac))


def minimum(x: Wire, y: Wire) -> Wire:
    """The smaller of x and y."""
    x, y = align(x, y)
    a, b = x.interval, y.interval
    return narrow(mux(at_least(x, y), y, x), Interval(min(a.lo, b.lo), min(a.hi, b.hi), a.frac))
