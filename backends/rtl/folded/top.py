"""The top module of a folded design: its layers, forks of streams, and the ports of an AXI4-Stream slave and master."""

from __future__ import annotations

from collections.abc import Sequence

from edgec.backends.rtl.folded.emit import LayerModule, extended, vector
from edgec.backends.rtl.folded.network import Network, Wires
from edgec.backends.rtl.folded.rom import address_bits


def top_module(name: str, net: Network, modules: Sequence[LayerModule], output_bits: int, signed: bool) -> str:
    """`output_bits` and `signed`: of an element of the output's format."""
    source = net.units[0]["outs"][0]
    last = net.units[-1]["ins"][0]
    readers: dict[str, list[str]] = {}
    for m, module in enumerate(modules):
        for k, stream in enumerate(module.inputs):
            readers.setdefault(stream, []).append(f"l{m}_in{k}")
    entry, end = net.wires[source], net.wires[last]
    result = Wires(end.lanes, output_bits, end.words)
    ports = ["input  wire clk", "input  wire rst", "input  wire s_axis_tvalid", "output wire s_axis_tready"]
    ports += [f"input  wire {vector(entry.width)}s_axis_tdata", "input  wire s_axis_tlast"]
    ports += ["output wire m_axis_tvalid", "input  wire m_axis_tready"]
    ports += [f"output wire {vector(result.width)}m_axis_tdata", "output wire m_axis_tlast"]
    ports += ["output reg  frame_error // s_axis_tlast was not with the last word of a frame"]
    body: list[str] = []
    for stream in dict.fromkeys([source, *readers, last]):
        wires = net.wires[stream]
        body += [f"wire {stream}_valid, {stream}_ready;", f"wire {vector(wires.width)}{stream}_data;"]
        body.append(f"wire {stream}_fire = {stream}_valid && {stream}_ready;")
        names = readers.get(stream, [])
        for reader in names:
            others = "".join(f" && {r}_ready" for r in names if r != reader)
            body += [f"wire {reader}_ready;", f"wire {reader}_valid = {stream}_valid{others};"]
        if names:
            body.append(f"assign {stream}_ready = {' && '.join(f'{r}_ready' for r in names)};")
    # A fork hands a word on when all readers take it.
    for m, module in enumerate(modules):
        pins = [".clk(clk)", ".rst(rst)"]
        for k, stream in enumerate(module.inputs):
            pins += [
                f".in{k}_valid(l{m}_in{k}_valid)",
                f".in{k}_ready(l{m}_in{k}_ready)",
                f".in{k}_data({stream}_data)",
            ]
        out = module.output
        pins += [f".out_valid({out}_valid)", f".out_ready({out}_ready)", f".out_data({out}_data)"]
        body.append(f"{module.name} u_l{module.core.layer.index} (\n    {', '.join(pins)});")
    bits_in, bits_out = address_bits(entry.words), address_bits(end.words)
    body += [f"wire {vector(bits_in)}in_word;", f"wire {vector(bits_out)}out_word;", "wire in_end, out_end;"]
    body += [f"assign {source}_valid = s_axis_tvalid;", f"assign {source}_data = s_axis_tdata;"]
    body += [f"assign s_axis_tready = {source}_ready;", f"assign {last}_ready = m_axis_tready;"]
    body += [f"assign m_axis_tvalid = {last}_valid;", "assign m_axis_tlast = out_end;"]
    body.append(f"assign m_axis_tdata = {extended(f'{last}_data', end, signed, output_bits)};")
    for way, words, bits, stream in (("in", entry.words, bits_in, source), ("out", end.words, bits_out, last)):
        body.append(
            f"edgec_count #(.N({words}), .BITS({bits})) u_{way}_words\n"
            f"    (.clk(clk), .rst(rst), .step({stream}_fire), .count({way}_word), .last({way}_end));"
        )
    body += ["always @(posedge clk)", "  if (rst) frame_error <= 1'b0;"]
    body.append(f"  else if ({source}_fire && s_axis_tlast != in_end) frame_error <= 1'b1;")
    lines = ["`default_nettype none", f"module {name} (", *(f"  {p}," for p in ports[:-1]), f"  {ports[-1]}", ");"]
    lines += ["  /* verilator lint_off UNUSEDSIGNAL */", *(f"  {line}" for line in body)]
    lines += ["  /* verilator lint_on UNUSEDSIGNAL */", "endmodule", "`default_nettype wire", ""]
    return "\n".join(lines)
