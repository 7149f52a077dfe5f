"""`edgec bench`: what the C code of an artefact costs as it runs: instructions on Arm cores, time on this machine.

Instructions are counted under QEMU: exact, the same in every run, and no time. The time here is the median of several
runs, with the fastest and the slowest beside it. Outputs of everything that ran are compared with the golden ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.backends.c.testbench import packed
from edgec.backends.c.timing import timing_source
from edgec.comparison import Reference, first_difference
from edgec.diagnostics import EdgecError
from edgec.hw.arm.cores import find_core
from edgec.hw.arm.toolchain import HOST, compile_c, default_compiler
from edgec.hw.sim.c_program import FLAGS, CRun, run_sources
from edgec.hw.tools.elf import read_elf
from edgec.hw.tools.process import run
from edgec.verification import FLOAT_TOLERANCE, read_npz

FRAMES = 2
"""Golden frames that are counted; their mean is reported."""
RUNS, MILLISECONDS = 9, 20


def bench(
    artefact: Artefact,
    *,
    cores: Sequence[str] | None = None,
    compiler: str | None = None,
    steps: bool = False,
    timeout: float = 1800.0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure the C code of `artefact` on every one of `cores`.

    `cores`: names of `edgec.hw.arm.cores.CORES`, or `host` (the default, after the core that the code was built for).
    `compiler`: `zig` or `gcc` for 64-bit cores. `steps`: instructions of every step as well. Raises E0201 for artefacts
    of other backends, E0204 for bad choices, E0501 where outputs are wrong, E06xx for tools."""
    if artefact.manifest.get("backend") != "c":
        raise EdgecError(
            "E0201", f"{artefact.path} has no C code", remedy="estimate and cosim tell the cycles of hardware"
        )
    artefact.check()
    interface = artefact.manifest["interface"]
    own = interface.get("core")
    chosen = list(dict.fromkeys(cores if cores is not None else filter(None, [own, HOST])))
    if not chosen:
        raise EdgecError("E0204", "no core is named", remedy="--core cortex-a76,cortex-m4,host")
    for core in chosen:
        if core != HOST:
            find_core(core)
    frames = {n: a[:FRAMES] for n, a in read_npz(artefact, "golden/inputs.npz").items()}
    golden = {n: a[:FRAMES] for n, a in read_npz(artefact, "golden/outputs.npz").items()}
    rows = []
    for core in chosen:
        progress(f"measuring on {core}")
        rows.append(
            _measured(
                artefact,
                core,
                None if core == HOST or find_core(core).bare else compiler,
                frames,
                golden,
                steps,
                timeout,
            )
        )
    summary = [line for row in rows for line in _lines(row)]
    facts = {"name": interface["name"], "arena_bytes": interface["memory"]["arena_bytes"]}
    return {"artefact": str(artefact.path), **facts, "flags": list(FLAGS), "cores": rows, "summary": summary}


def _measured(
    artefact: Artefact,
    core: str,
    compiler: str | None,
    frames: Mapping[str, np.ndarray],
    golden: Mapping[str, np.ndarray],
    steps: bool,
    timeout: float,
) -> dict[str, Any]:
    """Everything about one core."""
    interface = artefact.manifest["interface"]

    chosen = {"core": core, "compiler": compiler, "layers": False, "timeout": timeout}

    def ran(**options: Any) -> CRun:
        main = interface["testbench"]["file"]
        found = run_sources(artefact.path, main, interface, frames, **chosen, **options)
        _checked(golden, found.outputs, f"the code on {core}")
        return found

    row: dict[str, Any] = {"core": core, "compiler": compiler or default_compiler(core)}
    row |= code_size(artefact.path, interface, core, compiler, timeout)
    if core == HOST:
        ran()
        times = host_times(artefact.path, interface, frames, timeout)
        return row | {"ns": median(times), "ns_low": min(times), "ns_high": max(times), "runs": len(times)}
    row["instructions"] = ran(count_instructions=True).instructions
    if steps:
        row["steps"] = _steps(artefact, ran(count_instructions=True, count_steps=True))
    return row


