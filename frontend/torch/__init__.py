"""PyTorch programs to graphs: `.pt2` archives of `torch.export.save`, read without PyTorch, and modules in memory.

What is computed from constants is computed at import; what the IR cannot express is refused, all of it at once,
with the path of the module, the reason and a remedy. A module is exported, saved to memory and read by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph

Source = str | Path | bytes


def load(
    source: Source,
    *,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Graph:
    """The graph of a `.pt2` archive given as path or bytes.

    `batch` fixes the first dimension of every input where it is dynamic; `dims` fixes others by symbol
    (`{"s77": 1}`) or by place (`{"x:2": 48}`). Warnings are appended to `diagnostics`.
    Raises EdgecError: E0202 (file), E0301 (no archive), E0302 (malformed), E0303/E0304 (unsupported, all of them
    together), E0305 (dynamic shape), E0306 (version), E0307 (value not constant).
    """
    graph, found = _import(source, batch, dims)
    errors = [d for d in found if d.severity == "error"]
    if diagnostics is not None:
        diagnostics.extend(d for d in found if d.severity != "error" and d not in diagnostics)
    if errors or graph is None:
        raise EdgecError.of(errors)
    return graph


def inspect(source: Source, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> list[Diagnostic]:
    """Everything that keeps `source` from being imported, and all warnings."""
    try:
        return _import(source, batch, dims)[1]
    except EdgecError as error:
        return error.diagnostics


def _import(source: Source, batch: int | None, dims: Mapping[str, int] | None) -> tuple[Graph | None, list[Diagnostic]]:
    from edgec.frontend.torch.archive import read_archive
    from edgec.frontend.torch.importer import Importer

    return Importer(read_archive(source), batch, dict(dims or {})).run()


__all__ = ["inspect", "load"]
