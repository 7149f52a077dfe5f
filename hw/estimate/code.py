"""The estimate of C code: memory and operations, exact from the schedule; cycles, time and energy from constants.

Cycles are counts of work times `cycles.KIND` of the target, or traced (edgec.hw.estimate.traced), and what the core
waits for flash memory. Energy is the power of the busy core times the time, and what a network that does not fit into
the caches reads from dynamic memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgec.backend import BuildPlan, Kernel
from edgec.diagnostics import EdgecError
from edgec.hw.estimate.figure import Basis, Figure, exact, figure, product, total
from edgec.hw.estimate.model import Estimate, Row
from edgec.target import Quantity, Target

SCHEDULE = "schedule"
FLASH = "flash.cycles_byte"


def estimate_code(
    plan: BuildPlan, target: Target, clock_mhz: float | None, traced: Sequence[Quantity] | None = None
) -> Estimate:
    """Price a plan of C code. `traced`: cycles of the kernels from a trace; else the target's `cycles.*` are taken, and
    without these only memory and operations are known."""
    default = float(target.options.get("clock_mhz", 0.0))
    clock = clock_mhz if clock_mhz is not None else default
    if clock < 0 or (clock_mhz is not None and not 0 < clock < 1e5):
        raise EdgecError("E0204", f"clock_mhz = {clock!r}", why="clock_mhz must be between 0 and 100000")
    missing = _missing(plan, target) if traced is None else []
    basis: Basis = "analytic" if traced is None else "simulated"
    source = f"operations of the schedule, cycles.* of {target.name}"
    if traced is not None:
        source = f"trace under QEMU, pipeline model, cycles.trace_scale of {target.name}"
    cycles = list(traced) if traced is not None else None if missing else [_priced(k, target) for k in plan.kernels]
    if cycles is not None and FLASH in target.constants:
        cycles = [total([c, _waited(k, target)]) for c, k in zip(cycles, plan.kernels, strict=True)]
        source = f"{source}, constants from flash memory at {FLASH}"
    rows = tuple(
        Row(k, _figures(k) | ({"cycles": figure(cycles[i], "cycles", basis, source)} if cycles is not None else {}))
        for i, k in enumerate(plan.kernels)
    )
    memory = plan.interface["memory"]
    totals: dict[str, Figure] = {
        "arena_bytes": exact(memory["arena_bytes"], "B", "memory plan"),
        "constant_bytes": exact(memory["constant_bytes"], "B", "constants as stored"),
        "macs": exact(sum(k.macs for k in plan.kernels), "", SCHEDULE),
        **_flash(target, memory),
    }
    if cycles:
        totals["cycles"] = figure(total(cycles), "cycles", basis, source)
        if clock:
            time = figure(total(cycles) * (1 / clock), "us", basis, f"cycles at {clock:g} MHz")
            totals["latency_us"] = time
            totals |= _energy(target, time, memory, clock / (default or clock))
    notes = [f"target {target.name} has no price for {', '.join(missing)}: no cycles"] if missing else []
    return Estimate(target.name, clock, None, rows, totals, dict(target.constants), "", tuple(notes))


def _missing(plan: BuildPlan, target: Target) -> list[str]:
    """Kinds of work in the plan that the target has no price for."""
    kinds = dict.fromkeys(kind for k in plan.kernels for kind in k.work)
    return [kind for kind in kinds if f"cycles.{kind}" not in target.constants]


def _priced(kernel: Kernel, target: Target) -> Quantity:
    """Cycles of the pipeline model, scaled to those of boards as those of a trace are."""
    counted = total(target.constant(f"cycles.{kind}") * count for kind, count in kernel.work.items())
    scale = target.constants.get("cycles.trace_scale")
    return counted if scale is None else product(counted, scale)


def _waited(kernel: Kernel, target: Target) -> Quantity:
    """Cycles in which the core waits for the constants of a step. Each byte counts once: what is read again may lie in
    a cache, and where it does not, it is in the error bar of `cycles.trace_scale`."""
    return target.constant(FLASH) * (kernel.weight_bits / 8)


def _energy(target: Target, time: Figure, memory: Mapping[str, int], speed: float) -> dict[str, Figure]:
    """Energy of one inference in uJ; `speed` is the clock over the default one, which power follows."""
    if "power.active_mw" not in target.constants:
        return {}
    energy = product(time, target.constant("power.active_mw")) * (1e-3 * speed)
    source = f"{time.source}, power.active_mw"
    cache = target.options.get("cache_kib")
    if cache and memory["arena_bytes"] + memory["constant_bytes"] > 1024 * cache and "dram.pj_byte" in target.constants:
        moved = target.constant("dram.pj_byte") * (1e-6 * memory["constant_bytes"])
        energy, source = total([energy, moved]), f"{source}, constants from memory at dram.pj_byte"
    return {"energy_uj": figure(energy, "uJ", time.basis, source)}


def _flash(target: Target, memory: Mapping[str, int]) -> dict[str, Figure]:
    """Machine code, and with the constants what the model takes of a read-only memory."""
    if "code.statement" not in target.constants:
        return {}
    code, constants = target.constant("code.statement") * memory["code_statements"], memory["constant_bytes"]
    source = "statements of the sources, code.statement"
    flash = total([code, Quantity(constants, constants, constants, "")])
    return {
        "code_bytes": figure(code, "B", "calibrated", source),
        "flash_bytes": figure(flash, "B", "calibrated", f"constants, {source}"),
    }


def _figures(kernel: Kernel) -> dict[str, Figure]:
    return {
        "macs": exact(kernel.macs, "", SCHEDULE),
        "weight_bytes": exact(kernel.weight_bits / 8, "B", SCHEDULE),
        "activation_bytes": exact(kernel.accesses.get("activations", 0.0) / 8, "B", SCHEDULE),
    }
