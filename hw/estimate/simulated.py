"""Energy and longest path of the kernels whose netlists are known, with the error bars of the target's calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgec.backend import BuildPlan
from edgec.hw.estimate.energy import transitions
from edgec.hw.estimate.figure import product
from edgec.hw.estimate.logic import LogicModel
from edgec.hw.estimate.switching import has_netlists, measured_or_drawn, register_energy, switching
from edgec.hw.estimate.toggling import Activity
from edgec.target import Quantity, Target


@dataclass(frozen=True, eq=False)
class Simulated:
    """By kernel: NAND2 transitions of switching an inference, and the longest path in NAND2 delays."""

    energy: Mapping[str, Quantity]
    paths: Mapping[str, Quantity]


def simulated(plan: BuildPlan, target: Target, measured: Mapping[str, float] | None) -> Simulated | None:
    """None where the plan has no netlists. Without `measured` activity the bars also hold that of the input."""
    if not has_netlists(plan):
        return None
    model = LogicModel(target)
    switched = switching(plan, model, measured_or_drawn(plan, target, measured))
    bar = target.constant("logic.energy")
    if not isinstance(measured, Activity):
        bar = product(bar, _of_input(target))
    energy = {
        name: sum(model.parts(counts).values()) + model.energy_per_load * switched.ports[name]
        for name, counts in switched.counts.items()
    }
    by_name = {k.name: k for k in plan.kernels}
    for name, registers in switched.registers.items():
        energy[name] = register_energy(by_name[name], registers, model, target)
    paths = {k.name: target.constant("logic.delay") * model.path(k) for k in plan.kernels if k.logic is not None}
    return Simulated({name: bar * value for name, value in energy.items()}, paths)


def _of_input(target: Target) -> Quantity:
    """How far the transitions of adders follow the bar of `activity.input`."""
    moved = transitions("full_adder", target.constant("activity.input"), target)
    nominal = target.constant("activity.input").nominal
    middle = transitions("full_adder", Quantity(nominal, nominal, nominal, ""), target).nominal
    return Quantity(min(moved.low / middle, 1.0), 1.0, max(moved.high / middle, 1.0), "")
