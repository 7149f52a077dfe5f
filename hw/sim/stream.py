"""Streams frames through a design with an AXI4-Stream slave and master, with seeded stalls on both sides."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgec.hw.sim.batch import PROTOCOL_BROKEN, Stalls, broken, written
from edgec.hw.sim.ports import Probe, StreamPorts
from edgec.hw.sim.verilator_build import Library
from edgec.hw.tools.process import disk_full_as_error, run, tail

BELOW = 2**32


@dataclass(frozen=True)
class StreamResult:
    """What N frames gave: words [N, output words]; the cycle in which every word was taken and given, [N, beats], with
    cycle 0 the first after reset; recorded streams by the name of their data, [N, beats, words]; the wall time."""

    outputs: NDArray[np.uint32]
    in_cycles: NDArray[np.int64]
    out_cycles: NDArray[np.int64]
    probes: dict[str, NDArray[np.uint32]]
    seconds: float


def free_cycles(stalls: Stalls, count: int) -> NDArray[np.int64]:
    """The cycles below `count` that `stalls` leaves alone; the same generator as the simulating program's."""
    step = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        z = np.uint64(stalls.seed) + step * np.arange(1, count + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    words = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
    return np.flatnonzero(words >= np.uint64(round(stalls.probability * BELOW)))


def run_stream(
    library: Library,
    ports: StreamPorts,
    frames: NDArray[np.uint32],
    *,
    probes: Sequence[Probe] = (),
    stalls: Stalls | None = None,
    holds: Stalls | None = None,
    waves: str | Path | None = None,
    plusargs: Mapping[str, int | str] | None = None,
    drain: int = 1 << 20,
    seed: int = 1,
    timeout: float = 1800.0,
) -> StreamResult:
    """Stream `frames` (uint32 [N, input words]) through a fresh model.

    `probes` are pairs: a signal of one bit that is high where a word crosses, and the word; the `depth` of both is the
    number of words of a frame. `stalls` are cycles in which no new word is offered, `holds` cycles in which no output
    word is taken. Raises E0502 when the design loses or invents words, E0603/E0604 if the simulator is killed or hangs.
    """
    count = len(frames)
    with disk_full_as_error(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="edgec-sim-") as folder:
        place = Path(folder)
        frames.astype("<u4").tofile(place / "inputs.bin")
        argv: list[str | Path] = [library.batch_program, place / "inputs.bin", str(count)]
        argv += [place / "outputs.bin", place / "cycles.bin", "--seed", str(seed), "--drain", str(drain)]
        if probes:
            argv += ["--probes", place / "probes.bin"]
        for name, chosen in (("stall", stalls), ("hold", holds)):
            if chosen is not None:
                argv += [f"--{name}", str(chosen.seed), f"--{name}-below", str(round(chosen.probability * BELOW))]
        if waves is not None:
            argv += ["--waves", Path(waves).absolute()]
        argv += [f"+{name}={value}" for name, value in (plusargs or {}).items()]
        done = run(argv, timeout=timeout, accept=(0, PROTOCOL_BROKEN))
        if done.status == PROTOCOL_BROKEN:
            raise broken(tail(done.output))
        outputs = written(place / "outputs.bin", "<u4", count * ports.output_words, done)
        beats = ports.input_beats + ports.output_beats
        cycles = written(place / "cycles.bin", "<u8", count * beats, done).astype(np.int64)
        data = probes[1::2]
        total = count * sum(p.depth * p.words for p in data)
        values = written(place / "probes.bin", "<u4", total, done) if probes else np.zeros(0, np.uint32)
    ends = np.cumsum([count * p.depth * p.words for p in data])
    parts = np.split(values, ends[:-1]) if data else []
    recorded = {p.signal: part.reshape(count, p.depth, p.words) for p, part in zip(data, parts, strict=True)}
    taken, given = np.split(cycles, [count * ports.input_beats])
    return StreamResult(
        outputs.reshape(count, ports.output_words),
        taken.reshape(count, -1),
        given.reshape(count, -1),
        recorded,
        done.seconds,
    )
