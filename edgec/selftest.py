"""`edgec verify --self-test`: does verification catch what it should? Faults are planted, every one must be named.

Three places are attacked: the model (weights, operators), whose reference words then differ from the simulated
hardware; the golden words of the artefact; and the hardware itself (its weight image, or its source text). A mutant
that changes no word on the frames used is counted as *equivalent* and proves nothing; every other one must be
caught, and the comparison must name the first layer and element that really differ.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.comparison import Difference, Reference, first_difference, reference
from edgec.cosimulation import RtlRun, RtlSimulation, choose_frames, image_words, load_graph
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph
from edgec.mutants import operator_mutants, weight_mutants
from edgec.verification import read_npz

FRAMES = 192
"""Random frames besides the golden ones that every mutant is tried on."""


class SelfTest:
    """One run of the self-test on an artefact that verifies."""

    def __init__(self, artefact: Artefact, *, seed: int, timeout: float) -> None:
        artefact.check()
        self.artefact, self.timeout = artefact, timeout
        self.generator = np.random.default_rng(seed)
        self.graph = load_graph(artefact)
        golden = read_npz(artefact, "golden/inputs.npz")
        extra = choose_frames(self.graph, None, FRAMES, seed)
        self.frames = {n: np.concatenate([golden[n], extra[n]]) for n in golden}
        self.simulation = RtlSimulation(artefact, timeout=timeout)
        self.words = image_words(artefact, None)
        self.hardware = self.simulate(self.words)
        self.layers = [p["layer"] for p in self.simulation.probes]
        self.reference = reference(self.graph, self.frames, self.layers)
        difference = first_difference(self.reference, self.hardware.layers, self.hardware.outputs)
        if difference is not None:
            raise difference.error("verilator (before any fault was planted)")
        self.counts: Counter[str] = Counter()
        self.missed: list[Diagnostic] = []

    def simulate(self, words: np.ndarray | None) -> RtlRun:
        if words is not None:
            self.simulation.load_weights(words)
        return self.simulation.run(self.frames)

    def judge(self, kind: str, what: str, found: Difference | None, truth: Difference | None) -> None:
        """Record one mutant: `truth` is the real first difference, `found` what verification reported."""
        if truth is None:
            self.counts[f"{kind}: equivalent"] += 1
            if found is not None:
                self.miss(what, f"nothing differs, but layer {found.layer} was reported")
        elif found is None:
            self.miss(what, f"layer {truth.layer} differs, and verification passed")
        elif (found.layer, found.frame, found.element) != (truth.layer, truth.frame, truth.element):
            self.miss(what, f"layer {truth.layer} differs first, but {found.layer} was named")
        else:
            self.counts[f"{kind}: caught"] += 1

    def miss(self, what: str, why: str) -> None:
        self.counts["missed"] += 1
        self.missed.append(Diagnostic("E0503", what, why=why))

    def model_mutants(self) -> Iterator[Callable[[], None]]:
        """Faults in the model against the real hardware's words."""
        operators = iter(operator_mutants(self.graph, self.generator))
        weights = weight_mutants(self.graph, self.generator)
        for pair in zip_longest(operators, weights):
            for mutant in pair:
                if mutant is not None:
                    yield lambda m=mutant: self.try_model(m.kind, m.what, m.graph)

    def try_model(self, kind: str, what: str, graph: Graph) -> None:
        expected = self.align(reference(graph, self.frames, None))
        found = first_difference(expected, self.hardware.layers, self.hardware.outputs)
        truth = first_difference(expected, self.reference.layers, self.reference.outputs)
        self.judge(kind, what, found, truth)

    def align(self, mutated: Reference) -> Reference:
        """The mutant's words under the names of the probed layers (an op that is left out loses its name)."""
        layers = {n: mutated.layers[n] for n in self.layers if n in mutated.layers}
        shapes = {n: a.shape for n, a in self.reference.layers.items()}
        layers = {n: a for n, a in layers.items() if a.shape == shapes[n]}
        return Reference(layers, mutated.outputs, self.reference.sources, self.reference.output_layer)

    def golden_mutants(self) -> Iterator[Callable[[], None]]:
        """One bit of one stored golden word."""
        outputs = read_npz(self.artefact, "golden/outputs.npz")
        count = len(next(iter(outputs.values())))
        clean = {n: a[:count] for n, a in self.reference.outputs.items()}
        while True:
            yield lambda: self.try_golden(outputs, clean)

    def try_golden(self, outputs: Mapping[str, np.ndarray], clean: Mapping[str, np.ndarray]) -> None:
        name = sorted(outputs)[int(self.generator.integers(len(outputs)))]
        changed = outputs[name].copy()
        place = tuple(int(self.generator.integers(n)) for n in changed.shape)
        bit = int(self.generator.integers(8 * changed.dtype.itemsize - 1))
        changed[place] ^= changed.dtype.type(1 << bit)
        stored = {**outputs, name: changed}
        expected = Reference({}, clean, self.reference.sources, self.reference.output_layer)
        found = first_difference(expected, {}, stored)
        layer = self.reference.output_layer[name]
        hit = found is not None and (found.layer, found.frame, found.element) == (layer, place[0], place[1:])
        what = f"golden word {name}{list(place)}: bit {bit} flipped"
        self.counts["golden: caught"] += hit
        if not hit:
            self.miss(what, "verification passed" if found is None else f"{found.layer} was named")

    def image_mutants(self) -> Iterator[Callable[[], None]]:
        """One bit of the words that are really loaded into the simulated register bank."""
        if self.words is None:
            return
        used = [
            (r, k)
            for r in self.artefact.manifest["interface"]["registers"]
            for k in range(r["elements"] * r["element_bits"])
        ]
        while True:
            entry, bit = used[int(self.generator.integers(len(used)))]
            yield lambda e=entry, b=bit: self.try_image(e, b)

    def try_image(self, entry: Mapping[str, Any], bit: int) -> None:
        assert self.words is not None
        words = self.words.copy()
        words[entry["address"] + bit // 32] ^= np.uint32(1 << bit % 32)
        hardware = self.simulate(words)
        found = first_difference(self.reference, hardware.layers, hardware.outputs)
        what = f"register bank, {entry['name']}: bit {bit} flipped"
        if found is not None:
            self.counts["image: caught"] += 1
            return
        # Nothing differs: the same bit flipped in the model must then change nothing either.
        same = reference(self.graph, self.frames, self.layers)
        silent = first_difference(same, hardware.layers, hardware.outputs) is None
        self.counts["image: equivalent"] += silent
        if not silent:
            self.miss(what, "the words differ, and verification passed")

    def rtl_mutants(self, limit: int) -> Iterator[Callable[[], None]]:
        """Faults in the generated source text, all compiled into one simulator and switched on one by one."""
        from edgec.hw.sim.mutate import mutated_sources

        files = {f: self.artefact.read(f).decode() for f in self.artefact.manifest["interface"]["files"]}
        sources, faults = mutated_sources(files, limit, self.generator)
        if not faults:
            return
        folder = tempfile.TemporaryDirectory(prefix="edgec-mutants-")
        overlay = {n: t.encode() for n, t in sources.items()}
        simulation = RtlSimulation(self.artefact, timeout=self.timeout, overlay=overlay, workdir=Path(folder.name))
        for fault in faults:
            yield lambda f=fault, s=simulation, keep=folder: self.try_rtl(s, f)

    def try_rtl(self, simulation: RtlSimulation, fault: Any) -> None:
        if self.words is not None:
            simulation.load_weights(self.words)
        hardware = simulation.run(self.frames, fault=fault.number)
        found = first_difference(self.reference, hardware.layers, hardware.outputs)
        changed = any(not np.array_equal(hardware.outputs[n], self.hardware.outputs[n]) for n in hardware.outputs)
        if found is not None:
            self.counts["rtl: caught"] += 1
        elif changed:
            self.miss(f"{fault.file}:{fault.line}: {fault.what}", "outputs differ, and verification passed")
        else:
            self.counts["rtl: equivalent"] += 1


def self_test(
    artefact: Artefact,
    *,
    mutants: int,
    seed: int,
    timeout: float,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Plant at least `mutants` faults; raises E0503 with every fault that was not caught or misnamed."""
    progress("simulating the unchanged design")
    test = SelfTest(artefact, seed=seed, timeout=timeout)
    rtl_share = max(mutants // 5, 1)
    parts: list[tuple[Iterator[Callable[[], None]], int]] = [
        (test.rtl_mutants(rtl_share), rtl_share),
        (test.golden_mutants(), max(mutants // 10, 1)),
        (test.image_mutants(), mutants // 5),
    ]
    planted = 0
    for source, share in parts:
        for trial, _ in zip(source, range(share), strict=False):
            trial()
            planted += 1
            progress(f"{planted} of {mutants} mutants")
    rest = test.model_mutants()
    for trial in chain(rest):
        if planted >= mutants:
            break
        trial()
        planted += 1
        progress(f"{planted} of {mutants} mutants")
    if test.missed:
        raise EdgecError.of(test.missed)
    counts = dict(sorted(test.counts.items()))
    caught = sum(n for k, n in counts.items() if k.endswith("caught"))
    equivalent = sum(n for k, n in counts.items() if k.endswith("equivalent"))
    lines = [f"{planted} mutants: {caught} caught and named, {equivalent} change no word, 0 missed"]
    lines += [f"  {kind}: {n}" for kind, n in counts.items()]
    return {
        "ok": True,
        "mutants": planted,
        "caught": caught,
        "equivalent": equivalent,
        "counts": counts,
        "summary": lines,
    }
