"""Operators over the opsets: the interpreter on the imported graph against onnxruntime on the file."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, helper
from onnx_support import by_onnxruntime, model_of

from edgec.frontend.onnx import load
from edgec.interp import run

node = helper.make_node
RNG = np.random.default_rng(11)


def f(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def i(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def check(nodes, inputs, outputs=("y",), constants=None, *, opset=17, tolerance=1e-5, types=None, positive=False):
    """Import, run both on three frames, compare relative to the largest output."""
    model = model_of(nodes, inputs, outputs, constants, opset=opset, types=types)
    frames = {}
    rng = np.random.default_rng(3)
    for name, shape in inputs.items():
        kind = helper.tensor_dtype_to_np_dtype((types or {}).get(name, TensorProto.FLOAT))
        values = rng.normal(0, 2, (3, *shape))
        if kind == np.bool_:
            frames[name] = values > 0
        elif kind.kind in "iu":
            frames[name] = np.clip(values * 20, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
        else:
            frames[name] = (np.abs(values) + 0.1 if positive else values).astype(kind)
    graph = load(model)
    ours = run(graph, {n: a.astype(np.uint8) if a.dtype == np.bool_ else a for n, a in frames.items()})
    theirs = by_onnxruntime(model, frames)
    for name, wanted in theirs.items():
        got = ours[name]
        assert got.shape == wanted.shape
        scale = max(float(np.abs(wanted.astype(np.float64)).max(initial=0)), 1e-6)
        assert np.abs(got.astype(np.float64) - wanted.astype(np.float64)).max(initial=0) <= tolerance * scale, name
    return graph


X4 = {"x": [1, 4, 6, 5]}
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23)


@pytest.mark.parametrize("opset", OPSETS)
def test_a_cnn_at_every_opset(opset):
    """One network of operators that changed between opsets: Squeeze, Reduce, Clip, Slice, Pad, Split, Softmax."""
    attribute = opset < 13
    axes = {"axes": [2, 3]} if opset < 18 else {}
    constants = {"w": f(4, 2, 3, 3), "b": f(4), "s": f(4), "t": f(4), "m": f(4), "v": np.abs(f(4)) + 0.5}
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], group=2),
        node("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"], epsilon=1e-3),
        node("LeakyRelu", ["n"], ["l"], alpha=0.1),
    ]
    if opset < 11:
        nodes.append(node("Clip", ["l"], ["k"], min=-1.0, max=6.0))
        nodes.append(node("Pad", ["k"], ["p"], pads=[0, 0, 1, 0, 0, 0, 0, 2], mode="constant", value=0.5))
    else:
        constants |= {
            "lo": np.float32(-1),
            "hi": np.float32(6),
            "pads": i(0, 0, 1, 0, 0, 0, 0, 2),
            "half": np.float32(0.5),
        }
        nodes.append(node("Clip", ["l", "lo", "hi"], ["k"]))
        nodes.append(node("Pad", ["k", "pads", "half"], ["p"]))
    if opset < 10:
        nodes.append(node("Slice", ["p"], ["z"], starts=[0, -4], ends=[3, 1000], axes=[1, 3]))
    else:
        constants |= {"z0": i(0, -1), "z1": i(3, -5), "z2": i(1, 3), "z3": i(1, -1)}
        nodes.append(node("Slice", ["p", "z0", "z1", "z2", "z3"], ["z"]))
    if attribute:
        nodes.append(node("Split", ["z"], ["z_a", "z_b"], axis=1, split=[1, 2]))
    else:
        constants["parts"] = i(1, 2)
        nodes.append(node("Split", ["z", "parts"], ["z_a", "z_b"], axis=1))
    if opset < 18:
        nodes.append(node("ReduceMean", ["z_b"], ["r"], keepdims=1, **axes))
    else:
        constants["axes"] = i(2, 3)
        nodes.append(node("ReduceMean", ["z_b", "axes"], ["r"], keepdims=1))
    if attribute:
        nodes += [node("Squeeze", ["r"], ["q"], axes=[2, 3]), node("Unsqueeze", ["q"], ["u"], axes=[0, 3])]
        nodes.append(node("ReduceSum", ["z_a"], ["rs"], axes=[3], keepdims=0))
    else:
        constants |= {"sq": i(2, 3), "un": i(0, 3), "three": i(3)}
        nodes += [node("Squeeze", ["r", "sq"], ["q"]), node("Unsqueeze", ["q", "un"], ["u"])]
        nodes.append(node("ReduceSum", ["z_a", "three"], ["rs"], keepdims=0))
    nodes += [
        node("Dropout", ["u"], ["d"]),
        node("Softmax", ["p"], ["y0"], axis=1),
        node("LogSoftmax", ["rs"], ["y1"]) if opset < 13 else node("LogSoftmax", ["rs"], ["y1"], axis=1),
    ]
    check(nodes, X4, ("y0", "y1", "d"), constants, opset=opset)


@pytest.mark.parametrize("opset", [6, 7, 13])
def test_broadcasting(opset):
    """Opset 6 states the axis, later ones follow numpy."""
    for op_type in ("Add", "Sub", "Mul", "Div"):
        constants = {"c": f(4) if opset == 6 else f(4, 1, 1)}
        attributes = {"broadcast": 1, "axis": 1} if opset == 6 else {}
        model = model_of([node(op_type, ["x", "c"], ["y"], **attributes)], X4, ["y"], constants, opset=opset)
        x = RNG.normal(0, 1, (2, 1, 4, 6, 5)).astype(np.float32)
        wanted = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op_type](
            x, constants["c"].reshape(4, 1, 1)
        )
        np.testing.assert_array_equal(run(load(model), {"x": x})["y"], wanted)


UNARY = """Abs Neg Exp Sigmoid Tanh Erf Softplus Softsign Floor Ceil Round Sign Sin Cos Reciprocal Relu Elu Selu Celu
    LeakyRelu HardSigmoid ThresholdedRelu""".split()  # noqa: SIM905


@pytest.mark.parametrize("op_type", UNARY)
def test_unary(op_type):
    check([node(op_type, ["x"], ["y"])], X4)


@pytest.mark.parametrize("op_type", ["Log", "Sqrt"])
def test_unary_of_positive(op_type):
    check([node(op_type, ["x"], ["y"])], X4, positive=True)


@pytest.mark.parametrize(
    ("op_type", "attributes", "opset"),
    [
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 13),
        ("Elu", {"alpha": 0.5}, 13),
        ("Selu", {"alpha": 1.5, "gamma": 1.1}, 13),
        ("Celu", {"alpha": 0.5}, 13),
        ("LeakyRelu", {"alpha": 0.3}, 13),
        ("ThresholdedRelu", {"alpha": 0.3}, 13),
        ("HardSwish", {}, 14),
        ("Mish", {}, 18),
        ("Gelu", {}, 20),
        ("Gelu", {"approximate": "tanh"}, 20),
    ],
)
def test_activations_with_parameters(op_type, attributes, opset):
    check([node(op_type, ["x"], ["y"], **attributes)], X4, opset=opset)


@pytest.mark.parametrize("op_type", ["Max", "Min", "Sum", "Mean"])
def test_variadic(op_type):
    constants = {"a": f(5), "b": f(6, 1)}
    check([node(op_type, ["x", "a", "b"], ["y"])], X4, constants=constants)
    check([node(op_type, ["x"], ["y"])], X4)


@pytest.mark.parametrize("op_type", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparison_and_choice(op_type):
    nodes = [
        node("Round", ["x"], ["r"]),
        node("Round", ["z"], ["q"]),
        node(op_type, ["r", "q"], ["y"]),
        node("Not", ["y"], ["n"]),
        node("Xor", ["y", "k"], ["xo"]),
        node("And", ["xo", "k"], ["an"]),
        node("Or", ["an", "y"], ["o"]),
        node("Where", ["y", "x", "z"], ["w"]),
        node("Cast", ["n"], ["c"], to=TensorProto.FLOAT),
    ]
    types = dict.fromkeys(("k", "y", "n", "o", "xo"), TensorProto.BOOL)
    check(nodes, {"x": [2, 3], "z": [3], "k": [2, 3]}, ("y", "n", "o", "w", "c"), types=types)


def test_powers_and_remainders():
    check([node("Pow", ["x", "e"], ["y"])], X4, constants={"e": np.array(3, np.int64)})
    check([node("Pow", ["x", "e"], ["y"])], X4, constants={"e": f(5)}, positive=True)
    check([node("Mod", ["x", "e"], ["y"], fmod=1)], X4, constants={"e": np.float32([0.7])}, tolerance=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(rank, auto, groups):
    size = [7, 6, 5][:rank]
    attributes: dict = {"group": groups, "strides": [2, 1, 2][:rank]}
    if auto == "NOTSET":
        attributes |= {"pads": [1, 0, 2, 1, 1, 0][: 2 * rank], "dilations": [2, 1, 1][:rank]}
    else:
        attributes["auto_pad"] = auto
    constants = {"w": f(6, 4 // groups, *[3, 2, 2][:rank]), "b": f(6)}
    check([node("Conv", ["x", "w", "b"], ["y"], **attributes)], {"x": [2, 4, *size]}, constants=constants)
    wt = {"w": f(4, 3, *[3, 2, 2][:rank]), "b": f(3 * groups)}
    if auto == "NOTSET":
        attributes["output_padding"] = [1, 0, 1][:rank]
        attributes["strides"] = [2, 1, 2][:rank]
    check([node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)], {"x": [2, 4, *size]}, constants=wt)


def test_transposed_convolution_to_a_stated_shape():
    check(
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[3, 2], output_shape=[10, 8])],
        {"x": [1, 1, 3, 3]},
        constants={"w": f(1, 2, 3, 3)},
    )


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
@pytest.mark.parametrize("c", [None, (5,), (1, 5), (), (3, 1), (3, 5)])
def test_gemm(a, b, c):
    constants = {"w": f(*((5, 4) if b else (4, 5)))}
    if c is not None:
        constants["c"] = f(*c)
    operands = ["x", "w"] + (["c"] if c is not None else [])
    inputs = {"x": [4, 3] if a else [3, 4]}
    check([node("Gemm", operands, ["y"], transA=a, transB=b, alpha=0.7, beta=1.3)], inputs, constants=constants)
    check([node("Gemm", operands, ["y"], transA=a, transB=b)], inputs, constants=constants)


def test_matrix_products():
    for shape, other in (
        ([3, 4], (4, 5)),
        ([2, 3, 4], (4, 5)),
        ([4], (4, 5)),
        ([3, 4], (4,)),
        ([4], (4,)),
        ([2, 3, 4], (2, 4, 5)),
    ):
        check([node("MatMul", ["x", "w"], ["y"])], {"x": shape}, constants={"w": f(*other)})
        check([node("MatMul", ["x", "z"], ["y"])], {"x": shape, "z": list(other)})
    check([node("MatMul", ["w", "x"], ["y"])], {"x": [4, 3]}, constants={"w": f(2, 4)})


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 2]},
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [2, 2], "dilations": [2, 2]},
        {"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "count_include_pad": 1},
        {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0], "ceil_mode": 1},
    ],
)
def test_pooling(op_type, attributes):
    if op_type == "MaxPool":
        attributes = {k: v for k, v in attributes.items() if k != "count_include_pad"}
    check([node(op_type, ["x"], ["y"], **attributes)], X4, opset=19)
    check([node("Global" + op_type, ["x"], ["y"])], X4)


@pytest.mark.parametrize("function", "Sum Mean Max Min Prod L1 L2 SumSquare LogSumExp".split())  # noqa: SIM905
def test_reductions(function):
    name = "Reduce" + function
    check([node(name, ["x"], ["y"], keepdims=0)], X4, tolerance=1e-4)
    if function == "Sum":
        check([node(name, ["x", "a"], ["y"])], X4, constants={"a": i(-1, 1)})
        check([node(name, ["x", "a"], ["y"], noop_with_empty_axes=1)], X4, constants={"a": i()})
    else:
        check([node(name, ["x"], ["y"], axes=[1, -1])], X4)
        check([node(name, ["x", "a"], ["y"], keepdims=0)], X4, constants={"a": i(2)}, opset=18)


def test_arg_max():
    for op_type in ("ArgMax", "ArgMin"):
        check([node("Round", ["x"], ["r"]), node(op_type, ["r"], ["y"], axis=2)], X4, types={"y": TensorProto.INT64})
        check(
            [node("Round", ["x"], ["r"]), node(op_type, ["r"], ["y"], axis=-1, keepdims=0, select_last_index=1)],
            X4,
            types={"y": TensorProto.INT64},
        )


def test_normalisations():
    check(
        [node("LayerNormalization", ["x", "s", "b"], ["y", "m", "d"], axis=2)],
        X4,
        ("y", "m", "d"),
        {"s": f(6, 5), "b": f(6, 5)},
        tolerance=1e-4,
    )
    check([node("LayerNormalization", ["x", "s"], ["y"])], X4, constants={"s": f(5)}, tolerance=1e-4)
    check([node("InstanceNormalization", ["x", "s", "b"], ["y"])], X4, constants={"s": f(4), "b": f(4)}, tolerance=1e-4)
    check(
        [node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)],
        X4,
        constants={"s": f(4), "b": f(4)},
        opset=21,
        tolerance=1e-4,
    )
    check([node("RMSNormalization", ["x", "s"], ["y"])], X4, constants={"s": f(5)}, opset=23, tolerance=1e-4)
    check([node("LRN", ["x"], ["y"], size=3, alpha=0.1, beta=0.6, bias=1.5)], X4, tolerance=1e-4)
    check([node("LRN", ["x"], ["y"], size=5)], X4, tolerance=1e-4)
    check([node("LpNormalization", ["x"], ["y"], axis=1, p=2)], X4)


def test_moves():
    check([node("Transpose", ["x"], ["y"])], X4)
    check([node("Flatten", ["x"], ["y"], axis=-1)], X4)
    check([node("Reshape", ["x", "s"], ["y"])], X4, constants={"s": i(0, -1, 3, 2)})
    check([node("Expand", ["x", "s"], ["y"])], {"x": [3, 1]}, constants={"s": i(2, 1, 4)})
    check([node("Tile", ["x", "s"], ["y"])], {"x": [3, 2]}, constants={"s": i(2, 3)})
    check([node("Gather", ["x", "g"], ["y"], axis=-1)], X4, constants={"g": np.array([[0, -1], [3, 2]])})
    check([node("Gather", ["x", "g"], ["y"], axis=2)], X4, constants={"g": np.array(-2)})
    for mode in ("DCR", "CRD"):
        check([node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)], {"x": [1, 8, 2, 3]})
    check([node("SpaceToDepth", ["x"], ["y"], blocksize=2)], {"x": [1, 2, 4, 6]})
    for mode in ("reflect", "edge"):
        check([node("Pad", ["x", "p"], ["y"], mode=mode)], X4, constants={"p": i(0, 0, 1, 2, 0, 0, 2, 1)})
    check([node("Pad", ["x", "p", "", "a"], ["y"])], X4, constants={"p": i(1, -1), "a": i(-1)}, opset=18)
    check([node("Split", ["x"], ["y", "z", "u"], axis=3, num_outputs=3)], X4, ("y", "z", "u"), opset=18)
    check([node("Concat", ["x", "c", "x"], ["y"], axis=-2)], X4, constants={"c": f(1, 4, 2, 5)})


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("sizes", [(9, 10), (3, 2), (12, 1)])
def test_resize(mode, coordinates, sizes):
    for nearest in ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil") if mode == "nearest" else ("floor",):
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        check([node("Resize", ["x", "", "", "s"], ["y"], **attributes)], X4, constants={"s": i(1, 4, *sizes)}, opset=13)
    scales = np.float32([1, 1, 2.0, 1.5])
    if coordinates != "align_corners":
        check(
            [node("Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=coordinates)],
            X4,
            constants={"s": scales},
            opset=13,
        )


def test_upsample():
    for mode in ("nearest", "linear"):
        check([node("Upsample", ["x"], ["y"], mode=mode, scales=[1.0, 1.0, 2.0, 3.0])], X4, opset=7)
        check(
            [node("Upsample", ["x", "s"], ["y"], mode=mode)], X4, constants={"s": np.float32([1, 1, 2, 1.5])}, opset=9
        )
        check([node("Resize", ["x", "s"], ["y"], mode=mode)], X4, constants={"s": np.float32([1, 1, 0.5, 2])}, opset=10)


def test_softmax_over_several_axes():
    """Before opset 13 everything behind the axis is one axis."""
    for axis in (0, 1, 2, 3, -1):
        check([node("Softmax", ["x"], ["y"], axis=axis)], X4, opset=11)
        check([node("Softmax", ["x"], ["y"], axis=axis)], X4, opset=13)
    check([node("Softmax", ["x"], ["y"])], X4, opset=11)
    check([node("Softmax", ["x"], ["y"])], X4, opset=13)


def test_shape_arithmetic_is_folded():
    """Shape, Gather, Cast, Mul, Range, ConstantOfShape, Where, Equal: nothing of it is left in the graph."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "zero", "two"], ["head"]),
        node("Gather", ["s", "two0"], ["h"]),
        node("Cast", ["h"], ["hf"], to=TensorProto.FLOAT),
        node("Mul", ["hf", "half"], ["h2"]),
        node("Floor", ["h2"], ["h3"]),
        node("Cast", ["h3"], ["h4"], to=TensorProto.INT64),
        node("Unsqueeze", ["h4", "zero"], ["h5"]),
        node("Div", ["s", "h5"], ["d"]),
        node("ReduceProd", ["d"], ["p"]),
        node("Concat", ["head", "h5", "minus"], ["t"], axis=0),
        node("ConstantOfShape", ["two"], ["fill"], value=helper.make_tensor("v", TensorProto.INT64, [1], [-1])),
        node("Size", ["x"], ["n"]),
        node("Equal", ["t", "minus"], ["e"]),
        node("Where", ["e", "minus", "t"], ["t2"]),
        node("Reshape", ["x", "t2"], ["r"]),
        node("Range", ["a", "h4", "b"], ["ra"]),
        node("Cast", ["ra"], ["rf"], to=TensorProto.FLOAT),
        node("ReduceSum", ["rf"], ["rs"], keepdims=0),
        node("Mul", ["r", "rs"], ["y"]),
    ]
    constants = {
        "zero": i(0),
        "two": i(2),
        "two0": np.array(2),
        "half": np.float32(0.5),
        "minus": i(-1),
        "a": np.array(0),
        "b": np.array(1),
    }
    graph = check(nodes, X4, constants=constants)
    assert sorted(type(o).__name__ for o in graph.ops) == ["Constant", "Input", "Mul", "Reshape"]


