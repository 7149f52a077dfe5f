"""QDQ, integer operators and QONNX: exactly what onnxruntime and the qonnx executor compute."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_support import by_onnxruntime, by_qonnx, model_of

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import Affine, Fixed, Integer
from edgec.formats_compressed import Binary
from edgec.frontend.onnx import load
from edgec.interp import run
from edgec.ops import Constant, Dequantize, Input, Quantize

node = helper.make_node
RNG = np.random.default_rng(5)
QONNX = "qonnx.custom_op.general"
KINDS = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
    "int32": TensorProto.INT32,
}


def f(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def ties(count: int, step: float = 0.125) -> np.ndarray:
    """Multiples of an eighth around zero, [1, 1, count]."""
    return ((np.arange(count) - count // 2) * step).astype(np.float32)[None, None]


def exactly(model, frames, executor=by_onnxruntime):
    graph = load(model)
    ours, theirs = run(graph, frames), executor(model, frames)
    for name, wanted in theirs.items():
        np.testing.assert_array_equal(ours[name], wanted, name)
    return graph


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("scale", [0.25, 0.1])
@pytest.mark.parametrize("zero", [0, 7])
def test_quantize_dequantize(kind, scale, zero):
    constants = {"s": np.float32(scale), "z": np.array(zero, kind)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    model = model_of(nodes, {"x": [1, 801]}, ["y", "q"], constants, opset=21, types={"q": KINDS[kind]})
    graph = exactly(model, {"x": ties(801, 1.0 if kind.endswith("16") else 0.125)})
    (quantise,) = (o for o in graph.ops if isinstance(o, Quantize))
    if scale == 0.25 and zero == 0:
        bits = int(kind.lstrip("uint"))
        assert quantise.format == Fixed(bits, bits - 2, not kind.startswith("u"))
    else:
        assert isinstance(quantise.format, Affine) and quantise.format.zero_point == (zero,)


def test_quantisation_per_channel():
    constants = {"s": np.float32([0.1, 0.25, 0.3]), "z": np.array([1, -2, 3], np.int8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=-2),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1),
    ]
    model = model_of(nodes, {"x": [2, 3, 40]}, ["y"], constants)
    graph = exactly(model, {"x": f(3, 2, 3, 40) * 10})
    assert any(o.format.axis == 1 for o in graph.ops if isinstance(o, Quantize))


def test_default_zero_point_is_unsigned():
    model = model_of(
        [node("QuantizeLinear", ["x", "s"], ["y"])],
        {"x": [1, 9]},
        ["y"],
        {"s": np.float32(0.5)},
        types={"y": TensorProto.UINT8},
    )
    assert exactly(model, {"x": ties(9, 1.0)}).outputs[0][1].format == Fixed(8, 7, signed_=False)


def test_four_bit_weights():
    w = helper.make_tensor("w", TensorProto.INT4, [3, 5], RNG.integers(-8, 8, 15).tolist())
    model = model_of(
        [
            node("DequantizeLinear", ["w", "s"], ["d"], axis=0),
            node("MatMul", ["x", "t"], ["y"]),
            node("Transpose", ["d"], ["t"]),
        ],
        {"x": [2, 5]},
        ["y"],
        {"s": np.float32([0.1, 0.2, 0.3])},
        opset=21,
    )
    model.graph.initializer.append(w)
    graph = load(model)
    x = f(1, 2, 5)
    np.testing.assert_allclose(run(graph, {"x": x})["y"], by_onnxruntime(model_sorted(model), {"x": x})["y"], rtol=1e-5)
    (weights,) = (o for o in graph.ops if isinstance(o, Constant))
    assert weights.format == Affine(Integer(4), tuple(float(np.float32(v)) for v in (0.1, 0.2, 0.3)), (0,), 0)


def model_sorted(model):
    """The same model with its nodes in order (the import takes any order, onnxruntime wants this one)."""
    nodes = [model.graph.node[k] for k in (0, 2, 1)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("move", ["none", "Transpose", "Reshape"])
def test_a_qdq_convolution(move):
    """Weights and bias stay codes; an int8 input takes the format that it is dequantised with."""
    constants = {
        "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "sw": np.abs(f(4)) / 50 + 1e-3,
        "zw": np.zeros(4, np.int8),
        "b": RNG.integers(-2000, 2000, 4).astype(np.int32),
        "sb": np.float32(0.02) * (np.abs(f(4)) / 50 + 1e-3),
        "sx": np.float32(0.02),
        "zx": np.int8(5),
        "sy": np.float32(0.05),
        "zy": np.int8(-128),
        "shape": np.array([1, 3, 8, 8]),
    }
    shapes = {"none": [1, 3, 8, 8], "Transpose": [1, 8, 8, 3], "Reshape": [1, 3, 64]}
    first = {
        "none": node("Identity", ["x"], ["m"]),
        "Transpose": node("Transpose", ["x"], ["m"], perm=[0, 3, 1, 2]),
        "Reshape": node("Reshape", ["x", "shape"], ["m"]),
    }
    nodes = [
        first[move],
        node("DequantizeLinear", ["m", "sx", "zx"], ["d"]),
        node("DequantizeLinear", ["w", "sw", "zw"], ["wf"], axis=0),
        node("DequantizeLinear", ["b", "sb"], ["bf"], axis=0),
        node("Conv", ["d", "wf", "bf"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        node("Relu", ["c"], ["r"]),
        node("QuantizeLinear", ["r", "sy", "zy"], ["y"]),
    ]
    model = model_of(nodes, {"x": shapes[move]}, ["y"], constants, types={"x": TensorProto.INT8, "y": TensorProto.INT8})
    frames = {"x": RNG.integers(-128, 128, (4, *shapes[move])).astype(np.int8)}
    graph = exactly(model, frames)
    assert graph.inputs[0].format == Affine(Integer(8), (float(np.float32(0.02)),), (5,))
    kinds = [type(o).__name__ for o in graph.ops]
    assert kinds.count("Constant") == 2 and kinds.count("Dequantize") == 3 and kinds.count("Quantize") == 1


def test_codes_read_under_another_scale():
    """An unusual pair: quantised with one scale, dequantised with another."""
    constants = {"s": np.float32(0.1), "t": np.float32(0.3), "z": np.int8(3)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "t"], ["y"])]
    exactly(model_of(nodes, {"x": [1, 300]}, ["y"], constants), {"x": ties(300)})


def test_qlinear_conv_and_matmul():
    """Expressed with floats in between; onnxruntime's integer kernels may round a tie of the scaling differently."""
    constants = {
        "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "sw": np.abs(f(4)) / 50 + 1e-3,
        "zw": np.zeros(4, np.int8),
        "b": RNG.integers(-2000, 2000, 4).astype(np.int32),
        "sx": np.float32(0.02),
        "zx": np.uint8(120),
        "sy": np.float32(0.05),
        "zy": np.uint8(100),
        "v": RNG.integers(-127, 128, (8, 5)).astype(np.int8),
        "sv": np.float32(0.01),
        "zv": np.int8(0),
    }
    nodes = [
        node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["c"], pads=[1, 1, 0, 0]),
        node("QLinearMatMul", ["c", "sy", "zy", "v", "sv", "zv", "sy", "zy"], ["y"]),
    ]
    types = {"x": TensorProto.UINT8, "y": TensorProto.UINT8}
    model = model_of(nodes, {"x": [1, 3, 9, 9]}, ["y"], constants, types=types)
    frames = {"x": RNG.integers(0, 256, (4, 1, 3, 9, 9)).astype(np.uint8)}
    ours, theirs = run(load(model), frames)["y"].astype(int), by_onnxruntime(model, frames)["y"].astype(int)
    assert np.abs(ours - theirs).max() <= 1 and (ours != theirs).mean() < 0.01


