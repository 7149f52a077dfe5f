"""Turns a netlist and its timing into the arrays that the engine runs on.

Every net is a node: a gate with a truth table, a state, a port or a constant. A sequential cell whose output is its
state is one node; one with other outputs (inverted, gated) gets a hidden node for the state, and its outputs are gates
behind it. An arc is an input of a node; it has a delay and an energy for each edge of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Cell, Output, PowerArc
from edgec.hw.netlist import FlatNetlist
from edgec.hw.netlist.levels import levels
from edgec.hw.timing import Timing
from edgec.hw.timing.stack import TableStack

CONSTANT, PORT, GATE, FLIPFLOP, LATCH = range(5)
MAX_INPUTS = 6
INSTANT, HAS_STATE_INPUT = 0x01, 0x80


@dataclass(frozen=True, eq=False)
class Model:
    """Arrays by node (= net, then hidden states), by arc and by state; see `engine.cpp`."""

    nodes: int
    kind: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    inputs: NDArray[np.uint8]
    table: NDArray[np.uint64]
    first_in: NDArray[np.uint32]
    sequential: NDArray[np.uint32]
    in_net: NDArray[np.uint32]
    delays: NDArray[np.uint32]  # [arc, edge], quanta
    energies: NDArray[np.float32]  # [arc, edge], fJ
    state_clock: NDArray[np.uint64]
    state_clear: NDArray[np.uint64]
    state_preset: NDArray[np.uint64]
    state_both: NDArray[np.uint8]
    silent: NDArray[np.bool_]  # by arc: a change there alone does nothing
    order: NDArray[np.uint32]  # gates, topological
    driver_cell: NDArray[np.int32]  # by node; -1 for ports and constants
    is_state: NDArray[np.bool_]  # by node: it shows a state


@dataclass
class _Node:
    """A node of every cell of a type: which pin's net it is (None: hidden), and what it computes."""

    pin: int | None
    names: tuple[str, ...]
    table: int
    kind: int
    state: bool


def _plan(cell: Cell, pins: tuple[str, ...]) -> list[_Node]:
    """The nodes of one cell; a hidden state comes first."""
    at = {name: i for i, name in enumerate(pins)}
    outputs = [o for o in cell.outputs.values() if o.pin in at]
    sequential = cell.sequential
    nodes: list[_Node] = []
    shown: Output | None = None
    if sequential is not None:
        showing = [o for o in outputs if sequential.state in o.inputs]
        if len(showing) == 1 and showing[0].inputs == (sequential.state,) and showing[0].table == 2:
            shown = showing[0]
        kind = FLIPFLOP if sequential.kind == "ff" else LATCH
        pin = at[shown.pin] if shown else None
        nodes.append(_Node(pin, sequential.inputs, sequential.data, kind, True))
    nodes += [_Node(at[o.pin], o.inputs, o.table, GATE, sequential is not None) for o in outputs if o is not shown]
    for node in nodes:
        if len(node.names) > MAX_INPUTS:
            raise EdgecError("E0214", f"cell {cell.name} has a function of {len(node.names)} inputs; 6 are supported")
    return nodes


