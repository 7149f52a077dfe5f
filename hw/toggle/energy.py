"""From counted transitions to energy, by block and by kind.

    internal   tables of the library (internal_power), rise and fall apart, by the input that caused the transition,
               the mean over the states of the other inputs
    net        C V^2 / 2 an edge: pins, wire, and the inputs of assumed buffers
    passive    tables of input pins: what a cell burns when an input moves and no output does
    clock      clock pins inside (internal_power) and outside (C V^2 / 2 an edge, pins and wire times the clock tree)
    leakage    cell_leakage_power times the time

An edge belongs to the cell that drives the net; what moves on a port belongs to the cells behind it. Glitches are the
transitions beyond those between the settled values of consecutive cycles; a net's energy is split by their share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.netlist import FlatNetlist
from edgec.hw.timing.stack import TableStack
from edgec.hw.toggle.simulator import Simulator

KINDS = ("functional", "glitch", "register", "clock", "leakage")
CLOCK_TREE = 1.3  # as in docs/estimates.md: clock buffers and wires, assumed


@dataclass(frozen=True, eq=False)
class Energy:
    """Energies in fJ over all counted cycles: `by_cell[kind, cell]`, kinds as in `KINDS`.

    `transitions` and `functional` count edges of nets driven by logic; their ratio is the glitch factor.
    """

    netlist: FlatNetlist
    cycles: int
    period: float
    by_cell: NDArray[np.float64]
    transitions: int
    functional: int

    @property
    def total(self) -> float:
        """Energy of a cycle [fJ]."""
        return float(self.by_cell.sum()) / self.cycles

    @property
    def by_kind(self) -> dict[str, float]:
        """Energy of a cycle by kind [fJ]."""
        return {kind: float(v) / self.cycles for kind, v in zip(KINDS, self.by_cell.sum(axis=1), strict=True)}

    @property
    def glitch_factor(self) -> float:
        return self.transitions / self.functional if self.functional else 1.0

    @property
    def power_mw(self) -> float:
        """Mean power at this period: fJ / ps = mW."""
        return self.total / self.period

    def by_block(self, name: Callable[[tuple[str, ...]], str] | None = None) -> dict[str, dict[str, float]]:
        """Energy of a cycle [fJ] by block and kind; `name` maps an instance path to its block (default: its first
        part, '' for cells of the top itself)."""
        name = name or (lambda path: path[0] if path else "")
        labels = [name(block.path) for block in self.netlist.blocks]
        order = list(dict.fromkeys(labels))
        number = np.array([order.index(label) for label in labels])
        of_cell = number[self.netlist.block_of_cell]
        sums = [np.bincount(of_cell, weights=row, minlength=len(order)) / self.cycles for row in self.by_cell]
        return {label: {k: float(s[i]) for k, s in zip(KINDS, sums, strict=True)} for i, label in enumerate(order)}

    def as_dict(self) -> dict[str, Any]:
        return {
            "energy_fj": round(self.total, 3),
            "by_kind_fj": {k: round(v, 3) for k, v in self.by_kind.items()},
            "power_mw": round(self.power_mw, 6),
            "glitch_factor": round(self.glitch_factor, 4),
            "transitions_per_cycle": round(self.transitions / self.cycles, 2),
        }


def energy(simulator: Simulator, cycles: int, period: float, *, clock_tree: float = CLOCK_TREE) -> Energy:
    """What the simulator counted since its counters were reset: `cycles` cycles of `period` ps."""
    if cycles < 1:
        raise EdgecError("E0204", "energy needs at least one counted cycle")
    netlist, model, timing = simulator.netlist, simulator.model, simulator.timing
    rise, fall, functional, internal = (a[: netlist.net_count] for a in simulator.engine.counts())
    edges = rise.astype(np.float64) + fall
    half = simulator.library.voltage**2 / 2
    cells = netlist.cell_count
    result = np.zeros((len(KINDS), cells))
    functional_row, glitch_row, register_row, clock_row, leakage_row = result

    is_clock = timing.clock.nets
    driver, is_state = model.driver_cell[: netlist.net_count], model.is_state[: netlist.net_count]
    share = np.divide(functional, edges, out=np.ones(netlist.net_count), where=edges > 0)

    driven = (driver >= 0) & ~is_clock
    charge = edges * half * timing.loads.switched + internal
    for mask, row, weight in (
        (driven & ~is_state, functional_row, share),
        (driven & ~is_state, glitch_row, 1 - share),
        (driven & is_state, register_row, np.ones(netlist.net_count)),
    ):
        np.add.at(row, driver[mask], (charge * weight)[mask])
    gates = (driver >= 0) & is_clock  # the gates and buffers of the clock network
    np.add.at(clock_row, driver[gates], internal[gates])

    # Input pins: passive energy everywhere; the capacitance too where no cell drives the net, or the clock does.
    pins = np.flatnonzero(~netlist.pin_is_output)
    nets, owner = netlist.pin_net[pins], netlist.pin_cell[pins]
    passive = _passive(simulator, pins, rise, fall)
    outside = edges[nets] * half * (netlist.pin_capacitance[pins] + timing.loads.wire_ff)
    on_clock = is_clock[nets]
    np.add.at(clock_row, owner[on_clock], passive[on_clock] + clock_tree * outside[on_clock])
    undriven = (driver[nets] < 0) & ~on_clock
    value = np.where(on_clock, 0.0, passive) + np.where(undriven, outside, 0.0)
    sequential = np.array([c.sequential is not None for c in netlist.types], bool)[netlist.cell_type][owner]
    np.add.at(register_row, owner[sequential], value[sequential])
    logic = ~sequential
    np.add.at(functional_row, owner[logic], (value * share[nets])[logic])
    np.add.at(glitch_row, owner[logic], (value * (1 - share[nets]))[logic])

    leakage = np.array([cell.leakage for cell in netlist.types] or [0.0])[netlist.cell_type]
    leakage_row += leakage * cycles * period * 1e-6  # nW x ps = 1e-6 fJ
    counted = driven & ~is_state
    return Energy(netlist, cycles, period, result, int(edges[counted].sum()), int(functional[counted].sum()))


def _passive(simulator: Simulator, pins: NDArray, rise: NDArray, fall: NDArray) -> NDArray[np.float64]:
    """Energy inside the cells by their input pins, over all counted edges [pin]."""
    netlist, timing = simulator.netlist, simulator.timing
    place = np.full(len(netlist.pin_net), -1, np.int64)
    place[pins] = np.arange(len(pins))
    result = np.zeros(len(pins))
    stack = TableStack()
    for number, (cell, names) in enumerate(netlist.by_type):
        for name in cell.inputs:
            arcs = [a for a in cell.power if a.pin == name and a.related is None]
            if not arcs or name not in names:
                continue
            own = netlist.pin_start[np.flatnonzero(netlist.cell_type == number)] + names.index(name)
            nets = netlist.pin_net[own]
            for edge, count in ((0, fall), (1, rise)):
                tables = [t for t in ((a.rise if edge else a.fall) for a in arcs) if t is not None]
                for table in tables:
                    numbers = np.full(len(own), stack.add(table))
                    value = stack.at(numbers, timing.slew[nets, edge], np.zeros(len(own)))
                    result[place[own]] += value * count[nets] / len(tables)
    return result
