"""Drives a mapped netlist as a design is driven: reset, register bank, then a frame every cycle in every lane.

The lanes of the simulator are independent streams, so that a thousand frames take a few cycles behind the loading of
the weights, which all lanes share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.netlist import FlatNetlist
from edgec.hw.sim.words import Field, pack_fields, unpack_fields
from edgec.hw.synth.evaluate import ALL, NetlistSimulator, Words

STREAM = 4
"""Frames a lane, one cycle behind the other: more than one, so that what a pipeline mixes up shows."""


@dataclass(frozen=True)
class Run:
    """Codes per output and per probed layer, the cycles simulated, and the first bank that lost its words."""

    outputs: dict[str, NDArray]
    layers: dict[str, NDArray]
    cycles: int
    bank_bits: int
    wrong_bank: str | None


def run_frames(
    netlist: FlatNetlist, interface: Mapping[str, Any], frames: Mapping[str, NDArray], weights: NDArray | None
) -> Run:
    """Stream frames of codes through `netlist`, whose ports `interface` describes (as in a manifest).

    Raises E0504 where a result is not valid when it should be."""
    count = len(next(iter(frames.values())))
    parts = [
        (np.asarray(frames[i["name"]]).reshape(count, -1).astype(np.int64), i["bits"]) for i in interface["inputs"]
    ]
    words = -(-count // (64 * STREAM))
    data = to_lanes(pack_fields(parts), interface["ports"]["input_bits"], words)
    machine = NetlistSimulator(netlist, words)
    cycles = reset(machine)
    bank_bits, wrong = 0, None
    if weights is not None:
        cycles += load(machine, interface, weights)
        bank_bits, wrong = check_bank(machine, interface, weights)
    latency = interface["latency"]
    signals = {p["layer"]: (_nets(netlist, p["signal"]), p["depth"], p) for p in interface.get("probes", ())}
    taken: dict[str, list[Words]] = {name: [] for name in signals}
    out: list[Words] = []
    for t in range(STREAM + latency):
        machine.set_input("in_valid", np.full(1, ALL if t < STREAM else 0, np.uint64))
        machine.set_input("in_data", data[min(t, STREAM - 1)])
        machine.settle()
        for name, (nets, depth, _) in signals.items():
            if nets is not None and 0 <= t - depth < STREAM:
                taken[name].append(machine.values[nets])
        if t >= latency:
            if not (machine.output("out_valid") == ALL).all():
                raise EdgecError(
                    "E0504", "the mapped netlist gives no valid result in time", op=netlist.top, why=f"cycle {t}"
                )
            out.append(machine.output("out_data").copy())
        machine.clock()
    fields = [Field(o["elements"], o["bits"], o["signed"]) for o in interface["outputs"]]
    values = unpack_fields(from_lanes(out, count), fields)
    outputs = {o["name"]: v.reshape(count, *o["shape"]) for o, v in zip(interface["outputs"], values, strict=True)}
    layers = {}
    for name, (nets, _, probe) in signals.items():
        if nets is not None:
            field = Field(probe["elements"], probe["element_bits"], probe["signed"])
            layers[name] = unpack_fields(from_lanes(taken[name], count), [field])[0].reshape(count, *probe["shape"])
    return Run(outputs, layers, cycles + STREAM + latency, bank_bits, wrong)


def reset(machine: NetlistSimulator) -> int:
    """Two cycles of reset with all other inputs at 0."""
    for name, port in machine.netlist.ports.items():
        if port.is_input:
            machine.set_input(name, np.full(len(port.nets), ALL if name == "rst" else 0, np.uint64))
    machine.asynchronous()
    machine.settle()
    for _ in range(2):
        machine.clock()
    machine.set_input("rst", np.zeros(1, np.uint64))
    return 2


def load(machine: NetlistSimulator, interface: Mapping[str, Any], weights: NDArray) -> int:
    """Write the register bank, one word a cycle, the same in every lane."""
    bits = interface["ports"]["address_bits"]
    machine.set_input("wr_en", np.full(1, ALL))
    for address, word in enumerate(weights):
        machine.set_input("wr_addr", _constant(address, bits))
        machine.set_input("wr_data", _constant(int(word), 32))
        machine.settle()
        machine.clock()
    machine.set_input("wr_en", np.zeros(1, np.uint64))
    return len(weights)


def check_bank(machine: NetlistSimulator, interface: Mapping[str, Any], weights: NDArray) -> tuple[int, str | None]:
    """How many bits of the bank could be looked at, and the first tensor that does not hold what was written."""
    machine.settle()
    seen = 0
    for entry in interface["registers"]:
        nets = _nets(machine.netlist, f"bank_{entry['address']}")
        if nets is None:
            continue
        words = weights[entry["address"] : entry["address"] + entry["words"]].astype("<u4")
        wanted = np.unpackbits(words.view(np.uint8), bitorder="little")[: len(nets)]
        found = machine.values[nets]
        if not (found == np.where(wanted, ALL, np.uint64(0))[:, None]).all():
            return seen, entry["name"]
        seen += len(nets)
    return seen, None


def to_lanes(packed: NDArray[np.uint32], bits: int, words: int) -> list[Words]:
    """Frames [frames, words of 32] as one array [bit, word of 64 lanes] a cycle; frame f is lane f // STREAM of
    cycle f % STREAM. Missing frames are zeros."""
    lanes = 64 * words
    ones = np.unpackbits(np.ascontiguousarray(packed, "<u4").view(np.uint8), axis=1, count=bits, bitorder="little")
    padded = np.zeros((lanes * STREAM, bits), np.uint8)
    padded[: len(ones)] = ones
    cycles = padded.reshape(lanes, STREAM, bits).transpose(1, 2, 0)
    packed_bits = np.ascontiguousarray(np.packbits(cycles, axis=2, bitorder="little"))
    return list(packed_bits.view("<u8").astype(np.uint64, copy=False))


def from_lanes(cycles: Sequence[Words], frames: int) -> NDArray[np.uint32]:
    """The inverse of `to_lanes`: words of 32 bits of the first `frames` frames."""
    values = np.ascontiguousarray(np.stack(cycles), "<u8")
    ones = np.unpackbits(values.view(np.uint8), axis=2, bitorder="little")  # cycle, bit, lane
    bits = ones.shape[1]
    flat = ones.transpose(2, 0, 1).reshape(-1, bits)[:frames]
    padded = np.zeros((frames, -(-bits // 32) * 32), np.uint8)
    padded[:, :bits] = flat
    whole = np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little"))
    return whole.view("<u4").astype(np.uint32, copy=False)


def _nets(netlist: FlatNetlist, name: str) -> NDArray | None:
    """The nets of a signal of the top; None where synthesis left none of this name."""
    try:
        return netlist.nets_named("", name)
    except KeyError:
        return None


def _constant(value: int, bits: int) -> Words:
    return np.array([ALL if value >> k & 1 else 0 for k in range(bits)], np.uint64)