def build(timing: Timing, quantum: float) -> Model:
    """The model of the netlist of `timing`, delays in multiples of `quantum` [ps], at least one."""
    netlist = timing.netlist
    plans = [_plan(cell, pins) for cell, pins in netlist.by_type]
    hidden = _hidden_nets(netlist, plans)
    nodes = netlist.net_count + hidden.total
    kind = np.zeros(nodes, np.uint8)
    for port in netlist.ports.values():
        if port.is_input:
            kind[port.nets[port.nets > 1]] = PORT
    flags, table = np.zeros(nodes, np.uint8), np.zeros(nodes, np.uint64)
    width = np.zeros(nodes, np.uint8)
    sequential, driver_cell = np.zeros(nodes, np.uint32), np.full(nodes, -1, np.int32)
    is_state = np.zeros(nodes, bool)
    states: list[tuple[NDArray, tuple[int, int, int, int]]] = []

    placed: list[tuple[int, _Node, NDArray, NDArray]] = []  # (type, node, cells, nets)
    count = 0
    for number, plan in enumerate(plans):
        cells = np.flatnonzero(netlist.cell_type == number)
        for node in plan:
            nets = hidden.of[cells] if node.pin is None else netlist.pin_net[netlist.pin_start[cells] + node.pin]
            if node.pin is not None and node.kind != GATE:
                nets = np.where(nets < 0, hidden.of[cells], nets)
            present = nets >= 0
            use, nets = cells[present], nets[present]
            kind[nets], width[nets], table[nets] = node.kind, len(node.names), node.table
            driver_cell[nets] = use
            is_state[nets] = node.state
            if node.pin is None:
                flags[nets] |= INSTANT
            state = netlist.types[number].sequential
            if node.kind != GATE and state is not None:
                sequential[nets] = count + np.arange(len(nets))
                count += len(nets)
                states.append((nets, (state.clock, state.clear or 0, state.preset or 0, state.both)))
                if state.state in node.names:
                    flags[nets] |= HAS_STATE_INPUT | (node.names.index(state.state) << 4)
            placed.append((number, node, use, nets))
    flags[: netlist.net_count][timing.clock.nets] |= INSTANT

    first_in = np.concatenate([[0], np.cumsum(width[:-1], dtype=np.int64)]).astype(np.uint32)
    arcs = int(width.sum())
    in_net, silent = np.zeros(arcs, np.uint32), np.zeros(arcs, bool)
    slots = _Slots(netlist)
    for number, node, cells, nets in placed:
        cell, pins = netlist.by_type[number]
        for i, name in enumerate(node.names):
            slot = first_in[nets] + i
            if name in pins:
                in_net[slot] = netlist.pin_net[netlist.pin_start[cells] + pins.index(name)]
            else:  # the state of the cell itself
                own = hidden.of[cells]
                in_net[slot] = np.where(own < 0, _state_nets(netlist, plans[number], cells), own)
            silent[slot] = node.kind == FLIPFLOP and not _matters(cell, i)
        slots.add(number, node, nets, first_in)
    state_nodes = np.concatenate([n for n, _ in states]) if states else np.zeros(0, np.int64)
    values = [np.full((len(n), 4), v, np.uint64) for n, v in states]
    state = np.concatenate(values) if values else np.zeros((0, 4), np.uint64)
    assert np.array_equal(sequential[state_nodes], np.arange(count))
    delays = _delays(timing, slots, arcs, quantum)
    energies = _energies(timing, slots, arcs)
    return Model(
        nodes, kind, flags, width, table, first_in, sequential, in_net, delays, energies,
        state[:, 0].copy(), state[:, 1].copy(), state[:, 2].copy(), state[:, 3].astype(np.uint8),
        silent, _order(netlist, kind, driver_cell), driver_cell, is_state,
    )  # fmt: skip


@dataclass
class _Hidden:
    of: NDArray[np.int64]  # by cell: its hidden node, -1 for none
    total: int


def _hidden_nets(netlist: FlatNetlist, plans: list[list[_Node]]) -> _Hidden:
    """A node for the states that no net shows."""
    of = np.full(netlist.cell_count, -1, np.int64)
    total = 0
    for number, plan in enumerate(plans):
        if not plan or plan[0].kind == GATE:
            continue
        cells = np.flatnonzero(netlist.cell_type == number)
        if plan[0].pin is not None:
            cells = cells[netlist.pin_net[netlist.pin_start[cells] + plan[0].pin] < 0]
        of[cells] = netlist.net_count + total + np.arange(len(cells))
        total += len(cells)
    return _Hidden(of, total)


def _state_nets(netlist: FlatNetlist, plan: list[_Node], cells: NDArray) -> NDArray:
    pin = plan[0].pin
    return np.full(len(cells), -1) if pin is None else netlist.pin_net[netlist.pin_start[cells] + pin]


def _matters(cell: Cell, index: int) -> bool:
    """Whether a change of input `index` of a flip-flop can change its state without a clock edge, or is the clock."""
    state = cell.sequential
    assert state is not None
    rows = np.arange(1 << len(state.inputs))
    partner = rows ^ (1 << index)
    for table in (state.clock, state.clear or 0, state.preset or 0):
        bits = np.array([(table >> int(r)) & 1 for r in rows])
        if np.any(bits != bits[partner]):
            return True
    return False


