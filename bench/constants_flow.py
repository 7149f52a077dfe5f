"""One flow for both sides of `constants.py`: registers around a network, mapped to cells, simulated with glitches."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgec.hw.liberty import read_liberty
from edgec.hw.netlist import flatten
from edgec.hw.synth.adders import adder_modules
from edgec.hw.synth.libraries import load_library
from edgec.hw.synth.yosys import run_yosys
from edgec.hw.toggle import simulate

PERIOD_PS = 100_000.0

# The ports and the function of da4ml's adder as a ripple chain of the library's adders; a bit at which one operand is
# known costs a half adder or less. Left to yosys, its additions would become parallel-prefix adders, which are larger.
RIPPLE = """
module shift_adder #(
  parameter BW_INPUT0 = 32, BW_INPUT1 = 32, SIGNED0 = 0, SIGNED1 = 0, BW_OUT = 32, SHIFT1 = 0, IS_SUB = 0
) (input [BW_INPUT0-1:0] in0, input [BW_INPUT1-1:0] in1, output [BW_OUT-1:0] out);
  localparam LOW0 = (SHIFT1 < 0) ? -SHIFT1 : 0;
  localparam LOW1 = (SHIFT1 > 0) ? SHIFT1 : 0;
  localparam FIRST = IS_SUB ? LOW1 : ((LOW0 > LOW1) ? LOW0 : LOW1);  // below it nothing is carried
  wire [BW_OUT-1:0] a, b;
  wire [BW_OUT:0] carry;
  genvar i;
  generate
    for (i = 0; i < BW_OUT; i = i + 1) begin : bits
      localparam LIVE0 = i >= LOW0 && (SIGNED0 || i < LOW0 + BW_INPUT0);
      localparam LIVE1 = i >= LOW1 && (SIGNED1 || i < LOW1 + BW_INPUT1);
      if (!LIVE0) assign a[i] = 1'b0;
      else assign a[i] = in0[(i - LOW0 < BW_INPUT0) ? i - LOW0 : BW_INPUT0 - 1];
      if (!LIVE1) assign b[i] = IS_SUB ? 1'b1 : 1'b0;
      else assign b[i] = (IS_SUB ? 1'b1 : 1'b0) ^ in1[(i - LOW1 < BW_INPUT1) ? i - LOW1 : BW_INPUT1 - 1];
      if (i <= FIRST) assign carry[i] = IS_SUB ? 1'b1 : 1'b0;
      if (i == BW_OUT - 1) assign out[i] = a[i] ^ b[i] ^ carry[i];
      else if (i < FIRST) assign out[i] = a[i] ^ b[i] ^ carry[i];
      else if (i > FIRST && LIVE0 && LIVE1)
        edgec_full_adder cell_i (.a(a[i]), .b(b[i]), .ci(carry[i]), .s(out[i]), .co(carry[i+1]));
      else if (i > FIRST && LIVE0 && !IS_SUB)
        edgec_half_adder cell_i (.a(a[i]), .b(carry[i]), .s(out[i]), .co(carry[i+1]));
      else if (i > FIRST && LIVE1 && !LIVE0)
        edgec_half_adder cell_i (.a(b[i]), .b(carry[i]), .s(out[i]), .co(carry[i+1]));
      else if (i == FIRST && LIVE0 && LIVE1 && !IS_SUB)
        edgec_half_adder cell_i (.a(a[i]), .b(b[i]), .s(out[i]), .co(carry[i+1]));
      else begin
        assign out[i] = a[i] ^ b[i] ^ carry[i];
        assign carry[i+1] = (a[i] & b[i]) | (carry[i] & (a[i] | b[i]));
      end
    end
  endgenerate
endmodule
"""

TOP = """
module bench_register #(parameter WIDTH = 1) (input clk, input [WIDTH-1:0] d, output reg [WIDTH-1:0] q);
  always @(posedge clk) q <= d;
endmodule
module bench_top (input clk, input [{inputs}-1:0] x, output [{outputs}-1:0] y);
  wire [{inputs}-1:0] held;
  wire [{outputs}-1:0] made;
  bench_register #(.WIDTH({inputs})) before (.clk(clk), .d(x), .q(held));
  {name} logic_i (.{x}(held), .{y}(made));
  bench_register #(.WIDTH({outputs})) behind (.clk(clk), .d(made), .q(y));
