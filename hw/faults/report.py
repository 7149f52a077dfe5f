"""The report of a campaign: rates with intervals by class, by register and by bit, and the table of all weight bits."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.artefact import Artefact
from edgec.hardening import CLASSES, NONE
from edgec.hw.faults.judge import MASKED, PROTOCOL, WRONG
from edgec.hw.faults.sites import Sites
from edgec.hw.faults.statistics import rate, rounded

if TYPE_CHECKING:
    from edgec.hw.faults.quality import Quality
    from edgec.hw.faults.weights import WeightFlips

SCHEMA_VERSION = 1
COLUMNS = (
    "position", "layer", "role", "element", "bit", "protected", "wrong_frames", "mean_change", "largest_change",
    "metric_change",
)  # fmt: skip


def make_report(
    artefact: Artefact,
    campaign: Mapping[str, Any],
    sites: Sites,
    injected: np.ndarray,
    results: Mapping[str, np.ndarray],
    flips: WeightFlips | None,
    positions: np.ndarray,
    bits: Mapping[str, np.ndarray],
    quality: Quality,
) -> dict[str, Any]:
    """Plain data for faults.json; `weight_bits` in it are the rows of faults.csv."""
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "campaign": dict(campaign),
        "hardening": artefact.manifest["interface"].get("hardening"),
        "simulation": simulated(sites, injected, results),
        "weights": None,
        "weight_bits": [],
    }
    if flips is not None:
        rows = weight_rows(sites, flips, positions, bits, quality.measured)
        report["weights"] = interpreted(flips, rows, quality, bits)
        report["weight_bits"] = rows
    return report


def simulated(sites: Sites, injected: np.ndarray, results: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What the flips in the RTL did: by class and protection, by register, by bit of an element."""
    place = sites.place[injected]
    register = np.array([p.register for p in sites.places])[place]
    protected = np.array([p.protected for p in sites.places], bool)[place]
    kind = np.array([CLASSES.index(r["class"]) for r in sites.registers])[register]
    everywhere = np.array([CLASSES.index(sites.registers[p.register]["class"]) for p in sites.places])[sites.place]
    shielded = sites.protected()
    classes, weighted, flops = [], 0.0, 0
    for number, name in enumerate(CLASSES):
        for hard in (False, True):
            mine, all_sites = (kind == number) & (protected == hard), (everywhere == number) & (shielded == hard)
            if not mine.any():
                continue
            style = next(r["style"] for r in sites.registers if r["class"] == name and (r["style"] != NONE) >= hard)
            row = {"class": name, "style": style if hard else NONE, "flip_flops": int(all_sites.sum())}
            classes.append(row | outcomes(results, mine))
            weighted += row["flip_flops"] * classes[-1]["failed"]["rate"]
            flops += row["flip_flops"]
    registers = []
    for index, entry in enumerate(sites.registers):
        mine = register == index
        if mine.any():
            facts = {
                k: entry[k] for k in ("class", "instance", "bits", "style", "layer", "role", "stage") if k in entry
            }
            registers.append(facts | outcomes(results, mine))
    return {
        "injections": int(injected.size),
        "flip_flops": sites.count,
        "protected": outcomes(results, protected),
        "unprotected": outcomes(results, ~protected),
        "classes": classes,
        "registers": registers,
        "failure_rate_of_a_flip_anywhere": rounded(weighted / flops) if flops else 0.0,
        "cross_checked": {
            "weight_bits": int((results["checked"] > 0).sum()),
            "frames": int(results["checked"].sum()),
        },
    }


def outcomes(results: Mapping[str, np.ndarray], mine: np.ndarray) -> dict[str, Any]:
    """Counts and rates of some injections."""
    outcome, trials = results["outcome"][mine], int(mine.sum())
    failed = outcome != MASKED
    change = results["change"][mine]
    return {
        "injections": trials,
        "masked": int((outcome == MASKED).sum()),
        "wrong": int((outcome == WRONG).sum()),
        "lost_or_invented": int((outcome == PROTOCOL).sum()),
        "failed": rate(int(failed.sum()), trials),
        "healed_next_edge": int(results["healed"][mine].sum()),
        "persistent": int(results["persistent"][mine].sum()),
        "mean_change": rounded(float(change.mean())) if trials else 0.0,
        "largest_change": rounded(float(results["largest"][mine].max(initial=0.0))),
    }


