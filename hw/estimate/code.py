"""The estimate of C code: memory and operations, exact from the schedule; cycles where the target has constants."""

from __future__ import annotations

from collections.abc import Mapping

from edgec.backend import BuildPlan, Kernel
from edgec.diagnostics import EdgecError
from edgec.hw.estimate.figure import Figure, exact, figure, product, total
from edgec.hw.estimate.model import Estimate, Row
from edgec.target import Quantity, Target

SCHEDULE = "schedule"
WORK = ("mac_i8", "mac_i16", "mac_i64", "mac_f32", "mac_f64", "element", "double", "byte", "step")
"""Kinds of work that a kernel counts, each with a constant `cycles.KIND`."""


def estimate_code(plan: BuildPlan, target: Target, clock_mhz: float | None) -> Estimate:
    """Price a plan of C code. Without `cycles.*` in the target only memory and operations are known."""
    known = all(f"cycles.{kind}" in target.constants for kind in WORK)
    clock = clock_mhz if clock_mhz is not None else float(target.options.get("clock_mhz", 0.0))
    if clock < 0 or (clock_mhz is not None and not 0 < clock < 1e5):
        raise EdgecError("E0204", f"clock_mhz = {clock!r}", why="clock_mhz must be between 0 and 100000")
    rows = tuple(Row(k, _figures(k, target, known)) for k in plan.kernels)
    memory = plan.interface["memory"]
    totals: dict[str, Figure] = {
        "arena_bytes": exact(memory["arena_bytes"], "B", "memory plan"),
        "constant_bytes": exact(memory["constant_bytes"], "B", "constants as stored"),
        "macs": exact(sum(k.macs for k in plan.kernels), "", SCHEDULE),
    }
    if known and rows:
        cycles = total(Quantity(f.low, f.nominal, f.high, "") for f in (r.figures["cycles"] for r in rows))
        totals["cycles"] = figure(cycles, "cycles", "analytic", _source(target))
        if clock:
            time = figure(cycles * (1 / clock), "us", "analytic", f"cycles at {clock:g} MHz")
            totals["latency_us"] = time
            if "power.active_mw" in target.constants:
                energy = product(time, target.constant("power.active_mw")) * 1e-3
                totals["energy_uj"] = figure(energy, "uJ", "analytic", f"{time.source}, power.active_mw")
    notes = () if known else (f"target {target.name} says nothing of cycles: memory and operations only",)
    return Estimate(target.name, clock, None, rows, totals, dict(target.constants), "", notes)


def _figures(kernel: Kernel, target: Target, known: bool) -> Mapping[str, Figure]:
    figures = {
        "macs": exact(kernel.macs, "", SCHEDULE),
        "weight_bytes": exact(kernel.weight_bits / 8, "B", SCHEDULE),
        "activation_bytes": exact(kernel.accesses.get("activations", 0.0) / 8, "B", SCHEDULE),
    }
    if known:
        cycles = total(target.constant(f"cycles.{kind}") * count for kind, count in kernel.work.items())
        figures["cycles"] = figure(cycles, "cycles", "analytic", _source(target))
    return figures


def _source(target: Target) -> str:
    return f"operations of the schedule, cycles.* of {target.name}"
