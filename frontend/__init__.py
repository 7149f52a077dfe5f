"""Front ends: a model file of some framework becomes a Graph. Found by file suffix, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgec.diagnostics import Diagnostic, EdgecError, nearest
from edgec.graph import Graph

LOADERS: dict[str, str] = {
    ".onnx": "edgec.frontend.onnx",
    ".qonnx": "edgec.frontend.onnx",
    ".edge": "edgec.frontend.text_form",
    ".pt2": "edgec.frontend.torch",
    ".h5": "edgec.frontend.keras",
    ".hdf5": "edgec.frontend.keras",
    ".keras": "edgec.frontend.keras",
    ".json": "edgec.frontend.keras",
}
"""File suffix -> module with `load(path, *, batch, dims, diagnostics)` and `inspect(path, *, batch, dims)`."""


def _module(path: Path) -> Any:
    name = LOADERS.get(path.suffix.lower())
    if name is None:
        raise EdgecError(
            "E0301",
            f"{path.name}: no front end reads files ending in {path.suffix!r}",
            remedy=nearest(path.suffix.lower(), LOADERS),
        )
    return importlib.import_module(name)


def load(
    path: str | Path,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Graph:
    """The graph of a model file; `batch` and `dims` fix dynamic dimensions, warnings go to `diagnostics`."""
    path = Path(path)
    return _module(path).load(path, batch=batch, dims=dict(dims or {}), diagnostics=diagnostics)


def inspect(path: str | Path, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> list[Diagnostic]:
    """Everything that keeps a model file from being imported, and all warnings; empty when there is nothing."""
    path = Path(path)
    return _module(path).inspect(path, batch=batch, dims=dict(dims or {}))
