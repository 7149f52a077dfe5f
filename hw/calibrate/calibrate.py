"""`edgec targets calibrate`: a target for a cell library, from its Liberty file, synthesis and gate-level simulation.

First the constants are read from the file, then small designs of every kind are built, synthesised and simulated, and
the constants are fitted to what came out. The error bars of the target are the spread of the estimates around these
designs, at least 5 %; they say nothing of placement, corners or silicon.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import check_destination_file, write_aside
from edgec.diagnostics import EdgecError
from edgec.hw.calibrate.designs import Design, designs
from edgec.hw.calibrate.fit import Row, fit_area, fit_delay, fit_energy
from edgec.hw.calibrate.library import read_constants
from edgec.hw.calibrate.measure import Measured, measure
from edgec.hw.estimate import estimate
from edgec.hw.synth.libraries import SynthesisLibrary, load_library
from edgec.target import Quantity, Target, load_target

LEAST_BAR = 0.05
FALLBACK = "asic130nm"
"""The target whose density, threshold and memories hold for a library that no shipped target is for."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The fitted `target`, and measured and estimated figures of the designs it was fitted to."""

    target: Target
    library: SynthesisLibrary
    rows: Sequence[Row]

    def worst(self, figure: str) -> Row:
        return max((r for r in self.rows if r.figure == figure), key=lambda r: abs(r.error))

    def table(self) -> list[dict[str, Any]]:
        """A row for every design."""
        names = list(dict.fromkeys(r.design for r in self.rows))
        found = {(r.design, r.figure): r for r in self.rows}
        return [
            {"design": name}
            | {
                f"{figure}{suffix}": f"{value:+.1%}" if suffix else f"{value:.4g}"
                for figure in FIGURES
                for suffix, value in (("", found[name, figure].measured), (" error", found[name, figure].error))
            }
            for name in names
        ]

    def toml(self) -> str:
        """The target as a file that inherits from the base of all standard-cell targets."""
        return target_toml(self.target)


FIGURES = {
    "kGE": ("area_kge",),
    "pJ": ("energy_pj", "energy_ktr"),
    "ns": ("critical_path_ns", "critical_path_nand2"),
}
"""Figures that are compared, and their names in an estimate: with units, or of a target without, where a NAND2
transition counts as 1 fJ and its delay as 1 ns, as in the shipped library."""

BARS = {"area": "kGE", "energy": "pJ", "delay": "ns"}
"""Error bars of a target (`logic.*`), and the figure whose spread they hold."""


def calibrate(
    liberty: str | Path | None = None,
    *,
    name: str | None = None,
    base: str | None = None,
    seed: int = 1,
    timeout: float = 1800.0,
    progress: Callable[[str], None] = lambda text: None,
    chosen: Sequence[Design] | None = None,
    folder: Path | None = None,
) -> Calibration:
    """Fit a target to a cell library; `base` has what no library says (placement density, threshold voltage).

    `chosen` designs instead of all; artefacts and netlists stay in `folder`, and are used again."""
    library = load_library(liberty)
    library.nand2  # noqa: B018  refused here rather than in the first synthesis
    if seed < 0:
        raise EdgecError("E0204", f"seed = {seed}", why="seed must be non-negative")
    start = load_target(base or library.target or FALLBACK)
    if "energy.nand2_fj" not in start.constants and base is None:
        start = load_target(FALLBACK)
    if "energy.nand2_fj" not in start.constants:
        raise EdgecError(
            "E0204", f"base {start.name} of a calibration", why="it has no physical units", remedy=f"--base {FALLBACK}"
        )
    target = read_constants(start, library)
    found = []
    for design in chosen or designs(seed):
        progress(f"{design.name}: build, synthesis, gate-level simulation")
        found.append(measure(design, target, library, liberty, timeout=timeout, folder=folder))
    fitted = fitted_target(target, found)
    title = start.description.partition("; calibrated")[0] if library.target else library.title
    about = f"{title}; calibrated on {len(found)} designs"
    fitted = replace(fitted, name=name or f"{start.name}-calibrated", description=about)
    return Calibration(fitted, library, compare(fitted, found))


