"""The report of an artefact: one self-contained HTML page, and the layers as CSV.

Everything comes from the manifest, so that the page says what the artefact holds and nothing else. No dates, no
outside resources, no scripts; every text is escaped by the template.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from edgec.layers import Layer
from edgec.report_chart import Bar, bar_chart, number, span
from edgec.report_memory import memory_chart

CHARTS = (
    ("Area", ("area_mm2", "area_kge")),
    ("Energy per inference", ("energy_pj", "energy_ktr")),
    ("Cycles per inference", ("cycles",)),
    ("Multiply-accumulates per inference", ("macs",)),
)
"""Title of a chart, and the figures it may show: the first one that the estimate has."""
CARDS = (
    ("Arena", ("arena_bytes",)),
    ("Constants", ("constant_bytes",)),
    ("Flash", ("flash_bytes",)),
    ("Multiply-accumulates", ("macs",)),
    ("Cycles", ("cycles",)),
    ("Latency", ("latency_ns", "latency_us", "latency_cycles")),
    ("Initiation interval", ("initiation_interval",)),
    ("Area", ("area_mm2", "area_kge")),
    ("Energy per inference", ("energy_pj", "energy_ktr", "energy_uj")),
    ("Power at full rate", ("power_mw",)),
    ("Flip-flops", ("flip_flops",)),
)
TITLES = {
    "arena_bytes": "Scratch memory that an inference needs",
    "constant_bytes": "Constants: weights, biases, tables",
    "code_bytes": "Machine code of the model",
    "flash_bytes": "Constants and code",
    "macs": "Multiply-accumulates",
    "cycles": "Cycles",
    "latency_us": "Latency at the clock",
    "energy_uj": "Energy per inference",
    "latency_cycles": "Latency",
    "initiation_interval": "Initiation interval",
    "latency_ns": "Latency at the clock",
    "inferences_per_s": "Inferences per second",
    "area_kge": "Cell area in gate equivalents",
    "cell_area_mm2": "Cell area",
    "area_mm2": "Core area after place and route",
    "flip_flops": "Flip-flops",
    "switching_pj": "Switching energy per inference",
    "clock_pj": "Clock energy per inference",
    "leakage_pj": "Leakage energy per inference",
    "energy_pj": "Energy per inference",
    "switching_ktr": "Switching per inference",
    "clock_ktr": "Clock per inference",
    "energy_ktr": "Energy per inference",
    "power_mw": "Power at full rate",
    "critical_path_nand2": "Longest path",
    "critical_path_ns": "Longest path",
    "max_clock_mhz": "Highest clock",
}
"""Names of figures in words; a figure that is not here is shown under its own name."""
MOST_BARS = 40


def html_report(manifest: Mapping[str, Any], rows: Sequence[Layer]) -> str:
    """The page for the `manifest` of an artefact and the layers `rows` of its graph."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _cell, "span": span, "dims": _dims, "unit": _unit}
    template = environment.from_string(resources.files("edgec").joinpath("report.html.j2").read_text(encoding="utf-8"))
    estimates, memory = manifest["estimates"], manifest["interface"].get("memory")
    picture = memory_chart(memory, estimates["kernels"]) if memory is not None else None
    return template.render(
        m=manifest,
        estimates=estimates,
        totals=[{**f, "title": TITLES.get(n, n)} for n, f in estimates["totals"].items()],
        cards=_cards(estimates["totals"]),
        charts=[
            {"title": t, "svg": Markup(svg), "more": more, "bars": "whisker" in svg}
            for t, svg, more in _charts(manifest)
        ],
        kernels=[{**k, "short": _short(k["name"], manifest["name"])} for k in estimates["kernels"]],
        kernel_figures=_shared_figures(estimates["kernels"]),
        layers=rows,
        memory=memory,
        picture=Markup(picture) if picture is not None else None,
        registers=manifest["interface"].get("registers") or [],
        tables=[{"title": t, **_table(v)} for t, v in sorted(manifest["tables"].items()) if _is_table(v)],
    )


