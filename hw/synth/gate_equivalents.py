"""Writes the technology-neutral cell library `gate_equivalents.lib` from the constants of the target files.

    python -m edgec.hw.synth.gate_equivalents > hw/synth/gate_equivalents.lib

Every area, delay and energy is the nominal constant of the target `gate-equivalents`, that is, a middle value of three
open libraries relative to their NAND2. The units are fictitious: a NAND2 driving three of its like has a delay of 1 ns,
takes 1 fJ a transition, and has the area 1. A third of a delay is the cell's own, the rest is proportional to the load
(logical effort: parasitic delay 2 and effort 4/3 of a NAND2, Sutherland, Sproull and Harris 1999). 72 % of the NAND2's
energy is C V^2 / 2 of its load (OSU 71 %, IHP 71 %, sky130 75 %), the rest internal. Leakage is 0.009 nW per gate
equivalent: in these units the ratio of IHP's NAND2.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgec.target import Target, load_target

NAME = "edgec_gate_equivalents"
LOAD_SHARE = 0.72
PIN = 2 * LOAD_SHARE / 3  # fF at 1 V: three inputs take LOAD_SHARE fJ a transition
PARASITIC = 1 / 3
LEAKAGE = 0.009  # nW per gate equivalent
LOADS = (0.0, 3 * PIN, 30 * PIN)
SLEWS = (0.01, 10.0)


@dataclass(frozen=True)
class Gate:
    """A cell: the kind of the target files, and its outputs as Liberty functions with the sense of its arcs."""

    kind: str
    outputs: dict[str, str]
    sense: str = "negative_unate"

    @property
    def inputs(self) -> list[str]:
        return sorted({c for function in self.outputs.values() for c in function if c.isalpha()})


POSITIVE, NEITHER = "positive_unate", "non_unate"
GATES = {
    "INV": Gate("inv", {"Y": "!A"}),
    "BUF": Gate("buf", {"Y": "A"}, POSITIVE),
    "NAND2": Gate("nand2", {"Y": "!(A B)"}),
    "NAND3": Gate("nand3", {"Y": "!(A B C)"}),
    "NOR2": Gate("nor2", {"Y": "!(A + B)"}),
    "NOR3": Gate("nor3", {"Y": "!(A + B + C)"}),
    "AND2": Gate("and2", {"Y": "(A B)"}, POSITIVE),
    "OR2": Gate("or2", {"Y": "(A + B)"}, POSITIVE),
    "AOI21": Gate("aoi21", {"Y": "!((A B) + C)"}),
    "OAI21": Gate("oai21", {"Y": "!((A + B) C)"}),
    "AOI22": Gate("aoi22", {"Y": "!((A B) + (C D))"}),
    "OAI22": Gate("oai22", {"Y": "!((A + B) (C + D))"}),
    "AO22": Gate("ao22", {"Y": "((A B) + (C D))"}, POSITIVE),
    "XOR2": Gate("xor2", {"Y": "(A ^ B)"}, NEITHER),
    "XNOR2": Gate("xnor2", {"Y": "!(A ^ B)"}, NEITHER),
    "MUX2": Gate("mux2", {"Y": "((A !S) + (B S))"}, NEITHER),
    "MAJ3": Gate("voter", {"Y": "((A B) + (A C) + (B C))"}, POSITIVE),
    "HA": Gate("half_adder", {"S": "(A ^ B)", "CO": "(A B)"}, NEITHER),
    "FA": Gate("full_adder", {"S": "(A ^ B ^ C)", "CO": "((A B) + (A C) + (B C))"}, NEITHER),
}
FLIP_FLOPS = {
    "DFF": ("dff", "D", ["D"]),
    "DFFE": ("dff_enable", "(D E) + (IQ !E)", ["D", "E"]),
    "DFFR": ("dff_reset", "(D !R)", ["D", "R"]),
    "DFFER": ("dff_enable_reset", "((D E) + (IQ !E)) !R", ["D", "E", "R"]),
}


def number(value: float) -> str:
    """Six significant digits at most."""
    return f"{value:.6g}"


class Writer:
    """Collects lines of a Liberty file with indentation."""

    def __init__(self, target: Target) -> None:
        self.target, self.lines, self.depth = target, list[str](), 0

    def value(self, name: str) -> float:
        return self.target.constant(name).nominal

    def line(self, text: str) -> None:
        self.depth -= text == "}"
        self.lines.append("  " * self.depth + text)
        self.depth += text.endswith("{")

    def attributes(self, **items: object) -> None:
        for name, value in items.items():
            self.line(f"{name} : {value};")

    def table(self, kind: str, template: str, rows: list[list[float]]) -> None:
        self.line(f"{kind} ({template}) {{")
        shown = ", ".join('"' + ", ".join(number(v) for v in row) + '"' for row in rows)
        self.line(f"values ({shown});")
        self.line("}")

    def output(self, pin: str, function: str, related: list[str], sense: str, delay: float, energy: float) -> None:
        """An output pin: delay in NAND2 delays, energy in NAND2 transitions, both with a load of three inputs."""
        self.line(f"pin ({pin}) {{")
        self.attributes(direction="output", function=f'"{function}"')
        times = [delay * (PARASITIC + (1 - PARASITIC) * load / (3 * PIN)) for load in LOADS]
        slews = [PARASITIC + (1 - PARASITIC) * load / (3 * PIN) for load in LOADS]
        for source in related:
            self.line("timing () {")
            self.attributes(related_pin=f'"{source}"', timing_sense=sense)
            if sense == "clock":
                self.lines.pop()
                self.attributes(timing_type="rising_edge", timing_sense="non_unate")
            for kind, row in (("cell_", times), ("", slews)):
                for edge in ("rise", "fall"):
                    self.table(f"{kind}{edge}" + ("" if kind else "_transition"), "delay", [row, row])
            self.line("}")
        for source in related:
            self.line("internal_power () {")
            self.attributes(related_pin=f'"{source}"')
            for edge in ("rise_power", "fall_power"):
                self.table(edge, "energy", [[energy - LOAD_SHARE]])
            self.line("}")
        self.line("}")

    def input(self, pin: str) -> None:
        self.line(f"pin ({pin}) {{")
        self.attributes(direction="input", capacitance=number(PIN))

    def head(self, cell: str, kind: str) -> None:
        area = self.value(f"ge.{kind}")
        self.line(f"cell ({cell}) {{")
        self.attributes(area=number(area), cell_leakage_power=number(area * LEAKAGE))

    def gate(self, cell: str, gate: Gate) -> None:
        self.head(cell, gate.kind)
        for pin in gate.inputs:
            self.input(pin)
            self.line("}")
        delay, energy = self.value(f"delay.{gate.kind}"), self.value(f"toggle.{gate.kind}")
        for pin, function in gate.outputs.items():
            self.output(pin, function, gate.inputs, gate.sense, delay, energy)
        self.line("}")

    def flip_flop(self, cell: str, kind: str, next_state: str, inputs: list[str]) -> None:
        self.head(cell, kind)
        self.line("ff (IQ, IQN) {")
        self.attributes(next_state=f'"{next_state}"', clocked_on='"CK"')
        self.line("}")
        self.input("CK")
        self.attributes(clock="true")
        self.line("internal_power () {")
        for edge in ("rise_power", "fall_power"):  # half of a cycle each; the pin's C V^2 comes on top
            self.table(edge, "clock_energy", [[(self.value("clock.dff") - PIN) / 2]])
        self.line("}")
        self.line("}")
        for pin in inputs:
            self.input(pin)
            for kind_of, time in (("setup_rising", self.value("time.setup")), ("hold_rising", 0.0)):
                self.line("timing () {")
                self.attributes(related_pin='"CK"', timing_type=kind_of)
                for edge in ("rise_constraint", "fall_constraint"):
                    self.table(edge, "constraint", [[time]])
                self.line("}")
            self.line("}")
        self.output("Q", "IQ", ["CK"], "clock", self.value(f"delay.{kind}"), self.value(f"toggle.{kind}"))
        self.line("}")


def liberty_text(target: Target | None = None) -> str:
    """The whole file."""
    w = Writer(target or load_target("gate-equivalents"))
    w.lines += [
        "/* Technology-neutral cells: areas in NAND2 areas, delays in NAND2 delays (1 ns), energies in NAND2",
        "   transitions (1 fJ). Generated by edgec/hw/synth/gate_equivalents.py from the target gate-equivalents. */",
    ]
    w.line(f"library ({NAME}) {{")
    w.attributes(
        delay_model="table_lookup", time_unit='"1ns"', voltage_unit='"1V"', current_unit='"1mA"',
        pulling_resistance_unit='"1kohm"', leakage_power_unit='"1nW"',
    )  # fmt: skip
    w.line("capacitive_load_unit (1, ff);")
    w.line("define (edgec_wire_ff, library, float);")
    w.attributes(edgec_wire_ff=0)  # the loads of the constants are gate inputs, wires included
    w.attributes(
        nom_process=1, nom_temperature=25, nom_voltage=1, slew_lower_threshold_pct_rise=20,
        slew_upper_threshold_pct_rise=80, slew_lower_threshold_pct_fall=20, slew_upper_threshold_pct_fall=80,
        input_threshold_pct_rise=50, input_threshold_pct_fall=50, output_threshold_pct_rise=50,
        output_threshold_pct_fall=50, default_max_transition=number(SLEWS[1]),
    )  # fmt: skip
    slews, loads = ", ".join(map(number, SLEWS)), ", ".join(map(number, LOADS))
    templates = {
        "delay": ("lu_table_template", ("input_net_transition", "total_output_net_capacitance"), (slews, loads)),
        "energy": ("power_lut_template", ("input_transition_time",), ("1",)),
        "clock_energy": ("power_lut_template", ("input_transition_time",), ("1",)),
        "constraint": ("lu_table_template", ("related_pin_transition",), ("1",)),
    }
    for name, (kind, variables, indices) in templates.items():
        w.line(f"{kind} ({name}) {{")
        w.attributes(**{f"variable_{i + 1}": v for i, v in enumerate(variables)})
        for i, index in enumerate(indices):
            w.line(f'index_{i + 1} ("{index}");')
        w.line("}")
    for cell, gate in GATES.items():
        w.gate(cell, gate)
    for cell, (kind, next_state, inputs) in FLIP_FLOPS.items():
        w.flip_flop(cell, kind, next_state, inputs)
    w.line("}")
    return "\n".join(w.lines) + "\n"


if __name__ == "__main__":
    print(liberty_text(), end="")
