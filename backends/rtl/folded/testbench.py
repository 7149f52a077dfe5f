"""The `sim/` folder of a folded design: a self-checking test bench, and the Verilator library.

The test bench is plain SystemVerilog: it streams golden frames with gaps, takes words with pauses, and checks every
word, every `tlast`, and that no frame error is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.backends.rtl.testbench import hex_lines
from edgec.hw.sim.bench import SENTINEL
from edgec.hw.sim.library_files import library_files
from edgec.hw.sim.ports import Probe, StreamPorts
from edgec.hw.sim.words import pack_words

BENCH_CYCLES = 60_000
"""Frames are added up to about this many cycles; slow simulators need seconds for them."""
BENCH_FRAMES = 8


def simulation_files(
    interface: Mapping[str, Any], inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Files below `sim/` and what the manifest says of the test bench. `inputs`, `outputs` are golden codes."""
    top, ports = interface["top"], StreamPorts(**interface["ports"])
    available = len(next(iter(inputs.values())))
    count = max(1, min(BENCH_FRAMES, available, BENCH_CYCLES // interface["initiation_interval"]))
    (entry,), (end,) = interface["inputs"], interface["outputs"]
    result = {
        "sim/inputs.hex": hex_lines(beats(entry, inputs, count), ports.input_bits),
        "sim/expected.hex": hex_lines(beats(end, outputs, count), ports.output_bits),
        f"sim/{top}_tb.sv": bench(top, ports, count, 4 * interface["latency"]).encode(),
    }
    sources = [f"../{f}" for f in interface["files"]]
    probes = []
    for p in interface["probes"]:
        probes += [Probe(p["fire"], 1, p["beats"]), Probe(p["signal"], p["bits"], p["beats"])]
    for name, text in library_files(top, ports, sources, prefix=top, probes=probes).items():
        result[f"sim/{name}"] = text.encode()
    words = end["elements"] * count
    return result, {"file": f"sim/{top}_tb.sv", "top": f"{top}_tb", "frames": count, "words": words}


def beats(port: Mapping[str, Any], codes: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The words of the first frames, [count * beats, 32-bit words]."""
    array = codes[port["name"]][:count].astype(np.int64)
    flat = array.transpose(0, *(a + 1 for a in port["axes"])).reshape(-1, port["lanes"])
    return pack_words(flat, port["bits"])


def bench(top: str, ports: StreamPorts, frames: int, patience: int) -> str:
    """The test bench; exits with $fatal at the first wrong word."""
    return f"""// Self-checking test bench of {top}: run it in this folder.
`timescale 1ns/1ps
module {top}_tb;
  localparam IN_WORDS = {frames * ports.input_beats}, IN_FRAME = {ports.input_beats};
  localparam OUT_WORDS = {frames * ports.output_beats}, OUT_FRAME = {ports.output_beats};
  localparam PATIENCE = {patience};
  reg clk = 0, rst = 1;
  reg in_valid = 0, in_last = 0, out_ready = 0;
  reg [{ports.input_bits - 1}:0] in_data = 0;
  wire in_ready, out_valid, out_last, frame_error;
  wire [{ports.output_bits - 1}:0] out_data;
  reg [{ports.input_bits - 1}:0] inputs [0:IN_WORDS-1];
  reg [{ports.output_bits - 1}:0] expected [0:OUT_WORDS-1];
  integer sent = 0, seen = 0, cycle = 0, quiet = 0;

  {top} dut (.clk(clk), .rst(rst),
    .{ports.slave}_tvalid(in_valid), .{ports.slave}_tready(in_ready), .{ports.slave}_tdata(in_data),
    .{ports.slave}_tlast(in_last),
    .{ports.master}_tvalid(out_valid), .{ports.master}_tready(out_ready), .{ports.master}_tdata(out_data),
    .{ports.master}_tlast(out_last), .frame_error(frame_error));

  always #5 clk = ~clk;

  // Inputs change at the falling edge, words cross at the rising one.
  always @(negedge clk) if (!rst) begin
    out_ready = cycle % 7 != 3;
    if (!in_valid && sent < IN_WORDS && cycle % 5 != 2) begin
      in_valid = 1;
      in_data = inputs[sent];
      in_last = sent % IN_FRAME == IN_FRAME - 1;
    end
  end
  always @(posedge clk) if (!rst) begin
    cycle <= cycle + 1;
    quiet <= quiet + 1;
    if (in_valid && in_ready) begin
      sent <= sent + 1;
      in_valid <= 0;
      quiet <= 0;
    end
    if (out_valid && out_ready) begin
      if (seen >= OUT_WORDS) $fatal(1, "a word too many");
      if (out_data !== expected[seen]) begin
        $display("frame %0d, word %0d:", seen / OUT_FRAME, seen % OUT_FRAME);
        $display("got %h, expected %h", out_data, expected[seen]);
        $fatal(1, "wrong output");
      end
      if (out_last !== (seen % OUT_FRAME == OUT_FRAME - 1)) $fatal(1, "wrong tlast");
      seen <= seen + 1;
      quiet <= 0;
    end
    if (frame_error !== 1'b0) $fatal(1, "frame error");
    if (quiet > PATIENCE) $fatal(1, "%0d of %0d words came out", seen, OUT_WORDS);
    if (seen == OUT_WORDS) begin
      $display("{SENTINEL}");
      $finish;
    end
  end

  initial begin
    $readmemh("inputs.hex", inputs);
    $readmemh("expected.hex", expected);
    repeat (4) @(negedge clk);
    rst = 0;
  end
endmodule
"""
