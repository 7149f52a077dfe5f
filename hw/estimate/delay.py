"""Delay: the cells of the longest path of every stage, clock-to-output in front and setup behind.

In NAND2 delays on a technology-neutral target, in ns where the target knows its NAND2. Wires are in the NAND2's load of
three inputs only. Supply: the alpha-power law (Sakurai and Newton 1990), delay ~ V / (V - Vt)**alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgec.backend import Kernel
from edgec.diagnostics import EdgecError
from edgec.hw.estimate.figure import product, total
from edgec.target import Quantity, Target


def path_delay(path: Mapping[str, int], target: Target) -> Quantity:
    """Register-to-register delay of `path` in NAND2 delays; an empty path is two registers in a row."""
    cells = [target.constant(f"delay.{kind}") * count for kind, count in path.items() if not kind.startswith("dff")]
    return total([target.constant("delay.dff"), *cells, target.constant("time.setup")])


def critical_path(
    kernels: Sequence[Kernel], target: Target, paths: Mapping[str, Quantity] | None = None
) -> tuple[Quantity, str]:
    """The slowest stage's delay in NAND2 delays, and its slowest kernel; `paths` has those that are known by name.

    Kernels of a stage usually stand side by side, so the longest counts. Where paths are counted, the high end takes
    them as one behind the other.
    """
    paths = paths or {}
    worst, name = Quantity(0.0, 0.0, 0.0, ""), ""
    for stage in sorted({k.stage for k in kernels}):
        members = [(paths.get(k.name) or path_delay(k.path, target), k) for k in kernels if k.stage == stage]
        delay, slowest = max(members, key=lambda m: m[0].nominal)
        overhead = target.constant("delay.dff").high + target.constant("time.setup").high
        counted = [d for d, k in members if k.name not in paths]
        chained = sum(d.high - overhead for d in counted) + overhead
        if delay.nominal > worst.nominal:
            worst, name = Quantity(delay.low, delay.nominal, max(delay.high, chained), ""), slowest.name
    return worst, name


def nanoseconds(delay: Quantity, target: Target, voltage_v: float | None = None) -> Quantity:
    """NAND2 delays as ns, at another supply if given."""
    return product(delay, target.constant("time.nand2_ps"), voltage_factor(target, voltage_v)) * 1e-3


def voltage_factor(target: Target, voltage_v: float | None) -> Quantity:
    """Delay at `voltage_v` over that at the target's supply; E0204 for a supply near or below the threshold."""
    if voltage_v is None:
        return Quantity(1.0, 1.0, 1.0, "")
    supply = target.constant("supply.voltage_v").nominal
    threshold, alpha = target.constant("supply.threshold_v"), target.constant("supply.alpha").nominal
    if voltage_v < 1.2 * threshold.high or voltage_v > 1.5 * supply:
        raise EdgecError(
            "E0204",
            f"a supply of {voltage_v:g} V on {target.name}",
            why=f"the delay law holds from {1.2 * threshold.high:g} V to {1.5 * supply:g} V",
        )

    def factor(vt: float) -> float:
        return (voltage_v / supply) * ((supply - vt) / (voltage_v - vt)) ** alpha

    ends = sorted(factor(vt) for vt in (threshold.low, threshold.nominal, threshold.high))
    return Quantity(ends[0], factor(threshold.nominal), ends[2], "")
