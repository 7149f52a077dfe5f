"""Latency in clock cycles, and what the longest path between registers passes through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from edgec.backends.rtl.circuit.arith import Add, AtLeast, FullAdder, HalfAdder
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.logic import AndOr, Bitwise, Lut, Mux, Reduce
from edgec.backends.rtl.circuit.state import Instance, Register
from edgec.backends.rtl.circuit.wire import Get, Input, Wire, require

UNIT_DELAYS: dict[str, float] = {
    "FA": 2.0,
    "HA": 1.0,
    "AND2": 1.0,
    "OR2": 1.0,
    "XOR2": 1.0,
    "AO22": 1.0,
    "MUX2": 1.0,
    "NOT": 0.5,
    "ADD": 2.0,
    "ADD_LEVEL": 1.0,
}
"""Relative delays that decide which path is the longest. A carry-propagate adder or comparator of w bits counts as one
ADD and ceil(log2 w) ADD_LEVEL, as the prefix adders that synthesis makes."""

Path = tuple[float, Counter[str]]
"""Arrival time and what was passed."""


def passed(node: Wire) -> Counter[str]:
    """The cells on the longest path through one operator."""
    match node:
        case Bitwise(kind=kind):
            base = {"nand": "and", "nor": "or", "xnor": "xor"}.get(kind, kind)
            inverts = base == "xor" and not node.b.operands and sum(node.b.known()) == (1 << node.b.width) - 1
            return Counter({"NOT" if inverts else {"and": "AND2", "or": "OR2", "xor": "XOR2"}[base]: 1})
        case AndOr():
            return Counter(AO22=1)
        case Reduce(kind=kind):
            return Counter({{"and": "AND2", "or": "OR2", "xor": "XOR2"}[kind]: (node.x.width - 1).bit_length()})
        case Mux():
            return Counter(MUX2=1)
        case Lut():
            return Counter(MUX2=node.x.width)
        case FullAdder():
            return Counter(FA=1)
        case HalfAdder():
            return Counter(HA=1)
        case Add() | AtLeast():
            return Counter(ADD=1, ADD_LEVEL=(max(w.width for w in node.operands) - 1).bit_length())
    return Counter()


def critical_path(circuit: Circuit, delays: Mapping[str, float] | None = None) -> Path:
    """The longest path from an input or register to an output or register, instances included."""
    search = _Longest(UNIT_DELAYS if delays is None else delays)
    start: Path = (0.0, Counter())
    outputs = search.arrivals(circuit, [start] * len(circuit.inputs))
    return max([search.longest, *outputs], key=lambda path: path[0])


class _Longest:
    def __init__(self, delays: Mapping[str, float]) -> None:
        self.delays = delays
        self.longest: Path = (0.0, Counter())  # of those that end at a register
        self._known: dict[tuple[int, tuple[float, ...]], list[Path]] = {}

    def arrivals(self, circuit: Circuit, inputs: Sequence[Path]) -> list[Path]:
        """When each output is there, given when each input is."""
        key = (id(circuit), tuple(time for time, _ in inputs))
        if key in self._known:
            return self._known[key]
        by_input = {(w.port, w.index): path for w, path in zip(circuit.inputs, inputs, strict=True)}
        paths: list[Path | list[Path]] = []
        for node, operands in zip(circuit.nodes, circuit.operands, strict=True):
            given: list = [paths[o] for o in operands]
            if isinstance(node, Input):
                paths.append(by_input[node.port, node.index])
            elif isinstance(node, Get):
                paths.append(given[0][node.index] if isinstance(given[0], list) else given[0])
            elif isinstance(node, Instance):
                paths.append(self.arrivals(node.circuit, given))
            else:
                latest: Path = max(given, key=lambda path: path[0], default=(0.0, Counter()))
                cells = passed(node)
                if cells:
                    latest = (latest[0] + sum(self.delays[c] * n for c, n in cells.items()), latest[1] + cells)
                if isinstance(node, Register):
                    self.longest = max(self.longest, latest, key=lambda path: path[0])
                    latest = (0.0, Counter())
                paths.append(latest)
        outputs = [paths[circuit.index[id(w)]] for w in circuit.outputs]
        self._known[key] = [p for p in outputs if not isinstance(p, list)]
        return self._known[key]


def latency(circuit: Circuit, static: Collection[str] = ()) -> int:
    """Registers between the inputs and the outputs, the same on every path; else `ValueError`.

    Input ports in `static` (weights) do not count: they are constant while data streams."""
    outputs = _depths(circuit, [None if w.port in static else 0 for w in circuit.inputs])
    found = {d for d in outputs if d is not None}
    require(len(found) <= 1, f"{circuit.name}: outputs come after {sorted(found)} cycles")
    return found.pop() if found else 0


def _depths(circuit: Circuit, inputs: Sequence[int | None]) -> list[int | None]:
    by_input = {(w.port, w.index): depth for w, depth in zip(circuit.inputs, inputs, strict=True)}
    depths: list = []
    for node, operands in zip(circuit.nodes, circuit.operands, strict=True):
        given = [depths[o] for o in operands]
        if isinstance(node, Input):
            depths.append(by_input[node.port, node.index])
        elif isinstance(node, Get):
            depths.append(given[0][node.index] if isinstance(given[0], list) else given[0])
        elif isinstance(node, Instance):
            depths.append(_depths(node.circuit, given))
        else:
            found = {d for d in given if d is not None}
            require(len(found) <= 1, f"{circuit.name}: {type(node).__name__} mixes data of {sorted(found)} cycles")
            depth = found.pop() if found else None
            depths.append(depth + 1 if isinstance(node, Register) and depth is not None else depth)
    return [depths[circuit.index[id(w)]] for w in circuit.outputs]
