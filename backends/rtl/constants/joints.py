"""Sums between the rows of a given tree, added one by one within a bound on its height.

Where two of a binary row's neighbours agree with each other but not with it, a row between the three that agrees with
the majority saves one difference for each such input. The pair of neighbours that saves most gets such a joint first.
From a star this is agglomeration, from a spanning tree a refinement of it; unlike a search over whole trees it keeps
to any height.
"""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.constants.hamming import heights, plain_distances


class Joints:
    """`rows` int64 [nodes, inputs] of -1 and 1 and `parent` int64 [nodes]; the nodes given stay first."""

    def __init__(self, rows: np.ndarray, parent: np.ndarray, max_height: int) -> None:
        self.nodes = len(rows)
        size = 2 * len(rows)
        self._rows = np.zeros((size, rows.shape[1]), np.int8)
        self._rows[: self.nodes] = rows
        self._parent = np.full(size, -2)
        self._parent[: self.nodes] = parent
        self.distance = np.zeros((size, size), np.int64)
        self.distance[: self.nodes, : self.nodes] = plain_distances(rows)
        self.max_height = max_height
        self.measure()
        offers = {p: self.offer(p) for p in np.unique(parent[parent >= 0]).tolist()}
        while offers and self.nodes < size:
            p = max(offers, key=lambda k: (offers[k][0], -k))
            if offers[p][0] <= 0:
                break
            if self.offer(p) != offers[p]:  # a subtree has become too high meanwhile
                offers[p] = self.offer(p)
                continue
            joint, (_, a, b) = self.nodes, offers[p]
            self.insert(p, a, b)
            self.measure()
            for node in {p, joint, int(self._parent[joint])} - {-1}:
                offers[node] = self.offer(node)

    @property
    def rows(self) -> np.ndarray:
        return self._rows[: self.nodes].astype(np.int64)

    @property
    def parent(self) -> np.ndarray:
        return self._parent[: self.nodes]

    @property
    def neighbours(self) -> list[list[int]]:
        """Of every node."""
        found: list[list[int]] = [[] for _ in range(self.nodes)]
        for v, p in enumerate(self.parent.tolist()):
            if p >= 0:
                found[v].append(p)
                found[p].append(v)
        return found

    def measure(self) -> None:
        """Steps from the root to every node, and from there to the farthest node through it."""
        self.height = heights(self.parent)
        self.reach = self.height.copy()
        for h in range(int(self.height.max(initial=0)), 0, -1):
            at = np.flatnonzero(self.height == h)
            np.maximum.at(self.reach, self.parent[at], self.reach[at])

    def offer(self, p: int) -> tuple[int, int, int]:
        """Twice the differences that the best joint beside node p saves, and the two neighbours of p to join: two
        nodes below it, or one below and the one above."""
        below, above = np.flatnonzero(self.parent == p), int(self.parent[p])
        best = (0, -1, -1)
        near = self.distance[p]
        lower = below[self.reach[below] < self.max_height]
        if len(lower) > 1:
            gain = near[lower][:, None] + near[lower] - self.distance[np.ix_(lower, lower)]
            np.fill_diagonal(gain, 0)
            at = int(gain.argmax())
            best = max(best, (int(gain.flat[at]), int(lower[at // len(lower)]), int(lower[at % len(lower)])))
        if above >= 0 and len(below) and self.reach[p] < self.max_height:
            gain = near[above] + near[below] - self.distance[above, below]
            at = int(gain.argmax())
            best = max(best, (int(gain[at]), int(below[at]), above))
        return best

    def insert(self, p: int, a: int, b: int) -> None:
        """A joint of p and its neighbours a and b."""
        rows, joint = self._rows, self.nodes
        rows[joint] = np.where(rows[a] == rows[b], rows[a], rows[p])
        away = np.count_nonzero(rows[:joint] != rows[joint], axis=1)
        self.distance[joint, :joint] = self.distance[:joint, joint] = away
        upper = b if self._parent[p] == b else p
        self._parent[joint] = upper
        self._parent[a] = joint
        self._parent[p if upper == b else b] = joint
        self.nodes += 1
