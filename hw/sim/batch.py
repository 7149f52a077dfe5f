"""Runs the batch program of a Verilator library: raw files in, raw files out, one process, bounded in time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.sim.verilator_build import Library
from edgec.hw.tools.process import Completed, disk_full_as_error, run, tail

PROTOCOL_BROKEN = 3  # the batch program's exit status when the design loses or invents frames


@dataclass(frozen=True)
class Stalls:
    """Cycles on which the producer has no frame: each with `probability`, drawn from `seed`."""

    seed: int
    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise ValueError(f"a stall probability is in [0, 1), not {self.probability}")


@dataclass(frozen=True)
class BatchResult:
    """What a batch gave for N frames; unpacks as `outputs, out_cycles`.

    `outputs` are words [N, output words]. `in_cycles` [N] are the indices of the clock edges that took the frames,
    counted from the end of reset (register writes take one each); `out_cycles` [N] those of the edges at which a
    following register can take the outputs. `probes` are words [N, probe words] by signal name. `seconds` is the wall
    time of the simulating process.
    """

    outputs: NDArray[np.uint32]
    in_cycles: NDArray[np.uint64]
    out_cycles: NDArray[np.uint64]
    probes: dict[str, NDArray[np.uint32]]
    seconds: float

    def __iter__(self) -> Iterator[NDArray]:
        return iter((self.outputs, self.out_cycles))

    @property
    def latencies(self) -> NDArray[np.int64]:
        """Cycles each frame took, [N]; all equal in a pipeline."""
        return self.out_cycles.astype(np.int64) - self.in_cycles.astype(np.int64)

    @property
    def latency(self) -> int:
        """The latency in cycles that all frames share; raises E0502 if they do not."""
        found = np.unique(self.latencies)
        if found.size != 1:
            raise EdgecError("E0502", "the design has no fixed latency", why=f"frames took {found[:8].tolist()} cycles")
        return int(found[0])

    @property
    def initiation_interval(self) -> int:
        """The least number of cycles between two accepted frames (0 with fewer than two)."""
        gaps = np.diff(self.in_cycles.astype(np.int64))
        return int(gaps.min()) if gaps.size else 0


def run_batch(
    library: Library,
    ports: Ports,
    frames: NDArray[np.uint32],
    *,
    probes: Sequence[Probe] = (),
    registers: Mapping[int, int] | None = None,
    stalls: Stalls | None = None,
    waves: str | Path | None = None,
    plusargs: Mapping[str, int | str] | None = None,
    seed: int = 1,
    timeout: float = 1800.0,
) -> BatchResult:
    """Stream `frames` (uint32 [N, input words], unused bits 0) through a fresh model; see `Simulation.run_batch`."""
    count = len(frames)
    with disk_full_as_error(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="edgec-sim-") as folder:
        place = Path(folder)
        frames.astype("<u4").tofile(place / "inputs.bin")
        argv: list[str | Path] = [library.batch_program, place / "inputs.bin", str(count)]
        argv += [place / "outputs.bin", place / "cycles.bin", "--seed", str(seed)]
        if registers:
            pairs = np.array(list(registers.items()), dtype="<u4")
            pairs.tofile(place / "registers.bin")
            argv += ["--registers", place / "registers.bin"]
        if probes:
            argv += ["--probes", place / "probes.bin"]
        if stalls is not None:
            argv += ["--stall", str(stalls.seed), "--stall-below", str(round(stalls.probability * 2**32))]
        if waves is not None:
            argv += ["--waves", Path(waves).absolute()]
        argv += [f"+{name}={value}" for name, value in (plusargs or {}).items()]
        done = run(argv, timeout=timeout, accept=(0, PROTOCOL_BROKEN))
        if done.status == PROTOCOL_BROKEN:
            raise broken(tail(done.output))
        outputs = written(place / "outputs.bin", "<u4", count * ports.output_words, done)
        cycles = written(place / "cycles.bin", "<u8", count * 2, done).reshape(count, 2)
        total = count * sum(p.words for p in probes)
        values = written(place / "probes.bin", "<u4", total, done) if probes else np.zeros(0, np.uint32)
    ends = np.cumsum([count * p.words for p in probes])
    parts = np.split(values, ends[:-1]) if probes else []
    recorded = {p.signal: part.reshape(count, p.words) for p, part in zip(probes, parts, strict=True)}
    outputs = outputs.reshape(count, ports.output_words)
    return BatchResult(outputs, cycles[:, 0], cycles[:, 1], recorded, done.seconds)


def written(path: Path, dtype: str, size: int, done: Completed) -> NDArray:
    """The `size` numbers that the batch program wrote to `path`; E0602 if it did not, whatever its exit status."""
    values = np.fromfile(path, dtype) if path.is_file() else np.zeros(0, dtype)
    if values.size != size:
        name = Path(done.argv[0]).name
        what = f"{name} wrote {values.size} of {size} numbers to {path.name}"
        raise EdgecError("E0602", what, op=name, why=tail(done.output) or "it printed nothing")
    return values


def broken(reason: str) -> EdgecError:
    """What to raise when the model reports `reason`."""
    if "no signal" in reason:
        return EdgecError("E0204", "a probe names no signal of the design", why=reason)
    return EdgecError("E0502", "the simulated design broke its protocol", why=reason)
