"""Compressor trees: bits sorted by column are reduced to two rows by full and half adders.

The schedule is Dadda's (1965): in each stage no column may be higher than the next number of 2, 3, 4, 6, 9, 13, ...,
which gives the fewest stages. Within a stage full adders go wherever a vector of them fits, since a full adder
removes one bit wherever it stands: their number is always bits in - bits out. What is saved is half adders.

Bits travel in vectors, so that one operator of the emitted text is many adders. A vector covers some neighbouring
columns and has the same number of *lanes* in each: a plain number has one lane; bit b of 128 products is a vector of
one column and 128 lanes. Vectors of many lanes are added among themselves until the columns are low, then they are
folded: half of the lanes are put beside the other half. The last lane is what Dadda's schedule works on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from edgec.backends.rtl.circuit.arith import Add, full_add, half_add
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, concat

FOLD_HEIGHT = 11
"""Vectors in a column at which lanes are folded; with less the tree gets stages that Dadda's does not have."""
WIDE = 64
"""Lanes from which on vectors of one column are long enough for simulators."""


class Shape(NamedTuple):
    """Where the bits of a vector stand: bit (c - column) * lanes + i is lane i of column c."""

    lanes: int
    column: int
    columns: int

    @property
    def end(self) -> int:
        return self.column + self.columns

    @property
    def width(self) -> int:
        return self.columns * self.lanes

    def covers(self, column: int) -> bool:
        return self.column <= column < self.end


class Piece(NamedTuple):
    """A vector: bits of `wire` from bit `lsb`, as many as its shape says."""

    wire: Wire
    lsb: int


