"""Shared terms: sums of signed digits that several outputs of a constant matrix have in common are made once.

Every output is a row of signed digits (input, place, sign). The digits that two rows have in common, up to a shift
and a sign, are a *term*: a sum made once, which both rows then use in place of them. Adding n values of w bits in a
compressor tree takes about one full adder for each bit that goes in and does not come out, so a term of value
width v saves sum(w) - v full adders. The most saving term is extracted until none saves any (greedy, after Hartley
1996, but between outputs instead of between inputs: a term may have many digits, so that the first terms save most).
Terms are rows themselves, which share terms with others again.

Rows are held by column in tables of fixed width (an extraction never makes a column longer), so that what one row
has in common with all the others is a few calls of numpy, whatever the size of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgec.backends.rtl.circuit.matrix import csd_digits
from edgec.backends.rtl.constants.network import LinearNetwork, Term

ROOM = 256
"""Terms that the tables hold at first; they double when full."""

OVERHEAD = 1.0
"""What a term costs beyond its full adders, in full adders: half adders at both ends of its carry chain."""


def shared_terms(
    matrix: np.ndarray,
    ranges: Sequence[int] | np.ndarray,
    *,
    digits: np.ndarray | None = None,
    depth: int = 0,
    overhead: float = OVERHEAD,
) -> LinearNetwork:
    """A network of `matrix` [outputs, inputs] of integers, whose input i takes `ranges[i]` + 1 different values.

    `digits` int8 [outputs, inputs, places] are the signed digits to share, canonical ones if None. `depth` bounds
    the sums one behind another (0: no bound).
    """
    matrix = np.asarray(matrix, np.int64)
    if digits is None:
        digits = csd_digits(matrix)
    search = _Search(digits, np.asarray(ranges, np.float64), depth, overhead)
    search.run()
    network = search.network(len(matrix))
    if not np.array_equal(network.coefficients, matrix):
        raise AssertionError("the network is not the matrix")
    return network


class _Search:
    """Rows of digits under extraction; rows 0.. are outputs, row `outputs + k` computes column `inputs + k`."""

    def __init__(self, digits: np.ndarray, ranges: np.ndarray, depth: int, overhead: float) -> None:
        self.outputs, self.inputs, self.places = digits.shape
        self.overhead, self.limit = overhead, depth
        at = np.argwhere(digits.transpose(1, 0, 2))  # column, row, place
        columns, rows = self.inputs + ROOM, self.outputs + ROOM
        count = np.bincount(at[:, 0], minlength=self.inputs)
        slots = max(int(count.max(initial=0)), 2)
        slot = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
        self.row = np.full((columns, slots), -1, np.int32)
        self.place = np.zeros((columns, slots), np.int32)
        self.sign = np.zeros((columns, slots), np.int8)
        self.row[at[:, 0], slot] = at[:, 1]
        self.place[at[:, 0], slot] = at[:, 2]
        self.sign[at[:, 0], slot] = digits[at[:, 1], at[:, 0], at[:, 2]]
        order = np.lexsort((at[:, 0], -at[:, 2], at[:, 1]))  # by row, then highest place first
        ends = np.searchsorted(at[order, 1], np.arange(1, self.outputs))
        self.members = [(at[o, 0], slot[o]) for o in np.split(order, ends)]
        self.coefficients = np.zeros((columns, self.inputs))
        self.coefficients[: self.inputs] = np.eye(self.inputs)
        self.range = np.zeros(columns)
        self.range[: self.inputs] = ranges
        self.width = np.zeros(columns)
        self.width[: self.inputs] = _bits(ranges)
        self.level = np.zeros(columns, np.int32)
        self.above = np.zeros(rows, np.int32)  # levels from a row up to the outputs
        self.gain = np.full((rows, rows), -np.inf, np.float32)
        self.how = np.zeros((rows, rows), np.int32)
        self.best = np.full(rows, -np.inf, np.float32)
        self.partner = np.zeros(rows, np.int32)

    @property
    def rows(self) -> int:
        return len(self.members)

    def run(self) -> None:
        for r in range(self.rows):
            self.compare(r)
        self.rank(list(range(self.rows)))
        while self.rows:
            r = int(self.best[: self.rows].argmax())
            if self.best[r] <= 0:
                return
            if self.rows == len(self.best):
                self.grow()
            self.rank(self.extract(r, int(self.partner[r])))

    def grow(self) -> None:
        """Room for more terms."""
        more = len(self.best)
        for name in ("row", "place", "sign", "coefficients", "range", "width", "level", "above", "best", "partner"):
            table = getattr(self, name)
            fill = -1 if name == "row" else -np.inf if name == "best" else 0
            setattr(self, name, np.concatenate([table, np.full((more, *table.shape[1:]), fill, table.dtype)]))
        self.gain = np.pad(self.gain, (0, more), constant_values=-np.inf)
        self.how = np.pad(self.how, (0, more))

    # --- what rows have in common ----------------------------------------------------------------------------

    def compare(self, r: int) -> None:
        """Note the best term of row r with every other row."""
        columns, slots = self.members[r]
        rows, spread = self.rows, 2 * self.places - 1
        gain = np.full(rows * spread * 2, -np.inf, np.float32)
        if len(columns) > 1:
            other = self.row[columns]
            mine = self.place[columns, slots]
            shift = self.place[columns] - mine[:, None] + self.places - 1
            differ = self.sign[columns] != self.sign[columns, slots][:, None]
            digit, slot = np.divmod(np.flatnonzero((other >= 0) & (other != r)), other.shape[1])
            key = ((other * spread + shift) * 2 + differ)[digit, slot]
            width = np.bincount(key, self.width[columns][digit], rows * spread * 2)
            reach = np.bincount(key, (self.range[columns] * np.exp2(mine))[digit], rows * spread * 2)
            low = np.zeros(rows * spread * 2)
            low[key] = mine[digit]  # members stand highest place first: the lowest is written last
            found = np.flatnonzero(reach)
            gain[found] = width[found] - _bits(reach[found] * np.exp2(-low[found])) - self.overhead
        table = gain.reshape(rows, spread * 2)
        how = table.argmax(1)
        self.gain[r, :rows] = self.gain[:rows, r] = table[np.arange(rows), how]
        self.how[r, :rows] = how
        self.how[:rows, r] = (spread - 1 - how // 2) * 2 + how % 2

    def rank(self, changed: list[int]) -> None:
        """Find the best partner of every row again, `changed` rows having been compared anew."""
        rows = self.rows
        partners = self.gain[:rows, changed]
        at = partners.argmax(1)
        top = partners[np.arange(rows), at]
        stale = np.isin(self.partner[:rows], changed)
        stale[changed] = True
        better = ~stale & (top > self.best[:rows])
        self.best[:rows][better] = top[better]
        self.partner[:rows][better] = np.array(changed, np.int32)[at[better]]
        again = np.flatnonzero(stale)
        self.partner[again] = self.gain[again, :rows].argmax(1)
        self.best[again] = self.gain[again, self.partner[again]]

    # --- one term --------------------------------------------------------------------------------------------

    def extract(self, a: int, b: int) -> list[int]:
        """Make the best common term of rows a and b; the rows to rank again."""
        how = int(self.how[a, b])
        shift, negative = how // 2 - (self.places - 1), bool(how % 2)
        columns, slots = self.members[a]
        place, sign = self.place[columns, slots], self.sign[columns, slots]
        match = (
            (self.row[columns] == b)
            & (self.place[columns] == place[:, None] + shift)
            & ((self.sign[columns] != sign[:, None]) == negative)
        )
        common = match.any(1)
        if self.limit:
            allowed = self.limit - 2 - int(max(self.above[a], self.above[b]))
            kept = common & (self.level[columns] <= allowed)
            if not np.array_equal(kept, common):
                low = place[kept].min(initial=self.places)
                reach = (self.range[columns[kept]] * np.exp2(place[kept] - low)).sum()
                gain = self.width[columns[kept]].sum() - float(_bits(reach)) - self.overhead
                common = kept
                if kept.sum() < 2 or gain < self.best[a] - 1e-3:
                    self.gain[a, b] = self.gain[b, a] = gain if kept.sum() >= 2 and gain > 0 else -np.inf
                    return [a, b]
        term, column = self.rows, self.inputs + self.rows - self.outputs
        used, theirs = columns[common], match[common].argmax(1)
        low = int(place[common].min())
        signs = sign[common].copy()
        self.coefficients[column] = (signs * np.exp2(place[common] - low)) @ self.coefficients[used]
        self.range[column] = np.abs(self.coefficients[column]) @ self.range[: self.inputs]
        self.width[column] = _bits(self.range[column])
        self.level[column] = 1 + self.level[used].max()
        # The digits of row a become the term's, those of row b go.
        mine = slots[common]
        self.row[used, mine] = term
        self.place[used, mine] -= low
        self.row[used, theirs] = -1
        self.members.append((used, mine))
        gone = np.zeros_like(self.row, bool)
        gone[used, theirs] = True
        keep = ~gone[self.members[b]]
        self.members[b] = (self.members[b][0][keep], self.members[b][1][keep])
        self.members[a] = (columns[~common], slots[~common])
        for slot, (row, at, digit) in enumerate(((a, low, 1), (b, low + shift, -1 if negative else 1))):
            self.row[column, slot], self.place[column, slot], self.sign[column, slot] = row, at, digit
            held, where = self.members[row]
            held, where = np.append(held, column), np.append(where, slot)
            order = np.argsort(-self.place[held, where], kind="stable")
            self.members[row] = (held[order], where[order])
        self.above[term] = 1 + max(self.above[a], self.above[b])
        changed = [a, b, term]
        if self.limit:
            self.raise_levels(changed)
        for r in changed:
            self.compare(r)
        return changed

    def raise_levels(self, start: Sequence[int]) -> None:
        """Levels below and above, after rows `start` changed; terms are in no particular order."""
        todo = [r for r in start if r >= self.outputs]
        while todo:
            r = todo.pop()
            column = self.inputs + r - self.outputs
            level = 1 + int(self.level[self.members[r][0]].max())
            users = self.row[column]
            if level != self.level[column]:
                self.level[column] = level
                todo += [int(u) for u in users[users >= self.outputs]]
        todo = list(start)
        while todo:
            r = todo.pop()
            for column in self.members[r][0].tolist():
                below = column - self.inputs + self.outputs
                if column >= self.inputs and self.above[below] < self.above[r] + 1:
                    self.above[below] = self.above[r] + 1
                    todo.append(below)

    # --- the result ------------------------------------------------------------------------------------------

    def network(self, outputs: int) -> LinearNetwork:
        """The rows as a network, terms before what uses them; a row of one digit is the value that it names."""
        value: dict[int, Term] = {c: Term(c) for c in range(self.inputs)}
        sums: list[tuple[Term, ...]] = []

        def terms(row: int) -> list[Term]:
            columns, slots = self.members[row]
            result = []
            for c, s in sorted(zip(columns.tolist(), slots.tolist(), strict=True)):
                base = value[c]
                negative = base.negative != bool(self.sign[c, s] < 0)
                result.append(Term(base.source, base.shift + int(self.place[c, s]), negative))
            return result

        def make(row: int) -> Term | None:
            found = terms(row)
            if len(found) < 2:
                return found[0] if found else None
            sums.append(tuple(found))
            return Term(self.inputs + len(sums) - 1)

        def need(row: int) -> None:
            stack = [row]
            while stack:
                at = stack[-1]
                missing = [c for c in self.members[at][0].tolist() if c not in value]
                if missing:
                    stack += [c - self.inputs + self.outputs for c in missing]
                    continue
                stack.pop()
                column = at - self.outputs + self.inputs
                if at >= self.outputs and column not in value:
                    made = make(at)
                    assert made is not None
                    value[column] = made

        made = []
        for row in range(outputs):
            need(row)
            made.append(make(row))
        return LinearNetwork(self.inputs, tuple(sums), tuple(made))


def _bits(ranges: np.ndarray | float) -> np.ndarray:
    """Bits that tell `ranges` + 1 values apart."""
    return np.frexp(ranges)[1]
