"""CPU time to import and quantise a large convolutional network (the budget is 5 s).

    python bench/compile_speed.py [--layers 100] [--channels 168] [--frames 2] [--json]

Writes an ONNX file of Conv, BatchNormalization and Relu blocks (32x32 input, 25 million parameters by default) to a
temporary folder, imports it, folds it and quantises it to int8. CPU time is that of the whole process, all threads
counted, without the generation of the file and the import of the packages. BLAS runs in one thread unless
OPENBLAS_NUM_THREADS says otherwise: on a busy machine its waiting threads burn ten times the time of the work.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgec import frontend
from edgec.pipeline import Context, parse_pipeline, run_pipeline

PASSES = "fold-constants,fold-batch-norm,fuse,fold-padding,quantize"


def network(layers: int, channels: int) -> onnx.ModelProto:
    """`layers` 3x3 convolutions with batch norm and ReLU; the first two halve the image, one more every third."""
    generator = np.random.default_rng(0)
    nodes, tensors = [], []

    def tensor(name: str, values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    value, inputs = "image", 3
    for k in range(layers):
        w = generator.standard_normal((channels, inputs, 3, 3)) * (2 / (9 * inputs)) ** 0.5
        stride = 2 if k < 2 or k == layers // 3 else 1
        nodes.append(
            helper.make_node(
                "Conv", [value, tensor(f"w{k}", w)], [f"c{k}"], f"/conv{k}", pads=[1] * 4, strides=[stride] * 2
            )
        )
        bn = [tensor(f"{n}{k}", generator.uniform(0.8, 1.2, channels)) for n in ("scale", "bias", "mean", "var")]
        nodes.append(helper.make_node("BatchNormalization", [f"c{k}", *bn], [f"n{k}"], f"/bn{k}"))
        nodes.append(helper.make_node("Relu", [f"n{k}"], [f"r{k}"], f"/relu{k}"))
        value, inputs = f"r{k}", channels
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["pooled"], "/pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], "/flat"))
    nodes.append(
        helper.make_node("Gemm", ["flat", tensor("fc", generator.standard_normal((channels, 10)))], ["y"], "/fc")
    )
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def measure(layers: int, channels: int, frames: int) -> dict[str, float]:
    """CPU seconds per step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.onnx"
        onnx.save(network(layers, channels), path)
        steps = parse_pipeline(PASSES)  # also imports the passes
        times: dict[str, float] = {}
        start = time.process_time()
        graph = frontend.load(path)
        times["import"] = time.process_time() - start
    data = np.random.default_rng(1).standard_normal((frames, 1, 3, 32, 32)).astype(np.float32)
    context = Context(calibration={"image": data})
    parameters = graph.parameters
    mark = time.process_time()
    for step in steps:
        graph = run_pipeline(graph, [step], context)
        times[step.name], mark = time.process_time() - mark, time.process_time()
    times["total"] = sum(times.values())
    return {"parameters": parameters, **times}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--channels", type=int, default=168)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times = measure(arguments.layers, arguments.channels, arguments.frames)
    if arguments.json:
        print(json.dumps(times))
        return
    for name, value in times.items():
        print(f"{name:<20}{value:>12,.0f}" if name == "parameters" else f"{name:<20}{value:>12.3f} s CPU")


if __name__ == "__main__":
    main()
