"""The report of a synthesis as rows for a terminal: what was mapped, and the estimate beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def table_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a part of the design, the total last."""
    rows = [_row(part["name"], ", ".join(part["layers"]), part) for part in report["layers"]]
    totals = report["totals"]
    whole = {**totals, "share": 1.0, "estimated_ge": totals["estimated_kge"] * 1000}
    return [*(row for row in rows if row["cells"]), _row("total", "", whole)]


def summary_lines(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Library, longest path, equivalence, and where it was written."""
    library, timing = report["library"], report["timing"]
    unit = library["gate_equivalent"]
    lines = [
        f"library {library['title']} ({library['file']}); 1 GE = {unit['cell']}, {unit['area']:g} um2; "
        f"estimate with the sizes of target {report['totals']['estimate_target']}"
    ]
    if timing["critical_path_ns"] is not None:
        where = f" in {timing['critical_module']}" if timing.get("critical_module") else ""
        lines.append(f"longest path {timing['critical_path_ns']:g} ns{where} ({timing['basis']})")
    return [*lines, *report.get("equivalence", {}).get("summary", ()), f"written to {folder}"]


def _row(name: str, layers: str, part: Mapping[str, Any]) -> dict[str, Any]:
    classes = part["flip_flops_by_class"]
    flops = " ".join(f"{kind} {count}" for kind, count in classes.items() if count)
    estimated, error = part["estimated_ge"], part["estimate_error"]
    return {
        "part": name,
        "layers": layers,
        "cells": part["cells"],
        "flip-flops": flops,
        "um2": round(part["area_um2"]),
        "kGE": round(part["ge"] / 1000, 3),
        "share": f"{100 * part['share']:.1f} %",
        "estimate kGE": None if estimated is None else round(estimated / 1000, 3),
        "error": "" if error is None else f"{100 * error:+.1f} %",
    }
