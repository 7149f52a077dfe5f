"""From a tree of leaves to a reuse tree: rows of the inner nodes, and only as many of them as pay.

The rows of the inner nodes are a least total distance from the leaves' (Sankoff 1975: bottom up the cost of every
state, top down the choice). An inner node saves additions of inputs but costs half adders and inverters of a whole
sum, so it is merged with a neighbour where that adds fewer differences than a node is worth.
"""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.constants.hamming import centre, plain_distances, reroot
from edgec.backends.rtl.constants.reuse import Output, ReuseTree

STATES = np.array([-1, 0, 1])


class Joined:
    """Nodes of an unrooted tree: `rows` int64 [nodes, inputs], of which the first `fixed` are given, and the
    `neighbours` of each node (empty: merged with another one)."""

    def __init__(self, rows: np.ndarray, neighbours: list[list[int]]) -> None:
        self.fixed = len(rows)
        inner = np.zeros((len(neighbours) - len(rows), rows.shape[1]), np.int64)
        self.rows = np.concatenate([np.asarray(rows, np.int64), inner])
        self.neighbours = [list(n) for n in neighbours]

    def choose_rows(self) -> None:
        """Rows of the inner nodes that make the tree shortest; of equals those of the node above."""
        root, states = 0, STATES if (self.rows[: self.fixed] == 0).any() else STATES[[0, 2]]
        above = {root: -1}
        nodes = [root]
        for v in nodes:
            for u in self.neighbours[v]:
                if u != above[v]:
                    above[u] = v
                    nodes.append(u)
        cost = np.zeros((len(self.rows), len(states), self.rows.shape[1]), np.int32)
        for v in reversed(nodes):
            if v < self.fixed:
                cost[v] += np.where(self.rows[v] == states[:, None], 0, 1 << 20)
            if v != root:
                cost[above[v]] += np.minimum(cost[v], cost[v].min(0) + 1)
        for v in nodes[1:]:
            if v >= self.fixed:
                change = states[:, None] != self.rows[above[v]]
                self.rows[v] = states[(2 * cost[v] + 2 * change - ~change).argmin(0)]

    def merge(self, worth: float) -> bool:
        """Merge inner nodes with neighbours while that adds less than `worth` to the length; whether any was."""
        distance = plain_distances(self.rows)
        offers = {v: self.offer(v, distance) for v in range(self.fixed, len(self.rows)) if self.neighbours[v]}
        merged = False
        while offers:
            v = min(offers, key=lambda k: (offers[k], k))
            added, into = offers[v]
            if added >= worth:
                break
            merged = True
            for u in self.neighbours[v]:
                if u != into:
                    self.neighbours[u][self.neighbours[u].index(v)] = into
            self.neighbours[into].remove(v)
            self.neighbours[into] += [u for u in self.neighbours[v] if u != into]
            touched = {into, *self.neighbours[v]}
            self.neighbours[v] = []
            del offers[v]
            for u in touched & offers.keys():
                offers[u] = self.offer(u, distance)
        return merged

    def offer(self, v: int, distance: np.ndarray) -> tuple[int, int]:
        """How much longer the tree gets at least when v is merged with a neighbour, and which."""
        around = self.neighbours[v]
        moved = distance[np.ix_(around, around)].sum(1) - distance[v, around].sum()
        at = int(moved.argmin())
        return int(moved[at]), around[at]

    def rooted(self, outputs: tuple[Output, ...], root: int = -1) -> ReuseTree:
        """The tree from node `root`, or from its centre."""
        live = [v for v, n in enumerate(self.neighbours) if n or v < self.fixed]
        number = {v: k for k, v in enumerate(live)}
        parent = np.full(len(live), -1, np.int64)
        seen, nodes = {live[0]}, [live[0]]
        for v in nodes:
            for u in self.neighbours[v]:
                if u not in seen:
                    seen.add(u)
                    parent[number[u]] = number[v]
                    nodes.append(u)
        parent = reroot(parent, centre(parent) if root < 0 else number[root])
        return ReuseTree(self.rows[live], parent, outputs)
