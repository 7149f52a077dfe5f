"""Compiles whole networks to C, runs them, and compares every step with the interpreter and the outputs with others.

    python bench/c_models.py DATA [--core cortex-a53] [--frames 2] [--only NAME] [--sanitize] [--large]

DATA is a folder with `models/` and `mlperf_tiny/` (ONNX). One line a network: steps; bytes of the arena, its lower
bound and the constants; seconds of CPU time that `edgec build` takes; the largest error of an output against the
interpreter and against onnxruntime (qonnx for QONNX models) relative to the largest output, or the words that differ
where outputs are integers. A step that differs ends the line with FAILED. `--core` builds for a core and runs under
QEMU; `--sanitize` runs with the address and undefined-behaviour sanitizers; `--large` only builds a ResNet-50 of
int8 with random weights instead.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from import_models import FIXED, by_onnxruntime, by_qonnx

import edgec
from edgec.artefact import Artefact
from edgec.comparison import first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.registry import QONNX_DOMAINS
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_program
from edgec.interp import random_frames
from edgec.options import Options
from edgec.verification import FLOAT_TOLERANCE, load_graph

SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
HEAD = f"{'model':36s} {'steps':>5s} {'arena':>9s} {'bound':>9s} {'constants':>9s} {'CPU s':>6s}  interpreter, other"


def error(wanted: np.ndarray, got: np.ndarray, exact: bool) -> str:
    """The largest difference relative to the largest value, or words that differ."""
    if exact:
        return f"{int((wanted != got).sum())}/{wanted.size} words"
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-30)
    return f"{float(np.abs(wanted - got).max(initial=0)) / scale:.1e}"


def others(path: Path, graph: Graph, frames: dict[str, np.ndarray], outputs: Any) -> str:
    """The same against another executor of the model, which takes and gives values."""
    proto = onnx.load(path)
    qonnx = bool({n.domain for n in proto.graph.node} & set(QONNX_DOMAINS))
    kinds = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in proto.graph.input}
    names = [n for n, _ in graph.outputs]
    found: list[list[np.ndarray]] = []
    for k in range(len(next(iter(frames.values())))):
        feed = {}
        for i in graph.inputs:
            values = frames[i.name][k] if kinds[i.name].kind in "iu" else i.format.decode(frames[i.name][k])
            feed[i.name] = values.astype(kinds[i.name])
        found.append((by_qonnx if qonnx else by_onnxruntime)(path, feed, names))
    parts = []
    for n, (name, op) in enumerate(graph.outputs):
        theirs = np.stack([f[n] for f in found]).astype(np.float64)
        codes = theirs.dtype.kind in "iu" or found[0][n].dtype.kind in "iu"
        ours = outputs[name] if codes else op.format.decode(outputs[name])
        parts.append(error(theirs, np.asarray(ours, np.float64), codes))
    return f"{'qonnx' if qonnx else 'ort'} {' '.join(parts)}"


def row(name: str, model: Path | Graph, arguments: argparse.Namespace) -> str:
    """One network, built in a folder that is removed again."""
    flags = SANITIZE if arguments.sanitize else ()
    core = arguments.core or "host"
    options = Options(golden=1)
    if isinstance(model, Path):
        shape = onnx.load(model, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        batch = 1 if shape and shape[0].dim_value <= 0 else None
        options = Options(golden=1, batch=batch, dims=FIXED.get(model.stem, {}))
    with tempfile.TemporaryDirectory(prefix="edgec-models-") as folder:
        started = time.process_time()
        artefact: Artefact = edgec.build(model, core, Path(folder) / "out", options)
        seconds = time.process_time() - started
        graph = load_graph(artefact)
        memory = artefact.manifest["interface"]["memory"]
        probes = artefact.manifest["interface"]["probes"]
        line = f"{name:36s} {1 + max((p['step'] for p in probes), default=-1):5d} {memory['arena_bytes']:9d} "
        line += f"{memory['arena_lower_bound']:9d} {memory['constant_bytes']:9d} {seconds:6.2f}  "
        if not isinstance(model, Path):
            return f"{line}(built only)"
        frames = random_frames(graph, arguments.frames, 1)
        result = run_program(artefact, frames, core=core, flags=flags)
    expected = reference(graph, frames, [p["layer"] for p in probes], result.layers)
    difference = first_difference(expected, result.layers, result.outputs, tolerance=arguments.tolerance)
    if difference is not None:
        return f"{line}FAILED {difference.error(core).diagnostics[0].what}"
    expected = reference(graph, frames, [])  # from the inputs on
    line += " ".join(
        error(expected.outputs[n].astype(np.float64), result.outputs[n].astype(np.float64), not op.format.is_float)
        for n, op in graph.outputs
    )
    return f"{line}, {others(model, graph, frames, result.outputs)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--core")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=FLOAT_TOLERANCE, help="of one step")
    parser.add_argument("--only", default="")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    models: dict[str, Path | Graph] = {}
    if arguments.large:
        from resnet50 import resnet50

        models["ResNet-50 int8"] = resnet50()
    else:
        folders = (arguments.data / "models", arguments.data / "mlperf_tiny")
        models = {p.stem: p for f in folders for p in sorted(f.glob("*.onnx")) if arguments.only in p.name}
    print(HEAD)
    failed = 0
    for name, model in models.items():
        try:
            line = row(name, model, arguments)
        except EdgecError as problem:
            d = problem.diagnostics[0]
            line = f"{name:36s} FAILED {d.code} {d.what} {d.why or ''}"
        failed += "FAILED" in line
        print(line, flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
