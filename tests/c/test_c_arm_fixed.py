"""Fixed-point networks (QONNX, QKeras) in vector code of bytes, against onnxruntime's floats, which are exact."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgec.api import compile_model, plan
from edgec.comparison import first_difference, reference
from edgec.frames import encode_frames
from edgec.hw.sim.c_program import run_plan

sys.path.insert(0, str(Path(__file__).parents[1] / "hw"))
from hw_support import need

SHAPE = (1, 3, 16, 16)
DOMAIN = "qonnx.custom_op.general"


class Network:
    """Layers between quantisers with scales of 2^-frac, as Quant nodes or as what they stand for."""

    def __init__(self, plain: bool, modes: list[str]) -> None:
        self.plain, self.modes = plain, modes
        self.generator = np.random.default_rng(6)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[TensorProto] = []

    def node(self, kind: str, inputs: list[str], domain: str = "", **attributes: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, array: object) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(array, np.float32), f"c{len(self.tensors)}"))
        return self.tensors[-1].name

    def quant(self, x: str, bits: int, frac: int, signed: bool, mode: str, narrow: bool = False) -> str:
        scale = self.constant(2.0**-frac)
        if not self.plain:
            inputs = [x, scale, self.constant(0.0), self.constant(float(bits))]
            return self.node("Quant", inputs, DOMAIN, signed=int(signed), narrow=int(narrow), rounding_mode=mode)
        lo, hi = (-(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        y = self.node({"ROUND": "Round", "FLOOR": "Floor"}[mode], [self.node("Div", [x, scale])])
        return self.node("Mul", [self.node("Clip", [y, self.constant(float(lo)), self.constant(float(hi))]), scale])

    def activation(self, x: str, bits: int, frac: int, signed: bool) -> str:
        self.modes = [*self.modes[1:], self.modes[0]]
        return self.quant(x, bits, frac, signed, self.modes[0])

    def layer(self, x: str, bits: int, frac: int, *shape: int, **attributes: object) -> str:
        spread = (1 << (bits - 1)) / 2.5
        codes = np.clip(np.rint(self.generator.normal(0, spread, shape)), 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1)
        w = self.quant(self.constant(codes * 2.0**-frac), bits, frac, True, "ROUND", narrow=True)
        b = self.quant(self.constant(self.generator.normal(0, 0.3, shape[0])), 8, 5, True, "ROUND")
        return self.node("Conv" if attributes else "Gemm", [x, w, b], **(attributes or {"transB": 1}))

    def save(self, path: Path) -> Path:
        same = {"pads": [1, 1, 1, 1]}
        x = self.activation("x", 8, 8, False)
        x = self.layer(x, 8, 8, 16, 3, 3, 3, strides=[2, 2], **same)
        x = self.activation(self.node("Relu", [x]), 8, 6, False)
        first = x
        x = self.layer(x, 8, 8, 16, 1, 3, 3, group=16, **same)
        x = self.activation(self.node("Relu", [x]), 5, 3, False)
        x = self.layer(x, 8, 9, 16, 16, 3, 3, **same)
        x = self.activation(x, 8, 5, True)
        x = self.activation(self.node("Add", [x, first]), 7, 5, True)
        x = self.layer(x, 6, 7, 24, 16, 1, 1, pads=[0, 0, 0, 0])
        x = self.activation(self.node("Relu", [x]), 8, 5, False)
        x = self.node("Flatten", [self.node("MaxPool", [x], kernel_shape=[4, 4], strides=[4, 4])])
        x = self.layer(x, 8, 8, 10, 24 * 4)
        y = self.activation(x, 8, 5, False)
        info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", SHAPE), (y, (1, 10)))]
        graph = helper.make_graph(self.nodes, "net", info[:1], info[1:], self.tensors)
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


@pytest.mark.parametrize("modes", [["ROUND"], ["FLOOR", "ROUND"]])
@pytest.mark.parametrize("core", ["cortex-a76", "cortex-a72"])
def test_all_layers_are_vector_code_with_exact_numbers(tmp_path: Path, core: str, modes: list[str]) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    compiled = compile_model(Network(False, modes).save(tmp_path / "q.onnx"), core)
    graph = compiled.graph
    made = plan(compiled)
    text = made.files["src/q.c"].decode()
    bodies = re.findall(r"^static void q_s\d+_(?:conv|dense)\(.*?^}", text, re.M | re.S)
    assert core != "cortex-a72" or modes != ["ROUND"] or "winograd_results_even(" in text
    assert len(bodies) == 5 and all(re.search(r"^#if Q_(DOT|NEON)", body, re.M) for body in bodies)
    x = np.random.default_rng(7).uniform(-0.1, 1.1, (6, *SHAPE)).astype(np.float32)
    codes = encode_frames(graph, {"x": x})
    expected = reference(graph, codes)
    for where in ({"core": core}, {}):  # vectors, and the portable code on this machine
        result = run_plan(made, codes, **where)
        found = first_difference(expected, result.layers, result.outputs)
        assert found is None, found
    ((label, output),) = graph.outputs
    model = Network(True, modes).save(tmp_path / "plain.onnx")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    exact = np.stack([session.run(None, {"x": frame})[0] for frame in x])
    values = output.format.decode(result.outputs[label]).reshape(exact.shape)
    assert len(np.unique(exact)) > 15
    assert (values == exact).all(), np.abs(values - exact).max()