def test_integer_operators():
    constants = {
        "w": RNG.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8),
        "zx": np.uint8(120),
        "zw": np.uint8(131),
        "v": RNG.integers(-127, 128, (9, 5)).astype(np.int8),
        "scale": np.float32(0.003),
    }
    nodes = [
        node("ConvInteger", ["x", "w", "zx", "zw"], ["c"], pads=[1, 1, 1, 1]),
        node("Cast", ["c"], ["cf"], to=TensorProto.FLOAT),
        node("Mul", ["cf", "scale"], ["y"]),
        node("MatMulInteger", ["x", "v", "zx"], ["z"]),
    ]
    types = {"x": TensorProto.UINT8, "c": TensorProto.INT32, "z": TensorProto.INT32}
    model = model_of(nodes, {"x": [1, 3, 9, 9]}, ["c", "y", "z"], constants, types=types)
    exactly(model, {"x": RNG.integers(0, 256, (2, 1, 3, 9, 9)).astype(np.uint8)})


def quant_model(signed, narrow, mode, bits, scale, zero, shape, domain=QONNX, listed=True):
    nodes = [
        node(
            "Quant",
            ["x", "s", "z", "b"],
            ["y"],
            domain=domain,
            signed=signed,
            narrow=narrow,
            rounding_mode=mode,
            name="q",
        )
    ]
    constants = {"s": np.float32(scale), "z": np.float32(zero), "b": np.float32(bits)}
    model = model_of(nodes, {"x": shape}, ["y"], constants, opset=13, domains={domain: 1} if listed else None)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, shape))
    return model


