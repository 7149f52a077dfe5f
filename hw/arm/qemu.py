"""Runs Arm programs under QEMU and counts the instructions they execute.

Counts are architectural: exact, the same in every run of a program of one thread, and without time. A program marks
the region that matters by `edgec_region()` (edgec_region.h, in `edgec.hw.arm.toolchain.INCLUDE`) before and after it;
without markers everything is counted.
"""

from __future__ import annotations

import dataclasses
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.arm.cores import CORES, find_core
from edgec.hw.arm.plugin import Block, Counts, plugin_option, read_counts
from edgec.hw.tools.doctor import require_tools
from edgec.hw.tools.failure import Completed, describe
from edgec.hw.tools.process import OUTPUT_LIMIT, run

__all__ = ["Block", "Run", "run_aarch64", "run_cortex_m"]

ANY_STATUS = range(-64, 256)
BOARD = ("-display", "none", "-monitor", "none", "-serial", "none", "-parallel", "none")
QEMU_CHOICES = {"max": "max,sme=off"}  # with QEMU 7.2's SME, a widely used library of kernels gives wrong results


@dataclass(frozen=True)
class Run:
    """A program that ended with an accepted status.

    `instructions` and `blocks` are those between region markers (`regions` pairs of them), or those of the whole
    program where it has none; `total` is always the whole program. `each` has the instructions of every region, of the
    first 65,536. All are 0, empty or None without counting.
    """

    stdout: bytes
    stderr: str
    status: int
    seconds: float
    instructions: int | None = None
    total: int | None = None
    regions: int = 0
    blocks: tuple[Block, ...] = ()
    each: tuple[int, ...] = ()


def run_aarch64(
    binary: str | Path,
    *,
    cpu: str = "cortex-a76",
    args: Sequence[str] = (),
    stdin: bytes | None = None,
    timeout: float = 60.0,
    count: bool = True,
    sysroot: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    accept: Sequence[int] = (0,),
) -> Run:
    """Run a 64-bit Arm Linux program, and with `count` count its instructions.

    `cpu`: an A core of `edgec.hw.arm.cores.CORES`, or what `qemu-aarch64 -cpu` takes (`max` runs as `max,sme=off`).
    `sysroot`: where a dynamically linked program finds its libraries, and which stands in for `/` wherever it has
    the file; with one, use a folder for every CPU (docs/running-on-arm.md). `environment` is all that the program
    sees besides LC_ALL=C. It runs in `cwd`, by default in an empty folder. `accept` lists the exit statuses that are
    results. `timeout` is in seconds.

    Raises EdgecError: E0202 no such program, E0602 it ended with another status, E0603 it was killed (SIGILL: the CPU
    lacks an instruction), E0604 it ran out of time, and for QEMU itself E0601, E0605.
    """
    qemu = require_tools(["qemu-aarch64"])["qemu-aarch64"]
    program = _program(binary)
    if cpu in CORES and CORES[cpu].bare:
        raise EdgecError("E0204", f"{cpu} is not a 64-bit core", remedy="use run_cortex_m")
    if sysroot is not None and not Path(sysroot).is_dir():
        raise EdgecError("E0202", f"no such sysroot: {sysroot}")
    model = CORES[cpu].qemu if cpu in CORES else QEMU_CHOICES.get(cpu, cpu)
    with tempfile.TemporaryDirectory(prefix="edgec-arm-") as scratch:
        counts = Path(scratch) / "counts"
        words = [qemu.executable(), "-cpu", model, "-seed", "1"]
        words += ["-L", Path(sysroot).resolve()] if sysroot is not None else []
        words += plugin_option(qemu, counts) if count else []
        empty = Path(scratch) / "empty"
        empty.mkdir()
        done = run(
            [*words, program, *args],
            cwd=cwd or empty,
            timeout=timeout,
            env=environment,
            inherit=False,
            stdin=stdin,
            apart=True,
            accept=ANY_STATUS,
        )
        _check(done, program.name, cpu, accept)
        return _result(done, read_counts(counts) if count else None)


