"""The command line: light to start, strict about what it is given, one exit status a kind of failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import edgec
from edgec.codes import CODES
from edgec.hw.tools.arm import find_qemu_aarch64

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
COMMANDS = ("inspect", "estimate", "build", "verify", "cosim", "targets", "doctor", "explain")


def edgec_cli(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgec", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=cwd,
        timeout=60,
    )


def test_help_needs_no_heavy_import() -> None:
    """numpy and onnx cost half a second; a shell completion or a typing mistake must not pay for them."""
    program = """
        import sys
        from edgec.cli import main
        try:
            main(["--help"])
        except SystemExit as request:
            assert request.code == 0
        heavy = {"numpy", "onnx", "jinja2", "rich", "msgspec", "safetensors", "onnxruntime", "torch"} & set(sys.modules)
        assert not heavy, heavy
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)
    assert "Exit status" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = edgec_cli(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "--json" in done.stdout and f"edgec {command}" in done.stdout


def test_version() -> None:
    done = edgec_cli("--version")
    assert done.returncode == 0 and edgec.__version__ in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["biuld"], ["E0201", "biuld", "build"]),
        (["build", "m.onnx", "--outt", "x"], ["E0201", "--outt"]),
        (["build", "m.onnx"], ["E0201", "--out"]),
        (["build"], ["E0201"]),
        (["verify", "x", "--vectors", "many"], ["E0201", "many"]),
        (["faults", "x", "--timeout", "nan"], ["E0201", "nan is not positive"]),
        (["synth", "x", "--timeout", "0"], ["E0201", "0 is not positive"]),
        (["build", "m.onnx", "-t", "asic65nm", "-o", "o", "--weights", "some"], ["E0201", "some", "fixed"]),
        (["explain", "E9999"], ["E0211", "E9999"]),
        (["targets", "asic65"], ["E0205", "asic65nm"]),
        (["estimate", "m.onnx"], ["E0201", "target"]),
        (["build", "m.onnx", "-t", "asic65nm", "-o", "o", "--config", "none.toml"], ["E0202", "none.toml"]),
        (["build", "m.onnx", "-t", "asic65nm", "-o", "o", "--dim", "N"], ["E0201", "--dim"]),
        (["build", "missing.onnx", "-t", "asic65nm", "-o", "o"], ["E0202", "missing.onnx"]),
        (["build", "missing.onnx", "-t", "asic65nm", "-o", "o", "--clock-mhz", "-1"], ["E0204", "clock_mhz"]),
    ],
)
def test_usage_errors(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    done = edgec_cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert all(w in done.stderr for w in words), done.stderr
    assert not list(tmp_path.iterdir())
    machine = edgec_cli(*arguments, "--json", cwd=tmp_path)
    document = json.loads(machine.stdout)
    assert machine.returncode == 2 and document["ok"] is False
    assert document["diagnostics"][0]["code"] == words[0]


def test_a_folder_that_is_no_artefact(tmp_path: Path) -> None:
    for command in ("verify", "cosim"):
        done = edgec_cli(command, str(tmp_path))
        assert done.returncode == 7 and "E0704" in done.stderr, done.stderr


def test_explain() -> None:
    listed = edgec_cli("explain")
    assert listed.returncode == 0 and all(code in listed.stdout for code in CODES)
    one = edgec_cli("explain", "e0312")
    assert one.returncode == 0 and CODES["E0312"].explanation in one.stdout and "exit status 3" in one.stdout
    machine = json.loads(edgec_cli("explain", "W0001", "--json").stdout)
    assert machine["result"] == {
        "code": "W0001",
        "title": CODES["W0001"].title,
        "explanation": CODES["W0001"].explanation,
    }


@pytest.mark.parametrize("arguments", [["targets"], ["targets", "asic65nm"], ["explain"], ["doctor"]])
def test_json_is_one_object_on_stdout(arguments: list[str]) -> None:
    done = edgec_cli(*arguments, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert set(document) == {"schema_version", "command", "ok", "result", "diagnostics"}
    assert document["schema_version"] == 1 and document["command"] == arguments[0] and document["ok"] is True
    assert document["diagnostics"] == []


def test_doctor_says_what_tools_are_for_and_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "EDGEC_QEMU_AARCH64", "/no/such/qemu")
    said = edgec_cli("doctor").stdout
    tool = find_qemu_aarch64()
    assert tool.purpose in said and "EDGEC_QEMU_AARCH64 is '/no/such/qemu'" in said and tool.remedy in said


def test_output_into_a_closed_pipe() -> None:
    done = subprocess.run(
        f"{sys.executable} -m edgec explain | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_an_interrupt_is_130(tmp_path: Path) -> None:
    """A target file that is a named pipe keeps the command reading until it is interrupted."""
    fifo = tmp_path / "slow.toml"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgec", "targets", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    writer = None
    try:
        deadline = time.monotonic() + 30
        while writer is None and time.monotonic() < deadline:
            try:
                writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)  # succeeds once the command has opened it
            except OSError:
                time.sleep(0.02)
        assert writer is not None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        if writer is not None:
            os.close(writer)
    assert process.returncode == 130, err
    assert out == "" and err.strip() == "edgec: interrupted"


def test_an_internal_error_leaves_a_bundle(tmp_path: Path) -> None:
    program = """
        import sys
        from edgec import target
        def broken(name):
            raise ZeroDivisionError("a bug")
        target.load_target = broken
        from edgec.cli import main
        main(["targets", "asic65nm"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1 and "E0101" in done.stderr and "a bug" in done.stderr
    assert "Traceback" not in done.stderr
    (bundle,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in bundle.read_text() and str(bundle) in done.stderr


def test_python_interface_is_lazy_and_complete() -> None:
    for name in edgec.__all__:
        assert getattr(edgec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'bulid'"):
        _ = edgec.bulid  # type: ignore[attr-defined]
