"""Synthesis when its tool is missing, dies, hangs or refuses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hw_support import need, script
from synth_support import build

import edgec
from edgec.diagnostics import EdgecError
from edgec.hw.synth import load_library
from edgec.hw.synth.mapping import map_design
from edgec.hw.synth.yosys import run_yosys
from edgec.hw.tools import yosys

SOURCE = {"t.sv": b"module t (input a, b, output y); assign y = a & b; endmodule\n"}


def refused(top: str = "t", sources: dict[str, bytes] | None = None, timeout: float = 60) -> EdgecError:
    with pytest.raises(EdgecError) as error:
        map_design(top, sources or SOURCE, load_library("gate-equivalents"), timeout=timeout)
    return error.value


def test_without_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact = build(tmp_path / "out", "fixed")
    monkeypatch.delenv("EDGEC_YOSYS", raising=False)
    monkeypatch.setattr(yosys.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgecError) as error:
        edgec.synth(artefact, "gate-equivalents")
    first = error.value.diagnostics[0]
    assert first.code == "E0601" and error.value.exit == 6
    assert "edgec[synth]" in str(first.remedy)
    assert not (artefact.path / "synth").exists()


def test_a_killed_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = script(tmp_path, "[ \"$1\" = -V ] && { echo 'Yosys 0.70'; exit 0; }\nkill -9 $$\n", "yosys")
    monkeypatch.setenv("EDGEC_YOSYS", str(tool))
    assert refused().diagnostics[0].code == "E0603"


def test_a_yosys_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = script(tmp_path, "[ \"$1\" = -V ] && { echo 'Yosys 0.70'; exit 0; }\nsleep 60\n", "yosys")
    monkeypatch.setenv("EDGEC_YOSYS", str(tool))
    assert refused(timeout=1).diagnostics[0].code == "E0604"


def test_a_yosys_that_stops_early_with_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = script(tmp_path, "[ \"$1\" = -V ] && { echo 'Yosys 0.70'; exit 0; }\necho so far\n", "yosys")
    monkeypatch.setenv("EDGEC_YOSYS", str(tool))
    first = refused().diagnostics[0]
    assert first.code == "E0602" and "so far" in str(first.why)


@pytest.mark.parametrize(
    ("top", "text", "words"),
    [
        ("t", b"module t (input a; endmodule\n", "syntax error"),
        ("t", b"module t (input a, output y); missing u (.a(a), .y(y)); endmodule\n", "missing"),
        ("other", SOURCE["t.sv"], "other"),
    ],
)
def test_sources_that_yosys_refuses(top: str, text: bytes, words: str) -> None:
    need("yosys")
    first = refused(top, {"t.sv": text}).diagnostics[0]
    assert first.code in ("E0602", "E0603") and words in str(first.why)


def test_the_child_survives_no_error_of_a_command(tmp_path: Path) -> None:
    need("yosys")
    with pytest.raises(EdgecError) as error:
        run_yosys(["no_such_command"], tmp_path, {}, 60)
    assert error.value.diagnostics[0].code in ("E0602", "E0603")


def test_pyosys_is_imported_in_the_child_alone(tmp_path: Path) -> None:
    need("yosys")
    import sys

    run_yosys(["help stat"], tmp_path, {}, 60)
    assert importlib.util.find_spec("pyosys") is None or "pyosys" not in sys.modules
