"""What synthesis and gate-level simulation say of a design, part by part."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgec import api
from edgec.artefact import Artefact
from edgec.backend import BuildPlan
from edgec.driver import write_build
from edgec.frames import encode_frames
from edgec.hw.calibrate.designs import Design, drawn
from edgec.hw.estimate.toggling import Activity, activity
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.toggle.power import mapped
from edgec.hw.toggle.power import measure as measure_power
from edgec.target import Target


@dataclass(frozen=True, eq=False)
class Measured:
    """A design as it was scheduled, its activity, and by kernel the gate equivalents and energies [pJ] by kind."""

    name: str
    plan: BuildPlan
    activity: Activity
    ge: Mapping[str, float]
    energy: Mapping[str, Mapping[str, float]]
    path_ns: float
    clock_mhz: float

    @property
    def figures(self) -> dict[str, float]:
        """The whole design in kGE, pJ and ns."""
        energy = sum(v for kinds in self.energy.values() for v in kinds.values())
        return {"kGE": sum(self.ge.values()) / 1000, "pJ": energy, "ns": self.path_ns}


def measure(
    design: Design,
    target: Target,
    library: SynthesisLibrary,
    liberty: str | Path | None,
    *,
    timeout: float = 1800.0,
    folder: Path | None = None,
) -> Measured:
    """Build, synthesise and simulate one design; every word is compared with the interpreter.

    With a `folder` the artefact stays there, and a netlist in it that still belongs to it is used again."""
    compiled = api.compile_model(design.model, target, design.options)
    plan = api.plan(compiled)
    real = design.frames
    if real is None:
        codes = drawn(compiled.graph, design.seed, design.sparse)
        real = {op.name: op.format.decode(codes[op.name]) for op in compiled.graph.inputs}
    with tempfile.TemporaryDirectory(prefix="edgec-calibrate-") as name:
        out = (folder or Path(name)) / design.name
        artefact = _kept(out, plan) or write_build(compiled, out)
        _, report = mapped(artefact, library, liberty, timeout)
        power = measure_power(artefact, liberty, frames=real, timeout=timeout).report
    toggled = activity(compiled.graph, encode_frames(compiled.graph, real))
    return measured(design.name, plan, toggled, report, power)


def _kept(out: Path, plan: BuildPlan) -> Artefact | None:
    """The artefact in `out` if it holds just the files of `plan`."""
    if not out.is_dir():
        return None
    artefact = Artefact.open(out)
    return artefact if artefact.manifest["plan_digest"] == plan.digest else None


def measured(
    name: str, plan: BuildPlan, toggled: Activity, synthesis: Mapping[str, Any], power: Mapping[str, Any]
) -> Measured:
    """From the reports of `edgec synth` and `edgec power`."""
    return Measured(
        name,
        plan,
        toggled,
        {row["name"]: row["ge"] for row in synthesis["layers"]},
        {row["name"]: row["by_kind_pj"] for row in power["layers"]},
        power["timing"]["critical_path_ns"],
        power["clock_mhz"],
    )
