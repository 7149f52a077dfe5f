"""Cells under the names of the target files, and the longest path through a circuit; targets price both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from edgec.backends.rtl.circuit.arith import Add, AtLeast, FullAdder, HalfAdder
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.columns import ColumnSum, bit_arrivals
from edgec.backends.rtl.circuit.logic import AndOr, Bitwise, Lut, Mux, Reduce
from edgec.backends.rtl.circuit.state import Instance
from edgec.backends.rtl.circuit.wire import Const, Wire

KERNEL_NAMES = {
    "FA": "full_adder", "HA": "half_adder", "AND2": "and2", "OR2": "or2", "XOR2": "xor2", "MUX2": "mux2",
    "NOT": "inv", "FF": "dff", "AO22": "ao22",
    "NAND2": "nand2", "NOR2": "nor2", "AOI22": "aoi22", "OAI21": "oai21",
}  # fmt: skip
"""What target files call the cells."""


def kernel_cells(cells: Mapping[str, int]) -> dict[str, int]:
    """Cells by the names of the target files, in a fixed order."""
    return {name: int(cells[kind]) for kind, name in KERNEL_NAMES.items() if cells.get(kind)}


DELAY_UNITS = {
    "full_adder": 2.0, "half_adder": 1.3, "xor2": 1.3, "and2": 1.0, "or2": 1.0, "mux2": 1.4, "inv": 0.5, "ao22": 1.4,
    "nand2": 1.0, "nor2": 1.0, "aoi22": 1.2, "oai21": 1.1,
}  # fmt: skip
"""Weights that find the longest path, in NAND2-like delays; the target's delays price the cells on it."""


def critical_path(circuit: Circuit) -> dict[str, int]:
    """Cells on the longest combinational path through `circuit`, by kind.

    A carry-propagate adder of w bits counts as a parallel-prefix adder: an exclusive or, 2 * ceil(log2 w) AND/OR
    levels, an exclusive or.
    """
    depth, path = _longest(circuit, {})
    del depth
    return {kind: path[kind] for kind in KERNEL_NAMES.values() if path.get(kind)}


def _longest(circuit: Circuit, memo: dict[int, tuple[float, Counter[str]]]) -> tuple[float, Counter[str]]:
    if id(circuit) in memo:
        return memo[id(circuit)]
    reached: list[float] = []
    last: list[int] = []
    steps: list[Counter[str]] = []
    for node, operands in zip(circuit.nodes, circuit.operands, strict=True):
        inside = _longest(node.circuit, memo)[1] if isinstance(node, Instance) else _levels(node)
        start = max(operands, key=lambda o: reached[o], default=-1)
        steps.append(inside)
        last.append(start)
        cost = sum(DELAY_UNITS[k] * n for k, n in inside.items())
        reached.append((reached[start] if start >= 0 else 0.0) + cost)
    total: Counter[str] = Counter()
    at = max((circuit.index[id(w)] for w in circuit.outputs), key=lambda o: reached[o])
    end = reached[at]
    while at >= 0:
        total += steps[at]
        at = last[at]
    memo[id(circuit)] = (end, total)
    return memo[id(circuit)]


def _levels(node: Wire) -> Counter[str]:
    """Cells that a signal passes in one operator."""
    match node:
        case FullAdder():
            return Counter(full_adder=1)
        case HalfAdder():
            return Counter(half_adder=1)
        case ColumnSum():
            late = max((max(bit_arrivals(row), default=0.0) for row in node.rows), default=0.0)
            return Counter(full_adder=max(math.ceil(max(node.reduction.arrival) - late), 1))
        case Add():
            levels = max((node.width - 1).bit_length(), 1)
            return Counter(xor2=2, and2=levels, or2=levels)
        case AtLeast():
            levels = max((max(node.x.width, node.y.width) - 1).bit_length(), 1)
            return Counter(and2=levels, or2=levels)
        case Bitwise():
            if isinstance(node.b, Const):
                return Counter(inv=1)
            return Counter({{"and": "and2", "or": "or2", "xor": "xor2"}[node.base]: 1})
        case Reduce():
            kind = {"and": "and2", "or": "or2", "xor": "xor2"}[node.kind]
            return Counter({kind: max((node.x.width - 1).bit_length(), 1)})
        case AndOr():
            return Counter(ao22=1)
        case Mux():
            return Counter(mux2=1)
        case Lut():
            return Counter(mux2=node.x.width)
    return Counter()
