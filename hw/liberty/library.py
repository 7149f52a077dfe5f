"""A cell library, whose cells are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgec.diagnostics import EdgecError, nearest
from edgec.hw.liberty.cell import Cell
from edgec.hw.liberty.syntax import Group


@dataclass(frozen=True)
class Units:
    """Factors from the file's units to ps, fF, V, nW and fJ."""

    time: float
    capacitance: float
    voltage: float
    leakage: float

    @property
    def energy(self) -> float:
        """Liberty gives internal energy in capacitance x voltage^2."""
        return self.capacitance * self.voltage**2


@dataclass(eq=False)
class Library(Mapping[str, Cell]):
    """The cells by name, with `name` and nominal `voltage` [V]; `wire_loads` by name as Liberty groups."""

    name: str
    voltage: float
    temperature: float | None
    units: Units
    header: Group
    bodies: dict[str, str]
    source: str = ""
    templates: dict[str, Group] = field(default_factory=dict)
    _parsed: dict[str, Cell] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Cell:
        if name not in self._parsed:
            if name not in self.bodies:
                raise KeyError(name)
            from edgec.hw.liberty.reader import read_cell

            self._parsed[name] = read_cell(self, name)
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.bodies)

    def __len__(self) -> int:
        return len(self.bodies)

    def __contains__(self, name: object) -> bool:
        return name in self.bodies

    def cell(self, name: str) -> Cell:
        """Like indexing, but a missing cell is E0214: the netlist was mapped to another library."""
        if name not in self.bodies:
            raise EdgecError(
                "E0214",
                f"the library {self.name} has no cell {name!r}",
                why=nearest(name, self.bodies),
                remedy="give the library that the netlist was mapped to",
            )
        return self[name]

    @property
    def nand2(self) -> Cell | None:
        """The smallest two-input NAND that has an area; None where there is none."""
        found = []
        for name in self:
            cell = self[name]
            outputs = list(cell.outputs.values())
            if cell.sequential is None and len(outputs) == 1 and len(outputs[0].inputs) == 2 and outputs[0].table == 7:
                found.append((cell.area, name))
        chosen = min((f for f in found if f[0] > 0), default=None)
        return self[chosen[1]] if chosen else None

    @property
    def nand2_area(self) -> float | None:
        """Area of the smallest two-input NAND: one gate equivalent; None where there is none."""
        nand = self.nand2
        return nand.area if nand else None

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "voltage_v": self.voltage, "cells": len(self.bodies), "source": self.source}
