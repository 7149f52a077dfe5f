"""Missing, failing, killed and hanging tools, and artefacts and weight images that were tampered with."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from artefact_support import TARGET, edgec, environment, fails, need, tiny, tree

from edgec import api
from edgec.artefact import Artefact
from edgec.interp import random_frames, run
from edgec.options import Options
from edgec.tampering import copy_artefact

# Tools


def tool(folder: Path, body: str) -> Path:
    """A Verilator that knows its version, and for the rest does `body`."""
    path = folder / "verilator-for-tests"
    path.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo "Verilator 5.020 2024-01-01"; exit;; esac\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> dict[str, str]:
    """Fresh folders for caches and temporary files: the simulator is compiled anew, and what is left behind shows."""
    need("c++", "make")
    (tmp_path / "cache").mkdir()
    (tmp_path / "tmp").mkdir()
    return {"EDGEC_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}


def nothing_left(scratch: Mapping[str, str]) -> None:
    assert not list(Path(scratch["TMPDIR"]).iterdir())
    assert not [p for p in Path(scratch["EDGEC_CACHE"]).rglob("*") if p.is_file()]


def gone(pid: int) -> bool:
    """Whether a process ends within a moment (a dead one may wait for its parent)."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_missing_verilator(loaded: Artefact, scratch: dict[str, str], tmp_path: Path) -> None:
    for command in ("verify", "cosim"):
        done = edgec(command, loaded.path, env={**scratch, "PATH": tmp_path, "EDGEC_VERILATOR": ""})
        text = done.stderr
        assert done.returncode == 6 and ("E0601" in text or "E0605" in text) and "fix:" in text, text
        fails(
            edgec(command, loaded.path, env={**scratch, "EDGEC_VERILATOR": "/no/such"}), 6, "E0605", "EDGEC_VERILATOR"
        )
    fails(edgec("verify", loaded.path, "--on", "icarus", env={**scratch, "PATH": tmp_path}), 6, "E0601", "iverilog")
    nothing_left(scratch)


def test_old_verilator(loaded: Artefact, scratch: dict[str, str], tmp_path: Path) -> None:
    old = tool(tmp_path, "exit 1")
    old.write_text(old.read_text().replace("5.020", "4.038"))
    fails(edgec("verify", loaded.path, env={**scratch, "EDGEC_VERILATOR": old}), 6, "E0605", "4.038")


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ("kill -KILL $$", "E0603", "SIGKILL"),
        ("kill -SEGV $$", "E0603", "SIGSEGV"),
        ("echo broken >&2; exit 3", "E0602", "broken"),
        ("echo 'cannot write: No space left on device' >&2; exit 1", "E0606", "disk is full"),
    ],
)
def test_failing_verilator(
    loaded: Artefact, scratch: dict[str, str], tmp_path: Path, body: str, code: str, word: str
) -> None:
    before = tree(loaded.path)
    done = edgec("verify", loaded.path, env={**scratch, "EDGEC_VERILATOR": tool(tmp_path, body)})
    fails(done, 6, code, word, "fix:" if code != "E0602" else "why:")
    assert {n: d for n, d in tree(loaded.path).items() if n != "verify.json"} == {
        n: d for n, d in before.items() if n != "verify.json"
    }
    nothing_left(scratch)


