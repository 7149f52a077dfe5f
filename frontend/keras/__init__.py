"""Keras and QKeras models to graphs: `.h5` (Keras 2 and 3), `.keras`, and `.json` with its weights beside it.

Read with `json` and h5py alone; TensorFlow is never imported. What the IR cannot express is refused, all of it at
once, with the layer's name, the reason and a remedy. The batch is 1 unless `--batch` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph


def load(
    path: str | Path,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Graph:
    """The graph of a Keras model file.

    `batch` is the size of the first dimension (1 when None); `dims` fixes other dynamic dimensions by place
    (`{"input_1:1": 48}`). Warnings are appended to `diagnostics`.
    Raises EdgecError: E0202 (file), E0204 (batch, dims), E0301 (no Keras model), E0302 (malformed), E0303/E0304
    (unsupported, all of them together), E0305 (dynamic shape), E0601 (h5py is missing).
    """
    graph, found = _import(Path(path), batch, dims)
    errors = [d for d in found if d.severity == "error"]
    if diagnostics is not None:
        diagnostics.extend(d for d in found if d.severity != "error" and d not in diagnostics)
    if errors or graph is None:
        raise EdgecError.of(errors)
    return graph


def inspect(path: str | Path, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> list[Diagnostic]:
    """Everything that keeps the model at `path` from being imported, and all warnings."""
    try:
        return _import(Path(path), batch, dims)[1]
    except EdgecError as error:
        return error.diagnostics


def _import(path: Path, batch: int | None, dims: Mapping[str, int] | None) -> tuple[Graph | None, list[Diagnostic]]:
    from edgec.frontend.keras.importer import Importer
    from edgec.frontend.keras.read import read_model

    try:
        return Importer(read_model(path), batch, dict(dims or {})).run()
    except RecursionError:
        raise EdgecError("E0302", f"{path.name}: the model is nested too deeply") from None


__all__ = ["inspect", "load"]