def test_integer_inputs():
    types = {"x": TensorProto.INT32, "z": TensorProto.INT32, "y": TensorProto.INT32}
    for op_type in ("Add", "Sub", "Max", "Min"):
        check([node(op_type, ["x", "z"], ["y"])], {"x": [3, 4], "z": [4]}, types=types)
    check([node("Mul", ["x", "c"], ["y"])], {"x": [3, 4]}, constants={"c": np.int32([5, -3, 0, 9])}, types=types)
    check([node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], {"x": [3]}, types={"x": TensorProto.INT8})
    check([node("Cast", ["x"], ["y"], to=TensorProto.INT32)], {"x": [3]}, types={"y": TensorProto.INT32})
    check(
        [node("Cast", ["x"], ["y"], to=TensorProto.UINT8)],
        {"x": [9]},
        types={"x": TensorProto.INT32, "y": TensorProto.UINT8},
    )
    wrapped = check([node("Add", ["x", "x"], ["y"])], {"x": [9]}, types={"x": TensorProto.INT8, "y": TensorProto.INT8})
    assert run(wrapped, {"x": np.full((1, 9), 100, np.int8)})["y"][0, 0] == -56  # as int8 wraps


def test_half_and_double():
    for kind, tolerance in ((TensorProto.FLOAT16, 2e-3), (TensorProto.DOUBLE, 1e-9)):
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        w = f(4, 5).astype(dtype)
        check(
            [node("MatMul", ["x", "w"], ["m"]), node("Sigmoid", ["m"], ["y"])],
            {"x": [2, 4]},
            constants={"w": w},
            types={"x": kind, "y": kind},
            tolerance=tolerance,
        )


