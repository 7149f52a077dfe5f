"""What cannot be imported is refused with the layer, the reason and a remedy, and in bounded time."""

from __future__ import annotations

import json
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_support import DATA, Described, config_of, floats, write, write_h5, write_keras

import edgec
from edgec import frontend
from edgec.diagnostics import Diagnostic
from edgec.frontend.keras import hdf5

VECTOR = Described("InputLayer", "x", {"shape": [None, 4]})
OWN_RELU = {"class_name": "function", "config": "relu", "registered_name": "mine>relu"}
IMAGE = Described("InputLayer", "x", {"shape": [None, 6, 6, 2]})


def refused(path: Path, code: str, *words: str) -> Diagnostic:
    """The only diagnostic of a file that is refused."""
    with pytest.raises(edgec.EdgecError) as error:
        edgec.load(path)
    found = error.value.diagnostics
    text = str(error.value)
    assert [d.code for d in found] == [code], text
    for word in words:
        assert word in text, text
    return found[0]


def one(tmp_path: Path, kind: str, config: dict, weights=(), start: Described = VECTOR, **more) -> Path:
    """A model of one layer."""
    return write(tmp_path, [start, Described(kind, "it", config, weights, ["x"], more)], ["it"], 2)


@pytest.mark.parametrize(
    ("kind", "more", "word"),
    [
        ("Lambda", {}, "Python code"),
        ("TFOpLambda", {}, "Python code"),
        ("Sin", {"module": "keras.src.ops.numpy"}, "Python code"),
        ("QLSTM", {}, "quantises its state"),
        ("QGRU", {}, "quantises its state"),
        ("RNN", {}, "SimpleRNN, GRU and LSTM"),
        ("ConvLSTM2D", {}, "SimpleRNN, GRU and LSTM"),
        ("Masking", {}, "steps that are left out"),
        ("Dens", {}, "did you mean"),
        ("Dense", {"registered_name": "mine>Dense"}, "mine>Dense"),
        ("Squeeze", {"module": "my_layers"}, "my_layers"),
        ("MultiHeadAttention", {}, "table"),
    ],
)
def test_unknown_layers(tmp_path, kind: str, more: dict, word: str) -> None:
    found = refused(one(tmp_path, kind, {}, **more), "E0303", word)
    assert found.layer == "it" and found.remedy


def test_everything_is_listed_at_once(tmp_path) -> None:
    """Layers behind a refused one are still looked at."""
    layers = [
        VECTOR,
        Described("Lambda", "a", {}, [], ["x"]),
        Described("QGRU", "b", {}, [], ["a"]),
        Described("Dense", "c", {"units": 2}, [floats(1, 4, 2), floats(2, 2)], ["b"]),
        Described("Activation", "d", {"activation": "wobble"}, [], ["x"]),
        Described("Dense", "e", {"units": 3}, [floats(1, 4, 2), floats(2, 2)], ["x"]),
    ]
    found = frontend.inspect(write(tmp_path, layers, ["c", "d", "e"], 3))
    assert [(d.code, d.layer) for d in found] == [("E0303", "a"), ("E0304", "d"), ("E0302", "e"), ("E0303", "b")]


@pytest.mark.parametrize(
    ("kind", "config", "code", "word"),
    [
        ("Dense", {"units": -3}, "E0302", "units"),
        ("Dense", {"units": 1 << 27}, "E0304", "elements"),
        ("Dense", {"units": 2, "lora_rank": 4}, "E0304", "lora_rank"),
        ("BatchNormalization", {"renorm": True}, "E0304", "renorm"),
        ("Reshape", {"target_shape": [3, -1]}, "E0302", "reshaped"),
        ("Softmax", {"axis": 5}, "E0302", "axis"),
        ("Activation", {"activation": {"class_name": "Mystery", "config": {}}}, "E0304", "Mystery"),
        ("Activation", {"activation": OWN_RELU}, "E0304", "mine>relu"),
        ("Dropout", {"rate": 0.1, "wonder": 3}, "E0304", "wonder"),
        ("Conv2D", {"filters": 2, "kernel_size": 3}, "E0302", "dimensions"),
    ],
)
def test_settings_of_vector_layers(tmp_path, kind: str, config: dict, code: str, word: str) -> None:
    weights = {"Dense": [floats(1, 4, 2), floats(2, 2)], "BatchNormalization": [np.ones(4, np.float32)] * 4}
    refused(one(tmp_path, kind, config, weights.get(kind, [])), code, word)


