"""Binary and ternary constant matrices: reuse along spanning trees and along trees with nodes between the rows.

`mst` is the minimum spanning tree over the Hamming distances of the outputs (Vo et al., ICCV 2023). `steiner` adds
sums that are no output where they shorten the tree, and shares terms between the differences that are left; it is
the smaller one of the two. Both may start a row from another one's negated sum, and both take duplicate, opposite
and zero rows for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgec.backends.rtl.constants.hamming import distances, heights, spanning_tree
from edgec.backends.rtl.constants.joints import Joints
from edgec.backends.rtl.constants.network import LinearNetwork
from edgec.backends.rtl.constants.parsimony import search
from edgec.backends.rtl.constants.reuse import Output, ReuseTree
from edgec.backends.rtl.constants.steiner import Joined

NODE = 4.0
"""What a sum costs beside the full adders for the bits that go in and do not come out, in full adders."""
DEPTH = 6
"""Sums one behind another in a `steiner` network unless another bound is given. Beyond this the area hardly falls
(256x64 random: 2 %), while path and glitches grow (a third)."""
TERM_LEVELS = 3
"""Levels of shared terms that a bound on the depth leaves room for, where it is large enough."""

TALL = 6
"""Height from which on a search over whole trees can find shorter ones than joints in spanning trees."""


def mst(
    matrix: np.ndarray, ranges: Sequence[int] | np.ndarray | None = None, *, max_depth: int = 0, share: bool = False
) -> LinearNetwork:
    """The network of a minimum spanning tree over the rows of `matrix` [outputs, inputs] of -1, 0 and 1.

    Input i takes `ranges[i]` + 1 different values (default: bits). `max_depth` bounds the sums one behind another
    (0: no bound; 1: no reuse). With `share` the differences have terms in common, which are made once.
    Raises ValueError where the matrix has other weights.
    """
    rows = Rows(matrix)
    levels = TERM_LEVELS if share and max_depth > TERM_LEVELS else 1
    if max_depth == 1:
        signed, parent = rows.distinct, np.full(len(rows.distinct), -1)
    else:
        signed, parent = _spanning(rows, rows.height(max_depth, levels))
    tree = ReuseTree(signed, parent, rows.outputs(signed))
    return rows.checked(tree, ranges, share, max_depth)


def steiner(
    matrix: np.ndarray,
    ranges: Sequence[int] | np.ndarray | None = None,
    *,
    max_depth: int = DEPTH,
    share: bool = True,
    starts: int = 1,
    seed: int = 0,
) -> LinearNetwork:
    """As `mst`, along a tree that has sums of its own between the outputs.

    A tree that may be high is searched for from `starts` random orders of the rows, which follow `seed`."""
    rows = Rows(matrix)
    if len(rows.distinct) < 3 or max_depth in (1, 2):
        return mst(matrix, ranges, max_depth=max_depth, share=share)
    levels = min(TERM_LEVELS, max_depth // 2) if share else 1
    height = rows.height(max_depth, levels)
    worth = NODE / _mean_bits(ranges)
    trees: list[ReuseTree] = []
    if height and rows.zero < 0:
        for lower in range(max(height - 4, 1), height + 1):
            signed, parent = _spanning(rows, lower)
            trees.append(_reduced(rows, signed, Joints(signed, parent, height).neighbours, worth, height))
    if not trees or height >= TALL:
        found = search(rows.distinct, 2 * height, starts, seed)
        signed = rows.distinct * np.where(found.negated, -1, 1)[:, None]
        trees.append(_reduced(rows, signed, found.neighbours, worth, height))
    return rows.checked(min(trees, key=lambda t: t.length), ranges, share, max_depth)


def _spanning(rows: Rows, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A spanning tree: the rows, each negated where that brings it nearer to its parent, and the parents."""
    distance, negated = distances(rows.distinct)
    parent = spanning_tree(distance, height, rows.zero)
    signs = np.ones(len(parent), np.int64)
    for v in np.argsort(heights(parent), kind="stable"):
        if parent[v] >= 0:
            signs[v] = signs[parent[v]] * (-1 if negated[v, parent[v]] else 1)
    return rows.distinct * signs[:, None], parent


def _reduced(rows: Rows, signed: np.ndarray, neighbours: list[list[int]], worth: float, height: int) -> ReuseTree:
    """The tree of `neighbours` with the best rows between the `signed` ones, and no more of those than pay."""
    joined = Joined(signed, neighbours)
    joined.choose_rows()
    while joined.merge(worth):
        joined.choose_rows()
    tree = joined.rooted(rows.outputs(signed), rows.zero)
    return tree.bounded(height) if height else tree


def _mean_bits(ranges: Sequence[int] | np.ndarray | None) -> float:
    """Bits of an input, in the mean."""
    return float(np.mean([max(int(r).bit_length(), 1) for r in ranges])) if ranges is not None else 1.0


class Rows:
    """The distinct rows of a matrix: of equal or opposite ones one, and no zeros.

    Where weights are zero, a row of zeros goes first (`zero` is its number, else -1): reuse starts from it, so that a
    row costs no more than its own weights."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = np.asarray(matrix, np.int64)
        if self.matrix.ndim != 2 or (np.abs(self.matrix) > 1).any():
            raise ValueError("weights other than -1, 0 and 1")
        lead = self.matrix[np.arange(len(self.matrix)), (self.matrix != 0).argmax(1)] if self.matrix.size else 0
        self.sign = np.broadcast_to(lead, len(self.matrix)).copy()
        some = np.flatnonzero(self.sign)
        distinct, number = np.unique(self.matrix[some] * self.sign[some, None], axis=0, return_inverse=True)
        self.zero = 0 if (distinct == 0).any() else -1
        if self.zero == 0:
            distinct = np.concatenate([np.zeros_like(distinct[:1]), distinct])
        self.distinct = distinct
        self.number = np.full(len(self.matrix), -1)
        self.number[some] = number.reshape(-1) + (self.zero == 0)

    def height(self, max_depth: int, levels: int) -> int:
        """Steps that a tree may have when `levels` of `max_depth` sums are left to what it starts from."""
        return max_depth - levels + (self.zero == 0) if max_depth else 0

    def outputs(self, signed: np.ndarray) -> tuple[Output, ...]:
        """The node of every output, where the first nodes are the distinct rows, each as it is or negated."""
        lead = np.einsum("ki,ki->k", signed, self.distinct) < 0
        return tuple(
            None if n < 0 else (int(n), bool((s < 0) != lead[n])) for n, s in zip(self.number, self.sign, strict=True)
        )

    def checked(
        self, tree: ReuseTree, ranges: Sequence[int] | np.ndarray | None, share: bool, max_depth: int
    ) -> LinearNetwork:
        """The tree's network, which must be the matrix."""
        ranges = np.ones(self.matrix.shape[1], np.int64) if ranges is None else np.asarray(ranges)
        network = tree.network(ranges, share=share, max_depth=max_depth)
        if not np.array_equal(network.coefficients, self.matrix):
            raise AssertionError("the network is not the matrix")
        return network
