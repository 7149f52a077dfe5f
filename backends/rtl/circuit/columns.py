"""Sums that are reduced column by column, from the lowest up, the earliest bits of a column first.

Full adders turn three bits of a column into one there and a carry, until one is left; there is no separate
carry-propagate adder, and a half adder only where a column ends with two bits. Taking the earliest bits first is the
three-greedy rule of Stelling, Martel, Oklobdzija and Ravi (1998): the fewest adders, a short path, and few glitches,
because the inputs of an adder change at about the same time. Behind another such sum, whose low bits come first, the
next one follows in the same order.

A simulator sees an addition of words. The adders exist in the netlist of cells and in the costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import Bitwise
from edgec.backends.rtl.circuit.value import INT64_BITS, Value
from edgec.backends.rtl.circuit.wire import Cast, Cells, Const, Slice, Wire, require

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.emit import Emitter, Ref

FULL_SUM, FULL_CARRY, HALF_SUM, HALF_CARRY, EXCLUSIVE_OR, INVERTER = 1.0, 0.7, 0.8, 0.6, 0.6, 0.5
"""Delays of cells that one full adder reads, in those of a full adder's sum."""
LOAD = 0.28
"""What every further full adder that reads a result adds to its delay; an inverter's too."""
REGISTER_LOAD = 0.15
"""The same for a register."""

Bit = tuple[str, int, int]
"""A bit of the reduction: ("row", row, bit), ("one", 0, 0), ("zero", 0, 0), or an adder's result: its kind and number.

Kinds: full adders "fs" and "fc", half adders "hs" and "hc", half adders that add a 1 too "os" and "oc", inverters "n",
exclusive ors of the highest column "x"."""


@dataclass
class Reduction:
    """All adders of a sum, by kind with the bits that they take, and what is left: one bit a column and its arrival."""

    full: list[tuple[Bit, Bit, Bit]] = field(default_factory=list)
    half: list[tuple[Bit, Bit]] = field(default_factory=list)
    plus_one: list[tuple[Bit, Bit]] = field(default_factory=list)
    inverted: list[Bit] = field(default_factory=list)
    top: list[Bit] = field(default_factory=list)
    top_inverted: bool = False
    result: list[Bit] = field(default_factory=list)
    arrival: list[float] = field(default_factory=list)
    level: dict[Bit, int] = field(default_factory=dict)
    """How many adders and inverters lie before each of their results, itself included."""

    def put(self, kinds: tuple[str, str], made: list, *bits: Bit) -> None:
        """An adder of `bits`, behind those that are `made`."""
        level = 1 + max(self.level.get(b, 0) for b in bits)
        for kind in kinds:
            self.level[kind, len(made), 0] = level
        made.append(bits)


@dataclass(frozen=True, eq=False)
class ColumnSum(Wire):
    """sum rows[k] * 2**shifts[k] + constant modulo 2**width, the rows taken as plain bits, as a number of `range`.

    The caller knows that the sum is inside `range`, of that width. `delays[k]` is how much later row k comes than the
    sums that it is made from: what its driver needs for all that reads it."""

    rows: tuple[Wire, ...]
    shifts: tuple[int, ...]
    constant: int
    range: Interval
    delays: tuple[float, ...] = ()

    def infer(self) -> Interval:
        require(bool(self.rows) and len(self.rows) == len(self.shifts), "a sum of rows with a shift each")
        return self.range

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        mask = (1 << self.width) - 1
        wide = self.width + len(args).bit_length() >= INT64_BITS
        total = np.full(samples, self.constant & mask, object if wide else np.int64)
        for row, value, shift in zip(self.rows, args, self.shifts, strict=True):
            if shift < self.width:
                ints = value.ints.astype(object) if wide else value.ints
                # The low bits that stay inside the width, as a plain number.
                total = total + ((ints & ((1 << min(row.width, self.width - shift)) - 1)) << shift)
        total &= mask
        if self.signed:
            total = total - ((total >> (self.width - 1)) << self.width)
        return self.of_ints(total)

    @cached_property
    def reduction(self) -> Reduction:
        delays = self.delays or (0.0,) * len(self.rows)
        arrivals = [[t + delay for t in bit_arrivals(row)] for row, delay in zip(self.rows, delays, strict=True)]
        columns: list[list[tuple[float, Bit]]] = [[] for _ in range(self.width)]
        for k, (row, shift) in enumerate(zip(self.rows, self.shifts, strict=True)):
            for b in range(min(row.width, self.width - shift)):
                columns[b + shift].append((arrivals[k][b], ("row", k, b)))
        return reduce_columns(columns, self.constant & ((1 << self.width) - 1))

    def cells(self, used: frozenset[int]) -> Cells:
        r = self.reduction
        ones = len(r.plus_one)
        exclusive = max(len(r.top) - 1, 0)
        inverters = len(r.inverted) + r.top_inverted
        return Counter(FA=len(r.full), HA=len(r.half), XOR2=ones + exclusive, OR2=ones, NOT=inverters)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        terms = [self._placed(arg, shift) for arg, shift in zip(args, self.shifts, strict=True) if shift < self.width]
        constant = self.constant & ((1 << self.width) - 1)
        if constant:
            terms.append(e.literal(constant, self.width).text)
        result = e.inline_assign(self.width, " + ".join(terms) or e.literal(0, self.width).text)
        e.cells_of(lambda: self._emit_cells(e, args, result))
        return result

    def _placed(self, arg: Ref, shift: int) -> str:
        """A row at its place, of exactly the sum's width."""
        low = arg.bits(0, min(arg.width, self.width - shift))
        above = self.width - shift - low.width
        parts = [f"{above}'h0"] * bool(above) + [low.text] + [f"{shift}'h0"] * bool(shift)
        return f"{{{', '.join(parts)}}}" if len(parts) > 1 else parts[0]

    def _emit_cells(self, e: Emitter, args: Sequence[Ref], result: Ref) -> None:
        """Adders that are equally far from the rows stand in one vector: none depends on another bit of its own vector,
        which would be a loop to simulators that do not take vectors apart."""
        r = self.reduction
        nets: dict[Bit, Ref] = {}

        def ref(bit: Bit) -> Ref:
            kind, index, place = bit
            if kind == "row":
                return args[index].bits(place, 1)
            return e.literal(int(kind == "one"), 1) if kind in ("one", "zero") else nets[bit]

        def vector(bits: Sequence[Bit]) -> str:
            return e.concat([ref(b) for b in bits])

        kinds = {
            "fs": ("edgec_fa", r.full, "abc", "fc"),
            "hs": ("edgec_ha", r.half, "ab", "hc"),
            "os": ("edgec_ha1", r.plus_one, "ab", "oc"),
        }
        groups: dict[tuple[int, str], list[int]] = {}
        for (kind, index, _), level in r.level.items():
            if kind in kinds or kind == "n":
                groups.setdefault((level, kind), []).append(index)
        for (_, kind), members in sorted(groups.items()):
            if kind == "n":
                for index in members:
                    nets["n", index, 0] = net = e.cell_net(1)
                    e.cell_line(f"assign {net.text} = ~{ref(r.inverted[index]).text};")
                continue
            module, made, pins, carry = kinds[kind]
            totals, carries = e.cell_net(len(members)), e.cell_net(len(members))
            inputs = {pin: vector([made[k][i] for k in members]) for i, pin in enumerate(pins)}
            for at, index in enumerate(members):
                nets[kind, index, 0], nets[carry, index, 0] = totals.bits(at, 1), carries.bits(at, 1)
            e.cell(module, len(members), **inputs, s=totals.text, co=carries.text)
        if r.top:
            nets["x", 0, 0] = net = e.cell_net(1)
            e.cell_line(f"assign {net.text} = {'~' * r.top_inverted}({' ^ '.join(ref(b).text for b in r.top)});")
        e.cell_line(f"assign {result.text} = {vector(r.result)};")


