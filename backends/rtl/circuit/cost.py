"""Relative cell areas, for choices between two circuits of the same function; estimators have their own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.wire import Cells, Wire

GATE_EQUIVALENTS: dict[str, float] = {
    "FA": 5.33,
    "HA": 3.33,
    "AND2": 1.33,
    "NAND2": 1.0,
    "OR2": 1.33,
    "NOR2": 1.0,
    "XOR2": 2.33,
    "AO22": 2.33,
    "AOI22": 1.67,
    "OAI21": 1.25,
    "MUX2": 2.5,
    "NOT": 0.75,
    "FF": 5.67,
}
"""Area of each cell in NAND2 gates, typical of standard-cell libraries from 180 to 45 nm."""


def gate_equivalents(cells: Cells, table: Mapping[str, float] = GATE_EQUIVALENTS) -> float:
    """Total area of `cells` in NAND2 gates."""
    return sum(table[cell] * count for cell, count in cells.items())


def cost_of(wires: Sequence[Wire]) -> float:
    """Gate equivalents of everything below `wires`."""
    return gate_equivalents(Circuit("cost", {"y": wires}).cells)
