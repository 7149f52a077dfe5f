"""Reads a hierarchical netlist as yosys writes it (`write_json`) and flattens it.

Every module is turned into arrays once; an instance is then one look-up of those arrays in a map from its nets to the
design's. Net numbers of yosys begin at 2, so that 0 and 1 are free for the constants, in a module as in the design.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Cell, Library
from edgec.hw.netlist.flat import Block, FlatNetlist, Ints, Port

CONSTANTS = {"0": 0, "1": 1, "x": 0, "z": 0}  # an undefined bit is 0 here: mapped netlists leave none that matter
IGNORED = ("$scopeinfo",)


def read_netlist(path: str | Path, library: Library, top: str | None = None) -> FlatNetlist:
    """Flatten the JSON netlist (.json, .json.gz) at `path`, whose cells are those of `library`.

    Raises E0202 (unreadable), E0215 (not a mapped netlist), E0214 (cells that are not in the library).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EdgecError("E0202", f"cannot read the netlist {path}", why=reason) from error
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise EdgecError("E0215", f"{path} is not JSON", why=str(error)) from error
    return flatten(document, library, top)


def flatten(document: Mapping[str, Any], library: Library, top: str | None = None) -> FlatNetlist:
    """Flatten a decoded JSON netlist below `top` (default: the module that is marked, or the only one).

    Raises E0215 and E0214 as `read_netlist` does.
    """
    try:
        modules = {n: m for n, m in document["modules"].items() if not _is_box(m)}
        top = top or _top(modules)
        return _Flattener(modules, library).run(top)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise EdgecError("E0215", "the netlist is malformed", why=f"{type(error).__name__}: {error}") from error


def _is_box(module: Mapping[str, Any]) -> bool:
    attributes = module.get("attributes", {})
    return any(int(str(attributes.get(a, "0")), 2) for a in ("blackbox", "whitebox"))


def _top(modules: Mapping[str, Any]) -> str:
    marked = [n for n, m in modules.items() if int(str(m.get("attributes", {}).get("top", "0")), 2)]
    if len(marked) != 1:
        marked = list(modules)
    if len(marked) != 1:
        raise EdgecError("E0215", "the netlist does not say which module is the top", why=", ".join(list(modules)[:20]))
    return marked[0]


@dataclass
class _Module:
    name: str
    net_count: int
    port_bits: dict[str, Ints]
    port_inputs: dict[str, bool]
    cell_type: Ints
    pin_net: Ints  # local nets, -1 for open outputs
    cell_names: list[str]
    net_names: dict[str, Ints]
    instances: list[tuple[str, str, dict[str, Ints]]] = field(default_factory=list)