class Compressor:
    """Bits of an unsigned sum modulo 2**width, and a constant."""

    def __init__(self, width: int, constant: int = 0) -> None:
        self.width = width
        self.ones = [constant >> c & 1 for c in range(width)]
        self.pool: defaultdict[Shape, list[Piece]] = defaultdict(list)
        self.stages = 0

    def add_row(self, wire: Wire, column: int) -> None:
        """Bit b of `wire` has the weight 2**(column + b)."""
        self._put(Shape(1, column, wire.width), Piece(wire, 0))

    def add_lanes(self, wire: Wire, column: int) -> None:
        """All bits of `wire` have the weight 2**column."""
        self._put(Shape(wire.width, column, 1), Piece(wire, 0))

    def total(self) -> Wire:
        """The sum, unsigned, of `width` bits."""
        while (lanes := self._lanes()) > 1:
            while max(self._heights(lanes)) > FOLD_HEIGHT:
                self._stage(lanes, 0)
            self._fold(lanes)
        while (highest := max(self._heights(1))) > 2:
            self._stage(1, max(dadda_heights(highest)))
        return self._final()

    def _lanes(self) -> int:
        return max((shape.lanes for shape, pieces in self.pool.items() if pieces), default=1)

    def _heights(self, lanes: int) -> list[int]:
        """Vectors of `lanes` lanes in each column; constants count as one lane."""
        result = list(self.ones) if lanes == 1 else [0] * self.width
        for shape, pieces in self.pool.items():
            if shape.lanes == lanes:
                for c in range(shape.column, shape.end):
                    result[c] += len(pieces)
        return result

    def _put(self, shape: Shape, piece: Piece) -> None:
        """Add a vector without what lies beyond the highest column.

        That column stands alone: its carries fall away, and exclusive ors do there."""
        top = self.width - 1
        if shape.end > top and shape.column <= top:
            self.pool[Shape(shape.lanes, top, 1)].append(
                Piece(piece.wire, piece.lsb + (top - shape.column) * shape.lanes)
            )
            shape = Shape(shape.lanes, shape.column, top - shape.column)
        if shape.column < top and shape.columns:
            self.pool[shape].append(piece)

    def _fold(self, lanes: int) -> None:
        """Cut all vectors of `lanes` lanes into ones of half (or a third of) the lanes, joining columns."""
        ways = 3 if lanes % 3 == 0 and lanes % 2 else 2
        part = lanes // ways
        stacks: list[list[Piece]] = [[] for _ in range(self.width)]
        rest: list[tuple[int, Piece]] = []
        for shape in sorted(s for s in self.pool if s.lanes == lanes):
            for wire, lsb in self.pool.pop(shape):
                for c in range(shape.column, shape.end):
                    at = lsb + (c - shape.column) * lanes
                    stacks[c] += [Piece(wire, at + i * part) for i in range(ways)]
                    rest += [(c, Piece(wire, at + i)) for i in range(ways * part, lanes)]
        for level in range(max(len(stack) for stack in stacks)):
            for start, end in _runs([len(stack) > level for stack in stacks], joined=part < WIDE):
                vector = concat([bits(*stacks[c][level], part) for c in range(start, end)])
                self._put(Shape(part, start, end - start), Piece(vector, 0))
        for column, piece in rest:
            self._put(Shape(1, column, 1), piece)

    def _stage(self, lanes: int, limit: int) -> None:
        """Bring every column to at most `limit` vectors, or as low as full adders can, each passing one adder."""
        self.stages += 1
        self.made: list[tuple[Shape, Piece]] = []
        self.height = self._heights(lanes)
        for column in range(self.width):
            if lanes == 1 and self.ones[column]:
                self._absorb_one(column)
            while self.height[column] > limit and self._reduce(lanes, column, self.height[column] - limit):
                pass
        for shape, piece in self.made:
            self._put(shape, piece)

    def _absorb_one(self, column: int) -> None:
        """Add the constant 1 of a column to two of its bits."""
        shapes = self._at(1, column)
        if len(shapes) >= 2:
            self.ones[column] = 0
            self.height[column] -= 1
            self._half(column, shapes, one=True)

    def _reduce(self, lanes: int, column: int, excess: int) -> bool:
        """Some adders at `column`, which has `excess` vectors too many; False when too few are left."""
        shapes = self._at(lanes, column)
        shape = max((s for s in shapes if len(self.pool[s]) >= 3), key=lambda s: s.columns, default=None)
        if shape is not None:
            # One that begins below the column also brings it a carry.
            gain = 2 if shape.column == column else 1
            for _ in range(min(len(self.pool[shape]) // 3, -(-excess // gain))):
                self._full(shape, [shape] * 3)
            return True
        if len(shapes) >= 3:
            triples = [shapes[i : i + 3] for i in range(len(shapes) - 2)]
            best = max(triples, key=lambda t: _overlap(t).columns)
            self._full(_overlap(best), best)
            return True
        if lanes == 1 and len(shapes) == 2:
            self._half(column, shapes, one=False)
            return True
        return False

    def _at(self, lanes: int, column: int) -> list[Shape]:
        """The shapes of the vectors in `column` that this stage has not used, each as often as there are vectors."""
        return sorted(s for s, pieces in self.pool.items() if s.lanes == lanes and s.covers(column) for _ in pieces)

    def _cut(self, shape: Shape, part: Shape) -> Wire:
        """Take `part` out of the first vector of `shape` and put back what is left of it."""
        wire, lsb = self.pool[shape].pop(0)
        below = part.column - shape.column
        above = shape.end - part.end
        if below:
            self._put(Shape(shape.lanes, shape.column, below), Piece(wire, lsb))
        lsb += below * shape.lanes
        if above:
            self._put(Shape(shape.lanes, part.end, above), Piece(wire, lsb + part.width))
        return bits(wire, lsb, part.width)

    def _full(self, shape: Shape, sources: Iterable[Shape]) -> None:
        """Full adders over `shape`, which lies inside the vectors of `sources`."""
        self._result(shape, *full_add(*[self._cut(source, shape) for source in sources]), removed=2)

    def _half(self, column: int, sources: Iterable[Shape], one: bool) -> None:
        """A half adder at `column` of the first two of `sources`."""
        shape = Shape(1, column, 1)
        first, second = [self._cut(source, shape) for source in list(sources)[:2]]
        self._result(shape, *half_add(first, second, one), removed=1)

    def _result(self, shape: Shape, total: Wire, carry: Wire, removed: int) -> None:
        for c in range(shape.column, shape.end):
            self.height[c] -= removed
            if c + 1 < self.width:
                self.height[c + 1] += 1
        self.made.append((shape, Piece(total, 0)))
        if shape.column + 1 < self.width:
            self.made.append((shape._replace(column=shape.column + 1), Piece(carry, 0)))

    def _final(self) -> Wire:
        """Add the two rows that are left."""
        columns: list[list[Wire]] = [[] for _ in range(self.width)]
        for shape, pieces in sorted(self.pool.items(), key=lambda item: item[0]):
            for wire, lsb in pieces:
                for c in range(shape.column, shape.end):
                    columns[c].append(bits(wire, lsb + c - shape.column, 1))
        for column, one in zip(columns, self.ones, strict=True):
            column += [Const(1, 1)] * one
        low = next((c for c, column in enumerate(columns) if len(column) > 1), self.width)
        zero = Const(0, 1)
        parts: list[Wire] = [column[0] if column else zero for column in columns[:low]]
        if low < self.width:
            first = concat([column[0] if column else zero for column in columns[low:]])
            second = concat([column[1] if len(column) > 1 else zero for column in columns[low:]])
            parts.append(Add(first, second, wrap=self.width - low))
        return concat(parts)


def _overlap(shapes: list[Shape]) -> Shape:
    """The columns that all of `shapes` cover."""
    start = max(s.column for s in shapes)
    return Shape(shapes[0].lanes, start, min(s.end for s in shapes) - start)


def _runs(marks: list[bool], joined: bool) -> Iterable[tuple[int, int]]:
    """Start and end of each run of True; each True by itself unless `joined`."""
    start = None
    for at, mark in enumerate([*marks, False]):
        if start is not None and (not mark or not joined):
            yield start, at
            start = None
        if mark and start is None:
            start = at


def dadda_heights(height: int) -> list[int]:
    """Dadda's numbers 2, 3, 4, 6, 9, 13, ... below `height`: one a stage, the last stage's first."""
    numbers = [2]
    while numbers[-1] * 3 // 2 < height:
        numbers.append(numbers[-1] * 3 // 2)
    return numbers
