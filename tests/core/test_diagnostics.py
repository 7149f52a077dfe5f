"""Diagnostics: every code is registered and explained, and decides the exit status."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edgec.codes import CODES
from edgec.diagnostics import Diagnostic, EdgecError, Exit, nearest

ROOT = Path(__file__).parents[2]
FOLDERS = ("edgec", "frontend", "passes", "backends", "targets", "hw", "examples")
CODE = re.compile(r"[EWN]\d{4}")


def sources() -> list[Path]:
    files = [f for folder in FOLDERS for f in (ROOT / folder).rglob("*.py")]
    return [f for f in files if f.name != "codes.py" and not any(p.is_symlink() for p in f.parents)]


def test_every_code_in_the_sources_is_registered() -> None:
    used: dict[str, list[str]] = {}
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                used.setdefault(node.value, []).append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert len(used) > 30
    unknown = {code: places for code, places in used.items() if code not in CODES}
    assert not unknown


def test_codes_are_well_formed_and_explained() -> None:
    statuses = {int(e) for e in Exit}
    titles = [c.title for c in CODES.values()]
    assert len(set(titles)) == len(titles)
    for code, (title, explanation) in CODES.items():
        assert re.fullmatch(r"E0[1-8]\d\d|[WN]0\d{3}", code)
        assert code[0] != "E" or int(code[1:3]) in statuses
        assert title and title[0].islower() and not title.endswith(".")
        assert explanation[0].isupper() or explanation.startswith(("`", "edgec "))
        assert explanation.endswith((".", ".)"))
        assert len(explanation) > 40


@pytest.mark.parametrize(("code", "status"), [("E0101", 1), ("E0208", 2), ("E0305", 3), ("E0401", 4), ("E0501", 5)])
def test_the_code_decides_the_exit_status(code: str, status: int) -> None:
    assert EdgecError(code, "x").exit == status == Exit(status)


def test_exit_statuses_are_never_renumbered() -> None:
    assert {e.name: int(e) for e in Exit} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "UNSUPPORTED": 3,
        "GATE": 4,
        "MISMATCH": 5,
        "TOOL": 6,
        "INTEGRITY": 7,
        "DEVICE": 8,
        "INTERRUPTED": 130,
    }
    assert Diagnostic("W0001", "x").exit == Exit.OK and Diagnostic("N0002", "x").exit == Exit.OK


def test_unregistered_codes_are_refused() -> None:
    with pytest.raises(KeyError, match="E0999"):
        EdgecError("E0999", "x")


def test_text_and_json() -> None:
    d = Diagnostic("E0303", "no Foo", "/conv0", "Foo", "two\nlines", "use Bar")
    assert d.text() == "error[E0303]: no Foo\n   at: /conv0 (Foo)\n  why: two\n       lines\n  fix: use Bar"
    assert Diagnostic("N0002", "nothing").text() == "note[N0002]: nothing"
    assert d.as_dict() == {
        "code": "E0303",
        "severity": "error",
        "layer": "/conv0",
        "op": "Foo",
        "what": "no Foo",
        "why": "two\nlines",
        "remedy": "use Bar",
    }


def test_several_errors_travel_together() -> None:
    items = [Diagnostic("E0303", "a", "la"), Diagnostic("E0304", "b"), Diagnostic("E0701", "c")]
    error = EdgecError.of(items)
    assert error.diagnostics == items and error.code == "E0303" and error.exit == 3
    assert str(error).count("error[") == 3


def test_nearest_names() -> None:
    assert nearest("fold-constant", ["fold-constants", "fuse"]) == "did you mean 'fold-constants'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "there are none"
    assert nearest("q", [f"name{i}" for i in range(30)]).endswith(", ...")
