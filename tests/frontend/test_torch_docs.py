"""docs/pytorch.md: its table is complete, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch_support import need_torch

from edgec.frontend.torch.registry import handler_for, operators

PAGE = (Path(__file__).parents[2] / "docs/pytorch.md").read_text(encoding="utf-8")


def test_the_table_names_every_operator_in_the_row_of_its_file() -> None:
    stated = {}
    for line in PAGE.splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if len(cells) == 2 and re.fullmatch(r"[a-z]+", cells[0]) and "`" in cells[1]:
            stated[cells[0]] = sorted(re.findall(r"`(\w+)`", cells[1]))
    known: dict[str, set[str]] = {}
    for operator in operators():
        handler = handler_for(operator)
        assert handler is not None
        known.setdefault(handler.__module__.rpartition(".")[2], set()).add(operator.split(".")[1])
    assert stated == {group: sorted(names) for group, names in known.items()}


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "pytorch.md", "exec"), names)
    graph = names["graph"]
    assert graph.inputs[0].name == "image" and graph.outputs[0][0] == "score"  # type: ignore[attr-defined]
    import edgec

    assert [str(op.type) for op in edgec.load("model.pt2").ops] == [str(op.type) for op in graph.ops]  # type: ignore[attr-defined]
