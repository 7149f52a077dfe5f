"""What every step of generated C executes on an Arm core: basic blocks, counted under QEMU."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from edgec.backend import BuildPlan
from edgec.backends.c.testbench import main_source, packed
from edgec.hw.arm.cores import find_core
from edgec.hw.arm.plugin import Block
from edgec.hw.arm.qemu import Run, run_aarch64, run_cortex_m
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS
from edgec.interp import random_frames


def executed(
    plan: BuildPlan, core: str, *, flags: Sequence[str] = (), compiler: str | None = None, timeout: float = 600.0
) -> list[tuple[Block, ...]]:
    """The blocks of one inference on `core`, step by step, on a frame of seeded noise; raises E06xx.

    One run a step: the marks of the region stand around that step, with a call and a comparison of their own."""
    interface = plan.interface
    upper = interface["name"].upper()
    marks = (f"-D{upper}_STEPS", f"-D{upper}_TRACE={interface['name']}_trace")
    with tempfile.TemporaryDirectory(prefix="edgec-steps-") as scratch:
        folder = Path(scratch)
        for name, data in {**plan.files, "main.c": main_source(interface).encode()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        program = compile_c(
            [folder / f for f in [*interface["files"], "main.c"]], folder / "program", core=core, compiler=compiler,
            flags=[*FLAGS, *marks, *flags], link_flags=flags,
            include_dirs=[folder / "include", folder / "src"], timeout=timeout,
        )  # fmt: skip
        assert plan.graph is not None
        (folder / "in").write_bytes(packed(interface["inputs"], random_frames(plan.graph, 1, 1)))
        last = [-1] * len(plan.kernels)  # the last tensor of every step
        for tensor, probe in enumerate(interface["probes"]):
            last[probe["step"]] = tensor
        marked = [(str(begin), str(end)) for begin, end in pairwise([-1, *last])]
        return [_run(program, core, ["in", "out", *words], folder, timeout).blocks for words in marked]


def _run(program: Path, core: str, words: list[str], folder: Path, timeout: float) -> Run:
    if find_core(core).bare:
        return run_cortex_m(program, core=core, args=words, timeout=timeout, cwd=folder)
    return run_aarch64(program, cpu=find_core(core).qemu, args=words, timeout=timeout, cwd=folder)
