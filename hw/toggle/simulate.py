"""One call from netlist and stimulus to energy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.hw.liberty import Library
from edgec.hw.netlist import FlatNetlist
from edgec.hw.timing import Conditions
from edgec.hw.toggle.energy import CLOCK_TREE, Energy, energy
from edgec.hw.toggle.simulator import Simulator


@dataclass(frozen=True, eq=False)
class Result:
    """`outputs` are bits [cycles, width] by port, at the end of every cycle, the warm-up cycle included.

    `settle` [cycle] is the time of the last transition in ps; `seconds` and `events` are what the simulation took.
    """

    outputs: dict[str, NDArray[np.uint8]]
    energy: Energy
    settle: NDArray[np.float64]
    critical_path: float
    events: int
    seconds: float
    simulator: Simulator


def simulate(
    netlist: FlatNetlist,
    library: Library,
    stimulus: Mapping[str, NDArray],
    *,
    period: float | None = None,
    conditions: Conditions | None = None,
    clock: str | None = None,
    quantum: float = 1.0,
    inertial: bool = True,
    warm_up: int = 1,
    clock_tree: float = CLOCK_TREE,
) -> Result:
    """Apply `stimulus` (bits [cycles, width] by input port, a row a period) to a netlist and price its transitions.

    `period` [ps] defaults to the critical path and a fifth. The first `warm_up` cycles are not counted (the first comes
    from a state of all zeros). Combinational netlists have no clock: each row is applied at the start of a period.
    """
    simulator = Simulator(netlist, library, conditions=conditions, clock=clock, quantum=quantum, inertial=inertial)
    critical = simulator.timing.critical_path_ns * 1000
    period = period if period is not None else max(1.2 * critical, 10 * quantum)
    cycles = len(next(iter(stimulus.values())))
    warm_up = min(warm_up, cycles - 1)
    first = simulator.run({n: np.asarray(v)[:warm_up] for n, v in stimulus.items()}, period, count=False)
    simulator.reset_counts()
    started = time.perf_counter()
    second = simulator.run({n: np.asarray(v)[warm_up:] for n, v in stimulus.items()}, period)
    seconds = time.perf_counter() - started
    outputs = {name: np.concatenate([first[name], second[name]]) for name in second}
    return Result(
        outputs,
        energy(simulator, cycles - warm_up, period, clock_tree=clock_tree),
        simulator.settle_times,
        critical,
        simulator.engine.statistics()["transitions"],
        seconds,
        simulator,
    )
