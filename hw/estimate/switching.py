"""Switching and longest paths of a plan whose kernels have netlists: layers, and the registers between them.

A register bit toggles as the tensor that it holds, and drives what reads it in the next stage. A transition at its
data input, glitches included, costs `toggle.data_pin`. Without measured frames, consecutive frames are drawn whose
input bits toggle at `activity.input`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgec.backend import BuildPlan, Kernel
from edgec.graph import Graph
from edgec.hw.estimate.cells import effective_cells
from edgec.hw.estimate.logic import PAIRS, Counts, LogicModel, element_bits
from edgec.hw.estimate.toggling import Activity, activity
from edgec.ops import Constant, Op
from edgec.target import Target


@dataclass(frozen=True, eq=False)
class Registers:
    """Of the data registers of one stage: transitions a frame of what they hold, the same weighted with the load beyond
    three NAND2 inputs, and transitions at their data inputs."""

    held: float = 0.0
    loaded: float = 0.0
    data: float = 0.0


@dataclass(frozen=True, eq=False)
class Switching:
    """By kernel: `counts` of layers, `ports` (transitions times load of input nets that no register drives), and
    `registers` by the name of the kernel that has them."""

    counts: Mapping[str, Counts]
    ports: Mapping[str, float]
    registers: Mapping[str, Registers]


@dataclass(eq=False)
class _Tensor:
    """Where a tensor is made and read: stages, and the load of each of its bits for the readers of a stage."""

    made: int
    last: int
    loads: dict[int, NDArray[np.float64]] = field(default_factory=dict)


def has_netlists(plan: BuildPlan) -> bool:
    return plan.graph is not None and any(k.logic is not None for k in plan.kernels)


def switching(plan: BuildPlan, model: LogicModel, measured: Activity) -> Switching:
    """Simulate every layer of `plan` with the codes in `measured`."""
    graph, codes = plan.graph, measured.codes
    assert graph is not None
    tensors = _tensors(plan, graph, model)
    counts: dict[str, Counts] = {}
    arriving: dict[int, float] = {}
    ports: dict[str, float] = {}
    for kernel in plan.kernels:
        if kernel.logic is None:
            continue
        counts[kernel.name] = made = model.simulate(kernel, codes)
        arriving[kernel.stage] = arriving.get(kernel.stage, 0.0) + made.outputs
        ports[kernel.name] = 0.0
    for op, tensor in tensors.items():
        if tensor.made == 0 and 1 in tensor.loads:  # inputs are wires in the first stage
            toggled = _toggled(op, codes, len(tensor.loads[1]) // max(op.tensor.size, 1))
            share = float(toggled @ tensor.loads[1])
            readers = [k for k in plan.kernels if k.logic and k.stage == 1 and any(o is op for o, _ in k.logic.reads)]
            for kernel in readers:
                ports[kernel.name] += share / len(readers)
    registers = {
        k.name: _registers(k.stage, tensors, codes, model, arriving.get(k.stage, 0.0))
        for k in plan.kernels
        if k.op == "register"
    }
    return Switching(counts, ports, registers)


def _tensors(plan: BuildPlan, graph: Graph, model: LogicModel) -> dict[Op, _Tensor]:
    depth = max((k.stage for k in plan.kernels if k.cycles), default=1)
    found: dict[Op, _Tensor] = {op: _Tensor(0, 0) for op in graph.inputs}
    for kernel in plan.kernels:
        for op, _ in kernel.logic.writes if kernel.logic else ():
            found[op] = _Tensor(kernel.stage, kernel.stage)
    for _, op in graph.outputs:
        if op in found:
            found[op].last = depth + 1
    for kernel in plan.kernels:
        if kernel.logic is None:
            continue
        netlist = kernel.logic.gates()
        load = model.input_loads(netlist)
        at = 0
        for op, width in kernel.logic.reads:
            bits = op.tensor.size * width
            if not isinstance(op, Constant):
                tensor = found[op]
                tensor.last = max(tensor.last, kernel.stage)
                known = tensor.loads.setdefault(kernel.stage, np.zeros(bits))
                tensor.loads[kernel.stage] = known + load[at : at + bits]
            at += bits
    return found


def _toggled(op: Op, codes: Mapping[Op, NDArray], width: int) -> NDArray[np.float64]:
    """Transitions a frame of every bit of a tensor."""
    bits = element_bits(codes[op][: PAIRS + 1], width)
    return (bits[:, 1:] != bits[:, :-1]).mean(axis=1)


def _registers(
    stage: int, tensors: Mapping[Op, _Tensor], codes: Mapping[Op, NDArray], model: LogicModel, arriving: float
) -> Registers:
    held = loaded = 0.0
    data = arriving
    for op, tensor in tensors.items():
        if not max(tensor.made, 1) <= stage < tensor.last:
            continue
        load = tensor.loads.get(stage + 1)
        width = len(load) // max(op.tensor.size, 1) if load is not None else op.format.bits
        toggled = _toggled(op, codes, width)
        behind = np.zeros(len(toggled)) if load is None else load.copy()
        if tensor.last > stage + 1:
            behind += model.register
        held += float(toggled.sum())
        loaded += float(toggled @ (model.switched(behind) - 3.0))
        if tensor.made < stage or tensor.made == 0:  # a register in front, or a port: no glitches arrive
            data += float(toggled.sum())
    return Registers(held, loaded, data)


def drawn_frames(graph: Graph, rate: float, seed: int = 0) -> dict[str, NDArray]:
    """65 frames of codes for every input in which about `rate` of the bits toggle from frame to frame: an element keeps
    its code or, in 2 * rate of the cases, takes a new one from all that its format has."""
    rng = np.random.default_rng(seed)
    frames = {}
    for op in graph.inputs:
        low, high = op.format.code_range
        fresh = rng.integers(low, high, (PAIRS + 1, *op.shape), endpoint=True, dtype=np.int64)
        new = rng.random(fresh.shape) < min(2 * rate, 1.0)
        new[0] = True
        source = np.maximum.accumulate(np.where(new, np.arange(PAIRS + 1).reshape(-1, *[1] * len(op.shape)), 0))
        frames[op.name] = np.take_along_axis(fresh, source, axis=0).astype(op.format.dtype)
    return frames


def measured_or_drawn(plan: BuildPlan, target: Target, measured: Mapping[str, float] | None) -> Activity:
    """`measured` if it has codes, else the activity of drawn frames."""
    assert plan.graph is not None
    if isinstance(measured, Activity):
        return measured.of(plan.graph)
    return activity(plan.graph, drawn_frames(plan.graph, target.constant("activity.input").nominal))


def register_energy(kernel: Kernel, found: Registers, model: LogicModel, target: Target) -> float:
    """NAND2 transitions a frame of the data registers of a stage; copies and voters toggle as what they hold."""
    cells = effective_cells(kernel)
    flip_flops = sum(n for kind, n in cells.items() if kind.startswith("dff"))
    bits = max(kernel.state.get("data", 0), 1)
    voters = cells.get("voter", 0)
    copies = flip_flops / bits if not voters else 3.0
    value = target.constant
    own = copies * value("toggle.dff").nominal
    if voters:
        own += value("toggle.voter").nominal * (1.0 if voters * 3 <= flip_flops else 3.0)
    pins = copies if voters else 1.0
    return (
        found.held * own + model.energy_per_load * found.loaded + found.data * pins * value("toggle.data_pin").nominal
    )


__all__ = ["Registers", "Switching", "drawn_frames", "has_netlists", "register_energy", "switching"]
