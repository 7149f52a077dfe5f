"""Verilog models of library cells from the functions of the Liberty file, so that a mapped netlist simulates anywhere.

Zero delay. A cell that has no simple function (three-state outputs, state tables) has no model; synthesis avoids those.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgec.hw.liberty import Cell, Library
from edgec.hw.synth.adders import escaped
from edgec.hw.synth.functions import verilog


def cell_models(library: Library, names: Iterable[str]) -> str:
    """Verilog modules of the named cells; E0214 for one that has no model."""
    modules = [cell_model(library.cell(name)) for name in sorted(set(names))]
    return f"// Functions of the cells of {library.name}, without delays.\n" + "".join(modules)


def cell_model(cell: Cell) -> str:
    """One module. A flip-flop keeps its state in `state`; clear and preset are asynchronous."""
    pins = [p for p in cell.pins.values() if p.direction in ("input", "output")]
    lines = [f"module {escaped(cell.name)} ({', '.join(f'{p.direction} wire {escaped(p.name)}' for p in pins)});"]
    state = cell.sequential
    if state is not None:
        inputs = [_name(cell, i) for i in state.inputs]
        lines.append("  reg state;")
        clock = verilog(state.clock, inputs)
        clear = verilog(state.clear, inputs) if state.clear is not None else "1'b0"
        preset = verilog(state.preset, inputs) if state.preset is not None else "1'b0"
        data = verilog(state.data, inputs)
        guard = state.clear is not None or state.preset is not None
        lines += [f"  wire clock = {clock};", f"  wire data = {data};"]
        if guard:
            lines += [f"  wire clear = {clear};", f"  wire preset = {preset};"]
        act = f"if (clear & preset) state <= 1'b{state.both}; else if (clear) state <= 1'b0; "
        act += "else if (preset) state <= 1'b1; else "
        if state.kind == "ff":
            events = "posedge clock or posedge clear or posedge preset" if guard else "posedge clock"
            lines.append(f"  always @({events}) {act if guard else ''}state <= data;")
        else:
            lines.append(f"  always @* {act.replace('<=', '=') if guard else ''}if (clock) state = data;")
    for output in cell.outputs.values():
        expression = verilog(output.table, [_name(cell, i) for i in output.inputs])
        lines.append(f"  assign {escaped(output.pin)} = {expression};")
    return "\n".join([*lines, "endmodule", ""])


def _name(cell: Cell, name: str) -> str:
    """A pin, or the state variable."""
    return escaped(name) if name in cell.pins and cell.pins[name].direction == "input" else "state"
