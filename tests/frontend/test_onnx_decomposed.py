"""Operators that are imported as several ops: Resize, Einsum, GridSample, Attention and others, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from import_support import check
from onnx import TensorProto, helper
from onnx_support import check_against_onnxruntime, model_of

from edgec.diagnostics import EdgecError
from edgec.formats import F32, TensorType
from edgec.frontend.onnx import inspect, load
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Input, MatMul, Resize

node = helper.make_node
X4 = {"x": [1, 2, 6, 5]}


# --- Resize ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("sizes", [(12, 10), (4, 3), (9, 5)])
@pytest.mark.parametrize("exclude", [0, 1])
def test_cubic_resizing(coordinates, sizes, exclude):
    made = node(
        "Resize",
        ["x", "", "", "s"],
        ["y"],
        mode="cubic",
        coordinate_transformation_mode=coordinates,
        cubic_coeff_a=-0.5 if exclude else -0.75,
        exclude_outside=exclude,
    )
    graph = check([made], X4, constants={"s": np.array([1, 2, *sizes])}, opset=18, tolerance=1e-5)
    assert any(isinstance(op, Resize) and op.mode == "cubic" for op in graph.ops)


def test_symmetric_half_pixels():
    for mode, scale in (("linear", 1.4), ("cubic", 2.0), ("nearest", 0.7)):
        made = node("Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode="half_pixel_symmetric")
        check([made], X4, constants={"s": np.float32([1, 1, scale, 1])}, opset=19, tolerance=1e-5)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialiased_resizing(mode):
    """A smaller image: the kernel is widened. onnxruntime leaves taps outside out, as with exclude_outside."""
    made = node("Resize", ["x", "", "", "s"], ["y"], mode=mode, antialias=1, exclude_outside=1)
    check([made], {"x": [1, 2, 12, 9]}, constants={"s": np.array([1, 2, 5, 4])}, opset=18, tolerance=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_crop_and_resize(mode):
    made = node(
        "Resize",
        ["x", "roi", "", "s"],
        ["y"],
        mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.0,
    )
    constants = {"roi": np.float32([0, 0, 0.2, 0.1, 1, 1, 1.3, 0.8]), "s": np.array([1, 2, 5, 7])}
    check([made], X4, constants=constants, opset=13, tolerance=1e-5)


def test_any_axis_can_be_resized():
    made = node("Resize", ["x", "", "s"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric")
    check([made], {"x": [2, 3, 4]}, constants={"s": np.float32([2, 1, 1.5])}, opset=13)
    check([made], {"x": [2, 3]}, constants={"s": np.float32([1, 2])}, opset=13)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_the_aspect_ratio_can_be_kept(policy):
    made = node("Resize", ["x", "", "", "s"], ["y"], axes=[2, 3], keep_aspect_ratio_policy=policy)
    check([made], X4, constants={"s": np.array([9, 20])}, opset=18)


def test_exported_resizing():
    x = Input("x", type=TensorType(F32, (1, 2, 5, 6)))
    outputs = [
        ("a", Resize(x, (10, 9), (2.0, 1.5), "cubic", "half_pixel", cubic_a=-0.5, exclude_outside=True)),
        ("b", Resize(x, (3, 4), (0.6, 2 / 3), "cubic", "asymmetric")),
        ("c", Resize(x, (7, 9), (1.4, 1.5), "linear", "pytorch_half_pixel")),
    ]
    check_against_onnxruntime(Graph("g", (x,), tuple(outputs)), tolerance=1e-5)


# --- products and sampling -------------------------------------------------------------------------------------------

EQUATIONS = {
    "ij,jk->ik": [(3, 4), (4, 5)],
    "bhid,bhjd->bhij": [(2, 3, 4, 5), (2, 3, 6, 5)],
    "...ij,...jk->...ik": [(2, 1, 3, 4), (5, 4, 6)],
    "bijj->bi": [(2, 3, 4, 4)],
    "i,j->ij": [(3,), (4,)],
    "ij->": [(3, 4)],
    "ij,kj,kl->il": [(2, 3), (4, 3), (4, 5)],
    "abc,cd,bd->a": [(2, 3, 4), (4, 5), (3, 5)],
    "i...->...i": [(2, 3, 4)],
    "ab,cb": [(2, 3), (4, 3)],
}


@pytest.mark.parametrize("equation", list(EQUATIONS))
def test_einsum(equation):
    shapes = EQUATIONS[equation]
    names = [f"x{i}" for i in range(len(shapes))]
    model = model_of([node("Einsum", names, ["y"], equation=equation)], dict(zip(names, shapes, strict=True)), ["y"])
    g = np.random.default_rng(0)
    frames = {n: g.normal(0, 1, (1, *s)).astype(np.float32) for n, s in zip(names, shapes, strict=True)}
    wanted = np.einsum(equation, *(a[0] for a in frames.values()))
    np.testing.assert_allclose(run(load(model), frames)["y"][0], wanted, atol=1e-5)


@pytest.mark.parametrize("equation", ["ij,jk", "i->j", "i1->i", "ii,jj->..", "ij->ii", ""])
def test_equations_that_do_not_fit(equation):
    model = model_of([node("Einsum", ["x"], ["y"], equation=equation)], {"x": [3, 4, 5]}, ["y"])
    assert inspect(model)[0].code == "E0302"


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("corners", [0, 1])
def test_grid_sample(mode, padding, corners):
    made = node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=padding, align_corners=corners)
    check([made], {"x": [2, 3, 5, 4], "g": [2, 3, 4, 2]}, opset=20, tolerance=1e-4)


# --- by the standard's definition ------------------------------------------------------------------------------------


def test_attention_is_matrix_products():
    inputs = {"q": [1, 2, 3, 8], "k": [1, 2, 5, 8], "v": [1, 2, 5, 4], "m": [3, 5]}
    graph = check([node("Attention", ["q", "k", "v", "m"], ["y"])], inputs, opset=23, tolerance=1e-5)
    assert sum(isinstance(op, MatMul) for op in graph.ops) == 2


@pytest.mark.parametrize(
    ("op_type", "inputs", "more", "opset"),
    [
        ("MeanVarianceNormalization", {"x": [2, 3, 4, 4]}, {}, 13),
        ("Shrink", {"x": [3, 5]}, {"lambd": 0.3, "bias": 0.1}, 18),
        (
            "Attention",
            {"q": [2, 3, 8], "k": [2, 3, 8], "v": [2, 3, 8]},
            {"q_num_heads": 2, "kv_num_heads": 2, "is_causal": 1},
            23,
        ),
        ("LpPool", {"x": [1, 2, 7, 6]}, {"kernel_shape": [3, 2], "p": 3, "strides": [2, 1], "pads": [1, 0, 1, 1]}, 18),
        ("GlobalLpPool", {"x": [1, 2, 7, 6]}, {}, 18),
        ("SpaceToDepth", {"x": [1, 2, 6, 4]}, {"blocksize": 2}, 13),
    ],
)
def test_other_operators(op_type, inputs, more, opset):
    check([node(op_type, list(inputs), ["y"], **more)], inputs, opset=opset, tolerance=1e-5)


def test_a_definition_names_its_layer():
    """What cannot be imported inside is reported below the layer's own name."""
    made = node("Bernoulli", ["x"], ["y"], name="/drop")
    found = inspect(model_of([made], {"x": [3]}, ["y"], opset=15))
    assert [(d.code, d.op) for d in found] == [("E0303", "RandomUniformLike")]
    assert found[0].layer.startswith("/drop/")


