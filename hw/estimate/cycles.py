"""Cycles: exact, because the plan is the schedule.

A kernel adds `cycles` registers behind stage `stage`; kernels of one stage work side by side, so that a stage takes
as long as its longest kernel. The sum over stages is the latency. A spatial pipeline has an initiation interval of 1.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgec.backend import BuildPlan, Kernel
from edgec.diagnostics import EdgecError


def stage_cycles(kernels: Iterable[Kernel]) -> dict[int, int]:
    """Registers in a row for every stage."""
    stages: dict[int, int] = {}
    for kernel in kernels:
        stages[kernel.stage] = max(stages.get(kernel.stage, 0), kernel.cycles)
    return dict(sorted(stages.items()))


def latency(plan: BuildPlan) -> int:
    """Clock cycles from an input to its output. E0101 when kernels and interface of the plan disagree."""
    if plan.interface.get("mode") == "folded":
        return int(plan.interface["latency"])  # from the cycle model of its streams
    counted = sum(stage_cycles(plan.kernels).values())
    stated = plan.interface.get("latency", counted)
    if counted != stated:
        raise EdgecError("E0101", f"the kernels add up to {counted} cycles, the interface states {stated}")
    return counted


def initiation_interval(plan: BuildPlan) -> int:
    """Clock cycles between two inputs."""
    return int(plan.interface.get("initiation_interval", 1))
