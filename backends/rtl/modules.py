"""Layer modules: each group of the schedule becomes one combinational circuit with packed ports."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, bits, cast
from edgec.backends.rtl.lower import Layer, format_interval, lower
from edgec.backends.rtl.schedule import Group, Schedule
from edgec.graph import Graph
from edgec.ops import Constant, Op
from edgec.ops import Input as GraphInput


@dataclass
class Signal:
    """A tensor on a bus: the elements of `op` in row-major order, all of one interval, element 0 lowest."""

    op: Op
    name: str
    interval: Interval

    @property
    def elements(self) -> int:
        return self.op.tensor.size

    @property
    def bits(self) -> int:
        return self.elements * self.interval.width

    def inputs(self, port: str) -> np.ndarray:
        """The bus as an input port: an object array in the shape of the op."""
        wires = np.empty(self.elements, object)
        wires[:] = [Input(port, self.interval, i) for i in range(self.elements)]
        return wires.reshape(self.op.shape)


@dataclass
class Module:
    """One layer: its circuit, what it reads (port -> signal or bank constant) and what it drives."""

    group: Group
    circuit: Circuit
    reads: dict[str, Signal] = field(default_factory=dict)
    parameters: dict[str, Constant] = field(default_factory=dict)
    drives: dict[str, Signal] = field(default_factory=dict)
    macs: int = 0


class Builder:
    """Builds the modules of a schedule in order."""

    def __init__(
        self,
        graph: Graph,
        plan: Schedule,
        prefix: str,
        names: dict[Op, str],
        loaded: set[Constant],
        sharing: str = "auto",
    ) -> None:
        self.graph, self.plan, self.prefix, self.names, self.loaded = graph, plan, prefix, names, loaded
        self.sharing = sharing
        self.signals: dict[Op, Signal] = {
            i: Signal(i, f"in_{names[i]}", format_interval(i.format)) for i in graph.inputs
        }
        # An op can join the module of an earlier layer after a later one was opened: stages decide the order.
        self.modules = [self.module(group) for group in sorted(plan.groups, key=lambda g: (g.stage, g.index))]

    def leaves(self, op: Op) -> list[Op]:
        """The signals that `op` comes from through mere wiring of inputs (itself where it is one)."""
        if op in self.plan.group or isinstance(op, GraphInput):
            return [op]
        return [leaf for o in op.operands if not isinstance(o, Constant) for leaf in self.leaves(o)]

    def outside(self, op: Op, group: Group) -> bool:
        """Whether another group, or an output of the graph, reads `op`."""
        if any(o is op for _, o in self.graph.outputs):
            return True
        users = self.graph.users[op]
        return any(self.plan.group.get(u) is not group for u in users)

    def module(self, group: Group) -> Module:
        name = f"{self.prefix}_l{group.index}_{self.names[group.main]}".lower().replace(".", "_")
        layer = Layer(name, sharing=self.sharing)
        reads: dict[str, Signal] = {}
        parameters: dict[str, Constant] = {}
        values: dict[Op, object] = {}

        def value(op: Op) -> object:
            if op in values:
                return values[op]
            if isinstance(op, Constant):
                if op not in self.loaded:
                    return None
                port = f"p{len(parameters)}"
                parameters[port] = op
                signal = Signal(op, port, format_interval(op.format))
                layer.parameters[op] = signal.inputs(port)
                values[op] = layer.parameters[op]
            elif (op in self.plan.group and self.plan.group[op] is not group) or isinstance(op, GraphInput):
                port = f"x{len(reads)}"
                reads[port] = self.signals[op]
                values[op] = self.signals[op].inputs(port)
            else:  # wiring of inputs, or an op of this group
                values[op] = lower(layer, op, [value(o) for o in op.operands])  # type: ignore[misc]
            return values[op]

        outputs: dict[str, list[Wire]] = {}
        drives: dict[str, Signal] = {}
        for op in group.ops:
            wires = value(op)
            if isinstance(wires, np.ndarray) and self.outside(op, group):
                port = f"y{len(outputs)}"
                interval = uniform(wires, op)
                self.signals[op] = drives[port] = Signal(op, f"{name}_{port}", interval)
                outputs[port] = [fit(w, interval) for w in wires.ravel()]
        ports = [list(signal.inputs(port).ravel()) for port, signal in reads.items()]
        ports += [list(layer.parameters[c].ravel()) for c in parameters.values()]
        circuit = Circuit(name, outputs, ports)
        return Module(group, circuit, reads, parameters, drives, layer.macs)


def uniform(wires: np.ndarray, op: Op) -> Interval:
    """The hull of all elements, which is never wider than the format."""
    unit = format_interval(op.format).frac
    ranges = [w.interval for w in wires.ravel()]
    return Interval(min(r.lo for r in ranges), max(r.hi for r in ranges), unit)


def fit(wire: Wire, interval: Interval) -> Wire:
    """The same number on a wire of `interval`, which contains it."""
    if wire.interval == interval:
        return wire
    if isinstance(wire, Const):
        return cast(Const(wire.value & ((1 << interval.width) - 1), interval.width), interval)
    return cast(bits(wire, 0, interval.width), interval)