class _Flattener:
    def __init__(self, modules: Mapping[str, Any], library: Library) -> None:
        self.source = modules
        self.library = library
        self.read: dict[str, _Module] = {}
        self.types: list[Cell] = []
        self.pins: list[tuple[str, ...]] = []
        self.type_index: dict[str, int] = {}
        self.net_count = 2
        self.blocks: list[Block] = []
        self.cell_types: list[Ints] = []
        self.pin_nets: list[Ints] = []
        self.cell_count = 0
        self.aliases: list[np.ndarray] = []

    def run(self, top: str) -> FlatNetlist:
        if top not in self.source:
            raise EdgecError("E0215", f"the netlist has no module {top!r}")
        module = self._module(top)
        bits = {name: self._fresh(len(nets)) for name, nets in module.port_bits.items()}
        self._instance(module, (), bits)
        cell_type = np.concatenate([*self.cell_types, np.zeros(0, np.int32)])
        pin_net = np.concatenate([*self.pin_nets, np.zeros(0, np.int32)])
        pin_net, ports, blocks, count = self._merge(pin_net, bits, module)
        lengths = np.array([len(p) for p in self.pins] or [0], np.int32)[cell_type]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        netlist = FlatNetlist(top, tuple(self.types), tuple(self.pins), cell_type, start, pin_net, count, ports, blocks)
        _check_drivers(netlist)
        return netlist

    def _fresh(self, count: int) -> Ints:
        nets = np.arange(self.net_count, self.net_count + count, dtype=np.int32)
        self.net_count += count
        return nets

    def _instance(self, module: _Module, path: tuple[str, ...], bits: Mapping[str, Ints]) -> None:
        """Add an instance of `module` whose ports are the design's nets `bits`, and everything below it."""
        local = np.full(module.net_count, -1, np.int32)
        local[:2] = (0, 1)
        for name, inner in module.port_bits.items():
            outer = bits.get(name)
            if outer is None or not len(inner):
                continue
            if len(outer) != len(inner):
                raise EdgecError("E0215", f"port {name} of {module.name} is connected with another width")
            first = local[inner] < 0
            local[inner[first]] = outer[first]
            differs = local[inner] != outer  # a net at several ports, or a constant: both sides are one net
            if differs.any():
                self.aliases.append(np.stack([local[inner[differs]], outer[differs]], axis=1))
        inside = np.flatnonzero(local < 0)
        local[inside] = self._fresh(len(inside))
        self.blocks.append(
            Block(
                path,
                module.name,
                self.cell_count,
                module.cell_names,
                {n: local[b] for n, b in module.net_names.items()},
            )
        )
        self.cell_types.append(module.cell_type)
        self.pin_nets.append(np.where(module.pin_net < 0, np.int32(-1), local[module.pin_net]))
        self.cell_count += len(module.cell_type)
        for name, kind, connections in module.instances:
            if len(path) > 200 or kind == module.name:
                raise EdgecError("E0215", f"module {kind} contains itself")
            self._instance(self._module(kind), (*path, name), {port: local[b] for port, b in connections.items()})

    def _merge(
        self, pin_net: Ints, bits: Mapping[str, Ints], module: _Module
    ) -> tuple[Ints, dict[str, Port], tuple[Block, ...], int]:
        """Give nets that are one net one number."""
        new = np.arange(self.net_count, dtype=np.int32)
        if self.aliases:
            new = _representatives(np.concatenate(self.aliases), self.net_count)
        kept = np.flatnonzero(new == np.arange(self.net_count))
        number = np.full(self.net_count + 1, -1, np.int32)  # the last entry keeps open pins (-1) open
        number[kept] = np.arange(len(kept))
        number[:-1] = number[new]
        ports = {n: Port(n, module.port_inputs[n], number[nets]) for n, nets in bits.items()}
        blocks = tuple(
            Block(b.path, b.module, b.first_cell, b.cell_names, {n: number[x] for n, x in b.net_names.items()})
            for b in self.blocks
        )
        return number[pin_net], ports, blocks, len(kept)

    def _type(self, name: str) -> int:
        if name not in self.type_index:
            if name.startswith("$"):
                raise EdgecError(
                    "E0215",
                    f"the netlist has a cell {name} that is not mapped to a library",
                    remedy="synthesise it first: dfflibmap and abc with the library",
                )
            cell = self.library.cell(name)
            if cell.unsupported:
                raise EdgecError("E0214", f"cell {name} cannot be simulated", why=cell.unsupported)
            self.type_index[name] = len(self.types)
            self.types.append(cell)
            self.pins.append(tuple(n for n, p in cell.pins.items() if p.direction in ("input", "output")))
        return self.type_index[name]

    def _module(self, name: str) -> _Module:
        if name in self.read:
            return self.read[name]
        source = self.source[name]
        types: list[int] = []
        nets: list[int] = []
        names: list[str] = []
        instances = []
        for at, cell in source["cells"].items():
            kind, connections = cell["type"], cell["connections"]
            if kind in self.source:
                instances.append((at, kind, {port: _bits(b) for port, b in connections.items()}))
            elif kind not in IGNORED:
                number = self._type(kind)
                types.append(number)
                names.append(at)
                known = self.types[number].pins
                for pin in self.pins[number]:
                    found = connections.get(pin)
                    if found:
                        bit = found[0]
                        nets.append(CONSTANTS[bit] if isinstance(bit, str) else bit)
                    else:
                        nets.append(-1 if known[pin].direction == "output" else 0)
                if not connections.keys() <= known.keys():
                    unknown = sorted(connections.keys() - known.keys())
                    raise EdgecError("E0214", f"cell {kind} has no pin {', '.join(unknown)}")
        ports = {n: _bits(p["bits"]) for n, p in source["ports"].items()}
        inputs = {n: p["direction"] == "input" for n, p in source["ports"].items()}
        named = {n: _bits(v["bits"]) for n, v in source.get("netnames", {}).items() if not v.get("hide_name")}
        pins = np.array(nets, np.int32)
        count = _compact([pins, *ports.values(), *named.values(), *(b for i in instances for b in i[2].values())])
        module = _Module(name, count, ports, inputs, np.array(types, np.int32), pins, names, named, instances)
        self.read[name] = module
        return module


def _bits(bits: Sequence[int | str]) -> Ints:
    return np.array([CONSTANTS[b] if isinstance(b, str) else b for b in bits], np.int32)


def _compact(arrays: list[Ints]) -> int:
    """Number the nets of a module anew without gaps, in place, and return how many there are with the constants."""
    every = np.concatenate(arrays)
    if np.any(every < -1):
        raise ValueError(f"net {int(every.min())}")
    used = np.union1d(every, [-1, 0, 1])
    for array in arrays:
        array[:] = np.searchsorted(used, array) - 1
    return len(used) - 1


def _representatives(pairs: np.ndarray, count: int) -> Ints:
    """The smallest net of every set of nets that `pairs` join (so a constant wins)."""
    root = np.arange(count, dtype=np.int32)

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for a, b in pairs.tolist():
        x, y = find(a), find(b)
        if {x, y} == {0, 1}:
            raise EdgecError("E0215", "the netlist ties constant 0 to constant 1")
        root[max(x, y)] = min(x, y)
    while True:
        step = root[root]
        if np.array_equal(step, root):
            return root
        root = step


def _check_drivers(netlist: FlatNetlist) -> None:
    outputs = netlist.pin_net[netlist.pin_is_output]
    count = np.bincount(outputs[outputs >= 0], minlength=netlist.net_count)
    count[:2] += 1
    for port in netlist.ports.values():
        if port.is_input:
            count[np.unique(port.nets)] += 1
    loose = np.flatnonzero((count == 0) & (netlist.fanout > 0))
    if len(loose):
        pins = np.flatnonzero(~netlist.pin_is_output & (netlist.pin_net == loose[0]))
        raise EdgecError(
            "E0215", f"{len(loose)} nets have no driver", why=", ".join(netlist.pin_name(int(p)) for p in pins[:5])
        )
    several = np.flatnonzero(count > 1)
    if len(several):
        pins = np.flatnonzero(netlist.pin_is_output & (netlist.pin_net == several[0]))
        raise EdgecError(
            "E0215",
            f"{len(several)} nets have several drivers",
            why=", ".join(netlist.pin_name(int(p)) for p in pins[:5]),
        )