def test_hanging_verilator(loaded: Artefact, scratch: dict[str, str], tmp_path: Path) -> None:
    hanging = tool(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 300")
    start = time.monotonic()
    done = edgec("verify", loaded.path, "--timeout", "1", env={**scratch, "EDGEC_VERILATOR": hanging})
    fails(done, 6, "E0604", "1 s", "--timeout")
    assert time.monotonic() - start < 30 and gone(int((tmp_path / "pid").read_text()))
    nothing_left(scratch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_tools_too(
    loaded: Artefact, scratch: dict[str, str], tmp_path: Path, number: int
) -> None:
    pid = tmp_path / "pid"
    hanging = tool(tmp_path, f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 300")
    child = subprocess.Popen(
        [sys.executable, "-m", "edgec", "verify", str(loaded.path)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment({**scratch, "EDGEC_VERILATOR": hanging}),
    )
    for _ in range(500):
        if pid.exists():
            break
        time.sleep(0.02)
    child.send_signal(number)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 130 and "Traceback" not in errors, errors
    assert gone(int(pid.read_text()))
    nothing_left(scratch)


@pytest.fixture
def simulator(simulators: Path, loaded: Artefact, tmp_path: Path) -> Path:
    """A cache of its own with the compiled simulator of `loaded`."""
    api.cosim(loaded, vectors=1)
    return Path(shutil.copytree(simulators, tmp_path / "own"))


def replaced(cache: Path, body: str) -> dict[str, str]:
    """Make a shell script of every simulator in the cache."""
    for program in cache.rglob("*_batch"):
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return {"EDGEC_CACHE": str(cache)}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("kill -KILL $$", "E0603", ("killed by SIGKILL", "memory")),
        ("kill -ABRT $$", "E0603", ("SIGABRT",)),
        ("sleep 300", "E0604", ("1 s",)),
        ("exit 1", "E0602", ("exit status 1",)),
        ("exit 0", "E0602", ("edgec_batch", "outputs.bin")),
    ],
)
def test_a_simulator_that_dies(loaded: Artefact, simulator: Path, body: str, code: str, words: tuple[str, ...]) -> None:
    env = replaced(simulator, body)
    fails(edgec("cosim", loaded.path, "--timeout", "1", env=env), 6, code, *words)


# Integrity


@pytest.fixture
def copy(loaded: Artefact, tmp_path: Path) -> Path:
    return copy_artefact(loaded, tmp_path / "copy")


@pytest.mark.parametrize("name", ["rtl/tiny.sv", "model/weights.safetensors", "golden/outputs.npz", "rtl/weights.img"])
def test_a_tampered_artefact_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 4
    (copy / name).write_bytes(data)
    for command in ("verify", "cosim"):
        fails(edgec(command, copy), 7, "E0701", name)
    assert not (copy / "verify.json").exists()


def test_an_artefact_with_more_or_less_is_refused(copy: Path) -> None:
    (copy / "rtl/more.sv").write_text("module more; endmodule\n")
    fails(edgec("verify", copy), 7, "E0701", "rtl/more.sv")
    (copy / "rtl/more.sv").unlink()
    (copy / "rtl/tiny.sv").unlink()
    fails(edgec("verify", copy), 7, "E0701", "rtl/tiny.sv")
    (copy / "manifest.json").unlink()
    fails(edgec("verify", copy), 7, "E0704", "manifest.json")
    fails(edgec("cosim", copy.parent), 7, "E0704")


def test_weight_images_that_are_refused(loaded: Artefact, fixed: Artefact, tmp_path: Path) -> None:
    image = bytearray(loaded.read("rtl/weights.img"))
    image[21] ^= 16
    (tmp_path / "flipped.img").write_bytes(image)
    fails(edgec("cosim", loaded.path, "--weights", tmp_path / "flipped.img"), 7, "E0702", "flipped.img")
    other = api.build(tiny(0, 5), TARGET, tmp_path / "other", Options(weights="loaded"))
    foreign = other.path / "rtl/weights.img"
    fails(edgec("cosim", loaded.path, "--weights", foreign), 7, "E0703", other.manifest["network_id"])
    fails(edgec("cosim", fixed.path, "--weights", foreign), 7, "E0703", "register bank")
    fails(edgec("cosim", loaded.path, "--weights", tmp_path / "none"), 2, "E0202", "none")


def test_a_second_weight_image_is_loaded(loaded: Artefact, simulators: Path, tmp_path: Path) -> None:
    second = api.build(tiny(1), TARGET, tmp_path / "second", Options(weights="loaded"))
    image, outputs = second.path / "rtl/weights.img", tmp_path / "y.npz"
    done = edgec("cosim", loaded.path, "--weights", image, "--outputs", outputs, "-n", "500", "--seed", "9")
    assert done.returncode == 0, done.stderr
    frames = random_frames(tiny(), 500, 9)
    with np.load(outputs) as found:
        np.testing.assert_array_equal(found["y"], run(tiny(1), frames)["y"])
        assert (found["y"] != run(tiny(0), frames)["y"]).any()
