"""The timing of a whole design for the report of a synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgec.hw.liberty import Library
from edgec.hw.netlist import flatten
from edgec.hw.timing.analysis import Timing, analyse
from edgec.hw.timing.loads import Conditions

BASIS = "static timing analysis of the whole netlist, buffers assumed where a gate drives more than it may"


def whole_design(modules: Mapping[str, Any], top: str, library: Library) -> dict[str, Any]:
    """Longest paths of the yosys modules `modules` below `top`: the entry `timing` of a report."""
    return timing_entry(analyse(flatten({"modules": modules}, library, top), library, Conditions()))


def timing_entry(timing: Timing) -> dict[str, Any]:
    """Plain data: the longest path of every group, the cells of the longest of all, and what was assumed."""
    critical = timing.critical
    return {
        "basis": BASIS,
        "critical_path_ns": round(timing.critical_path_ns, 4) if critical else None,
        "critical_module": next(iter(critical.blocks), None) if critical else None,
        "groups_ns": {name: round(path.delay / 1000, 4) for name, path in timing.paths.items()},
        "path": critical.as_dict() if critical else None,
        "wire_ff_per_sink": round(timing.loads.wire_ff, 4),
        "buffered_nets": timing.loads.buffered,
    }
