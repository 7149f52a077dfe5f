"""Delay and switching of the netlist behind a kernel, with the cells of a target.

A net's load is counted in NAND2 inputs with their wires (`load.*`). A gate takes `delay.KIND` at a load of three, and
`delay.load` times `slope.KIND` for each one more; nets that drive more than `load.limit` count as buffered by a tree
whose buffers drive eight each, `delay.stage` a stage. A transition of a net costs `toggle.KIND` at a load of three, and
`toggle.load` for each one more.

Switching is simulated (waveform.py): consecutive frames go through the interpreter, what every layer reads goes through
its netlist, with these delays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backend import AND, AO22, FULL_ADDER, HALF_ADDER, INVERTER, MAJORITY, MUX, TABLE, XOR, GateNetlist, Kernel
from edgec.hw.estimate.levelled import CHILD, OPERANDS, Levelled, levelled
from edgec.hw.estimate.waveform import Words, count, toggle
from edgec.ops import Constant, Op
from edgec.target import Target

STEPS = 4
"""Quanta of time in the delay of an adder's sum."""
STEPS_GATES = 3
"""The same in an exclusive or, where adders are gates."""
PAIRS = 64
"""Pairs of frames that are simulated,"""
LARGE, PAIRS_LARGE = 200_000, 16
"""and fewer of netlists with so many gates, which average over these."""
TREE = 8

CELLS = {
    AND: "nand2",
    XOR: "xor2",
    MUX: "mux2",
    AO22: "aoi22",
    HALF_ADDER: "half_adder",
    FULL_ADDER: "full_adder",
    INVERTER: "inv",
    TABLE: "mux2",
}
"""The kind of cell that prices a gate. A majority that stands alone is two NANDs and an OAI21; a node of a look-up
table has an energy of its own."""
LOADS = {kind: name for kind, name in CELLS.items() if kind not in (AND, INVERTER)}
KINDS = 9
DRIVERS = 2 * KINDS + 2
"""Drivers of nets: 2 * kind + output, then an instance of a child, then an input."""
INSTANCE, INPUT = 2 * KINDS, 2 * KINDS + 1


@dataclass(frozen=True, eq=False)
class Counts:
    """Transitions a frame by driver, the same weighted with the net's load beyond three NAND2 inputs, and those of the
    outputs."""

    transitions: NDArray[np.float64]
    loaded: NDArray[np.float64]
    outputs: float


