"""Mapped netlists as flat arrays, for timing analysis and gate-level simulation."""

from __future__ import annotations

from edgec.hw.netlist.flat import Block, FlatNetlist, Port
from edgec.hw.netlist.flatten import flatten, read_netlist

__all__ = ["Block", "FlatNetlist", "Port", "flatten", "read_netlist"]
