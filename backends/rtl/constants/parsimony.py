"""Trees of least total distance with nodes of their own between the rows: maximum parsimony.

A spanning tree joins rows to rows. Sums that are no output can lie between them: where three rows meet, the row that
agrees with the majority of them at every input is nearer to all three. Finding such a tree of least total distance
is the maximum parsimony problem of phylogeny, with inputs as characters and weights as their states; rows are the
leaves, and every inner node has three neighbours. For random binary rows its length is about 0.3 of the inputs a row,
where a minimum spanning tree needs 0.42.

The length of a tree is found by Fitch's algorithm (1971): the set of states that a subtree may have at its root at
no further cost, which is the intersection of the sets of its two parts or, where that is empty, their union at the
cost of one change. A set of states of all inputs is one Python integer, a block of bits for each state, so that one
step of the algorithm is a few operations on words. Leaves are added one by one where they cost least; then subtrees
are cut off and put back where they cost least (subtree pruning and regrafting), until no such move gains.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

BUDGET = 25
"""Sets of states that a start may compute, in squares of the number of rows: about as many as trying every move once
takes, which brings nearly all of the gain."""
MOST = 2_000_000
"""Sets of states that all starts together may compute: some seconds."""


class Tree:
    """An unrooted tree: leaves 0..n-1 have one neighbour, the inner nodes n.. three; `negated[leaf]`: it stands for
    the negated row. `length` is the total distance."""

    def __init__(self, rows: np.ndarray, max_diameter: int = 0, seed: int = 0) -> None:
        """Add all rows [n, inputs] of -1, 0 and 1, of which there are at least 3, one by one.

        `max_diameter` bounds the steps between two leaves, where that can be (0: no bound)."""
        self.leaves, self.inputs = rows.shape
        self.states = (-1, 0, 1) if (rows == 0).any() else (-1, 1)
        self.full = (1 << self.inputs) - 1
        self.max_diameter = max_diameter
        self.sets = pack(rows, self.states)
        self.negated = [False] * self.leaves
        self.random = random.Random(seed)
        self.work = 0
        order = list(range(self.leaves))
        self.random.shuffle(order)
        self.neighbours: list[list[int]] = [[] for _ in range(2 * self.leaves - 2)]
        hub = self.leaves
        self.neighbours[hub] = order[:3]
        for leaf in order[:3]:
            self.neighbours[leaf] = [hub]
        for joint, leaf in enumerate(order[3:], hub + 1):
            _, place, negate = self.best_place(order[0], self.sets[leaf], 0)
            self.neighbours[leaf] = [joint]
            self.put(leaf, joint, place, negate)
        self.length = self.sweep(order[0])[3]

    # --- sets of states --------------------------------------------------------------------------------------

    def hits(self, states: int) -> int:
        """Inputs where the set is not empty."""
        k = self.inputs
        return (states | states >> k | states >> 2 * k) & self.full

    def join(self, a: int, b: int) -> tuple[int, int]:
        """The set of a node with parts of sets a and b, and the changes between them."""
        both, k = a & b, self.inputs
        missed = self.full ^ self.hits(both)
        return both | (a | b) & (missed | missed << k | missed << 2 * k), missed.bit_count()

    def negate(self, states: int) -> int:
        """The set of the negated row."""
        k, last = self.inputs, (len(self.states) - 1) * self.inputs
        ends = states >> last | (states & self.full) << last
        return ends | states & self.full << k if len(self.states) == 3 else ends

    def sweep(self, root: int) -> tuple[dict[int, int], dict[int, int], dict[int, int], int]:
        """From leaf `root`: the neighbour of each node towards it (root first, in order); the sets of what is below
        each node and of all the rest; and the length."""
        above = self.walk(root, -1)
        nodes = list(above)
        self.work += 2 * len(nodes)
        below: dict[int, int] = {}
        length = 0
        for v in reversed(nodes[1:]):
            parts = [below[u] for u in self.neighbours[v] if u != above[v]]
            below[v], changes = self.join(*parts) if parts else (self.sets[v], 0)
            length += changes
        top = nodes[1]
        rest = {top: self.sets[root]}
        for v in nodes[1:]:
            parts = [u for u in self.neighbours[v] if u != above[v]]
            if parts:
                a, b = parts
                rest[a], rest[b] = self.join(rest[v], below[b])[0], self.join(rest[v], below[a])[0]
        return above, below, rest, length + self.join(below[top], rest[top])[1]

    def walk(self, start: int, stop: int) -> dict[int, int]:
        """All nodes from `start` on, away from its neighbour `stop`, with the neighbour that each was reached from."""
        above = {start: stop}
        nodes = [start]
        for v in nodes:
            for u in self.neighbours[v]:
                if u != above[v]:
                    above[u] = v
                    nodes.append(u)
        return above

    # --- moves -----------------------------------------------------------------------------------------------

    def best_place(self, root: int, states: int, height: int) -> tuple[int, tuple[int, int], bool]:
        """Where a part with set `states` and `height` steps to its farthest leaf costs least in the tree of leaf
        `root`: the length with it (not in it), the two nodes to put it between, and whether to negate it."""
        above, below, rest, length = self.sweep(root)
        self.work += len(above)
        places = [v for v in above if v != root]
        if self.max_diameter:
            places = self.near(above, places, height)
        forms = states, self.negate(states)
        most, best = -1, (root, root, False)
        for v in places:
            here = self.join(below[v], rest[v])[0]
            for negate in (False, True):
                equal = self.hits(here & forms[negate]).bit_count()
                if equal > most:
                    most, best = equal, (v, above[v], negate)
        return length + self.inputs - most, best[:2], best[2]

    def near(self, above: dict[int, int], places: Sequence[int], height: int) -> list[int]:
        """Those of `places` where a part of `height` steps keeps the diameter, or comes nearest to keeping it."""
        down = dict.fromkeys(above, 0)
        for v in reversed(places):
            down[above[v]] = max(down[above[v]], down[v] + 1)
        up = {places[0]: 0}  # from the node above to the farthest leaf
        diameter: dict[int, int] = {}
        for v in places:
            diameter[v] = 2 + max(down[v] + up[v], height + max(down[v], up[v]))
            parts = [u for u in self.neighbours[v] if u != above[v]]
            if parts:
                a, b = parts
                up[a], up[b] = 1 + max(up[v], down[b]), 1 + max(up[v], down[a])
        limit = max(self.max_diameter, min(diameter.values()))
        return [v for v in places if diameter[v] <= limit]

    def put(self, part: int, joint: int, place: tuple[int, int], negate: bool) -> None:
        """Put `part` between two neighbours by the unused node `joint`."""
        a, b = place
        self.replace(a, b, joint)
        self.replace(b, a, joint)
        self.neighbours[joint] = [a, b, part]
        if negate:
            for v in self.walk(part, joint):
                if v < self.leaves:
                    self.sets[v] = self.negate(self.sets[v])
                    self.negated[v] = not self.negated[v]

    def replace(self, v: int, old: int, new: int) -> None:
        self.neighbours[v][self.neighbours[v].index(old)] = new

    def improve(self, budget: int) -> None:
        """Cut every part off and put it back where it costs least, until none gains or `budget` is used up."""
        budget += self.work
        gained = True
        while gained:
            gained = False
            moves = [(u, v) for v in range(self.leaves, len(self.neighbours)) for u in self.neighbours[v]]
            self.random.shuffle(moves)
            for part, joint in moves:
                if self.work > budget:
                    return
                if part in self.neighbours[joint]:
                    gained |= self.move(part, joint)

    def move(self, part: int, joint: int) -> bool:
        """Put `part`, which hangs from `joint`, at its best place; whether the tree got shorter."""
        inside = self.walk(part, joint)
        leaves = [v for v in inside if v < self.leaves]
        if self.leaves - len(leaves) < 2:
            return False
        self.work += len(inside)
        states: dict[int, int] = {}
        height = dict.fromkeys(inside, 0)
        length = 0
        for v in reversed(inside):
            below = [u for u in self.neighbours[v] if u != inside[v]]
            states[v], changes = self.join(*(states[u] for u in below)) if below else (self.sets[v], 0)
            height[v] = 1 + max(height[u] for u in below) if below else 0
            length += changes
        a, b = (v for v in self.neighbours[joint] if v != part)
        self.replace(a, joint, b)
        self.replace(b, joint, a)
        held = set(leaves)
        root = next(v for v in range(self.leaves) if v not in held)
        total, place, negate = self.best_place(root, states[part], height[part])
        total += length
        if total > self.length or (total == self.length and self.random.random() < 0.7):
            place, negate = (a, b), False
            total = self.length
        self.put(part, joint, place, negate)
        shorter = total < self.length
        self.length = total
        return shorter


def pack(rows: np.ndarray, states: Sequence[int]) -> list[int]:
    """Sets of one state an input, for every row: bit `s * inputs + i` says that input i has states[s]."""
    planes = np.concatenate([rows == s for s in states], axis=1)
    return [int.from_bytes(np.packbits(p, bitorder="little").tobytes(), "little") for p in planes]


def search(rows: np.ndarray, max_diameter: int = 0, starts: int = 1, seed: int = 0) -> Tree:
    """The shortest of the trees found from `starts` orders of adding the rows."""
    trees: list[Tree] = []
    budget = min(BUDGET * len(rows) ** 2, MOST // starts)
    for start in range(starts):
        trees.append(Tree(rows, max_diameter, seed + start))
        trees[-1].improve(budget)
    return min(trees, key=lambda t: t.length)
