"""integerize against onnxruntime's integer kernels on a small residual network written twice.

edgec reads it as QuantizeLinear/DequantizeLinear pairs, onnxruntime as QLinearConv, QLinearAdd,
QLinearGlobalAveragePool and QGemm, every intermediate tensor exposed. Each layer is fed with onnxruntime's codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgec import frontend
from edgec.interp import evaluate, run
from edgec.ops import Input, Op
from edgec.pipeline import Context, parse_pipeline, run_pipeline
from edgec.tiecheck import explain

CONTRIB = "com.microsoft"


@dataclass
class Net:
    """Nodes of both forms side by side; tensors are named alike."""

    generator: np.random.Generator
    pairs: list[onnx.NodeProto] = field(default_factory=list)
    kernels: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    scales: dict[str, float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)

    def constant(self, name: str, values: object, dtype: str) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def tensor(self, name: str, scale: float, zero: int) -> tuple[str, str, str]:
        """Scale and zero point of an activation; its float form is dequantised for the pairs."""
        self.scales[name], self.zeros[name] = float(np.float32(scale)), zero
        s, z = self.constant(f"{name}_s", scale, "float32"), self.constant(f"{name}_z", zero, "int8")
        self.pairs.append(helper.make_node("DequantizeLinear", [name, s, z], [f"{name}_f"], name=f"{name}_dq"))
        return name, s, z

    def result(self, name: str, scale: float, zero: int, source: str) -> None:
        s, z = f"{name}_s", f"{name}_z"
        self.pairs.append(helper.make_node("QuantizeLinear", [source, s, z], [name], name=f"{name}_q"))
        self.tensor(name, scale, zero)

    def conv(
        self, x: str, name: str, shape: tuple[int, ...], scale: float, zero: int, relu: bool, **attributes: object
    ) -> None:
        g = self.generator
        w = self.constant(f"{name}_w", g.integers(-127, 128, shape), "int8")
        ws = g.uniform(0.002, 0.02, shape[0]).astype(np.float32)
        s = self.constant(f"{name}_ws", ws, "float32")
        z = self.constant(f"{name}_wz", np.zeros(shape[0]), "int8")
        b = self.constant(f"{name}_b", g.integers(-3000, 3000, shape[0]), "int32")
        bs = self.constant(f"{name}_bs", ws * np.float32(self.scales[x]), "float32")
        bz = self.constant(f"{name}_bz", np.zeros(shape[0]), "int32")
        self.pairs += [
            helper.make_node("DequantizeLinear", [w, s, z], [f"{w}_f"], axis=0),
            helper.make_node("DequantizeLinear", [b, bs, bz], [f"{b}_f"], axis=0),
            helper.make_node("Conv", [f"{x}_f", f"{w}_f", f"{b}_f"], [f"{name}_c"], name=name, **attributes),
        ]
        if relu:
            self.pairs.append(helper.make_node("Relu", [f"{name}_c"], [f"{name}_r"], name=f"{name}_relu"))
        self.result(name, scale, zero, f"{name}_r" if relu else f"{name}_c")
        inputs = [x, f"{x}_s", f"{x}_z", w, s, z, f"{name}_s", f"{name}_z", b]
        self.kernels.append(helper.make_node("QLinearConv", inputs, [name], **attributes))

    def add(self, a: str, b: str, name: str, scale: float, zero: int) -> None:
        self.pairs.append(helper.make_node("Add", [f"{a}_f", f"{b}_f"], [f"{name}_a"], name=name))
        self.result(name, scale, zero, f"{name}_a")
        inputs = [v for t in (a, b, name) for v in ((t, f"{t}_s", f"{t}_z") if t != name else (f"{t}_s", f"{t}_z"))]
        self.kernels.append(helper.make_node("QLinearAdd", inputs, [name], domain=CONTRIB))

    def mean(self, x: str, name: str, scale: float, zero: int) -> None:
        self.pairs.append(helper.make_node("GlobalAveragePool", [f"{x}_f"], [f"{name}_m"], name=name))
        self.result(name, scale, zero, f"{name}_m")
        inputs = [x, f"{x}_s", f"{x}_z", f"{name}_s", f"{name}_z"]
        self.kernels.append(helper.make_node("QLinearGlobalAveragePool", inputs, [name], domain=CONTRIB))

    def dense(self, x: str, name: str, inputs: int, outputs: int, scale: float, zero: int) -> None:
        g = self.generator
        w = self.constant(f"{name}_w", g.integers(-127, 128, (inputs, outputs)), "int8")
        s = self.constant(f"{name}_ws", 0.0131, "float32")
        z = self.constant(f"{name}_wz", 0, "int8")
        b = self.constant(f"{name}_b", g.integers(-3000, 3000, outputs), "int32")
        bs = self.constant(f"{name}_bs", np.float32(0.0131) * np.float32(self.scales[x]), "float32")
        bz = self.constant(f"{name}_bz", 0, "int32")
        shape = self.constant(f"{name}_shape", [1, inputs], "int64")
        self.pairs += [
            helper.make_node("Reshape", [f"{x}_f", shape], [f"{name}_flat"]),
            helper.make_node("DequantizeLinear", [w, s, z], [f"{w}_f"]),
            helper.make_node("DequantizeLinear", [b, bs, bz], [f"{b}_f"]),
            helper.make_node("Gemm", [f"{name}_flat", f"{w}_f", f"{b}_f"], [f"{name}_g"], name=name),
        ]
        self.result(name, scale, zero, f"{name}_g")
        self.kernels += [
            helper.make_node("Reshape", [x, shape], [f"{name}_codes"]),
            helper.make_node(
                "QGemm",
                [f"{name}_codes", f"{x}_s", f"{x}_z", w, s, z, b, f"{name}_s", f"{name}_z"],
                [name],
                domain=CONTRIB,
            ),
        ]

    def model(self, nodes: list[onnx.NodeProto], outputs: list[str], shape: tuple[int, ...]) -> onnx.ModelProto:
        made = {o for n in nodes for o in n.output}
        used = {i for n in nodes for i in n.input}
        graph = helper.make_graph(
            [n for n in nodes if set(n.output) & (used | set(outputs))],
            "net",
            [helper.make_tensor_value_info("x", TensorProto.INT8, shape)],
            [helper.make_tensor_value_info(o, TensorProto.INT8, None) for o in outputs],
            [c for c in self.constants if c.name in used],
        )
        assert set(outputs) <= made
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


LAYERS = ["conv0", "depthwise", "conv1", "sum", "mean", "dense"]
SHAPE = (1, 3, 9, 9)


def network(seed: int) -> Net:
    net = Net(np.random.default_rng(seed))
    net.tensor("x", 0.031, 7)
    net.conv("x", "conv0", (8, 3, 3, 3), 0.05, -128, True, pads=[1, 1, 1, 1])
    net.conv("conv0", "depthwise", (8, 1, 3, 3), 0.043, -128, True, pads=[1, 1, 1, 1], group=8)
    net.conv("depthwise", "conv1", (8, 8, 1, 1), 0.09, 11, False)
    net.add("conv1", "conv0", "sum", 0.1, -20)
    net.mean("sum", "mean", 0.047, -3)
    net.dense("mean", "dense", 8, 5, 0.12, 9)
    return net


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arithmetic", ["float32", "integer"])
def test_every_layer(tmp_path: Path, seed: int, arithmetic: str) -> None:
    net = network(seed)
    path = tmp_path / "net.onnx"
    onnx.save(net.model(net.pairs, ["dense"], SHAPE), path)
    context = Context()
    steps = f"fold-constants,fuse,integerize{{arithmetic={arithmetic}}},integer-io"
    graph = run_pipeline(frontend.load(path), parse_pipeline(steps), context)
    assert not [d for d in context.diagnostics if d.code == "N0003"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    kernels = net.model(net.kernels, LAYERS, SHAPE).SerializeToString()
    session = onnxruntime.InferenceSession(kernels, options, providers=["CPUExecutionProvider"])
    places = {op.loc[-1].removesuffix("_q"): op for op in graph.ops if op.loc and op.loc[-1].endswith("_q")}
    assert sorted(places) == sorted(LAYERS)
    name_of = {op: name for name, op in places.items()}
    codes = np.random.default_rng(seed + 100).integers(-128, 128, (16, *SHAPE)).astype(np.int8)
    runs = [session.run(LAYERS, {"x": frame}) for frame in codes]
    theirs = {name: np.stack([r[i] for r in runs]) for i, name in enumerate(LAYERS)}
    values: dict[Op, np.ndarray] = {}
    for op in graph.ops:
        values[op] = codes if isinstance(op, Input) else evaluate(op, [values[o] for o in op.operands])
        if op in name_of:
            target = theirs[name_of[op]].reshape(values[op].shape)
            ties = explain(op, values, target)
            assert ties.ok, f"{name_of[op]}: {ties.positions.size} words differ, not all near ties"
            if arithmetic == "float32" and name_of[op] != "sum":  # the addition has no binary32 rule
                assert not ties.positions.size, name_of[op]
            assert np.unique(target).size > 4  # the comparison sees more than saturation
            values[op] = target
    whole = run(graph, {"x": codes})["dense"].astype(int)
    assert np.abs(whole - theirs["dense"]).max() <= 1
