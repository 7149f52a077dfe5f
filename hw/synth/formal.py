"""Formal equivalence of mapped modules and their RTL, by ABC's combinational checker.

Both sides become and-inverter graphs: the RTL as yosys reads it with adder cells as gates, the netlist from the Verilog
that was written, with models of the cells made from the Liberty functions. Mapping keeps the nets between adders, so
that the checker finds equal nodes all the way: a dot product of 128 multipliers takes some seconds.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.mapping import Mapped
from edgec.hw.synth.models import cell_models
from edgec.hw.synth.netlist import Netlist
from edgec.hw.synth.yosys import run_yosys
from edgec.hw.tools.process import run
from edgec.hw.tools.yosys import find_yosys

PROVED, DIFFERENT, OPEN = "proved", "different", "open"
MODULE_SECONDS = 120.0
"""Time for the checker on one module; after that the module is left to simulation."""


def combinational_leaves(netlist: Netlist, library: SynthesisLibrary) -> list[str]:
    """Modules without state, without other modules inside, and with the name they have in the RTL."""
    return [
        name
        for name in netlist.modules
        if netlist.base[name] == name
        and not netlist.instances(name)
        and all(library.cells.cell(kind).sequential is None for kind in netlist.cells(name))
    ]


def prove(
    sources: Mapping[str, bytes],
    mapped: Mapped,
    library: SynthesisLibrary,
    *,
    timeout: float,
) -> dict[str, str]:
    """Module -> `proved`, `different` or `open` (undecided in time), for every combinational leaf.

    Raises E06xx when yosys cannot be run."""
    modules = combinational_leaves(mapped.netlist, library)
    if not modules:
        return {}
    abc = find_abc()
    with tempfile.TemporaryDirectory(prefix="edgec-prove-") as name:
        folder = Path(name)
        _graphs(folder, sources, mapped, library, modules, timeout)
        return {module: _compare(abc, folder, i, timeout) for i, module in enumerate(modules)}


def find_abc() -> Path:
    """The yosys-abc that belongs to the yosys in use; E0601 without one."""
    tool = find_yosys().require()
    path = tool.executable()
    near = [path / "yosys-abc", path.parent / "yosys-abc"]
    found = next((str(p) for p in near if p.is_file()), None) or shutil.which("yosys-abc")
    if found is None:
        raise EdgecError(
            "E0601", "yosys-abc is not installed", op="yosys-abc", remedy="pip install edgec[synth], which brings it"
        )
    return Path(found)


def _graphs(
    folder: Path,
    sources: Mapping[str, bytes],
    mapped: Mapped,
    library: SynthesisLibrary,
    modules: Sequence[str],
    timeout: float,
) -> None:
    """Write goldN.aig and gateN.aig for module N."""
    names = [f"source{i}.sv" for i in range(len(sources))]
    files: dict[str, str | bytes] = dict(zip(names, sources.values(), strict=True))
    files["netlist.v"] = mapped.verilog
    files["cells.v"] = cell_models(library.cells, mapped.netlist.total(mapped.netlist.top))
    script = [f"read_verilog -sv -D EDGEC_CELLS {' '.join(names)}", *_sides("gold", modules), "design -reset"]
    script += ["read_verilog netlist.v cells.v", *_sides("gate", modules)]
    run_yosys(script, folder, files, timeout)


def _sides(side: str, modules: Sequence[str]) -> list[str]:
    """Commands that write one graph a module, from a design that has been read."""
    script = ["design -save all"]
    for i, module in enumerate(modules):
        script += ["design -load all", f"hierarchy -top {module}", "proc", "flatten", "memory", "opt_clean", "techmap"]
        script += ["setundef -zero", "aigmap", "opt_clean", f"write_aiger {side}{i}.aig"]
    return script


def _compare(abc: Path, folder: Path, number: int, timeout: float) -> str:
    command = f"cec gold{number}.aig gate{number}.aig"
    try:
        done = run([abc, "-c", command], cwd=folder, timeout=min(timeout, MODULE_SECONDS), accept=range(256))
    except EdgecError as error:
        if error.diagnostics[0].code == "E0604":
            return OPEN
        raise
    if re.search(r"Networks are equivalent", done.output):
        return PROVED
    if re.search(r"NOT EQUIVALENT", done.output):
        return DIFFERENT
    return OPEN
