"""Finds Icarus Verilog: the compiler `iverilog` and, beside it, the simulator `vvp`."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from edgec.hw.tools.tool import Tool, ask_version, locate, numbers

MINIMUM = (11,)  # 10 rejects parts of the SystemVerilog that edgec emits
VARIABLE = "EDGEC_IVERILOG"
PURPOSE = "self-checking test benches (edgec verify --on iverilog)"
REMEDY = f"install iverilog from your system (Debian: apt-get install iverilog), or set {VARIABLE}"


def find_iverilog() -> Tool:
    """The Icarus Verilog compiler to use; `problem` tells why there is none. Never raises."""
    path, source, problem = locate(VARIABLE, ["iverilog"])
    tool = Tool("iverilog", PURPOSE, REMEDY, path, None, source, problem, "E0601" if source == "PATH" else "E0605")
    if path is None:
        return tool
    version, problem = ask_version(path, "-V", r"^Icarus Verilog version ([\d.]+)")
    if version is not None and numbers(version) < MINIMUM:
        problem = f"{path} is version {version}, but {MINIMUM[0]} or newer is needed"
    if problem is None and find_vvp(path) is None:
        problem = f"{path} is there, but the simulator vvp is neither beside it nor on PATH"
    return dataclasses.replace(tool, version=version, problem=problem, code="E0605")


def find_vvp(iverilog: Path) -> Path | None:
    """The simulator that belongs to `iverilog`: in the same folder, else on PATH."""
    beside = shutil.which("vvp", path=str(iverilog.parent))
    found = beside or shutil.which("vvp")
    return Path(found) if found else None
