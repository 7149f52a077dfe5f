"""The clock network: the clock port, and the nets behind it that lead to clock pins through buffers and gates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError, nearest
from edgec.hw.netlist.flat import FlatNetlist


@dataclass(frozen=True, eq=False)
class ClockNetwork:
    """`port` and its net `root` (None and -1 in a design without state); `nets` [net] are the nets of the network,
    `pins` the clock pins of sequential cells on them (of clock gates too)."""

    port: str | None
    root: int
    nets: NDArray[np.bool_]
    pins: NDArray[np.int64]


def clock_network(netlist: FlatNetlist, clock: str | None = None) -> ClockNetwork:
    """Find the network of the port `clock` (default: the port that drives most clock pins).

    Raises E0215 where clock pins have no port behind them, or where some belong to another clock.
    """
    is_clock = netlist.spread(
        [[c.sequential is not None and p in c.sequential.clock_pins for p in pins] for c, pins in netlist.by_type], bool
    )
    pins = np.flatnonzero(is_clock)
    mask = np.zeros(netlist.net_count, bool)
    if not len(pins):
        return ClockNetwork(None, -1, mask, pins)
    cone, before = _cone(netlist, np.unique(netlist.pin_net[pins]).tolist())
    port, root = _root(netlist, clock, cone, pins)
    mask[root] = True
    pending = sorted(cone)
    while pending:  # forward again: only what the clock reaches
        reached = [net for net in pending if any(mask[i] for i in before.get(net, ()))]
        if not reached:
            break
        mask[reached] = True
        pending = [net for net in pending if not mask[net]]
    other = pins[~mask[netlist.pin_net[pins]]]
    # a latch may be opened by data, but a flip-flop without the clock is of another clock domain
    for pin in other.tolist():
        cell = netlist.types[int(netlist.cell_type[netlist.pin_cell[pin]])]
        if cell.sequential is not None and cell.sequential.kind == "ff":
            raise EdgecError(
                "E0215",
                f"{len(other)} clock pins do not belong to the clock {port}",
                why=f"such as {netlist.pin_name(pin)}; one clock is supported",
            )
    return ClockNetwork(port, root, mask, pins[mask[netlist.pin_net[pins]]])


def _cone(netlist: FlatNetlist, nets: list[int]) -> tuple[set[int], dict[int, list[int]]]:
    """All nets behind clock pins, and for those that logic drives the nets before them."""
    seen: set[int] = set(nets)
    before: dict[int, list[int]] = {}
    stack = list(nets)
    while stack:
        net = stack.pop()
        pin = int(netlist.driver[net])
        if pin < 0:
            continue
        cell = int(netlist.pin_cell[pin])
        kind = int(netlist.cell_type[cell])
        state = netlist.types[kind].sequential
        if state is not None and not state.is_clock_gate:
            continue
        first = int(netlist.pin_start[cell])
        names = netlist.pins[kind]
        wanted = state.clock_pins if state is not None else netlist.types[kind].inputs
        before[net] = [int(netlist.pin_net[first + names.index(name)]) for name in wanted]
        for inner in before[net]:
            if inner not in seen:
                seen.add(inner)
                stack.append(inner)
    return seen, before


def _root(netlist: FlatNetlist, clock: str | None, cone: set[int], pins: NDArray) -> tuple[str, int]:
    inputs = {name: port for name, port in netlist.ports.items() if port.is_input}
    if clock is not None:
        if clock not in inputs or len(inputs[clock].nets) != 1:
            raise EdgecError("E0215", f"the netlist has no clock port {clock!r}", why=nearest(clock, inputs))
        return clock, int(inputs[clock].nets[0])
    direct = np.bincount(netlist.pin_net[pins], minlength=netlist.net_count)
    ports = [(int(direct[p.nets[0]]), n) for n, p in inputs.items() if len(p.nets) == 1 and int(p.nets[0]) in cone]
    if not ports:
        raise EdgecError("E0215", "the clock of the netlist does not come from a port")
    _, name = max(ports)
    return name, int(inputs[name].nets[0])
