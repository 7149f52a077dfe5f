"""What cannot be imported is named: all of it, with layer, operator, reason and remedy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_support import model_of

from edgec import frontend
from edgec.diagnostics import EdgecError
from edgec.frontend.onnx import inspect, load

node = helper.make_node


def refused(nodes, inputs=None, outputs=("y",), constants=None, **options) -> list:
    with pytest.raises(EdgecError) as caught:
        load(model_of(nodes, inputs or {"x": [1, 4, 6, 6]}, outputs, constants, **options))
    return caught.value.diagnostics


def test_all_unsupported_operators_at_once():
    """A net with a loop and other troubles behind it: each is reported with its layer."""
    nodes = [
        node("Loop", ["", "", "x"], ["h"], name="/loop"),
        node("Relu", ["h"], ["a"], name="/act"),
        node("Unique", ["i"], ["s"], name="/warp"),
        node("Resize", ["i", "", "sc"], ["z"], mode="spline", name="/resize"),
        node("Det", ["i"], ["y"], name="/mix"),
    ]
    constants = {"sc": np.float32([1, 1, 2, 2])}
    inputs = {"x": [5, 1, 3], "i": [1, 1, 4, 4]}
    model = model_of(nodes, inputs, ["y", "z"], constants)
    found = inspect(model)
    assert [(d.code, d.layer, d.op) for d in found] == [
        ("E0303", "/loop", "Loop"),
        ("E0303", "/warp", "Unique"),
        ("E0304", "/resize", "Resize"),
        ("E0303", "/mix", "Det"),
    ]
    assert all((d.why and d.code != "E0303") or d.remedy for d in found)
    assert "control flow" in found[0].why
    with pytest.raises(EdgecError) as caught:
        load(model)
    assert caught.value.diagnostics == found and caught.value.exit == 3


def test_troubles_behind_dynamic_shapes_are_listed_too():
    found = inspect(
        model_of(
            [node("Loop", ["", "", "x"], ["y"], name="loop")],
            {"x": ["n", "t", 3]},
            ["y"],
            {"w": np.zeros((1, 8, 3), np.float32)},
        )
    )
    assert [d.code for d in found] == ["E0305", "E0305", "E0303"]


def test_dynamic_dimensions():
    nodes = [node("Relu", ["x"], ["y"])]
    model = model_of(nodes, {"x": ["N", 3, "H", None]}, ["y"])
    found = inspect(model)
    assert [d.code for d in found] == ["E0305"] * 3
    assert "--batch" in found[0].remedy and "--dim H=N" in found[1].remedy and "x:3" in found[2].remedy
    graph = load(model, batch=2, dims={"H": 8, "x:3": 5})
    assert graph.inputs[0].shape == (2, 3, 8, 5)
    for options in ({"batch": 2, "dims": {"H": 8, "x:3": 5, "Q": 1}}, {"batch": 0, "dims": {"H": 8, "x:3": 5}}):
        with pytest.raises(EdgecError):
            load(model, **options)
    fixed = model_of(nodes, {"x": [1, 3]}, ["y"])
    assert load(fixed, batch=1).inputs[0].shape == (1, 3)
    with pytest.raises(EdgecError) as caught:
        load(fixed, batch=4)
    assert caught.value.code == "E0204"


def test_attributes_are_never_ignored():
    for attributes in ({"axis": 1}, {"foo": "bar"}):
        (found,) = refused([node("Relu", ["x"], ["y"], name="act", **attributes)])
        assert (found.code, found.layer) == ("E0304", "act") and next(iter(attributes)) in found.what
    (found,) = refused(
        [node("Quant", ["x", "s", "z", "b"], ["y"], domain="qonnx.custom_op.general", mode=3)],
        constants={"s": np.float32(1), "z": np.float32(0), "b": np.float32(4)},
        domains={"qonnx.custom_op.general": 1},
    )
    assert found.code == "E0304" and "'mode'" in found.what


@pytest.mark.parametrize(
    ("op_type", "attributes", "opset", "code"),
    [
        ("Softmax", {"axis": 7}, 13, "E0302"),
        ("Softmax", {"axis": 1.5}, 13, "E0302"),
        ("MaxPool", {}, 13, "E0302"),
        ("MaxPool", {"kernel_shape": [2]}, 13, "E0302"),
        ("MaxPool", {"kernel_shape": [9, 9]}, 13, "E0302"),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [-1, 0, 0, 0]}, 13, "E0304"),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "ROUND"}, 13, "E0304"),
        ("Transpose", {"perm": [0, 1, 1, 2]}, 13, "E0302"),
        ("Upsample", {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "cubic"}, 7, "E0304"),
        ("DepthToSpace", {"blocksize": 3}, 13, "E0302"),
        ("Cast", {"to": TensorProto.STRING}, 13, "E0304"),
        ("Gelu", {}, 13, "E0302"),
        ("ReluX", {}, 13, "E0303"),
        ("BatchNormalization", {}, 13, "E0302"),
    ],
)
def test_refused_forms(op_type, attributes, opset, code):
    (found,) = refused([node(op_type, ["x"], ["y"], name="layer", **attributes)], opset=opset)
    assert found.code == code and found.layer == "layer"


def test_values_needed_at_compile_time():
    types = {"s": TensorProto.INT64}
    (found,) = refused([node("Reshape", ["x", "s"], ["y"])], {"x": [1, 4], "s": [2]}, types=types)
    assert found.code == "E0307" and "new shape" in found.what
    (found,) = refused([node("Conv", ["x", "w"], ["y"])], {"x": [1, 1, 4, 4], "w": [1, 1, 2, 2]})
    assert found.code == "E0307"


def test_training_forms():
    constants = {n: np.ones(4, np.float32) for n in "stmv"}
    (found,) = refused(
        [node("BatchNormalization", ["x", "s", "t", "m", "v"], ["y", "a", "b"], training_mode=1)], constants=constants
    )
    assert "training" in found.what
    (found,) = refused([node("Dropout", ["x", "r", "t"], ["y"])], constants={"r": np.float32(0.5), "t": np.array(True)})
    assert "training" in found.what


@pytest.mark.parametrize("opset", [1, 5, 29, 1000])
def test_opsets(opset):
    model = model_of([node("Relu", ["x"], ["y"])], {"x": [1]}, ["y"])
    model.opset_import[0].version = opset
    with pytest.raises(EdgecError) as caught:
        load(model)
    assert caught.value.code == "E0306"
    del model.opset_import[:]
    with pytest.raises(EdgecError) as caught:
        load(model)
    assert caught.value.code == "E0306"


def test_unknown_domains_and_suffixes(tmp_path):
    (found,) = refused([node("Magic", ["x"], ["y"], domain="com.vendor", name="m")], domains={"com.vendor": 1})
    assert found.code == "E0303" and "com.vendor" in found.what
    with pytest.raises(EdgecError, match="no front end"):
        frontend.load(tmp_path / "net.tflite")


def test_files_by_suffix(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, ["y"]).SerializeToString())
    graph = frontend.load(path, batch=3)
    assert graph.name == "net" and graph.inputs[0].shape == (3, 4)
    assert [d.code for d in frontend.inspect(path)] == ["E0305"]
    from edgec.text import print_graph

    (tmp_path / "net.edge").write_text(print_graph(graph)[0])
    assert frontend.load(tmp_path / "net.edge").inputs[0].shape == (3, 4)
    (tmp_path / "bad.edge").write_text("edge 9")
    assert [d.code for d in frontend.inspect(tmp_path / "bad.edge")] == ["E0208"]
    with pytest.raises(EdgecError, match="static shapes"):
        frontend.load(tmp_path / "net.edge", batch=1)
