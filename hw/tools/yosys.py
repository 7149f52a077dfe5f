"""Finds yosys: the `pyosys` wheel (native code inside Python), else the `yosys` program on PATH."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
from pathlib import Path

from edgec.hw.tools.tool import Tool, ask_version, locate

VARIABLE = "EDGEC_YOSYS"
PURPOSE = "synthesis to cells, for measured area"
REMEDY = f"`pip install edgec[synth]`, or install yosys from your system, or set {VARIABLE}"


def find_yosys() -> Tool:
    """The yosys to use. `source` is `python package` when it is pyosys, then `path` is its folder. Never raises."""
    if not os.environ.get(VARIABLE):
        spec = importlib.util.find_spec("pyosys")
        place = next(iter(spec.submodule_search_locations or []), None) if spec is not None else None
        if place is not None:
            version = importlib.metadata.version("pyosys")
            return Tool("yosys", PURPOSE, REMEDY, Path(place), version, "python package")
    path, source, problem = locate(VARIABLE, ["yosys"])
    tool = Tool("yosys", PURPOSE, REMEDY, path, None, source, problem, "E0601" if source == "PATH" else "E0605")
    if path is None:
        return tool
    version, problem = ask_version(path, "-V", r"^Yosys ([\d.]+)")
    return dataclasses.replace(tool, version=version, problem=problem, code="E0605")
