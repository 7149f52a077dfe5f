"""Registers, and circuits inside circuits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.value import Value
from edgec.backends.rtl.circuit.wire import Cells, Get, Wire, require

if TYPE_CHECKING:
    from edgec.backends.rtl.circuit.circuit import Circuit
    from edgec.backends.rtl.circuit.emit import Emitter, Ref


@dataclass(frozen=True, eq=False)
class Register(Wire):
    """Takes `d` at each rising clock edge at which `enable`, if given, is 1; is `reset`, if given, after rst was 1."""

    d: Wire
    enable: Wire | None = None
    reset: int | None = None

    def infer(self) -> Interval:
        require(self.enable is None or self.enable.width == 1, "an enable has 1 bit")
        i = self.d.interval
        return i if self.reset is None else Interval.hull([i, Interval(self.reset, self.reset, i.frac)])

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Ref:
        parameters = f".WIDTH({self.width})"
        if self.reset is not None:
            parameters += f", .RESET(1), .VALUE({e.literal(self.reset & ((1 << self.width) - 1), self.width).text})"
        q = e.declare(self.width)
        e.instance(
            "edgec_register",
            parameters,
            clk="clk",
            rst="rst" if self.reset is not None else "1'b0",
            en=args[1].text if self.enable is not None else "1'b1",
            d=args[0].extend(self.width, self.d.signed),
            q=q.text,
        )
        return q

    def cells(self, used: frozenset[int]) -> Cells:
        cells: Cells = Counter(FF=self.width)
        if self.enable is not None:
            cells["MUX2"] += self.width
        if self.reset is not None:
            cells["AND2"] += self.width
        return cells


@dataclass(frozen=True, eq=False)
class Instance(Wire):
    """One use of `circuit`: `args` in the order of its inputs, results in that of its outputs; use `instantiate`."""

    circuit: Circuit
    args: tuple[Wire, ...]
    name: str = ""

    def infer(self) -> Interval:
        inputs = self.circuit.inputs
        require(len(self.args) == len(inputs), f"{self.circuit.name} takes {len(inputs)} inputs, not {len(self.args)}")
        for wire, port in zip(self.args, inputs, strict=True):
            require(
                port.interval.contains(wire.interval),
                f"{self.circuit.name}.{port.port}[{port.index}] takes {port.interval}, not {wire.interval}",
            )
        return Interval(0, 0)

    def evaluate(self, args: Sequence[Value], samples: int) -> list[Value]:
        raise TypeError("instances are evaluated by edgec.backends.rtl.circuit.evaluate")

    def emit(self, e: Emitter, args: Sequence[Ref]) -> Any:
        return e.module(self, args)


def instantiate(circuit: Circuit, name: str = "", **ports: Wire | Sequence[Wire]) -> dict[str, list[Wire]]:
    """Use `circuit`: a wire or a list of wires for each input port; gives the wires of each output port.

    `name` is the instance's name in the SystemVerilog, `u<number>` if empty."""
    require(set(ports) == set(circuit.input_ports), f"{circuit.name} has the inputs {list(circuit.input_ports)}")
    args: list[Wire] = []
    for port, elements in circuit.input_ports.items():
        given = ports[port]
        given = [given] if isinstance(given, Wire) else list(given)
        require(len(given) == len(elements), f"{circuit.name}.{port} has {len(elements)} elements, not {len(given)}")
        args += given
    instance = Instance(circuit, tuple(args), name)
    results: dict[str, list[Wire]] = {}
    index = 0
    for port, wires in circuit.output_ports.items():
        results[port] = [Get(instance, index + i, w.interval) for i, w in enumerate(wires)]
        index += len(wires)
    return results
