"""Bitwise operators, reductions, multiplexers and look-up tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.value import Value
from edgec.backends.rtl.circuit.wire import Cells, Const, Wire, bits, cast, concat, require

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.emit import Emitter, Ref

Kind = Literal["and", "or", "xor", "nand", "nor", "xnor"]
_SYMBOL = {"and": "&", "or": "|", "xor": "^"}
_FUNCTION = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
_CELL = {"and": "AND2", "or": "OR2", "xor": "XOR2"}


@dataclass(frozen=True, eq=False)
class Bitwise(Wire):
    """Bit by bit a `kind` b, unsigned. A b of 1 bit goes with every bit of a; a constant b may only be xored."""

    kind: Kind
    a: Wire
    b: Wire

    def infer(self) -> Interval:
        require(self.b.width in (1, self.a.width), f"{self.kind} of {self.a.width} and {self.b.width} bits")
        require(not isinstance(self.b, Const) or self.base == "xor", "a constant operand can only be xored")
        if self.kind == "and" and not self.a.signed:
            return Interval(0, (1 << self.a.width) - 1)
        return Interval.of_bits(self.a.width)

    @property
    def base(self) -> str:
        return {"nand": "and", "nor": "or", "xnor": "xor"}.get(self.kind, self.kind)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        result = _FUNCTION[self.base](args[0].bits, args[1].bits)  # a row of 1 bit is broadcast
        return self.of_bits(result if self.base == self.kind else ~result, samples)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        a, b = args
        right = b.text if b.width == a.width else f"{{{a.width}{{{b.text}}}}}"
        if isinstance(self.b, Const):
            return e.assign(
                self.width, _inverted_runs(a, b.value if b.width == a.width else b.value * ((1 << a.width) - 1))
            )
        text = f"{a.text} {_SYMBOL[self.base]} {right}"
        return e.assign(self.width, text if self.base == self.kind else f"~({text})")

    def cells(self, used: frozenset[int]) -> Cells:
        if isinstance(self.b, Const):
            return Counter(NOT=(self.b.raw.bit_count() if self.b.width > 1 else self.width * self.b.raw))
        return Counter({_CELL[self.base]: self.width})


def bitwise(kind: Kind, a: Wire, b: Wire) -> Wire:
    """a `kind` b bit by bit; equal widths, or b of 1 bit for all bits of a. Constants are folded."""
    if isinstance(a, Const) and not isinstance(b, Const) and a.width == b.width:
        a, b = b, a
    base = {"nand": "and", "nor": "or", "xnor": "xor"}.get(kind, kind)
    if not isinstance(b, Const):
        return Bitwise(kind, a, b)
    full = (1 << a.width) - 1
    right = b.raw if b.width == a.width else full * b.raw
    if base != "xor":
        value = _masked(a, right, keep=int(base == "and"))
        return value if base == kind else invert(value)
    mask = right if kind == "xor" else ~right & full
    if isinstance(a, Const):
        return Const(a.raw ^ mask, a.width)
    return Bitwise("xor", a, Const(mask, a.width)) if mask else bits(a, 0, a.width)


def _inverted_runs(a: Ref, mask: int) -> str:
    """Text of a with the bits of `mask` inverted."""
    parts: list[str] = []
    start = 0
    for i in range(1, a.width + 1):
        if i == a.width or (mask >> i & 1) != (mask >> start & 1):
            parts.append(("~" if mask >> start & 1 else "") + a.bits(start, i - start).text)
            start = i
    return parts[0] if len(parts) == 1 else "{" + ", ".join(reversed(parts)) + "}"


def _masked(x: Wire, mask: int, keep: int) -> Wire:
    """The bits of x where `mask` has the value `keep`, the mask's own elsewhere: wiring."""
    parts: list[Wire] = []
    for i in range(x.width):
        parts.append(bits(x, i, 1) if mask >> i & 1 == keep else Const(1 - keep, 1))
    return concat(parts)


def invert(x: Wire) -> Wire:
    """Every bit inverted, unsigned."""
    return bitwise("xor", x, Const((1 << x.width) - 1, x.width))


@dataclass(frozen=True, eq=False)
class AndOr(Wire):
    """(a and b) or (c and d) bit by bit, unsigned; a selector of one of two, or of none."""

    a: Wire
    b: Wire
    c: Wire
    d: Wire

    def infer(self) -> Interval:
        require(len({w.width for w in self.operands}) == 1, "AndOr needs equal widths")
        return Interval.of_bits(self.a.width)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        a, b, c, d = (v.bits for v in args)
        return self.of_bits(a & b | c & d, samples)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        a, b, c, d = (r.text for r in args)
        return e.assign(self.width, f"({a} & {b}) | ({c} & {d})")

    def cells(self, used: frozenset[int]) -> Cells:
        return Counter(AO22=self.width)


@dataclass(frozen=True, eq=False)
class Reduce(Wire):
    """All bits of x joined by `kind`: 1 bit."""

    kind: Literal["and", "or", "xor"]
    x: Wire

    def infer(self) -> Interval:
        return Interval(0, 1)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_bits(_FUNCTION[self.kind].reduce(args[0].bits, axis=0)[None, :], samples)

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        return e.assign(1, f"{_SYMBOL[self.kind]}{args[0].text}")

    def cells(self, used: frozenset[int]) -> Cells:
        return Counter({_CELL[self.kind]: self.x.width - 1})


