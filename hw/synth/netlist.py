"""A mapped netlist: yosys' JSON made small and readable, with a name for every module.

Library cells, hidden nets and source positions go; modules that yosys named by a hash of their parameters become
`edgec_bank_1`, `edgec_bank_2`, ... in the order in which the hierarchy meets them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Netlist:
    """The modules of a mapped design; `base[name]` is what a parametrised module is an instance of."""

    top: str
    modules: Mapping[str, Mapping[str, Any]]
    base: Mapping[str, str]

    def cells(self, module: str) -> Counter[str]:
        """Cells of one module by type; instances of other modules too."""
        return Counter(cell["type"] for cell in self.modules[module]["cells"].values())

    def instances(self, module: str) -> dict[str, str]:
        """Instance -> module, for the modules inside one module."""
        cells = self.modules[module]["cells"]
        return {name: cell["type"] for name, cell in cells.items() if cell["type"] in self.modules}

    def total(self, module: str) -> Counter[str]:
        """Library cells of a module and everything below it."""
        return _total(self, module, {})

    def ordered(self) -> list[str]:
        """All modules, every one before those inside it."""
        done: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in done:
                for kind in sorted(set(self.instances(name).values())):
                    visit(kind)
                done[name] = None

        visit(self.top)
        return list(done)[::-1]

    def paths(self, module: str | None = None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
        """(instance path, module) of everything below a module, itself first."""
        module = module or self.top
        yield prefix, module
        for name, kind in sorted(self.instances(module).items()):
            yield from self.paths(kind, (*prefix, name))


def _total(netlist: Netlist, module: str, memo: dict[str, Counter[str]]) -> Counter[str]:
    if module not in memo:
        sums: Counter[str] = Counter()
        for kind, count in netlist.cells(module).items():
            if kind in netlist.modules:
                for cell, n in _total(netlist, kind, memo).items():
                    sums[cell] += n * count
            else:
                sums[kind] += count
        memo[module] = sums
    return memo[module]


def read_netlist(document: Mapping[str, Any], top: str) -> tuple[Netlist, dict[str, str]]:
    """The netlist of a yosys JSON document, and yosys' names -> ours for the modules that were renamed."""
    modules = {
        name: module
        for name, module in document["modules"].items()
        if not any(int(str(module["attributes"].get(a, "0")), 2) for a in ("blackbox", "whitebox"))
    }
    names = _names(modules, top)
    kept = {}
    for name in names:
        module = modules[name]
        cells = {}
        for at, cell in module["cells"].items():
            cells[at] = {
                "hide_name": cell["hide_name"],
                "type": names.get(cell["type"], cell["type"]),
                "parameters": cell["parameters"],
                "attributes": {},
                "port_directions": cell["port_directions"],
                "connections": cell["connections"],
            }
        nets = {n: net for n, net in module["netnames"].items() if not net["hide_name"]}
        attributes = {"top": "1".zfill(32)} if name == top else {}
        kept[names[name]] = {
            "attributes": attributes, "ports": module["ports"], "cells": cells,
            "netnames": {n: {"hide_name": 0, "bits": net["bits"], "attributes": {}} for n, net in nets.items()},
        }  # fmt: skip
    base = {names[name]: _base(name) for name in names}
    return Netlist(names[top], kept, base), {old: new for old, new in names.items() if old != new}


def _base(name: str) -> str:
    """`edgec_bank` of `$paramod$...\\edgec_bank` and of `$paramod\\edgec_bank\\BITS=...`."""
    if not name.startswith("$paramod"):
        return name
    parts = name.split("\\")
    return parts[1]


def _names(modules: Mapping[str, Any], top: str) -> dict[str, str]:
    """Every module below the top, children after parents, and its new name."""
    order: list[str] = []
    seen = {top}
    queue = [top]
    while queue:
        name = queue.pop(0)
        order.append(name)
        for cell in modules[name]["cells"].values():
            if cell["type"] in modules and cell["type"] not in seen:
                seen.add(cell["type"])
                queue.append(cell["type"])
    names: dict[str, str] = {name: name for name in order if not name.startswith("$paramod")}
    taken = set(names.values())
    counts: Counter[str] = Counter()
    for name in order:
        if name in names:
            continue
        base = _base(name)
        while True:
            counts[base] += 1
            new = f"{base}_{counts[base]}"
            if new not in taken:
                break
        names[name] = new
        taken.add(new)
    return {name: names[name] for name in order}


def to_json(netlist: Netlist) -> bytes:
    """The netlist as a yosys JSON document, compact."""
    document = {"creator": "edgec", "modules": netlist.modules}
    return (json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def rename_verilog(text: str, names: Mapping[str, str]) -> str:
    """yosys' Verilog with the modules renamed, and without its version line."""
    text = re.sub(r"\A/\*.*?\*/\n", "", text, flags=re.DOTALL)
    return re.sub(r"\\(\$paramod\S+) ", lambda m: f"{names.get(m[1], m[0])} " if m[1] in names else m[0], text)
