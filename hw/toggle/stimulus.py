"""What an artefact's netlist is driven with: reset, weights through the register bank, frames; and what comes out.

A spatial pipeline takes a frame every cycle. The counted cycles begin when frames fill it and end before it drains, so
that they are the steady state: as many inferences as cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.sim.ports import WORD, Ports, ports_of
from edgec.hw.sim.words import Field, pack_fields, unpack_fields
from edgec.hw.toggle.energy import Energy, energy
from edgec.hw.toggle.simulator import Simulator

RESET_CYCLES = 2
Codes = Mapping[str, NDArray]


@dataclass(frozen=True, eq=False)
class Driven:
    """Codes of every output [F, *shape], the energy of F inferences, and the time of the last transition [ps]."""

    outputs: dict[str, NDArray]
    energy: Energy
    settle: NDArray[np.float64]
    transitions: int
    seconds: float


def pipeline_ports(interface: Mapping[str, Any]) -> Ports:
    """The ports of a spatial pipeline; E0310 for a design with stream ports."""
    ports = ports_of(interface["ports"])
    if isinstance(ports, Ports):
        return ports
    raise EdgecError(
        "E0310",
        "the gate-level simulation drives spatial pipelines, and this design is time-multiplexed",
        remedy="drive its netlist by hand with edgec.hw.toggle.Simulator",
    )


def too_fast(critical: float, period: float) -> str | None:
    """Why a netlist may fail: its longest path does not fit into the period (both in ps)."""
    if critical <= period:
        return None
    return f"the longest path takes {critical / 1000:g} ns, the clock period is {period / 1000:g} ns"


def to_bits(words: NDArray[np.uint32], bits: int) -> NDArray[np.uint8]:
    """Words [n, words] as bits [n, bits], lowest first."""
    return np.unpackbits(np.ascontiguousarray(words, "<u4").view(np.uint8), axis=1, count=bits, bitorder="little")


def to_words(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The inverse of `to_bits`."""
    padded = np.zeros((len(bits), -(-bits.shape[1] // WORD) * WORD), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def drive(
    simulator: Simulator,
    interface: Mapping[str, Any],
    frames: Codes,
    weights: NDArray | None,
    period: float,
    *,
    clock_tree: float,
) -> Driven:
    """Load `weights` (words of the register bank), run `frames` (codes [F, *shape]), count F inferences."""
    import time

    ports = pipeline_ports(interface)
    count = len(next(iter(frames.values())))
    parts = [
        (np.asarray(frames[i["name"]]).reshape(count, -1).astype(np.int64), i["bits"]) for i in interface["inputs"]
    ]
    data = to_bits(pack_fields(parts), ports.input_bits)
    latency = int(interface["latency"])
    depth = latency + 1  # the valid bit too has come through then
    load(simulator, ports, weights, period)

    # Frames that fill the pipeline, the counted ones, and empty cycles for the last results to come out.
    fill = np.arange(count - depth, count) % count
    valid = np.ones((depth, 1), np.uint8)
    first = simulator.run({ports.input_valid: valid, ports.input_data: data[fill]}, period, count=False)
    simulator.reset_counts()
    started = time.perf_counter()
    main = simulator.run({ports.input_valid: np.ones((count, 1), np.uint8), ports.input_data: data}, period)
    seconds = time.perf_counter() - started
    settle = simulator.settle_times
    used = energy(simulator, count, period, clock_tree=clock_tree)
    transitions = simulator.engine.statistics()["transitions"]
    last = simulator.run({ports.input_valid: np.zeros((latency, 1), np.uint8)}, period, count=False)
    out = {name: np.concatenate([first[name], main[name], last[name]]) for name in main}
    shown = slice(depth + latency, depth + latency + count)
    if not out[ports.output_valid][shown].all():
        critical = simulator.timing.critical_path_ns * 1000
        raise EdgecError(
            "E0502",
            f"the netlist does not give a frame {latency} cycles after it took one",
            op="gate-level simulation",
            why=too_fast(critical, period),
        )
    fields = [Field(o["elements"], o["bits"], o["signed"]) for o in interface["outputs"]]
    values = unpack_fields(to_words(out[ports.output_data][shown]), fields)
    codes = {o["name"]: v.reshape(count, *o["shape"]) for o, v in zip(interface["outputs"], values, strict=True)}
    return Driven(codes, used, settle, transitions, seconds)


def load(simulator: Simulator, ports: Ports, weights: NDArray | None, period: float) -> None:
    """Reset, and write the register bank through its port, a word a cycle; nothing is counted."""
    simulator.settle({ports.reset: 1})
    simulator.run({ports.reset: np.ones((RESET_CYCLES, 1), np.uint8)}, period, count=False)
    off = {ports.reset: np.zeros((1, 1), np.uint8)}
    if weights is not None:
        count = len(weights)
        writing = {
            ports.reset: np.zeros((count, 1), np.uint8),
            ports.write_enable: np.ones((count, 1), np.uint8),
            ports.write_address: to_bits(np.arange(count, dtype=np.uint32)[:, None], ports.address_bits),
            ports.write_data: to_bits(np.asarray(weights, np.uint32)[:, None], WORD),
        }
        simulator.run(writing, period, count=False)
        off[ports.write_enable] = np.zeros((1, 1), np.uint8)
    simulator.run(off, period, count=False)
