"""Recipes of compression: what they ask for, what is refused, and that the effective one gives the same network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgec
from edgec import api
from edgec.compression import escaped, pass_of, read_recipe, recipe_of
from edgec.diagnostics import EdgecError
from edgec.driver import model_files
from edgec.formats import F32, TensorType
from edgec.graph import Graph
from edgec.ops import Conv, Dense, Input, Op, Relu, Reshape, constant
from edgec.options import Options, read_config

TARGET = "gate-equivalents"


def network() -> Graph:
    g = np.random.default_rng(0)
    x = Input("x", type=TensorType(F32, (1, 2, 6, 6)))
    y: Op = Relu(Conv(x, constant(g.standard_normal((3, 2, 3, 3)) / 4), loc=("/head/conv[0]",)), loc=("r0",))
    y = Relu(Conv(y, constant(g.standard_normal((4, 3, 2, 2)) / 3), loc=("/body/conv",)), loc=("r1",))
    y = Reshape(y, (1, 36), loc=("flat",))
    y = Relu(Dense(y, constant(g.standard_normal((6, 36)) / 6), loc=("fc1",)), loc=("r2",))
    y = Dense(y, constant(g.standard_normal((3, 6)) / 2), loc=("fc2",))
    return Graph("network", (x,), (("y", y),))


def data() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((24, 1, 2, 6, 6)).astype(np.float32)}


def formats(options: Options) -> dict[str, str]:
    """The format of every layer as the report has it."""
    compiled = api.compile_model(network(), TARGET, options, calibration=data())
    return {r["layer"].split(", ")[0]: r["format"] for r in compiled.context.reports["compression"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int", ("int", {})),
        ("int:6", ("integer", {"bits": "6"})),
        ("pow2:4", ("pow2", {"bits": "4"})),
        ("pow2z:3,per_channel=false", ("pow2", {"bits": "3", "zero": "true", "per_channel": "false"})),
        ("ternary", ("ternary", {})),
        ("ternary:median, scale=pow2", ("ternary", {"threshold": "median", "scale": "pow2"})),
        ("binary,activations=binary", ("binary", {"activations": "binary"})),
    ],
)
def test_formats(text: str, expected: tuple[str, dict[str, str]]) -> None:
    assert pass_of(text) == expected


@pytest.mark.parametrize(
    ("table", "code", "word"),
    [
        ({"wieghts": "pow2:4"}, "E0203", "did you mean 'weights'"),
        ({"weights": "pow4:2"}, "E0204", "did you mean 'pow2'"),
        ({"weights": "pow2"}, "E0204", "pow2:4"),
        ({"weights": "int:2x"}, "E0204", "int:6"),
        ({"weights": "binary:3"}, "E0204", "takes no argument"),
        ({"weights": "pow2:4,bots=3"}, "E0207", "did you mean 'bits'"),
        ({"weights": "pow2:4,scale"}, "E0204", "does not parse"),
        ({"weights": "pow2:4,scale=half"}, "E0207", "one of float, pow2"),
        ({"weights": 4}, "E0204", "wrong type"),
        ({"layers": ["conv"]}, "E0204", "a format for every pattern"),
        ({"prune": "0.5,flor=1"}, "E0207", "did you mean 'floor'"),
        ({"layers": {"fc1": "pow2:3,layers=fc2"}}, "E0204", "names the layers already"),
    ],
)
def test_bad_recipes(table: dict[str, object], code: str, word: str) -> None:
    for ask in (lambda: recipe_of(table), lambda: Options(compress=table)):
        with pytest.raises(EdgecError) as caught:
            ask()
        assert caught.value.code == code and word in str(caught.value)


def test_a_pattern_that_fits_no_layer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(EdgecError, match="did you mean 'fc1'") as caught:
        formats(Options(compress={"layers": {"fc11": "ternary"}}))
    assert caught.value.code == "E0204"


def test_an_empty_format_is_no_format(tmp_path: Path) -> None:
    with pytest.raises(EdgecError, match="unknown weight format ''"):
        Options(weights_format="")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(EdgecError, match=r"empty.toml has no table \[compress\]"):
        read_recipe(tmp_path / "empty.toml")


def test_a_format_for_all_may_name_its_layers() -> None:
    ints = dict.fromkeys(("/head/conv[0]", "/body/conv", "fc1", "fc2"), "int<8, narrow>")
    found = formats(Options(weights_format="pow2:4,layers=fc2|/body/*"))
    assert found == ints | {"/body/conv": "pow2<4>", "fc2": "pow2<4>"}


def test_the_ends_stay_unless_they_are_named() -> None:
    table = {"weights": "pow2:4", "layers": {"/head/*": "pow2:4"}}  # the same format: one pass for both lines
    middle = dict.fromkeys(("/head/conv[0]", "/body/conv", "fc1"), "pow2<4>")
    assert formats(Options(compress=table)) == middle | {"fc2": "int<8, narrow>"}


def test_the_first_line_that_fits_counts() -> None:
    table = {"weights": "pow2:4", "layers": {"/body/*": "int:5", "*conv*": "ternary", "fc2": "binary"}}
    wanted = {"/head/conv[0]": "ternary", "/body/conv": "int<5, narrow>", "fc1": "pow2<4>", "fc2": "binary"}
    assert formats(Options(compress=table)) == wanted
    ends = {"/head/conv[0]": "int<8, narrow>", "fc2": "int<8, narrow>"}
    assert formats(Options(weights_format="ternary")) == {"/body/conv": "ternary", "fc1": "ternary"} | ends
    kept = {"weights": "pow2:4,keep_first=false,skip=fc1", "layers": {"/body/conv": "int"}}
    assert formats(Options(compress=kept)) == {
        "/head/conv[0]": "pow2<4>", "/body/conv": "int<8, narrow>", "fc1": "int<8, narrow>", "fc2": "int<8, narrow>"
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        Options(weights_format="pow2:3,per_channel=false,skip=fc1"),
        Options(weights_format="int:6", prune=0.3),
        Options(compress={"weights": "ternary,compensate=full", "layers": {"/head/*": "pow2z:4"}, "prune": "0.4"}),
        Options(compress={"layers": {"fc?": "binary,activations=binary"}}, quantize="activation_bits=6"),
        Options(compress={"weights": "pow2:4,compensate=full", "layers": {"/head/*": "pow2:4,compensate=full"}}),
        Options(compress={"layers": {"*": "pow2:4,keep_first=true", "fc2": "int"}}),
        Options(weights_format="pow2:4,layers=fc*"),
    ],
)  # fmt: skip
def test_the_effective_recipe_gives_the_same_network(options: Options, tmp_path: Path) -> None:
    first = edgec.build(network(), TARGET, tmp_path / "first", options, calibration=data())
    file = tmp_path / "first" / "model" / "compression.toml"
    again = Options(compress=read_recipe(file), quantize=options.quantize)
    second = api.compile_model(network(), TARGET, again, calibration=data())
    files = model_files(second)
    for name in ("model/graph.edge", "model/weights.safetensors", "model/compression.toml"):
        assert first.read(name) == files[name]
    assert first.manifest["tables"]["compression"] == json.loads(json.dumps(second.context.reports["compression"]))
    report = (tmp_path / "first" / "reports" / "index.html").read_text()
    assert "compression" in report and "<th>sqnr db</th>" in report


def test_names_with_pattern_characters_are_escaped() -> None:
    assert escaped("/head/conv[0]") == "/head/conv[[]0]"
    table = {"layers": {escaped("/head/conv[0]"): "ternary"}}
    assert formats(Options(compress=table))["/head/conv[0]"] == "ternary"


def test_nothing_asked_for_writes_no_recipe(tmp_path: Path) -> None:
    artefact = edgec.build(network(), TARGET, tmp_path / "out", Options(quantize=""), calibration=data())
    assert "model/compression.toml" not in artefact.manifest["files"]
    assert [r["format"] for r in artefact.manifest["tables"]["compression"]] == ["int<8, narrow>"] * 4


def test_zero_free_layers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(EdgecError) as caught:
        edgec.build(
            network(), TARGET, tmp_path / "out", Options(weights_format="pow2:4", prune=0.5), calibration=data()
        )
    assert caught.value.code == "E0313" and caught.value.diagnostics[0].layer == "/body/conv"
    assert not (tmp_path / "out").exists()


def test_the_table_of_accuracy_is_against_the_float_weights() -> None:
    from edgec.inspection import add_accuracy

    losses = []
    for weights in ("int:8", "binary"):
        compiled = api.compile_model(network(), TARGET, Options(weights_format=weights), calibration=data())
        add_accuracy(compiled)
        losses.append({r["layer"].split(", ")[0]: r["sqnr_alone_db"] for r in compiled.context.reports["accuracy"]})
    assert losses[0]["fc1"] > 30 and losses[1]["fc1"] < 12


def test_command_line_and_configuration(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('[compress]\nweights = "ternary"\n')
    (tmp_path / "build.toml").write_text('[build]\ncompress = "recipe.toml"\nprune = 0.25\n')
    assert read_config(tmp_path / "build.toml")["compress"] == {"weights": "ternary"}
    from edgec.text import print_graph, save_arrays

    text, arrays = print_graph(network())
    (tmp_path / "net.edge").write_text(text)
    (tmp_path / "net.safetensors").write_bytes(save_arrays(arrays))

    def call(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgec", "inspect", "net.edge", "-t", TARGET, "--json", *flags]
        root = str(Path(__file__).parents[2])
        environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    for flags in (("--config", "build.toml"), ("--compress", "recipe.toml", "--prune", "0.25")):
        done = call(*flags)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["result"]["tables"]["compression"]
        assert [r["format"] for r in rows] == ["int<8, narrow>", "ternary", "ternary", "int<8, narrow>"]
        assert sum(r["zeros"] for r in rows) >= 0.2 * sum(r["weights"] for r in rows)
    (tmp_path / "bad.toml").write_text("[compres]\n")
    done = call("--compress", "bad.toml")
    assert done.returncode == 2 and "unknown table 'compres'" in done.stderr + done.stdout
    done = call("--weights-format", "pow2:4", "--prune", "0.5")
    assert done.returncode == 3 and "no code for zero" in done.stderr + done.stdout