@pytest.mark.parametrize(
    ("kind", "config", "code", "word"),
    [
        ("Conv2D", {"filters": 2, "kernel_size": [3, 3], "padding": "causal"}, "E0304", "padding"),
        ("Conv2D", {"filters": 2, "kernel_size": [9, 9]}, "E0302", "does not fit"),
        ("Conv2D", {"filters": 2, "kernel_size": [1 << 20, 1 << 20]}, "E0304", "elements"),
        ("ZeroPadding2D", {"padding": 1 << 19}, "E0304", "elements"),
        ("UpSampling2D", {"size": [1 << 14, 1 << 14]}, "E0304", "elements"),
        ("UpSampling2D", {"size": 2, "interpolation": "lanczos3"}, "E0304", "lanczos3"),
        ("Cropping2D", {"cropping": 3}, "E0302", "left"),
        ("MaxPooling2D", {"pool_size": 2, "data_format": "sideways"}, "E0304", "sideways"),
        ("Concatenate", {"axis": -1}, "E0302", "operands"),
    ],
)
def test_settings_of_image_layers(tmp_path, kind: str, config: dict, code: str, word: str) -> None:
    weights = [floats(1, 9, 9, 2, 2), floats(2, 2)] if config.get("kernel_size") == [9, 9] else []
    refused(one(tmp_path, kind, config, weights, IMAGE), code, word)


CELL = [floats(1, 2, 3), floats(2, 3, 3), floats(3, 3)]
RNN = {"class_name": "SimpleRNN", "config": {"units": 3}}


@pytest.mark.parametrize(
    ("kind", "config", "code", "word"),
    [
        ("SimpleRNN", {"units": 3, "stateful": True}, "E0304", "stateful"),
        ("SimpleRNN", {"units": 3, "activation": "elu"}, "E0304", "activation 'elu'"),
        ("SimpleRNN", {"units": 3, "time_major": True}, "E0304", "time_major"),
        ("SimpleRNN", {"units": 2}, "E0302", "[2, 3], not [2, 2]"),
        ("LSTM", {"units": 3}, "E0302", "[2, 3], not [2, 12]"),
        ("GRU", {"units": 1 << 26}, "E0304", "elements"),
        ("Bidirectional", {"layer": RNN}, "E0302", "holds no kernel"),
        ("Bidirectional", {"layer": RNN, "merge_mode": "sideways"}, "E0304", "sideways"),
        ("Bidirectional", {"layer": {"class_name": "Dense", "config": {"units": 3}}}, "E0304", "in both directions"),
        ("Bidirectional", {"layer": "SimpleRNN"}, "E0302", "no layer inside"),
        ("TimeDistributed", {"layer": {"class_name": "Functional", "config": {}}}, "E0304", "at every step"),
        ("TimeDistributed", {"layer": {"class_name": "TimeDistributed", "config": {}}}, "E0304", "at every step"),
        ("TimeDistributed", {"layer": {**RNN, "registered_name": "mine>RNN"}}, "E0304", "mine>RNN"),
        ("TimeDistributed", {"layer": {"class_name": "Softmax", "config": {"axis": -1, "what": 2}}}, "E0304", "what"),
    ],
)
def test_settings_of_recurrent_layers(tmp_path, kind: str, config: dict, code: str, word: str) -> None:
    start = Described("InputLayer", "x", {"shape": [None, 5, 2]})
    refused(
        one(tmp_path, kind, config, CELL if "SimpleRNN" in str(config) + kind or kind == "LSTM" else [], start),
        code,
        word,
    )


def test_masks_and_states_that_do_not_fit(tmp_path) -> None:
    start, other = (Described("InputLayer", n, {"shape": [None, *s]}) for n, s in (("x", [5, 2]), ("s", [4])))
    config = {"units": 3}
    state = Described("SimpleRNN", "it", config, CELL, ["x", "s"])
    refused(write(tmp_path, [start, other, state], ["it"], 3), "E0302", "initial state [1, 4]", "[1, 3]")
    text = config_of([start, other, Described("SimpleRNN", "it", config, CELL, ["x"])], ["it"], 3)
    mask = {"class_name": "__keras_tensor__", "config": {"keras_history": ["s", 0, 0]}}
    text["config"]["layers"][2]["inbound_nodes"][0]["kwargs"] = {"mask": mask}
    layers = [start, other, Described("SimpleRNN", "it", config, [])]
    refused(write_keras(tmp_path / "mask.keras", text, layers), "E0304", "mask")


