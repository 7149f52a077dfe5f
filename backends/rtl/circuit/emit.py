"""SystemVerilog from circuits: plain vectors and continuous assignments, one file a module.

Adders are written twice: as word expressions, which simulators compile fast, and, where the macro EDGEC_CELLS is
defined, as instances of the adder cells in `backends/rtl/lib`. It is the same netlist both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.state import Instance
from edgec.backends.rtl.circuit.wire import Get, Input, Wire, require

LIBRARY = Path(__file__).resolve().parent.parent / "lib"


@dataclass(frozen=True, slots=True)
class Ref:
    """Bits lsb .. lsb + width - 1 of the net `net` of `size` bits, or the number `value` if the net is empty."""

    net: str
    lsb: int
    width: int
    size: int
    value: int = 0

    @property
    def text(self) -> str:
        if not self.net:
            return f"{self.width}'h{self.value:x}"
        if self.width == self.size:
            return self.net
        if self.width == 1:
            return f"{self.net}[{self.lsb}]"
        return f"{self.net}[{self.lsb + self.width - 1}:{self.lsb}]"

    def bits(self, lsb: int, width: int) -> Ref:
        if not self.net:
            return Ref("", 0, width, width, self.value >> lsb & ((1 << width) - 1))
        return Ref(self.net, self.lsb + lsb, width, self.size)

    def extend(self, width: int, signed: bool) -> str:
        """Text of exactly `width` bits."""
        more = width - self.width
        if more <= 0:
            return self.bits(0, width).text
        top = self.bits(self.width - 1, 1)
        if not self.net:
            sign = top.value and signed
            return f"{width}'h{self.value | (((1 << more) - 1) << self.width if sign else 0):x}"
        if not signed:
            return f"{{{more}'h0, {self.text}}}"
        return f"{{{{{more}{{{top.text}}}}}, {self.text}}}" if more > 1 else f"{{{top.text}, {self.text}}}"


def emit(circuit: Circuit) -> dict[str, str]:
    """File name -> text of `circuit` and all circuits below it, children first; `library()` is needed too."""
    files: dict[str, str] = {}
    done: set[int] = set()

    def visit(module: Circuit) -> None:
        if id(module) in done:
            return
        done.add(id(module))
        for instance in module.instances:
            visit(instance.circuit)
        text = emit_module(module, inner=module is not circuit)
        require(files.setdefault(f"{module.name}.sv", text) == text, f"two different circuits named {module.name}")

    visit(circuit)
    return files


def library() -> dict[str, str]:
    """File name -> text of the hand-written primitives."""
    return {path.name: path.read_text() for path in sorted(LIBRARY.glob("*.sv"))}


def emit_module(circuit: Circuit, inner: bool = False) -> str:
    """The text of one module, without those below it.

    An `inner` module is marked so that Verilator compiles it once for all its instances: kept apart, and its ports
    not replaced by the nets outside (a layer of 128 equal blocks is built ten times faster so)."""
    return Emitter(circuit, inner).run()


class Emitter:
    """Writes one module; operators call it from their `emit`."""

    def __init__(self, circuit: Circuit, inner: bool = False) -> None:
        self.circuit, self.inner = circuit, inner
        self.used: frozenset[int] = frozenset()
        self._body: list[str] = []
        self._inline: list[str] = []
        self._cells: list[str] = []
        self._count = 0
        self._instances = 0
        self._inputs: dict[tuple[str, int], Ref] = {}
        for port, elements in circuit.input_ports.items():
            size, lsb = sum(e.width for e in elements), 0
            for e in elements:
                self._inputs[port, e.index] = Ref(port, lsb, e.width, size)
                lsb += e.width

    def refs(self) -> list:
        """Write every operator in order; the reference to the result of each, a list where there are several."""
        refs: list = []
        for at, (node, operands) in enumerate(zip(self.circuit.nodes, self.circuit.operands, strict=True)):
            self.used = self.circuit.used.get(at, frozenset())
            if isinstance(node, Get):
                refs.append(refs[operands[0]][node.index])
            else:
                refs.append(node.emit(self, [refs[o] for o in operands]))
        return refs

    def run(self) -> str:
        circuit = self.circuit
        refs = self.refs()
        for port, wires in circuit.output_ports.items():
            self._body.append(f"assign {port} = {self.concat([refs[circuit.index[id(w)]] for w in wires])};")
        ports = ["input wire clk", "input wire rst"] if circuit.sequential else []
        for direction, named in (("input", circuit.input_ports), ("output", circuit.output_ports)):
            ports += [f"{direction} wire {vector(sum(w.width for w in ws))}{port}" for port, ws in named.items()]
        # Rounding drops low bits, exact intervals drop high ones, zero weights drop inputs: nothing to warn of.
        lines = ["`default_nettype none", "/* verilator lint_off UNUSEDSIGNAL */", f"module {circuit.name} ("]
        mark = " /*verilator public_flat_rd*/" if self.inner else ""
        lines += [f"  {port}{mark}," for port in ports[:-1]] + [f"  {ports[-1]}{mark}", ");"]
        lines += ["  /*verilator no_inline_module*/"] * self.inner
        lines += [f"  {line}" for line in self._body]
        if self._inline:
            lines += ["`ifdef EDGEC_CELLS", *(f"  {line}" for line in self._cells)]
            lines += ["`else", *(f"  {line}" for line in self._inline), "`endif"]
        lines += ["endmodule", "/* verilator lint_on UNUSEDSIGNAL */", "`default_nettype wire", ""]
        return "\n".join(lines)

    # What operators use

    def declare(self, width: int) -> Ref:
        """A new net, driven by an instance."""
        name = self._name()
        self._body.append(f"wire {vector(width)}{name};")
        return Ref(name, 0, width, width)

    def assign(self, width: int, text: str) -> Ref:
        """A new net with its driver."""
        name = self._name()
        self._body.append(f"wire {vector(width)}{name} = {text};")
        return Ref(name, 0, width, width)

    def inline_assign(self, width: int, text: str) -> Ref:
        """A new net, driven by `text` only where there are no cells."""
        ref = self.declare(width)
        self.inline(f"assign {ref.net} = {text};")
        return ref

    def pair(self, width: int) -> tuple[Ref, Ref]:
        """Two new nets: sums and carries."""
        name = self._name()
        self._body.append(f"wire {vector(width)}{name}, {name}c;")
        return Ref(name, 0, width, width), Ref(f"{name}c", 0, width, width)

    def inline_wire(self, width: int) -> str:
        """A net that exists only where there are no cells."""
        name = f"{self._name()}t"
        self._inline.append(f"wire {vector(width)}{name};")
        return name

    def inline(self, line: str) -> None:
        self._inline.append(line)

    def cell(self, module: str, width: int, **pins: str) -> None:
        """An instance of a cell vector of the library, where EDGEC_CELLS is defined."""
        connections = ", ".join(f".{pin}({text})" for pin, text in pins.items())
        self._cells.append(f"{module} #(.WIDTH({width})) c{len(self._cells)} ({connections});")

    def cells_of(self, write: Callable[[], None]) -> None:
        """Have `write` put a netlist where EDGEC_CELLS is defined, by `cell`, `cell_net` and `cell_line`."""
        write()

    def cell_net(self, width: int) -> Ref:
        """A net that exists only where there are cells."""
        name = self._name()
        self.cell_line(f"wire {vector(width)}{name};")
        return Ref(name, 0, width, width)

    def cell_line(self, line: str) -> None:
        self._cells.append(line)

    def instance(self, module: str, parameters: str, **pins: str) -> None:
        """An instance of a library module."""
        connections = ", ".join(f".{pin}({text})" for pin, text in pins.items())
        self._body.append(f"{module} #({parameters}) {self._instance_name()} ({connections});")

    def module(self, instance: Instance, args: Sequence[Ref]) -> list[Ref]:
        """An instance of a circuit; the results are slices of one net a port."""
        inner = instance.circuit
        name = instance.name or self._instance_name()
        pins = ["clk", "rst"] if inner.sequential else []
        lines = [f".{pin}({pin})" for pin in pins]
        wires = iter(zip(instance.args, args, strict=True))
        for port, elements in inner.input_ports.items():
            parts = []
            for element in elements:
                wire, ref = next(wires)
                parts.append(self._fit(ref, wire, element))
            lines.append(f".{port}({self.concat(parts)})")
        results = []
        for port, outputs in inner.output_ports.items():
            size, lsb = sum(w.width for w in outputs), 0
            net = f"{name}_{port}"
            self._body.append(f"wire {vector(size)}{net};")
            lines.append(f".{port}({net})")
            for w in outputs:
                results.append(Ref(net, lsb, w.width, size))
                lsb += w.width
        self._body.append(f"{inner.name} {name} (")
        self._body += [f"  {line}," for line in lines[:-1]] + [f"  {lines[-1]}", ");"]
        return results

    def input(self, node: Input) -> Ref:
        return self._inputs[node.port, node.index]

    def literal(self, value: int, width: int) -> Ref:
        return Ref("", 0, width, width, value)

    def table(self, width: int, address: Ref, entries: Sequence[tuple[int, int]]) -> Ref:
        """A case table as a function; other addresses give 0."""
        result = self.declare(width)
        name, bits = f"table_{result.net}", address.width
        lines = [f"function {vector(width)}{name}(input {vector(bits)}address);", "  case (address)"]
        lines += [f"    {bits}'h{key:x}: {name} = {width}'h{value:x};" for key, value in entries]
        if len(entries) < 1 << bits:
            lines.append(f"    default: {name} = {width}'h0;")
        self._body += lines + ["  endcase", "endfunction", f"assign {result.net} = {name}({address.text});"]
        return result

    def concat(self, parts: Sequence[Ref]) -> str:
        """Text of the parts side by side, the first one lowest; neighbours in one net become one slice."""
        merged: list[Ref] = []
        for part in parts:
            last = merged[-1] if merged else None
            if last and last.net == part.net and (not part.net or last.lsb + last.width == part.lsb):
                value = last.value | part.value << last.width
                width = last.width + part.width
                merged[-1] = Ref(part.net, last.lsb, width, part.size if part.net else width, value)
            else:
                merged.append(part)
        if len(merged) == 1:
            return merged[0].text
        return "{" + ", ".join(part.text for part in reversed(merged)) + "}"

    def _fit(self, ref: Ref, wire: Wire, element: Wire) -> Ref:
        """`ref` at the width of the port element."""
        if ref.width == element.width:
            return ref
        text = ref.extend(element.width, wire.signed)
        return self.assign(element.width, text)

    def _name(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def _instance_name(self) -> str:
        self._instances += 1
        return f"u{self._instances}"


def vector(width: int) -> str:
    """The packed range of a declaration with a space behind it; empty for one bit."""
    return f"[{width - 1}:0] " if width > 1 else ""
