"""Many look-up tables as one array, so that a million arcs are interpolated at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.hw.liberty import Table


class TableStack:
    """Tables by number; `add` gives the number, -1 for None. Interpolation is that of `Table.at`."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.known: dict[int, int] = {}
        self._packed: tuple[NDArray, ...] | None = None

    def add(self, table: Table | None) -> int:
        if table is None:
            return -1
        if id(table) not in self.known:
            self.known[id(table)] = len(self.tables)
            self.tables.append(table)
            self._packed = None
        return self.known[id(table)]

    def _pack(self) -> tuple[NDArray, ...]:
        if self._packed is None:
            n = len(self.tables)
            s = max((len(t.slews) for t in self.tables), default=1)
            c = max((len(t.loads) for t in self.tables), default=1)
            slews, loads = np.full((n, max(s, 2)), np.inf), np.full((n, max(c, 2)), np.inf)
            values = np.zeros((n, max(s, 2), max(c, 2)))
            for k, table in enumerate(self.tables):
                i, j = table.values.shape
                slews[k, :i], loads[k, :j] = table.slews, table.loads
                values[k, :i, :j] = table.values
                if i == 1:  # an axis of one point: the table does not depend on it
                    values[k, 1, :j], slews[k, 1] = values[k, 0, :j], slews[k, 0] + 1
                if j == 1:
                    values[k, :, 1], loads[k, 1] = values[k, :, 0], loads[k, 0] + 1
            self._packed = (slews, loads, values)
        return self._packed

    def at(self, numbers: NDArray, slew: NDArray, load: NDArray) -> NDArray[np.float64]:
        """The values of tables `numbers` at (`slew`, `load`); 0 where the number is -1. All of one length."""
        if not self.tables:
            return np.zeros(len(numbers))
        slews, loads, values = self._pack()
        k = np.maximum(numbers, 0)
        i, fi = _place(slews, k, slew)
        j, fj = _place(loads, k, load)
        low = values[k, i, j] * (1 - fj) + values[k, i, j + 1] * fj
        high = values[k, i + 1, j] * (1 - fj) + values[k, i + 1, j + 1] * fj
        return np.where(numbers < 0, 0.0, low * (1 - fi) + high * fi)


def _place(axes: NDArray, k: NDArray, x: NDArray) -> tuple[NDArray, NDArray]:
    """Segment and position in it; padding is infinite, so no segment begins there."""
    width = axes.shape[1]
    i = np.zeros(len(k), np.intp)
    for column in range(1, width - 1):
        # the segment behind point `column` exists if the next point is finite
        i += (x >= axes[k, column]) & np.isfinite(axes[k, column + 1])
    low = axes[k, i]
    return i, (x - low) / (axes[k, i + 1] - low)