def reduce_columns(columns: list[list[tuple[float, Bit]]], constant: int) -> Reduction:
    """Reduce `columns` of (arrival, bit), lowest first, and a constant to one bit a column."""
    r = Reduction()
    last = len(columns) - 1
    carries: list[tuple[float, Bit]] = []
    for column, own in enumerate(columns):
        heap: list[tuple[float, Bit]] = []
        for item in own + carries:
            heappush(heap, item)
        carries = []
        one = bool(constant >> column & 1)
        if column == last:
            r.top_inverted = one and bool(heap)
            ordered = [heappop(heap) for _ in range(len(heap))]
            time = 0.0
            for at, (arrival, _) in enumerate(ordered):
                time = max(time, arrival) + EXCLUSIVE_OR * (at > 0)
            if len(ordered) > 1 or r.top_inverted:
                r.top = [bit for _, bit in ordered]
                heap, one = [(time + INVERTER * r.top_inverted, ("x", 0, 0))], False
            else:
                heap = ordered
        elif one and len(heap) >= 2:
            (_, a), (late, b) = heappop(heap), heappop(heap)
            heappush(heap, (late + HALF_SUM, ("os", len(r.plus_one), 0)))
            carries.append((late + HALF_CARRY, ("oc", len(r.plus_one), 0)))
            r.put(("os", "oc"), r.plus_one, a, b)
            one = False
        elif one and heap:
            arrival, bit = heappop(heap)
            heappush(heap, (arrival + INVERTER, ("n", len(r.inverted), 0)))
            carries.append((arrival, bit))
            r.level["n", len(r.inverted), 0] = 1 + r.level.get(bit, 0)
            r.inverted.append(bit)
            one = False
        while len(heap) > 2:
            (_, a), (_, b), (late, c) = heappop(heap), heappop(heap), heappop(heap)
            heappush(heap, (late + FULL_SUM, ("fs", len(r.full), 0)))
            carries.append((late + FULL_CARRY, ("fc", len(r.full), 0)))
            r.put(("fs", "fc"), r.full, a, b, c)
        if len(heap) == 2:
            (_, a), (late, b) = heappop(heap), heappop(heap)
            heap = [(late + HALF_SUM, ("hs", len(r.half), 0))]
            carries.append((late + HALF_CARRY, ("hc", len(r.half), 0)))
            r.put(("hs", "hc"), r.half, a, b)
        arrival, bit = heap[0] if heap else (0.0, ("one" if one else "zero", 0, 0))
        r.result.append(bit)
        r.arrival.append(arrival)
    return r


def bit_arrivals(wire: Wire) -> list[float]:
    """When each bit of `wire` is there, as far as sums of columns decide it."""
    if isinstance(wire, ColumnSum):
        return wire.reduction.arrival
    if isinstance(wire, Slice):
        return bit_arrivals(wire.x)[wire.lsb : wire.lsb + wire.count]
    if isinstance(wire, Cast):
        return bit_arrivals(wire.x)[: wire.width]
    if isinstance(wire, Bitwise) and isinstance(wire.b, Const):
        return bit_arrivals(wire.a)
    return [0.0] * wire.width