def any_bit(x: Wire) -> Wire:
    """1 where x is not zero."""
    if isinstance(x, Const):
        return Const(int(x.value != 0), 1)
    return bits(x, 0, 1) if x.width == 1 else Reduce("or", x)


@dataclass(frozen=True, eq=False)
class Mux(Wire):
    """`high` where the 1-bit `select` is 1, else `low`."""

    select: Wire
    high: Wire
    low: Wire

    def infer(self) -> Interval:
        require(self.select.width == 1, "a multiplexer's select has 1 bit")
        return Interval.hull([self.high.interval, self.low.interval])

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        return self.of_ints(np.where(args[0].planes[0] != 0, args[1].ints, args[2].ints))

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        select, high, low = args
        high_text = high.extend(self.width, self.high.signed)
        return e.assign(self.width, f"{select.text} ? {high_text} : {low.extend(self.width, self.low.signed)}")

    def cells(self, used: frozenset[int]) -> Cells:
        free = 0
        for arm in (self.high, self.low):
            if isinstance(arm, Const):  # AND or OR with the select instead
                free = self.width
        return Counter(AND2=free) if free else Counter(MUX2=self.width)


def mux(select: Wire, high: Wire, low: Wire) -> Wire:
    """`high` where `select` is 1, else `low`."""
    if isinstance(select, Const):
        return high if select.value else low
    return high if high is low else Mux(select, high, low)


@dataclass(frozen=True, eq=False)
class Lut(Wire):
    """table[x - x.interval.lo] as a read-only memory; all entries are integers in the unit 2**-unit."""

    x: Wire
    table: tuple[int, ...]
    unit: int = 0

    def infer(self) -> Interval:
        i = self.x.interval
        require(len(self.table) == i.hi - i.lo + 1, f"{len(self.table)} table entries for {i}")
        return Interval(min(self.table), max(self.table), self.unit)

    def evaluate(self, args: Sequence[Value], samples: int) -> Value:
        table = np.array(self.table, object if self.width > 63 else np.int64)
        return self.of_ints(table[(args[0].ints - self.x.interval.lo).astype(np.int64)])

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        lo, width = self.x.interval.lo, self.x.width
        mask = (1 << width) - 1
        entries = sorted(((lo + i) & mask, value) for i, value in enumerate(self.table))
        return e.table(self.width, args[0], [(key, value & ((1 << self.width) - 1)) for key, value in entries])

    @property
    def diagram(self) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]:
        """See `decision_diagram`; bits of the result, lowest first."""
        return decision_diagram(self.table, self.x.interval.lo, self.x.width, self.width)

    def cells(self, used: frozenset[int]) -> Cells:
        """A multiplexer for each node of the diagram, less where an arm is known or both are opposite."""
        cells: Cells = Counter()
        for _, high, low in self.diagram[0]:
            if (high, low) != (1, 0):
                cells["AND2" if high <= 1 or low <= 1 else "XOR2" if high == low ^ 1 else "MUX2"] += 1
        return cells


@lru_cache(maxsize=64)
def decision_diagram(
    table: tuple[int, ...], lo: int, inputs: int, outputs: int
) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]:
    """Table lookup as binary decisions (Bryant 1986), equal ones made once for all output bits, and complemented edges
    (Brace, Rudell and Bryant 1990). `table[i]` is the result for lo + i, in two's complement of `inputs` bits.

    Nodes (variable, high, low), operands first; literal 2 * (k + 1) + inverted is node k, 0 and 1 are the constants.
    Node (v, 1, 0) is variable v itself. Behind the nodes the literals of the output bits."""
    words = [0] * (1 << inputs)
    for i, value in enumerate(table):
        words[(lo + i) & ((1 << inputs) - 1)] = value
    nodes: list[tuple[int, int, int]] = []
    known: dict[tuple[int, int, int], int] = {}
    roots = []
    for b in range(outputs):
        level = [word >> b & 1 for word in words]
        for variable in range(inputs):
            below = []
            for low, high in zip(level[::2], level[1::2], strict=True):
                if low == high:
                    below.append(low)
                    continue
                inverted = low & 1
                key = (variable, high ^ inverted, low ^ inverted)
                if key not in known:
                    nodes.append(key)
                    known[key] = 2 * len(nodes)
                below.append(known[key] ^ inverted)
            level = below
        roots.append(level[0])
    return tuple(nodes), tuple(roots)


def lut(x: Wire, table: Sequence[int], unit: int = 0) -> Wire:
    """Look x up in `table`, whose first entry belongs to the lowest x; result in the unit 2**-unit."""
    entries = tuple(int(v) for v in table)
    if min(entries) == max(entries):
        return Const(entries[0], unit=unit)
    return Lut(x, entries, unit)


def extend(x: Wire, width: int) -> Wire:
    """The bits of x sign- or zero-extended to `width`, unsigned."""
    return bits(x, 0, width)


def select_low(x: Wire, interval: Interval) -> Wire:
    """x wrapped into `interval`, which spans a power of two."""
    require(interval == Interval.of_bits(interval.width, interval.signed, interval.frac), "wrap needs a full range")
    return cast(bits(x, 0, interval.width), interval)
