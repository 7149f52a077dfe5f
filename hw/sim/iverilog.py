"""Runs self-checking SystemVerilog test benches with Icarus Verilog."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgec.hw.sim.bench import SENTINEL, BenchResult, existing, judge
from edgec.hw.tools.iverilog import find_iverilog, find_vvp
from edgec.hw.tools.process import disk_full_as_error, run

FAILED = 1  # vvp's exit status after $fatal, and with -n after $stop


def run_testbench(
    files: Sequence[str | Path],
    top: str,
    *,
    cwd: str | Path | None = None,
    defines: Sequence[str] = (),
    include: Sequence[str | Path] = (),
    sentinel: str = SENTINEL,
    timeout: float = 600.0,
) -> BenchResult:
    """Compile `files` and run module `top`.

    `cwd` is the folder from which the bench reads its data files ($readmemh); nothing is written there. `defines` are
    `NAME` or `NAME=VALUE`, `timeout` seconds for each of compilation and simulation.

    A bench that fails is a result. Raises E0202 (no such file), E0601 to E0606 (tools; E0602 also for sources that do
    not compile).
    """
    compiler = find_iverilog().executable()
    simulator = find_vvp(compiler)
    assert simulator is not None  # find_iverilog looked
    sources = existing(files)
    with disk_full_as_error(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="edgec-bench-") as folder:
        program = Path(folder) / f"{top}.vvp"
        options = [f"-D{d}" for d in defines] + [f"-I{Path(i).absolute()}" for i in include]
        run([compiler, "-g2012", "-s", top, "-o", program, *options, *sources], cwd=folder, timeout=timeout)
        done = run([simulator, "-n", program], cwd=cwd or folder, timeout=timeout, accept=(0, FAILED))
    return judge(done.status, done.output, sentinel, done.seconds)
