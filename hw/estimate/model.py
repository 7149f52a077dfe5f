"""The estimate of a build plan: cycles, area, delay and energy of every kernel and of the whole.

Nothing here looks at the network again: what the backend scheduled and counted is priced with the target's constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgec.backend import BuildPlan, Kernel
from edgec.diagnostics import EdgecError
from edgec.hw.estimate import area, cycles, delay, energy
from edgec.hw.estimate.cells import CELLS, effective_cells, state_classes
from edgec.hw.estimate.figure import Basis, Figure, exact, figure, inverse, product, total
from edgec.hw.estimate.simulated import Simulated, simulated
from edgec.hw.estimate.toggling import kernel_rate
from edgec.target import Quantity, Target

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One kernel: its counts and its figures by name (`area_kge`, `energy_pj`, ...)."""

    kernel: Kernel
    figures: Mapping[str, Figure]

    def as_dict(self) -> dict[str, Any]:
        k = self.kernel
        return {
            "name": k.name,
            "layers": list(k.layers),
            "op": k.op,
            "stage": k.stage,
            "cycles": k.cycles,
            "macs": k.macs,
            "macs_nominal": k.macs_nominal,
            "cells": dict(sorted(effective_cells(k).items())),
            "state": dict(sorted(state_classes(k).items())),
            "figures": {name: f.as_dict() for name, f in self.figures.items()},
        }


