"""Which network multiplies by a constant matrix: separate trees, shared terms, or reuse along a spanning tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from edgec.backends.rtl.circuit.matrix import csd_digits
from edgec.backends.rtl.constants.binary import mst, steiner
from edgec.backends.rtl.constants.cost import network_cost, value_widths
from edgec.backends.rtl.constants.network import LinearNetwork, Term
from edgec.backends.rtl.constants.polarity import settle_signs
from edgec.backends.rtl.constants.shared import shared_terms
from edgec.options import SHARING

MARGIN = 0.98
"""Sharing must cost less than this share of separate trees: it is slower and one module instead of many."""

DENSE = 0.75
"""Share of non-zero weights from which on trees with nodes between the rows are tried."""


SHARED_DEPTH = 3
"""Sums one behind another where terms are shared."""

OVERHEADS = (1.0, 16.0)
"""What a shared term must save at least, in full adders; of a large matrix only the first."""

LARGE = 8000
"""Digits from which on a matrix is large: a second search would take seconds."""

STEINER_DEPTH = 6

LATE = 1.7
"""Gate equivalents that a bit costs where one sum reads another: it comes late, and what reads it toggles again. By
the measured energies of networks of one matrix (docs/constants.md) it burns as much as three to four of them; area
counts as much as energy."""


def separate_trees(matrix: np.ndarray) -> LinearNetwork:
    """One sum of signed digits for every output of `matrix` [outputs, inputs]."""
    digits = csd_digits(np.asarray(matrix, np.int64))
    inputs = digits.shape[1]
    sums: list[tuple[Term, ...]] = []
    outputs: list[Term | None] = []
    for row in digits:
        terms = tuple(Term(i, p, bool(row[i, p] < 0)) for i, p in np.argwhere(row).tolist())
        if len(terms) > 1:
            sums.append(terms)
        outputs.append(Term(inputs + len(sums) - 1) if len(terms) > 1 else terms[0] if terms else None)
    return LinearNetwork(inputs, tuple(sums), tuple(outputs))


Method = Callable[[np.ndarray, Sequence[int]], LinearNetwork]


def methods(matrix: np.ndarray, sharing: str) -> list[Method]:
    """What `sharing` allows for `matrix`, besides separate trees."""
    found: list[Method] = []
    if sharing == "auto" and np.abs(matrix).max() == np.abs(matrix).min() == 1:
        # Without zeros a tree between the rows shares terms too, and was always better than terms alone.
        return [partial(steiner, max_depth=STEINER_DEPTH)]
    if sharing in ("auto", "shared"):
        overheads = OVERHEADS if np.count_nonzero(csd_digits(matrix)) <= LARGE else OVERHEADS[:1]
        found += [partial(shared_terms, depth=SHARED_DEPTH, overhead=overhead) for overhead in overheads]
    # Reuse along a tree pays where weights have one magnitude, and most where they have no zeros.
    if np.abs(matrix).max() == 1:
        if sharing == "mst":
            found.append(mst)
        elif sharing == "auto" and np.count_nonzero(matrix) > DENSE * matrix.size:
            found.append(partial(steiner, max_depth=STEINER_DEPTH))
    return found


def score(network: LinearNetwork, ranges: Sequence[int]) -> float:
    """Gate equivalents, and more for every bit of a sum that another one reads: energy counts too."""
    widths = value_widths(network, ranges)
    read = [t.source for terms in network.sums for t in terms if t.source >= network.inputs]
    return network_cost(network, ranges) + LATE * float(widths[np.array(read, int)].sum())


def choose_network(matrix: np.ndarray, ranges: Sequence[int], sharing: str) -> LinearNetwork | None:
    """The best network for `matrix` [outputs, inputs], None where that is a separate tree for every output.

    `ranges[i]` is the largest minus the smallest value of input i."""
    if sharing not in SHARING:
        raise ValueError(f"no way to share work: {sharing!r}")
    if sharing == "none" or len(matrix) < 2 or not np.any(matrix):
        return None
    best, least = None, np.inf
    if sharing == "auto":
        least = MARGIN * score(separate_trees(matrix), ranges)
    for method in methods(matrix, sharing):
        network = settle_signs(method(matrix, ranges), ranges)
        price = score(network, ranges)
        if price < least:
            best, least = network, price
    return best


def sharing_factor(matrix: np.ndarray, ranges: Sequence[int]) -> float:
    """Cells of the network that `auto` takes over those of separate trees, for estimates before anything is built.

    Of a large matrix only the first outputs are looked at, which share a little less than all of them."""
    digits = np.count_nonzero(csd_digits(matrix), axis=(1, 2)).cumsum()
    rows = matrix[: max(int(np.searchsorted(digits, LARGE, side="right")), 2)]
    network = choose_network(rows, ranges, "auto")
    return 1.0 if network is None else network_cost(network, ranges) / network_cost(separate_trees(rows), ranges)
