"""docs/keras.md names every layer, activation and quantiser that is imported, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from edgec.codes import CODES
from edgec.frontend import LOADERS
from edgec.frontend.keras.activation import ACTIVATIONS
from edgec.frontend.keras.quantizers import ARGUMENTS
from edgec.frontend.keras.registry import layer_names

TEXT = (Path(__file__).parents[2] / "docs" / "keras.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> str:
    return "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))


def test_layers() -> None:
    assert sorted(re.findall(r"`([\w.]+)`", first_cells(section("Layers")))) == layer_names()


def test_activations() -> None:
    listed = section("Layers").partition("Activations:")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(ACTIVATIONS)


def test_quantisers() -> None:
    cells = first_cells(section("Quantisers of QKeras"))
    assert sorted(re.findall(r"`(\w+)(?:\([^)]*\))?`", cells)) == sorted(ARGUMENTS)


def test_suffixes_and_codes() -> None:
    suffixes = re.findall(r"`(\.\w+)`", first_cells(section("Files")))
    assert sorted(suffixes) == sorted(s for s, module in LOADERS.items() if module == "edgec.frontend.keras")
    assert set(re.findall(r"\bE0\d{3}\b", TEXT)) <= set(CODES)
