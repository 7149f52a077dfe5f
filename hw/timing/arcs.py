"""The delay arcs of a flattened netlist as arrays, one entry for every arc of every cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.hw.liberty import Arc, Cell
from edgec.hw.netlist import FlatNetlist
from edgec.hw.netlist.levels import ranges
from edgec.hw.timing.stack import TableStack

LAUNCH = ("rising_edge", "falling_edge")
ASYNCHRONOUS = ("clear", "preset")


@dataclass(frozen=True, eq=False)
class Arcs:
    """By arc: cell, input pin, output pin (pins of the netlist), whether the output moves against the input, the kind
    (0 combinational, 1 from the clock, 2 clear or preset), and tables [arc, 4]: rise, fall, rise slew, fall slew."""

    cell: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    inverts: NDArray[np.bool_]
    kind: NDArray[np.int8]
    tables: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, index: NDArray) -> Arcs:
        return Arcs(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def cell_arcs(cell: Cell) -> list[tuple[Arc, bool, int]]:
    """(arc, inverts, kind); an arc that is not unate stands twice, once for each direction."""
    found = []
    for arc in cell.arcs:
        if arc.kind.startswith("combinational"):
            kind = 0
        elif arc.kind in LAUNCH:
            kind = 1
        elif arc.kind in ASYNCHRONOUS:
            kind = 2
        else:
            continue
        senses = {"positive": (False,), "negative": (True,)}.get(arc.sense, (False, True))
        if kind == 1:
            # a launching arc has one active edge of the clock, whichever way the output goes
            senses = (False,)
        found += [(arc, inverts, kind) for inverts in senses]
    return found


def netlist_arcs(netlist: FlatNetlist, stack: TableStack) -> Arcs:
    """All arcs of a netlist whose output is connected, sorted by cell."""
    rows: list[tuple[int, int, bool, int, int, int, int, int]] = []
    first = [0]
    for cell, pins in netlist.by_type:
        at = {name: i for i, name in enumerate(pins)}
        for arc, inverts, kind in cell_arcs(cell):
            if arc.related in at and arc.pin in at:
                tables = [stack.add(t) for t in (arc.rise, arc.fall, arc.rise_slew, arc.fall_slew)]
                rows.append((at[arc.related], at[arc.pin], inverts, kind, *tables))  # type: ignore[arg-type]
        first.append(len(rows))
    table = np.array(rows, np.int32).reshape(len(rows), 8)
    start = np.array(first, np.int32)
    lengths = np.diff(start)[netlist.cell_type]
    index = ranges(start[:-1][netlist.cell_type], lengths)
    cell = np.repeat(np.arange(netlist.cell_count, dtype=np.int32), lengths)
    base = netlist.pin_start[cell]
    arcs = Arcs(
        cell,
        base + table[index, 0],
        base + table[index, 1],
        table[index, 2].astype(bool),
        table[index, 3].astype(np.int8),
        table[index, 4:8],
    )
    return arcs.take(np.flatnonzero(netlist.pin_net[arcs.target] >= 0))
