"""SystemVerilog of a folded design: one module a layer, which wires primitives of `lib/`, leaves and memories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgec.backends.rtl.circuit.emit import Ref
from edgec.backends.rtl.folded.arrays import Array
from edgec.backends.rtl.folded.cores import Core
from edgec.backends.rtl.folded.layers import pad_code
from edgec.backends.rtl.folded.network import Facts, Network, Wires
from edgec.backends.rtl.folded.rom import address_bits, rom_module, rom_words


def vector(bits: int) -> str:
    return f"[{bits - 1}:0] "


def width_of(number: int) -> int:
    """Bits of a counter that reaches `number`."""
    return max(number.bit_length(), 2)


def extended(net: str, wires: Wires, signed: bool, bits: int) -> str:
    """The elements of `net`, each with `bits` bits."""
    if bits == wires.bits:
        return net
    parts = [Ref(net, k * wires.bits, wires.bits, wires.width).extend(bits, signed) for k in range(wires.lanes)]
    return parts[0] if len(parts) == 1 else "{" + ", ".join(reversed(parts)) + "}"


class LayerModule:
    """Writes the module of one layer and its memories."""

    def __init__(self, core: Core, net: Network, units: Sequence[Facts]) -> None:
        self.core, self.net, self.units = core, net, units
        self.name = f"{core.name}_{core.layer.main.mnemonic}"
        self.body: list[str] = []
        self.memories: dict[str, str] = {}
        own = {u["outs"][0] for u in units}
        self.inputs = [i for u in units for i in u["ins"] if i not in own]
        self.output = units[-1]["outs"][0]
        self.names: dict[str, str] = {}

    def run(self) -> str:
        nets = iter(range(len(self.inputs)))
        for n, unit in enumerate(self.units):
            ins = [self.names[i] if i in self.names else f"in{next(nets)}" for i in unit["ins"]]
            out = unit["outs"][0]
            net = "out" if out == self.output else f"s{n}"
            self.names[out] = net
            if net != "out":
                self.declare(net, self.net.wires[out])
            getattr(self, unit["kind"])(unit, ins, net)
        ports = ["input  wire clk", "input  wire rst"]
        for k, stream in enumerate(self.inputs):
            ports += [f"input  wire in{k}_valid", f"output wire in{k}_ready"]
            ports.append(f"input  wire {vector(self.net.wires[stream].width)}in{k}_data")
        ports += ["output wire out_valid", "input  wire out_ready"]
        ports.append(f"output wire {vector(self.net.wires[self.output].width)}out_data")
        source = ", ".join(self.core.layer.main.loc)
        lines = [f"// {line}" for line in [source] if line] + ["`default_nettype none", f"module {self.name} ("]
        lines += [",\n".join(f"  {p}" for p in ports), ");", *(f"  {line}" for line in self.body)]
        return "\n".join([*lines, "endmodule", "`default_nettype wire", ""])

    def declare(self, net: str, wires: Wires) -> None:
        self.body += [f"wire {net}_valid, {net}_ready;", f"wire {vector(wires.width)}{net}_data;"]

    def instance(self, module: str, name: str, parameters: Mapping[str, object], **pins: str) -> None:
        values = ", ".join(f".{k}({v})" for k, v in parameters.items())
        connections = ", ".join(f".{k}({v})" for k, v in pins.items())
        head = f"{module} #({values}) {name}" if values else f"{module} {name}"
        self.body.append(f"{head} (\n    {connections});")

    def stream_pins(self, x: str, out: str) -> dict[str, str]:
        pins = {"clk": "clk", "rst": "rst"}
        pins |= {"in_valid": f"{x}_valid", "in_ready": f"{x}_ready", "in_data": f"{x}_data"}
        return pins | {"out_valid": f"{out}_valid", "out_ready": f"{out}_ready", "out_data": f"{out}_data"}

    # One method a kind of unit

    def split(self, unit: Facts, ins: list[str], out: str) -> None:
        parameters = {"PIECE": self.net.wires[unit["outs"][0]].width, "RATIO": unit["ratio"]}
        parameters["BITS"] = width_of(unit["ratio"])
        self.instance("edgec_stream_split", f"u_{out}", parameters, **self.stream_pins(ins[0], out))

    def merge(self, unit: Facts, ins: list[str], out: str) -> None:
        parameters = {"PIECE": self.net.wires[unit["ins"][0]].width, "RATIO": unit["ratio"]}
        parameters["BITS"] = width_of(unit["ratio"])
        self.instance("edgec_stream_merge", f"u_{out}", parameters, **self.stream_pins(ins[0], out))

    def queue(self, unit: Facts, ins: list[str], out: str) -> None:
        depth = unit["depth"] or 2
        parameters = {"WIDTH": self.net.wires[unit["outs"][0]].width, "DEPTH": depth, "BITS": width_of(depth)}
        self.instance("edgec_stream_fifo", f"u_{out}", parameters, **self.stream_pins(ins[0], out))

    def pad(self, unit: Facts, ins: list[str], out: str) -> None:
        old, new = self.net.wires[unit["ins"][0]], self.net.wires[unit["outs"][0]]
        code = pad_code(self.core.layer.main)
        assert code is not None
        code &= (1 << new.bits) - 1
        value = sum(code << (k * new.bits) for k in range(new.lanes))
        top, left, bottom, right = unit["pads"]
        rows, columns = unit["size"]
        largest = max(top + rows + bottom, left + columns + right, unit["groups"])
        parameters = {"WIDTH": new.width, "GROUPS": unit["groups"], "IN_HEIGHT": rows, "IN_WIDTH": columns}
        parameters |= {"TOP": top, "LEFT": left, "BOTTOM": bottom, "RIGHT": right}
        parameters |= {"VALUE": f"{new.width}'h{value:x}", "BITS": width_of(largest)}  # type: ignore[dict-item]
        pins = self.stream_pins(ins[0], out)
        signed = self.core.layer.inputs[0].interval.signed
        pins["in_data"] = extended(pins["in_data"], old, signed, new.bits)
        self.instance("edgec_stream_pad", f"u_{out}", parameters, **pins)

    def window(self, unit: Facts, ins: list[str], out: str) -> None:
        array, wires = self.array, self.net.wires[unit["ins"][0]]
        sums = self.net.wires[unit["outs"][0]]
        passes, steps = unit["passes"], unit["steps"]
        tap_bits, pass_bits = address_bits(passes * steps), address_bits(passes)
        self.body += ["wire advance, fire, tap_valid, tap_first, tap_last;", f"wire {vector(pass_bits)}pass;"]
        self.body += [f"wire {vector(tap_bits)}tap;", f"wire {vector(wires.width)}tap_data;"]
        (rows, columns), (out_rows, out_columns) = unit["size"], unit["out_size"]
        parameters = {"WIDTH": wires.width, "GROUPS": unit["groups"], "IN_HEIGHT": rows, "IN_WIDTH": columns}
        parameters |= {"OUT_HEIGHT": out_rows, "OUT_WIDTH": out_columns}
        parameters |= {"KERNEL_HEIGHT": unit["kernel"][0], "KERNEL_WIDTH": unit["kernel"][1]}
        parameters |= {"STRIDE_HEIGHT": unit["strides"][0], "STRIDE_WIDTH": unit["strides"][1]}
        parameters |= {"PASSES": passes, "BY_GROUP": int(unit["by_group"]), "PIXELS": unit["pixels"]}
        parameters |= {"PASS_BITS": pass_bits, "TAP_BITS": tap_bits}
        pins = {"clk": "clk", "rst": "rst", "in_valid": f"{ins[0]}_valid", "in_ready": f"{ins[0]}_ready"}
        pins |= {"in_data": f"{ins[0]}_data", "advance": "advance", "fire": "fire", "pass": "pass", "tap": "tap"}
        pins |= {p: p for p in ("tap_valid", "tap_first", "tap_last", "tap_data")}
        self.instance("edgec_stream_window", "u_window", parameters, **pins)
        self.start(array, sums, passes)
        if array.weights is not None:
            simd = wires.lanes if not array.by_channel else 1
            bits = array.weight_interval.width
            words = rom_words(weight_words(array, sums.lanes, simd), bits)
            self.rom("weights", words, sums.lanes * simd * bits, "tap")
        else:
            self.body.append("wire unused_taps = &{1'b0, tap};")
        self.elements(sums, wires, "tap_data")
        pins = {p: p for p in ("clk", "tap_valid", "tap_first", "tap_last", "advance", "start", "operand", "result")}
        pins |= {"out_valid": f"{out}_valid", "out_ready": f"{out}_ready", "out_data": f"{out}_data"}
        self.instance("edgec_stream_sum", "u_sum", {"WIDTH": sums.width}, **pins)

    @property
    def array(self) -> Array:
        assert self.core.array is not None
        return self.core.array

    def rom(self, role: str, words: list[int], width: int, at: str) -> None:
        """A clocked memory whose word stands in the net `role` when its tap does."""
        name = f"{self.core.name}_{role}"
        self.memories[f"{name}.sv"] = rom_module(name, words, width, clocked=True)
        self.body.append(f"wire {vector(width)}{role};")
        self.instance(name, f"u_{role}", {}, clk="clk", en="fire", at=at, q=role)

    def start(self, array: Array, sums: Wires, passes: int) -> None:
        """What the sums start from: a constant where all channels agree."""
        values = array.start.reshape(passes, sums.lanes) & ((1 << sums.bits) - 1)
        if (values == values[0]).all():
            (word,) = rom_words(values[:1], sums.bits)
            self.body.append(f"wire {vector(sums.width)}start = {sums.width}'h{word:x};")
            self.body.append("wire unused_pass = &{1'b0, pass};")
        else:
            self.rom("start", rom_words(values, sums.bits), sums.width, "pass")

    def elements(self, sums: Wires, wires: Wires, data: str) -> None:
        """The processing elements, side by side."""
        array = self.array
        simd = 1 if array.by_channel else wires.lanes
        leaf = self.core.element(simd)
        x = data if not array.by_channel else f"{data}[k*{wires.bits} +: {wires.bits}]"
        pins = {"x": x, "a": f"operand[k*{sums.bits} +: {sums.bits}]", "y": f"result[k*{sums.bits} +: {sums.bits}]"}
        if array.weights is not None:
            bits = simd * array.weight_interval.width
            pins["w"] = f"weights[k*{bits} +: {bits}]"
        self.body.append(f"wire {vector(sums.width)}operand, result;")
        connections = ", ".join(f".{p}({pins[p]})" for p in [*leaf.input_ports, *leaf.output_ports])
        self.body += ["genvar k;", "generate", f"  for (k = 0; k < {sums.lanes}; k = k + 1) begin : pe"]
        self.body += [f"    {leaf.name} element ({connections});", "  end", "endgenerate"]

    def collect(self, unit: Facts, ins: list[str], out: str) -> None:
        array, sums = self.array, self.net.wires[unit["outs"][0]]
        (word,) = rom_words((array.start[None, : sums.lanes]) & ((1 << sums.bits) - 1), sums.bits)
        self.elements(sums, self.net.wires[unit["ins"][0]], f"{ins[0]}_data")
        parameters = {"WIDTH": sums.width, "GROUPS": unit["groups"], "PIXELS": unit["size"]}
        parameters["START"] = f"{sums.width}'h{word:x}"  # type: ignore[assignment]
        pins = self.stream_pins(ins[0], out)
        del pins["in_data"]
        self.instance("edgec_stream_collect", "u_collect", parameters, operand="operand", result="result", **pins)

    def register(self, unit: Facts, ins: list[str], out: str) -> None:
        wires = self.net.wires[unit["outs"][0]]
        pins = self.stream_pins(ins[0], out)
        if unit["leaf"]:
            self.lanes(unit, ins, wires)
            pins["in_data"] = "lanes"
        if len(ins) == 2:
            a, b = ins
            self.body += ["wire both_ready;", f"wire both_valid = {a}_valid && {b}_valid;"]
            self.body += [
                f"assign {a}_ready = both_ready && {b}_valid;",
                f"assign {b}_ready = both_ready && {a}_valid;",
            ]
            pins |= {"in_valid": "both_valid", "in_ready": "both_ready"}
        self.instance("edgec_stream_register", f"u_{out}", {"WIDTH": wires.width}, **pins)

    def lanes(self, unit: Facts, ins: list[str], wires: Wires) -> None:
        """The elementwise circuit of every lane, with the numbers of its channel."""
        lane = self.core.lane
        assert lane is not None
        pins = {}
        for k, (net, stream) in enumerate(zip(ins, unit["ins"], strict=True)):
            bits = self.net.wires[stream].bits
            pins[f"x{k}"] = f"{net}_data[j*{bits} +: {bits}]"
        if self.core.numbers:
            groups = self.core.layer.output.channels // wires.lanes
            widths = [p.width for p in self.core.number_ports]
            total = sum(widths)
            self.numbers(groups, wires.lanes, widths, ins)
            at = 0
            for port, width in zip(self.core.number_ports, widths, strict=True):
                pins[port.port] = f"numbers[j*{total} + {at} +: {width}]"
                at += width
        pins["y"] = f"lanes[j*{wires.bits} +: {wires.bits}]"
        used = [*lane.input_ports, *lane.output_ports]
        connections = ", ".join(f".{p}({pins[p]})" for p in used)
        self.body.append(f"wire {vector(wires.width)}lanes;")
        self.body += ["genvar j;", "generate", f"  for (j = 0; j < {wires.lanes}; j = j + 1) begin : lane"]
        self.body += [f"    {lane.name} element ({connections});", "  end", "endgenerate"]

    def numbers(self, groups: int, lanes: int, widths: Sequence[int], ins: list[str]) -> None:
        """The memory of the channels' numbers, read by the channel group of the word that waits."""
        total, bits = sum(widths) * lanes, address_bits(groups)
        words = [0] * groups
        low = 0
        for values, width in zip(self.core.numbers, widths, strict=True):
            columns = values.reshape(groups, lanes) & ((1 << width) - 1)
            for lane in range(lanes):
                shift = lane * sum(widths) + low
                words = [w | int(v) << shift for w, v in zip(words, columns[:, lane], strict=True)]
            low += width
        name = f"{self.core.name}_numbers"
        self.memories[f"{name}.sv"] = rom_module(name, words, total, clocked=False)
        net = ins[0]
        self.body += [f"wire {vector(bits)}group;", "wire groups_end;", f"wire {vector(total)}numbers;"]
        self.instance(
            "edgec_count",
            "u_group",
            {"N": groups, "BITS": bits},
            clk="clk", rst="rst", step=f"{net}_valid && {net}_ready", count="group", last="groups_end",
        )  # fmt: skip
        self.body.append("wire unused_end = &{1'b0, groups_end};")
        self.instance(name, "u_numbers", {}, at="group", q="numbers")


def weight_words(array: Array, pe: int, simd: int) -> np.ndarray:
    """Weights in the order in which taps are read: [passes * steps, pe * simd]."""
    assert array.weights is not None
    w = array.weights
    if array.by_channel:  # [passes, pe, taps]
        return w.reshape(-1, pe, array.taps).transpose(0, 2, 1).reshape(-1, pe)
    # [passes, pe, taps, groups, simd]
    split = w.reshape(array.outputs // pe, pe, array.taps, array.channels // simd, simd)
    return split.transpose(0, 2, 3, 1, 4).reshape(-1, pe * simd)
