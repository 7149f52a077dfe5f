"""What goes into the `sim/` folder of an artefact: a self-checking test bench, and a Verilator library.

The test bench is plain SystemVerilog for any simulator: it loads the weights, streams golden frames with gaps, and
checks every output word and its cycle. The library (`make` in `sim/`) has a C interface: reset, push, step, pop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.hw.sim.bench import SENTINEL
from edgec.hw.sim.library_files import library_files
from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.sim.words import pack_fields
from edgec.weight_image import read_image

BENCH_FRAMES = 32


def simulation_files(
    interface: Mapping[str, Any],
    files: Mapping[str, bytes],
    network_id: str,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Files below `sim/` and what the manifest says of the test bench. `inputs`, `outputs` are golden codes."""
    top = interface["top"]
    count = min(BENCH_FRAMES, len(next(iter(inputs.values()))))
    ports = Ports(**interface["ports"])
    result = {
        "sim/inputs.hex": hex_lines(pack(interface["inputs"], inputs, count), ports.input_bits),
        "sim/expected.hex": hex_lines(pack(interface["outputs"], outputs, count), ports.output_bits),
    }
    bank = interface["register_words"]
    if bank:
        words = read_image(files["rtl/weights.img"], network_id, bank)
        result["sim/weights.hex"] = hex_lines(words[:, None], 32)
    result[f"sim/{top}_tb.sv"] = bench(top, ports, count, interface["latency"], bank).encode()
    sources = [f"../{f}" for f in interface["files"]]
    probes = [Probe(p["signal"], p["bits"], p["depth"]) for p in interface["probes"]]
    for name, text in library_files(top, ports, sources, prefix=top, probes=probes).items():
        result[f"sim/{name}"] = text.encode()
    words_out = sum(o["elements"] for o in interface["outputs"]) * count
    facts = {"file": f"sim/{top}_tb.sv", "top": f"{top}_tb", "frames": count, "words": words_out}
    return result, facts


def pack(fields: list[Mapping[str, Any]], codes: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Words [count, n] of the first frames."""
    return pack_fields([(codes[f["name"]][:count].reshape(count, -1).astype(np.int64), f["bits"]) for f in fields])


def hex_lines(words: np.ndarray, bits: int) -> bytes:
    """One hexadecimal number a line, as $readmemh reads them."""
    digits = -(-bits // 4)
    lines = []
    for row in np.atleast_2d(words):
        value = int.from_bytes(row.astype("<u4").tobytes(), "little")
        lines.append(f"{value:0{digits}x}")
    return ("\n".join(lines) + "\n").encode()


def bench(top: str, ports: Ports, frames: int, latency: int, bank: int) -> str:
    """The test bench; exits with $fatal at the first wrong word."""
    write_ports = ", .wr_en(wr_en), .wr_addr(wr_addr), .wr_data(wr_data)" if bank else ""
    write_nets = (
        f"  reg wr_en = 0;\n  reg [{ports.address_bits - 1}:0] wr_addr = 0;\n  reg [31:0] wr_data = 0;\n"
        f"  reg [31:0] weights [0:{bank - 1}];\n"
        if bank
        else ""
    )
    load = (
        f"""    $readmemh("weights.hex", weights);
    for (k = 0; k < {bank}; k = k + 1) begin
      @(negedge clk); wr_en = 1; wr_addr = k[{ports.address_bits - 1}:0]; wr_data = weights[k];
    end
    @(negedge clk); wr_en = 0;
"""
        if bank
        else ""
    )
    return f"""// Self-checking test bench of {top}: run it in this folder.
`timescale 1ns/1ps
module {top}_tb;
  localparam FRAMES = {frames};
  localparam LATENCY = {latency};
  reg clk = 0, rst = 1, in_valid = 0;
  reg [{ports.input_bits - 1}:0] in_data = 0;
  wire out_valid;
  wire [{ports.output_bits - 1}:0] out_data;
{write_nets}  reg [{ports.input_bits - 1}:0] inputs [0:FRAMES-1];
  reg [{ports.output_bits - 1}:0] expected [0:FRAMES-1];
  integer taken_at [0:FRAMES-1];
  integer k, sent = 0, seen = 0, cycle = 0;

  {top} dut (.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data),
    .out_valid(out_valid), .out_data(out_data){write_ports});

  always #5 clk = ~clk;

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (!rst && in_valid) begin
      taken_at[sent] = cycle;
      sent = sent + 1;
    end
    if (!rst && out_valid) begin
      if (out_data !== expected[seen]) begin
        $display("frame %0d: got %h, expected %h", seen, out_data, expected[seen]);
        $fatal(1, "wrong output");
      end
      if (cycle - taken_at[seen] != LATENCY) begin
        $display("frame %0d: latency %0d, expected %0d", seen, cycle - taken_at[seen], LATENCY);
        $fatal(1, "wrong latency");
      end
      seen = seen + 1;
    end
  end

  initial begin
    $readmemh("inputs.hex", inputs);
    $readmemh("expected.hex", expected);
    repeat (4) @(negedge clk);
    rst = 0;
{load}    for (k = 0; k < FRAMES; k = k + 1) begin
      @(negedge clk); in_valid = 1; in_data = inputs[k];
      if (k % 5 == 4) begin // a gap in the stream
        @(negedge clk); in_valid = 0;
      end
    end
    @(negedge clk); in_valid = 0;
    repeat (LATENCY + 4) @(negedge clk);
    if (seen != FRAMES) $fatal(1, "%0d of %0d frames came out", seen, FRAMES);
    $display("{SENTINEL}");
    $finish;
  end
endmodule
"""
