"""Circuits as SystemVerilog functions, for simulation.

A simulator that flattens modules compiles every instance anew; a function in a package is compiled once and called
by all. So each combinational module has two bodies: the netlist of adder cells for synthesis (EDGEC_CELLS defined),
and a call of its function, which holds the same operators as expressions. Measured on the 8x8x1 encoder with loaded
weights: 6 s of C++ compilation instead of more than 600 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.emit import Emitter, Ref, emit_module, vector
from edgec.backends.rtl.circuit.wire import require

WORD = 64
"""Verilator compiles functions that it does not inline only up to results of this width."""

LINT_OFF, LINT_ON = (f"/* verilator lint_{way} UNUSEDSIGNAL */" for way in ("off", "on"))
"""Ports are whole tensors, of which a module need not read every bit."""


def function_name(circuit: Circuit) -> str:
    return f"f_{circuit.name}"


def is_function(circuit: Circuit) -> bool:
    """Whether a circuit is written as a function: a combinational leaf with a result of a machine word."""
    return not circuit.sequential and not circuit.instances and result_width(circuit) <= WORD


def result_width(circuit: Circuit) -> int:
    """Bits of all output ports, which the function returns side by side, the first one lowest."""
    return sum(w.width for wires in circuit.output_ports.values() for w in wires)


class FunctionEmitter(Emitter):
    """Writes a circuit as declarations and assignments in order; operators use it like the module emitter."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__(circuit)
        self.declarations: list[str] = []
        self.statements: list[str] = []

    def run(self) -> str:
        require(is_function(self.circuit), f"{self.circuit.name} cannot be a function")
        refs = self.refs()
        name = function_name(self.circuit)
        outputs = [refs[self.circuit.index[id(w)]] for ws in self.circuit.output_ports.values() for w in ws]
        arguments = ", ".join(
            f"input logic {vector(sum(w.width for w in ws))}{port}" for port, ws in self.circuit.input_ports.items()
        )
        width = result_width(self.circuit)
        lines = [f"  function automatic logic {vector(width)}{name}({arguments or 'input logic none'});"]
        lines += ["    /* verilator no_inline_task */"]
        lines += [f"    {d}" for d in self.declarations]
        lines += [f"    {s}" for s in self.statements]
        lines += [f"    {name} = {self.concat(outputs)};", "  endfunction"]
        return "\n".join(lines)

    def declare(self, width: int) -> Ref:
        name = self._name()
        self.declarations.append(f"logic {vector(width)}{name};")
        return Ref(name, 0, width, width)

    def assign(self, width: int, text: str) -> Ref:
        ref = self.declare(width)
        self.statements.append(f"{ref.net} = {text};")
        return ref

    def pair(self, width: int) -> tuple[Ref, Ref]:
        total, carry = self.declare(width), self.declare(width)
        return total, carry

    def inline_wire(self, width: int) -> str:
        return self.declare(width).net

    def inline(self, line: str) -> None:
        self.statements.append(line.removeprefix("assign "))

    def cell(self, module: str, width: int, **pins: str) -> None:
        pass  # the netlist of cells is the module's other body

    def cells_of(self, write: Callable[[], None]) -> None:
        pass

    def table(self, width: int, address: Ref, entries: Sequence[tuple[int, int]]) -> Ref:
        result, bits = self.declare(width), address.width
        arms = [f"{bits}'h{key:x}: {result.net} = {width}'h{value:x};" for key, value in entries]
        self.statements += [f"case ({address.text})", *(f"  {a}" for a in arms)]
        self.statements += [f"  default: {result.net} = {width}'h0;", "endcase"]
        return result


def emit_design(circuits: Sequence[Circuit], package: str) -> dict[str, str]:
    """File name -> text: the package of functions first, then one module a circuit, children first."""
    ordered: dict[int, Circuit] = {}

    def visit(circuit: Circuit) -> None:
        if id(circuit) in ordered:
            return
        for instance in circuit.instances:
            visit(instance.circuit)
        ordered[id(circuit)] = circuit

    for circuit in circuits:
        visit(circuit)
    names = [c.name for c in ordered.values()]
    require(len(set(names)) == len(names), "two circuits of one name")
    functions = [FunctionEmitter(c).run() for c in ordered.values() if is_function(c)]
    text = [
        "// The operators of every module as functions; synthesis takes the adder cells instead.",
        "`ifndef EDGEC_CELLS",
    ]
    text += [LINT_OFF, f"package {package};", *functions, "endpackage", LINT_ON, "`endif", ""]
    files = {f"{package}.sv": "\n".join(text)}
    if not functions:
        files = {}
    return files | {
        f"{c.name}.sv": two_bodies(c, package) if is_function(c) else emit_module(c) for c in ordered.values()
    }


def two_bodies(circuit: Circuit, package: str) -> str:
    """The module: cells where EDGEC_CELLS is defined, else the call of its function."""
    emitter = CellEmitter(circuit)
    body = emitter.body()
    ports = [
        f"  {direction} wire {vector(sum(w.width for w in ws))}{port}"
        for direction, named in (("input", circuit.input_ports), ("output", circuit.output_ports))
        for port, ws in named.items()
    ]
    call = ", ".join(circuit.input_ports) or "'0"
    lines = ["`default_nettype none", LINT_OFF, f"module {circuit.name} (", ",\n".join(ports), ");"]
    lines += ["`ifdef EDGEC_CELLS", *(f"  {line}" for line in body), "`else"]
    lines += [f"  wire {vector(result_width(circuit))}result = {package}::{function_name(circuit)}({call});"]
    lsb = 0
    for port, wires in circuit.output_ports.items():
        width = sum(w.width for w in wires)
        lines.append(f"  assign {port} = {Ref('result', lsb, width, result_width(circuit)).text};")
        lsb += width
    return "\n".join([*lines, "`endif", "endmodule", LINT_ON, "`default_nettype wire", ""])


class CellEmitter(Emitter):
    """The body of a module as a netlist of cells."""

    def body(self) -> list[str]:
        refs = self.refs()
        for port, wires in self.circuit.output_ports.items():
            self._body.append(f"assign {port} = {self.concat([refs[self.circuit.index[id(w)]] for w in wires])};")
        return self._body

    def inline(self, line: str) -> None:
        pass

    def inline_wire(self, width: int) -> str:
        return self._name() + "t"

    def cell_line(self, line: str) -> None:
        self._body.append(line)

    def cell(self, module: str, width: int, **pins: str) -> None:
        connections = ", ".join(f".{pin}({text})" for pin, text in pins.items())
        self._body.append(f"{module} #(.WIDTH({width})) c{len(self._body)} ({connections});")
