"""A tiny cell library with chosen delays and energies, random netlists of it, and the same netlists in Verilog."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synth_support import OSU018

from edgec.hw.tools.iverilog import find_iverilog, find_vvp
from edgec.hw.tools.process import run

# name: (inputs, {output: function}, rise delay [ps], fall delay [ps])
GATES: dict[str, tuple[str, dict[str, str], int, int]] = {
    "INV": ("A", {"Y": "!A"}, 13, 11),
    "NAND2": ("AB", {"Y": "!(A&B)"}, 23, 19),
    "NOR2": ("AB", {"Y": "!(A|B)"}, 29, 31),
    "XOR2": ("AB", {"Y": "A^B"}, 47, 43),
    "AOI21": ("ABC", {"Y": "!((A&B)|C)"}, 37, 41),
    "MUX2": ("ABS", {"Y": "(A&!S)|(B&S)"}, 53, 59),
    "FA": ("ABC", {"S": "A^B^C", "CO": "(A&B)|(A&C)|(B&C)"}, 67, 61),
}
DFF_RISE, DFF_FALL = 83, 89


def scalar_timing(related: str, rise: float, fall: float, kind: str = "combinational", sense: str = "non_unate") -> str:
    tables = "".join(
        f'{n}(scalar) {{ values("{v / 1000}"); }}\n' for n, v in (("cell_rise", rise), ("cell_fall", fall))
    )
    return f'timing() {{ related_pin : "{related}"; timing_sense : {sense}; timing_type : {kind};\n{tables}}}\n'


def gate(name: str, inputs: str, outputs: dict[str, str], rise: float, fall: float, cap: float = 2.0) -> str:
    pins = "".join(f"pin({p}) {{ direction : input; capacitance : {cap}; }}\n" for p in inputs)
    for pin, function in outputs.items():
        arcs = "".join(scalar_timing(p, rise, fall) for p in inputs)
        pins += f'pin({pin}) {{ direction : output; function : "{function}";\n{arcs}}}\n'
    return f"cell({name}) {{ area : {len(inputs) + 1}; cell_leakage_power : 3;\n{pins}}}\n"


def library_text(cells: str = "") -> str:
    """A library in ns, fF, nW and V, at 2 V."""
    gates = "".join(gate(n, *spec) for n, spec in GATES.items())
    dff = (
        'cell(DFF) { area : 6; cell_leakage_power : 5; ff(IQ,IQN) { clocked_on : "CK"; next_state : "D"; }\n'
        "pin(CK) { direction : input; capacitance : 1; clock : true; }\n"
        "pin(D) { direction : input; capacitance : 2; }\n"
        f'pin(Q) {{ direction : output; function : "IQ";\n'
        f"{scalar_timing('CK', DFF_RISE, DFF_FALL, 'rising_edge')}}}}}\n"
        "cell(ICG) { area : 5; clock_gating_integrated_cell : latch_posedge;\n"
        'statetable("CK EN", "M") { table : "L L : - : L, L H : - : H, H - : - : N"; }\n'
        "pin(CK) { direction : input; capacitance : 1; clock : true; clock_gate_clock_pin : true; }\n"
        "pin(EN) { direction : input; capacitance : 2; clock_gate_enable_pin : true; }\n"
        'pin(M) { direction : internal; internal_node : "M"; }\n'
        'pin(G) { direction : output; clock_gate_out_pin : true; state_function : "CK*M"; }\n}\n'
    )
    head = (
        'library(tiny) { time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";\n'
        "capacitive_load_unit(1, ff); nom_voltage : 2.0;\n"
    )
    return head + gates + dff + cells + "}\n"


def need_osu018() -> None:
    """Like `need`, for the cell library of Debian's package qflow-tech-osu018."""
    if not OSU018.is_file():
        message = f"{OSU018} is not there: apt-get install qflow-tech-osu018"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass(frozen=True)
class Design:
    """A flat netlist as a yosys document; nets 2 .. are numbered, `inputs` and `outputs` are nets."""

    document: dict[str, Any]
    inputs: list[int]
    nets: int
    clocked: bool


