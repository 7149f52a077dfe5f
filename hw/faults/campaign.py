"""A campaign of flips on one artefact: seeded, resumable, the same report however often it was interrupted.

Two parts. In the simulated RTL, sampled (or all) flip-flops of every class are flipped, each at a random moment of a
stream of frames. In the interpreter, every weight bit is flipped and its effect on all frames computed; where a flip
was simulated too, the words of both must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import (
    FAULTS,
    FAULTS_PROGRESS,
    FAULTS_TABLE,
    Artefact,
    check_destination_file,
    remove,
    sha256,
    to_json,
    write_aside,
)
from edgec.cosimulation import load_graph
from edgec.diagnostics import EdgecError, nearest
from edgec.frames import encode_frames, read_arrays
from edgec.graph import Graph
from edgec.hardening import CLASSES, NONE
from edgec.hw.faults.judge import judge
from edgec.hw.faults.progress import Progress
from edgec.hw.faults.quality import CHANGE, Loss, Quality, quality_of, real_values
from edgec.hw.faults.report import csv_table, make_report, summary
from edgec.hw.faults.simulation import FaultSimulation
from edgec.hw.faults.sites import Sites, find_sites
from edgec.hw.faults.weights import WeightFlips
from edgec.ranking import Ranking, ranked
from edgec.verification import read_npz

VERSION = 1
SIMULATED_FRAMES = 64
"""How many of the frames the RTL is streamed with."""
CHUNK = 500
WEIGHT_CHUNK = 2048
SAMPLES = 2000
LEAST_SHARE = 0.1
"""Share of the samples that every class gets at least."""


@dataclass(frozen=True)
class Settings:
    """What decides the report of a campaign, and how it is run (`jobs`, `timeout` in seconds for each tool)."""

    samples: int | None = None
    exhaustive: bool = False
    classes: tuple[str, ...] = CLASSES
    seed: int = 0
    weight_bits: int | None = None
    jobs: int = 1
    timeout: float = 1800.0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in CLASSES:
                raise EdgecError("E0201", f"unknown class {name!r}", remedy=nearest(name, CLASSES))
        if self.exhaustive and self.samples is not None:
            raise EdgecError("E0201", "--samples and --exhaustive exclude each other")
        for what, value, least in (
            ("samples", self.samples, 1),
            ("weight_bits", self.weight_bits, 0),
            ("seed", self.seed, 0),
            ("jobs", self.jobs, 1),
        ):
            if value is not None and value < least:
                raise EdgecError("E0204", f"{what} = {value}", why=f"at least {least}")


def run_campaign(
    artefact: Artefact,
    settings: Settings,
    *,
    frames: Mapping[str, np.ndarray] | str | Path | None = None,
    labels: np.ndarray | None = None,
    metric: Loss | None = None,
    resume: bool = False,
    rank: str | Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run (or go on with) a campaign; see `edgec.api.faults`."""
    artefact.check()
    if artefact.manifest.get("backend") != "rtl" or "state" not in artefact.manifest["interface"]:
        raise EdgecError("E0310", f"{artefact.path} lists no flip-flops", why="faults are injected into spatial RTL")
    graph = load_graph(artefact)
    codes, labels = choose_codes(artefact, graph, frames, labels)
    count = len(next(iter(codes.values())))
    quality = quality_of(graph, count, labels, metric)
    sites = find_sites(artefact.manifest["interface"]["state"])
    injected = draw(sites, settings)
    registers = artefact.manifest["interface"]["registers"] if "weight" in settings.classes else []
    if rank is not None:
        check_rank(Path(rank), bool(artefact.manifest["interface"]["registers"]), settings)
    campaign = {
        "version": VERSION,
        "manifest_sha256": sha256(artefact.read("manifest.json")),
        "injections": int(injected.size),
        "exhaustive": settings.exhaustive,
        "classes": sorted(settings.classes),
        "seed": settings.seed,
        "weight_bits": "all" if rank is not None else settings.weight_bits,
        "frames": count,
        "frames_sha256": digest(codes, labels),
        "metric": quality.name,
    }
    remove(artefact.path / FAULTS)  # an earlier report must not outlive a failure of this campaign
    remove(artefact.path / FAULTS_TABLE)
    with Progress(artefact.path / FAULTS_PROGRESS, campaign, resume=resume) as done:
        few = {n: a[:SIMULATED_FRAMES] for n, a in codes.items()}
        simulate(artefact, graph, sites, injected, few, registers, settings, done, progress)
        flips = WeightFlips(graph, registers, codes) if registers else None
        chosen = np.zeros(0, np.int64)
        if flips is not None:
            everything = rank is not None or settings.weight_bits is None
            chosen = flips.positions if everything else sample_bits(flips, settings)
            interpret(flips, chosen, quality, done, progress)
    injections = collect(done, "rtl", injected.size, CHUNK)
    bits = collect(done, "weights", chosen.size, WEIGHT_CHUNK)
    report = make_report(artefact, campaign, sites, injected, injections, flips, chosen, bits, quality)
    write_aside(artefact.path / FAULTS_TABLE, csv_table(report.pop("weight_bits")))
    write_aside(artefact.path / FAULTS, to_json(report))
    if rank is not None and flips is not None:
        ranking = make_ranking(artefact, flips, chosen, bits, quality, count)
        write_aside(Path(rank), ranking.as_bytes())
    remove(artefact.path / FAULTS_PROGRESS)
    refuse_failures(report)
    return {**report, "summary": summary(report)}


