"""Many inputs of the int8 networks of MLPerf Tiny on 64-bit Arm, every word of every step against the interpreter.

    python bench/c_thousand.py DATA [--frames 1000] [--together 100] [--cores cortex-a76,...] [--only NAME]
        [--compiler zig|gcc] [--winograd auto|stored|computed|off]

DATA holds the networks (mlcommons/tiny) as .onnx. Each is built for each core, and the program runs under QEMU, so many
frames `together`. Half of the frames are codes drawn uniformly, half change slowly from place to place, as pictures do,
and fill all of the range or a part of it. One line a network and core: frames, words of steps and outputs that were
compared, and those that differ. The exit status is 1 where one does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from arm_peers import CORES, mlperf_tiny

from edgec import api
from edgec.artefact import Artefact
from edgec.comparison import Reference, reference
from edgec.cosimulation import load_graph
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.sim.c_program import CRun, run_sources
from edgec.interp import random_frames
from edgec.options import WINOGRAD, Options

Frames = dict[str, np.ndarray]


def slow_frames(graph: Graph, count: int, seed: int) -> Frames:
    """Codes that change slowly along every axis: sums of steps, stretched to a part of the format's range."""
    generator = np.random.default_rng(seed)
    frames = {}
    for wanted in graph.inputs:
        values = generator.standard_normal((count, *wanted.shape))
        for axis in range(1, values.ndim):
            values = values.cumsum(axis)
        axes = tuple(range(1, values.ndim))
        values -= values.min(axes, keepdims=True)
        values /= np.maximum(values.max(axes, keepdims=True), 1e-9)
        lo, hi = wanted.format.code_range
        ends = generator.uniform(lo, hi, (2, count)).reshape(2, count, *(1 for _ in axes))
        ends[:, ::2] = np.array([lo, hi]).reshape(2, *(1 for _ in range(values.ndim)))
        codes = np.round(ends[0] + values * (ends[1] - ends[0]))
        frames[wanted.name] = np.clip(codes, lo, hi).astype(wanted.format.dtype)
    return frames


def parts(graph: Graph, count: int, together: int) -> Iterator[Frames]:
    """`count` frames, so many `together`; the second half of each part is slow."""
    for start in range(0, count, together):
        size = min(together, count - start)
        drawn, slow = random_frames(graph, size - size // 2, start), slow_frames(graph, size // 2, start)
        yield {name: np.concatenate([codes, slow[name]]) for name, codes in drawn.items()}


def differences(expected: Reference, found: CRun) -> tuple[int, int]:
    """Words compared, and those that differ. Raises EdgecError E0501 for what is missing or of another shape."""
    words = wrong = 0
    pairs: list[tuple[str, np.ndarray, Mapping[str, np.ndarray]]] = []
    pairs += [(name, codes, found.layers) for name, codes in expected.layers.items()]
    pairs += [(name, codes, found.outputs) for name, codes in expected.outputs.items()]
    for name, codes, where in pairs:
        have = where.get(name)
        if have is None or have.shape != codes.shape:
            raise EdgecError("E0501", f"{name} is missing or has another shape", layer=name)
        words += codes.size
        wrong += int((have.astype(np.int64) != codes.astype(np.int64)).sum())
    return words, wrong


def compared(artefact: Artefact, core: str, compiler: str | None, count: int, together: int) -> tuple[int, int]:
    """Words of `count` frames compared on `core`, and those that differ."""
    graph, facts = load_graph(artefact), artefact.manifest["interface"]
    keep = [p["layer"] for p in facts["probes"]]
    total = np.zeros(2, np.int64)
    for frames in parts(graph, count, together):
        found = run_sources(
            artefact.path, facts["testbench"]["file"], facts, frames, core=core, compiler=compiler, timeout=3600.0
        )
        total += differences(reference(graph, frames, keep), found)
    return int(total[0]), int(total[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--together", type=int, default=100)
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--only", default="")
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    parser.add_argument("--winograd", choices=WINOGRAD, default="auto")
    arguments = parser.parse_args()
    if arguments.frames < 1 or arguments.together < 1:
        parser.error("--frames and --together are 1 or more")
    models = [m for m in mlperf_tiny(arguments.data) if m.kind == "int8" and m.name.startswith(arguments.only)]
    print(f"{'network':9}{'core':12}{'frames':>8}{'words':>16}{'differ':>9}{'seconds':>9}")
    bad = 0
    for model in models:
        for core in arguments.cores.split(","):
            begin = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="edgec-thousand-") as scratch:
                options = Options(batch=1, golden=1, name="net", winograd=arguments.winograd)
                artefact = api.build(model.files["onnx"], core, Path(scratch) / "out", options)
                words, wrong = compared(artefact, core, arguments.compiler, arguments.frames, arguments.together)
            bad += wrong
            seconds = time.monotonic() - begin
            print(f"{model.name:9}{core:12}{arguments.frames:8d}{words:16,d}{wrong:9d}{seconds:9.0f}", flush=True)
    if bad:
        raise SystemExit(f"{bad} words differ")


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
