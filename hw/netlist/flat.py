"""A flattened netlist: every cell and net of a design by number, with the way back to its instance.

Nets 0 and 1 are the constants. Cells of one instance stand side by side, so that an instance is a range of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgec.hw.liberty import Cell

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Port:
    """A port of the top module; `nets[i]` is the net of bit i."""

    name: str
    is_input: bool
    nets: Ints


@dataclass(frozen=True)
class Block:
    """An instance of a module: its path below the top, the module, its own cells (children excluded)."""

    path: tuple[str, ...]
    module: str
    first_cell: int
    cell_names: Sequence[str]
    net_names: dict[str, Ints]  # names of the module's nets -> global nets, bit 0 first

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, eq=False)
class FlatNetlist:
    """`cell_type[c]` indexes `types`; the pins of cell c are `pin_net[pin_start[c]:pin_start[c + 1]]`, in the order of
    `pins[cell_type[c]]`, -1 where an output is open."""

    top: str
    types: tuple[Cell, ...]
    pins: tuple[tuple[str, ...], ...]
    cell_type: Ints
    pin_start: Ints
    pin_net: Ints
    net_count: int
    ports: dict[str, Port]
    blocks: tuple[Block, ...]

    @property
    def cell_count(self) -> int:
        return len(self.cell_type)

    @cached_property
    def block_of_cell(self) -> Ints:
        starts = np.array([b.first_cell for b in self.blocks] + [self.cell_count])
        return np.repeat(np.arange(len(self.blocks), dtype=np.int32), np.diff(starts))

    @cached_property
    def pin_cell(self) -> Ints:
        """The cell of every pin."""
        return np.repeat(np.arange(self.cell_count, dtype=np.int32), np.diff(self.pin_start))

    @cached_property
    def pin_is_output(self) -> NDArray[np.bool_]:
        return self.spread([[cell.pins[p].direction == "output" for p in pins] for cell, pins in self.by_type], bool)

    @cached_property
    def pin_capacitance(self) -> NDArray[np.float64]:
        """Load of every input pin [fF]; 0 for outputs, whose own capacitance is in their delay tables."""
        values = [
            [0.0 if cell.pins[p].direction == "output" else cell.pins[p].capacitance for p in pins]
            for cell, pins in self.by_type
        ]
        return self.spread(values, np.float64)

    @property
    def by_type(self) -> list[tuple[Cell, tuple[str, ...]]]:
        return list(zip(self.types, self.pins, strict=True))

    def spread(self, values: Sequence[Sequence[object]], dtype: type) -> NDArray:
        """One value for every pin from one for every pin of every type."""
        offsets = np.cumsum([0] + [len(v) for v in values])
        flat = np.array([x for v in values for x in v], dtype)
        starts = offsets[:-1][self.cell_type]
        index = np.arange(len(self.pin_net)) - np.repeat(self.pin_start[:-1] - starts, np.diff(self.pin_start))
        return flat[index] if len(flat) else np.zeros(0, dtype)

    @cached_property
    def fanout(self) -> Ints:
        """Input pins on every net."""
        used = self.pin_net[~self.pin_is_output]
        return np.bincount(used[used >= 0], minlength=self.net_count).astype(np.int32)

    @cached_property
    def driver(self) -> Ints:
        """The pin that drives every net; -1 for constants, inputs of the design and nets without a driver."""
        driver = np.full(self.net_count, -1, np.int32)
        pins = np.flatnonzero(self.pin_is_output & (self.pin_net >= 0))
        driver[self.pin_net[pins]] = pins
        return driver

    def cell_name(self, cell: int) -> str:
        """The hierarchical name of a cell."""
        block = self.blocks[int(self.block_of_cell[cell])]
        return ".".join([*block.path, block.cell_names[cell - block.first_cell]])

    def pin_name(self, pin: int) -> str:
        """`instance.cell/PIN (TYPE)` is what reports show; this is its part up to the pin."""
        cell = int(self.pin_cell[pin])
        kind = int(self.cell_type[cell])
        return f"{self.cell_name(cell)}/{self.pins[kind][pin - int(self.pin_start[cell])]}"

    def nets_named(self, block: str, name: str) -> Ints:
        """The nets of a named signal of an instance ('' is the top); KeyError where there is none."""
        for known in self.blocks:
            if known.name == block:
                return known.net_names[name]
        raise KeyError(block)

    def count_by_type(self) -> dict[str, int]:
        counts = np.bincount(self.cell_type, minlength=len(self.types))
        return {cell.name: int(n) for cell, n in zip(self.types, counts, strict=True) if n}
