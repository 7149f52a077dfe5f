"""Liberty cell libraries: areas, functions, delays and energies of standard cells (.lib, .lib.gz)."""

from __future__ import annotations

from edgec.hw.liberty.cell import Arc, Cell, Constraint, Output, Pin, PowerArc, Sequential
from edgec.hw.liberty.library import Library
from edgec.hw.liberty.reader import parse_liberty, read_liberty
from edgec.hw.liberty.table import Table

__all__ = [
    "Arc",
    "Cell",
    "Constraint",
    "Library",
    "Output",
    "Pin",
    "PowerArc",
    "Sequential",
    "Table",
    "parse_liberty",
    "read_liberty",
]
