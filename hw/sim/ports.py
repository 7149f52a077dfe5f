"""The ports of a generated top module, and the internal signals one wants to see.

A top is a feed-forward pipeline of fixed latency that accepts one frame a clock cycle:

    clk, rst (synchronous, active high), in_valid, in_data[W-1:0], out_valid, out_data[V-1:0],
    and, when weights are loaded, wr_en, wr_addr[A-1:0], wr_data[31:0].

Outputs come from registers. **Latency** L: a frame taken by clock edge i is at the output after edge i + L - 1, so
that a register behind the output takes it with edge i + L; a pipeline of two stages has L = 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

WORD = 32  # bits of one word of the simulation interface


def words_for(bits: int) -> int:
    """How many 32-bit words hold `bits` bits."""
    return -(-bits // WORD)


@dataclass(frozen=True)
class Ports:
    """Widths in bits and names of a top's ports. `address_bits` 0: there is no register write port."""

    input_bits: int
    output_bits: int
    address_bits: int = 0
    clock: str = "clk"
    reset: str = "rst"
    input_valid: str = "in_valid"
    input_data: str = "in_data"
    output_valid: str = "out_valid"
    output_data: str = "out_data"
    write_enable: str = "wr_en"
    write_address: str = "wr_addr"
    write_data: str = "wr_data"

    def __post_init__(self) -> None:
        if self.input_bits < 1 or self.output_bits < 1 or not 0 <= self.address_bits <= WORD:
            raise ValueError(f"impossible port widths: {self}")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_]\w*", value):
                raise ValueError(f"{value!r} is no port name")

    @property
    def input_words(self) -> int:
        return words_for(self.input_bits)

    @property
    def output_words(self) -> int:
        return words_for(self.output_bits)


@dataclass(frozen=True)
class StreamPorts:
    """The ports of a top with an AXI4-Stream slave and master: a frame is several words, taken when both sides agree.

    `input_bits` and `output_bits` are those of one word (beat), `input_beats` and `output_beats` the words of a frame.
    In arrays of 32-bit words every beat starts at a word of its own.
    """

    input_bits: int
    output_bits: int
    input_beats: int
    output_beats: int
    address_bits: int = 0
    clock: str = "clk"
    reset: str = "rst"
    slave: str = "s_axis"
    master: str = "m_axis"

    def __post_init__(self) -> None:
        sizes = (self.input_bits, self.output_bits, self.input_beats, self.output_beats)
        if min(sizes) < 1 or self.address_bits != 0:
            raise ValueError(f"impossible port widths: {self}")

    @property
    def input_words(self) -> int:
        return self.input_beats * words_for(self.input_bits)

    @property
    def output_words(self) -> int:
        return self.output_beats * words_for(self.output_bits)


def ports_of(facts: Mapping[str, Any]) -> Ports | StreamPorts:
    """The ports that a manifest describes."""
    return StreamPorts(**facts) if "input_beats" in facts else Ports(**facts)


@dataclass(frozen=True)
class Probe:
    """An internal signal to record for every frame.

    `signal` is its name below the top, instances and generate blocks separated by dots (`u_conv.acc`, `g[2].u_pe.q`).
    `depth` is the number of clock edges between the one that takes a frame and the one just before which the signal
    holds that frame's value: 0 for logic fed by the input port itself, k for the output of the k-th register and the
    logic behind it, and so the latency for the output port.
    """

    signal: str
    bits: int
    depth: int

    def __post_init__(self) -> None:
        if self.bits < 1 or self.depth < 0:
            raise ValueError(f"impossible probe: {self}")
        if not re.fullmatch(r"[A-Za-z_]\w*(\[\d+\])?(\.[A-Za-z_]\w*(\[\d+\])?)*", self.signal):
            raise ValueError(f"{self.signal!r} is no signal name")

    @property
    def words(self) -> int:
        return words_for(self.bits)
