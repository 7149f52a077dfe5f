"""Integer operators of ONNX and quantisation with computed scales: imported against onnxruntime, and exported again."""

from __future__ import annotations

import numpy as np
import pytest
from import_support import check
from onnx import TensorProto, helper
from onnx_support import by_onnxruntime, check_against_onnxruntime, model_of

from edgec.formats import F32, Integer, TensorType
from edgec.frontend.onnx import load
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Binary, Dense, Input, Unary
from edgec.ops.elementwise import INTEGER_FUNCTIONS

node = helper.make_node
I64, I32, I8, U8 = TensorProto.INT64, TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8
XY = {"x": [4, 5], "y": [4, 5]}


def types(kind, *names):
    return dict.fromkeys(names, kind)


@pytest.mark.parametrize("kind", [I32, I64])
@pytest.mark.parametrize(
    ("op_type", "more"), [("Div", {}), ("Mod", {}), ("Mod", {"fmod": 1}), ("Add", {}), ("Sub", {}), ("Mul", {})]
)
def test_arithmetic(op_type, more, kind):
    limits = {"y": (1, 9)}  # onnxruntime does not survive a division by zero
    check([node(op_type, ["x", "y"], ["z"], **more)], XY, ("z",), types=types(kind, *"xyz"), limits=limits)
    limits = {"y": (-9, -1)}
    check([node(op_type, ["x", "y"], ["z"], **more)], XY, ("z",), types=types(kind, *"xyz"), limits=limits)


@pytest.mark.parametrize("kind", [I32, I64])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_sums_and_products_wrap(op_type, kind):
    info = np.iinfo(helper.tensor_dtype_to_np_dtype(kind))
    limits = dict.fromkeys("xy", (info.min, info.max))
    check([node(op_type, ["x", "y"], ["z"])], XY, ("z",), types=types(kind, *"xyz"), limits=limits)
    made = node("CumSum", ["x", "a"], ["z"])
    check([made], {"x": [2, 5]}, ("z",), {"a": np.array(1)}, types=types(kind, *"xz"), limits=limits)


def test_a_reduction_wraps_at_64_bits():
    """Against numpy: onnxruntime adds integers as floats."""
    model = model_of(
        [node("ReduceSum", ["x"], ["z"], keepdims=0)], {"x": [2, 5]}, ["z"], types=types(I64, *"xz"), opset=13
    )
    x = np.random.default_rng(5).integers(-(1 << 63), 1 << 63, (3, 2, 5), dtype=np.int64)
    np.testing.assert_array_equal(run(load(model), {"x": x})["z"], x.sum(axis=(1, 2)))


@pytest.mark.parametrize("op_type", ["Abs", "Neg", "Sign"])
@pytest.mark.parametrize("kind", [I8, I32, I64])
def test_signs(op_type, kind):
    info = np.iinfo(helper.tensor_dtype_to_np_dtype(kind))
    for limits in ({"x": (-3, 3)}, {"x": (info.min, info.min + 3)}):
        check([node(op_type, ["x"], ["z"])], {"x": [20]}, ("z",), types=types(kind, *"xz"), limits=limits)


def test_an_unsigned_tensor_and_a_constant_wrap_unsigned():
    made = node("Add", ["x", "c"], ["z"])
    model = model_of([made], {"x": [8]}, ["z"], {"c": np.array(200, np.uint8)}, types=types(U8, *"xz"), opset=18)
    x = np.arange(8, dtype=np.uint8).reshape(1, 8) * 30
    np.testing.assert_array_equal(run(load(model), {"x": x})["z"], x + np.uint8(200))


