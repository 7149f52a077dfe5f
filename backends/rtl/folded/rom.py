"""Read-only memories as modules with a case of constants: any simulator and any synthesis tool reads them."""

from __future__ import annotations

import numpy as np

from edgec.hw.sim.words import pack_words


def rom_words(values: np.ndarray, bits: int) -> list[int]:
    """Integers [words, elements] packed into words, element 0 lowest."""
    packed = pack_words(np.ascontiguousarray(values, np.int64), bits)
    return [int.from_bytes(row.astype("<u4").tobytes(), "little") for row in packed]


def rom_module(name: str, words: list[int], width: int, *, clocked: bool) -> str:
    """`q` is word `at`: after the clock edge where `en` is high if `clocked`, else at once."""
    address = address_bits(len(words))
    ports = ["input  wire clk", "input  wire en"] if clocked else []
    ports += [f"input  wire [{address - 1}:0] at", f"output reg  [{width - 1}:0] q"]
    assign = "<=" if clocked else "="
    arms = [f"      {address}'d{k}: q {assign} {width}'h{w:x};" for k, w in enumerate(words[:-1])]
    arms.append(f"      default: q {assign} {width}'h{words[-1]:x};")
    head = "  always @(posedge clk)\n    if (en)" if clocked else "  always @*"
    unused = ["  wire unused = &{1'b0, at};"] if len(words) == 1 else []
    lines = ["`default_nettype none", f"module {name} (", ",\n".join(f"  {p}" for p in ports), ");", *unused]
    body = (
        [f"{head} case (at)", *arms, "    endcase"] if len(words) > 1 else [f"{head} q {assign} {width}'h{words[0]:x};"]
    )
    return "\n".join([*lines, *body, "endmodule", "`default_nettype wire", ""])


def address_bits(words: int) -> int:
    return max((words - 1).bit_length(), 1)