@pytest.mark.parametrize(
    ("quantizer", "word"),
    [
        ("quantized_bits(99,0)", "bits = 99"),
        ("quantized_bits(4,0,qnoise_factor=0.5)", "qnoise_factor"),
        ("quantized_bits(4,0,alpha='auto')", "data"),
        ("quantized_bits(4,0,wonder=1)", "wonder"),
        ("quantized_ulaw(4)", "quantized_ulaw"),
        ("quantized_relu(4,0,1)", "use_sigmoid"),
        ("quantized_relu(__import__('os'))", "does not parse"),
        ("quantized_po2(8)", "32 powers"),
        ({"class_name": "quantized_bits", "config": {"bits": "many"}}, "many"),
    ],
)
def test_quantisers(tmp_path, quantizer: object, word: str) -> None:
    refused(one(tmp_path, "QActivation", {"activation": quantizer}), "E0304" if word != "many" else "E0302", word)


def test_kernel_quantiser_of_one_bit_without_alpha(tmp_path) -> None:
    config = {"units": 2, "use_bias": False, "kernel_quantizer": "quantized_bits(1,0)"}
    refused(one(tmp_path, "QDense", config, [floats(1, 4, 2)]), "E0304", "alpha=1")


def test_weights_that_do_not_fit(tmp_path) -> None:
    refused(one(tmp_path, "Dense", {"units": 2}), "E0302", "holds no kernel")
    refused(one(tmp_path, "Dense", {"units": 2}, [floats(1, 2, 4), floats(2, 2)]), "E0302", "[2, 4], not [4, 2]")
    refused(one(tmp_path, "Dense", {"units": 2}, [floats(1, 4, 2)] * 3), "E0302", "[2]")
    refused(one(tmp_path, "ReLU", {}, [floats(1, 4)]), "E0302", "1 weights, but the layer has 0")
    words = [np.zeros((4, 2), "S3"), floats(2, 2)]
    refused(one(tmp_path, "Dense", {"units": 2}, words), "E0304", "not floats")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c["layers"][1].update(inbound_nodes=[[["it", 0, 0, {}]]]), "cycle"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["nobody", 0, 0, {}]]]), "nobody"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["x", 0, 7, {}]]]), "result 7"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["x", -1, 0, {}]]]), "negative"),
        (lambda c: c["layers"].append(c["layers"][1]), "two layers"),
        (lambda c: c.update(output_layers=[["it", 0, 4]]), "result 4"),
        (lambda c: c.update(output_layers=[]), "no output"),
        (lambda c: c.update(input_layers=[]), "no input"),
        (lambda c: c.update(input_layers=[["nobody", 0, 0]]), "nobody"),
        (lambda c: c.update(layers=3), "lists no layers"),
        (lambda c: c["layers"].append(7), "no layer"),
    ],
)
def test_graphs_that_are_none(tmp_path, change, word: str) -> None:
    layers = [VECTOR, Described("ReLU", "it", {}, [], ["x"])]
    config = config_of(layers, ["it"], 2)
    change(config["config"])
    refused(write_h5(tmp_path / "net.h5", config, layers), "E0302", word)


def test_models_of_ones_own(tmp_path) -> None:
    path = write_h5(tmp_path / "net.h5", {"class_name": "MyModel", "config": {}}, [])
    refused(path, "E0304", "MyModel", "functional API")


def nested(depth: int, calls: int) -> dict:
    """A model in a model in a model, each of which calls the next one several times."""
    inner = config_of([VECTOR, Described("ReLU", "r", {}, [], ["x"])], ["r"], 2)
    for level in range(depth):
        nodes = [[["x", 0, 0, {}]]] + [[["m", i, 0, {}]] for i in range(calls - 1)]
        layers = [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4]}, "inbound_nodes": []},
            {**inner, "name": "m", "inbound_nodes": nodes},
        ]
        ends = {"input_layers": [["x", 0, 0]], "output_layers": [["m", calls - 1, 0]]}
        inner = {"class_name": "Functional", "config": {"name": f"m{level}", "layers": layers, **ends}}
    return inner