def test_indices_are_int64_however_narrow_they_are():
    """ArgMax over 3 classes is 2 bits here, in ONNX an int64: differences are negative."""
    nodes = [
        node("ArgMax", ["x"], ["a"], axis=1, keepdims=0),
        node("ArgMin", ["x"], ["b"], axis=1, keepdims=0),
        node("Sub", ["a", "b"], ["d"]),
        node("Div", ["d", "two"], ["q"]),
        node("Neg", ["a"], ["n"]),
        node("Concat", ["d", "n"], ["j"], axis=0),
    ]
    check(nodes, {"x": [6, 3]}, ("d", "q", "j"), {"two": np.array(2)}, types=types(I64, *"dqj"))


@pytest.mark.parametrize("op_type", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(op_type):
    for kind in (I32, U8):
        check([node(op_type, ["x", "y"], ["z"])], XY, ("z",), types=types(kind, *"xyz"))
        check([node("BitwiseNot", ["x"], ["z"])], {"x": [9]}, ("z",), types=types(kind, *"xz"))


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction):
    limits = {"x": (0, 255), "y": (0, 7)}
    made = node("BitShift", ["x", "y"], ["z"], direction=direction)
    check([made], XY, ("z",), types=types(U8, *"xyz"), limits=limits)


@pytest.mark.parametrize(("base", "exponent"), [(I32, I32), (I64, TensorProto.FLOAT), (TensorProto.FLOAT, I32)])
def test_powers(base, exponent):
    kinds = {"x": base, "y": exponent, "z": base}
    made = node("Pow", ["x", "a"], ["z"]) if exponent == TensorProto.FLOAT else node("Pow", ["x", "y"], ["z"])
    if exponent == TensorProto.FLOAT:
        check([made], {"x": [9]}, ("z",), {"a": np.float32(3)}, types={"x": base, "z": base})
    else:
        check([made], {"x": [4, 5], "y": [4, 5]}, ("z",), types=kinds, limits={"x": (1, 5), "y": (0, 4)})


@pytest.mark.parametrize("name", INTEGER_FUNCTIONS)
@pytest.mark.parametrize("fmt", [Integer(5), Integer(8, False)], ids=str)
def test_exported_integer_functions(name, fmt):
    """All operands, zero divisors and impossible shifts among them."""
    x, y = (Input(n, type=TensorType(fmt, (64,))) for n in "xy")
    graph = Graph("g", (x, y), (("z", Binary(x, y, name)),))
    lo, hi = fmt.code_range
    pairs = np.array([(a, b) for a in range(lo, hi + 1, 3) for b in range(lo, hi + 1, 1 if hi < 99 else 5)], np.int64)
    pairs = np.concatenate(
        [pairs, [(lo, -1 if lo else 1), (hi, 0), (lo, 0)], np.zeros((-len(pairs) - 3) % 64 * 2).reshape(-1, 2)]
    )
    frames = pairs.astype(np.int64).reshape(-1, 64, 2)
    check_against_onnxruntime(graph, {"x": frames[..., 0], "y": frames[..., 1]})


def test_exported_floor_mod_and_trigonometry():
    x, y = (Input(n, type=TensorType(F32, (64,))) for n in "xy")
    outputs = [("m", Binary(x, y, "floor_mod"))]
    outputs += [(n, Unary(x, n)) for n in ("tan", "atan", "sinh", "cosh", "asinh")]  # type: ignore[list-item]
    check_against_onnxruntime(Graph("g", (x, y), tuple(outputs)), tolerance=1e-6)


# --- quantisation with computed scales -------------------------------------------------------------------------------


def test_dynamic_quantisation():
    graph = check(
        [node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], {"x": [3, 7]}, ("y", "s", "z"), types=types(U8, *"yz")
    )
    assert graph.outputs[0][1].format == Integer(8, signed_=False)
    model = model_of(
        [node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], {"x": [4]}, ["y", "s"], types=types(U8, "y")
    )
    zeros = run(load(model), {"x": np.zeros((1, 4), np.float32)})
    assert zeros["s"] == 1 and not zeros["y"].any()


