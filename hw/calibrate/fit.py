"""Fits the constants of a target to measured designs, with what the Liberty file says as the starting point.

Energies: the factors of groups of cells that make the counted transitions cost what the gate-level simulation says.
Delays: the factors of adders, gates and loads that make the longest paths as long as static timing analysis says.
Areas: gate equivalents of the logic between adders as it is mapped, and of flip-flops. All fits are least squares of
relative errors with a pull towards 1, so that a group that the designs hardly use keeps its Liberty value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgec.backend import Kernel
from edgec.hw.calibrate.measure import Measured
from edgec.hw.estimate.cells import effective_cells
from edgec.hw.estimate.logic import LogicModel
from edgec.hw.estimate.switching import Switching, switching
from edgec.target import Quantity, Target

GROUPS = {
    "adders": ("full_adder", "half_adder", "carry"),
    "xors": ("xor2", "xnor2"),
    "gates": (
        "nand2", "nor2", "and2", "or2", "ao22", "inv", "buf", "voter", "nand3", "nor3", "aoi21", "oai21",
        "aoi22", "oai22",
    ),
    "muxes": ("mux2",),
    "tables": ("table",),
    "load": ("load",),
}  # fmt: skip
"""Constants that share a factor."""
CLOCK_TREE = 1.3


@dataclass(frozen=True)
class Row:
    """One figure of one design: measured, and what the fitted target says."""

    design: str
    figure: str
    measured: float
    estimated: float

    @property
    def error(self) -> float:
        return self.estimated / self.measured - 1 if self.measured else 0.0


def least_squares(
    rows: Sequence[Mapping[str, float]], wanted: Sequence[float], names: Sequence[str], pull: float = 0.02
) -> dict[str, float]:
    """Factors of `names` for which sum of factor * row is `wanted`: least relative errors, a pull towards 1."""
    a = np.array([[row.get(n, 0.0) / w for n in names] for row, w in zip(rows, wanted, strict=True)])
    weight = np.sqrt(pull * len(rows))
    factors = np.ones(len(names))
    free = np.ones(len(names), bool)
    for _ in names:
        left = np.vstack([a[:, free], weight * np.eye(int(free.sum()))])
        right = np.concatenate([1 - a[:, ~free] @ factors[~free], weight * np.ones(int(free.sum()))])
        factors[free] = np.linalg.lstsq(left, right, rcond=None)[0]
        if factors.min() >= LEAST:
            break
        free &= factors >= LEAST
        factors[~free] = LEAST
    return dict(zip(names, factors.tolist(), strict=True))


LEAST = 0.2
"""No factor is smaller."""


def fit_energy(target: Target, designs: Sequence[Measured]) -> Target:
    """`toggle.*` and `clock.dff` of `target` after the gate-level energies."""
    nand = target.constant("energy.nand2_fj").nominal
    model = LogicModel(target)
    found = [(d, switching(d.plan, model, d.activity)) for d in designs]
    rows, wanted = [], []
    for design, switched in found:
        for name, counts in switched.counts.items():
            parts = model.parts(counts)
            parts["load"] += switched.ports[name] * model.energy_per_load
            rows.append(parts)
            energy = design.energy[name]
            wanted.append(1e3 * (energy["functional"] + energy["glitch"]) / nand)
    factors = least_squares(rows, wanted, list(GROUPS))
    target = scaled(target, "toggle", factors)
    return _fit_registers(target, found, target.constant("energy.nand2_fj").nominal)


def _fit_registers(target: Target, found: Sequence[tuple[Measured, Switching]], nand: float) -> Target:
    per_load = target.constant("toggle.load").nominal
    rows, wanted = [], []
    clocked = flops = 0.0
    for design, switched in found:
        for kernel in design.plan.kernels:
            energy = design.energy.get(kernel.name)
            if energy is None:
                continue
            if kernel.name in switched.registers and not effective_cells(kernel).get("voter"):
                registers = switched.registers[kernel.name]
                spent = 1e3 * (energy["register"] + energy["functional"] + energy["glitch"]) / nand
                rest = spent - per_load * registers.loaded
                if rest > 0.2 * spent:
                    rows.append({"held": registers.held, "data": registers.data})
                    wanted.append(rest)
            clocked += 1e3 * energy["clock"] / nand
            flops += sum(n for kind, n in effective_cells(kernel).items() if kind.startswith("dff"))
    start = {"held": target.constant("toggle.dff").nominal, "data": target.constant("toggle.data_pin").nominal}
    factors = least_squares([{k: v * start[k] for k, v in row.items()} for row in rows], wanted, ["held", "data"])
    source = f"fitted to the registers of {len(found)} designs, gate-level simulation"
    fitted = {"toggle.dff": start["held"] * factors["held"], "toggle.data_pin": start["data"] * factors["data"]}
    for kind in ("dff_enable", "dff_reset", "dff_enable_reset"):
        fitted[f"toggle.{kind}"] = fitted["toggle.dff"]
    target = with_constants(target, fitted, source)
    clock = clocked / flops / CLOCK_TREE
    return with_constants(
        target, {"clock.dff": clock}, f"clock energy of {flops:.0f} flip-flops in the same simulations"
    )


def fit_delay(target: Target, designs: Sequence[Measured]) -> Target:
    """`delay.*` of `target` after the longest paths, by a few Gauss-Newton steps on the factors of the groups."""
    names = ["adders", "gates", "load"]
    wanted = [d.path_ns for d in designs]

    def paths(factors: Mapping[str, float]) -> NDArray[np.float64]:
        fitted = scaled(target, "delay", every(factors))
        model, unit = LogicModel(fitted), fitted.constant("time.nand2_ps").nominal / 1000
        return unit * np.array([longest(d, model) for d in designs])

    factors = dict.fromkeys(names, 1.0)
    for _ in range(6):
        base = paths(factors)
        slopes = [(paths({**factors, n: factors[n] * 1.05}) - base) / 0.05 for n in names]  # in units of the factor
        rest = base - np.sum(slopes, axis=0)
        rows = [{n: s[i] for n, s in zip(names, slopes, strict=True)} for i in range(len(designs))]
        left = [max(w - r, 0.1 * w) for w, r in zip(wanted, rest, strict=True)]
        step = least_squares(rows, left, names, pull=0.01)
        factors = {n: factors[n] * (0.5 + 0.5 * step[n]) for n in names}
    return scaled(target, "delay", every(factors))


def every(factors: Mapping[str, float]) -> dict[str, float]:
    """Factors of all groups, where exclusive ors, multiplexers and tables go with the other gates."""
    return dict.fromkeys(GROUPS, factors["gates"]) | dict(factors)


def longest(design: Measured, model: LogicModel) -> float:
    """The longest path of a design in NAND2 delays."""
    return max((model.path(k) for k in design.plan.kernels if k.logic is not None), default=0.0)


def fit_area(target: Target, designs: Sequence[Measured]) -> Target:
    """`ge.*` of `target` after synthesis: logic between adders, adders where they are gates, flip-flops with enable."""
    adder_cells = bool(target.options.get("adder_cells", 1))
    fixed = ("full_adder", "half_adder") if adder_cells else ()
    rows, wanted, kinds = [], [], set()
    state: list[tuple[float, float]] = []
    for design in designs:
        for kernel in design.plan.kernels:
            ge = design.ge.get(kernel.name, 0.0)
            if kernel.logic is None:
                if kernel.op == "register" and not effective_cells(kernel).get("voter"):
                    state.append(_enables(kernel, ge, target))
                continue
            rest = ge - sum(kernel.cells.get(k, 0) * target.constant(f"ge.{k}").nominal for k in fixed)
            if rest > 0.02 * ge:
                row = {k: n * target.constant(f"ge.{k}").nominal for k, n in kernel.cells.items() if k not in fixed}
                kinds |= set(row)
                rows.append(row)
                wanted.append(rest)
    factors = least_squares(rows, wanted, sorted(kinds), pull=0.002)
    source = f"fitted to {len(wanted)} synthesised layers, cells between adders as they were mapped"
    fitted = {f"ge.{k}": target.constant(f"ge.{k}").nominal * f for k, f in factors.items() if k != "nand2"}
    area, count = map(sum, zip(*state, strict=True))
    fitted["ge.dff_enable"] = area / count
    return with_constants(target, fitted, source)


def _enables(kernel: Kernel, ge: float, target: Target) -> tuple[float, float]:
    """Area and number of the flip-flops with enable of a register kernel."""
    other = sum(n * target.constant(f"ge.{k}").nominal for k, n in kernel.cells.items() if k != "dff_enable")
    return ge - other, kernel.cells.get("dff_enable", 0)


def scaled(target: Target, table: str, factors: Mapping[str, float]) -> Target:
    """`target` with the constants of a table (`toggle` or `delay`) multiplied by their group's factor.

    The NAND2 stays the unit: its factor goes into its energy or delay, and all else of the table is divided by it."""
    unit, others = UNITS[table]
    gates = factors["gates"]
    group_of = {f"{table}.{member}": group for group, members in GROUPS.items() for member in members}
    constants = dict(target.constants)
    for name, quantity in target.constants.items():
        if name == f"{table}.nand2" or not (name.startswith(f"{table}.") or name in others):
            continue
        factor = factors[group_of[name]] if name in group_of else 1.0
        source = quantity.source + (f"; x{factor:.2f}, fitted" if name in group_of else "")
        constants[name] = replace(quantity * (factor / gates), source=source)
    nand = constants[unit]
    constants[unit] = replace(nand * gates, source=f"{nand.source}; x{gates:.2f}, fitted")
    return replace(target, constants=constants)


UNITS = {"toggle": ("energy.nand2_fj", ("clock.dff",)), "delay": ("time.nand2_ps", ("time.setup",))}
"""By table the constant that holds its unit, and constants outside the table in that unit."""


def with_constants(target: Target, values: Mapping[str, float], source: str) -> Target:
    changed = {name: Quantity(v, v, v, source) for name, v in values.items()}
    return replace(target, constants={**target.constants, **changed})