def run_cortex_m(
    elf: str | Path,
    *,
    core: str = "cortex-m4",
    machine: str | None = None,
    args: Sequence[str] = (),
    stdin: bytes | None = None,
    timeout: float = 60.0,
    count: bool = True,
    cwd: str | Path | None = None,
    accept: Sequence[int] = (0,),
) -> Run:
    """Run a Cortex-M program that `compile_c` linked, on the board of its core, and with `count` count instructions.

    Its files are the host's, by semihosting: stdin, stdout and stderr as given here. `core`: an M core of
    `edgec.hw.arm.cores.CORES`; `machine`: another board of `qemu-system-arm -machine help`. `args` are words without
    spaces and commas, `cwd` the folder that its files are in. An unhandled fault ends with status 1 and a message.

    Raises EdgecError as `run_aarch64` does.
    """
    qemu = require_tools(["qemu-system-arm"])["qemu-system-arm"]
    program = _program(elf)
    board = machine or find_core(core).qemu
    if machine is None and not find_core(core).bare:
        raise EdgecError("E0204", f"{core} is not a Cortex-M", remedy="use run_aarch64")
    for arg in args:
        if not arg or any(c in arg for c in ", \t\n"):
            raise EdgecError("E0204", f"argument {arg!r}", why="it is empty or has a space or comma")
    semihosting = ",".join(["enable=on,target=native", "arg=program", *(f"arg={arg}" for arg in args)])
    with tempfile.TemporaryDirectory(prefix="edgec-arm-") as scratch:
        counts = Path(scratch) / "counts"
        words = [qemu.executable(), "-machine", board, *BOARD, "-semihosting-config", semihosting, "-kernel", program]
        words += plugin_option(qemu, counts) if count else []
        place = cwd or scratch
        done = run(words, cwd=place, timeout=timeout, inherit=False, stdin=stdin, apart=True, accept=ANY_STATUS)
        _check(done, program.name, core, accept)
        return _result(done, read_counts(counts) if count else None)


def _program(path: str | Path) -> Path:
    program = Path(path).resolve()
    if not program.is_file():
        raise EdgecError("E0202", f"no such program: {path}")
    return program


def _check(done: Completed, name: str, cpu: str, accept: Sequence[int]) -> None:
    """Raise for a program that died or left with a status that is no result."""
    if done.status in accept:
        return
    said = done.stdout[-OUTPUT_LIMIT:].decode("utf-8", errors="replace") + done.output
    why = describe(dataclasses.replace(done, output=said))
    if done.status >= 0:
        remedy = "its output is above; where it lacks a library, give the sysroot or link it statically"
        raise EdgecError(
            "E0602", f"{name} ended with exit status {done.status} on {cpu}", op=name, why=why, remedy=remedy
        )
    number = -done.status
    shown = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
    remedy = "the program itself is at fault, or what it was given"
    if number == signal.SIGILL:
        remedy = f"{cpu} lacks an instruction that it uses: compile it for {cpu}, or run it on a core that has it"
    elif number == signal.SIGKILL:
        remedy = "usually the machine ran out of memory: close other programs"
    raise EdgecError("E0603", f"{name} was killed by {shown} on {cpu}", op=name, why=why, remedy=remedy)


def _result(done: Completed, counts: Counts | None) -> Run:
    if counts is None:
        return Run(done.stdout, done.output, done.status, done.seconds)
    if counts.open:
        raise EdgecError(
            "E0602",
            "a marked region was begun and never ended",
            why=f"{counts.regions} regions were ended before",
            remedy="call edgec_region() once before and once after what is to be counted",
        )
    return Run(
        done.stdout,
        done.output,
        done.status,
        done.seconds,
        counts.instructions,
        counts.total,
        counts.regions,
        counts.blocks,
        counts.each,
    )