def test_a_dynamically_quantised_layer():
    """What onnxruntime's dynamic quantisation makes of a fully connected layer."""
    g = np.random.default_rng(2)
    constants = {
        "w": g.integers(-127, 128, (6, 4)).astype(np.int8),
        "wz": np.array(0, np.int8),
        "ws": np.float32(0.01),
        "b": g.normal(0, 1, 4).astype(np.float32),
    }
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "wz"], ["a"]),
        node("Cast", ["a"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["s", "ws"], ["m"]),
        node("Mul", ["f", "m"], ["r"]),
        node("Add", ["r", "b"], ["y"]),
    ]
    graph = check(nodes, {"x": [2, 6]}, ("y",), constants)
    (layer,) = [op for op in graph.ops if isinstance(op, Dense)]
    assert not layer.format.is_float


def test_computed_scales_and_zero_points():
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    inputs = {"x": [3, 4], "s": [1], "z": [1]}
    model = model_of(nodes, inputs, ["q", "y"], types=types(I8, "q", "z"), opset=13)
    g = np.random.default_rng(3)
    frames = {
        "x": g.normal(0, 5, (3, 3, 4)).astype(np.float32),
        "s": g.uniform(0.01, 0.1, (3, 1)).astype(np.float32),
        "z": g.integers(-9, 9, (3, 1)).astype(np.int8),
    }
    # onnxruntime wants scalars: one frame at a time with the scale as it is stored
    scalar = model_of(nodes, {"x": [3, 4], "s": [], "z": []}, ["q", "y"], types=types(I8, "q", "z"), opset=13)
    theirs = by_onnxruntime(scalar, {n: a.reshape(3) if n != "x" else a for n, a in frames.items()})
    ours = run(load(model), frames)
    np.testing.assert_array_equal(ours["q"], theirs["q"])
    np.testing.assert_allclose(ours["y"], theirs["y"], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_block_quantised_weights(axis):
    g = np.random.default_rng(4)
    shape = (8, 6)
    few = tuple(n // 2 if i == axis else n for i, n in enumerate(shape))
    constants = {
        "w": g.integers(-8, 8, shape).astype(np.int8),
        "s": g.uniform(0.1, 1, few).astype(np.float32),
        "z": g.integers(-3, 3, few).astype(np.int8),
    }
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=axis, block_size=2),
        node("MatMul", ["x", "f"], ["y"]),
    ]
    graph = check(nodes, {"x": [3, 8]}, ("y",), constants, opset=21, tolerance=1e-5)
    assert any(isinstance(op, Dense) for op in graph.ops)


def test_four_bit_floats_round_to_even():
    to = TensorProto.FLOAT4E2M1
    nodes = [node("Cast", ["x"], ["q"], to=to), node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)]
    model = model_of(nodes, {"x": [12]}, ["y"], opset=23)
    x = np.float32([[0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -5, 0.26, np.inf, -7, np.nan]])
    wanted = [0, 1, 1, 2, 2, 4, 4, -4, 0.5, 6, -6, 0]
    assert run(load(model), {"x": x})["y"][0].tolist() == wanted


@pytest.mark.parametrize(("to", "bits", "signed"), [("INT4", 4, True), ("UINT4", 4, False), ("INT2", 2, True)])
def test_casts_to_few_bits_truncate_and_wrap(to, bits, signed):
    if not hasattr(TensorProto, to):
        pytest.skip(f"this onnx has no {to}")
    kind = getattr(TensorProto, to)
    nodes = [node("Cast", ["x"], ["q"], to=kind), node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)]
    model = model_of(nodes, {"x": [41]}, ["y"], opset=25)
    x = np.linspace(-20, 20, 41, dtype=np.float32)[None] * np.float32(0.7)
    low = -(1 << (bits - 1)) if signed else 0
    wanted = [(int(v) - low) % (1 << bits) + low for v in x[0]]
    assert run(load(model), {"x": x})["y"][0].tolist() == wanted