class LogicModel:
    """The cells of one target as far as netlists are concerned, at nominal values."""

    def __init__(self, target: Target) -> None:
        def value(name: str) -> float:
            return target.constant(name).nominal

        self.adder_cells = bool(target.options.get("adder_cells", 1))
        self.loads = np.array([value(f"load.{LOADS.get(kind, 'nand2')}") for kind in range(KINDS)])
        self.loads[MAJORITY] *= 5 / 3  # each of three inputs goes to one or two gates
        self.register, self.limit = value("load.dff"), value("load.limit")
        delay, energy = np.zeros(DRIVERS), np.zeros(DRIVERS)
        for kind, name in CELLS.items():
            delay[2 * kind : 2 * kind + 2] = value(f"delay.{name}")
            energy[2 * kind : 2 * kind + 2] = value(f"toggle.{name}")
        delay[2 * FULL_ADDER + 1] = value("delay.carry")
        delay[2 * MAJORITY] = value("delay.nand2") + value("delay.oai21")
        energy[2 * MAJORITY] = value("toggle.nand2") + value("toggle.oai21")
        energy[2 * TABLE] = value("toggle.table")
        slope = np.ones(DRIVERS)
        for kind, name in CELLS.items():
            if name != "nand2":
                slope[2 * kind : 2 * kind + 2] = value(f"slope.{name}")
        self.delay, self.energy, self.slope = delay, energy, slope
        self.per_load, self.energy_per_load = value("delay.load"), value("toggle.load")
        self.launch, self.setup = value("delay.dff"), value("time.setup")
        self.buffer, self.voter = value("delay.stage"), value("delay.voter")
        self.quantum = value("delay.full_adder") / STEPS if self.adder_cells else value("delay.xor2") / STEPS_GATES
        self.margin = 1 if self.adder_cells else 3
        self._static: dict[int, tuple[Levelled, NDArray, NDArray, NDArray]] = {}
        self._levelled: dict[int, tuple[GateNetlist, Levelled]] = {}

    def prepare(self, netlist: GateNetlist) -> Levelled:
        return levelled(netlist, self.adder_cells, self._levelled)

    def _facts(self, levels: Levelled) -> tuple[NDArray, NDArray, NDArray]:
        """By net: driver, load, delay of its driver in NAND2 delays."""
        if id(levels) not in self._static:
            driver = levels.driver.astype(np.int64)
            driver[levels.driver == -1], driver[levels.driver == -2] = INPUT, INSTANCE
            load = levels.fanout @ self.loads
            delay = self.delay[driver] + self.loading(load, self.slope[driver])
            delay[driver >= INSTANCE] = 0.0
            self._static[id(levels)] = (levels, driver, load, np.maximum(delay, 0.0))
        return self._static[id(levels)][1:]

    def loading(self, load: NDArray[np.float64], slope: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
        """Delay that a load adds to that at three inputs; `slope` compares the drivers with a NAND2."""
        stages = np.ceil(np.log(np.maximum(load / self.limit, 1.0)) / math.log(TREE))
        return slope * self.per_load * (np.minimum(load, self.limit) - 3.0) + stages * self.buffer

    def switched(self, load: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a transition charges: buffers of large loads have inputs themselves."""
        return np.where(load > self.limit, load * (1 + 1 / (TREE - 1)), load)

    def quanta(self, levels: Levelled) -> NDArray[np.int64]:
        """Delay of each net's driver in quanta, at least 1."""
        return np.maximum(np.rint(self._facts(levels)[2] / self.quantum), 1).astype(np.int64)

    def arrivals(self, levels: Levelled, given: NDArray) -> NDArray:
        """Latest arrival at each output [outputs, K] for arrivals at the inputs [inputs, K]; in NAND2 delays, or in
        quanta where `given` are integers."""
        n = levels.netlist
        exact = given.dtype.kind == "f"
        delay = self._facts(levels)[2] if exact else self.quanta(levels)
        arrival = np.zeros((n.nets, given.shape[1]), given.dtype)
        arrival[n.inputs] = given
        for kind, chosen in levels.steps:
            if kind == CHILD:
                inner = levels.children[chosen[0]]
                read = np.stack([n.children[k][1] for k in chosen]) >> 1
                side_by_side = len(chosen) * given.shape[1]
                stacked = arrival[read].transpose(1, 0, 2).reshape(read.shape[1], side_by_side)
                left = self.arrivals(inner, stacked)
                left = left.reshape(len(left), len(chosen), given.shape[1])
                for i, k in enumerate(chosen):
                    arrival[n.children[k][2]] = left[:, i]
                continue
            latest = arrival[n.operands[chosen, : OPERANDS[kind]] >> 1].max(axis=1)
            for output in range(2):
                nets = n.results[chosen, output]
                made = nets >= 0
                arrival[nets[made]] = latest[made] + delay[nets[made], None]
        return arrival[n.outputs >> 1]

    def launches(self, levels: Levelled, wires: NDArray[np.bool_]) -> NDArray[np.float64]:
        """When inputs from registers change after the clock, beyond the delay of a register with a load of three;
        `wires` come from outside the design, at once."""
        return np.where(wires, 0.0, self.loading(self._facts(levels)[1][levels.netlist.inputs]))

    def path(self, kernel: Kernel) -> float:
        """Register-to-register delay through a kernel in NAND2 delays, voters of hardened registers included; from the
        ports in the first stage."""
        assert kernel.logic is not None
        levels = self.prepare(kernel.logic.gates())
        wires = from_ports(kernel)
        start = np.where(wires, 0.0, self.launch + self.launches(levels, wires))
        voted = self.voter * kernel.path.get("voter", 0)
        return voted + float(self.arrivals(levels, start[:, None]).max(initial=0.0)) + self.setup

    def simulate(self, kernel: Kernel, codes: Mapping[Op, NDArray]) -> Counts:
        """Transitions of a kernel's nets in consecutive frames with these codes."""
        assert kernel.logic is not None
        levels = self.prepare(kernel.logic.gates())
        pairs = PAIRS if levels.gates < LARGE else PAIRS_LARGE
        before, after = stimulus(kernel, codes, pairs)
        start = np.maximum(self.launches(levels, from_ports(kernel)), 0.0)
        start = np.rint(start / self.quantum).astype(np.int64)
        times = int(self.arrivals(levels, start[:, None]).max(initial=0)) + 2
        given = np.where(np.arange(times)[None, :, None] > start[:, None, None], after[:, None], before[:, None])
        toggles, outputs = toggle(levels, self.quanta, given, self.margin)
        transitions, loaded = np.zeros(DRIVERS), np.zeros(DRIVERS)
        for part in toggles.walk():
            driver, load, _ = self._facts(part.levelled)
            load = self.switched(load)
            inside = driver != INPUT if part is not toggles else np.ones(len(driver), bool)
            transitions += np.bincount(driver[inside], part.transitions[inside], DRIVERS)
            loaded += np.bincount(driver[inside], part.transitions[inside] * (load[inside] - 3.0), DRIVERS)
        ports = np.zeros(levels.netlist.nets, bool)
        ports[levels.netlist.inputs] = from_ports(kernel)
        driven = outputs[~ports[levels.netlist.outputs >> 1]]  # a wire from a port has its energy outside
        out = float(count(driven[:, 1:] ^ driven[:, :-1]).sum())
        return Counts(transitions / pairs, loaded / pairs, out / pairs)

    def parts(self, counts: Counts) -> dict[str, float]:
        """Energy a frame in NAND2 transitions of the nets that gates drive, by group of cells; and of their loads."""
        own = self.energy * counts.transitions
        adders = float(own[2 * HALF_ADDER : 2 * FULL_ADDER + 2].sum())
        xors = float(own[2 * XOR])
        load = float(counts.loaded[:INSTANCE].sum()) + self.register * counts.outputs
        muxes, tables = float(own[2 * MUX]), float(own[2 * TABLE])
        gates = float(own[:INSTANCE].sum()) - adders - xors - muxes - tables
        load *= self.energy_per_load
        return {"adders": adders, "xors": xors, "muxes": muxes, "tables": tables, "gates": gates, "load": load}

    def input_loads(self, netlist: GateNetlist) -> NDArray[np.float64]:
        """Load of every input bit of `netlist`."""
        levels = self.prepare(netlist)
        return self._facts(levels)[1][levels.netlist.inputs]


def from_ports(kernel: Kernel) -> NDArray[np.bool_]:
    """Which input bits come from ports of the design: those of the first stage that are no weights."""
    assert kernel.logic is not None
    outside = [(kernel.stage == 1 and not isinstance(op, Constant), op.tensor.size * w) for op, w in kernel.logic.reads]
    return np.repeat(np.array([o for o, _ in outside], bool), np.array([n for _, n in outside], np.int64))


def stimulus(kernel: Kernel, codes: Mapping[Op, NDArray], pairs: int = PAIRS) -> tuple[Words, Words]:
    """Bits of the kernel's inputs in 16 or 64 consecutive pairs of frames, [inputs, 1] each."""
    assert kernel.logic is not None
    rows = []
    for op, width in kernel.logic.reads:
        if isinstance(op, Constant):
            rows.append(np.repeat(element_bits(op.data[None], width), pairs + 1, axis=1))
        else:
            rows.append(element_bits(codes[op][: pairs + 1], width))
    bits = np.concatenate(rows)
    return _words(bits[:, :-1]), _words(bits[:, 1:])


def element_bits(codes: NDArray, width: int) -> NDArray[np.uint8]:
    """Bits of codes [F, ...], element by element, lowest first: [elements * width, F]."""
    flat = np.asarray(codes).reshape(len(codes), -1)
    if flat.dtype == object:
        planes = np.stack([((flat >> b) & 1).astype(np.uint8) for b in range(width)], axis=2)
    else:
        planes = ((flat.astype(np.int64)[:, :, None] >> np.arange(width)) & 1).astype(np.uint8)
    return planes.reshape(len(flat), -1).T


def _words(bits: NDArray[np.uint8]) -> Words:
    packed = np.packbits(bits, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view(f"<u{packed.shape[1]}")
