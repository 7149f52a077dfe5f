"""Reuse along a tree: every sum is its parent's sum plus the differences of two rows.

The nodes of a tree are rows of weights: outputs, and rows between them that are no output. A node costs one compressor
tree that adds the parent's value to the inputs whose weights differ; the root, or a row of zeros in its place, is
made from nothing. The differences of all nodes are a matrix again, whose rows can share terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgec.backends.rtl.circuit.matrix import csd_digits
from edgec.backends.rtl.constants.hamming import heights, plain_distances
from edgec.backends.rtl.constants.network import LinearNetwork, Term
from edgec.backends.rtl.constants.shared import shared_terms

Output = tuple[int, bool] | None
"""The node that an output is and whether it is the negated row; None where it is the constant 0."""


@dataclass(frozen=True)
class ReuseTree:
    """Rows int64 [nodes, inputs] of -1, 0 and 1 under their parents int64 [nodes] (-1: the root), and what
    node each output is."""

    rows: np.ndarray
    parent: np.ndarray
    outputs: tuple[Output, ...]

    @property
    def height(self) -> int:
        """Steps from the root to the farthest node."""
        return int(heights(self.parent).max(initial=0))

    @property
    def levels(self) -> int:
        """Sums one behind another below the root's, which is none where its row is zeros."""
        return self.height - int(len(self.rows) > 0 and not self.rows[self.parent < 0].any())

    @property
    def differences(self) -> np.ndarray:
        """What is added to the parent's sum at every node (the root: all of its row): int64 [nodes, inputs]."""
        return self.rows - np.where(self.parent[:, None] >= 0, self.rows[self.parent], 0)

    @property
    def length(self) -> int:
        """Inputs that are added at all nodes."""
        return int(np.count_nonzero(self.differences))

    def bounded(self, max_height: int) -> ReuseTree:
        """The tree with no node more than `max_height` >= 1 steps below the root: nodes that are move up to wherever
        that costs least, and rows that only lay between two others and no longer do are dropped."""
        parent = self.parent.copy()
        distance = plain_distances(self.rows)
        while (height := heights(parent)).max(initial=0) > max_height:
            path = [int(height.argmax())]
            while height[path[-1]] > 1:
                path.append(int(parent[path[-1]]))
            moves: list[tuple[int, int, int]] = []
            for v in path:
                below = _below(parent, v)
                deep = int(height[below].max() - height[v])
                # A node that is moved must come higher than it was, or the loop would not end.
                fits = np.flatnonzero(~below & (height < height[v] - 1) & (height + 1 + deep <= max_height))
                if len(fits):
                    at = int(fits[distance[v, fits].argmin()])
                    moves.append((int(distance[v, at] - distance[v, parent[v]]), v, at))
            _, v, at = min(moves)  # never empty: the farthest node can always go under the root
            parent[v] = at
        return ReuseTree(self.rows, parent, self.outputs).spliced()

    def spliced(self) -> ReuseTree:
        """Without rows that are no output and lie under at most one node beside their parent."""
        parent, kept = self.parent.copy(), np.ones(len(self.parent), bool)
        needed = np.zeros(len(parent), bool)
        needed[[o[0] for o in self.outputs if o is not None]] = True
        while True:
            children = np.bincount(parent[kept & (parent >= 0)], minlength=len(parent))
            idle = np.flatnonzero(kept & ~needed & (children < 2) & (parent >= 0))
            if not len(idle):
                break
            v = int(idle[0])
            parent[parent == v] = parent[v]
            kept[v] = False
        number = np.append(np.cumsum(kept) - 1, -1)
        outputs = tuple(None if o is None else (int(number[o[0]]), o[1]) for o in self.outputs)
        return ReuseTree(self.rows[kept], number[parent[kept]], outputs)

    def network(self, ranges: Sequence[int] | np.ndarray, *, share: bool, max_depth: int = 0) -> LinearNetwork:
        """The sums of all nodes; with `share` their differences have terms in common, which are made once.

        `ranges[i]` + 1 is the number of values of input i. Depth is `levels` + 1 where nothing is
        shared, and at most `max_depth` (at least that) where terms are."""
        differences = self.differences
        depth = max_depth - self.levels if max_depth else 0
        if share and depth != 1:
            made = shared_terms(differences, ranges, depth=depth)
        else:
            made = separate(differences)
        return _Assembly(made, self).network()


