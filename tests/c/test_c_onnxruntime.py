"""Networks that onnxruntime quantised, unsigned as it does by default too: all layers in vector code, its numbers."""

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

SHAPE = (1, 3, 12, 10)


def float_network(path: Path) -> None:
    """Convolution, depthwise convolution, residual sum, pooling, dense layer; one channel is pruned."""
    g = np.random.default_rng(3)
    tensors: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def parameter(name: str, *shape: int) -> str:
        values = g.normal(0, (shape[1] * np.prod(shape[2:]) if len(shape) > 1 else 4) ** -0.5, shape)
        if name == "d":
            values[5] = 0.0
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    node("Conv", ["x", parameter("a", 16, 3, 3, 3), parameter("ab", 16)], "c1", pads=[1, 1, 1, 1], strides=[2, 2])
    node("Relu", ["c1"], "r1")
    node("Conv", ["r1", parameter("d", 16, 1, 3, 3), parameter("db", 16)], "c2", pads=[1, 1, 1, 1], group=16)
    node("Relu", ["c2"], "r2")
    node("Conv", ["r2", parameter("p", 16, 16, 1, 1), parameter("pb", 16)], "c3")
    node("Add", ["c3", "r1"], "s")
    node("GlobalAveragePool", ["s"], "m")
    node("Flatten", ["m"], "f")
    node("Gemm", ["f", parameter("w", 5, 16), parameter("b", 5)], "y", transB=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def quantised(path: Path, form: str, activations: str, per_channel: bool) -> Path:
    """The float network, quantised by onnxruntime."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Frames(CalibrationDataReader):
        def __init__(self) -> None:
            g = np.random.default_rng(4)
            self.frames = iter([{"x": g.normal(0, 1, SHAPE).astype(np.float32)} for _ in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.frames, None)

    float_network(path / "float.onnx")
    kinds = {"quant_format": QuantFormat[form], "activation_type": QuantType[activations]}
    quantize_static(
        path / "float.onnx", path / "q.onnx", Frames(), **kinds, weight_type=QuantType.QInt8, per_channel=per_channel
    )
    return path / "q.onnx"


@pytest.mark.parametrize(
    ("form", "activations", "per_channel"),
    [("QDQ", "QUInt8", True), ("QOperator", "QUInt8", False), ("QOperator", "QInt8", True)],
)
def test_all_layers_are_vector_code_with_onnxruntime_s_numbers(
    tmp_path: Path, form: str, activations: str, per_channel: bool
) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    model = quantised(tmp_path, form, activations, per_channel)
    compiled = compile_model(model, "cortex-a76")
    graph = compiled.graph
    made = plan(compiled)
    name = made.interface["name"]
    text = made.files[f"src/{name}.c"].decode()
    bodies = re.findall(rf"^static void {name}_s\d+_(?:conv|dense)\(.*?^}}", text, re.M | re.S)
    assert len(bodies) == 4 and all(f"#if {name.upper()}_DOT" in body for body in bodies)
    x = np.random.default_rng(5).normal(0, 1, (6, *SHAPE)).astype(np.float32)
    codes = encode_frames(graph, {"x": x})
    result = run_plan(made, codes, core="cortex-a76")
    found = first_difference(reference(graph, codes), result.layers, result.outputs)
    assert found is None, found
    ((label, output),) = graph.outputs
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(None, {"x": frame})[0] for frame in x])
    fmt = output.format
    assert not fmt.is_float and fmt.code_range == ((0, 255) if activations == "QUInt8" else (-128, 127))
    steps = np.abs(fmt.decode(result.outputs[label]).reshape(expected.shape) - expected) / fmt.scale_array[0]
    assert steps.max() < 1.5 and (steps > 0.5).mean() < 0.2, steps.max()
