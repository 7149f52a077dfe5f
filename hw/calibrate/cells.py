"""What a Liberty file says of each kind of cell: area, input load, delay and energy, relative to its NAND2.

Delays and energies hold for a load of three NAND2 inputs with their wires, and the slew that a chain of such NAND2
gates settles to. Energy is the internal energy plus C V^2 / 2, the mean over inputs and edges; so is the delay.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgec.hw.liberty import Cell
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.timing.loads import wire_per_sink

FUNCTIONS: dict[str, tuple[int, tuple[int, ...]]] = {
    "nand2": (2, (0b0111,)),
    "nor2": (2, (0b0001,)),
    "and2": (2, (0b1000,)),
    "or2": (2, (0b1110,)),
    "xor2": (2, (0b0110,)),
    "xnor2": (2, (0b1001,)),
    "inv": (1, (0b01,)),
    "buf": (1, (0b10,)),
    "nand3": (3, (0b01111111,)),
    "nor3": (3, (0b00000001,)),
    "aoi21": (3, (0b00000111,)),
    "oai21": (3, (0b00011111,)),
    "voter": (3, (0b11101000,)),
    "mux2": (3, (0b11001010,)),
    "aoi22": (4, (0b0000011101110111,)),
    "oai22": (4, (0b0001000100011111,)),
    "ao22": (4, (0b1111100010001000,)),
    "half_adder": (2, (0b0110, 0b1000)),
    "full_adder": (3, (0b10010110, 0b11101000)),
}
"""Inputs and truth tables of the outputs of every kind (bit i: the result for the inputs i, the first one lowest)."""


@dataclass(frozen=True)
class Figures:
    """Of one cell: `area` and `load` (an input pin and its wire) in those of the NAND2's, `delay` [ps] and `energy`
    [fJ] of an output transition, each output apart."""

    name: str
    area: float
    load: float
    delay: tuple[float, ...]
    energy: tuple[float, ...]


def find(library: SynthesisLibrary, kind: str) -> tuple[Cell, tuple[str, ...]] | None:
    """The smallest usable cell of `kind`, in any order of inputs, and its output pins; None where there is none."""
    count, wanted = FUNCTIONS[kind]
    fitting = []
    for name in library.cells:
        if name in library.unwanted:
            continue
        cell = library.cells[name]
        if cell.sequential is not None or len(cell.inputs) != count or len(cell.outputs) != len(wanted):
            continue
        for order in itertools.permutations(cell.inputs):
            tables = {o.pin: _ordered(o.inputs, o.table, order) for o in cell.outputs.values()}
            opposite = kind == "mux2" and [t ^ 0xFF for t in tables.values()] == list(
                wanted
            )  # inverting ones serve too
            if opposite:
                fitting.append((cell.area, name, cell, tuple(tables)))
                break
            if sorted(tables.values()) == sorted(wanted):
                pins = tuple(next(p for p in tables if tables[p] == t) for t in wanted)
                fitting.append((cell.area, name, cell, pins))
                break
    return min(fitting, key=lambda f: f[:2])[2:] if fitting else None


def _ordered(inputs: tuple[str, ...], table: int, order: tuple[str, ...]) -> int:
    """The truth table over the inputs in another order; inputs that do not matter may be missing in `inputs`."""
    result = 0
    for i in range(1 << len(order)):
        at = sum((i >> order.index(name) & 1) << k for k, name in enumerate(inputs))
        result |= (table >> at & 1) << i
    return result


class Reader:
    """Reads the cells of one library under its own conditions."""

    def __init__(self, library: SynthesisLibrary) -> None:
        self.library, self.volts = library, library.cells.voltage
        self.wire = wire_per_sink(library.cells)
        nand = library.nand2
        self.unit = float(np.mean([nand.pins[p].capacitance for p in nand.inputs])) + self.wire  # fF
        self.slew = 0.0
        for _ in range(20):
            self.slew = self._tables(nand, next(iter(nand.outputs)), ("rise_slew", "fall_slew"), 3.0)
        self.nand_ps = self.delay(nand, next(iter(nand.outputs)))
        self.nand_fj = self.energy(nand, next(iter(nand.outputs)))

    def figures(self, kind: str) -> Figures | None:
        found = find(self.library, kind)
        if found is None:
            return None
        cell, pins = found
        return Figures(
            cell.name,
            cell.area / self.library.nand2.area,
            self.load(cell),
            tuple(self.delay(cell, pin) for pin in pins),
            tuple(self.energy(cell, pin) for pin in pins),
        )

    def load(self, cell: Cell) -> float:
        """An input of `cell` and its wire, in NAND2 inputs with theirs."""
        return (float(np.mean([cell.pins[p].capacitance for p in cell.inputs])) + self.wire) / self.unit

    def delay(self, cell: Cell, pin: str, load: float = 3.0) -> float:
        """Mean delay to `pin` [ps] with `load` NAND2 inputs."""
        return self._tables(cell, pin, ("rise", "fall"), load)

    def energy(self, cell: Cell, pin: str) -> float:
        """Energy of a transition of `pin` [fJ], its load of three NAND2 inputs included."""
        charge = self.unit * 3.0 * self.volts**2 / 2
        arcs = [a for a in cell.power if a.pin == pin]
        inside = [float(t.at(self.slew, 3 * self.unit)) for a in arcs for t in (a.rise, a.fall) if t is not None]
        return charge + (float(np.mean(inside)) if inside else 0.0)

    def _tables(self, cell: Cell, pin: str, names: tuple[str, ...], load: float) -> float:
        arcs = [a for a in cell.arcs if a.pin == pin and a.kind in ("combinational", "rising_edge")]
        values = [getattr(a, n) for a in arcs for n in names]
        return float(np.mean([float(t.at(self.slew, load * self.unit)) for t in values if t is not None] or [0.0]))


def all_figures(reader: Reader) -> Mapping[str, Figures]:
    """Every kind that the library has."""
    found = {kind: reader.figures(kind) for kind in FUNCTIONS}
    return {kind: f for kind, f in found.items() if f is not None}
