"""The command line when things go wrong: a clear error, the right exit status, and never a part of an artefact."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from artefact_support import ROOT, TARGET, edgec, environment, fails, tiny, tree, two_layers, write_model
from onnx import TensorProto, helper

from edgec import api, artefact
from edgec.artefact import Artefact
from edgec.diagnostics import EdgecError
from edgec.driver import write_build


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tiny(), tmp_path / "model")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for outputs; whatever is in it afterwards was left there."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def build_fails(
    place: Path, model: Path | str, status: int, code: str, *words: str, flags: tuple[str, ...] = ()
) -> None:
    fails(edgec("build", model, "-t", TARGET, "-o", place / "out", *flags), status, code, *words)
    assert not list(place.iterdir())


# Models


def onnx_bytes(first: str = "Relu", second: str = "Neg") -> bytes:
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    nodes = [helper.make_node(first, ["x"], ["m"], "/first"), helper.make_node(second, ["m"], ["y"], "/second")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


MALFORMED: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "garbage.onnx": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(500)), 3, "E0301"),
    "empty.onnx": (lambda p: p.write_bytes(b""), 3, "E0301"),
    "truncated.onnx": (lambda p: p.write_bytes(onnx_bytes()[:-30]), 3, "E0301"),
    "folder.onnx": (lambda p: p.mkdir(), 2, "E0202"),
    "missing.onnx": (lambda p: None, 2, "E0202"),
    # A file whose reading fails, for root too.
    "unreadable.onnx": (lambda p: p.symlink_to("/proc/self/mem"), 2, "E0202"),
    "loop.onnx": (lambda p: p.symlink_to(p), 2, "E0202"),
    "words.txt": (lambda p: p.write_text("a model"), 3, "E0301"),
    "garbage.edge": (lambda p: p.write_bytes(b"\xff\xfe\x00edge"), 2, "E0202"),
    "words.edge": (lambda p: p.write_text("a model\n"), 2, "E0208"),
    "folder.edge": (lambda p: p.mkdir(), 2, "E0202"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_models(tmp_path: Path, place: Path, name: str) -> None:
    make, status, code = MALFORMED[name]
    make(tmp_path / name)
    build_fails(place, tmp_path / name, status, code)
    fails(edgec("inspect", tmp_path / name), status, code)


def test_a_model_without_its_arrays(model: Path, place: Path) -> None:
    arrays = model.with_suffix(".safetensors")
    arrays.write_bytes(arrays.read_bytes()[:-5])
    build_fails(place, model, 2, "E0202", "net.safetensors")
    arrays.unlink()
    build_fails(place, model, 2, "E0208", "@fc_w")


def test_every_unknown_operator_is_named(tmp_path: Path, place: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes("Whirl", "Frobnicate"))
    build_fails(place, path, 3, "E0303", "/first", "/second", "Whirl", "Frobnicate")
    done = edgec("inspect", path, "--json")
    codes = [d["code"] for d in json.loads(done.stdout)["diagnostics"]]
    assert done.returncode == 3 and codes.count("E0303") == 2


# Configuration


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('[build]\nweigths = "loaded"', "E0203", "'weights'"),
        ('[biuld]\nweights = "loaded"', "E0203", "[build]"),
        ('[build]\nweights = "both"', "E0204", "fixed or loaded"),
        ("[build]\ngolden = 0", "E0204", "golden"),
        ("[build]\nseed = true", "E0204", "seed"),
        ("[build]\nclock_mhz = -1.0", "E0204", "clock_mhz"),
        ("[build]\ndims = {N = 'x'}", "E0204", "dims"),
        ("[build", "E0204", "TOML"),
        ("build = 3", "E0204", "[build]"),
        ("[[build]]\nseed = 1", "E0204", "no table"),
        ("[build]\ndims = 'x'", "E0204", "dims must be a table"),
        ("[build]\nfolding = 'x'", "E0204", "folding must be a table"),
        ("[build]\nmax_area_kge = inf", "E0204", "finite"),
        ('[build]\ntarget = "asic65mn"', "E0205", "asic65nm"),
    ],
)
def test_bad_configuration(model: Path, place: Path, tmp_path: Path, text: str, code: str, hint: str) -> None:
    config = tmp_path / "edgec.toml"
    config.write_text(text)
    done = edgec("build", model, "-o", place / "out", "--config", config)
    fails(done, 2, code, hint)
    assert not list(place.iterdir())
    fails(edgec("build", model, "-o", place / "out", "--config", tmp_path), 2, "E0202")


@pytest.mark.parametrize(
    ("flags", "code", "hint"),
    [
        (("--passes", "fold-constnats"), "E0207", "fold-constants"),
        (("--passes", "quantize{bits=8"), "E0207", ""),
        (("--passes", "quantize{bist=8}"), "E0207", "bits"),
        (("--wieghts", "fixed"), "E0201", "--weights"),
        (("--weights", "none"), "E0201", "loaded"),
        (("--dim", "N"), "E0201", "NAME=N"),
        (("--numerics", "econt"), "E0204", "econ-t"),
        (("--golden-frames", "missing.npz"), "E0202", "missing.npz"),
        (("--input-format", "fixed<4"), "E0204", "fixed<4"),
    ],
)
def test_unknown_options(model: Path, place: Path, flags: tuple[str, ...], code: str, hint: str) -> None:
    build_fails(place, model, 2, code, hint, flags=flags)


BAD_TARGETS = {
    "not TOML": "name = [",
    "unknown key": 'inherits = "asic65nm"\nbakcend = "rtl"',
    "unknown parent": 'inherits = "asic64nm"',
    "own parent": 'inherits = "bad.toml"',
    "no backend": 'description = "nothing"',
    "constant without a source": 'inherits = "asic65nm"\n[constants]\nwire_cap = {low = 1, nominal = 2, high = 3}',
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("text", BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_bad_target_files(model: Path, place: Path, tmp_path: Path, text: str) -> None:
    target = tmp_path / "bad.toml"
    target.write_text(text)
    fails(edgec("build", model, "-t", target, "-o", place / "out"), 2, "E0206", "bad.toml")
    assert not list(place.iterdir())


def test_unknown_targets(model: Path, place: Path, tmp_path: Path) -> None:
    for target, hint in (("asic65mn", "asic65nm"), (str(tmp_path / "no.toml"), "no.toml")):
        fails(edgec("build", model, "-t", target, "-o", place / "out"), 2, "E0205", hint)
    fails(edgec("build", model, "-o", place / "out"), 2, "E0201", "--target")
    assert not list(place.iterdir())


# Output folders


def test_a_foreign_folder_is_untouched(model: Path, place: Path) -> None:
    (place / "out").mkdir()
    (place / "out/thesis.tex").write_text("mine")
    fails(edgec("build", model, "-t", TARGET, "-o", place / "out"), 2, "E0209", "out")
    assert tree(place) == {"out/thesis.tex": b"mine"}
    fails(edgec("build", model, "-t", TARGET, "-o", place / "out/thesis.tex"), 2, "E0209")
    fails(edgec("build", model, "-t", TARGET, "-o", place / "out/thesis.tex/out"), 2, "E0212")
    assert tree(place) == {"out/thesis.tex": b"mine"}


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("old", [False, True], ids=["new", "over an artefact"])
def test_a_full_disk(model: Path, place: Path, old: bool) -> None:
    """The kernel's limit on file size plays the disk: it refuses the largest files of the artefact."""
    out = place / "deep/er/out"
    if old:
        assert edgec("build", model, "-t", TARGET, "-o", out).returncode == 0
    before = tree(place)
    words = [sys.executable, "-m", "edgec", "build", str(model), "-t", TARGET, "-o", str(out), "--weights", "loaded"]
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment(), preexec_fn=limited(5000), timeout=60
    )
    fails(done, 2, "E0212", "out")
    assert tree(place) == before
    assert [p.name for p in out.parent.iterdir()] == ["out"] if old else not list(place.iterdir())