def test_hundreds_of_nested_models(tmp_path) -> None:
    assert edgec.load(write_h5(tmp_path / "few.h5", nested(5, 2), []))
    path = tmp_path / "deep.keras"
    refused(write_keras(path, nested(200, 1), []), "E0302", "nested")


def test_models_that_multiply(tmp_path) -> None:
    start = time.perf_counter()
    refused(write_keras(tmp_path / "net.keras", nested(30, 2), []), "E0304", "times")
    assert time.perf_counter() - start < 10


def test_json_that_is_none(tmp_path) -> None:
    refused(write_h5(tmp_path / "a.h5", "{", []), "E0301", "JSON")
    refused(write_keras(tmp_path / "b.keras", "[" * 100_000, []), "E0301", "JSON")
    refused(write_keras(tmp_path / "c.keras", "[]", []), "E0301", "no Keras model")
    layers = [VECTOR, Described("ReLU", "it", {}, [], [], {"inbound_nodes": "HERE"})]
    deep = json.dumps(config_of(layers, ["it"], 3)).replace('"HERE"', "[" * 900 + "]" * 900)
    refused(write_keras(tmp_path / "d.keras", deep, layers), "E0302")


def test_files_that_are_none(tmp_path) -> None:
    data = (DATA / "sequential_keras2.h5").read_bytes()
    for name, content in (("a.h5", b"hello"), ("b.h5", b""), ("c.keras", b"hello"), ("d.h5", data[:2000])):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "E0301")
    refused(write_h5(tmp_path / "e.h5", None, [VECTOR]), "E0301", "no architecture")
    refused(write_h5(tmp_path / "f.h5", {"class_name": "Sequential"}, [], version="1.2.2"), "E0301", "Keras 1.2.2")
    with zipfile.ZipFile(tmp_path / "g.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    refused(tmp_path / "g.keras", "E0301", "metadata.json")
    (tmp_path / "h.json").write_text("{}")
    refused(tmp_path / "h.json", "E0301", "no file of weights")
    refused(tmp_path / "nothing.h5", "E0202")


def test_archives_that_unpack_to_too_much(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 << 20))
    refused(tmp_path / "net.keras", "E0301", "too large")


def test_links_are_not_followed(tmp_path) -> None:
    layers = [VECTOR, Described("Dense", "it", {"units": 2}, [floats(1, 4, 2), floats(2, 2)], ["x"])]
    other = write(tmp_path, layers, ["it"], 2).rename(tmp_path / "other.h5")
    path = write(tmp_path, layers, ["it"], 2)
    with h5py.File(path, "r+") as file:
        del file["model_weights/it/it/w0:0"]
        file["model_weights/it/it/w0:0"] = h5py.ExternalLink(str(other), "/model_weights/it/it/w0:0")
    refused(path, "E0302", "link")


def test_a_library_that_hangs(tmp_path, monkeypatch) -> None:
    """The process that reads HDF5 is stopped."""
    script = tmp_path / "unpack.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(hdf5, "SCRIPT", script)
    monkeypatch.setattr(hdf5, "SECONDS", 0.5)
    start = time.perf_counter()
    refused(DATA / "sequential_keras2.h5", "E0301", "did not come to an end")
    assert time.perf_counter() - start < 10
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(hdf5, "SECONDS", 30.0)
    refused(DATA / "sequential_keras2.h5", "E0301", "crashed")


def test_without_h5py(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    found = refused(DATA / "sequential_keras3.keras", "E0601", "h5py")
    assert found.remedy == "pip install 'edgec[keras]'" and found.exit == 6


def test_command_line(tmp_path) -> None:
    """The front end is found by the suffix, for every command."""
    from click.testing import CliRunner

    from edgec.cli import cli

    result = CliRunner().invoke(cli, ["inspect", str(one(tmp_path, "Lambda", {})), "-t", "asic65nm"])
    assert result.exit_code == 3 and "E0303" in result.output
    good = CliRunner().invoke(cli, ["estimate", str(DATA / "qencoder.h5"), "-t", "asic65nm"])
    assert good.exit_code == 0 and "conv" in good.output
