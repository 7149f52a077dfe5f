"""`edgec verify --self-test`: does verification catch what it should? Faults are planted, every one must be named.

Five places are attacked: the model (weights and operators), whose reference words then differ from the simulated
hardware; the register bank; the RTL's text; the golden words; and the files of the artefact. In an artefact of C code
the constants of the running program and its statements take the place of registers and RTL (`selftest_c`).

What really changed is found here, by comparing a run with the fault to the same run without, and never by the
comparison under test. A mutant that changes no word is counted as *equivalent* and proves nothing; every other one must
be caught, and the first layer, frame and element that changed must be named.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.artefact import Artefact
from edgec.comparison import Mismatch, Reference, first_difference, reference
from edgec.cosimulation import RtlRun, RtlSimulation, choose_frames, image_words, load_graph, rtl_simulation
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph
from edgec.interp import run
from edgec.mutants import Mutant, is_legal, operator_mutants, sign_extend, weight_mutants, with_element
from edgec.ops import Constant, Input, Op
from edgec.tampering import FileFault, copy_artefact, file_faults, flip_word
from edgec.text import Printer
from edgec.verification import STALLED, STALLS, check_golden, check_simulation, read_npz, verify_artefact

if TYPE_CHECKING:
    from edgec.hw.sim.mutate import Fault

FRAMES = 448
"""Random frames besides the golden ones that every mutant is tried on."""

Arrays = Mapping[str, np.ndarray]
Trial = Callable[[], None]


@dataclass(frozen=True)
class Place:
    """Where words differ first: by layer, frame and element; or only the code of an error that names no word."""

    layer: str
    frame: int = -1
    element: tuple[int, ...] = ()

    def __str__(self) -> str:
        return (
            f"layer {self.layer}, frame {self.frame}, element {list(self.element)}" if self.frame >= 0 else self.layer
        )


def first_change(before: Sequence[tuple[str, np.ndarray]], after: Sequence[tuple[str, np.ndarray]]) -> Place | None:
    """The first word of the first (layer, words) that changed."""
    for (layer, old), (_, new) in zip(before, after, strict=True):
        old, new = np.asarray(old), np.asarray(new)
        if old.dtype.kind == "f":
            changed = np.nonzero((old != new) & ~(np.isnan(old) & np.isnan(new)))
        else:
            changed = np.nonzero(old.astype(np.int64) != new.astype(np.int64))
        if changed[0].size:
            frame, *element = (int(axis[0]) for axis in changed)
            return Place(layer, frame, tuple(element))
    return None


class SelfTest:
    """One run of the self-test on an artefact that verifies; `folder` is for its files."""

    def __init__(self, artefact: Artefact, folder: Path, *, seed: int, timeout: float) -> None:
        artefact.check()
        self.artefact, self.folder, self.timeout = artefact, folder, timeout
        self.generator = np.random.default_rng(seed)
        self.graph = load_graph(artefact)
        self.golden = read_npz(artefact, "golden/inputs.npz")
        check_golden(artefact, self.graph, self.golden)
        extra = choose_frames(self.graph, None, self.extra_frames(), seed)
        self.frames = {n: np.concatenate([self.golden[n], extra[n]]) for n in self.golden}
        self.counts: Counter[str] = Counter()
        self.missed: list[Diagnostic] = []
        self.start()

    def extra_frames(self) -> int:
        """Random frames besides the golden ones."""
        return FRAMES

    def start(self) -> None:
        """Run the design without a fault."""
        artefact, timeout = self.artefact, self.timeout
        self.words = image_words(artefact, None)
        self.simulation = rtl_simulation(artefact, timeout=timeout)
        probed = {p["layer"] for p in self.simulation.probes}
        self.reference = reference(self.graph, self.frames, sorted(probed))
        self.layers = list(self.reference.layers)
        self.load(self.simulation, self.words)
        self.hardware = check_simulation(artefact, self.simulation, self.frames, self.reference)
        self.stalled = self.simulation.run(self.few, stalls=STALLS)

    def parts(self, mutants: int) -> list[tuple[Iterator[Trial], int]]:
        """What is attacked, each with its share of `mutants`. What cannot give its share leaves it to the model's
        mutants, and those to the golden words."""
        return [
            (self.rtl_mutants(mutants // 5), mutants // 5),
            (self.file_mutants(), mutants),
            (self.golden_mutants(), mutants // 10),
            (self.image_mutants(), mutants // 5),
            (self.model_mutants(), mutants),
            (self.golden_mutants(), mutants),
        ]

    @property
    def few(self) -> dict[str, np.ndarray]:
        few = min(STALLED, self.simulation.stalled_frames)
        return {n: a[:few] for n, a in self.frames.items()}

    @staticmethod
    def load(simulation: RtlSimulation, words: np.ndarray | None) -> None:
        if words is not None:
            simulation.load_weights(words)

    def judge(self, kind: str, what: str, found: Place | None, truth: Place | None) -> None:
        """Record one mutant: `truth` is what really changed first, `found` what verification reported."""
        if found != truth:
            self.miss(
                kind, what, f"verification reported {found or 'nothing'}; what changed first is {truth or 'nothing'}"
            )
        else:
            self.counts[f"{kind}: {'equivalent' if truth is None else 'caught'}"] += 1

    def miss(self, kind: str, what: str, why: str) -> None:
        self.counts[f"{kind}: missed"] += 1
        self.missed.append(Diagnostic("E0503", f"{kind}: {what}", why=why))

    def sequence(self, layers: Arrays, outputs: Arrays) -> list[tuple[str, np.ndarray]]:
        """Words in the order of the graph, outputs last, each under the name of its layer."""
        inner = [(n, layers[n]) for n in self.layers]
        return inner + [(self.reference.output_layer[n], outputs[n]) for n, _ in self.graph.outputs]

    # The model

    def model_mutants(self) -> Iterator[Trial]:
        """Faults in the model against the real hardware's words; operators and weights by turns."""
        operators = operator_mutants(self.graph, self.generator)
        for pair in zip_longest(operators, weight_mutants(self.graph, self.generator)):
            for mutant in pair:
                if mutant is not None:
                    yield lambda m=mutant: self.try_model(m)

    def try_model(self, mutant: Mutant) -> None:
        expected = self.computed(mutant.graph, mutant.became)
        found = first_difference(expected, self.hardware.layers, self.hardware.outputs)
        clean = self.sequence(self.reference.layers, self.reference.outputs)
        truth = first_change(clean, self.sequence(expected.layers, expected.outputs))
        self.judge(mutant.kind, mutant.what, place_of(found), truth)

    def computed(self, graph: Graph, became: Mapping[str, Op]) -> Reference:
        """What the interpreter computes for a changed graph, under the names that the layers had before."""
        seen: dict[Op, list[np.ndarray]] = {became[n]: [] for n in self.layers}

        def observe(op: Op, value: Any) -> None:
            if op in seen:
                seen[op].append(value)

        outputs = run(graph, self.frames, observe=observe)
        words = {op: [self.frames[op.name]] if isinstance(op, Input) else parts for op, parts in seen.items()}
        count = len(next(iter(self.frames.values())))
        layers = {}
        for name in self.layers:
            joined = np.concatenate(words[became[name]])
            layers[name] = np.broadcast_to(joined, (count, *joined.shape[1:]))
        return Reference(layers, outputs, self.reference.sources, self.reference.output_layer)

    # The register bank

    def image_mutants(self) -> Iterator[Trial]:
        """One bit of the words that are really loaded into the simulated register bank."""
        registers = self.artefact.manifest["interface"]["registers"]
        sizes = np.array([r["elements"] * r["element_bits"] for r in registers], float)
        while self.words is not None:
            entry = registers[int(self.generator.choice(len(registers), p=sizes / sizes.sum()))]
            bit = int(self.generator.integers(entry["elements"] * entry["element_bits"]))
            yield lambda e=entry, b=bit: self.try_image(e, b)

    def try_image(self, entry: Mapping[str, Any], bit: int) -> None:
        """The hardware must compute what the model with the same element changed computes, and be found out."""
        assert self.words is not None
        words = self.words.copy()
        words[entry["address"] + bit // 32] ^= np.uint32(1 << bit % 32)
        self.load(self.simulation, words)
        hardware = self.simulation.run(self.frames)
        self.load(self.simulation, self.words)
        what = f"{entry['name']}, element {bit // entry['element_bits']}: bit {bit % entry['element_bits']} flipped"
        found = first_difference(self.reference, hardware.layers, hardware.outputs)
        clean = self.sequence(self.hardware.layers, self.hardware.outputs)
        after = self.sequence(hardware.layers, hardware.outputs)
        changed = self.with_flipped_bit(entry, bit)
        if changed is not None:
            expected = self.computed(*changed)
            wrong = first_change(self.sequence(expected.layers, expected.outputs), after)
            if wrong is not None:
                self.miss("register bank", what, f"the hardware and the model with this element differ at {wrong}")
                return
        self.judge("register bank", what, place_of(found), first_change(clean, after))

    def with_flipped_bit(self, entry: Mapping[str, Any], bit: int) -> tuple[Graph, dict[str, Op]] | None:
        """The model with the bit of a register flipped; None where the format has no such code."""
        names = {name: op for op, name in Printer(self.graph).names.items()}
        constant = names[entry["constant"]]
        assert isinstance(constant, Constant)
        order = entry.get("transpose") or range(len(constant.shape))
        stored = [constant.shape[axis] for axis in order]
        place = [0] * len(stored)
        for axis, index in zip(order, np.unravel_index(bit // entry["element_bits"], stored), strict=True):
            place[axis] = int(index)
        fmt = constant.format
        code = int(constant.data[tuple(place)]) ^ (1 << bit % entry["element_bits"])
        code = sign_extend(code, entry["element_bits"], fmt.code_range[0] < 0)
        return with_element(self.graph, constant, tuple(place), code) if is_legal(code, fmt) else None

    # The RTL

    def rtl_mutants(self, limit: int) -> Iterator[Trial]:
        """Faults in the generated source text, all compiled into one simulator and switched on one by one."""
        from edgec.hw.sim.mutate import mutated_sources

        files = {f: self.artefact.read(f).decode() for f in self.artefact.manifest["interface"]["files"]}
        sources, faults = mutated_sources(files, limit, self.generator)
        if not faults:
            return
        overlay = {n: t.encode() for n, t in sources.items()}
        simulation = rtl_simulation(self.artefact, timeout=self.timeout, overlay=overlay, workdir=self.folder)
        self.load(simulation, self.words)
        try:
            check_simulation(self.artefact, simulation, self.frames, self.reference)
        except EdgecError as error:  # before any fault is switched on
            self.miss("rtl", "no fault", f"the sources with switches differ from those without: {error}")
            return
        for fault in faults:
            yield lambda f=fault: self.try_rtl(simulation, f)

    def try_rtl(self, simulation: RtlSimulation, fault: Fault) -> None:
        found = caught(
            lambda: check_simulation(self.artefact, simulation, self.frames, self.reference, fault=fault.number)
        )
        self.judge("rtl", f"{fault.file}:{fault.line}: {fault.what}", found, self.rtl_truth(simulation, fault.number))

    def rtl_truth(self, simulation: RtlSimulation, fault: int) -> Place | None:
        """What a fault changes in the simulation, against the simulation without it."""
        try:
            plain = simulation.run(self.frames, fault=fault)
            stalled = simulation.run(self.few, stalls=STALLS, fault=fault)
        except EdgecError as error:
            if error.code != "E0502":
                raise
            return Place("E0502")
        for run_, clean in ((plain, self.hardware), (stalled, self.stalled)):
            after = self.sequence(run_.layers, run_.outputs)
            changed = first_change(self.sequence(clean.layers, clean.outputs), after)
            if changed is not None:
                return changed
            if timing(run_) != timing(clean):
                return Place("E0502")
        return None

    # Golden words and files

    def golden_mutants(self) -> Iterator[Trial]:
        """One bit of a stored golden word, of an output, an inner layer or an input."""
        while True:
            for file in ("golden/outputs.npz", "golden/per_layer.npz", "golden/inputs.npz"):
                yield lambda f=file: self.try_golden(f)

    def try_golden(self, file: str) -> None:
        inputs = file == "golden/inputs.npz"
        formats = {i.name: i.format for i in self.graph.inputs}
        flip = flip_word(self.artefact, file, self.generator, formats if inputs else None)
        frames = flip.arrays if inputs else self.golden
        found = caught(lambda: check_golden(flip.artefact(self.artefact), self.graph, frames))
        layer = self.reference.output_layer.get(flip.name, flip.name) if file == "golden/outputs.npz" else flip.name
        truth: Place | None = Place(layer, flip.place[0], flip.place[1:])
        if inputs:
            truth = self.input_truth(flip.arrays)
        self.judge(f"golden {'input' if inputs else 'word'}", str(flip), found, truth)

    def input_truth(self, frames: Arrays) -> Place | None:
        """The first stored golden word that other inputs would have changed."""
        for name in frames:
            fmt = self.graph.input(name).format
            if not fmt.is_float and not all(is_legal(int(v), fmt) for v in (frames[name].min(), frames[name].max())):
                return Place("E0210")
        stored = read_npz(self.artefact, "golden/per_layer.npz")
        count = len(next(iter(stored.values()), ()))
        now = reference(self.graph, {n: a[:count] for n, a in frames.items()}, list(stored))
        layers = list(now.layers)
        changed = first_change([(n, stored[n]) for n in layers], [(n, now.layers[n]) for n in layers])
        if changed is not None:
            return changed
        old = read_npz(self.artefact, "golden/outputs.npz")
        new = run(self.graph, frames)
        names = [(n, self.reference.output_layer[n]) for n, _ in self.graph.outputs]
        return first_change([(layer, old[n]) for n, layer in names], [(layer, new[n]) for n, layer in names])

    def file_mutants(self) -> Iterator[Trial]:
        """Damaged, missing, added and replaced files in a copy of the artefact."""
        for fault in file_faults(self.artefact, self.generator):
            yield lambda f=fault: self.try_file(f)

    def try_file(self, fault: FileFault) -> None:
        copy = copy_artefact(self.artefact, self.folder / "copy")
        fault.apply(copy)
        try:
            verify_artefact(Artefact.open(copy), on=(), vectors=None, seed=0, frames=None, timeout=self.timeout)
        except EdgecError as error:
            if error.code in fault.codes and fault.names in str(error):
                self.counts["file: caught"] += 1
            else:
                self.miss("file", fault.what, f"{' or '.join(fault.codes)} expected, not: {error}")
        else:
            self.miss("file", fault.what, "verification passed")


def place_of(difference: Any) -> Place | None:
    return None if difference is None else Place(difference.layer, difference.frame, difference.element)


def timing(result: RtlRun) -> tuple[int, int]:
    return result.latency, result.initiation_interval


def caught(check: Callable[[], object]) -> Place | None:
    """What a check of verification reports: the place of a wrong word, the code of another error, None if it passes."""
    try:
        check()
    except Mismatch as error:
        return place_of(error.difference)
    except EdgecError as error:
        if error.code[:3] == "E06":  # a tool failed: nothing was found out
            raise
        return Place(error.code)
    return None


def self_test(
    artefact: Artefact,
    *,
    mutants: int,
    seed: int,
    timeout: float,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Plant at least `mutants` faults; raises E0503 with every fault that was not caught or misnamed."""
    backend = artefact.manifest.get("backend")
    if backend == "c":
        from edgec.selftest_c import CSelfTest

        kind: type[SelfTest] = CSelfTest
    elif backend == "rtl":
        kind = SelfTest
    else:
        raise EdgecError("E0201", f"there is no self-test for artefacts of the {backend} backend")
    progress("running the unchanged design")
    with tempfile.TemporaryDirectory(prefix="edgec-self-test-") as folder:
        test = kind(artefact, Path(folder), seed=seed, timeout=timeout)
        progress("planting faults")
        planted = 0
        for trials, share in test.parts(mutants):
            for trial in islice(trials, min(share, mutants - planted)):
                trial()
                planted += 1
                if planted % 20 == 0:
                    progress(f"{planted} of {mutants} mutants")
    if test.missed:
        raise EdgecError.of(test.missed)
    counts = dict(sorted(test.counts.items()))
    found = sum(n for k, n in counts.items() if k.endswith("caught"))
    equivalent = sum(n for k, n in counts.items() if k.endswith("equivalent"))
    lines = [f"{planted} mutants: {found} caught and named, {equivalent} change no word, 0 missed"]
    lines += [f"  {kind}: {n}" for kind, n in counts.items()]
    return {
        "ok": True,
        "mutants": planted,
        "caught": found,
        "equivalent": equivalent,
        "counts": counts,
        "summary": lines,
    }
