"""The report of a synthesis: cells, flip-flops and areas of every module and every layer, estimates beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgec.hw.synth.flipflops import CLASSES, count_by_class
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.netlist import Netlist
from edgec.hw.synth.parts import Part, split

SCHEMA_VERSION = 1


def report(
    netlist: Netlist, library: SynthesisLibrary, estimates: Mapping[str, Any], timing: Mapping[str, Any]
) -> dict:
    """Plain data for report.json; `estimates` as in a manifest."""
    unit = library.nand2.area
    total = netlist.total(netlist.top)
    area = cell_area(total, library)
    prices = Prices(library, estimates)
    rows = [part_row(netlist, library, area, part, prices) for part in split(netlist, estimates["kernels"])]
    estimated = sum(r["estimated_ge"] for r in rows if r["estimated_ge"] is not None)
    return {
        "schema_version": SCHEMA_VERSION,
        "top": netlist.top,
        "library": {
            "name": library.name,
            "title": library.title,
            "file": library.source,
            "sha256": library.sha256,
            "gate_equivalent": {"cell": library.nand2.name, "area": unit},
        },
        "totals": {
            **figures(total, library),
            "flip_flops_by_class": _classes(count_by_class(netlist, library, netlist.top, ())),
            "estimated_kge": round(estimated / 1000, 6),
            "estimate_error": _error(estimated, area / library.nand2.area),
            "estimate_target": prices.target,
        },
        "layers": rows,
        "modules": {
            name: {
                "base": netlist.base[name],
                "instances": count,
                **figures(netlist.total(name), library),
                "share": _share(cell_area(netlist.total(name), library) * count, area),
            }
            for name, count in sorted(_uses(netlist).items())
        },
        "timing": dict(timing),
    }


class Prices:
    """Gate equivalents of estimated cells: by the shipped target of the library, else by the artefact's."""

    def __init__(self, library: SynthesisLibrary, estimates: Mapping[str, Any]) -> None:
        from edgec.hw.estimate.cells import CELLS
        from edgec.target import load_target

        constants = {name.removeprefix("ge."): q for name, q in estimates["constants"].items() if name[:3] == "ge."}
        self.target = library.target or str(estimates["target"])
        self.ge = {name: float(q["nominal"]) for name, q in constants.items()}
        if library.target is not None:
            target = load_target(library.target)
            self.ge = {kind: target.constant(f"ge.{kind}").nominal for kind in CELLS}

    def of(self, cells: Mapping[str, int]) -> float | None:
        """None where a cell has no price."""
        if any(kind not in self.ge for kind in cells):
            return None
        return sum(self.ge[kind] * count for kind, count in cells.items())


def part_row(netlist: Netlist, library: SynthesisLibrary, whole: float, part: Part, prices: Prices) -> dict[str, Any]:
    """One row of `layers`."""
    total: Counter[str] = Counter()
    state: Counter[str] = Counter()
    for instance, module in part.instances.items():
        total += netlist.total(module)
        state += count_by_class(netlist, library, module, (instance,))
    if part.own:
        own = {kind: n for kind, n in netlist.cells(netlist.top).items() if kind not in netlist.modules}
        total += Counter(own)
        state["data"] += sum(n for kind, n in own.items() if library.is_flip_flop(kind))
    estimated = prices.of(part.estimate["cells"]) if part.estimate is not None else None
    area = cell_area(total, library)
    return {
        "name": part.name,
        "layers": list(part.layers),
        "op": part.estimate["op"] if part.estimate is not None else "",
        "instances": dict(part.instances),
        **figures(total, library),
        "flip_flops_by_class": _classes(state),
        "share": _share(area, whole),
        "estimated_ge": None if estimated is None else round(estimated, 3),
        "estimate_error": None if estimated is None else _error(estimated, area / library.nand2.area),
    }


def figures(total: Mapping[str, int], library: SynthesisLibrary) -> dict[str, Any]:
    """Cells by type, flip-flops, area and gate equivalents of a multiset of cells."""
    area = cell_area(total, library)
    return {
        "cells": sum(total.values()),
        "cells_by_type": dict(sorted(total.items())),
        "flip_flops": sum(n for kind, n in total.items() if library.is_flip_flop(kind)),
        "area_um2": round(area, 4),
        "ge": round(area / library.nand2.area, 3),
    }


def cell_area(total: Mapping[str, int], library: SynthesisLibrary) -> float:
    """In the unit of the library's areas, um2 as a rule."""
    return sum(library.area(kind) * n for kind, n in sorted(total.items()))


def _classes(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in CLASSES}


def _uses(netlist: Netlist) -> Counter[str]:
    """How often each module stands in the design."""
    uses: Counter[str] = Counter({netlist.top: 1})
    for name in netlist.ordered():
        for kind in netlist.instances(name).values():
            uses[kind] += uses[name]
    return uses


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0


def _error(estimated: float, measured: float) -> float | None:
    return round(estimated / measured - 1, 6) if measured else None
