"""`edgec power`: the energy of an inference, from the netlist of `edgec synth` and real frames.

Every frame's words are compared with the interpreter's: the simulation is a verification of the gates at the same time.
The result is `power.json` beside the netlist; it holds nothing that depends on the machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import SYNTHESIS_FOLDER, Artefact, sha256, to_json, write_aside
from edgec.diagnostics import EdgecError
from edgec.hardening import parse_hardening
from edgec.hw.netlist import flatten
from edgec.hw.synth.libraries import SynthesisLibrary, load_library
from edgec.hw.synth.synthesise import REPORT, synthesise
from edgec.hw.timing import Conditions, timing_entry
from edgec.hw.toggle.energy import CLOCK_TREE, KINDS, Energy
from edgec.hw.toggle.simulator import Simulator
from edgec.hw.toggle.stimulus import Driven, drive, pipeline_ports, too_fast

SCHEMA_VERSION = 1
POWER = "power.json"
VECTORS = 100
SLACK = 1.2  # period over longest path where the clock is ours to choose


@dataclass(frozen=True, eq=False)
class Power:
    """`report` as in power.json; `simulation` and `outputs` for those who look closer; `seconds` by step."""

    report: Mapping[str, Any]
    simulation: Driven
    folder: Path
    seconds: Mapping[str, float]

    @property
    def energy_pj(self) -> float:
        """Energy of an inference."""
        return float(self.report["totals"]["energy_pj"])

    def table(self) -> list[dict[str, Any]]:
        """Rows for a terminal, the total last."""
        return [_table_row(row) for row in [*self.report["layers"], {**self.report["totals"], "name": "total"}]]

    def summary(self) -> list[str]:
        """What the table does not say."""
        r, totals, speed = self.report, self.report["totals"], self.simulation
        rate = speed.transitions / max(speed.seconds, 1e-9)
        lines = [
            f"{r['frames']} frames: all words as the interpreter's; {r['library']['title']}, {r['voltage_v']:g} V",
            f"{totals['energy_pj']:.4g} pJ an inference, {totals['power_mw']:.4g} mW at {r['clock_mhz']:g} MHz; "
            f"{totals['transitions']:.0f} transitions, glitch factor {totals['glitch_factor']:.3f}",
            f"settled {r['settle_ns']:.4g} ns after the clock; longest path {r['timing']['critical_path_ns']:g} ns",
            f"{speed.transitions} transitions in {speed.seconds:.2f} s: {rate / 1e6:.1f} million a second",
        ]
        lines += [note for note in (r["clock_note"], r["estimate"]["note"]) if note]
        return [*lines, f"written to {self.folder / POWER}"]


def measure(
    artefact: Artefact,
    liberty: str | Path | None = None,
    *,
    frames: Mapping[str, np.ndarray] | str | Path | None = None,
    vectors: int | None = None,
    seed: int = 1,
    clock_mhz: float | None = None,
    conditions: Conditions | None = None,
    clock_tree: float = CLOCK_TREE,
    timeout: float = 1800.0,
) -> Power:
    """Simulate the mapped netlist of `artefact` with frames, check every word, and price every transition.

    `frames` are real input values, else `vectors` random frames are drawn from `seed`. Raises what `edgec synth`
    raises, E0501 when the gates compute something else than the interpreter, E0310 for designs without a pipeline.
    """
    from edgec.comparison import first_difference, reference
    from edgec.cosimulation import choose_frames, image_words, load_graph

    start = time.monotonic()
    # All that can be wrong with the question is refused before minutes of synthesis.
    if clock_mhz is not None and not 0 < clock_mhz < 1e5:
        raise EdgecError("E0204", f"clock_mhz = {clock_mhz!r}", why="clock_mhz must be between 0 and 100000")
    artefact.check()
    if artefact.manifest.get("backend") == "rtl":
        pipeline_ports(artefact.manifest["interface"])
    library = load_library(liberty)
    library.check()
    graph = load_graph(artefact)
    codes = choose_frames(graph, frames, vectors or VECTORS, seed)
    folder, report = mapped(artefact, library, liberty, timeout)
    prepared = time.monotonic()
    interface = artefact.manifest["interface"]
    document = json.loads((folder / "netlist.json").read_bytes())
    netlist = flatten(document, library.cells, report["top"])
    simulator = Simulator(netlist, library.cells, conditions=conditions, clock=interface["ports"].get("clock", "clk"))
    critical = simulator.timing.critical_path_ns
    clock, slowed = choose_clock(clock_mhz, float(artefact.manifest["estimates"]["clock_mhz"]), critical)
    period = 1e6 / clock
    built = time.monotonic()
    driven = drive(simulator, interface, codes, image_words(artefact, None), period, clock_tree=clock_tree)
    expected = reference(graph, codes, [])
    difference = first_difference(expected, {}, driven.outputs)
    if difference is not None:
        error = difference.error("gate-level simulation")
        reason = too_fast(critical * 1000, period)
        if reason is not None:
            first = error.diagnostics[0]
            why = f"{first.why}; {reason}"
            raise EdgecError("E0501", first.what, layer=first.layer, op=first.op, why=why, remedy="slow the clock down")
        raise error
    estimated, note = estimates(artefact, graph, codes, library, clock)
    result = {
        "schema_version": SCHEMA_VERSION,
        "top": report["top"],
        "library": report["library"],
        "voltage_v": library.cells.voltage,
        "clock_mhz": clock,
        "clock_note": slowed,
        "frames": len(next(iter(codes.values()))),
        "settle_ns": round(float(driven.settle.max(initial=0.0)) / 1000, 4),
        "conditions": {
            "wire_ff_per_sink": round(simulator.timing.loads.wire_ff, 4),
            "clock_tree": clock_tree,
            "quantum_ps": simulator.quantum,
            "pulses": "inertial",
            "buffered_nets": simulator.timing.loads.buffered,
        },
        "timing": {k: v for k, v in timing_entry(simulator.timing).items() if k != "path"},
        "totals": _totals(driven.energy, estimated),
        "layers": _layers(driven.energy, report["layers"], estimated),
        "estimate": {"target": library.target, "note": note},
        "manifest_sha256": report["manifest_sha256"],
        "netlist_sha256": report["files"]["netlist.json"]["sha256"],
    }
    write_aside(folder / POWER, to_json(result))
    end = time.monotonic()
    seconds = {"synthesis": prepared - start, "model": built - prepared, "simulation": end - built}
    return Power(result, driven, folder, seconds)


def choose_clock(asked: float | None, built_for: float, critical: float) -> tuple[float, str]:
    """The clock in MHz, and a remark: without a wish, one that the library can keep (`critical` in ns)."""
    if asked is not None:
        return asked, ""
    if critical * built_for <= 1000:
        return built_for, ""
    clock = float(f"{1000 / (SLACK * critical):.4g}")
    late = f"the longest path of {critical:g} ns does not fit into a period at {built_for:g} MHz"
    return clock, f"{late}: simulated at {clock:g} MHz"


def mapped(
    artefact: Artefact, library: SynthesisLibrary, liberty: str | Path | None, timeout: float
) -> tuple[Path, Mapping[str, Any]]:
    """Folder and report of the artefact's netlist in `library`: the one that is there if it is whole and current."""
    folder = artefact.path / SYNTHESIS_FOLDER / library.name
    report = _current_report(artefact, library, folder)
    if report is not None:
        return folder, report
    made = synthesise(artefact, liberty, timeout=timeout)
    return made.folder, made.report


