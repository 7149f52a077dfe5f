"""Distances between rows of a binary or ternary matrix, and spanning trees along them.

The distance of two rows is the number of inputs whose weights differ: what a sum costs that starts from the other
row's sum (Vo et al., MST-compression for binary neural networks, ICCV 2023). A row may also start from the negated
sum of another one, so that no distance of binary rows is above half of the inputs.
"""

from __future__ import annotations

import numpy as np

FAR = np.iinfo(np.int64).max


def distances(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between rows [n, inputs] of -1, 0 and 1: the inputs that differ, int64 [n, n], from the row or from the negated
    row, whichever are fewer; and whether they are fewer from the negated one, bool [n, n]."""
    planes = [(rows == v).astype(np.float32) for v in (-1, 0, 1)]
    plain = plain_distances(rows)
    opposite = rows.shape[1] - np.rint(sum(a @ b.T for a, b in zip(planes, planes[::-1], strict=True))).astype(np.int64)
    return np.minimum(plain, opposite), opposite < plain


def plain_distances(rows: np.ndarray) -> np.ndarray:
    """Inputs in which rows [n, inputs] of -1, 0 and 1 differ, none negated: int64 [n, n]."""
    planes = [(rows == v).astype(np.float32) for v in (-1, 0, 1)]
    return rows.shape[1] - np.rint(sum(p @ p.T for p in planes)).astype(np.int64)


def spanning_tree(distance: np.ndarray, max_height: int = 0, root: int = -1) -> np.ndarray:
    """Parents int64 [n] (-1: the root) of a spanning tree of least total distance [n, n].

    Unbounded it is a minimum spanning tree (Prim) from `root`, or from its centre, which gives the least height of
    that tree. With `max_height` nodes join the nearest node that is not yet that many steps below the root; without
    a given root all are tried, and the tree with the least total is taken. Ties are broken towards less height, then
    lower numbers.
    """
    n = len(distance)
    if n == 0:
        return np.zeros(0, np.int64)
    parent = _prim(distance, np.array([max(root, 0)]), 0)[0]
    if root < 0:
        parent = reroot(parent, centre(parent))
    if not max_height or heights(parent).max() <= max_height:
        return parent
    trees = _prim(distance, np.arange(n) if root < 0 else np.array([root]), max_height)
    totals = np.where(trees >= 0, distance[np.arange(n), trees], 0).sum(1)
    return trees[int(totals.argmin())]


def _prim(distance: np.ndarray, roots: np.ndarray, max_height: int) -> np.ndarray:
    """Prim's algorithm from every one of `roots` at once: parents [roots, n]."""
    n, trees = len(distance), np.arange(len(roots))
    parent = np.full((len(roots), n), -1, np.int64)
    source = np.zeros((len(roots), n), np.int64)
    height = np.zeros((len(roots), n), np.int64)
    joined = np.zeros((len(roots), n), bool)
    weight = distance.astype(np.int64) * (n + 1)  # the height is what ties are broken by
    nearest = np.full((len(roots), n), FAR)
    added = roots
    for _ in range(n - 1):
        joined[trees, added] = True
        nearest[trees, added] = FAR
        at = height[trees, added]
        offer = weight[added] + at[:, None]
        closer = (offer < nearest) & ~joined
        if max_height:
            closer &= (at < max_height)[:, None]
        nearest = np.where(closer, offer, nearest)
        source = np.where(closer, added[:, None], source)
        added = nearest.argmin(1)
        parent[trees, added] = source[trees, added]
        height[trees, added] = height[trees, parent[trees, added]] + 1
    return parent


def heights(parent: np.ndarray) -> np.ndarray:
    """Steps from every node up to its root: int64 [n]."""
    height, at = np.zeros(len(parent), np.int64), parent.copy()
    while (at >= 0).any():
        height += at >= 0
        at = np.where(at >= 0, parent[at], -1)
    return height


def centre(parent: np.ndarray) -> int:
    """The node from which the farthest node of the tree is nearest."""
    far = int(heights(parent).argmax())
    turned = reroot(parent, far)
    height = heights(turned)
    at = int(height.argmax())
    for _ in range(int(height[at]) // 2):
        at = int(turned[at])
    return at


def reroot(parent: np.ndarray, root: int) -> np.ndarray:
    """The same tree hanging from `root`."""
    result = parent.copy()
    above, at = -1, root
    while at >= 0:
        result[at] = above
        above, at = at, int(parent[at])
    return result