def _cards(totals: Mapping[str, Any]) -> list[dict[str, str]]:
    cards = []
    for title, names in CARDS:
        for name in names:
            if name in totals:
                f = totals[name]
                bar = "" if f["low"] == f["high"] else f"{number(f['low'])} to {number(f['high'])}"
                cards.append(
                    {"title": title, "value": number(f["nominal"]), "unit": f["unit"], "bar": bar, "basis": f["basis"]}
                )
                break
    return cards


def _charts(manifest: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    kernels = manifest["estimates"]["kernels"]
    charts = []
    for title, names in CHARTS:
        name = next((n for n in names if kernels and all(n in k["figures"] for k in kernels)), None)
        if name is None or (name == "macs" and charts):
            continue
        shown = sorted(kernels, key=lambda k: -k["figures"][name]["nominal"])[:MOST_BARS]
        kept = [k for k in kernels if any(k is s for s in shown)]  # in the order of the network
        bars = []
        for k in kept:
            f = k["figures"][name]
            label = _short(k["name"], manifest["name"])
            detail = f"{label}: {span(f)} {_unit(f['unit'])}" + (f" — {', '.join(k['layers'])}" if k["layers"] else "")
            bars.append(Bar(label, f["low"], f["nominal"], f["high"], detail))
        unit = _unit(kept[0]["figures"][name]["unit"])
        charts.append((title, bar_chart(f"{title} by kernel", unit, bars), len(kernels) - len(kept)))
    return charts


def _short(kernel: str, network: str) -> str:
    """The kernel's name without the network's, which all of them carry."""
    return kernel.removeprefix(f"{network}_")


def _shared_figures(kernels: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Columns of the kernel table: the headline figures that every kernel has."""
    wanted = {"area_kge": "Gates", "area_mm2": "Area", "flip_flops": "Flip-flops"}
    wanted |= {"energy_pj": "Energy", "energy_ktr": "Energy"}
    wanted |= {"weight_bytes": "Weights", "activation_bytes": "Activations read and written", "cycles": "Cycles"}
    names = [n for n in wanted if kernels and all(n in k["figures"] for k in kernels)]
    return [{"name": n, "unit": kernels[0]["figures"][n]["unit"], "title": wanted[n]} for n in names]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(r, Mapping) for r in value)


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = ("layer", "op", "format")  # whatever order the file was written in
    found = dict.fromkeys(k for r in rows for k in r)
    columns = [c for c in first if c in found] + [c for c in found if c not in first]
    return {"columns": columns, "rows": [[r.get(c) for c in columns] for r in rows]}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value) if abs(value) < float("inf") else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(_cell(v) for v in value)
    return str(value)


def _unit(unit: str) -> str:
    plain = {"um2": "µm²", "mm2": "mm²", "us": "µs", "uJ": "µJ", "B": "bytes"}
    return plain.get(unit, unit)


def _dims(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) if shape else "scalar"


def per_layer_csv(estimates: Mapping[str, Any]) -> bytes:
    """One line a kernel: counts, then low, nominal and high of every figure with its unit in the heading.

    Stages and exact cycles are those of hardware, so code has no such columns."""
    code = "latency_cycles" not in estimates["totals"]
    kernels = estimates["kernels"]
    figures = {name: f["unit"] for k in kernels for name, f in k["figures"].items() if name != "macs"}
    cells = sorted({kind for k in kernels for kind in k["cells"]})
    heads = [f"{name} {end}" + (f" [{unit}]" if unit else "") for name, unit in figures.items() for end in _ENDS]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    timing = [] if code else ["stage", "cycles"]
    writer.writerow(["kernel", "op", "layers", *timing, "macs", "macs_nominal", *heads, *cells])
    for k in kernels:
        values = [k["figures"].get(name, {}).get(end, "") for name in figures for end in _ENDS]
        counts = [k["cells"].get(kind, 0) for kind in cells]
        layers = ", ".join(k["layers"])
        timed = [] if code else [k["stage"], k["cycles"]]
        writer.writerow([k["name"], k["op"], layers, *timed, k["macs"], k["macs_nominal"], *values, *counts])
    return stream.getvalue().encode()


_ENDS = ("low", "nominal", "high")
