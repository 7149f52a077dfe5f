"""Import time: a hundred convolutions with 25 million parameters, in processor seconds."""

from __future__ import annotations

import time

import numpy as np
from onnx import helper
from onnx_support import model_of

from edgec.frontend.onnx import load

LAYERS, CHANNELS = 100, 167
SECONDS = 1.5


def test_a_large_network_imports_quickly(tmp_path):
    weights = np.full((CHANNELS, CHANNELS, 3, 3), 0.01, np.float32)
    nodes, constants = [], {}
    for layer in range(LAYERS):
        constants[f"w{layer}"], constants[f"b{layer}"] = weights, np.zeros(CHANNELS, np.float32)
        operands = [f"r{layer}", f"w{layer}", f"b{layer}"]
        nodes.append(helper.make_node("Conv", operands, [f"c{layer}"], pads=[1, 1, 1, 1], name=f"/conv{layer}"))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer + 1}"], name=f"/relu{layer}"))
    path = tmp_path / "large.onnx"
    path.write_bytes(model_of(nodes, {"r0": [1, CHANNELS, 16, 16]}, [f"r{LAYERS}"], constants).SerializeToString())
    started = time.process_time()
    graph = load(path)
    seconds = time.process_time() - started
    assert graph.parameters > 25_000_000 and len(graph.ops) == 1 + 4 * LAYERS
    assert seconds < SECONDS, f"{seconds:.2f} s"
    print(f"import of {graph.parameters} parameters: {seconds:.2f} s of processor time")
