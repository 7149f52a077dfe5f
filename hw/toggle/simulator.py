"""The gate-level simulator of a netlist: ports by name, values as bits, time in ps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError, nearest
from edgec.hw.liberty import Library
from edgec.hw.netlist import FlatNetlist
from edgec.hw.timing import Conditions, Timing, analyse
from edgec.hw.toggle.model import FLIPFLOP, LATCH, build
from edgec.hw.toggle.native import Engine

Bits = NDArray[np.uint8]


class Simulator:
    """A mapped netlist with real delays.

    `quantum` [ps] is the resolution of time: delays are rounded to it, which makes every run give the same. `inertial`:
    pulses shorter than a gate's delay vanish in it. The clock is ideal: it reaches all flip-flops at once.

        simulator = Simulator(netlist, library)
        simulator.settle({"rst": 1})                      # all states 0, logic settled, no time passes
        out = simulator.run({"in_data": bits}, period)    # bits [cycles, width] -> {"out_data": [cycles, width]}
    """

    def __init__(
        self,
        netlist: FlatNetlist,
        library: Library,
        *,
        conditions: Conditions | None = None,
        clock: str | None = None,
        quantum: float = 1.0,
        inertial: bool = True,
        timing: Timing | None = None,
        trace: int = 0,
    ) -> None:
        if not 0.01 <= quantum <= 1000:
            raise EdgecError("E0204", f"a time quantum of {quantum:g} ps is not in 0.01 .. 1000")
        self.netlist, self.library, self.quantum = netlist, library, quantum
        self.timing = timing or analyse(netlist, library, conditions, clock=clock)
        self.model = build(self.timing, quantum)
        self.engine = Engine(self.model, inertial=inertial, trace=trace)
        clock_port = self.timing.clock.port
        self.inputs = {n: p.nets for n, p in netlist.ports.items() if p.is_input and n != clock_port}
        self.outputs = {n: p.nets for n, p in netlist.ports.items() if not p.is_input}
        self._present = {name: np.zeros(len(nets), np.uint8) for name, nets in self.inputs.items()}
        self.settle_times: NDArray[np.float64] = np.zeros(0)
        self.settle()

    def settle(self, ports: Mapping[str, int | Bits] | None = None, states: tuple[NDArray, Bits] | None = None) -> None:
        """Give ports (integers or bits, lowest first) and states (nets, bits) values; nothing is counted.

        Ports that are not named keep their values, states too; at first all are 0. The clock is low.
        """
        for name, value in (ports or {}).items():
            self._present[name] = self._bits(name, value)
        nets = [*self.inputs.values(), np.zeros(0, np.int32)]
        values = [*self._present.values(), np.zeros(0, np.uint8)]
        if self.timing.clock.root >= 0:
            nets.append(np.array([self.timing.clock.root]))
            values.append(np.zeros(1, np.uint8))
        if states is not None:
            where = np.asarray(states[0])
            if not np.isin(self.model.kind[where], (FLIPFLOP, LATCH)).all():
                raise EdgecError("E0204", "some of the nets to set are not outputs of flip-flops or latches")
            nets.append(where)
            values.append(np.asarray(states[1], np.uint8))
        every, value = np.concatenate(nets), np.concatenate(values)
        ports_only = every > 1  # a port bit may be merged with a constant
        self.engine.settle(every[ports_only], value[ports_only])

    def _bits(self, name: str, value: int | Bits) -> Bits:
        if name not in self.inputs:
            raise EdgecError("E0210", f"the netlist has no input {name!r}", why=nearest(name, self.inputs))
        width = len(self.inputs[name])
        if isinstance(value, int | np.integer):
            return np.array([(int(value) >> i) & 1 for i in range(width)], np.uint8)
        bits = np.asarray(value, np.uint8)
        if bits.shape != (width,) or np.any(bits > 1):
            raise EdgecError("E0210", f"input {name!r} has {width} bits, given were {bits.shape}")
        return bits

    def run(
        self, inputs: Mapping[str, NDArray], period: float, *, count: bool = True, input_delay: float | None = None
    ) -> dict[str, Bits]:
        """Simulate one cycle for every row of `inputs` (bits [cycles, width], all of the same length).

        Inputs that are not named keep their values. `period` in ps; inputs change `input_delay` [ps] behind the rising
        clock edge (default: one quantum; without a clock at once). Returns the bits of every output at the end of every
        cycle. `settle_times` [cycle] is then the time of the last transition in every cycle, in ps behind its start.
        `count`: whether transitions and energies are added up.
        """
        lengths = {name: len(np.asarray(v)) for name, v in inputs.items()}
        if len(set(lengths.values())) != 1:
            raise EdgecError("E0210", "all inputs need the same number of cycles", why=str(lengths))
        cycles = next(iter(lengths.values()))
        columns, nets = [], []
        for name, value in inputs.items():
            if name not in self.inputs:
                raise EdgecError("E0210", f"the netlist has no input {name!r}", why=nearest(name, self.inputs))
            bits = np.asarray(value)
            if bits.ndim != 2 or bits.shape[1] != len(self.inputs[name]) or np.any((bits != 0) & (bits != 1)):
                raise EdgecError(
                    "E0210", f"input {name!r} needs bits [cycles, {len(self.inputs[name])}], given: {bits.shape}"
                )
            columns.append(bits.astype(np.uint8))
            nets.append(self.inputs[name])
            if cycles:
                self._present[name] = columns[-1][-1]
        ticks = round(period / self.quantum)
        if ticks < 2:
            raise EdgecError("E0204", f"a period of {period:g} ps is shorter than two time quanta")
        has_clock = self.timing.clock.root >= 0
        delay = (1 if has_clock else 0) if input_delay is None else round(input_delay / self.quantum)
        if not 0 <= delay < ticks or (has_clock and delay >= ticks // 2):
            raise EdgecError(
                "E0204", f"an input delay of {input_delay:g} ps does not lie before the falling clock edge"
            )
        every = np.concatenate([*nets, np.zeros(0, np.int32)])
        value = np.concatenate([*columns, np.zeros((cycles, 0), np.uint8)], axis=1)
        live = every > 1
        out_nets = np.concatenate([*self.outputs.values(), np.zeros(0, np.int32)])
        out, settle = self.engine.run(
            value[:, live], every[live], out_nets, ticks, delay, self.timing.clock.root, count
        )
        self.settle_times = settle.astype(np.float64) * self.quantum
        ends = np.cumsum([len(n) for n in self.outputs.values()])
        return dict(zip(self.outputs, np.split(out, ends[:-1], axis=1), strict=True)) if self.outputs else {}

    def values(self, nets: NDArray) -> Bits:
        """The present values of nets."""
        return self.engine.values()[np.asarray(nets)]

    def reset_counts(self) -> None:
        """Begin counting anew."""
        self.engine.reset()
