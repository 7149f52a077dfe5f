"""Executed instructions per inference of edgec's C code on 64-bit Arm, beside other runtimes.

    python bench/arm_models.py DATA [--work FOLDER] [--cores cortex-a76,...] [--compiler zig|gcc] [--without-peers]

DATA holds the int8 networks of MLPerf Tiny (mlcommons/tiny) as .tflite and, converted by tf2onnx, as .onnx. Each is
built for each core and verified under QEMU: every layer and output of two random frames against the interpreter. Then
one inference is counted. The other runtimes are counted by `bench/arm_peers.py`, which says what that needs; FOLDER is
its folder. The ratio is to the runtime with the fewest instructions.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from arm_peers import CORES, RUNTIMES, Model, mlperf_tiny, peer_counts

from edgec import api
from edgec.cosimulation import load_graph
from edgec.diagnostics import EdgecError
from edgec.hw.sim.c_program import run_sources
from edgec.hw.tools.cache import cache_folder
from edgec.interp import random_frames
from edgec.options import Options

VECTORS = 2


@dataclass(frozen=True)
class Count:
    """One network on one core: instructions of an inference, bytes of working memory and of constants."""

    instructions: int
    arena: int
    constants: int


def counted(model: Model, core: str, compiler: str | None) -> Count:
    """Build, verify and count. Raises EdgecError at the first wrong word."""
    with tempfile.TemporaryDirectory(prefix="edgec-arm-") as scratch:
        artefact = api.build(model.files["onnx"], core, Path(scratch) / "out", Options(batch=1, golden=1, name="net"))
        api.verify(artefact, on=["qemu-aarch64"], vectors=VECTORS)
        facts = artefact.manifest["interface"]
        frames = random_frames(load_graph(artefact), VECTORS, 1)
        main = facts["testbench"]["file"]
        done = run_sources(
            artefact.path, main, facts, frames, core=core, compiler=compiler, layers=False, count_instructions=True
        )
    assert done.instructions is not None
    memory = facts["memory"]
    return Count(done.instructions, memory["arena_bytes"], memory["constant_bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    cores = arguments.cores.split(",")
    work = arguments.work or cache_folder("arm-peers")
    models = [m for m in mlperf_tiny(arguments.data) if m.kind == "int8"]
    peers = {} if arguments.without_peers else peer_counts(work, models, cores)["int8"]
    runtimes = [] if arguments.without_peers else list(RUNTIMES)
    print("thousand instructions per int8 inference; ratio to the best other runtime; KiB of arena and constants")
    heads = ["edgec", *runtimes, *["ratio"] * bool(runtimes), "arena", "constants"]
    print(f"{'network':9}{'core':12}" + "".join(f"{head:>13}" for head in heads))
    for model in models:
        for core in cores:
            mine = counted(model, core, arguments.compiler)
            row = peers.get(model.name, {}).get(core, {})
            cells = [f"{mine.instructions / 1000:,.1f}"]
            cells += [f"{row[r] / 1000:,.1f}" if r in row else "-" for r in runtimes]
            cells += [f"{mine.instructions / min(row.values()):.2f}"] if row else []
            cells += [f"{size / 1024:.1f}" for size in (mine.arena, mine.constants)]
            print(f"{model.name:9}{core:12}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
