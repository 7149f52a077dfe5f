"""`edgec verify`: what agrees passes, what differs is named by layer, frame and element, and nothing slips through."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artefact_support import TARGET, need, tiny
from hypothesis import given
from hypothesis import strategies as st

from edgec import api
from edgec.artefact import RESULTS, Artefact, sha256
from edgec.comparison import Mismatch, Reference, first_difference, reference
from edgec.cosimulation import RtlSimulation, image_words, load_graph
from edgec.diagnostics import EdgecError
from edgec.interp import random_frames, run
from edgec.options import Options
from edgec.tampering import copy_artefact, flip_word, reseal
from edgec.text import Printer, print_graph, save_arrays
from edgec.verification import check_golden, check_simulation, read_npz


def refused(action: Callable[[], Any]) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        action()
    return caught.value


def as_reference(layers: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> Reference:
    return Reference(layers, outputs, {"a": ("/layer/a",)}, {n: f"{n}_layer" for n in outputs})


arrays = st.lists(st.integers(-9, 9), min_size=12, max_size=12).map(lambda v: np.array(v, np.int16).reshape(3, 2, 2))


@given(arrays, arrays, arrays)
def test_equal_words_do_not_differ(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    expected = as_reference({"a": a, "b": b}, {"y": y})
    assert first_difference(expected, {"a": a.astype(np.int64), "b": b}, {"y": y.astype(np.int32)}) is None


@given(arrays, arrays, arrays, st.sampled_from("aby"), st.integers(0, 11), st.integers(1, 300))
def test_a_changed_word_is_named(a: np.ndarray, b: np.ndarray, y: np.ndarray, where: str, at: int, change: int) -> None:
    expected = as_reference({"a": a, "b": b}, {"y": y})
    found = {"a": a.copy(), "b": b.copy(), "y": y.copy()}
    found[where].flat[at:] += np.int16(change)  # the first of several
    difference = first_difference(expected, {"a": found["a"], "b": found["b"]}, {"y": found["y"]})
    assert difference is not None
    assert difference.layer == ("y_layer" if where == "y" else where)
    assert (difference.frame, *difference.element) == np.unravel_index(at, (3, 2, 2))
    assert (difference.wrong, difference.total) == (12 - at, 12)
    assert difference.found - difference.expected == change
    text = str(difference.error("party"))
    assert "E0501" in text and difference.layer in text and f"frame {difference.frame}" in text


def test_the_first_layer_is_named_not_the_worst() -> None:
    a, b = np.zeros((2, 3), int), np.zeros((2, 3), int)
    expected = as_reference({"a": a, "b": b}, {"y": b})
    one = a.copy()
    one[1, 2] = 5
    difference = first_difference(expected, {"b": b + 1, "a": one}, {"y": b + 1})
    assert difference is not None and (difference.layer, difference.source) == ("a", ("/layer/a",))
    assert (difference.frame, difference.element, difference.wrong) == (1, (2,), 1)


def test_missing_and_misshapen_words_are_errors() -> None:
    expected = as_reference({"a": np.zeros((2, 3))}, {"y": np.zeros((2, 3))})
    assert refused(lambda: first_difference(expected, {}, {})).code == "E0501"
    assert refused(lambda: first_difference(expected, {}, {"y": np.zeros((2, 1))})).code == "E0501"
    assert refused(lambda: first_difference(expected, {"a": np.zeros((1, 3))}, {"y": np.zeros((2, 3))})).code == "E0501"


def test_floats_compare_by_value_and_nan_with_nan() -> None:
    want = np.array([[1.0, np.nan, 0.0]])
    assert first_difference(as_reference({}, {"y": want}), {}, {"y": np.array([[1.0, np.nan, -0.0]])}) is None
    difference = first_difference(as_reference({}, {"y": want}), {}, {"y": np.array([[1.0, 2.0, 0.0]])})
    assert difference is not None and difference.element == (1,)


@pytest.mark.parametrize("name", ["loaded", "fixed"])
def test_every_party_agrees(name: str, request: pytest.FixtureRequest, simulators: Path, tmp_path: Path) -> None:
    need("iverilog")
    artefact = Artefact.open(copy_artefact(request.getfixturevalue(name), tmp_path / "out"))
    result = api.verify(artefact, on=("verilator", "icarus", "onnxruntime"), vectors=1500)
    outputs = sum(o["elements"] for o in artefact.manifest["interface"]["outputs"])
    verilator, icarus, onnxruntime = result["parties"]
    assert result["ok"] and result["frames"] == 1564
    assert verilator["words"] == onnxruntime["words"] == 1564 * outputs and icarus["frames"] == 32
    assert verilator["latency"] == artefact.manifest["interface"]["latency"] and verilator["initiation_interval"] == 1
    assert all("0 wrong" in line for line in result["summary"][1:])
    record = json.loads((artefact.path / RESULTS).read_text())
    assert record["ok"] and record["manifest_sha256"] == sha256(artefact.read("manifest.json"))
    artefact.check()  # the record is no part of the artefact


def test_given_frames_are_used(simulators: Path, loaded: Artefact, tmp_path: Path) -> None:
    copy = Artefact.open(copy_artefact(loaded, tmp_path / "out"))
    values = np.full((5, 1, 4), 0.25)
    assert api.verify(copy, frames={"x": values})["frames"] == 69
    np.save(tmp_path / "x.npy", values)
    assert api.verify(copy, frames=tmp_path / "x.npy")["frames"] == 69
    assert refused(lambda: api.verify(copy, frames={"z": values})).code == "E0210"


def test_unknown_party(loaded: Artefact) -> None:
    error = refused(lambda: api.verify(loaded, on=("verilate",)))
    assert error.code == "E0201" and "verilator" in str(error)


def mismatch(action: Callable[[], Any]) -> tuple[str, int, tuple[int, ...]]:
    with pytest.raises(Mismatch) as caught:
        action()
    found = caught.value.difference
    return found.layer, found.frame, found.element


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("file", ["golden/outputs.npz", "golden/per_layer.npz"])
def test_a_changed_golden_word_is_named(fixed: Artefact, file: str, seed: int) -> None:
    graph, inputs = load_graph(fixed), read_npz(fixed, "golden/inputs.npz")
    check_golden(fixed, graph, inputs)
    flip = flip_word(fixed, file, np.random.default_rng(seed))
    names = Printer(graph).names
    layer = names[dict(graph.outputs)[flip.name]] if file == "golden/outputs.npz" else flip.name
    found = mismatch(lambda: check_golden(flip.artefact(fixed), graph, inputs))
    assert found == (layer, flip.place[0], flip.place[1:])


def test_the_weights_of_model_and_image_must_agree(loaded: Artefact, tmp_path: Path) -> None:
    """Somebody trained the model anew, renewed golden words and hashes, and forgot the weight image."""
    copy = Artefact.open(copy_artefact(loaded, tmp_path / "out"))
    other = api.build(tiny(1), TARGET, tmp_path / "other", Options(weights="loaded"))
    for name in ("graph.edge", "weights.safetensors"):
        (copy.path / "model" / name).write_bytes(other.read(f"model/{name}"))
    for name in ("inputs.npz", "outputs.npz", "per_layer.npz"):
        (copy.path / "golden" / name).write_bytes(other.read(f"golden/{name}"))
    reseal(copy.path)
    assert refused(lambda: api.verify(copy.path, on=())).code == "E0702"


def test_other_constants_in_the_rtl_are_found(simulators: Path, fixed: Artefact, tmp_path: Path) -> None:
    """Model and golden words replaced consistently: only the simulation can tell that the RTL has other weights."""
    path = copy_artefact(fixed, tmp_path / "out")
    graph = load_graph(fixed)
    _, stored = print_graph(graph)
    changed = {n: a.copy() for n, a in stored.items()}
    changed["conv_w"][0, 0, 1, 1] ^= 1
    (path / "model/weights.safetensors").write_bytes(save_arrays(changed))
    model = load_graph(Artefact.open(path))
    frames = read_npz(fixed, "golden/inputs.npz")
    from edgec.driver import golden_files

    for name, data in golden_files(model, frames, run(model, frames)).items():
        (path / name).write_bytes(data)
    reseal(path)
    api.verify(path, on=())
    assert (path / RESULTS).exists()
    with pytest.raises(Mismatch) as caught:
        api.verify(path, on=("verilator",))
    assert "inner" in str(caught.value) and "verilator" in str(caught.value)
    assert not (path / RESULTS).exists()


def test_wrong_cycles_are_found(simulators: Path, fixed: Artefact) -> None:
    interface = {**fixed.manifest["interface"], "latency": 3}
    promised = dataclasses.replace(fixed, manifest={**fixed.manifest, "interface": interface})
    graph = load_graph(fixed)
    frames = random_frames(graph, 20, 1)
    simulation = RtlSimulation(promised)
    expected = reference(graph, frames, [p["layer"] for p in simulation.probes])
    error = refused(lambda: check_simulation(promised, simulation, frames, expected))
    assert error.code == "E0502" and "latency 2 cycles, the estimate says 3" in str(error)


def test_the_loaded_weights_are_used(simulators: Path, loaded: Artefact) -> None:
    """Without its weights the register bank holds noise, and verification says so."""
    graph = load_graph(loaded)
    frames = random_frames(graph, 200, 1)
    simulation = RtlSimulation(loaded)
    expected = reference(graph, frames, [p["layer"] for p in simulation.probes])
    with pytest.raises(Mismatch):
        check_simulation(loaded, simulation, frames, expected)
    words = image_words(loaded, None)
    assert words is not None
    simulation.load_weights(words)
    check_simulation(loaded, simulation, frames, expected)


def test_a_simulator_is_compiled_once(simulators: Path, loaded: Artefact, tmp_path: Path) -> None:
    """The same RTL with other weights, and cosim after verify, find the model that is there."""
    second = api.build(tiny(7), TARGET, tmp_path / "second", Options(weights="loaded"))
    api.verify(second)
    models = sorted(simulators.rglob("*_batch"))
    api.verify(copy_artefact(loaded, tmp_path / "copy"))
    api.cosim(second)
    assert sorted(simulators.rglob("*_batch")) == models


def test_a_second_weight_image_gives_the_second_network(simulators: Path, loaded: Artefact, tmp_path: Path) -> None:
    second = api.build(tiny(1), TARGET, tmp_path / "second", Options(weights="loaded"))
    assert second.manifest["plan_digest"] != "" and second.read("rtl/weights.img") != loaded.read("rtl/weights.img")
    assert {n: d for n, d in files(second, "rtl").items() if n != "rtl/weights.img"} == {
        n: d for n, d in files(loaded, "rtl").items() if n != "rtl/weights.img"
    }
    values = {"x": load_graph(loaded).input("x").format.decode(random_frames(tiny(), 300, 5)["x"])}
    result = api.cosim(loaded, values, weights=second.path / "rtl/weights.img")
    frames = random_frames(tiny(), 300, 5)
    np.testing.assert_array_equal(result["outputs"]["y"], run(tiny(1), frames)["y"])
    own = api.cosim(loaded, values)
    np.testing.assert_array_equal(own["outputs"]["y"], run(tiny(0), frames)["y"])
    assert (own["outputs"]["y"] != result["outputs"]["y"]).any()


def files(artefact: Artefact, folder: str) -> dict[str, bytes]:
    return {n: artefact.read(n) for n in artefact.manifest["files"] if n.startswith(f"{folder}/")}
