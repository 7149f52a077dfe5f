"""Gathers, scatters, ordering, one-hot vectors and running totals: imported against onnxruntime, and exported again."""

from __future__ import annotations

import numpy as np
import pytest
from import_support import check
from onnx import TensorProto, helper
from onnx_support import check_against_onnxruntime, model_of

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Fixed, Integer, Quantizer, TensorType
from edgec.frontend.onnx import load
from edgec.graph import Graph
from edgec.ops import Cumulate, Get, Input, Op, Scatter, Take, TopK

node = helper.make_node
I64, I32 = TensorProto.INT64, TensorProto.INT32


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather(axis):
    graph = check(
        [node("Gather", ["x", "i"], ["y"], axis=axis)],
        {"x": [4, 5, 6], "i": [2, 3]},
        types={"i": I64},
        limits={"i": (-4, 3)},
    )
    assert any(isinstance(op, Take) for op in graph.ops)


def test_an_embedding():
    table = np.random.default_rng(0).normal(0, 1, (20, 8)).astype(np.float32)
    check(
        [node("Gather", ["t", "i"], ["y"])],
        {"i": [1, 7]},
        constants={"t": table},
        types={"i": I32},
        limits={"i": (0, 19)},
    )


@pytest.mark.parametrize(("axis", "shape"), [(0, [6, 4]), (1, [3, 2]), (-1, [2, 4])])
def test_gather_elements(axis, shape):
    n = (4, 5)[axis]
    shape = [min(shape[0], 4) if axis else shape[0], shape[1]]
    check(
        [node("GatherElements", ["x", "i"], ["y"], axis=axis)],
        {"x": [4, 5], "i": shape},
        types={"i": I64},
        limits={"i": (-n, n - 1)},
    )


@pytest.mark.parametrize(
    ("batch", "shape", "limit"), [(0, [3, 1], 3), (0, [2, 3, 2], 3), (1, [4, 2, 1], 3), (0, [5, 3], 3)]
)
def test_gather_nd(batch, shape, limit):
    check(
        [node("GatherND", ["x", "i"], ["y"], batch_dims=batch)],
        {"x": [4, 4, 5], "i": shape},
        types={"i": I64},
        limits={"i": (-limit, limit)},
    )


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("kind", ["elements", "nd"])
def test_scatter(reduction, kind):
    inputs = {"x": [4, 5], "i": [3, 5] if kind == "elements" else [3, 1], "u": [3, 5]}
    op_type, more = ("ScatterElements", {"axis": 0}) if kind == "elements" else ("ScatterND", {})
    check(
        [node(op_type, ["x", "i", "u"], ["y"], reduction=reduction, **more)],
        inputs,
        types={"i": I64},
        limits={"i": (-4, 3)},
    )


@pytest.mark.parametrize(("largest", "opset"), [(1, 18), (0, 11), (1, 10)])
def test_top_k(largest, opset):
    more = {"largest": largest} if opset > 10 else {}
    check(
        [node("TopK", ["x", "k"], ["v", "i"], axis=1, **more)],
        {"x": [2, 7, 3]},
        ("v", "i"),
        {"k": np.array([3])},
        types={"i": I64},
        opset=opset,
    )


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, I32, I64])
def test_running_sums(exclusive, reverse, kind):
    made = node("CumSum", ["x", "a"], ["y"], exclusive=exclusive, reverse=reverse)
    check([made], {"x": [3, 4]}, constants={"a": np.array(1)}, types={"x": kind, "y": kind})


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot_and_hardmax(axis):
    constants = {"d": np.array(5), "v": np.float32([0.5, 2])}
    check(
        [node("OneHot", ["i", "d", "v"], ["y"], axis=axis)],
        {"i": [2, 3]},
        constants=constants,
        types={"i": I64},
        limits={"i": (-6, 6)},
    )
    check([node("Hardmax", ["x"], ["y"], axis=axis)], {"x": [2, 3, 4]})
    check([node("Hardmax", ["x"], ["y"], axis=1)], {"x": [2, 3, 4]}, opset=11)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [-1, 0, 2])
