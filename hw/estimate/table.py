"""An estimate as rows for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COLUMNS = (
    ("kGE", "area_kge"),
    ("mm2", "area_mm2"),
    ("flip-flops", "flip_flops"),
    ("pJ", "energy_pj"),
    ("k transitions", "energy_ktr"),
)


def table_rows(estimates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a kernel and the total last, from `Estimate.as_dict()` (also as stored in a manifest).

    Figures read `nominal (low..high)`.
    """
    rows = [
        {
            "kernel": k["name"],
            "op": k["op"],
            "layers": ", ".join(k["layers"]),
            "stage": k["stage"],
            "cycles": k["cycles"],
            "MACs": k["macs"],
            **_figures(k["figures"]),
        }
        for k in estimates["kernels"]
    ]
    totals = estimates["totals"]
    summary = {
        "kernel": "total",
        "op": "",
        "layers": f"{totals['latency_ns']['nominal']:g} ns at {estimates['clock_mhz']:g} MHz",
        "stage": None,
        "cycles": int(totals["latency_cycles"]["nominal"]),
        "MACs": sum(k["macs"] for k in estimates["kernels"]),
        **_figures(totals),
    }
    return [*rows, summary]


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {title: show(figures[name]) for title, name in _COLUMNS if name in figures}


def show(figure: Mapping[str, Any]) -> str:
    """`1745 (1580..1920)`, or the number alone when it has no bar."""
    if figure["low"] == figure["high"]:
        return _number(figure["nominal"])
    return f"{_number(figure['nominal'])} ({_number(figure['low'])}..{_number(figure['high'])})"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