def _steps(artefact: Artefact, found: CRun) -> list[dict[str, Any]]:
    """Instructions of every step, of what follows the last one (copies of outputs) as well if there is much of it."""
    kernels = artefact.manifest["estimates"]["kernels"]
    if len(found.steps) != len(kernels) + 1:
        raise EdgecError(
            "E0506", "the program did not mark its steps", remedy="build the artefact again with this version of edgec"
        )
    rows = [
        {"step": k["name"], "layers": list(k["layers"]), "macs": k["macs"], "instructions": count}
        for k, count in zip(kernels, found.steps, strict=False)
    ]
    if found.steps[-1] > 50:
        rows.append({"step": "copies of outputs", "layers": [], "macs": 0, "instructions": found.steps[-1]})
    return rows


def _checked(golden: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], party: str) -> None:
    """E0501 where outputs are not the golden ones: costs of wrong code say nothing."""
    expected = Reference({}, golden, {}, {n: n for n in golden})
    difference = first_difference(expected, {}, outputs, tolerance=FLOAT_TOLERANCE)
    if difference is not None:
        raise difference.error(party)


def code_size(
    root: Path, interface: Mapping[str, Any], core: str, compiler: str | None, timeout: float
) -> dict[str, int]:
    """Bytes of the model's objects: instructions, constants, writable data."""
    total = {"code_bytes": 0, "constant_bytes": 0, "data_bytes": 0}
    with tempfile.TemporaryDirectory(prefix="edgec-size-") as scratch:
        for source in interface["files"]:
            made = compile_c(
                [root / source], Path(scratch) / "object.o", core=core, compiler=compiler, link=False, flags=FLAGS,
                include_dirs=[root / "include", root / "src"], timeout=timeout,
            )  # fmt: skip
            elf = read_elf(made)
            for key, value in zip(total, (elf.code, elf.constants, elf.data), strict=True):
                total[key] += value
    return total


def host_times(
    root: Path, interface: Mapping[str, Any], frames: Mapping[str, np.ndarray], timeout: float
) -> list[float]:
    """Nanoseconds of an inference on this machine, of every run."""
    with tempfile.TemporaryDirectory(prefix="edgec-time-") as scratch:
        folder = Path(scratch)
        (folder / "time.c").write_text(timing_source(interface), encoding="utf-8")
        (folder / "inputs.bin").write_bytes(packed(interface["inputs"], {n: a[:1] for n, a in frames.items()}))
        program = compile_c(
            [*(root / f for f in interface["files"]), folder / "time.c"], folder / "time", core=HOST, flags=FLAGS,
            include_dirs=[root / "include", root / "src"], timeout=timeout,
        )  # fmt: skip
        done = run([program, "inputs.bin", str(RUNS), str(MILLISECONDS)], cwd=folder, timeout=timeout, apart=True)
    try:
        times = [float(line) for line in done.stdout.split()]
    except ValueError:
        times = []
    if len(times) != RUNS:
        raise EdgecError("E0506", "the program that takes the time printed something else", why=repr(done.stdout[:200]))
    return times


def table(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a core for a terminal."""
    heads = {"code B": "code_bytes", "constants B": "constant_bytes", "data B": "data_bytes"}
    return [
        {"core": r["core"], "compiler": r["compiler"], "instructions": r.get("instructions")}
        | {"us": r["ns"] / 1e3 if "ns" in r else None}
        | {title: r[key] for title, key in heads.items()}
        | {"arena B": result["arena_bytes"]}
        for r in result["cores"]
    ]


def step_table(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of one core for a terminal."""
    whole = sum(s["instructions"] for s in row["steps"]) or 1
    return [
        {"step": s["step"], "layers": ", ".join(s["layers"]), "MACs": s["macs"], "instructions": s["instructions"]}
        | {"share": f"{100 * s['instructions'] / whole:.1f} %"}
        for s in row["steps"]
    ]


def _lines(row: Mapping[str, Any]) -> list[str]:
    if "ns" not in row:
        return []
    low, high = row["ns_low"] / 1e3, row["ns_high"] / 1e3
    return [f"host: the time is the median of {row['runs']} runs on this machine, {low:.4g} to {high:.4g} us"]
