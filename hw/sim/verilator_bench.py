"""Runs self-checking test benches, and lints sources, with Verilator.

Benches with delays need Verilator 5 (`--binary --timing`) and a C++ compiler with coroutines.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.sim.bench import SENTINEL, BenchResult, existing, judge
from edgec.hw.tools.doctor import require_tools
from edgec.hw.tools.process import disk_full_as_error, run

ABORTED = (-signal.SIGABRT, 128 + signal.SIGABRT)
FAILED = (1, *ABORTED)  # how a model ends after $fatal and failed assertions: Verilator 5.4x, 5.0x


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
    """Like `edgec.hw.sim.iverilog.run_testbench`: slower to compile, much faster to run."""
    tools = require_tools(["verilator", "c++", "make"])
    sources = existing(files)
    with disk_full_as_error(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="edgec-bench-") as folder:
        options = [f"-D{d}" for d in defines] + [f"-I{Path(i).absolute()}" for i in include]
        run(
            [tools["verilator"].executable(), "--binary", "--timing", "--assert", "-Wno-fatal", "--top-module", top]
            + ["-fno-const-bit-op-tree"]  # as in the simulation library: 5.006 computes wrong sums with it
            + ["--timescale", "1ns/1ps", "--Mdir", "obj", "--prefix", "Vbench", "-j", "2"]
            + ["-CFLAGS", "-std=gnu++20 -O1", "-LDFLAGS", "-pthread"]
            + ["-MAKEFLAGS", f"CFG_CXXFLAGS_PCH_I=-include OBJCACHE= PYTHON3={sys.executable}"]
            + ["-MAKEFLAGS", f"CXX={tools['c++'].path} LINK={tools['c++'].path}"]
            + [*options, *sources],
            cwd=folder,
            timeout=timeout,
            env={**tools["verilator"].environment, "MAKE": str(tools["make"].path)},
        )
        done = run([Path(folder) / "obj" / "Vbench"], cwd=cwd or folder, timeout=timeout, accept=(0, *FAILED))
        # An abort without an error of the design is a crash of the simulator.
        if done.status in ABORTED and not re.search(r"%(Error|Fatal)", done.output):
            raise EdgecError("E0603", "the simulation was killed by SIGABRT", why=done.output[-2000:])
    return judge(done.status, done.output, sentinel, done.seconds)


def lint(files: Sequence[str | Path], top: str, *, defines: Sequence[str] = (), timeout: float = 600.0) -> list[str]:
    """Verilator's warnings (-Wall) on `files`, one text each, first line first; errors in the sources are E0602."""
    verilator = require_tools(["verilator"])["verilator"]
    sources = existing(files)
    options = [f"-D{d}" for d in defines]
    argv = [verilator.executable(), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, *options, *sources]
    done = run(argv, timeout=timeout, env=verilator.environment)
    return [m[1].strip() for m in re.finditer(r"^%Warning-(.*)$", done.output, re.MULTILINE)]
