"""Models that real Keras and QKeras wrote, against the numbers that they computed (data/keras/README.md)."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest
from keras_support import DATA, results

import edgec
from edgec.api import compile_model, load
from edgec.formats import Affine, Fixed
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.frontend.keras.registry import layer_names
from edgec.ops import Constant, Conv, Dense, Dequantize, Op, Transpose

FILES = sorted(p.name for suffix in ("*.h5", "*.keras") for p in DATA.glob(suffix))
TOLERANCE = 2e-6
"""Of the largest output: sums in another order, in binary32."""


def recorded(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    with np.load(DATA / f"{name.rpartition('.')[0]}.npz") as arrays:
        return arrays["x"], [arrays[f"y{i}"] for i in range(len(arrays.files) - 1)]


def test_there_are_models_of_all_three() -> None:
    assert len(FILES) >= 30
    assert {"keras2", "keras3"} <= {f.rpartition(".")[0].rpartition("_")[2] for f in FILES} and "qconv.h5" in FILES


@pytest.mark.parametrize("name", FILES)
def test_agrees_with_keras(name: str) -> None:
    x, expected = recorded(name)
    graph = edgec.load(DATA / name)
    found = results(graph, x)
    assert len(found) == len(expected)
    for (output, _), y, reference in zip(graph.outputs, found, expected, strict=True):
        assert y.shape == reference.shape, output
        limit = TOLERANCE * max(1.0, float(np.abs(reference).max()))
        assert np.abs(y - reference).max() <= limit, f"{output}: {np.abs(y - reference).max()}"


def architecture(name: str) -> dict[str, Any]:
    if name.endswith(".keras"):
        with zipfile.ZipFile(DATA / name) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(DATA / name) as file:
        return json.loads(file.attrs["model_config"])


def test_the_recorded_models_cover_the_importers() -> None:
    """Every layer class that is imported is in a recorded model, but for these, which have tests of their own."""
    seen: set[str] = set()
    for name in FILES:
        layers = list(architecture(name)["config"]["layers"])
        for entry in layers:
            seen.add(entry["class_name"])
            layers += entry["config"].get("layers", [])
    apart = {"ActivityRegularization", "AlphaDropout", "GaussianDropout", "SpatialDropout1D", "SpatialDropout2D"}
    apart |= {n for n in layer_names() if n.startswith("ops.")}
    assert set(layer_names()) - seen == apart


def test_names_of_layers_survive() -> None:
    graph = edgec.load(DATA / "nested_keras3.keras")
    names = {name for op in graph.ops for name in op.loc}
    assert {"image", "head/left", "head/right"} <= names
    assert any(name.startswith("block/conv2d") for name in names)
    assert [n for n, _ in graph.outputs] == ["head", "head_1", "block"]


def _weights(name: str) -> list[Op]:
    graph = edgec.load(DATA / name)
    return [op.w.x for op in graph.ops if isinstance(op, Dense | Conv) and isinstance(op.w, Dequantize)]


def test_weights_become_codes() -> None:
    """One kernel quantiser a layer, in the order of make_models.py."""
    formats = [w.format for w in _weights("qdense_a.h5") + _weights("qdense_b.h5")]
    assert formats[0] == Fixed(6, 1)
    assert formats[1] == Fixed(4, 1, narrow=True)  # alpha 0.5 halves the unit of quantized_bits(4, 1)
    assert isinstance(formats[2], Fixed)  # auto_po2: one unit for all outputs
    assert isinstance(formats[3], Affine) and formats[3].axis == 0 and formats[3].base.bits == 4
    assert formats[4] == formats[5] == Binary()
    assert all(isinstance(f.base if isinstance(f, Affine) else f, Binary) for f in formats[6:9])
    assert formats[9] == Ternary()
    assert all(isinstance(f.base if isinstance(f, Affine) else f, Ternary) for f in formats[9:12])
    assert all(isinstance(f.base if isinstance(f, Affine) else f, Pow2) for f in formats[12:])
    assert all(isinstance(w, Constant) for w in _weights("qencoder.h5"))


@pytest.mark.parametrize("name", ["qencoder.h5", "qtagger.h5", "qcamera.h5"])
def test_integer_networks_give_the_codes_of_qkeras(name: str) -> None:
    """The whole way to integers: fixed-point inputs; weights of all kinds; a batch norm that becomes thresholds."""
    graph = compile_model(DATA / name, "asic65nm").graph
    assert not any(op.format.is_float for op in graph.ops)
    x, (expected,) = recorded(name)
    codes = graph.inputs[0].format.encode(x)
    (y,) = results(graph, codes.reshape(len(x), *graph.inputs[0].shape[1:]))
    values = graph.outputs[0][1].format.decode(y)
    assert np.array_equal(values.reshape(expected.shape), expected.astype(np.float64))
    assert len(np.unique(values)) > 4


def test_no_transposes_between_layers() -> None:
    """The encoder has one channel: nothing moves, and the dense weights follow the order of the convolution."""
    assert not [op for op in load(DATA / "qencoder.h5").ops if isinstance(op, Transpose)]