def test_triangles(upper, k):
    check([node("Trilu", ["x", "k"], ["y"], upper=upper)], {"x": [2, 4, 5]}, constants={"k": np.array(k)})
    check([node("Trilu", ["x"], ["y"], upper=upper)], {"x": [4, 3]}, types={"x": I64, "y": I64})


def test_reversed_and_chosen_sequences():
    for batch, time in ((1, 0), (0, 1)):
        made = node("ReverseSequence", ["x", "n"], ["y"], batch_axis=batch, time_axis=time)
        check([made], {"x": [4, 4, 2]}, constants={"n": np.array([1, 4, 2, 3])})
    check([node("Compress", ["x", "c"], ["y"], axis=1)], {"x": [2, 3]}, constants={"c": np.array([True, False, True])})
    check([node("Compress", ["x", "c"], ["y"])], {"x": [2, 3]}, constants={"c": np.array([False, True, False, True])})


def test_places_of_maxima_and_back():
    for more in ({"strides": [2, 2]}, {"pads": [1, 0, 1, 1]}, {"strides": [2, 1], "storage_order": 1}):
        made = node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2], **more)
        check([made], {"x": [2, 3, 6, 5]}, ("y", "i"), types={"i": I64}, opset=12)
    nodes = [
        node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        node("MaxUnpool", ["p", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    check(nodes, {"x": [1, 2, 6, 4]}, opset=12)


def test_indices_that_are_not_integers_are_refused():
    for made in (
        node("Gather", ["x", "i"], ["y"]),
        node("GatherElements", ["x", "i"], ["y"]),
        node("ScatterElements", ["x", "i", "x"], ["y"]),
    ):
        with pytest.raises(EdgecError) as caught:
            load(model_of([made], {"x": [3, 3], "i": [3, 3]}, ["y"], opset=18))
        assert caught.value.diagnostics[0].code == "E0302"


def _graph(*outputs: Op) -> Graph:
    seen: dict[Op, None] = {}

    def walk(op: Op) -> None:
        for o in op.operands:
            walk(o)
        seen.setdefault(op)

    for op in outputs:
        walk(op)
    inputs = tuple(o for o in seen if isinstance(o, Input))
    return Graph("g", inputs, tuple((f"y{i}", op) for i, op in enumerate(outputs)))


def _input(name: str, fmt, *shape: int) -> Input:
    return Input(name, type=TensorType(fmt, shape))


@pytest.mark.parametrize("fmt", [F32, Integer(6), Fixed(6, 2)], ids=str)
def test_exported_ops_compute_the_same(fmt):
    """All indices, outside ones too: the exported model keeps them in reach."""
    x, i = _input("x", fmt, 4, 3), _input("i", Integer(5), 6)
    u = _input("u", fmt, 6, 3)
    top = TopK(x, 2, 0, False)
    outputs: list[Op] = [Take(x, i, 0), Take(x, _input("j", Integer(1, False), 2), -1), Get(top, 0), Get(top, 1)]
    outputs += [Scatter(x, i, u, r) for r in (("none", "add", "mul", "max", "min") if fmt == F32 else ("none", "max"))]
    if fmt != Fixed(6, 2):
        outputs += [Cumulate(x, 0, "sum", e, r) for e in (False, True) for r in (False, True)]
    if fmt == Integer(6):
        outputs.append(Cumulate(x, 1, out=Quantizer(Integer(6), "floor", "wrap")))
    check_against_onnxruntime(_graph(*outputs), tolerance=1e-6)


def test_what_onnx_has_no_form_for_is_refused():
    x = _input("x", Integer(6), 4, 3)
    for op in (Scatter(x, _input("i", Integer(2), 2), _input("u", Integer(6), 2, 3), "add"), Cumulate(x, 0, "prod")):
        with pytest.raises(EdgecError) as caught:
            check_against_onnxruntime(_graph(op))
        assert caught.value.diagnostics[0].code == "E0304"
