"""The estimate of C code from a trace: it is compiled, run under QEMU, and its blocks go through a pipeline model."""

from __future__ import annotations

from edgec.backend import BuildPlan
from edgec.diagnostics import EdgecError
from edgec.hw.arm.cores import CORES
from edgec.hw.arm.trace import PIPELINES, trace
from edgec.hw.estimate.code import estimate_code
from edgec.hw.estimate.model import Estimate
from edgec.target import Quantity, Target

UNSCALED = Quantity(0.8, 1.0, 2.0, "no published latency was compared")


def estimate_traced(
    plan: BuildPlan, target: Target, clock_mhz: float | None = None, compiler: str | None = None, timeout: float = 600.0
) -> Estimate:
    """Cycles of every step of `plan` from the blocks that one inference executes, times the target's
    `cycles.trace_scale`; `timeout` in seconds for the compiler and for every run. Raises E0204 for a target that is no
    core with a pipeline model, E06xx for tools that are missing or fail."""
    from edgec.hw.sim.c_steps import executed

    core = plan.interface.get("core") if plan.backend == "c" else None
    if core not in CORES or core not in PIPELINES:
        raise EdgecError("E0204", f"{target.name} cannot be traced", remedy=f"targets that can: {', '.join(PIPELINES)}")
    scale = target.constants.get("cycles.trace_scale", UNSCALED)
    found = [trace(blocks, core) for blocks in executed(plan, core, compiler=compiler, timeout=timeout)]
    return estimate_code(plan, target, clock_mhz, [scale * step.cycles for step in found])
