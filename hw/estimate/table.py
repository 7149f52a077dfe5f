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
    if "latency_cycles" not in estimates["totals"]:
        return _code_rows(estimates)
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


_CODE_COLUMNS = (
    ("cycles", "cycles"),
    ("weights B", "weight_bytes"),
    ("activations B", "activation_bytes"),
    ("arena B", "arena_bytes"),
    ("constants B", "constant_bytes"),
    ("flash B", "flash_bytes"),
    ("us", "latency_us"),
    ("uJ", "energy_uj"),
)


def _code_rows(estimates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of an estimate of code; its total has the memory of the whole."""

    def columns(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        return {title: show(figures[name]) if name in figures else "" for title, name in shown}

    everything = [k["figures"] for k in estimates["kernels"]] + [estimates["totals"]]
    shown = [(title, name) for title, name in _CODE_COLUMNS if any(name in f for f in everything)]
    rows = [
        {"step": k["name"], "layers": ", ".join(k["layers"]), "MACs": k["macs"], **columns(k["figures"])}
        for k in estimates["kernels"]
    ]
    macs = int(estimates["totals"]["macs"]["nominal"])
    return [*rows, {"step": "total", "layers": "", "MACs": macs, **columns(estimates["totals"])}]


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
