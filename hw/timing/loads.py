"""What every net has to drive: pins, wire, and the buffers that a placed design would have.

Nothing is placed here, so the wire is a stated assumption: `wire_ff` for every pin that a net drives. By default it is
0.2 fF a micrometre (nearly the same in all technologies) times 8 gate pitches, a pitch being the square root of the
area of the smallest NAND2: 1.4 fF at 45 nm, 3.1 fF in sky130, 7.8 fF at 180 nm.

Synthesis without sizing leaves nets that drive thousands of pins from one small gate. Where a net exceeds what its
driver may drive (`max_capacitance`), or 16 NAND2 inputs with their wires, `buffers` assumes a tree of buffers: the
driver sees that limit, the net gets the delay of the stages of a tree in which each buffer drives eight like itself,
and its load grows by the inputs of those buffers, 1/8 + 1/64 + ... = 1/7. Place and route repairs such nets before
their slews reach the nanoseconds that a library still allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Cell, Library
from edgec.hw.netlist import FlatNetlist

WIRE_FF_PER_UM = 0.2
WIRE_PITCHES = 8.0
TREE = 8
"""Buffers that a buffer drives."""
MOST = 16.0
"""NAND2 inputs, wires included, that any gate drives without buffers."""


@dataclass(frozen=True)
class Conditions:
    """Assumptions of the analysis: wire capacitance of every sink [fF] (None: from the library, see above), slews [ps]
    of clock and inputs, and whether overloaded nets count as buffered."""

    wire_ff: float | None = None
    clock_slew: float = 0.0
    input_slew: float = 0.0
    buffers: bool = True

    def __post_init__(self) -> None:
        for name in ("wire_ff", "clock_slew", "input_slew"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e6:
                raise EdgecError("E0204", f"{name} is {value:g}: it must not be negative, nor beyond a million")


@dataclass(frozen=True, eq=False)
class Loads:
    """By net: `switched` [fF], the capacitance that a transition charges; `driven` [fF], what the driver sees;
    `extra` [ps], delay of assumed buffers. `buffered` nets have some."""

    wire_ff: float
    switched: NDArray[np.float64]
    driven: NDArray[np.float64]
    extra: NDArray[np.float64]

    @property
    def buffered(self) -> int:
        return int(np.count_nonzero(self.extra))


def wire_per_sink(library: Library) -> float:
    """The default `wire_ff` of a library [fF]."""
    stated = library.header.number("edgec_wire_ff")  # a library whose areas are no square micrometres says so
    if stated is not None:
        return stated * library.units.capacitance
    area = library.nand2_area
    return 0.0 if area is None else WIRE_FF_PER_UM * WIRE_PITCHES * float(np.sqrt(area))


def loads(netlist: FlatNetlist, library: Library, conditions: Conditions) -> Loads:
    """The loads of all nets."""
    wire = conditions.wire_ff if conditions.wire_ff is not None else wire_per_sink(library)
    pins = np.flatnonzero(~netlist.pin_is_output)
    nets = netlist.pin_net[pins]
    load = np.bincount(nets, weights=netlist.pin_capacitance[pins], minlength=netlist.net_count)
    load += wire * netlist.fanout
    load[:2] = 0.0
    limits = netlist.spread(
        [[c.pins[p].max_capacitance or np.inf for p in names] for c, names in netlist.by_type], np.float64
    )
    limit = np.where(netlist.driver >= 0, limits[netlist.driver] if len(limits) else np.inf, np.inf)
    nand = library.nand2
    if nand is not None:
        limit = np.minimum(limit, MOST * (float(np.mean([nand.pins[p].capacitance for p in nand.inputs])) + wire))
    over = load > limit
    stage = stage_delay(library, wire) if conditions.buffers and over.any() else None
    if stage is None:
        return Loads(wire, load, load, np.zeros(netlist.net_count))
    stages = np.ceil(np.log(load[over] / limit[over]) / np.log(TREE))
    extra = np.zeros(netlist.net_count)
    extra[over] = stages * stage
    return Loads(wire, np.where(over, load * (1 + 1 / (TREE - 1)), load), np.minimum(load, limit), extra)


def _buffer(library: Library) -> Cell | None:
    """The buffer with the largest output drive of a library that has one."""
    found = []
    for name in library:
        cell = library[name]
        outputs = list(cell.outputs.values())
        if cell.sequential or cell.dont_use or len(outputs) != 1 or len(cell.inputs) != 1 or not cell.arcs:
            continue
        if outputs[0].table == 2 and len(outputs[0].inputs) == 1:
            found.append((cell.pins[outputs[0].pin].max_capacitance or 0.0, name))
    return library[max(found)[1]] if found else None


def stage_delay(library: Library, wire: float) -> float | None:
    """Delay of a buffer that drives TREE like itself [ps], at the slew that such a chain settles to; None without a
    buffer in the library."""
    buffer = _buffer(library)
    if buffer is None:
        return None
    load = TREE * (buffer.pins[buffer.inputs[0]].capacitance + wire)
    slew = delay = 0.0
    arcs = [a for a in buffer.arcs if a.kind.startswith("combinational")]
    for _ in range(20):
        delay = max(float(t.at(slew, load)) for a in arcs for t in (a.rise, a.fall) if t is not None)
        slew = max(
            (float(t.at(slew, load)) for a in arcs for t in (a.rise_slew, a.fall_slew) if t is not None), default=0
        )
    return delay
