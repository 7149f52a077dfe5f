"""Flips in the simulated RTL: many injections in one run of the pipeline, each with a window of cycles to itself.

    flip at one clock edge | watch the outputs | put the flip-flop right if it still is wrong | let the pipeline drain

Frames come in a random order, with random cycles without a frame, so the flip meets the pipeline in any state. What
came out is judged against the words that the interpreter computes for the undisturbed network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.cosimulation import cache_folder, image_words
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.faults.sites import Sites
from edgec.hw.sim.batch import written
from edgec.hw.sim.ports import Ports
from edgec.hw.sim.verilator_build import build_library
from edgec.hw.sim.words import Field, pack_fields, unpack_fields
from edgec.hw.tools.process import disk_full_as_error, run, tail
from edgec.interp import run as interpret

WATCHED_FRAMES = 8
"""Cycles behind the latency for which the outputs are watched after a flip."""
GAPS = 0.125
"""Share of cycles without a frame."""
WARM_UP = 16
"""Cycles of a chunk beyond the latency before its first flip."""
BROKEN = 3


@dataclass(frozen=True)
class Chunk:
    """What became of n injections.

    `plan` [n, window]: the frame taken at each cycle of the window, -1 for none; `expected` and `found` [n, observed]:
    whether a valid output was due, and came; `right`: and whether its words were right; `words` [n, observed, words] as
    they came; `due` the number of the frame that was due; `states` [n, 4]: the flip-flop before, after, an edge later,
    at the end.
    """

    plan: np.ndarray
    expected: np.ndarray
    found: np.ndarray
    right: np.ndarray
    words: np.ndarray
    due: np.ndarray
    states: np.ndarray


class FaultSimulation:
    """The model of an artefact with writable flip-flops, built once."""

    def __init__(
        self, artefact: Artefact, graph: Graph, sites: Sites, frames: Mapping[str, np.ndarray], timeout: float
    ):
        interface = artefact.manifest["interface"]
        self.interface, self.sites, self.timeout = interface, sites, timeout
        self.latency: int = interface["latency"]
        self.observed = self.latency + WATCHED_FRAMES
        self.window = self.observed + self.latency + 1
        self.ports = Ports(**interface["ports"])
        self.library = build_library(
            [artefact.path / f for f in interface["files"]],
            interface["top"],
            self.ports,
            workdir=cache_folder(),
            defines=("EDGEC_FAULTS",),
            program="faults",
            timeout=timeout,
        )
        self.frames = pack(interface["inputs"], frames)
        self.count = len(self.frames)
        self.clean = pack(interface["outputs"], interpret(graph, frames))
        words = image_words(artefact, None)
        self.registers = None if words is None else np.stack([np.arange(len(words)), words], axis=1).astype("<u4")
        self.fields = [Field(o["elements"], o["bits"], o["signed"]) for o in interface["outputs"]]

    def codes(self, words: np.ndarray) -> list[np.ndarray]:
        """Output words [n, words] as codes [n, elements] of every output."""
        return unpack_fields(words, self.fields)

    def run(self, injected: np.ndarray, generator: np.random.Generator) -> Chunk:
        """Flip the sites `injected` [n], one after another."""
        count, first = len(injected), self.latency + WARM_UP
        cycles = first + count * self.window
        frames = generator.integers(0, self.count, cycles)
        plan = np.where(generator.random(cycles) < GAPS, -1, frames).astype("<i4")
        start = first + self.window * np.arange(count)
        orders = np.stack(
            [
                start,
                self.sites.place[injected],
                self.sites.bit[injected],
                start + self.observed,
                self.sites.positions()[injected] >= 0,  # weights stay wrong until they are written again
            ],
            axis=1,
        ).astype("<u4")
        outputs, states = self._simulate(plan, orders)
        # The frame that leaves after edge c was taken by edge c - latency + 1.
        due = np.concatenate([np.full(self.latency - 1, -1), plan[: cycles - self.latency + 1]])
        self._check_clean(outputs[:first], due[:first])
        at = start[:, None] + np.arange(self.observed)
        found, words = outputs[at, 0] != 0, outputs[at][..., 1:]
        expected = due[at] >= 0
        right = (words == self.clean[np.maximum(due[at], 0)]).all(axis=-1)
        windows = start[:, None] + np.arange(-self.latency, self.observed)
        return Chunk(plan[windows], expected, found, right, words, due[at], states)

    def _simulate(self, plan: np.ndarray, orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with disk_full_as_error(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="edgec-faults-") as folder:
            place = Path(folder)
            self.frames.astype("<u4").tofile(place / "inputs.bin")
            plan.tofile(place / "plan.bin")
            (place / "places.txt").write_text("".join(f"{p.name}\n" for p in self.sites.places))
            orders.tofile(place / "injections.bin")
            names = ["inputs.bin", "plan.bin", "places.txt", "injections.bin", "outputs.bin", "states.bin"]
            if self.registers is not None:
                self.registers.tofile(place / "registers.bin")
                names.append("registers.bin")
            argv = [self.library.batch_program, *(place / n for n in names)]
            done = run(argv, timeout=self.timeout, accept=(0, BROKEN))
            if done.status == BROKEN:
                raise EdgecError("E0502", "the simulated design broke its protocol", why=tail(done.output))
            size = len(plan) * (1 + self.ports.output_words)
            outputs = written(place / "outputs.bin", "<u4", size, done).reshape(len(plan), -1)
            states = written(place / "states.bin", "u1", 4 * len(orders), done).reshape(-1, 4)
        return outputs, states

    def _check_clean(self, outputs: np.ndarray, due: np.ndarray) -> None:
        """Before the first flip everything must be right, or nothing that follows means anything."""
        valid = due >= 0
        same = (outputs[:, 1:] == self.clean[np.maximum(due, 0)]).all(axis=1)
        if not np.array_equal(outputs[self.latency :, 0] != 0, valid[self.latency :]) or not same[valid].all():
            raise EdgecError(
                "E0501", "the design is wrong before any flip", remedy="edgec verify OUT names the first wrong layer"
            )


def pack(fields: list[Mapping[str, Any]], codes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Codes by name [F, *shape] as words [F, words] of a port with `fields`."""
    parts = []
    for field in fields:
        array = np.asarray(codes[field["name"]])
        parts.append((array.reshape(len(array), -1).astype(np.int64), field["bits"]))
    return pack_fields(parts)