def test_periodic_padding_and_kinds_of_numbers():
    check(
        [node("Pad", ["x", "p"], ["y"], mode="wrap")], X4, constants={"p": np.array([0, 0, 2, 1, 0, 1, 0, 3])}, opset=19
    )
    for more in ({}, {"detect_negative": 0}, {"detect_positive": 0}):
        nodes = [node("Div", ["x", "z"], ["d"]), node("IsInf", ["d"], ["y"], **more), node("IsNaN", ["d"], ["n"])]
        kinds = dict.fromkeys(("y", "n"), TensorProto.BOOL)
        check(nodes, {"x": [9]}, ("y", "n"), {"z": np.float32([0, 0, 0, 1, 1, 1, 0, 0, 0])}, types=kinds)


# --- If --------------------------------------------------------------------------------------------------------------


def _branch(name: str, nodes, constants=()) -> object:
    output = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [output], list(constants))


def _if(condition: str, name: str = "/if"):
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    then = _branch("then", [node("Mul", ["h", "two"], ["t"]), node("Neg", ["t"], ["then_out"])], [two])
    other = _branch("other", [node("Add", ["h", "x"], ["other_out"])])
    return node("If", [condition], ["y"], then_branch=then, else_branch=other, name=name)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_known_condition_takes_one_branch(rank):
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("Shape", ["x"], ["s"]),
        node("Size", ["s"], ["r"]),
        node("Equal", ["r", "one"], ["c"]),
        _if("c"),
    ]
    graph = check(nodes, {"x": [2, 3][:rank]}, constants={"one": np.array(1)})
    assert any(op.mnemonic in ("mul", "add") for op in graph.ops)


def test_a_computed_condition_is_refused():
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["c"]),
        _if("c"),
    ]
    with pytest.raises(EdgecError) as caught:
        load(model_of(nodes, {"x": [3]}, ["y"], {"zero": np.float32(0)}))
    (found,) = caught.value.diagnostics
    assert found.code == "E0303" and found.layer == "/if" and "control flow" in found.why