@pytest.mark.parametrize("mode", ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "floor"])
@pytest.mark.parametrize(("signed", "narrow"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_quant(mode, signed, narrow):
    """All rounding modes on ties, in every kind of range, with and without a zero point."""
    for bits, scale, zero in ((4, 0.5, 0), (3, 0.3, 0), (2, 1.0, 0), (8, 0.125, 0), (4, 0.5, 4), (5, 0.25, 2)):
        if zero and signed and mode not in ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "floor"):
            continue
        model = quant_model(signed, narrow, mode, bits, scale, zero, [1, 161])
        exactly(model, {"x": ties(161)}, by_qonnx)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (1, 3, 1), (1, 1, 4), (4,)])
def test_quant_scales(shape):
    scale = np.abs(f(*shape)) + 0.1
    model = quant_model(1, 0, "ROUND", 6, 1.0, 0, [2, 3, 4])
    model.graph.initializer[0].CopyFrom(helper.make_tensor("s", TensorProto.FLOAT, shape, np.ravel(scale).tolist()))
    exactly(model, {"x": f(5, 2, 3, 4) * 4}, by_qonnx)


@pytest.mark.parametrize("bits", [1, 16, 24, 32])
def test_quant_widths(bits):
    for signed in (0, 1):
        exactly(quant_model(signed, 0, "ROUND", bits, 0.25, 0, [1, 161]), {"x": ties(161)}, by_qonnx)
        exactly(quant_model(signed, 0, "ROUND", bits, 0.25, 0, [1, 5]), {"x": f(3, 1, 5) * 1e4}, by_qonnx)


