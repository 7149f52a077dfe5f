"""Imports every ONNX model of some folders and compares the interpreter with the model's own executor.

    python bench/import_models.py FOLDER... [--frames 4] [--seed 1] [--only NAME]

Float and QDQ models are compared with onnxruntime (graph optimisations off), QONNX models with qonnx. One line a
model: nodes, parameters, import CPU time, the largest difference relative to the largest output (floats), or the
share of equal codes (integer outputs). Dynamic dimensions: batch 1; others as given in `FIXED` below.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnx

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx import load
from edgec.frontend.onnx.registry import QONNX_DOMAINS
from edgec.graph import Graph
from edgec.interp import random_frames, run

FIXED = {"ch_ppocr_mobile_v2.0_cls_infer": {"x:2": 48, "x:3": 192}}


def by_onnxruntime(path: Path, frame: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Outputs of one frame from onnxruntime without graph optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(names, frame)


def by_qonnx(path: Path, frame: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Outputs of one frame from the qonnx executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    proto = onnx.load(path)
    stated = {o.domain for o in proto.opset_import}
    for domain in {n.domain for n in proto.graph.node} - stated:
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    model = ModelWrapper(proto).transform(InferShapes())
    result = execute_onnx(model, frame)
    return [result[n] for n in names]


def compare(path: Path, graph: Graph, count: int, seed: int) -> str:
    proto = onnx.load(path)
    domains = {n.domain for n in proto.graph.node}
    reference = by_qonnx if domains & set(QONNX_DOMAINS) else by_onnxruntime
    frames = random_frames(graph, count, seed)
    started = time.process_time()
    ours = run(graph, frames)
    seconds = time.process_time() - started
    names = [n for n, _ in graph.outputs]
    worst, equal, total = 0.0, 0, 0
    for f in range(count):
        theirs = reference(path, {n: a[f] for n, a in frames.items()}, names)
        for name, wanted in zip(names, theirs, strict=True):
            got = ours[name][f]
            if got.shape != wanted.shape:
                return f"WRONG SHAPE {got.shape} for {wanted.shape}"
            scale = max(float(np.abs(wanted.astype(np.float64)).max()), 1e-30)
            worst = max(worst, float(np.abs(got.astype(np.float64) - wanted).max()) / scale)
            equal += int((got == wanted).sum())
            total += wanted.size
    tool = "qonnx" if reference is by_qonnx else "onnxruntime"
    return f"{tool}: rel {worst:.1e}, equal {equal}/{total}; {seconds / count:.3f} s a frame"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    failed = 0
    for path in sorted(p for folder in arguments.folders for p in folder.glob("*.onnx")):
        if arguments.only not in path.name:
            continue
        started = time.process_time()
        try:
            proto = onnx.load(path)
            dynamic = any(
                i.type.tensor_type.shape.dim and not i.type.tensor_type.shape.dim[0].dim_value > 0
                for i in proto.graph.input
            )
            started = time.process_time()
            graph = load(path, batch=1 if dynamic else None, dims=FIXED.get(path.stem))
        except EdgecError as error:
            what = "; ".join(f"{d.code} {d.what} at {d.layer}" for d in error.diagnostics)
            print(f"{path.name:40s} refused: {what}")
            continue
        seconds = time.process_time() - started
        line = compare(path, graph, arguments.frames, arguments.seed)
        print(
            f"{path.name:40s} {len(graph.ops):4d} ops {graph.parameters:9d} constants, "
            f"import {seconds:.3f} s CPU; {line}",
            flush=True,
        )
        failed += "WRONG" in line
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