def test_no_space_left(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = api.compile_model(tiny(), TARGET)
    real, calls = Path.open, []

    def full(self: Path, mode: str = "r", *arguments: object, **named: object) -> object:
        if mode == "wb":
            calls.append(self)
            if len(calls) > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, mode, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(EdgecError) as caught:
        write_build(compiled, place / "a/b/out")
    assert caught.value.code == "E0212" and "no space left" in str(caught.value) and len(calls) == 4
    assert not list(place.iterdir())


def test_a_full_disk_behind_stdout() -> None:
    for arguments in (["targets"], ["targets", "--json"], ["--help"]):
        with Path("/dev/full").open("w") as full:
            words = [sys.executable, "-m", "edgec", *arguments]
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), timeout=60)
        assert done.returncode == 2 and "E0212" in done.stderr and "Traceback" not in done.stderr


def test_two_builds_are_byte_identical(tmp_path: Path) -> None:
    trees = []
    for name, hashing in (("first", "0"), ("a/second", "1")):
        model = write_model(two_layers(), tmp_path / name / "model")
        out = tmp_path / name / "out"
        done = edgec("build", model, "-t", "asic65nm", "-o", out, env={"PYTHONHASHSEED": hashing}, cwd=model.parent)
        assert done.returncode == 0, done.stderr
        trees.append(tree(out))
    assert trees[0] == trees[1] and len(trees[0]) > 25
    assert not [name for name, data in trees[0].items() if str(tmp_path).encode() in data or str(ROOT).encode() in data]


