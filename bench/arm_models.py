"""Executed instructions per inference of edgec's C code on 64-bit Arm, beside other runtimes.

    python bench/arm_models.py DATA [--kind int8|float32] [--work FOLDER] [--cores cortex-a76,...] [--compiler zig|gcc]
        [--winograd auto|stored|computed|off] [--without-peers] [--sizes]

DATA holds the networks of MLPerf Tiny (mlcommons/tiny) as .tflite and, converted by tf2onnx, as .onnx. Each is built
for each core and verified under QEMU: every layer and output of two random frames against the interpreter. Then one
inference is counted. The other runtimes are counted by `bench/arm_peers.py`, which says what that needs; FOLDER is
its folder. The ratio is to the runtime with the fewest instructions; float16 arithmetic counts as one.

`size` is that of code and constants of the model's objects in memory, `line` what it may be: 1.3 times the weights, one
byte each of int8 and four of float32, and 60 kB. The exit status is 1 where a model is larger. `--sizes` only compiles,
both kinds of models for all targets of Cortex-A and this machine, with every compiler, unless `--compiler` names one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arm_peers import CORES, RUNTIMES, Model, mlperf_tiny, peer_counts

from edgec import api
from edgec.backends.c.vector.order import ROOM, SHARE, constant_bytes
from edgec.cosimulation import load_graph
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.arm.size import objects_of
from edgec.hw.sim.c_program import run_sources
from edgec.hw.tools.cache import cache_folder
from edgec.interp import random_frames
from edgec.options import WINOGRAD, Options

VECTORS = 2


SIZED = {
    core: ("gcc", "zig") for core in ("cortex-a53", "cortex-a55", "cortex-a72", "cortex-a76", "cortex-a78", "cortex-x1")
} | {"host": (None,)}
"""Targets, and the compilers of each."""


@dataclass(frozen=True)
class Count:
    """One network on one core: instructions of an inference, bytes of working memory (and its lower bound), of
    constants, of constants and code together, and what these may be."""

    instructions: int
    arena: int
    bound: int
    constants: int
    size: int
    line: float


def limit(graph: Graph) -> float:
    """Bytes that a model may take."""
    return SHARE * constant_bytes(graph)[0] + ROOM


def counted(model: Model, core: str, compiler: str | None, winograd: str = "auto") -> Count:
    """Build, verify and count. Raises EdgecError at the first wrong word."""
    with tempfile.TemporaryDirectory(prefix="edgec-arm-") as scratch:
        options = Options(batch=1, golden=1, name="net", winograd=winograd)
        artefact = api.build(model.files["onnx"], core, Path(scratch) / "out", options)
        api.verify(artefact, on=["qemu-aarch64"], vectors=VECTORS)
        facts = artefact.manifest["interface"]
        graph = load_graph(artefact)
        frames = random_frames(graph, VECTORS, 1)
        main = facts["testbench"]["file"]
        done = run_sources(
            artefact.path, main, facts, frames, core=core, compiler=compiler, layers=False, count_instructions=True
        )
        size = sum(objects_of(artefact, core, compiler))
    assert done.instructions is not None
    memory = facts["memory"]
    line = limit(graph)
    arena, bound = memory["arena_bytes"], memory["arena_lower_bound"]
    return Count(done.instructions, arena, bound, memory["constant_bytes"], size, line)


def sized(models: Sequence[Model], compiler: str | None, winograd: str) -> int:
    """Print what every model takes for every target, as a share of its limit; how many are larger."""
    large = 0
    print(f"{'network':9}{'kind':9}{'core':12}{'compiler':9}{'size KiB':>10}{'line':>10}{'share':>8}")
    for model in models:
        for core, compilers in SIZED.items():
            with tempfile.TemporaryDirectory(prefix="edgec-arm-") as scratch:
                options = Options(batch=1, golden=1, name="net", winograd=winograd)
                artefact = api.build(model.files["onnx"], core, Path(scratch) / "out", options)
                most = limit(load_graph(artefact))
                for one in compilers if compiler is None else [c for c in compilers if c in (compiler, None)]:
                    size = sum(objects_of(artefact, core, one))
                    large += size > most
                    cells = f"{size / 1024:10.1f}{most / 1024:10.1f}{size / most:8.2f}"
                    print(f"{model.name:9}{model.kind:9}{core:12}{one or 'cc':9}{cells}", flush=True)
    return large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    parser.add_argument("--kind", choices=("int8", "float32"), default="int8")
    parser.add_argument("--winograd", choices=WINOGRAD, default="auto")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    arguments = parser.parse_args()
    if arguments.sizes:
        if large := sized(mlperf_tiny(arguments.data), arguments.compiler, arguments.winograd):
            raise SystemExit(f"{large} larger than they may be")
        return
    cores = arguments.cores.split(",")
    work = arguments.work or cache_folder("arm-peers")
    models = [m for m in mlperf_tiny(arguments.data) if m.kind == arguments.kind]
    peers = {} if arguments.without_peers else peer_counts(work, models, cores)[arguments.kind]
    runtimes = [] if arguments.without_peers else list(RUNTIMES)
    print(f"thousand instructions per {arguments.kind} inference; ratio to the best other runtime; KiB of arena, of it")
    print("above its lower bound, of constants, of constants and code, and what these may be")
    heads = ["edgec", *runtimes, *["ratio"] * bool(runtimes), "arena", "above", "constants", "size", "line"]
    large = 0
    print(f"{'network':9}{'core':12}" + "".join(f"{head:>13}" for head in heads))
    for model in models:
        for core in cores:
            mine = counted(model, core, arguments.compiler, arguments.winograd)
            large += mine.size > mine.line
            row = peers.get(model.name, {}).get(core, {})
            cells = [f"{mine.instructions / 1000:,.1f}"]
            cells += [f"{row[r] / 1000:,.1f}" if r in row else "-" for r in runtimes]
            cells += [f"{mine.instructions / min(row.values()):.2f}"] if row else []
            sizes = (mine.arena, mine.arena - mine.bound, mine.constants, mine.size, mine.line)
            cells += [f"{size / 1024:.1f}" for size in sizes]
            print(f"{model.name:9}{core:12}" + "".join(f"{cell:>13}" for cell in cells), flush=True)
    if large:
        raise SystemExit(f"{large} larger than they may be")


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