endmodule
"""

KEPT = ("bench_register", "bench_top")
SCRIPT = [
    "read_liberty -lib -ignore_miss_func library.lib",
    "read_verilog -sv -D EDGEC_CELLS -D EDGEC_LIBRARY_CELLS {sources} adders.v",
    "hierarchy -check -top bench_top",
    "setattr -mod -set keep_hierarchy 1 ={name} =$paramod*bench_register* =$paramod$*bench_register",
    "proc",
    "flatten",
    "synth -top bench_top -run begin:fine -nofsm -noshare",
    "synth -top bench_top -run fine:check -noabc",
    "setundef -zero",
    "dfflibmap -liberty library.lib",
    "abc -liberty library.lib -script +strash;&get,-n;&nf;&put;topo;stime,-p",
    "opt_clean -purge",
    "check -mapped -assert",
    "write_json netlist.json",
]


@dataclass(frozen=True)
class Side:
    """One network in Verilog: `sources` by file name, module `name` with the ports `x` and `y`.

    Output o has `widths[o]` bits, a sign where `signed[o]`, and counts 2**places[o]."""

    sources: dict[str, str]
    name: str
    x: str
    y: str
    widths: list[int]
    signed: list[bool]
    places: list[int]


@dataclass(frozen=True)
class Figures:
    """Area in NAND2 gates and energy per frame in pJ, of the network and of it with its registers."""

    kge: float
    kge_registered: float
    pj: float
    pj_registered: float
    glitch: float
    delay_ns: float
    cells: dict[str, int]
    right: bool


def measure(side: Side, liberty: str, frames: np.ndarray, bits: int, expected: np.ndarray) -> Figures:
    """Map `side`, feed it `frames` [frames, inputs] and compare what comes out with `expected`."""
    library = load_library(liberty)
    width = frames.shape[1] * bits
    top = TOP.format(inputs=width, outputs=sum(side.widths), name=side.name, x=side.x, y=side.y)
    texts = {f"source{i}.sv": text for i, text in enumerate([*side.sources.values(), top])}
    script = [line.format(sources=" ".join(texts), name=side.name) for line in SCRIPT]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_yosys(script, folder, texts | {"library.lib": library.text, "adders.v": adder_modules(library)}, 900.0)
        document = json.loads((folder / "netlist.json").read_text())
        cells = read_liberty(folder / "library.lib")
    flat = flatten(document, cells, "bench_top")
    planes = ((frames[:, :, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(frames), width)
    planes = np.concatenate([planes, planes[-1:], planes[-1:]])  # two more cycles, until the last result is out
    result = simulate(flat, cells, {"x": planes}, period=PERIOD_PS, warm_up=2)
    found = numbers(result.outputs["y"][2:], side.widths, side.signed) << np.array(side.places)
    network = {k: n for k, n in document_cells(document, side.name).items() if k in cells}
    nand = cells.nand2_area
    whole = flat.count_by_type()
    blocks = result.energy.by_block()
    inside = sum(blocks["logic_i"].values())
    return Figures(
        kge=sum(cells[k].area * n for k, n in network.items()) / nand / 1000,
        kge_registered=sum(cells[k].area * n for k, n in whole.items()) / nand / 1000,
        pj=inside / 1000,
        pj_registered=result.energy.total / 1000,
        glitch=result.energy.glitch_factor,
        delay_ns=result.critical_path / 1000,
        cells=network,
        right=bool(np.array_equal(found[: len(expected)], expected)),
    )


def document_cells(document: dict, module: str) -> dict[str, int]:
    """Cells of one module of a yosys document by type."""
    count: dict[str, int] = {}
    for cell in document["modules"][module]["cells"].values():
        count[cell["type"]] = count.get(cell["type"], 0) + 1
    return count


def numbers(planes: np.ndarray, widths: list[int], signed: list[bool]) -> np.ndarray:
    """int64 [frames, outputs] of output bits [frames, bits]."""
    result, low = [], 0
    for width, sign in zip(widths, signed, strict=True):
        weights = 1 << np.arange(width, dtype=np.int64)
        if sign:
            weights[-1] *= -1
        result.append(planes[:, low : low + width].astype(np.int64) @ weights)
        low += width
    return np.stack(result, axis=1)