def random_design(rng: np.random.Generator, gates: int, inputs: int, flipflops: int, *, gated: bool = False) -> Design:
    """Gates on random earlier nets; flip-flops on any. Every net is an output, so that all can be compared."""
    clock = 2
    first = 3 if flipflops else 2
    data = list(range(first, first + inputs))
    net = first + inputs
    states = list(range(net, net + flipflops))
    net += flipflops
    sources = data + states
    cells: dict[str, Any] = {}

    def cell(name: str, kind: str, pins: dict[str, int]) -> None:
        cells[name] = {"type": kind, "connections": {p: [n] for p, n in pins.items()}}

    for k in range(gates):
        kind = str(rng.choice(list(GATES)))
        pins, outputs, *_ = GATES[kind]
        # near sources make deep logic, which glitches
        picks = [sources[int(len(sources) * (1 - rng.random() ** 2 * 0.999))] for _ in pins]
        wires = dict(zip(pins, picks, strict=True))
        for output in outputs:
            wires[output] = net
            sources.append(net)
            net += 1
        cell(f"g{k}", kind, wires)
    clocks = [clock]
    if gated and flipflops:
        cell("icg", "ICG", {"CK": clock, "EN": int(rng.choice(sources)), "G": net})
        clocks.append(net)
        net += 1
    for k, q in enumerate(states):
        cell(f"f{k}", "DFF", {"CK": int(rng.choice(clocks)), "D": int(rng.choice(sources)), "Q": q})
    ports: dict[str, Any] = {
        "x": {"direction": "input", "bits": data},
        "y": {"direction": "output", "bits": [n for n in range(2, net) if n != clock or not flipflops]},
    }
    if flipflops:
        ports["clk"] = {"direction": "input", "bits": [clock]}
    module = {"attributes": {"top": "1"}, "ports": ports, "cells": cells, "netnames": {}}
    return Design({"modules": {"random": module}}, data, net, flipflops > 0)


def verilog(design: Design, vectors: np.ndarray, period: int, input_delay: int) -> str:
    """A test bench that applies `vectors` as the simulator does and prints `net rises falls` after them."""
    module = design.document["modules"]["random"]
    lines = ["`timescale 1ps/1ps", *_primitives(), "module bench;"]
    lines += [f"reg n{n} = 0;" for n in design.inputs] + (["reg n2 = 0;"] if design.clocked else [])
    driven = [n for n in range(2, design.nets) if n not in design.inputs and not (design.clocked and n == 2)]
    lines += [f"wire n{n};" for n in driven]
    for name, cell in module["cells"].items():
        kind = cell["type"]
        pins = {p: f"n{b[0]}" for p, b in cell["connections"].items()}
        if kind == "DFF":
            lines.append(f"reg {name} = 0; always @(posedge {pins['CK']}) {name} <= {pins['D']};")
            lines.append(f"buf #({DFF_RISE},{DFF_FALL}) ({pins['Q']}, {name});")
        elif kind == "ICG":
            lines.append(f"reg {name} = 0; always @* if (!{pins['CK']}) {name} = {pins['EN']};")
            lines.append(f"and ({pins['G']}, {pins['CK']}, {name});")
        else:
            inputs, outputs, rise, fall = GATES[kind]
            for output in outputs:
                lines.append(
                    f"{kind}_{output} #({rise},{fall}) {name}_{output} "
                    f"({pins[output]}, {', '.join(pins[p] for p in inputs)});"
                )
    nets = range(2, design.nets)
    lines += [f"integer up{n} = 0, down{n} = 0;" for n in nets]
    lines += [f"always @(posedge n{n}) up{n} = up{n} + 1; always @(negedge n{n}) down{n} = down{n} + 1;" for n in nets]
    lines.append("initial begin #100000;")
    lines += [f"up{n} = 0; down{n} = 0;" for n in nets]
    for row in vectors:
        if design.clocked:
            lines.append("n2 = 1;")
        lines.append(f"#{input_delay};" if input_delay else "")
        lines += [f"n{n} = {b};" for n, b in zip(design.inputs, row, strict=True)]
        if design.clocked:
            lines.append(f"#{period // 2 - input_delay} n2 = 0; #{period - period // 2};")
        else:
            lines.append(f"#{period - input_delay};")
    lines += [f'$display("%0d %0d %0d %0d", {n}, up{n}, down{n}, n{n});' for n in nets]
    lines += ["$finish; end endmodule"]
    return "\n".join(lines) + "\n"


def _primitives() -> list[str]:
    """Every output of a gate as a user-defined primitive, so that its delay is one of Verilog's gate delays."""
    text = []
    for kind, (inputs, outputs, *_) in GATES.items():
        for output, function in outputs.items():
            rows = []
            for k in range(1 << len(inputs)):
                values = {p: (k >> i) & 1 for i, p in enumerate(inputs)}
                value = (
                    eval(function.replace("!", " not ").replace("&", " and ").replace("|", " or "), {}, values)
                    if "^" not in function
                    else sum(values[p] for p in function.split("^")) & 1
                )
                rows.append(f"{' '.join(str(values[p]) for p in inputs)} : {int(bool(value))};")
            ports = ", ".join(inputs)
            text.append(
                f"primitive {kind}_{output}(o, {ports}); output o; input {ports}; table {' '.join(rows)} "
                "endtable endprimitive"
            )
    return text


def run_verilog(text: str, folder: Path) -> dict[int, tuple[int, int, int]]:
    """net -> (rises, falls, last value), by Icarus Verilog."""
    (folder / "bench.v").write_text(text)
    tool = find_iverilog().executable()
    run([tool, "-o", folder / "bench.vvp", folder / "bench.v"], timeout=120)
    vvp = find_vvp(tool)
    assert vvp is not None
    done = run([vvp, folder / "bench.vvp"], timeout=120)
    rows = [line.split() for line in done.output.splitlines() if line[:1].isdigit()]
    return {int(n): (int(r), int(f), int(v)) for n, r, f, v in rows}
