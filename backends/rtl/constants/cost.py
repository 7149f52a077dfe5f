"""What a linear network costs in adder cells, before any wire of it exists.

A column of n bits becomes one bit by (n - 1) // 2 full adders, and one half adder where n is even; n // 2 carries go
to the next column. So counted, a sum has about as many full adders as bits go in and do not come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.circuit.wire import Cells
from edgec.backends.rtl.constants.network import LinearNetwork


def value_widths(network: LinearNetwork, ranges: Sequence[int] | np.ndarray) -> np.ndarray:
    """Bits that hold every value of `network`, whose input i takes ranges[i] + 1 different values: int [values]."""
    reach = np.abs(network.rows).astype(np.float64) @ np.asarray(ranges, np.float64)
    return np.frexp(reach)[1]


def network_cells(network: LinearNetwork, ranges: Sequence[int] | np.ndarray) -> Cells:
    """Full and half adders, and inverters (one for each bit of a value that is used negatively)."""
    widths = value_widths(network, ranges)
    number = np.repeat(np.arange(len(network.sums)), [len(terms) for terms in network.sums])
    source = np.array([t.source for terms in network.sums for t in terms], int)
    shift = np.array([t.shift for terms in network.sums for t in terms], int)
    negative = np.array([t.negative for terms in network.sums for t in terms], bool)
    cells: Cells = Counter(NOT=int(widths[np.unique(source[negative])].sum()))
    if not network.sums:
        return +cells
    ends = shift + widths[source]
    columns = int(max(ends.max(), widths.max())) + 2
    heights = np.zeros((len(network.sums), columns + 1), int)
    np.add.at(heights, (number, shift), 1)
    np.add.at(heights, (number, ends), -1)
    heights = heights.cumsum(1)
    lowest = np.full(len(network.sums), columns)
    np.minimum.at(lowest, number, shift)
    top = lowest + widths[network.inputs :]  # what lies above cannot be reached
    carries = np.zeros(len(network.sums), int)
    for column in range(columns):
        n = np.where(column < top, heights[:, column] + carries, 0)
        carries = n // 2
        last = column == top - 1
        pairs = np.where(last, 0, carries)
        half = (n % 2 == 0) & (pairs > 0)
        cells["FA"] += int((pairs - half).sum())
        cells["HA"] += int(half.sum())
        cells["XOR2"] += int(np.maximum(n - 1, 0)[last].sum())
    return +cells


def network_cost(network: LinearNetwork, ranges: Sequence[int] | np.ndarray) -> float:
    """Gate equivalents of `network_cells`."""
    return gate_equivalents(network_cells(network, ranges))
