"""Energy per inference of kernels without a netlist: switched cells, clocked flip-flops, leakage.

    switching = sum over cell kinds of  count * outputs * transitions * glitches * toggle energy
    clock     = flip-flops * clock energy * clock tree * duty * initiation interval
    leakage   = gate equivalents * leakage * initiation interval / clock

`transitions` a cycle follow from the toggle rate r of the input bits: adders behave as adder * (2 r)**exponent, partial
products as and * r. `glitches` grow with the depth of the kernel's longest path. Supply: C V^2. All constants, with
sources, are in the target file; docs/estimates.md derives them.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgec.backend import Kernel
from edgec.diagnostics import EdgecError
from edgec.hw.estimate.cells import CELLS, effective_cells, levels, state_classes
from edgec.hw.estimate.figure import product, total
from edgec.target import Quantity, Target

ONE = Quantity(1.0, 1.0, 1.0, "")


@dataclass(frozen=True)
class KernelEnergy:
    """Per inference, in NAND2 transitions (switching, clock) of one kernel; leakage follows from the area."""

    switching: Quantity
    clock: Quantity


def transitions(kind: str, rate: Quantity, target: Target) -> Quantity:
    """Useful transitions a cycle of one output of `kind`, for a toggle rate of the input bits."""
    match CELLS[kind].switching:
        case "product":
            return product(target.constant("activity.and"), rate)
        case "pass" | "state":
            return rate
        case "adder":
            exponent = target.constant("activity.exponent").nominal
            low, nominal, high = ((2 * r) ** exponent if r > 0 else 0.0 for r in (rate.low, rate.nominal, rate.high))
            bent = Quantity(low, nominal, high, "")
            return product(target.constant("activity.adder"), bent)
    raise AssertionError(kind)


def glitch_factor(kernel: Kernel, target: Target) -> Quantity:
    """Transitions over useful transitions of the adders of `kernel`, by the depth of its longest path."""
    base = target.constant("glitch.constant" if kernel.constant else "glitch.base")
    limit = target.constant("glitch.limit")
    beyond = max(1.0, levels(kernel.path) / target.constant("glitch.depth").nominal)
    exponent = target.constant("glitch.exponent")
    return Quantity(
        min(1 + base.low * beyond**exponent.low, limit.low),
        min(1 + base.nominal * beyond**exponent.nominal, limit.nominal),
        min(1 + base.high * beyond**exponent.high, limit.high),
        "",
    )


def kernel_energy(kernel: Kernel, target: Target, rate: Quantity, interval: int) -> KernelEnergy:
    """Energy of `kernel` per inference in NAND2 transitions; `rate`: toggle rate of its input bits."""
    cells, glitches = effective_cells(kernel), glitch_factor(kernel, target)
    flops, weights = flip_flops(kernel)
    moving = 1.0 - weights / flops if flops else 0.0
    terms = []
    for kind, count in cells.items():
        cell = CELLS[kind]
        share = count * cell.outputs * (moving if cell.switching == "state" else 1.0) * kernel.activations
        factors = [transitions(kind, rate, target), target.constant(f"toggle.{kind}")]
        if cell.switching == "adder":
            factors.append(glitches)
        # Weight registers and their voters hold still during inference.
        if kind == "voter":
            share *= moving
        terms.append(product(*factors, share))
    for kind, moved in kernel.accesses.items():
        terms.append(product(target.constant(f"memory.{kind}_access"), float(moved)))
    return KernelEnergy(total(terms), clock_energy(kernel, target, interval))


def flip_flops(kernel: Kernel) -> tuple[int, int]:
    """How many flip-flops a kernel has, and how many of them hold weights."""
    flops = sum(n for kind, n in effective_cells(kernel).items() if CELLS[kind].switching == "state")
    return flops, state_classes(kernel).get("weight", 0)


def clock_energy(kernel: Kernel, target: Target, interval: int) -> Quantity:
    """What the clock pins of the kernel's flip-flops cost an inference, in NAND2 transitions."""
    flops, weights = flip_flops(kernel)
    per_flop = product(target.constant("clock.dff"), target.constant("clock.tree"), float(interval))
    return total([per_flop * (flops - weights), product(per_flop, target.constant("clock.weight_duty"), weights)])


def femtojoules(energy: Quantity, target: Target, voltage_v: float | None = None) -> Quantity:
    """NAND2 transitions as fJ, at another supply if given (C V^2)."""
    return product(energy, target.constant("energy.nand2_fj")) * voltage_ratio(target, voltage_v) ** 2


def leakage_fj(ge: Quantity, target: Target, period_ns: float, voltage_v: float | None = None) -> Quantity:
    """Leakage of `ge` gate equivalents during `period_ns`, in fJ; linear in the supply."""
    power_nw = product(ge, target.constant("energy.leakage_nw"))
    return power_nw * (period_ns * 1e-3 * voltage_ratio(target, voltage_v))


def voltage_ratio(target: Target, voltage_v: float | None) -> float:
    if voltage_v is None:
        return 1.0
    supply = target.constant("supply.voltage_v").nominal
    if not 0.25 * supply <= voltage_v <= 1.5 * supply:
        raise EdgecError(
            "E0204", f"a supply of {voltage_v:g} V on {target.name}", why=f"its cells work at {supply:g} V"
        )
    return voltage_v / supply