@dataclass(frozen=True)
class Estimate:
    """Figures of every kernel (`rows`) and of the whole (`totals`); `constants` are all that went in, with sources."""

    target: str
    clock_mhz: float
    voltage_v: float | None
    rows: tuple[Row, ...]
    totals: Mapping[str, Figure]
    constants: Mapping[str, Quantity]
    critical_kernel: str = ""
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `table_rows` reads it back."""
        return {
            "schema_version": SCHEMA_VERSION,
            "target": self.target,
            "clock_mhz": self.clock_mhz,
            "voltage_v": self.voltage_v,
            "critical_kernel": self.critical_kernel,
            "totals": {name: f.as_dict() for name, f in self.totals.items()},
            "kernels": [row.as_dict() for row in self.rows],
            "constants": {name: q.as_dict() for name, q in sorted(self.constants.items())},
            "notes": list(self.notes),
        }

    def table(self) -> list[dict[str, Any]]:
        """Rows for a terminal, the total last."""
        from edgec.hw.estimate.table import table_rows

        return table_rows(self.as_dict())


def estimate(
    plan: BuildPlan,
    target: Target,
    *,
    clock_mhz: float | None = None,
    voltage_v: float | None = None,
    activity: Mapping[str, float] | None = None,
    area_basis: Basis = "calibrated",
    area_error: Quantity | None = None,
) -> Estimate:
    """Price `plan` on `target`.

    `clock_mhz` defaults to the target's; `voltage_v` to the supply of the file; `activity` is the result of
    `edgec.hw.estimate.activity` (toggle rates by layer), else the target's `activity.input` holds everywhere.
    `area_error` widens areas of plans that were not emitted. Raises E0204, E0206 for a target that cannot price the
    plan, E0101 for a plan that contradicts itself.
    """
    if plan.backend == "c":
        from edgec.hw.estimate.code import estimate_code

        return estimate_code(plan, target, clock_mhz)
    clock = _clock(clock_mhz, target)
    interval, depth = cycles.initiation_interval(plan), cycles.latency(plan)
    found = simulated(plan, target, activity)
    priced = _Pricer(target, clock, voltage_v, activity, interval, area_basis, area_error or energy.ONE, found)
    rows = tuple(priced.row(kernel) for kernel in plan.kernels)
    schedule: Basis = "exact" if area_basis != "analytic" else "analytic"
    totals = {
        "latency_cycles": exact(depth, "cycles", "sum of the stages' registers", schedule),
        "initiation_interval": exact(interval, "cycles", "schedule", schedule),
        "latency_ns": exact(1e3 * depth / clock, "ns", f"cycles at {clock:g} MHz", schedule),
        "inferences_per_s": exact(1e6 * clock / interval, "1/s", f"initiation interval at {clock:g} MHz", schedule),
        **{name: priced.sum(rows, name) for name in (rows[0].figures if rows else ())},
    }
    totals |= priced.power(totals)
    times, slowest = priced.timing(plan)
    notes = [*priced.notes()]
    period = 1e3 / clock
    if "critical_path_ns" in times and times["critical_path_ns"].nominal > period:
        notes.append(f"the longest path ({slowest}) is longer than the clock period of {period:g} ns")
    supply = target.constants.get("supply.voltage_v")
    voltage = voltage_v if voltage_v is not None else (supply.nominal if supply else None)
    return Estimate(
        target.name, clock, voltage, rows, _checked(target, {**totals, **times}), priced.used(), slowest, tuple(notes)
    )


def _clock(clock_mhz: float | None, target: Target) -> float:
    clock = clock_mhz if clock_mhz is not None else target.options.get("clock_mhz")
    if clock is None:
        raise EdgecError("E0206", f"target {target.name} has no clock", remedy="give --clock-mhz, or options.clock_mhz")
    if not 0 < clock < 1e5:
        raise EdgecError("E0204", f"clock_mhz = {clock!r}", why="clock_mhz must be between 0 and 100000")
    return float(clock)


class _Pricer:
    """The prices of one target at one clock, supply and activity."""

    def __init__(
        self,
        target: Target,
        clock: float,
        voltage: float | None,
        measured: Mapping[str, float] | None,
        interval: int,
        basis: Basis,
        error: Quantity,
        found: Simulated | None,
    ) -> None:
        self.target, self.clock, self.voltage, self.measured = target, clock, voltage, measured
        self.interval, self.error, self.found = interval, error, found
        self.basis: Basis = basis
        self.joules = "energy.nand2_fj" in target.constants
        if voltage is not None and not self.joules:
            raise EdgecError("E0204", f"a supply voltage on {target.name}", why="it has no physical units")
        self.cell_source = f"cell counts and ge.* of {target.name}"
        rates = "measured toggle rates" if measured is not None else "activity.input"
        counted = "cell counts, glitch.*" if found is None else "transitions of the netlist in a timed simulation"
        self.energy_source = f"{counted}, {rates}, toggle.*, clock.* of {target.name}"
        self.energy_basis: Basis = (
            "calibrated" if found is not None and target.options.get("calibrated") else "analytic"
        )

    def rate(self, kernel: Kernel) -> Quantity:
        """Toggle rate of the kernel's input bits; a measured one keeps a bar of 10 % for other data."""
        measured = kernel_rate(kernel, self.measured) if self.measured is not None else None
        if measured is None:
            return self.target.constant("activity.input")
        return Quantity(0.9 * measured, measured, min(1.1 * measured, 1.0), "measured")

    def row(self, kernel: Kernel) -> Row:
        counts = effective_cells(kernel)
        ge = product(area.kernel_ge(kernel, self.target), self.target.constant("logic.area"), self.error)
        flops = sum(n for kind, n in counts.items() if CELLS[kind].switching == "state")
        counted: Basis = "exact" if self.basis != "analytic" else "analytic"
        figures: dict[str, Figure] = {
            "area_kge": figure(ge * 1e-3, "kGE", self.basis, self.cell_source),
            "flip_flops": exact(flops, "", "cell counts", counted),
        }
        if area.is_physical(self.target):
            nand = f"{self.cell_source}; area.nand2_um2"
            figures["cell_area_mm2"] = figure(area.cell_area_um2(ge, self.target) * 1e-6, "mm2", "analytic", nand)
            core = area.core_area_mm2(ge, self.target)
            figures["area_mm2"] = figure(core, "mm2", "analytic", f"{nand}, area.density")
        return Row(kernel, _checked(self.target, figures | self.energy_figures(kernel, ge)))

    def energy_figures(self, kernel: Kernel, ge: Quantity) -> dict[str, Figure]:
        switched = self.found.energy.get(kernel.name) if self.found is not None else None
        if switched is not None:
            spent = energy.KernelEnergy(switched, energy.clock_energy(kernel, self.target, self.interval))
        else:
            spent = energy.kernel_energy(kernel, self.target, self.rate(kernel), self.interval)
        if self.error is not energy.ONE:
            spent = energy.KernelEnergy(product(spent.switching, self.error), spent.clock)
        if not self.joules:
            parts = {"switching": spent.switching, "clock": spent.clock}
            parts["energy"] = total(parts.values())
            unit, source = "kNAND2 transitions", self.energy_source
            return {f"{n}_ktr": figure(q * 1e-3, unit, self.energy_basis, source) for n, q in parts.items()}
        period = 1e3 * self.interval / self.clock
        # The energy of a NAND2 is common to both parts: it is applied to each, and their bars add.
        parts = {
            "switching": energy.femtojoules(spent.switching, self.target, self.voltage),
            "clock": energy.femtojoules(spent.clock, self.target, self.voltage),
            "leakage": energy.leakage_fj(ge, self.target, period, self.voltage),
        }
        parts["energy"] = total(parts.values())
        source = f"{self.energy_source}; energy.nand2_fj, energy.leakage_nw"
        return {f"{n}_pj": figure(q * 1e-3, "pJ", self.energy_basis, source) for n, q in parts.items()}

    def sum(self, rows: tuple[Row, ...], name: str) -> Figure:
        first = rows[0].figures[name]
        bars = total(Quantity(f.low, f.nominal, f.high, "") for f in (r.figures[name] for r in rows))
        return figure(bars, first.unit, first.basis, first.source)

    def power(self, totals: Mapping[str, Figure]) -> dict[str, Figure]:
        """Power at full rate; pJ per inference times inferences per second."""
        if "energy_pj" not in totals:
            return {}
        per_mw = 1e-3 * self.clock / self.interval
        return {"power_mw": totals["energy_pj"].scaled(per_mw, "mW")}

    def timing(self, plan: BuildPlan) -> tuple[dict[str, Figure], str]:
        path, slowest = delay.critical_path(plan.kernels, self.target, self.found.paths if self.found else {})
        source = f"longest path of {slowest}; delay.*, time.* of {self.target.name}"
        times = {"critical_path_nand2": figure(path, "NAND2 delays", self.energy_basis, source)}
        if "time.nand2_ps" in self.target.constants and path.nominal > 0:
            ns = delay.nanoseconds(path, self.target, self.voltage)
            times["critical_path_ns"] = figure(ns, "ns", self.energy_basis, source)
            times["max_clock_mhz"] = figure(inverse(ns) * 1e3, "MHz", self.energy_basis, source)
        return times, slowest

    def notes(self) -> list[str]:
        notes = ["areas and energies are estimates of cells: no placement, no wires beyond three inputs' load"]
        if self.measured is None:
            rate = self.target.constant("activity.input")
            notes.append(f"energy assumes that {rate.low:g} to {rate.high:g} of the input bits toggle per frame")
        return notes

    def used(self) -> dict[str, Quantity]:
        return dict(self.target.constants)


def _checked(target: Target, figures: Mapping[str, Figure]) -> Mapping[str, Figure]:
    """Refuse figures that no hardware has: the table behind them is absurd (E0206)."""
    for name, f in figures.items():
        if not (0 <= f.low <= f.nominal <= f.high < 1e18):
            raise EdgecError(
                "E0206",
                f"target {target.name} gives {name} = {f.low:g} / {f.nominal:g} / {f.high:g} {f.unit}",
                why="low <= nominal <= high must hold, all finite and not negative",
            )
    return figures
