"""Traces of plans kept in a file: each under a hash of all that they follow from, so that no stale one is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from edgec.backend import BuildPlan
from edgec.backends.c import testbench
from edgec.hw import arm
from edgec.hw.arm.cores import find_core
from edgec.hw.arm.toolchain import default_compiler
from edgec.hw.arm.trace import trace
from edgec.hw.sim import c_program, c_steps
from edgec.hw.sim.c_steps import executed
from edgec.hw.tools.doctor import require_tools

MADE_BY = [
    *Path(str(arm.__file__)).parent.rglob("*.*"),
    *(Path(str(m.__file__)) for m in (c_program, c_steps, testbench)),
]
"""Files that say how a plan is compiled, run and priced."""


class Traces:
    """Cycles of the kernels of plans, kept in `file`."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.kept: dict[str, list[float]] = {}
        if file is not None and file.is_file():
            self.kept = json.loads(file.read_text())

    def cycles(self, plan: BuildPlan, core: str) -> list[float]:
        """The cycles of every kernel on `core`, traced unless the file has them."""
        key = key_of(plan, core)
        if key not in self.kept:
            self.kept[key] = [trace(blocks, core).cycles for blocks in executed(plan, core)]
            if self.file is not None:
                self.file.write_text(json.dumps(self.kept) + "\n")
        return self.kept[key]


def key_of(plan: BuildPlan, core: str) -> str:
    """A hash of the sources, the core, the tools and the code that traces."""
    digest = hashlib.sha256(core.encode())
    for name, data in sorted(plan.files.items()):
        digest.update(f"\0{name}\0{len(data)}\0".encode() + data)
    for path in sorted(p for p in MADE_BY if p.suffix in (".py", ".c", ".h", ".ld")):
        digest.update(path.read_bytes())
    bare = find_core(core).bare
    gcc, qemu = ("arm-none-eabi-gcc", "qemu-system-arm") if bare else ("aarch64-linux-gnu-gcc", "qemu-aarch64")
    compiler = "zig" if default_compiler(core) == "zig" else gcc
    for name, tool in require_tools([compiler, qemu, "llvm-mca"]).items():
        digest.update(f"\0{name} {tool.version}".encode())
    return digest.hexdigest()
