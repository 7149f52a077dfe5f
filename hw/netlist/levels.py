"""The order of evaluation: how many combinational cells lie before each cell."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.netlist.flat import FlatNetlist, Ints


def ranges(starts: NDArray, counts: NDArray) -> NDArray[np.int64]:
    """`starts[0] .. starts[0] + counts[0] - 1, starts[1] ..`, as one array."""
    total = int(counts.sum())
    offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return np.arange(total, dtype=np.int64) + offsets


def fanout_pins(netlist: FlatNetlist) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(start, pins): the input pins on net n are `pins[start[n]:start[n + 1]]`."""
    pins = np.flatnonzero(~netlist.pin_is_output & (netlist.pin_net >= 0))
    nets = netlist.pin_net[pins]
    order = np.argsort(nets, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(nets, minlength=netlist.net_count))])
    return start, pins[order]


@lru_cache(maxsize=4)
def levels(netlist: FlatNetlist) -> Ints:
    """0 for sequential cells; for a combinational cell one more than the highest level before it.

    Raises E0215 for a combinational loop, naming a few of its cells.
    """
    sequential = np.array([cell.sequential is not None for cell in netlist.types], bool)[netlist.cell_type]
    start, pins = fanout_pins(netlist)
    sinks = netlist.pin_cell[pins]
    driving = np.flatnonzero(netlist.pin_is_output & (netlist.pin_net >= 0))
    driven_by_logic = np.zeros(netlist.net_count, bool)
    logic = driving[~sequential[netlist.pin_cell[driving]]]
    driven_by_logic[netlist.pin_net[logic]] = True

    inputs = np.flatnonzero(~netlist.pin_is_output)
    waiting = np.bincount(
        netlist.pin_cell[inputs], weights=driven_by_logic[netlist.pin_net[inputs]], minlength=netlist.cell_count
    ).astype(np.int32)
    level = np.zeros(netlist.cell_count, np.int32)
    done = sequential.copy()
    frontier = np.flatnonzero((waiting == 0) & ~sequential)
    depth = 1
    while len(frontier):
        level[frontier] = depth
        done[frontier] = True
        lengths = netlist.pin_start[frontier + 1] - netlist.pin_start[frontier]
        own = ranges(netlist.pin_start[frontier], lengths)
        nets = netlist.pin_net[own][netlist.pin_is_output[own]]
        nets = nets[nets >= 0]
        reached = sinks[ranges(start[nets], start[nets + 1] - start[nets])]
        np.subtract.at(waiting, reached, 1)
        reached = np.unique(reached)
        frontier = reached[(waiting[reached] == 0) & ~done[reached]]
        depth += 1
    if not done.all():
        stuck = np.flatnonzero(~done)
        names = ", ".join(netlist.cell_name(int(c)) for c in stuck[:5])
        raise EdgecError("E0215", "the netlist has a combinational loop", why=f"{len(stuck)} cells, such as {names}")
    return level