def fitted_target(target: Target, found: Sequence[Measured]) -> Target:
    """All fits, and the bars that the fitted target needs to hold the designs."""
    for fit in (fit_area, fit_delay, fit_energy):
        target = fit(target, found)
    exact = {f"logic.{n}": Quantity(1.0, 1.0, 1.0, "not known yet") for n in BARS}
    target = replace(target, constants={**target.constants, **exact})
    rows = compare(target, found)
    bars = {f"logic.{name}": _bar([r for r in rows if r.figure == figure]) for name, figure in BARS.items()}
    return replace(target, constants={**target.constants, **bars})


def _bar(rows: Sequence[Row]) -> Quantity:
    """Twice the root mean square of the errors, at least `LEAST_BAR`."""
    spread = float(np.sqrt(np.mean(np.log([r.estimated / r.measured for r in rows]) ** 2)))
    reach = float(np.exp(max(2 * spread, np.log1p(LEAST_BAR))))
    source = f"twice the spread of {len(rows)} designs around the fit (root mean square {100 * spread:.1f} %)"
    return Quantity(1 / reach, 1.0, reach, source)


def compare(target: Target, found: Sequence[Measured]) -> list[Row]:
    """Estimates of `target` beside what was measured."""
    rows = []
    for design in found:
        totals = estimate(design.plan, target, clock_mhz=design.clock_mhz, activity=design.activity).totals
        for figure, names in FIGURES.items():
            estimated = next(totals[name] for name in names if name in totals)
            rows.append(Row(design.name, figure, design.figures[figure], estimated.nominal))
    return rows


def target_toml(target: Target) -> str:
    """A target file of all constants that are not those of the common base."""
    common = load_target(str(resources.files("edgec.targets").joinpath("_asic.toml")))
    lines = [
        f"# {target.description}.",
        "# Written by `edgec targets calibrate`; sources stand beside the constants.",
        "",
    ]
    lines += [
        f"name = {json.dumps(target.name)}",
        'inherits = "_asic"',
        f"description = {json.dumps(target.description)}",
    ]
    options = {k: v for k, v in target.options.items() if common.options.get(k) != v}
    if options:
        lines += ["", "[options]", *(f"{k} = {number(v)}" for k, v in options.items())]
    tables: dict[str, list[str]] = {}
    for name, quantity in target.constants.items():
        if common.constants.get(name) != quantity:
            table, key = name.split(".", 1)
            tables.setdefault(table, []).append(f"{key} = {quantity_toml(quantity)}")
    for table, entries in tables.items():
        lines += ["", f"[constants.{table}]", *entries]
    for name, anchor in target.anchors.items():
        lines += ["", f"[anchors.{name}]", *(f"{k} = {json.dumps(v)}" for k, v in anchor.items())]
    return "\n".join(lines) + "\n"


def quantity_toml(q: Quantity) -> str:
    source = f"source = {json.dumps(q.source, ensure_ascii=False)}"
    if q.low == q.nominal == q.high:
        return f"{{ value = {number(q.nominal)}, {source} }}"
    return f"{{ low = {number(q.low)}, nominal = {number(q.nominal)}, high = {number(q.high)}, {source} }}"


def number(value: float) -> str:
    """Four significant digits; always a number of TOML."""
    text = f"{value:.4g}"
    return f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text and abs(value) > 1e-4 else text


def check_destination(out: Path) -> None:
    """E0204, E0212 where no target file can be written: known before minutes of synthesis."""
    if out.suffix != ".toml":
        raise EdgecError("E0204", f"--out {out}", why="the name of a target file ends in .toml")
    check_destination_file(out)


def write_target(calibration: Calibration, out: Path) -> None:
    """Write the target file, whole, if it can be read: E0206 for constants that no hardware has."""
    check_destination(out)
    data = calibration.toml().encode()
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / out.name
        trial.write_bytes(data)
        load_target(str(trial))
    write_aside(out, data)
