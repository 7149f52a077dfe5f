"""The longest path of the design, by static timing analysis, and that of every module.

The latter is what the technology mapper reports: paths end at ports, flip-flops and adder cells, since it sees only the
logic between them, and loads are those inside one module. That is a lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.netlist import Netlist
from edgec.hw.timing import whole_design

BASIS = "longest run of logic between ports, flip-flops and adder cells, by the technology mapper: a lower bound"

_MODULE = re.compile(r"netlist of module `([^']*)'")
_DELAY = re.compile(r"^ABC: .*\bDelay\s*=\s*([\d.]+)\s*ps", re.MULTILINE)


def module_delays(log: str, names: Mapping[str, str]) -> dict[str, float]:
    """Module -> delay in ns, from the log of yosys; `names` are yosys' names of renamed modules."""
    result: dict[str, float] = {}
    marks = list(_MODULE.finditer(log))
    for at, mark in enumerate(marks):
        end = marks[at + 1].start() if at + 1 < len(marks) else len(log)
        found = _DELAY.findall(log, mark.end(), end)
        if found:
            name = mark[1].removeprefix("\\")
            name = names.get(name, name)
            result[name] = max(result.get(name, 0.0), float(found[-1]) * 1e-3)
    return result


def timing(netlist: Netlist, library: SynthesisLibrary, delays: Mapping[str, float]) -> dict[str, Any]:
    """The `timing` entry of a report."""
    modules = {m: round(delays[m], 4) for m in sorted(netlist.modules) if m in delays}
    return {"modules_ns": modules, "modules_basis": BASIS, **whole_design(netlist.modules, netlist.top, library.cells)}