def test_an_older_artefact_is_replaced_whole(model: Path, place: Path) -> None:
    assert edgec("build", model, "-t", TARGET, "-o", place / "out", "--weights", "loaded").returncode == 0
    (place / "out/verify.json").write_text("{}")
    assert edgec("build", model, "-t", TARGET, "-o", place / "out").returncode == 0
    assert edgec("build", model, "-t", TARGET, "-o", place / "fresh").returncode == 0
    assert tree(place / "out") == tree(place / "fresh")
    assert sorted(p.name for p in place.iterdir()) == ["fresh", "out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_leaves_nothing(model: Path, place: Path, number: int) -> None:
    """The signal arrives in the middle of writing."""
    program = f"""
import pathlib, sys, time
from edgec.cli import main
real = pathlib.Path.open
def slow(self, *arguments, **named):
    if self.name == "graph.edge":
        print("writing", flush=True)
        time.sleep(60)
    return real(self, *arguments, **named)
pathlib.Path.open = slow
main(["build", {str(model)!r}, "-t", {TARGET!r}, "-o", {str(place / "new/out")!r}])
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert child.stdout is not None and child.stdout.readline() == "writing\n"
    assert [p for p in (place / "new").iterdir()]  # half of an artefact, under another name
    child.send_signal(number)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 130 and "interrupted" in errors and "Traceback" not in errors, errors
    assert not list(place.iterdir())


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_between_the_renames(place: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    api.build(tiny(), TARGET, place / "out")
    before, calls, real = tree(place), [], os.replace

    def interrupted(source: object, target: object) -> None:
        calls.append(target)
        if len(calls) == at:
            raise KeyboardInterrupt
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(artefact.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.build(tiny(1), TARGET, place / "out")
    assert tree(place) == before and [p.name for p in place.iterdir()] == ["out"]


# JSON


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("build", "MODEL", "-t", TARGET, "-o", "OUT"), 0, None),
        (("estimate", "MODEL", "-t", TARGET), 0, None),
        (("build", "MODEL", "-t", "none", "-o", "OUT"), 2, "E0205"),
        (("build", "missing.onnx", "-t", TARGET, "-o", "OUT"), 2, "E0202"),
        (("build", "MODEL", "-t", TARGET), 2, "E0201"),
        (("verify", "nowhere"), 7, "E0704"),
        (("verify", "LOADED", "--on", "nothing"), 2, "E0201"),
        (("cosim", "LOADED", "--weights", "nowhere"), 2, "E0202"),
        (("cosim", "LOADED", "--stalls", "7"), 2, "E0201"),
        (("explain", "E9999"), 2, "E0211"),
    ],
)
def test_json_says_the_same(
    model: Path, place: Path, loaded: Artefact, arguments: tuple[str, ...], status: int, code: str | None
) -> None:
    names = {"MODEL": str(model), "OUT": str(place / "out"), "LOADED": str(loaded.path)}
    words = [names.get(a, a) for a in arguments]
    plain = edgec(*words, cwd=place)
    shutil.rmtree(place / "out", ignore_errors=True)
    done = edgec(*words, "--json", cwd=place)
    document = json.loads(done.stdout)
    assert plain.returncode == done.returncode == status, plain.stderr + done.stderr
    assert document["ok"] == (status == 0) and document["schema_version"] == 1
    assert document["command"] == arguments[0] and done.stderr == ""
    errors = [d for d in document["diagnostics"] if d["severity"] == "error"]
    assert [e["code"] for e in errors] == ([code] if code else [])
    assert all(set(e) == {"code", "severity", "layer", "op", "what", "why", "remedy"} for e in errors)
    assert not code or f"error[{code}]" in plain.stderr
