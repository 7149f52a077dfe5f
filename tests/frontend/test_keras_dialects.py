"""Models written here in both dialects, against numbers from plain loops."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
import pytest
from keras_support import DATA, Described, config_of, floats, results, write, write_h5, write_keras

import edgec
from edgec import frontend
from edgec.diagnostics import Diagnostic
from edgec.graph import Graph
from edgec.ops import Conv, Reshape, Transpose

DIALECTS = pytest.mark.parametrize("dialect", [2, 3])


def image(*shape: int) -> Described:
    return Described("InputLayer", "image", {"shape": [None, *shape], "dtype": "float32"})


def convolved(x: np.ndarray, w: np.ndarray, b: np.ndarray, strides: tuple[int, int], same: bool) -> np.ndarray:
    """A convolution of [H, W, C] by [KH, KW, C, O] in loops, by the rules of TensorFlow for padding."""
    height, width, _ = x.shape
    kh, kw, _, outputs = w.shape
    sy, sx = strides
    rows = math.ceil(height / sy) if same else (height - kh) // sy + 1
    columns = math.ceil(width / sx) if same else (width - kw) // sx + 1
    top = max((rows - 1) * sy + kh - height, 0) // 2 if same else 0
    left = max((columns - 1) * sx + kw - width, 0) // 2 if same else 0
    y = np.zeros((rows, columns, outputs))
    for r in range(rows):
        for c in range(columns):
            for i in range(kh):
                for j in range(kw):
                    row, column = r * sy + i - top, c * sx + j - left
                    if 0 <= row < height and 0 <= column < width:
                        y[r, c] += x[row, column].astype(np.float64) @ w[i, j]
    return y + b


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("strides", "kernel", "dialect"),
    [((1, 1), (2, 2), 2), ((2, 1), (3, 4), 3), ((2, 3), (1, 2), 2), ((3, 2), (3, 3), 3), ((2, 2), (3, 3), 2)],
)
def test_convolution_and_flatten(
    tmp_path, same: bool, strides: tuple[int, int], kernel: tuple[int, int], dialect: int
) -> None:
    """Asymmetric padding, and the order of elements in front of a dense layer."""
    w, b = floats(1, *kernel, 3, 2), floats(2, 2)
    x = floats(3, 1, 7, 8, 3)
    middle = np.maximum(convolved(x[0], w, b, strides, same), 0)
    dense = floats(4, middle.size, 3)
    padding = {"padding": "same" if same else "valid", "strides": list(strides)}
    layers = [
        image(7, 8, 3),
        Described("Conv2D", "conv", {"filters": 2, "kernel_size": list(kernel), **padding}, [w, b], ["image"]),
        Described("Activation", "act", {"activation": "relu"}, [], ["conv"]),
        Described("Flatten", "flat", {"data_format": "channels_last"}, [], ["act"]),
        Described("Dense", "dense", {"units": 3, "use_bias": False}, [dense], ["flat"]),
    ]
    graph = edgec.load(write(tmp_path, layers, ["act", "dense"], dialect))
    y, z = results(graph, x)
    assert np.allclose(y[0], middle, atol=1e-5)
    assert np.allclose(z[0], middle.ravel() @ dense, atol=1e-4)
    moves = [op for op in graph.ops if isinstance(op, Transpose)]
    assert len(moves) == 2  # behind the input, and in front of the output that is an image


@DIALECTS
def test_chain_of_convolutions_has_no_transposes_inside(tmp_path, dialect: int) -> None:
    layers = [image(6, 6, 3)]
    for i in range(4):
        w = floats(i, 3, 3, 3, 3)
        settings = {"filters": 3, "kernel_size": [3, 3], "padding": "same", "use_bias": False}
        layers.append(Described("Conv2D", f"c{i}", {**settings, "activation": "relu"}, [w], [layers[-1].name]))
        layers.append(Described("MaxPooling2D", f"p{i}", {"pool_size": [1, 1]}, [], [f"c{i}"]))
    layers.append(Described("Add", "plus", {}, [], ["p3", "c1"]))
    layers.append(Described("Concatenate", "both", {"axis": -1}, [], ["plus", "p2"]))
    layers.append(Described("GlobalAveragePooling2D", "mean", {}, [], ["both"]))
    graph = edgec.load(write(tmp_path, layers, ["mean"], dialect))
    assert [type(op) for op in graph.ops].count(Transpose) == 1
    assert graph.inputs[0].shape == (1, 6, 6, 3) and graph.outputs[0][1].shape == (1, 6)
    assert [op.loc for op in graph.ops if isinstance(op, Conv)] == [("c0",), ("c1",), ("c2",), ("c3",)]


def test_one_channel_needs_no_transpose(tmp_path) -> None:
    layers = [
        image(5, 5, 1),
        Described("Conv2D", "c", {"filters": 1, "kernel_size": 2}, [floats(0, 2, 2, 1, 1)], ["image"]),
    ]
    layers[1].config["use_bias"] = False
    graph = edgec.load(write(tmp_path, layers, ["c"], 2))
    kinds = [type(op) for op in graph.ops]
    assert Transpose not in kinds and kinds.count(Reshape) == 2


@DIALECTS
def test_channels_first_models(tmp_path, dialect: int) -> None:
    """The model's own layout is the IR's; Flatten of such a model puts the channels last."""
    w, b, x = floats(1, 3, 3, 2, 4), floats(2, 4), floats(3, 1, 2, 6, 5)
    first = {"data_format": "channels_first"}
    layers = [
        image(2, 6, 5),
        Described("Conv2D", "conv", {"filters": 4, "kernel_size": [3, 3], **first}, [w, b], ["image"]),
        Described("Flatten", "flat", first, [], ["conv"]),
        Described("ZeroPadding2D", "pad", {"padding": [[1, 0], [0, 2]], **first}, [], ["conv"]),
    ]
    y, flat, padded = results(edgec.load(write(tmp_path, layers, ["conv", "flat", "pad"], dialect)), x)
    expected = convolved(np.moveaxis(x[0], 0, -1), w, b, (1, 1), False)
    assert np.allclose(y[0], np.moveaxis(expected, -1, 0), atol=1e-5)
    assert np.allclose(flat[0], expected.ravel(), atol=1e-5)
    assert padded.shape == (1, 4, 5, 5) and np.array_equal(padded[:, :, 1:, :3], y)


@DIALECTS
def test_layers_that_only_train(tmp_path, dialect: int) -> None:
    names = [
        "Dropout",
        "SpatialDropout1D",
        "GaussianNoise",
        "GaussianDropout",
        "AlphaDropout",
        "ActivityRegularization",
    ]
    settings = [{"rate": 0.5}, {"rate": 0.5}, {"stddev": 1.0}, {"rate": 0.5}, {"rate": 0.5}, {"l1": 0.1, "l2": 0.0}]
    layers = [Described("InputLayer", "x", {"shape": [None, 3, 4]})]
    for kind, config in zip(names, settings, strict=True):
        layers.append(Described(kind, kind.lower(), config, [], [layers[-1].name]))
    image = [Described("InputLayer", "i", {"shape": [None, 3, 4, 2]})]
    image.append(Described("SpatialDropout2D", "s", {"rate": 0.5, "data_format": "channels_last"}, [], ["i"]))
    assert len(edgec.load(write(tmp_path, image, ["s"], dialect)).ops) == 1
    graph = edgec.load(write(tmp_path, layers, [layers[-1].name], dialect))
    assert len(graph.ops) == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Add", lambda a, b: a + b),
        ("Subtract", lambda a, b: a - b),
        ("Multiply", lambda a, b: a * b),
        ("Maximum", np.maximum),
        ("Minimum", np.minimum),
        ("Concatenate", lambda a, b: np.concatenate([a, b], 1)),
    ],
)
def test_functions_of_keras_ops(tmp_path, kind: str, expected) -> None:
    """They stand among the layers, but have no place among the weights."""
    w = floats(0, 4, 4)
    settings = {"axis": -1} if kind == "Concatenate" else {}
    layers = [
        Described("InputLayer", "a", {"shape": [None, 4]}),
        Described("InputLayer", "b", {"shape": [None, 4]}),
        Described(kind, "both", settings, [], ["a", "b"], {"module": "keras.src.ops.numpy"}),
        Described("Relu", "top", {}, [], ["both"], {"module": "keras.src.ops.nn"}),
        Described("Relu6", "six", {}, [], ["both"], {"module": "keras.src.ops.nn"}),
        Described("Dense", "d", {"units": 4, "use_bias": False}, [w], ["a"]),
    ]
    path = write_keras(
        tmp_path / "net.keras", config_of(layers, ["top", "six", "d"], 3), [e for e in layers if not e.more]
    )
    a, b = 4 * floats(1, 5, 4), 4 * floats(2, 5, 4)
    top, six, d = results(edgec.load(path), a, b)
    assert np.array_equal(top, np.maximum(expected(a, b), 0))
    assert np.array_equal(six, np.clip(expected(a, b), 0, 6))
    assert np.allclose(d, a @ w, atol=1e-5)


def _dense(tmp_path, config: dict, weights: list, name: str = "net.h5") -> Graph:
    return edgec.load(write_h5(tmp_path / name, config, [Described("Dense", "d", {}, weights)]))


def test_sequential_of_keras_2_0(tmp_path) -> None:
    """The configuration is a bare list, and the first layer states the shape of the input."""
    w, b, x = floats(1, 3, 2), floats(2, 2), floats(3, 4, 3)
    settings = {"name": "d", "units": 2, "activation": "tanh", "batch_input_shape": [None, 3]}
    config = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": settings}]}
    graph = _dense(tmp_path, config, [w, b])
    assert graph.inputs[0].name == "d_input"
    assert np.allclose(results(graph, x)[0], np.tanh(x @ w + b), atol=1e-6)


@pytest.mark.parametrize("node", [0, 1, 5])
def test_calls_are_numbered_as_keras_did(tmp_path, node: int) -> None:
    """A file of Keras 2.8 can refer to call 1 of a layer that is called once; the loader of Keras 2.15 hangs on it."""
    w, b, x = floats(1, 3, 2), floats(2, 2), floats(3, 4, 3)
    layers = [
        Described("InputLayer", "x", {"shape": [None, 3]}),
        Described("Dense", "d", {"units": 2}, [w, b], ["x"]),
        Described("ReLU", "r", {}, [], ["d"]),
    ]
    config = config_of(layers, ["r"], 2)
    config["config"]["layers"][2]["inbound_nodes"] = [[["d", node, 0, {}]]]
    graph = edgec.load(write_h5(tmp_path / "net.h5", config, layers))
    assert np.allclose(results(graph, x)[0], np.maximum(x @ w + b, 0), atol=1e-6)


def test_architecture_and_weights_in_two_files(tmp_path) -> None:
    w, b, x = floats(1, 3, 2), floats(2, 2), floats(3, 4, 3)
    layers = [
        Described("InputLayer", "x", {"shape": [None, 3]}),
        Described("Dense", "d", {"units": 2}, [w, b], ["x"]),
    ]
    (tmp_path / "encoder.json").write_text(json.dumps({**config_of(layers, ["d"], 2), "keras_version": "2.8.0"}))
    write_h5(tmp_path / "encoder.hdf5", None, layers)
    graph = edgec.load(tmp_path / "encoder.json")
    assert np.allclose(results(graph, x)[0], x @ w + b, atol=1e-6) and graph.meta["producer"] == "keras 2.8.0"


def test_weight_names_in_chunks(tmp_path) -> None:
    w, b, x = floats(1, 3, 2), floats(2, 2), floats(3, 4, 3)
    layers = [
        Described("InputLayer", "x", {"shape": [None, 3]}),
        Described("Dense", "d", {"units": 2}, [w, b], ["x"]),
    ]
    path = write_h5(tmp_path / "net.h5", config_of(layers, ["d"], 2), layers)
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights/d"].attrs
        names = list(attributes["weight_names"])
        del attributes["weight_names"]
        attributes["weight_names0"], attributes["weight_names1"] = names[:1], names[1:]
    assert np.allclose(results(edgec.load(path), x)[0], x @ w + b, atol=1e-6)


@DIALECTS
def test_batch_and_dynamic_dimensions(tmp_path, dialect: int) -> None:
    layers = [
        Described("InputLayer", "x", {"shape": [None, None, 3]}),
        Described("Dense", "d", {"units": 2}, [floats(1, 3, 2), floats(2, 2)], ["x"]),
    ]
    path = write(tmp_path, layers, ["d"], dialect)
    assert edgec.load(path, batch=4, dims={"x:1": 5}).outputs[0][1].shape == (4, 5, 2)
    with pytest.raises(edgec.EdgecError) as error:
        edgec.load(path)
    assert error.value.code == "E0305" and error.value.diagnostics[0].remedy == "--dim x:1=N"
    with pytest.raises(edgec.EdgecError) as error:
        edgec.load(path, dims={"x:2": 5, "x:1": 5})
    assert error.value.code == "E0204"


@DIALECTS
def test_integer_inputs_become_floats(tmp_path, dialect: int) -> None:
    layers = [
        Described("InputLayer", "x", {"shape": [None, 3], "dtype": "uint8"}),
        Described("Rescaling", "r", {"scale": 0.5, "offset": [1.0, 2.0, 3.0]}, [], ["x"]),
    ]
    graph = edgec.load(write(tmp_path, layers, ["r"], dialect))
    (y,) = results(graph, np.array([[0, 7, 255]], np.uint8))
    assert y.tolist() == [[1.0, 5.5, 130.5]]


def test_the_same_file_gives_the_same_text(tmp_path) -> None:
    from edgec.text import print_graph

    layers = [image(6, 6, 3), Described("Conv2D", "c", {"filters": 2, "kernel_size": 3}, [], ["image"])]
    layers[1].weights = [floats(1, 3, 3, 3, 2), floats(2, 2)]
    path = write(tmp_path, layers, ["c"], 3)
    assert print_graph(edgec.load(path))[0] == print_graph(edgec.load(path))[0]


@DIALECTS
def test_another_precision_is_a_warning(tmp_path, dialect: int) -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    layers = [
        Described("InputLayer", "x", {"shape": [None, 3]}),
        Described("Dense", "d", {"units": 2, "dtype": policy if dialect == 3 else "float16"}, [], ["x"]),
    ]
    layers[1].weights = [floats(1, 3, 2).astype(np.float16), floats(2, 2).astype(np.float16)]
    found: list[Diagnostic] = []
    graph = frontend.load(write(tmp_path, layers, ["d"], dialect), diagnostics=found)
    assert [(d.code, d.layer) for d in found] == [("W0012", "d")]
    x, (w, b) = floats(3, 4, 3), layers[1].weights
    assert np.allclose(results(graph, x)[0], x @ w.astype(np.float32) + b.astype(np.float32), atol=1e-6)


def test_shared_layers_store_their_weights_once() -> None:
    """The nested block is called twice."""
    for name in ("nested_keras2.h5", "nested_keras3.keras"):
        graph = edgec.load(DATA / name)
        convolutions = [op for op in graph.ops if isinstance(op, Conv)]
        assert len(convolutions) == 2 and convolutions[0].w is convolutions[1].w
