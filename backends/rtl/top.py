"""The top module: stage registers, delays, the valid chain, and the register bank, around the layer modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgec.backends.rtl.bank import Entry
from edgec.backends.rtl.hardening import REGISTERS, bank_parameters, mask_hex
from edgec.backends.rtl.modules import Builder, Module, Signal
from edgec.graph import Graph
from edgec.hardening import NONE, Hardening
from edgec.ops import Op


@dataclass
class Top:
    """The text of the top module and what it is made of."""

    text: str
    input_bits: int
    output_bits: int
    address_bits: int
    data_registers: dict[int, int] = field(default_factory=dict)
    """Bits of data by the stage at whose end they stand; a hardened one has three flip-flops."""
    state: list[dict[str, Any]] = field(default_factory=list)
    """Every register: its class, instance, bits, style, and the stage or the word address."""


class TopBuilder:
    """Writes the top of one design."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        builder: Builder,
        entries: list[Entry],
        hardening: Hardening | None = None,
        protected: dict[Entry, np.ndarray] | None = None,
    ) -> None:
        """`protected`: for every entry of the bank the bits to harden, [bits] of bool."""
        self.name, self.graph, self.builder, self.entries = name, graph, builder, entries
        self.hardening, self.protected = hardening or Hardening(), protected or {}
        self.plan = builder.plan
        self.body: list[str] = []
        self.delayed: dict[tuple[Op, int], str] = {}
        self.registers: dict[int, int] = {}
        self.state: list[dict[str, Any]] = []

    def build(self) -> Top:
        input_bits = sum(self.builder.signals[i].bits for i in self.graph.inputs)
        output_bits = sum(o.tensor.size * o.format.bits for _, o in self.graph.outputs)
        words = self.entries[-1].address + self.entries[-1].words if self.entries else 0
        address_bits = max((words - 1).bit_length(), 1) if words else 0
        self.valid_chain()
        at = 0
        for i in self.graph.inputs:
            signal = self.builder.signals[i]
            self.body.append(f"wire {vector(signal.bits)}{signal.name} = in_data[{at + signal.bits - 1}:{at}];")
            at += signal.bits
        for entry in self.entries:
            self.bank(entry, address_bits)
        for module in self.builder.modules:
            self.instance(module)
        parts = [self.output(op) for _, op in self.graph.outputs]
        self.body.append(f"assign out_data = {{{', '.join(reversed(parts))}}};")
        self.body.append(f"assign out_valid = v{self.plan.depth};")
        ports = [
            "input  wire clk",
            "input  wire rst",
            "input  wire in_valid",
            f"input  wire {vector(input_bits)}in_data",
        ]
        ports += ["output wire out_valid", f"output wire {vector(output_bits)}out_data"]
        if address_bits:
            ports += ["input  wire wr_en", f"input  wire {vector(address_bits)}wr_addr", "input  wire [31:0] wr_data"]
        lines = ["`default_nettype none", f"module {self.name} (", *(f"  {p}," for p in ports[:-1])]
        lines += [f"  {ports[-1]}", ");", "  /* verilator lint_off UNUSEDSIGNAL */"]
        lines += [f"  {line}" for line in self.body] + ["endmodule", "`default_nettype wire", ""]
        return Top("\n".join(lines), input_bits, output_bits, address_bits, self.registers, self.state)

    def valid_chain(self) -> None:
        self.body.append("wire v0 = in_valid;")
        for s in range(1, self.plan.depth + 1):
            self.body.append(f"wire v{s};")
            style = self.hardening.control
            self.body.append(
                f"{REGISTERS[style]} #(.WIDTH(1), .RESET(1)) r_valid{s} "
                f"(.clk(clk), .rst(rst), .en(1'b1), .d(v{s - 1}), .q(v{s}));"
            )
            self.state.append({"class": "control", "instance": f"r_valid{s}", "bits": 1, "style": style, "stage": s})

    def bank(self, entry: Entry, address_bits: int) -> None:
        net = bank_net(entry)
        mask = self.protected.get(entry, np.zeros(entry.bits, bool))
        style = self.hardening.weight if mask.any() else NONE
        more = bank_parameters(style, mask)
        held = {"class": "weight", "instance": f"r_{net}", "bits": entry.bits, "style": style}
        held |= {"address": entry.address, "layer": entry.layer, "role": entry.role}
        self.state.append(held | ({"protect": mask_hex(mask)} if mask.any() and not mask.all() else {}))
        self.body.append(f"wire {vector(entry.bits)}{net};")
        self.body.append(
            f"edgec_bank #(.BITS({entry.bits}), .BASE({entry.address}), .ADDRESS_BITS({address_bits}){more}) "
            f"r_{net} "
            "(.clk(clk), .wr_en(wr_en), .wr_addr(wr_addr), .wr_data(wr_data), "
            f".q({net}));"
        )

    def at_stage(self, signal: Signal, stage: int) -> str:
        """The net that carries `signal` for a reader in `stage`: as it is made, or after registers."""
        made = self.plan.stage[signal.op]
        if stage == made or (made == 0 and stage == 1):
            return signal.name
        # A value made in stage s stands behind the register at the end of stage s for readers in stage s + 1;
        # inputs are read as wires in stage 1.
        first = max(made, 1)
        net = signal.name
        for s in range(first, stage):
            key = (signal.op, s)
            if key not in self.delayed:
                self.delayed[key] = f"{signal.name}_s{s}"
                self.body.append(f"wire {vector(signal.bits)}{self.delayed[key]};")
                style = self.hardening.data
                self.body.append(
                    f"{REGISTERS[style]} #(.WIDTH({signal.bits})) r_{self.delayed[key]} "
                    f"(.clk(clk), .rst(1'b0), .en(v{s - 1}), .d({net}), .q({self.delayed[key]}));"
                )
                self.registers[s] = self.registers.get(s, 0) + signal.bits
                held = {"class": "data", "instance": f"r_{self.delayed[key]}", "bits": signal.bits, "style": style}
                layer = self.builder.names[signal.op]
                self.state.append(held | {"stage": s, "layer": layer, "element_bits": signal.interval.width})
            net = self.delayed[key]
        return net

    def instance(self, module: Module) -> None:
        pins = {port: self.at_stage(signal, module.group.stage) for port, signal in module.reads.items()}
        by_constant = {e.constant: e for e in self.entries}
        pins |= {port: bank_net(by_constant[c]) for port, c in module.parameters.items()}
        for port, signal in module.drives.items():
            self.body.append(f"wire {vector(signal.bits)}{signal.name};")
            pins[port] = signal.name
        order = [*module.circuit.input_ports, *module.circuit.output_ports]
        connections = ", ".join(f".{port}({pins[port]})" for port in order)
        self.body.append(f"{module.circuit.name} u_l{module.group.index} ({connections});")

    def output(self, op: Op) -> str:
        """The bits of an output in the width of its format."""
        signal = self.builder.signals[op]
        net = self.at_stage(signal, self.plan.depth + 1)
        width, wanted = signal.interval.width, op.format.bits
        if width == wanted:
            return net
        parts = []
        for k in range(signal.elements):
            low = k * width
            piece = f"{net}[{low + width - 1}:{low}]" if signal.bits > 1 else net
            sign = (f"{net}[{low + width - 1}]" if signal.bits > 1 else net) if signal.interval.signed else "1'b0"
            parts.append(f"{{{{{wanted - width}{{{sign}}}}}, {piece}}}")
        return "{" + ", ".join(reversed(parts)) + "}"


def bank_net(entry: Entry) -> str:
    return f"bank_{entry.address}"


def vector(bits: int) -> str:
    return f"[{bits - 1}:0] "