def _current_report(artefact: Artefact, library: SynthesisLibrary, folder: Path) -> Mapping[str, Any] | None:
    """The report in `folder`, if it belongs to this artefact and library and the files beside it are whole."""
    try:
        report = json.loads((folder / REPORT).read_bytes())
        whole = all(sha256((folder / name).read_bytes()) == f["sha256"] for name, f in report["files"].items())
        current = (
            report["manifest_sha256"] == sha256(artefact.read("manifest.json"))
            and report["library"]["sha256"] == library.sha256
            and "groups_ns" in report["timing"]
            and "netlist.json" in report["files"]
            and report["top"] == artefact.manifest["interface"]["top"]
            and all({"name", "layers", "op", "instances"} <= part.keys() for part in report["layers"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # edited, or of another version
        return None
    return report if whole and current else None


def estimates(
    artefact: Artefact, graph: Any, codes: Mapping[str, np.ndarray], library: SynthesisLibrary, clock: float
) -> tuple[dict[str, dict[str, float]], str]:
    """The analytic estimate of every kernel [pJ] for the same frames, priced like `library`; and why there is none."""
    from edgec.backend import load_backend
    from edgec.hw.estimate import activity, estimate
    from edgec.target import load_target

    if library.target is None:
        return {}, f"no target has the constants of library {library.title}: no estimate beside the simulation"
    config, manifest = artefact.manifest["config"], artefact.manifest
    if parse_hardening(config.get("harden")).budget is not None:
        return {}, "no estimate beside the simulation: the ranking of the hardening's budget is not in the artefact"
    names = ("weights", "constant_sharing", "clock_mhz", "max_area_kge", "harden")
    try:
        chip = load_target(manifest["target"])
        options = {**chip.options, **{k: config[k] for k in names if config.get(k) is not None}}
        plan = load_backend(chip.backend)(graph, chip, {**options, "name": manifest["name"]})
        priced = estimate(plan, load_target(library.target), clock_mhz=clock, activity=activity(graph, codes))
    except EdgecError as error:
        return {}, f"no estimate beside the simulation: {error.diagnostics[0].what}"
    if [r.kernel.name for r in priced.rows] != [k["name"] for k in manifest["estimates"]["kernels"]]:
        return {}, "no estimate beside the simulation: the artefact was built by another version"
    unit = "energy_pj" if "energy_pj" in priced.totals else None
    if unit is None:
        # gate equivalents: thousands of NAND2 transitions, which are 1 fJ each in the shipped library
        return {r.kernel.name: {"energy_pj": r.figures["energy_ktr"].nominal} for r in priced.rows}, ""
    kept = ("energy_pj", "switching_pj", "clock_pj", "leakage_pj")
    return {r.kernel.name: {k: r.figures[k].nominal for k in kept if k in r.figures} for r in priced.rows}, ""


def _row(by_kind: Mapping[str, float], estimated: float | None) -> dict[str, Any]:
    total = sum(by_kind.values()) / 1000
    return {
        "energy_pj": round(total, 6),
        "by_kind_pj": {kind: round(by_kind[kind] / 1000, 6) for kind in KINDS},
        "estimated_pj": None if estimated is None else round(estimated, 6),
        "estimate_error": None if estimated is None or total <= 0 else round(estimated / total - 1, 6),
    }


def _totals(energy: Energy, estimated: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    whole = sum(e["energy_pj"] for e in estimated.values()) if estimated else None
    return {
        **_row(energy.by_kind, whole),
        "power_mw": round(energy.power_mw, 6),
        "glitch_factor": round(energy.glitch_factor, 6),
        "transitions": round(energy.transitions / energy.cycles, 3),
    }


def _layers(energy: Energy, parts: list[Mapping[str, Any]], estimated: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows as in the report of the synthesis; what belongs to no part of it is in the last one."""
    owner = {instance: part["name"] for part in parts for instance in part["instances"]}
    rest = parts[-1]["name"]
    blocks = energy.by_block(lambda path: owner.get(path[0], rest) if path else rest)
    rows = []
    for part in parts:
        if part["name"] in blocks:
            beside = estimated.get(part["name"])
            row = _row(blocks[part["name"]], beside["energy_pj"] if beside else None)
            rows.append({"name": part["name"], "layers": list(part["layers"]), "op": part["op"], **row})
    return rows


def _table_row(row: Mapping[str, Any]) -> dict[str, Any]:
    kinds, error = row["by_kind_pj"], row["estimate_error"]
    return {
        "part": row["name"],
        "layers": ", ".join(row.get("layers", ())),
        **{kind: f"{value:.3g}" for kind, value in kinds.items()},
        "pJ": f"{row['energy_pj']:.4g}",
        "estimate pJ": None if row["estimated_pj"] is None else f"{row['estimated_pj']:.4g}",
        "error": "" if error is None else f"{100 * error:+.1f} %",
    }
