"""The pages in docs/: they name everything there is, their tables are true, and their examples run."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
import types
from fractions import Fraction
from pathlib import Path

import click
import pytest
from core_support import overflow_exact, round_exact

import edgec.text
from edgec.cli import cli
from edgec.codes import CODES
from edgec.format_names import FORMAT_NAMES
from edgec.ops import OPS
from edgec.pipeline import pass_names
from edgec.rounding import OVERFLOWS, ROUNDINGS
from edgec.text import operand_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CMAKE = {"--build", "--install", "--prefix", "--test-dir"}
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_op_is_in_the_table_with_its_operands_and_attributes() -> None:
    rows: dict[str, list[str]] = {}
    for line in page("ir.md").splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            for name in re.findall(r"`(\w+)`", cells[0]):
                rows[name] = cells
    assert set(rows) == set(OPS)
    for name, cls in OPS.items():
        operands = operand_names(cls)
        attributes = [
            f.name for f in dataclasses.fields(cls) if f.name not in operands and f.name not in ("type", "loc")
        ]
        assert [w for w in rows[name][1].split(", ") if w] == operands, name
        assert [w for w in rows[name][2].split(", ") if w] == attributes, name


def test_every_format_is_explained() -> None:
    text = page("ir.md")
    for name in FORMAT_NAMES:
        assert re.search(rf"^\|.*`{name}\b", text, re.MULTILINE), name


def test_the_grammar_is_that_of_the_parser() -> None:
    doc = inspect.getdoc(edgec.text) or ""
    grammar = textwrap.dedent(doc[doc.index("    file ") :]).strip()
    assert grammar in page("ir.md")


def test_the_example_is_the_golden_file() -> None:
    assert (ROOT / "tests/golden/text_form.edge").read_text(encoding="utf-8") in page("ir.md")


def test_the_rounding_table_is_true() -> None:
    values = [Fraction(v) for v in ("-5/2", "-3/2", "-5/4", "5/4", "3/2", "5/2")]
    found = {}
    for line in page("numerics.md").splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if len(cells) == 9 and cells[0].strip("`") in ROUNDINGS:
            found[cells[0].strip("`")] = [int(c) for c in cells[1:7]]
    assert list(found) == list(ROUNDINGS)
    for rounding, row in found.items():
        assert row == [round_exact(v, rounding) for v in values], rounding
    for overflow in OVERFLOWS:
        assert f"| `{overflow}` |" in page("numerics.md")
    assert overflow_exact(-9, -8, 7, "saturate_symmetric") == -7


def test_qonnx_names_are_those_of_the_importer() -> None:
    from edgec.frontend.onnx.qonnx import ROUNDINGS as NAMES

    text = page("numerics.md")
    for name, rounding in NAMES.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{rounding}` |"))
        assert name in re.split(r"[|, ]+", row), name


@pytest.mark.parametrize("file", PAGES, ids=lambda f: f.name)
def test_codes_passes_commands_and_links_exist(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for code in re.findall(r"\b[EWN]0\d{3}\b", text):
        assert code in CODES, code
    for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for command in re.findall(r"^(?:\$ )?edgec (\w+)", block, re.MULTILINE):
            assert command in cli.commands, command
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not link.startswith("http"):
            assert (file.parent / link).exists(), link
    commands: list[click.Command] = [cli, *cli.commands.values()]
    commands += [c for group in commands if isinstance(group, click.Group) for c in group.commands.values()]
    known = {o for c in commands for p in c.params for o in p.opts}
    others = {"--tflite", "--output", "--opset"}  # of tf2onnx
    for option in set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", text)):
        assert option in known | {"--help", "--check", "--pythonpath", *others} | CMAKE, option


def test_pipelines_in_the_docs_name_real_passes() -> None:
    names = set(pass_names()) | {"zero-small-weights"}  # written on the page itself
    for file in PAGES:
        for text in re.findall(
            r"'([a-z-]+(?:\{[^}]*\})?(?:,[a-z-]+(?:\{[^}]*\})?)+)'", file.read_text(encoding="utf-8")
        ):
            assert {s.partition("{")[0] for s in re.split(r",(?![^{]*\})", text)} <= names


def test_the_pass_on_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page("writing-a-pass.md"), re.DOTALL)
    assert len(blocks) == 2
    module = types.ModuleType("edgec.passes.zero_small_weights")
    exec(compile(blocks[0], "zero_small_weights.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    tests: dict[str, object] = {}
    exec(compile(blocks[1], "test_zero_small_weights.py", "exec"), tests)
    functions = {n: f for n, f in tests.items() if n.startswith("test_")}
    assert len(functions) == 4
    for function in functions.values():
        function()  # type: ignore[operator]


def test_exit_statuses_in_the_readme() -> None:
    from edgec.diagnostics import Exit

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == [int(e) for e in Exit]


def test_changelog_fragments_are_named_as_their_readme_says() -> None:
    for file in (ROOT / "changelog.d").iterdir():
        if file.name != "README.md":
            assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md", file.name), file.name
            assert file.read_text(encoding="utf-8").strip().endswith(".")
