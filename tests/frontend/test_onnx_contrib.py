"""Quantised operators of the domain com.microsoft against onnxruntime's own kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgec
from edgec.interp import run
from edgec.ops import Conv, Dense

DOMAIN = "com.microsoft"
TYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}


class Model:
    """One operator on inputs `x0`, `x1`, ... of codes, its parameters constants in the order they are added."""

    def __init__(self, kind: str, dtype: str, seed: int) -> None:
        self.kind, self.dtype, self.generator = kind, dtype, np.random.default_rng(seed)
        self.inputs: list[str] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.constants: list[TensorProto] = []

    def constant(self, array: Any, dtype: str) -> Model:
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), f"c{len(self.constants)}"))
        self.inputs.append(self.constants[-1].name)
        return self

    def codes(self, *shape: int) -> np.ndarray:
        info = np.iinfo(self.dtype)
        return self.generator.integers(info.min, info.max, shape, endpoint=True).astype(self.dtype)

    def unit(self, scale: float, zero: int) -> Model:
        """A scale and a zero point, which counts from the lowest code on."""
        return self.constant(scale, "float32").constant(zero + np.iinfo(self.dtype).min, self.dtype)

    def x(self, *shape: int) -> Model:
        name = f"x{len(self.shapes)}"
        self.shapes[name] = shape
        self.inputs.append(name)
        return self

    def made(self, **attributes: Any) -> onnx.ModelProto:
        node = helper.make_node(self.kind, self.inputs, ["y"], domain=DOMAIN, name="it", **attributes)
        values = [helper.make_tensor_value_info(n, TYPES[self.dtype], s) for n, s in self.shapes.items()]
        y = helper.make_tensor_value_info("y", TYPES[self.dtype], None)
        graph = helper.make_graph([node], "net", values, [y], self.constants)
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def check(self, folder: Path, *, frames: int = 8, most: int = 1, rare: float = 0.02, **attributes: Any) -> Any:
        """Equal codes, but for at most a share `rare` of results that are `most` apart: float32 against exact ties."""
        path = folder / "m.onnx"
        onnx.save(self.made(**attributes), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        graph = edgec.load(path)
        x = {n: self.codes(frames, *s) for n, s in self.shapes.items()}
        y = run(graph, x)["y"].astype(int)
        expected = np.stack([session.run(None, {n: a[k] for n, a in x.items()})[0] for k in range(frames)]).astype(int)
        assert y.shape == expected.shape and len(np.unique(expected)) > 8
        off = np.abs(y - expected)
        assert off.max() <= most and (off > 0).mean() <= rare, (off.max(), (off > 0).mean())
        return graph


@pytest.fixture(params=["uint8", "int8"])
def dtype(request) -> str:
    return request.param


@pytest.mark.parametrize("by_output", [0, 1])
def test_qgemm(tmp_path: Path, dtype: str, by_output: int) -> None:
    m = Model("QGemm", dtype, 1)
    m.x(2, 6).unit(0.02, 120)
    m.constant(m.codes(4, 6) if by_output else m.codes(6, 4), dtype).unit(0.01, 128)
    m.constant(m.generator.integers(-2000, 2000, 4), "int32").unit(0.08, 130)
    graph = m.check(tmp_path, transB=by_output)
    assert any(isinstance(op, Dense) and op.b is not None for op in graph.ops)


def test_qgemm_of_floats_and_per_channel(tmp_path: Path) -> None:
    """Without a scale of the result it is floats."""
    m = Model("QGemm", "int8", 2)
    m.x(1, 6).unit(0.02, 120).constant(m.codes(6, 4), "int8")
    m.constant([0.01, 0.02, 0.03, 0.04], "float32").constant([0] * 4, "int8").constant([100, -5, 30, 7], "int32")
    proto = m.made()
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(proto, tmp_path / "m.onnx")
    x = m.codes(5, 1, 6)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(None, {"x0": a})[0] for a in x])
    y = run(edgec.load(tmp_path / "m.onnx"), {"x0": x})["y"]
    assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
def test_two_operands(tmp_path: Path, dtype: str, kind: str) -> None:
    Model(kind, dtype, 3).x(1, 3, 4).unit(0.02, 120).x(3, 1).unit(0.03, 100).unit(0.05, 140).check(tmp_path)


def test_average_pools(tmp_path: Path, dtype: str) -> None:
    m = Model("QLinearAveragePool", dtype, 4).x(1, 3, 6, 7).unit(0.02, 120).unit(0.015, 126)
    m.check(tmp_path, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1])
    m = Model("QLinearGlobalAveragePool", dtype, 5).x(1, 9, 4, 4).unit(0.02, 120).unit(0.01, 126)
    m.check(tmp_path, channels_last=0)


def test_functions(tmp_path: Path, dtype: str) -> None:
    Model("QLinearSigmoid", dtype, 6).x(1, 40).unit(0.05, 128).unit(1 / 256, 0).check(tmp_path)
    Model("QLinearLeakyRelu", dtype, 7).x(1, 40).unit(0.05, 120).unit(0.04, 90).check(tmp_path, alpha=0.2)
    m = Model("QLinearSoftmax", dtype, 8).x(1, 3, 7).unit(0.03, 128).unit(1 / 256, 0)
    m.check(tmp_path, axis=2, opset=13)


def test_concat(tmp_path: Path, dtype: str) -> None:
    m = Model("QLinearConcat", dtype, 9).unit(0.05, 120)
    m.x(1, 3, 4).unit(0.02, 120).x(1, 2, 4).unit(0.05, 120)
    m.check(tmp_path, axis=1)


@pytest.mark.parametrize(
    ("kind", "attributes", "code", "word"),
    [
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "channels_last": 1}, "E0304", "channels_last"),
        ("QLinearConcat", {"axis": 0}, "E0302", "dimensions"),
        ("QGemm", {"alpha": 2.0}, "E0304", "alpha"),
        ("QLinearSigmoid", {"wonder": 2}, "E0304", "wonder"),
        ("QAttention", {}, "E0303", "table"),
    ],
)
def test_refusals(tmp_path: Path, kind: str, attributes: dict[str, Any], code: str, word: str) -> None:
    m = Model(kind, "int8", 10).x(1, 2, 4, 4).unit(0.02, 120).unit(0.02, 120)
    onnx.save(m.made(**attributes), tmp_path / "m.onnx")
    with pytest.raises(edgec.EdgecError) as error:
        edgec.load(tmp_path / "m.onnx")
    assert [d.code for d in error.value.diagnostics] == [code] and word in str(error.value)


def test_weights_that_were_quantised_twice(tmp_path: Path) -> None:
    """QLinearConv of QuantizeLinear(DequantizeLinear(constant)): the codes are computed at import."""
    g = np.random.default_rng(11)
    w = g.integers(-127, 128, (3, 2, 3, 3)).astype(np.int8)
    values = {"w": w, "ws": np.float32(0.013), "wz": np.int8(0), "s": np.float32(0.02), "z": np.uint8(121)}
    values |= {"vs": np.float32(0.017), "vz": np.uint8(93)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["f"], name="dq"),
        helper.make_node("QuantizeLinear", ["f", "vs", "vz"], ["v"], name="q"),
        helper.make_node("QLinearConv", ["x", "s", "z", "v", "vs", "vz", "s", "z"], ["y"], name="conv"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, (1, 2, 6, 6))
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, (1, 3, 4, 4))
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in values.items()]
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = edgec.load(tmp_path / "m.onnx")
    assert any(isinstance(op, Conv) for op in found.ops)
    codes = g.integers(0, 256, (9, 1, 2, 6, 6)).astype(np.uint8)
    expected = np.stack([session.run(None, {"x": c})[0] for c in codes]).astype(int)
    off = np.abs(run(found, {"x": codes})["y"].astype(int) - expected)
    assert off.max() <= 1 and (off > 0).mean() < 0.01


@pytest.mark.parametrize("kind", ["int16", "uint16"])
def test_quantisation_to_16_bits(tmp_path: Path, kind: str) -> None:
    """QuantizeLinear and DequantizeLinear of this domain, which `quantize_static` writes for 16 bits, per channel."""
    values = {"s": np.array([1e-4, 2e-4, 3e-4], np.float32), "z": np.array([-5, 0, 77], np.int64)}
    values["z"] = (values["z"] + (32768 if kind == "uint16" else 0)).astype(kind)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], domain=DOMAIN, name="q", axis=2),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], domain=DOMAIN, name="dq", axis=2),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2, 3)) for n in "xy")
    graph = helper.make_graph(nodes, "net", [x], [y], [numpy_helper.from_array(a, n) for n, a in values.items()])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    frames = np.random.default_rng(12).normal(0, 4, (9, 1, 2, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    expected = np.stack([session.run(None, {"x": frame})[0] for frame in frames])
    assert (run(edgec.load(tmp_path / "m.onnx"), {"x": frames})["y"] == expected).all()