class _Slots:
    """Finds the arc of the engine for (cause pin, output pin) of a cell."""

    def __init__(self, netlist: FlatNetlist) -> None:
        self.netlist = netlist
        most = max((len(p) for p in netlist.pins), default=1)
        self.input_of = np.full((len(netlist.types), most, most), -1, np.int32)  # [type, cause, output] -> input
        self.first_in: NDArray = np.zeros(0, np.uint32)
        self.names: dict[tuple[int, int], tuple[str, ...]] = {}

    def add(self, number: int, node: _Node, nets: NDArray, first_in: NDArray) -> None:
        self.first_in = first_in
        if node.pin is None:
            return
        cell, pins = self.netlist.by_type[number]
        state = cell.sequential.state if cell.sequential else ""
        for cause, name in enumerate(pins):
            if name in node.names:
                self.input_of[number, cause, node.pin] = node.names.index(name)
            elif node.kind == GATE and state in node.names:  # the state moved, whatever pin made it
                self.input_of[number, cause, node.pin] = node.names.index(state)

    def find(self, source: NDArray, target: NDArray) -> NDArray[np.int64]:
        """The arcs of netlist pins `source` -> `target`; -1 where the function of the output does not use the input."""
        cell = self.netlist.pin_cell[target]
        start = self.netlist.pin_start[cell]
        index = self.input_of[self.netlist.cell_type[cell], source - start, target - start]
        net = self.netlist.pin_net[target]
        return np.where(index < 0, -1, self.first_in[net].astype(np.int64) + index)


def _delays(timing: Timing, slots: _Slots, arcs: int, quantum: float) -> NDArray[np.uint32]:
    """The mean over the conditions and senses of every arc, in quanta; 1 where the library has none."""
    where = slots.find(timing.arcs.source, timing.arcs.target)
    result = np.ones((arcs, 2), np.uint32)
    for edge in (0, 1):
        known = (where >= 0) & np.isfinite(timing.delay[:, edge])
        total = np.bincount(where[known], weights=timing.delay[known, edge], minlength=arcs)
        count = np.bincount(where[known], minlength=arcs)
        mean = total / np.maximum(count, 1)
        result[:, edge] = np.maximum(np.rint(mean / quantum), 1)
    return result


def _energies(timing: Timing, slots: _Slots, arcs: int) -> NDArray[np.float32]:
    """Internal energy of every arc, the mean over the conditions; an input without a table gets the output's mean."""
    netlist = timing.netlist
    stack = TableStack()
    total, count = np.zeros((arcs, 2)), np.zeros((arcs, 2))
    slew = timing.slew.mean(axis=1)
    for number, (cell, pins) in enumerate(netlist.by_type):
        cells = np.flatnonzero(netlist.cell_type == number)
        for arc in cell.power:
            if arc.pin not in pins or cell.pins[arc.pin].direction != "output":
                continue
            target = netlist.pin_start[cells] + pins.index(arc.pin)
            connected = netlist.pin_net[target] >= 0
            target, own = target[connected], cells[connected]
            for cause in _causes(cell, arc, pins):
                source = netlist.pin_start[own] + pins.index(cause)
                where = slots.find(source, target)
                known = where >= 0
                for edge, table in ((0, arc.fall), (1, arc.rise)):
                    if table is None:
                        continue
                    numbers = np.full(len(own), stack.add(table))
                    value = stack.at(
                        numbers, slew[netlist.pin_net[source]], timing.loads.driven[netlist.pin_net[target]]
                    )
                    total[:, edge] += np.bincount(where[known], weights=value[known], minlength=arcs)
                    count[:, edge] += np.bincount(where[known], minlength=arcs)
    mean = total / np.maximum(count, 1)
    return _fill(mean, count, slots.first_in, arcs).astype(np.float32)


def _causes(cell: Cell, arc: PowerArc, pins: tuple[str, ...]) -> list[str]:
    if arc.related is not None:
        return [arc.related] if arc.related in pins else []
    return [name for name in cell.inputs if name in pins]


def _fill(mean: NDArray, count: NDArray, first_in: NDArray, arcs: int) -> NDArray:
    """Arcs without a table get the mean of the other inputs of their node."""
    node = np.repeat(np.arange(len(first_in)), np.diff(np.append(first_in, arcs)))
    for edge in (0, 1):
        has = count[:, edge] > 0
        total = np.bincount(node, weights=np.where(has, mean[:, edge], 0.0), minlength=len(first_in))
        number = np.bincount(node, weights=has, minlength=len(first_in))
        mean[:, edge] = np.where(has, mean[:, edge], (total / np.maximum(number, 1))[node])
    return mean


def _order(netlist: FlatNetlist, kind: NDArray, driver_cell: NDArray) -> NDArray[np.uint32]:
    """Gates by level; the outputs of sequential cells that are gates come first."""
    gates = np.flatnonzero(kind == GATE)
    return gates[np.argsort(levels(netlist)[driver_cell[gates]], kind="stable")].astype(np.uint32)
