"""Linear networks as wires: every sum is one `ColumnSum`, of the fewest full adders, earliest bits first.

Inner values are held without sign: the wire of value v carries v - offset, 0 or more, in the fewest bits that tell
its values apart. A negative use is the inverted wire. Offsets and the ones of two's complements are constants, which
all meet at the outputs; where a sum can hold its constant in its offset, it adds none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from edgec.backends.rtl.circuit.columns import INVERTER, LOAD, REGISTER_LOAD, ColumnSum
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import bitwise
from edgec.backends.rtl.circuit.value import INT64_BITS
from edgec.backends.rtl.circuit.wire import Const, Wire, bits
from edgec.backends.rtl.constants.network import LinearNetwork, Term


class Held(NamedTuple):
    """A value as a wire and what must be added to that to have it."""

    wire: Wire
    offset: int


class Rows:
    """Rows of bits under addition: the sum is theirs plus `constant`."""

    def __init__(self, terms: Iterable[Term], values: Sequence[Held | None], loads: Loads) -> None:
        self.rows: list[Wire] = []
        self.shifts: list[int] = []
        self.delays: list[float] = []
        self.constant = 0
        for term in terms:
            held = values[term.source]
            assert held is not None, "a private sum has one use"
            wire, offset = held
            self.constant += (-offset if term.negative else offset) << term.shift
            if isinstance(wire, Const):
                self.constant += (-wire.value if term.negative else wire.value) << term.shift
                continue
            # -b * 2**c is ~b * 2**c - 2**c: inverted bits, and the ones of all rows make one constant.
            mask = (1 << wire.width - 1 if wire.signed else 0) ^ ((1 << wire.width) - 1 if term.negative else 0)
            row = bits(wire, 0, wire.width)
            self.rows.append(bitwise("xor", row, Const(mask, wire.width)) if mask else row)
            self.shifts.append(term.shift)
            self.delays.append(loads.delay(term.source, term.negative))
            self.constant -= mask << term.shift

    def total(self, interval: Interval) -> Wire:
        """The sum, which is inside `interval`."""
        if interval.lo == interval.hi:
            return Const(interval.lo, unit=interval.frac)
        constant = self.constant & ((1 << interval.width) - 1)
        return ColumnSum(tuple(self.rows), tuple(self.shifts), constant, interval, tuple(self.delays))


class Loads:
    """How often every value of a network is read, and what that delays it by: a tree takes the earliest bits first."""

    def __init__(self, network: LinearNetwork) -> None:
        self.inputs = network.inputs
        read = [t for terms in network.sums for t in terms]
        read += [t for t in network.outputs if t is not None]
        self.plain = Counter(t.source for t in read if not t.negative)
        self.inverted = Counter(t.source for t in read if t.negative)

    def delay(self, source: int, negative: bool) -> float:
        """Of the value's wire, or of its inverted one."""
        each = REGISTER_LOAD if source < self.inputs else LOAD
        late = each * max(self.plain[source] + 0.2 * (self.inverted[source] > 0) - 1, 0)
        return late + (INVERTER + LOAD * (self.inverted[source] - 1) if negative else 0.0)


def realize(
    network: LinearNetwork,
    inputs: Sequence[Wire],
    constants: Sequence[int] = (),
    *,
    frac: int = 0,
    shift: int = 0,
) -> list[Wire]:
    """The outputs of `network` times 2**shift, in the unit 2**-frac and with exact intervals.

    `inputs` are taken as integers, whatever their units; `constants[o]` is added to output o."""
    low, high = value_bounds(network, inputs)
    added = list(constants) or [0] * len(network.outputs)
    private = output_sums(network)
    loads = Loads(network)
    values: list[Held | None] = [Held(wire, 0) for wire in inputs]
    for at, terms in enumerate(network.sums, network.inputs):
        # A sum that is one output and nothing else is made with the output's constant.
        values.append(None if at in private else inner_sum(terms, values, loads, int(low[at]), int(high[at])))
    results: list[Wire] = []
    for term, constant in zip(network.outputs, added, strict=True):
        if term is None:
            results.append(Const(constant, unit=frac))
            continue
        factor = (-1 if term.negative else 1) << term.shift + shift
        ends = sorted((int(low[term.source]) * factor, int(high[term.source]) * factor))
        terms = (Term(term.source),) if values[term.source] else network.sums[term.source - network.inputs]
        rows = Rows([scaled(t, term, shift) for t in terms], values, loads)
        rows.constant += constant
        results.append(rows.total(Interval(ends[0] + constant, ends[1] + constant, frac)))
    return results


def value_bounds(network: LinearNetwork, inputs: Sequence[Wire]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest number that every value can be."""
    lows = np.array([w.interval.lo for w in inputs], object)
    highs = np.array([w.interval.hi for w in inputs], object)
    rows = network.rows
    reach = max((max(abs(lo), abs(hi)) for lo, hi in zip(lows, highs, strict=True)), default=0)
    if int(np.abs(rows).sum(axis=1).max(initial=0)).bit_length() + int(reach).bit_length() < INT64_BITS:
        lows, highs = lows.astype(np.int64), highs.astype(np.int64)
    else:
        rows = rows.astype(object)
    positive, negative = np.maximum(rows, 0), np.maximum(-rows, 0)
    return positive @ lows - negative @ highs, positive @ highs - negative @ lows


def output_sums(network: LinearNetwork) -> set[int]:
    """The sums that are one output and that nothing else reads."""
    used = Counter(t.source for terms in network.sums for t in terms)
    outputs = Counter(t.source for t in network.outputs if t is not None)
    return {at for at, uses in outputs.items() if uses == 1 and at >= network.inputs and not used[at]}


def scaled(term: Term, by: Term, shift: int) -> Term:
    """`term` times the factor of `by` and 2**shift."""
    return Term(term.source, term.shift + by.shift + shift, term.negative != by.negative)


def inner_sum(terms: Sequence[Term], values: Sequence[Held | None], loads: Loads, low: int, high: int) -> Held:
    """A sum between `low` and `high`, as a wire without sign and its offset."""
    if low == high:
        return Held(Const(0), low)
    rows = Rows(terms, values, loads)
    size = 1 << (high - low).bit_length()
    # All offsets from which on the values fit the width; what is left of the constant should have few ones.
    first, last = high - size + 1, low
    constant = rows.constant
    tried = [min(max(constant, first), last), first, last]
    tried += [constant + more - (1 << k) for k in range(size.bit_length() - 1) for more in (0, size)]
    fitting = [o for o in tried if first <= o <= last]
    offset = min(fitting, key=lambda o: (((constant - o) & (size - 1)).bit_count(), o))
    rows.constant -= offset
    return Held(rows.total(Interval(low - offset, high - offset)), offset)