def weight_rows(
    sites: Sites, flips: WeightFlips, positions: np.ndarray, bits: Mapping[str, np.ndarray], measured: bool
) -> list[dict[str, Any]]:
    """One row a weight bit."""
    held = sites.positions()
    hard = set(held[(held >= 0) & sites.protected()].tolist())
    rows = []
    for i, position in enumerate(positions.tolist()):
        bit = flips.bit(position)
        entry = flips.registers[bit.register]
        known = bits["wrong"][i] >= 0
        row = {"position": position, "layer": entry["layer"], "role": entry["role"], "element": bit.element}
        row |= {"bit": bit.bit, "protected": int(position in hard)}
        row["wrong_frames"] = int(bits["wrong"][i]) if known else None
        row["mean_change"] = rounded(float(bits["change"][i])) if known else None
        row["largest_change"] = rounded(float(bits["largest"][i])) if known else None
        row["metric_change"] = rounded(float(bits["worse"][i])) if known and measured else None
        rows.append(row)
    return rows


def interpreted(
    flips: WeightFlips, rows: Sequence[Mapping[str, Any]], quality: Quality, bits: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """What flips of weight bits do by the interpreter, as if none was protected; and what protection leaves of it."""
    known = bits["wrong"] >= 0
    hard = np.array([r["protected"] for r in rows], bool)
    keys = [(r["layer"], r["role"], r["bit"]) for r in rows]
    groups: dict[tuple[str, str, int], list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    table = []
    for (layer, role, bit), members in groups.items():
        mine = np.zeros(len(rows), bool)
        mine[members] = True
        table.append({"layer": layer, "role": role, "bit": bit} | effects(bits, mine & known, flips.frames, quality))
    return {
        "bits": int(flips.positions.size),
        "evaluated": int(known.sum()),
        "not_expressible": int((~known).sum()),
        "protected": int(hard.sum()),
        "frames": flips.frames,
        "metric": quality.name,
        "all": effects(bits, known, flips.frames, quality),
        "unprotected": effects(bits, known & ~hard, flips.frames, quality),
        "by_bit": table,
    }


def effects(bits: Mapping[str, np.ndarray], mine: np.ndarray, frames: int, quality: Quality) -> dict[str, Any]:
    """The mean effect of some weight bits."""
    count = int(mine.sum())
    wrong = bits["wrong"][mine] if count else np.zeros(0)
    result: dict[str, Any] = {
        "bits": count,
        "without_effect": int((wrong == 0).sum()),
        "wrong_frames": rounded(float(wrong.mean() / frames)) if count else 0.0,
        "mean_change": rounded(float(bits["change"][mine].mean())) if count else 0.0,
        "largest_change": rounded(float(bits["largest"][mine].max())) if count else 0.0,
    }
    if quality.measured:
        result["metric_change"] = rounded(float(bits["worse"][mine].mean())) if count else 0.0
        result["worst_metric_change"] = rounded(float(bits["worse"][mine].max())) if count else 0.0
    return result


def csv_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """faults.csv: every weight bit; empty fields where the model has no word for the flipped code."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[row[c] for c in COLUMNS] for row in rows])
    return stream.getvalue().encode()


def table(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a class for a terminal."""
    rows = []
    for entry in report["simulation"]["classes"]:
        failed = entry["failed"]
        rows.append(
            {
                "class": entry["class"],
                "style": entry["style"],
                "flip-flops": entry["flip_flops"],
                "flips": entry["injections"],
                "masked": entry["masked"],
                "wrong": entry["wrong"],
                "lost/invented": entry["lost_or_invented"],
                "persistent": entry["persistent"],
                "failed": f"{failed['rate']:.2%} ({failed['low']:.2%}..{failed['high']:.2%})",
                "mean change": f"{entry['mean_change']:.3g}",
            }
        )
    return rows


def summary(report: Mapping[str, Any]) -> list[str]:
    """The result in sentences."""
    simulation, weights = report["simulation"], report["weights"]
    lines = []
    for name in ("protected", "unprotected"):
        entry = simulation[name]
        if entry["injections"]:
            failed = entry["failed"]
            lines.append(
                f"{name}: {entry['injections']} flips, {entry['masked']} masked, {failed['hits']} failed "
                f"({failed['rate']:.2%}, 95 % interval {failed['low']:.2%} to {failed['high']:.2%}), "
                f"{entry['persistent']} persistent"
            )
    checked = simulation["cross_checked"]
    if checked["frames"]:
        lines.append(
            f"cross-check: {checked['frames']} frames with {checked['weight_bits']} flipped weights, the same words in "
            "RTL and interpreter"
        )
    if weights is not None and weights["evaluated"]:
        every, left = weights["all"], weights["unprotected"]
        lines.append(
            f"weights: {weights['evaluated']} bits on {weights['frames']} frames; a flip changes "
            f"{every['wrong_frames']:.1%} of the frames, outputs by {every['mean_change']:.3g} in the mean"
        )
        if weights["protected"] and weights["protected"] < weights["bits"]:
            lines.append(
                f"{weights['protected']} of {weights['bits']} bits are protected; a flip of any other changes outputs "
                f"by {left['mean_change']:.3g} in the mean"
            )
    return lines
