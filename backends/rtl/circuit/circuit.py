"""Circuits: named ports around a graph of wires, with equal operators merged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from edgec.backends.rtl.circuit.polarity import inverting_cells
from edgec.backends.rtl.circuit.state import Instance, Register
from edgec.backends.rtl.circuit.wire import Cells, Get, Input, Wire, require


class Circuit:
    """A module: `outputs` by port name, `inputs` in port order (default: by first use in the outputs).

    Each port is a list of elements, packed in SystemVerilog with element 0 lowest. Name the inputs to fix the order
    of ports or to have ports that nothing reads."""

    def __init__(
        self,
        name: str,
        outputs: Mapping[str, Wire | Sequence[Wire]],
        inputs: Sequence[Input | Sequence[Input]] | None = None,
    ) -> None:
        self.name = name
        self.output_ports: dict[str, tuple[Wire, ...]] = {
            port: (wires,) if isinstance(wires, Wire) else tuple(wires) for port, wires in outputs.items()
        }
        self.outputs = tuple(w for wires in self.output_ports.values() for w in wires)
        self.nodes, self.index = _number(self.outputs)
        listed: list[Input] = []
        for item in inputs or ():
            listed += [item] if isinstance(item, Input) else list(item)
        found = [n for n in self.nodes if isinstance(n, Input)]
        ports: dict[str, dict[int, Input]] = {}
        for node in listed + found:
            known = ports.setdefault(node.port, {}).setdefault(node.index, node)
            require(known.interval == node.interval, f"{name}.{node.port}[{node.index}] has two intervals")
        if inputs is not None:
            names = {(n.port, n.index) for n in listed}
            extra = [f"{n.port}[{n.index}]" for n in found if (n.port, n.index) not in names]
            require(not extra, f"{name} reads inputs that are not listed: {extra[:3]}")
        for port in self.output_ports:
            require(port not in ports, f"{name}: input and output {port}")
        for port in (*ports, *self.output_ports):
            legal = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", port) and not re.fullmatch(r"clk|rst|[ncu]\d+[ct]?", port)
            require(bool(legal), f"{name}: {port!r} cannot be a port's name")
        for port, elements in ports.items():
            require(sorted(elements) == list(range(len(elements))), f"{name}.{port}: some elements are missing")
        self.input_ports = {port: tuple(e[i] for i in range(len(e))) for port, e in ports.items()}
        self.inputs = tuple(w for wires in self.input_ports.values() for w in wires)

    @cached_property
    def operands(self) -> list[tuple[int, ...]]:
        """For each node the positions of its operands in `nodes`."""
        return [tuple(self.index[id(o)] for o in n.operands) for n in self.nodes]

    @cached_property
    def used(self) -> dict[int, frozenset[int]]:
        """Which results are read, for the operators with several, by position."""
        used: dict[int, set[int]] = {}
        for node in self.nodes:
            if isinstance(node, Get):
                used.setdefault(self.index[id(node.x)], set()).add(node.index)
        return {at: frozenset(results) for at, results in used.items()}

    @cached_property
    def instances(self) -> list[Instance]:
        return [n for n in self.nodes if isinstance(n, Instance)]

    @cached_property
    def sequential(self) -> bool:
        """Whether it has registers, here or below, and so the ports clk and rst."""
        return any(isinstance(n, Register) or (isinstance(n, Instance) and n.circuit.sequential) for n in self.nodes)

    @cached_property
    def own_cells(self) -> Cells:
        """Cells of this module without the instances in it."""
        total: Cells = Counter()
        inverting = inverting_cells(self)
        for at, node in enumerate(self.nodes):
            total.update(inverting[at] if at in inverting else node.cells(self.used.get(at, frozenset())))
        return +total

    @cached_property
    def cells(self) -> Cells:
        """All cells, the instances' included."""
        total = Counter(self.own_cells)
        for instance in self.instances:
            total.update(instance.circuit.cells)
        return total

    @cached_property
    def modules(self) -> Counter[Circuit]:
        """How often each circuit occurs in this one, itself included."""
        total: Counter[Circuit] = Counter({self: 1})
        for instance in self.instances:
            total.update(instance.circuit.modules)
        return total

    def __repr__(self) -> str:
        return f"Circuit({self.name}: {', '.join(self.input_ports)} -> {', '.join(self.output_ports)})"


def _number(outputs: Sequence[Wire]) -> tuple[list[Wire], dict[int, int]]:
    """All operators below `outputs`, operands first, equal ones once; and the position of each by its id."""
    nodes: list[Wire] = []
    index: dict[int, int] = {}
    known: dict[tuple[object, ...], int] = {}
    for output in outputs:
        stack: list[Wire] = [output]
        while stack:
            node = stack[-1]
            if id(node) in index:
                stack.pop()
                continue
            waiting = [o for o in node.operands if id(o) not in index]
            if waiting:
                stack += reversed(waiting)
                continue
            stack.pop()
            key = (type(node), node.key(), tuple(index[id(o)] for o in node.operands))
            at = known.setdefault(key, len(nodes))
            if at == len(nodes):
                nodes.append(node)
            index[id(node)] = at
    return nodes, index
