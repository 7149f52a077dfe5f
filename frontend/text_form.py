"""Reads a stored graph: `NAME.edge` with the arrays in `NAME.safetensors` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph
from edgec.text import parse_graph


def load(
    path: Path,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Graph:
    """The graph of a text file; its shapes are static, so `batch` and `dims` must not be given."""
    if batch is not None or dims:
        raise EdgecError("E0204", f"{path.name} has static shapes: --batch and --dim do not apply")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgecError("E0202", f"{path} cannot be read", why=str(error)) from None
    arrays = {}
    beside = next((f for n in (path.stem, "weights") if (f := path.with_name(f"{n}.safetensors")).is_file()), None)
    if beside is not None:
        from safetensors import SafetensorError
        from safetensors.numpy import load as load_arrays

        try:
            arrays = load_arrays(beside.read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise EdgecError("E0202", f"{beside} cannot be read", why=str(error)) from None
    return parse_graph(text, arrays, path.name)


def inspect(path: Path, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> list[Diagnostic]:
    """The diagnostics of loading `path`."""
    try:
        load(path, batch=batch, dims=dims)
    except EdgecError as error:
        return error.diagnostics
    return []
