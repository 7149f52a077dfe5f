"""Co-simulation of folded designs: frames as streams of words, every layer's stream recorded, every cycle predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.cosimulation import RtlRun, cache_folder, design_files
from edgec.diagnostics import EdgecError
from edgec.hw.sim.batch import Stalls

MODEL_WORDS = 3_000_000
"""How many words of all streams the cycle model looks at when stalls make every frame different."""
EXACT_WORDS = 6_000_000
"""The same without stalls, while buffers are filling."""


@dataclass(frozen=True)
class Crossings:
    """The cycle of every word taken and given [frames, words], and the stalls at both ends."""

    inputs: np.ndarray
    outputs: np.ndarray
    stalls: Stalls | None
    holds: Stalls | None


class StreamSimulation:
    """The Verilator model of a folded artefact; as `edgec.cosimulation.RtlSimulation`."""

    def __init__(
        self,
        artefact: Artefact,
        *,
        probes: bool = True,
        waves: bool = False,
        timeout: float = 1800.0,
        overlay: Mapping[str, bytes] | None = None,
        workdir: Path | None = None,
    ) -> None:
        from edgec.hw.sim.ports import Probe, StreamPorts
        from edgec.hw.sim.verilator_build import build_library

        self.artefact, self.interface, self.timeout = artefact, artefact.manifest["interface"], timeout
        self.probes: list[dict[str, Any]] = list(self.interface["probes"]) if probes else []
        self.ports = StreamPorts(**self.interface["ports"])
        self.signals = []
        for p in self.interface["probes"]:
            self.signals += [Probe(p["fire"], 1, p["beats"]), Probe(p["signal"], p["bits"], p["beats"])]
        folder = workdir or cache_folder()
        self.library = build_library(
            design_files(artefact, overlay, folder),
            self.interface["top"],
            self.ports,
            workdir=folder,
            probes=self.signals,
            waves="vcd" if waves else None,
            timeout=timeout,
        )

    @property
    def stalled_frames(self) -> int:
        """How many frames a run with stalls should have."""
        words = self.ports.input_beats + 4 * sum(p["beats"] for p in self.interface["probes"])
        return max(2, min(64, MODEL_WORDS // max(words, 1)))

    def load_weights(self, words: np.ndarray) -> None:
        raise EdgecError("E0703", "this hardware has no register bank", why="its weights are read-only memories")

    def run(
        self,
        frames: Mapping[str, np.ndarray],
        *,
        stalls: float = 0.0,
        seed: int = 1,
        waves: str | Path | None = None,
        fault: int = 0,
    ) -> RtlRun:
        """Stream frames of codes; with `stalls`, the producer and the consumer both pause in that share of cycles."""
        from edgec.hw.sim.mutate import PLUSARG
        from edgec.hw.sim.stream import run_stream
        from edgec.hw.sim.words import pack_words

        count = len(next(iter(frames.values())))
        (entry,), (end,) = self.interface["inputs"], self.interface["outputs"]
        codes = np.asarray(frames[entry["name"]]).astype(np.int64)
        flat = codes.transpose(0, *(a + 1 for a in entry["axes"])).reshape(-1, entry["lanes"])
        pauses = (Stalls(seed, stalls), Stalls(seed + (1 << 32), stalls)) if stalls else (None, None)
        result = run_stream(
            self.library,
            self.ports,
            pack_words(flat, entry["bits"]).reshape(count, -1),
            probes=self.signals if self.probes else (),
            stalls=pauses[0],
            holds=pauses[1],
            waves=waves,
            plusargs={PLUSARG: fault} if fault else None,
            drain=max(1 << 20, 4 * self.interface["latency"]),
            timeout=self.timeout,
        )
        layers = {p["layer"]: tensors(result.probes[p["signal"]], p, p["element_bits"]) for p in self.probes}
        words = result.outputs.reshape(count, self.ports.output_beats, -1)
        outputs = {end["name"]: tensors(words, end, end["bits"])}
        latency = int(result.out_cycles[0, -1] - result.in_cycles[0, 0])
        interval = int(result.out_cycles[-1, -1] - result.out_cycles[-2, -1]) if count > 1 else 0
        cycles = int(result.out_cycles[-1, -1] - result.in_cycles[0, 0])
        crossings = Crossings(result.in_cycles, result.out_cycles, *pauses)
        return RtlRun(outputs, layers, latency, interval, cycles, result.seconds, crossings)


def tensors(words: np.ndarray, facts: Mapping[str, Any], bits: int) -> np.ndarray:
    """Words [frames, beats, n] of a stream as tensors [frames, *shape]."""
    from edgec.hw.sim.words import unpack_words

    shape, axes = facts["shape"], facts["axes"]
    flat = unpack_words(words.reshape(-1, words.shape[-1]), facts["lanes"], bits, signed=facts["signed"])
    moved = flat.reshape(len(words), *(shape[a] for a in axes))
    return np.moveaxis(moved, range(1, len(shape) + 1), [a + 1 for a in axes])


def expected_cycles(interface: Mapping[str, Any], crossings: Crossings) -> tuple[np.ndarray, np.ndarray]:
    """What the cycle model says of the words in and out, [frames, words] each.

    Frames beyond those that the model looks at follow in the initiation interval; where buffers are still filling, only
    the output is known so far ahead, and less frames are given for the input.
    """
    from edgec.hw.estimate.dataflow import schedule, simulate
    from edgec.hw.sim.stream import free_cycles

    count, network = len(crossings.outputs), interface["dataflow"]
    if crossings.stalls is None or crossings.holds is None:
        found = schedule(network)
        times, known = found.times, len(found.times.inputs)
        if times.period is None and known < count:
            words = sum(t[0].size for t in times.streams.values())
            known = min(count, max(known, EXACT_WORDS // words))
            times = simulate(network, known)
        more = np.maximum(np.arange(count) - (known - 1), 0)[:, None] * found.initiation_interval
        pick = np.minimum(np.arange(count), known - 1)
        inputs = times.inputs[pick] + more
        return inputs if times.period is not None else inputs[:known], times.outputs[pick] + more
    # Beyond the last word the lists of free cycles only have to go on.
    span = 2 * int(crossings.outputs.max()) + 1024
    free = [free_cycles(s, span) for s in (crossings.stalls, crossings.holds)]
    times = simulate(network, count, offered=free[0], taken=free[1])
    return times.inputs, times.outputs


def check_stream_cycles(artefact: Artefact, result: RtlRun) -> None:
    """Hold the cycle of every word in and out to the cycle model; E0502 at the first that differs."""
    assert isinstance(result.crossings, Crossings)
    found = (result.crossings.inputs, result.crossings.outputs)
    for way, want, have in zip(
        ("input", "output"), expected_cycles(artefact.manifest["interface"], result.crossings), found, strict=True
    ):
        wrong = np.argwhere(want != have[: len(want)])
        if len(wrong):
            frame, word = (int(i) for i in wrong[0])
            raise EdgecError(
                "E0502",
                f"{way} word {word} of frame {frame} crosses in cycle {have[frame, word]}, "
                f"the estimate says {want[frame, word]}",
                why=f"{len(wrong)} of {want.size} words cross in other cycles",
            )
