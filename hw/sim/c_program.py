"""Compiles the C sources of an artefact with its test program and runs it: here, or as an Arm program under QEMU."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.backend import BuildPlan
from edgec.backends.c.testbench import main_source, packed, unpacked
from edgec.diagnostics import EdgecError
from edgec.hw.arm.cores import find_core
from edgec.hw.arm.qemu import Run, run_aarch64, run_cortex_m
from edgec.hw.arm.toolchain import HOST, compile_c
from edgec.hw.tools.process import run

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fno-strict-aliasing")
"""What the sources need: products and sums are rounded one by one, and tensors of several types share the arena."""
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


@dataclass(frozen=True, eq=False)
class CRun:
    """Codes of the outputs by name and of the layers by name, [F, *shape].

    Where they were counted, executed instructions of an inference, and of every step and what follows the last."""

    outputs: Mapping[str, np.ndarray]
    layers: Mapping[str, np.ndarray]
    instructions: int | None = None
    steps: tuple[int, ...] = ()


def run_program(
    artefact: Artefact,
    frames: Mapping[str, np.ndarray],
    *,
    core: str = HOST,
    layers: bool = True,
    flags: Sequence[str] = (),
    timeout: float = 1800.0,
) -> CRun:
    """Run the artefact's code on `frames` of codes [F, *shape], on this machine or on `core` under QEMU.

    `layers`: also what every step made. `flags`: for compiler and linker, say of a sanitizer. Raises E06xx for tools
    that are missing or fail, E0506 for a program that ends in another way than it should."""
    interface = artefact.manifest["interface"]
    main = interface["testbench"]["file"]
    return run_sources(artefact.path, main, interface, frames, core=core, layers=layers, flags=flags, timeout=timeout)


def run_plan(plan: BuildPlan, frames: Mapping[str, np.ndarray], **options: Any) -> CRun:
    """The same for a plan that was not written; `options` as for `run_sources`."""
    with tempfile.TemporaryDirectory(prefix="edgec-plan-") as scratch:
        root = Path(scratch)
        for name, data in {**plan.files, "main.c": main_source(plan.interface).encode()}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        return run_sources(root, "main.c", plan.interface, frames, **options)


def run_sources(
    root: Path,
    main: str,
    interface: Mapping[str, Any],
    frames: Mapping[str, np.ndarray],
    *,
    core: str = HOST,
    layers: bool = True,
    count_instructions: bool = False,
    count_steps: bool = False,
    flags: Sequence[str] = (),
    compiler: str | None = None,
    linker: str | None = None,
    timeout: float = 600.0,
) -> CRun:
    """Compile the sources below `root` with the test program `main`, run it on `frames`, read what it wrote.

    `flags` are added for compiler and linker, which are `compile_c`'s. `count_instructions`: of an inference, on Arm
    cores; without layers. `count_steps`: of every step as well, which adds some eight instructions to each."""
    name = interface["name"]
    with tempfile.TemporaryDirectory(prefix="edgec-run-") as scratch:
        folder = Path(scratch)
        trace = [f"-D{name.upper()}_TRACE={name}_trace"] if layers or count_steps else []
        trace += [f"-D{name.upper()}_REGION"] if count_instructions else []
        program = compile_c(
            [root / f for f in [*interface["files"], main]], folder / "program", core=core, compiler=compiler,
            linker=linker, flags=[*FLAGS, *WARNINGS, *trace, *flags], link_flags=flags,
            include_dirs=[root / "include", root / "src"], timeout=timeout,
        )  # fmt: skip
        return executed(
            program, interface, frames, core=core, layers=layers, count_instructions=count_instructions,
            count_steps=count_steps, timeout=timeout,
        )  # fmt: skip


def executed(
    program: Path,
    interface: Mapping[str, Any],
    frames: Mapping[str, np.ndarray],
    *,
    core: str = HOST,
    layers: bool = True,
    count_instructions: bool = False,
    count_steps: bool = False,
    timeout: float = 600.0,
) -> CRun:
    """Run a compiled program on `frames`, in its folder; options as for `run_sources`."""
    count, folder = len(next(iter(frames.values()), ())), program.parent
    (folder / "inputs.bin").write_bytes(packed(interface["inputs"], frames))
    words = ["inputs.bin", "outputs.bin", *(["layers.bin"] if layers else [])]
    done = _start(program, core, words, folder, timeout, count_instructions)
    outputs = _read(folder / "outputs.bin", interface["outputs"], count)
    found = _read(folder / "layers.bin", interface["probes"], count) if layers else {}
    return CRun(
        {a["name"]: outputs[a["name"]].reshape(count, *a["shape"]) for a in interface["outputs"]},
        {p["layer"]: _placed(found[p["layer"]], p) for p in interface["probes"]} if layers else {},
        *_counted(done, count, [p["step"] for p in interface["probes"]], count_steps),
    )


def _counted(done: Run | None, frames: int, probes: Sequence[int], each: bool) -> tuple[int | None, tuple[int, ...]]:
    """Instructions of an inference, and of its steps if they were marked; `probes` are the steps that end at a mark."""
    if done is None or done.instructions is None or not frames or not done.regions:
        return None, ()
    places = [*probes, max(probes, default=-1) + 1]
    if not each or done.regions != frames * len(places) or len(done.each) != done.regions:
        return done.instructions // frames, ()
    found = np.zeros(places[-1] + 1, np.int64)
    np.add.at(found, places, np.array(done.each, np.int64).reshape(frames, -1).sum(axis=0))
    return done.instructions // frames, tuple((found // frames).tolist())


def _start(program: Path, core: str, words: list[str], folder: Path, timeout: float, count: bool) -> Run | None:
    """Run the program; what QEMU says of it."""
    if core == HOST:
        run([program, *words], cwd=folder, timeout=timeout)
        return None
    if find_core(core).bare:
        return run_cortex_m(program, core=core, args=words, timeout=timeout, count=count, cwd=folder)
    return run_aarch64(program, cpu=find_core(core).qemu, args=words, timeout=timeout, count=count, cwd=folder)


def _read(path: Path, fields: list[Mapping[str, Any]], count: int) -> dict[str, np.ndarray]:
    data = path.read_bytes() if path.is_file() else b""
    wanted = count * sum(f["elements"] * np.dtype(f["dtype"]).itemsize for f in fields)
    if len(data) != wanted:
        raise EdgecError("E0506", f"the program wrote {len(data)} bytes of {path.stem}, not {wanted}")
    return unpacked(fields, data, count)


def _placed(found: np.ndarray, probe: Mapping[str, Any]) -> np.ndarray:
    """The tensor [F, *shape] inside the memory [F, elements] of its buffer."""
    start = found[:, probe["offset"] :]
    strides = (found.strides[0], *(s * found.itemsize for s in probe["strides"]))
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(start, (len(found), *probe["shape"]), strides))
