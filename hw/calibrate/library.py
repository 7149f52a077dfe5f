"""The constants that can be read straight from a Liberty file, as a target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.hw.calibrate.cells import Figures, Reader, all_figures, find
from edgec.hw.liberty import Cell
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.timing.loads import MOST, stage_delay
from edgec.target import Quantity, Target

LOADS = ("xor2", "mux2", "aoi22", "half_adder", "full_adder")
SUBSTITUTES = {
    "ao22": ("aoi22", "inv"),
    "and2": ("nand2", "inv"),
    "or2": ("nor2", "inv"),
    "buf": ("inv", "inv"),
    "voter": ("oai21", "nand2", "nand2"),
    "mux2": ("nand2", "nand2", "nand2"),
    "oai22": ("aoi22",),
    "aoi22": ("nand2", "nand2", "nand2"),
    "aoi21": ("nand2", "nor2"),
    "oai21": ("nor2", "nand2"),
    "nand3": ("nand2", "inv", "nand2"),
    "nor3": ("nor2", "inv", "nor2"),
    "xnor2": ("xor2",),
    "xor2": ("nand2", "nand2", "nand2", "nand2"),
}
"""What a library without a cell makes it of: areas add up, delays too; the last gate drives the load."""


def read_constants(base: Target, library: SynthesisLibrary) -> Target:
    """`base` with the areas, loads, delays and energies of the cells of `library`."""
    reader = Reader(library)
    cells = dict(all_figures(reader))
    title = library.title
    for kind, parts in SUBSTITUTES.items():
        if kind not in cells and all(p in cells for p in parts):
            cells[kind] = _joined(kind, [cells[p] for p in parts])
    has_adders = "full_adder" in cells
    table = cells["mux2"].energy[0] / reader.nand_fj
    values: dict[str, tuple[float, str]] = {}
    load = f"load of three NAND2 inputs ({3 * reader.unit:.3g} fF with {reader.wire:.2g} fF of wire each)"
    conditions = f"{load}, slew {reader.slew:.3g} ps"
    for kind, figures in cells.items():
        if kind != "nand2":
            values[f"ge.{kind}"] = figures.area, f"{title} {figures.name}"
            values[f"delay.{kind}"] = figures.delay[0] / reader.nand_ps, f"{title} {figures.name}, {conditions}"
            values[f"toggle.{kind}"] = figures.energy[0] / reader.nand_fj, f"{title} {figures.name}, {conditions}"
        if kind in LOADS:
            values[f"load.{kind}"] = figures.load, f"{title} {figures.name} with {reader.wire:.2g} fF of wire"
    if has_adders:
        carry = cells["full_adder"]
        values["delay.carry"] = carry.delay[1] / reader.nand_ps, f"{title} {carry.name}, {conditions}"
    else:
        composed = f"{title} has no full adder: two exclusive ors and three NANDs, nine pins less"
        xor, nand = cells["xor2"], cells["nand2"]
        values["ge.full_adder"] = 2 * xor.area + 3 * nand.area, composed
        values["ge.half_adder"] = xor.area + 1.0, f"{title} has no half adder: an exclusive or and a NAND"
        values["load.full_adder"] = values["load.half_adder"] = xor.load + nand.load, composed
        values["delay.full_adder"] = 2 * xor.delay[0] / reader.nand_ps, composed
        values["delay.carry"] = (xor.delay[0] + 2 * nand.delay[0]) / reader.nand_ps, composed
        values["delay.half_adder"] = xor.delay[0] / reader.nand_ps, composed
        both = (2 * xor.energy[0] + 3 * nand.energy[0]) / reader.nand_fj  # of the sum and the carry together
        values["toggle.full_adder"] = both / 2, composed
        values["toggle.half_adder"] = (xor.energy[0] + nand.energy[0]) / 2 / reader.nand_fj, composed
    nand = library.nand2
    out = next(iter(nand.outputs))
    slope = reader.delay(nand, out, 4.0) / reader.nand_ps - 1
    values["delay.load"] = slope, f"{title} {nand.name} with four instead of three inputs"
    values |= _slopes(library, reader)
    # where the fits begin, so that they do not depend on an earlier calibration of the base
    values["toggle.data_pin"] = 1.3, "assumed: the multiplexer of a flip-flop with enable toggles with its data input"
    values["toggle.table"] = table, f"{title} {cells['mux2'].name}, {conditions}"
    charge = reader.unit * reader.volts**2 / 2 / reader.nand_fj
    values["toggle.load"] = charge, f"C V^2 / 2 of one {nand.name} input with wire over {reader.nand_fj:.4g} fJ"
    values["time.nand2_ps"] = reader.nand_ps, f"{title} {nand.name}, {conditions}"
    values["energy.nand2_fj"] = reader.nand_fj, f"{title} {nand.name}, {conditions}"
    limit = nand.pins[out].max_capacitance
    stage = stage_delay(library.cells, reader.wire)
    if stage is not None:
        values["delay.stage"] = stage / reader.nand_ps, f"{title}, its largest buffer in front of eight of these"
    values["load.limit"] = MOST, f"nets beyond {MOST:g} NAND2 inputs count as buffered, as in static timing analysis"
    if limit and limit / reader.unit < MOST:
        values["load.limit"] = max(limit / reader.unit, 4.0), f"{title} {nand.name}: {limit:.4g} fF"
    values |= _flip_flop(library, reader)
    values["energy.leakage_nw"] = nand.leakage, f"{title} {nand.name}"
    values["supply.voltage_v"] = reader.volts, "nominal voltage of the Liberty file"
    values["area.nand2_um2"] = nand.area, f"{title} {nand.name}, in the unit of the file's areas"
    changed = {name: Quantity(v, v, v, source) for name, (v, source) in values.items() if v > 0}
    options = {**base.options, "adder_cells": int(has_adders), "calibrated": 1}
    return replace(base, constants={**base.constants, **changed}, options=options)


def _slopes(library: SynthesisLibrary, reader: Reader) -> dict[str, tuple[float, str]]:
    """How much more or less than a NAND2 a gate is slowed by what it drives, from 3 to `MOST` inputs."""
    nand = library.nand2
    reference = reader.delay(nand, next(iter(nand.outputs)), MOST) - reader.nand_ps
    found: dict[str, tuple[float, str]] = {}
    for kind in (*LOADS, "inv"):
        made = find(library, kind)
        if made is None and kind in ("half_adder", "full_adder"):
            made = find(library, "xor2")
        if made is not None:
            cell, pins = made
            more = float(np.mean([reader.delay(cell, p, MOST) - reader.delay(cell, p) for p in pins]))
            found[f"slope.{kind}"] = more / reference, f"{library.title} {cell.name}, 3 to {MOST:g} NAND2 inputs"
    return found


def _joined(kind: str, parts: list[Figures]) -> Figures:
    name = " + ".join(p.name for p in parts)
    serial = parts if kind not in ("mux2", "voter", "xor2", "aoi22") else parts[:2]
    return Figures(
        name,
        sum(p.area for p in parts),
        parts[0].load,
        (sum(p.delay[0] for p in serial),),
        (parts[-1].energy[0] + 0.5 * sum(p.energy[0] for p in parts[:-1]),),
    )


def _flip_flop(library: SynthesisLibrary, reader: Reader) -> dict[str, tuple[float, str]]:
    """The smallest flip-flop for rising edges with nothing but data and clock, else the smallest with more inputs."""
    found: list[tuple[int, float, str, Cell]] = []
    for name in library.flip_flops:
        cell = library.cells[name]
        if name not in library.unwanted and any(arc.kind == "rising_edge" for arc in cell.arcs):
            found.append((len(cell.inputs), cell.area, name, cell))
    if not found:
        raise EdgecError("E0213", f"{library.source} has no flip-flop for rising edges", op=library.title)
    _, area, name, cell = min(found, key=lambda f: f[:3])
    state = cell.sequential
    assert state is not None
    pin = next(iter(cell.outputs))
    data = [p for p in cell.inputs if p not in state.clock_pins]
    load = (cell.pins[data[0]].capacitance + reader.wire) / reader.unit
    clock = cell.pins[state.clock_pins[0]].capacitance + reader.wire
    per_cycle = cell.energy_of_clock(reader.slew) + clock * reader.volts**2
    setup = [
        float(t.at(0.0, reader.slew))
        for c in cell.constraints
        if c.kind.startswith("setup")
        for t in (c.rise, c.fall)
        if t
    ]
    title = f"{library.title} {name}"
    ge = area / library.nand2.area
    return {
        "ge.dff": (ge, title),
        "load.dff": (load, f"{title}, data input"),
        **{
            f"delay.{kind}": (reader.delay(cell, pin) / reader.nand_ps, f"{title}, clock to output")
            for kind in ("dff", "dff_enable", "dff_reset", "dff_enable_reset")
        },
        "toggle.dff": (reader.energy(cell, pin) / reader.nand_fj, f"{title}, clock not included"),
        "clock.dff": (per_cycle / reader.nand_fj, f"{title}: clock pin, internal and C V^2, a cycle"),
        "time.setup": (float(np.mean(setup)) / reader.nand_ps if setup else 0.5, f"{title}, clock without slew"),
    }
