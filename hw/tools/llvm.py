"""Finds LLVM's disassembler and its models of pipelines."""

from __future__ import annotations

import dataclasses

from edgec.hw.tools.tool import Tool, ask_version, locate, numbers

MINIMUM = 19  # the first that goes on past an instruction without a model
NEWEST = 30
PURPOSE = "estimating cycles of Arm code from a trace"
REMEDY = "install LLVM {minimum} or newer from your system (Debian: apt-get install llvm-{minimum}), or set {variable}"


def find_llvm_mca() -> Tool:
    """The pipeline simulator: `EDGEC_LLVM_MCA`, else the newest llvm-mca on PATH. Never raises."""
    return _find("llvm-mca", "EDGEC_LLVM_MCA")


def find_llvm_mc() -> Tool:
    """The assembler and disassembler: `EDGEC_LLVM_MC`, else the newest llvm-mc on PATH. Never raises."""
    return _find("llvm-mc", "EDGEC_LLVM_MC")


def _find(name: str, variable: str) -> Tool:
    versions = [f"{name}-{n}" for n in range(NEWEST, MINIMUM - 1, -1)]
    path, source, problem = locate(variable, [*versions, name])
    if problem is not None and source == "PATH":
        problem = f"no {name} on PATH"
    remedy = REMEDY.format(minimum=MINIMUM, variable=variable)
    tool = Tool(name, PURPOSE, remedy, path, None, source, problem, "E0601" if source == "PATH" else "E0605")
    if path is None:
        return tool
    version, problem = ask_version(path, "--version", r"LLVM version (\d+\.\d+[.\d]*)")
    if version is not None and numbers(version)[0] < MINIMUM:
        problem = f"{path} is version {version}, but {MINIMUM} or newer is needed"
    return dataclasses.replace(tool, version=version, problem=problem, code="E0605")