def test_quant_formats():
    def format_of(*arguments):
        return next(o.format for o in load(quant_model(*arguments)).ops if isinstance(o, Quantize))

    assert format_of(1, 0, "ROUND", 6, 0.03125, 0, [1, 4]) == Fixed(6, 1)
    assert format_of(1, 1, "ROUND", 2, 1.0, 0, [1, 4]) == Fixed(2, 2, narrow=True)
    assert format_of(0, 0, "ROUND", 4, 0.1, 0, [1, 4]) == Affine(Integer(4, signed_=False), (float(np.float32(0.1)),))
    assert format_of(1, 0, "ROUND", 1, 1.0, 0, [1, 4]) == Binary()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"zero": 0.5}, "zero point"),
        ({"bits": 3.5}, "bit width"),
        ({"bits": 40}, "bit width"),
        ({"bits": 0}, "bit width"),
        ({"scale": -1.0}, "scale"),
        ({"scale": 0.0}, "scale"),
        ({"scale": np.inf}, "scale"),
        ({"mode": "STOCHASTIC"}, "rounding_mode"),
        ({"zero": 3, "mode": "UP"}, "zero point"),
        ({"bits": 1, "zero": 1}, "zero point"),
    ],
)
def test_quant_refusals(changes, word):
    options = {"signed": 1, "narrow": 0, "mode": "ROUND", "bits": 4, "scale": 0.5, "zero": 0, "shape": [1, 4]} | changes
    with pytest.raises(EdgecError) as caught:
        load(quant_model(**options))
    (found,) = caught.value.diagnostics
    assert found.code == "E0304" and found.layer == "q" and word in found.text()


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"])
@pytest.mark.parametrize("listed", [True, False])
def test_domains(domain, listed):
    """The three names of one domain, with or without an opset import (then with a warning)."""
    found: list[Diagnostic] = []
    graph = load(quant_model(1, 0, "ROUND", 4, 0.5, 0, [1, 161], domain, listed), diagnostics=found)
    assert [d.code for d in found] == ([] if listed else ["W0003"])
    wanted = by_qonnx(quant_model(1, 0, "ROUND", 4, 0.5, 0, [1, 161]), {"x": ties(161)})
    np.testing.assert_array_equal(run(graph, {"x": ties(161)})["y"], wanted["y"])


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
def test_bipolar(scale):
    nodes = [node("BipolarQuant", ["x", "s"], ["y"], domain=QONNX)]
    model = model_of(nodes, {"x": [1, 161]}, ["y"], {"s": np.float32(scale)}, opset=13, domains={QONNX: 1})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 161]))
    exactly(model, {"x": ties(161, 0.01)}, by_qonnx)
    per_channel = model_of(
        nodes, {"x": [4, 3, 5]}, ["y"], {"s": np.float32([[0.5], [0.3], [2.0]])}, opset=13, domains={QONNX: 1}
    )
    per_channel.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3, 5]))
    exactly(per_channel, {"x": f(3, 4, 3, 5)}, by_qonnx)


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL", "DOWN", "HALF_UP"])
def test_trunc(mode):
    """Version 1 keeps the unit and drops bits, version 2 states the new scale."""
    x = (np.arange(256, dtype=np.float32) * 0.25)[None, None]
    one = {"s": np.float32(0.25), "z": np.float32(0), "i": np.float32(8), "o": np.float32(5)}
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Trunc", ["r", "s", "z", "i", "o"], ["y"], domain=QONNX, rounding_mode=mode),
    ]
    model = model_of(nodes, {"x": [1, 256]}, ["y"], one, opset=13, domains={QONNX: 1})
    two = one | {"os": np.float32(2.0), "o": np.float32(4)}
    nodes = [
        node("Trunc", ["x", "s", "z", "i", "os", "o"], ["y"], domain=QONNX, rounding_mode=mode, signed=1, narrow=0)
    ]
    second = model_of(nodes, {"x": [1, 256]}, ["y"], two, opset=13, domains={QONNX: 2})
    for each in (model, second):
        for name in ("y", "r"):
            info = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 256])
            if name == "y":
                each.graph.output[0].CopyFrom(info)
            elif each is model:
                each.graph.value_info.append(info)
    exactly(model, {"x": x}, by_qonnx)
    exactly(second, {"x": x / 4}, by_qonnx)


def test_quantised_weights_are_codes():
    """Quant of a constant, then Transpose and MatMul: one constant of codes with one row an output."""
    constants = {"w": f(6, 4), "s": np.float32(0.25), "z": np.float32(0), "b": np.float32(4), "one": np.float32(1)}
    nodes = [
        node("Quant", ["w", "s", "z", "b"], ["q"], domain=QONNX, signed=1, narrow=1, rounding_mode="ROUND"),
        node("Transpose", ["q"], ["t"], perm=[1, 0]),
        node("BipolarQuant", ["x", "one"], ["a"], domain=QONNX),
        node("MatMul", ["a", "t"], ["y"]),
    ]
    model = model_of(nodes, {"x": [2, 4]}, ["y"], constants, opset=13, domains={QONNX: 1})
    for name, shape in (("q", [6, 4]), ("t", [4, 6]), ("a", [2, 4])):
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 6]))
    graph = exactly(model, {"x": f(3, 2, 4)}, by_qonnx)
    (weights,) = (o for o in graph.ops if isinstance(o, Constant))
    assert weights.format == Fixed(4, 2, narrow=True) and weights.shape == (6, 4) and weights.loc == ("w",)
    assert [type(o) for o in graph.ops if isinstance(o, Input | Quantize | Dequantize)] == [
        Input,
        Quantize,
        Dequantize,
        Dequantize,
    ]


def test_zero_points_with_ties_are_announced():
    """qonnx rounds the shifted level: with an odd zero point its ties to even go the other way."""
    found: list[Diagnostic] = []
    load(quant_model(0, 0, "ROUND", 4, 0.5, 3, [1, 8]), diagnostics=found)
    assert [d.code for d in found] == ["W0005"]
    found.clear()
    load(quant_model(0, 0, "ROUND", 4, 0.5, 4, [1, 8]), diagnostics=found)
    assert not found


warnings.filterwarnings("ignore", module="qonnx")