class _Assembly:
    """Puts the sums of the differences and the parents' together, each after what it uses."""

    def __init__(self, made: LinearNetwork, tree: ReuseTree) -> None:
        self.made, self.tree = made, tree
        self.inputs = made.inputs
        self.sums: list[tuple[Term, ...]] = []
        self.value: dict[int, Term] = {i: Term(i) for i in range(made.inputs)}  # of the values in `made`
        self.node: dict[int, Term | None] = {}
        uses: dict[int, int] = {}
        for t in [t for terms in made.sums for t in terms] + [t for t in made.outputs if t is not None]:
            uses[t.source] = uses.get(t.source, 0) + 1
        self.single = {at for at, count in uses.items() if count == 1}

    def network(self) -> LinearNetwork:
        tree = self.tree
        for v in np.argsort(heights(tree.parent), kind="stable").tolist():
            self.node[v] = self.make_node(v)
        outputs = []
        for output in tree.outputs:
            term = None if output is None else self.node[output[0]]
            outputs.append(None if term is None or output is None else through(Term(0, 0, output[1]), term))
        return LinearNetwork(self.inputs, tuple(self.sums), tuple(outputs))

    def make_node(self, v: int) -> Term | None:
        parent = int(self.tree.parent[v])
        above = self.node[parent] if parent >= 0 else None
        difference = self.made.outputs[v]
        if difference is None:
            return above
        if above is None:
            return through(difference, self.need(difference.source))
        if difference.source in self.single and difference.source >= self.inputs:
            terms = self.terms(difference.source)  # its own sum: the parent's value goes into it
            return self.add([above, *(through(difference, t) for t in terms)])
        return self.add([above, through(difference, self.need(difference.source))])

    def need(self, at: int) -> Term:
        """The value `at` of `made`, with all that it uses."""
        stack = [at]
        while stack:
            top = stack[-1]
            missing = [] if top in self.value else self.missing(top)
            if missing:
                stack += missing
                continue
            stack.pop()
            if top not in self.value:
                self.value[top] = self.add(self.terms(top))
        return self.value[at]

    def missing(self, at: int) -> list[int]:
        return [t.source for t in self.made.sums[at - self.inputs] if t.source not in self.value]

    def terms(self, at: int) -> list[Term]:
        """The terms of a sum of `made` as terms of the new network."""
        return [through(t, self.need(t.source)) for t in self.made.sums[at - self.inputs]]

    def add(self, terms: Sequence[Term]) -> Term:
        self.sums.append(tuple(terms))
        return Term(self.inputs + len(self.sums) - 1)


def through(outer: Term, inner: Term) -> Term:
    """`outer` of a value that is `inner`."""
    return Term(inner.source, inner.shift + outer.shift, inner.negative != outer.negative)


def separate(matrix: np.ndarray) -> LinearNetwork:
    """Every row a sum of its own signed digits: integers [outputs, inputs]."""
    digits = csd_digits(matrix)
    sums: list[tuple[Term, ...]] = []
    outputs: list[Term | None] = []
    for row in digits:
        at, place = np.nonzero(row)
        signs = row[at, place] < 0
        terms = [Term(*t) for t in zip(at.tolist(), place.tolist(), signs.tolist(), strict=True)]
        if len(terms) < 2:
            outputs.append(terms[0] if terms else None)
            continue
        sums.append(tuple(terms))
        outputs.append(Term(matrix.shape[1] + len(sums) - 1))
    return LinearNetwork(matrix.shape[1], tuple(sums), tuple(outputs))


def _below(parent: np.ndarray, v: int) -> np.ndarray:
    """Node v and all under it: bool [n]."""
    below, at = np.arange(len(parent)) == v, parent
    while (at >= 0).any():
        below |= at == v
        at = np.where(at >= 0, parent[at], -1)
    return below