def check_rank(path: Path, loaded: bool, settings: Settings) -> None:
    """E0204 where there is nothing to rank, E0212 where the file cannot be written: known before the campaign."""
    if not loaded:
        raise EdgecError("E0204", "--rank", why="this hardware has no weight bits to rank", remedy="--weights loaded")
    if "weight" not in settings.classes:
        raise EdgecError("E0204", "--rank", why="the class weight is left out", remedy="--classes weight,...")
    check_destination_file(path)


def refuse_failures(report: Mapping[str, Any]) -> None:
    """E0505 when a flip of a protected flip-flop was seen at the outputs, or stayed."""
    entry = report["simulation"]["protected"]
    failed, stayed = entry["failed"]["hits"], entry["persistent"]
    if failed or stayed:
        places = [
            r["instance"]
            for r in report["simulation"]["registers"]
            if r["style"] != NONE and (r["failed"]["hits"] or r["persistent"])
        ]
        raise EdgecError(
            "E0505",
            f"{failed} of {entry['injections']} flips of protected flip-flops reached the outputs, {stayed} stayed",
            why="registers: " + ", ".join(places[:8]),
        )


def choose_codes(
    artefact: Artefact, graph: Graph, frames: Mapping[str, np.ndarray] | str | Path | None, labels: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Codes of the frames (the golden ones if none are given), and the labels, which a file may hold too."""
    if frames is None:
        return read_npz(artefact, "golden/inputs.npz"), labels
    arrays = dict(read_arrays(frames) if isinstance(frames, str | Path) else frames)
    if "labels" in arrays and "labels" not in {i.name for i in graph.inputs}:
        found = arrays.pop("labels")
        labels = found if labels is None else labels
    codes = encode_frames(graph, arrays)
    if not len(next(iter(codes.values()))):
        raise EdgecError("E0210", "there are no frames")
    return codes, labels


def digest(codes: Mapping[str, np.ndarray], labels: np.ndarray | None) -> str:
    parts = [n.encode() + a.tobytes() for n, a in sorted(codes.items())]
    return sha256(b"".join(parts) + (b"" if labels is None else np.asarray(labels).astype("<i8").tobytes()))


def draw(sites: Sites, settings: Settings) -> np.ndarray:
    """The sites to flip, in order. Sampled: classes in proportion to their flip-flops, each with a least share."""
    groups = [sites.of_class(name) for name in CLASSES if name in settings.classes]
    groups = [g for g in groups if g.size]
    if not groups:
        raise EdgecError("E0204", "nothing to flip", why=f"no flip-flop is of class {', '.join(settings.classes)}")
    if settings.exhaustive:
        return np.concatenate(groups)
    generator = np.random.default_rng([settings.seed, 0])
    total = settings.samples or SAMPLES
    least = int(total * LEAST_SHARE)
    sizes = np.array([g.size for g in groups], float)
    wanted = np.maximum(least, np.floor(total * sizes / sizes.sum())).astype(int)
    wanted[int(wanted.argmax())] += total - wanted.sum()
    picked = []
    for group, number in zip(groups, wanted.tolist(), strict=True):
        whole, rest = divmod(number, group.size)
        picked += [group] * whole + [generator.choice(group, rest, replace=False)]
    return generator.permutation(np.concatenate(picked))


def simulate(
    artefact: Artefact,
    graph: Graph,
    sites: Sites,
    injected: np.ndarray,
    frames: Mapping[str, np.ndarray],
    registers: Sequence[Mapping[str, Any]],
    settings: Settings,
    done: Progress,
    progress: Callable[[str], None],
) -> None:
    """Simulate the chunks that are not done yet, `settings.jobs` at a time."""
    chunks = range(-(-injected.size // CHUNK))
    missing = [k for k in chunks if ("rtl", k) not in done.chunks]
    if not missing:
        return
    progress("building the simulator")
    simulation = FaultSimulation(artefact, graph, sites, frames, settings.timeout)
    flips = WeightFlips(graph, registers, frames) if registers else None

    def work(chunk: int) -> tuple[int, dict[str, Any]]:
        some = injected[chunk * CHUNK : (chunk + 1) * CHUNK]
        found = simulation.run(some, np.random.default_rng([settings.seed, 1, chunk]))
        return chunk, judge(simulation, graph, sites, some, found, flips)

    with ThreadPoolExecutor(settings.jobs) as pool:
        running: set[Future[tuple[int, dict[str, Any]]]] = set()
        try:
            while missing or running:
                while missing and len(running) < settings.jobs:
                    running.add(pool.submit(work, missing.pop(0)))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    chunk, data = future.result()
                    done.add("rtl", chunk, data)
                    progress(f"{sum(k == 'rtl' for k, _ in done.chunks)} of {len(chunks)} chunks simulated")
        except BaseException:
            missing.clear()
            pool.shutdown(cancel_futures=True)
            raise


def sample_bits(flips: WeightFlips, settings: Settings) -> np.ndarray:
    """At most `weight_bits` seeded positions, in the order of the bank."""
    assert settings.weight_bits is not None
    if flips.positions.size <= settings.weight_bits:
        return flips.positions
    generator = np.random.default_rng([settings.seed, 2])
    return np.sort(generator.choice(flips.positions, settings.weight_bits, replace=False))


def interpret(
    flips: WeightFlips, positions: np.ndarray, quality: Quality, done: Progress, progress: Callable[[str], None]
) -> None:
    """Compute the effect of the weight bits that are not done yet."""
    outputs = dict(flips.graph.outputs)
    clean = {n: real_values(op, flips.clean[n]) for n, op in outputs.items()}
    base = float(quality.losses(clean).mean()) if quality.measured else 0.0
    chunks = -(-positions.size // WEIGHT_CHUNK)
    for chunk in range(chunks):
        if ("weights", chunk) in done.chunks:
            continue
        some = positions[chunk * WEIGHT_CHUNK : (chunk + 1) * WEIGHT_CHUNK]
        wrong = np.full(some.size, -1)
        change, largest, worse = np.zeros(some.size), np.zeros(some.size), np.zeros(some.size)
        for index, found in flips.outputs(some):
            values = {n: real_values(outputs[n], v) for n, v in found.items()}
            differs = np.zeros((index.size, flips.frames), bool)
            for name, value in values.items():
                away = np.abs(value - clean[name][None]).reshape(index.size, flips.frames, -1)
                differs |= (away != 0).any(axis=2)
                change[index] += away.mean(axis=(1, 2))
                largest[index] = np.maximum(largest[index], away.max(axis=(1, 2), initial=0.0))
            wrong[index] = differs.sum(axis=1)
            if quality.measured:
                worse[index] = quality.losses(values).mean(axis=1) - base
        data = {"wrong": wrong.tolist(), "change": change.tolist(), "largest": largest.tolist()}
        done.add("weights", chunk, data | ({"worse": worse.tolist()} if quality.measured else {}))
        progress(f"{chunk + 1} of {chunks} chunks of weight bits")


def collect(done: Progress, kind: str, size: int, chunk: int) -> dict[str, np.ndarray]:
    """The results of all chunks, one after another; without any, empty ones."""
    parts = [done.chunks[kind, k] for k in range(-(-size // chunk))]
    if not parts:
        return dict.fromkeys(("wrong", "change", "largest", "worse"), np.zeros(0))
    return {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]}


def make_ranking(
    artefact: Artefact,
    flips: WeightFlips,
    positions: np.ndarray,
    bits: Mapping[str, np.ndarray],
    quality: Quality,
    frames: int,
) -> Ranking:
    """All bits by the metric, equal ones by the output change; bits that only the hardware can judge come first.

    A flip to a code that the format does not have takes the hardware out of what the model describes.
    """
    score = bits["worse"] if quality.measured else bits["change"]
    unknown = bits["wrong"] < 0
    worst = float(score.max(initial=0.0))
    scores = np.where(unknown, worst, score)
    order = np.lexsort((positions, -bits["change"], -scores, ~unknown))
    name = quality.name if quality.measured else CHANGE
    return ranked(artefact.manifest["network_id"], name, frames, positions[order], scores[order])
