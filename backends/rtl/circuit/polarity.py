"""Cells as technology mapping leaves them: inverting gates where an inversion costs nothing.

In CMOS the inverting gate is the small one (NAND, NOR, AND-OR-invert). An exclusive or swallows inversions at its
inputs and gives either polarity: an AND that only feeds exclusive ors becomes a NAND, an inverter behind one vanishes,
and an AND of an inverted input and an exclusive or becomes a NOR. Adders take and give true polarity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgec.backends.rtl.circuit.logic import AndOr, Bitwise
from edgec.backends.rtl.circuit.wire import Cells, Const, Wire

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.circuit import Circuit

INVERTING = {"and": "NAND2", "or": "NOR2"}


def inverting_cells(circuit: Circuit) -> dict[int, Cells]:
    """For nodes by position: their cells, where inverting gates make them other than the node itself says."""
    users: list[list[int]] = [[] for _ in circuit.nodes]
    for at, operands in enumerate(circuit.operands):
        for operand in operands:
            users[operand].append(at)
    outputs = {circuit.index[id(w)] for w in circuit.outputs}
    view = _View(circuit.nodes, circuit.operands, users, outputs)
    found: dict[int, Cells] = {}
    for at, node in enumerate(circuit.nodes):
        cells = view.cells(at, node)
        if cells is not None:
            found[at] = cells
    return found


class _View:
    """Who reads what in a circuit, by position."""

    def __init__(
        self, nodes: Sequence[Wire], operands: Sequence[tuple[int, ...]], users: Sequence[list[int]], outputs: set[int]
    ) -> None:
        self.nodes, self.operands, self.users, self.outputs = nodes, operands, users, outputs

    def cells(self, at: int, node: Wire) -> Cells | None:
        if isinstance(node, AndOr):
            return Counter(AOI22=node.width) if self.either_polarity(at) else None
        if not isinstance(node, Bitwise):
            return None
        if is_inverter(node):
            return Counter() if self.inverter_is_free(at) else None
        if node.base == "xor":
            return None
        if node.kind != node.base or self.either_polarity(at):
            return Counter({INVERTING[node.base]: node.width})
        if self.swallows_inverter(at):
            return Counter({"NOR2" if node.base == "and" else "NAND2": node.width})
        return None

    def either_polarity(self, at: int) -> bool:
        """Whether all readers take the inverted result as well."""
        readers = self.users[at]
        return bool(readers) and at not in self.outputs and all(self.is_xor(u) or self.inverts(u) for u in readers)

    def inverter_is_free(self, at: int) -> bool:
        """Behind a gate that gives it anyway, or in front of gates that take it anyway."""
        source = self.operands[at][0]
        alone = self.users[source] == [at] and source not in self.outputs
        if alone and (self.is_gate(source) or self.is_xor(source)):
            return True
        readers = self.users[at]
        if not readers or at in self.outputs:
            return False
        return all(self.is_xor(u) or (self.is_gate(u) and self.swallows_inverter(u)) for u in readers)

    def swallows_inverter(self, at: int) -> bool:
        """Whether an AND or OR has an inverted input beside one whose inversion is free."""
        node = self.nodes[at]
        if not isinstance(node, Bitwise) or node.base == "xor" or node.kind != node.base:
            return False
        a, b = self.operands[at][:2]
        return any(
            self.inverts(p) and (self.inverts(q) or (self.is_xor(q) and self.users[q] == [at]))
            for p, q in ((a, b), (b, a))
        )

    def inverts(self, at: int) -> bool:
        node = self.nodes[at]
        return isinstance(node, Bitwise) and is_inverter(node)

    def is_xor(self, at: int) -> bool:
        node = self.nodes[at]
        return isinstance(node, Bitwise) and node.base == "xor" and not isinstance(node.b, Const)

    def is_gate(self, at: int) -> bool:
        node = self.nodes[at]
        return isinstance(node, AndOr) or (isinstance(node, Bitwise) and node.base != "xor")


def is_inverter(node: Bitwise) -> bool:
    """Whether every bit is inverted."""
    return isinstance(node.b, Const) and node.b.raw == (1 << node.b.width) - 1
