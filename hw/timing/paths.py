"""The longest path, cell by cell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgec.hw.timing.stack import TableStack

if TYPE_CHECKING:
    from edgec.hw.timing.analysis import Timing


@dataclass(frozen=True)
class Step:
    """The output `pin` (hierarchical name) of a cell of `kind` in instance `block` switches at `arrival` [ps]."""

    pin: str
    kind: str
    block: str
    rises: bool
    arrival: float


@dataclass(frozen=True)
class Path:
    """From `start` to `end` (pins or ports); `delay` [ps] includes `setup` where a register ends the path."""

    start: str
    end: str
    delay: float
    setup: float
    steps: tuple[Step, ...]

    @property
    def blocks(self) -> dict[str, int]:
        """Cells of the path in each instance below the top, in the order in which the path meets them."""
        return dict(Counter(step.block.split(".")[0] for step in self.steps))

    def as_dict(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "delay_ps": round(self.delay, 3),
            "setup_ps": round(self.setup, 3),
            "cells": len(self.steps),
            "blocks": self.blocks,
            "steps": [
                {"pin": s.pin, "cell": s.kind, "edge": "rise" if s.rises else "fall", "arrival_ps": round(s.arrival, 3)}
                for s in self.steps
            ],
        }


def trace(timing: Timing, start: int, at_register: bool) -> Path | None:
    """The longest path from inputs (0) or registers (1) to registers or to output ports; None if there is none."""
    netlist, arrival = timing.netlist, timing.arrival[start]
    if at_register:
        pins, setup = _endpoints(timing)
        if not len(pins):
            return None
        nets = netlist.pin_net[pins]
        total = arrival[nets] + setup
        worst = int(np.argmax(total))
        end, edge = worst // 2, worst % 2
        net, extra, name = int(nets[end]), float(setup[end, edge]), netlist.pin_name(int(pins[end]))
    else:
        outputs = [(p.name, i, int(n)) for p in netlist.ports.values() if not p.is_input for i, n in enumerate(p.nets)]
        if not outputs:
            return None
        total = arrival[[n for *_, n in outputs]]
        worst = int(np.argmax(total))
        edge, extra = worst % 2, 0.0
        port, bit, net = outputs[worst // 2]
        name = f"{port}[{bit}]"
    delay = float(total.reshape(-1)[worst])
    if not np.isfinite(delay):
        return None
    steps, origin = _back(timing, start, net, edge)
    return Path(origin, name, delay, extra, tuple(steps))


def _back(timing: Timing, start: int, net: int, edge: int) -> tuple[list[Step], str]:
    """Walk from the end to the start along the arcs that gave the arrival."""
    netlist, arcs, arrival = timing.netlist, timing.arcs, timing.arrival[start]
    target = netlist.pin_net[arcs.target]
    order = np.argsort(target, kind="stable")
    first = np.searchsorted(target[order], np.arange(netlist.net_count + 1))
    sequential = np.array([c.sequential is not None for c in netlist.types], bool)[netlist.cell_type]
    steps: list[Step] = []
    while netlist.driver[net] >= 0:
        pin = int(netlist.driver[net])
        cell = int(netlist.pin_cell[pin])
        block = netlist.blocks[int(netlist.block_of_cell[cell])]
        kind = netlist.types[int(netlist.cell_type[cell])].name
        steps.append(Step(netlist.pin_name(pin), kind, block.name, bool(edge), float(arrival[net, edge])))
        into = order[first[net] : first[net + 1]]
        if sequential[cell]:
            launch = into[arcs.kind[into] == 1]
            origin = netlist.pin_name(int(arcs.source[launch[0]])) if len(launch) else netlist.pin_name(pin)
            return steps[::-1], origin
        before = edge ^ arcs.inverts[into].astype(np.intp)
        through = arrival[netlist.pin_net[arcs.source[into]], before] + timing.delay[into, edge]
        best = int(np.nanargmax(np.where(np.isfinite(through), through, -np.inf)))
        net, edge = int(netlist.pin_net[arcs.source[into[best]]]), int(before[best])
    return steps[::-1], _port_of(timing, net)


def _port_of(timing: Timing, net: int) -> str:
    for port in timing.netlist.ports.values():
        found = np.flatnonzero(port.nets == net)
        if port.is_input and len(found):
            return f"{port.name}[{int(found[0])}]"
    return f"constant {net}"


def _endpoints(timing: Timing) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Data pins of sequential cells, and their set-up time [pin, edge] at the slews of their nets."""
    netlist = timing.netlist
    stack = TableStack()
    pins: list[NDArray] = []
    rows: list[NDArray] = []
    for number, (cell, names) in enumerate(netlist.by_type):
        if cell.sequential is None:
            continue
        cells = np.flatnonzero(netlist.cell_type == number)
        ends = [n for n in cell.sequential.inputs if n in names and n not in cell.sequential.clock_pins]
        for name in ends:
            found = [c for c in cell.constraints if c.pin == name and c.kind.startswith("setup")]
            own = netlist.pin_start[cells] + names.index(name)
            value = np.zeros((len(cells), 2))
            for edge in (0, 1):
                slew = timing.slew[netlist.pin_net[own], edge]
                clock = np.full(len(cells), timing.conditions.clock_slew)
                for constraint in found:
                    table = stack.add(constraint.rise if edge else constraint.fall)
                    numbers = np.full(len(cells), table)
                    value[:, edge] = np.maximum(value[:, edge], stack.at(numbers, clock, slew))
            pins.append(own)
            rows.append(value)
    if not pins:
        return np.zeros(0, np.int64), np.zeros((0, 2))
    return np.concatenate(pins).astype(np.int64), np.concatenate(rows)
