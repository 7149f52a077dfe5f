"""Static timing analysis: worst arrival of every net, from input ports and from registers apart.

The model is that of the usual analysers: delays and slews from the library's tables at the slew of the input and the
load of the output; the worst slew goes on, whichever arc it comes by; arcs of all conditions (`when`) count; the clock
is ideal, its gates and buffers included. Latches launch at the edge that opens them; time borrowing is not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgec.hw.liberty import Library
from edgec.hw.netlist import FlatNetlist
from edgec.hw.netlist.clocks import ClockNetwork, clock_network
from edgec.hw.netlist.levels import levels
from edgec.hw.timing.arcs import Arcs, netlist_arcs
from edgec.hw.timing.loads import Conditions, Loads, loads
from edgec.hw.timing.paths import Path, trace
from edgec.hw.timing.stack import TableStack

FROM_INPUT, FROM_REGISTER = 0, 1
GROUPS = {
    "register to register": (FROM_REGISTER, True),
    "input to register": (FROM_INPUT, True),
    "register to output": (FROM_REGISTER, False),
    "input to output": (FROM_INPUT, False),
}


@dataclass(frozen=True, eq=False)
class Timing:
    """Times in ps. `slew[net, edge]` and `arrival[start, net, edge]` (edge 0: fall, 1: rise; start 0: input ports, 1:
    registers; -inf where nothing arrives), `delay[arc, edge]` of `arcs` (edge of the output; nan: no such edge)."""

    netlist: FlatNetlist
    clock: ClockNetwork
    conditions: Conditions
    loads: Loads
    arcs: Arcs
    delay: NDArray[np.float32]
    slew: NDArray[np.float64]
    arrival: NDArray[np.float64]
    paths: dict[str, Path]
    """The longest path of each of `GROUPS` that has one; set-up times included where a register ends it."""

    @property
    def critical(self) -> Path | None:
        """The longest path of all."""
        return max(self.paths.values(), key=lambda p: p.delay, default=None)

    @property
    def critical_path_ns(self) -> float:
        """What the clock period must at least be if inputs come with the clock and outputs are taken by it."""
        return self.critical.delay / 1000 if self.critical else 0.0


def _state_nets(netlist: FlatNetlist, sequential: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The nets that sequential cells drive."""
    nets = netlist.pin_net[netlist.pin_is_output & sequential[netlist.pin_cell]]
    return nets[nets >= 0]


def analyse(
    netlist: FlatNetlist, library: Library, conditions: Conditions | None = None, *, clock: str | None = None
) -> Timing:
    """Analyse `netlist`; `clock` names the clock port (default: found). Raises E0215 for loops and several clocks."""
    conditions = conditions or Conditions()
    network = clock_network(netlist, clock)
    load = loads(netlist, library, conditions)
    stack = TableStack()
    arcs = netlist_arcs(netlist, stack)
    level = levels(netlist)
    sequential = np.array([c.sequential is not None for c in netlist.types], bool)[netlist.cell_type]
    # Launching arcs come first; inside sequential cells nothing else is a path (see the module's docstring).
    step = np.where(sequential[arcs.cell], np.where(arcs.kind == 1, 0, -1), level[arcs.cell])
    order = np.argsort(step, kind="stable")
    arcs, step = arcs.take(order), step[order]

    arrival = np.full((2, netlist.net_count, 2), -np.inf)
    slew = np.full((netlist.net_count, 2), -np.inf)
    slew[:2] = 0.0
    for port in netlist.ports.values():
        if port.is_input:
            arrival[FROM_INPUT, port.nets] = 0.0
            slew[port.nets] = conditions.input_slew
    arrival[:, network.nets] = -np.inf
    slew[network.nets] = conditions.clock_slew
    delay = np.full((len(arcs), 2), np.nan, np.float32)

    source, target = netlist.pin_net[arcs.source], netlist.pin_net[arcs.target]
    bounds = np.searchsorted(step, np.arange(int(step.max(initial=0)) + 2))
    states = _state_nets(netlist, sequential)
    states = states[~network.nets[states]]
    arrival[FROM_REGISTER, states] = slew[states] = 0.0  # whatever their library says of the delay from the clock
    for k, (low, high) in enumerate(pairwise(bounds)):
        part = slice(low, high)
        into, out, inverts = source[part], target[part], arcs.inverts[part].astype(np.intp)
        fixed = network.nets[out]
        for edge in (1, 0):
            delays, slews = arcs.tables[part, 1 - edge], arcs.tables[part, 3 - edge]
            before = edge ^ inverts
            in_slew = np.where(k == 0, conditions.clock_slew, slew[into, before])
            valid = (delays >= 0) & np.isfinite(in_slew)
            in_slew = np.where(valid, in_slew, 0.0)
            value = stack.at(delays, in_slew, load.driven[out]) + load.extra[out]
            value = np.where(valid, value, -np.inf)
            delay[part, edge] = np.where(valid, value, np.nan)
            if k == 0:
                np.maximum.at(arrival[FROM_REGISTER, :, edge], out, value)
            else:
                for start in (FROM_INPUT, FROM_REGISTER):
                    reached = np.where(fixed, -np.inf, arrival[start, into, before] + value)
                    np.maximum.at(arrival[start, :, edge], out, reached)
            out_slew = np.where(valid, stack.at(slews, in_slew, load.driven[out]), -np.inf)
            np.maximum.at(slew[:, edge], out[~fixed], out_slew[~fixed])
    slew = np.where(np.isfinite(slew), np.maximum(slew, 0.0), 0.0)
    # Arcs that are no path here, through open latches and from clear and preset, have delays all the same.
    into, out = source[: bounds[0]], target[: bounds[0]]
    for edge in (1, 0):
        delays = arcs.tables[: bounds[0], 1 - edge]
        in_slew = slew[into, edge ^ arcs.inverts[: bounds[0]].astype(np.intp)]
        value = stack.at(delays, in_slew, load.driven[out]) + load.extra[out]
        delay[: bounds[0], edge] = np.where(delays >= 0, value, np.nan)
    timing = Timing(netlist, network, conditions, load, arcs, delay, slew, arrival, {})
    timing.paths.update({name: p for name, kind in GROUPS.items() if (p := trace(timing, *kind)) is not None})
    return timing