def test_functions_are_inlined():
    body = [
        node("Constant", [], ["k"]),
        node("Mul", ["a", "k"], ["b"]),
        node("Add", ["b", "a"], ["out"], name="inner"),
    ]
    body[0].attribute.append(AttributeProto(name="value_float", ref_attr_name="factor", type=AttributeProto.FLOAT))
    function = helper.make_function("own", "Scale", ["a"], ["out"], body, [helper.make_opsetid("", 17)], ["factor"])
    nodes = [
        node("Scale", ["x"], ["h"], domain="own", factor=2.0, name="first"),
        node("Scale", ["h"], ["y"], domain="own", factor=-0.5),
    ]
    model = model_of(nodes, {"x": [3]}, ["y"], domains={"own": 1})
    model.functions.append(function)
    graph = load(model)
    x = np.float32([[1, 2, 3]])
    np.testing.assert_allclose(run(graph, {"x": x})["y"], 1.5 * x)
    assert "first/inner" in {name for op in graph.ops for name in op.loc}


def test_initializers_listed_as_inputs():
    model = model_of([node("MatMul", ["x", "w"], ["y"])], {"x": [1, 3], "w": [3, 2]}, ["y"], {"w": f(3, 2)})
    assert [g.name for g in load(model).inputs] == ["x"]


def test_layer_names():
    """Node names, made unique; the first output where a node has none; constants carry the tensor's name."""
    nodes = [
        node("Relu", ["x"], ["a"], name="act"),
        node("Abs", ["a"], ["b"], name="act"),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    graph = load(model_of(nodes, {"x": [1, 3]}, ["y"], {"w": f(3, 2)}))
    assert [o.loc for o in graph.ops[1:]] == [("act",), ("act#2",), ("w",), ("y",)]
    assert graph.meta["opset"] == "ai.onnx 17"
