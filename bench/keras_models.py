"""The float models of MLPerf Tiny, read from Keras's `.h5` and from the ONNX conversion beside it.

    python bench/keras_models.py FOLDER [--frames 4]

Prints, for each `.h5` file, the time to import, the size of the graph, its transposes, and the largest difference
between the two imports on random inputs, both run by the interpreter. The ONNX files were converted from TFLite by
others, so both imports would have to be wrong in the same way to agree.

`ad01_fp32.onnx` lacks the biases of the dense layers in front of batch normalisations, which the `.h5` has and Keras
adds. The last column compares with the Keras file as if those biases were zero; it decides for that model alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import edgec
from edgec.graph import Graph, Uses, rewrite
from edgec.interp import random_frames, run
from edgec.ops import BatchNorm, Constant, Dense, Op, Transpose

PAIRS = {
    "ad01": "ad01_fp32",
    "pretrainedResnet": "pretrainedResnet",
    "vww_96": "vww_96_float",
    "str_ww_ref_model": None,
}
"""The Keras file and the ONNX file of the same network."""
LACKS_BIASES = ("ad01",)
TOLERANCE = 1e-4


def by_order(graph: Graph, frames: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph for frames that are given to its inputs in order."""
    named = {i.name: f.reshape(len(f), *i.shape) for i, f in zip(graph.inputs, frames.values(), strict=True)}
    return list(run(graph, named).values())


def without_biases(op: Op, uses: Uses) -> Op | None:
    """A batch norm whose dense layer has no bias."""
    match op:
        case BatchNorm(x=Dense(b=Constant()) as dense):
            return op.replace(x=dense.replace(b=None))
    return None


def largest(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    return max(float(np.abs(a.ravel() - b.ravel()).max()) for a, b in zip(mine, theirs, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=4)
    arguments = parser.parse_args()
    columns = f"{'model':18} {'import s':>8} {'ops':>5} {'transposes':>10} {'parameters':>10}"
    print(f"{columns} {'difference':>11} {'no dense bias':>13}")
    failed = 0
    for name, other in PAIRS.items():
        start = time.perf_counter()
        graph = edgec.load(arguments.folder / f"{name}.h5")
        seconds = time.perf_counter() - start
        frames = random_frames(graph, arguments.frames, seed=1)
        mine = by_order(graph, frames)
        difference = plain = float("nan")
        if other is not None:
            theirs = by_order(edgec.load(arguments.folder / f"{other}.onnx", batch=1), frames)
            difference = largest(mine, theirs)
            plain = largest(by_order(rewrite(graph, without_biases), frames), theirs)
            failed += not (plain if name in LACKS_BIASES else difference) <= TOLERANCE
        moves = sum(isinstance(op, Transpose) for op in graph.ops)
        row = f"{name:18} {seconds:8.2f} {len(graph.ops):5} {moves:10} {graph.parameters:10}"
        print(f"{row} {difference:11.2e} {plain:13.2e}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
