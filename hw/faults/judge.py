"""What became of simulated flips: masked, wrong words, lost or invented frames; and whether the state healed."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.faults.quality import real_values
from edgec.hw.faults.simulation import Chunk, FaultSimulation, pack
from edgec.hw.faults.sites import Sites
from edgec.hw.faults.statistics import rounded
from edgec.hw.faults.weights import WeightFlips

MASKED, WRONG, PROTOCOL = 0, 1, 2
"""Outcomes: no effect at the outputs; wrong words; a frame came that was not due, or did not come."""


def judge(
    simulation: FaultSimulation,
    graph: Graph,
    sites: Sites,
    injected: np.ndarray,
    chunk: Chunk,
    flips: WeightFlips | None,
) -> dict[str, Any]:
    """The results of a chunk as plain data, one number an injection; E0501 where RTL and interpreter disagree."""
    weight = sites.positions()[injected] >= 0
    before, after, later, end = (chunk.states[:, i] for i in range(4))
    if (weight & (before == after)).any():
        raise EdgecError("E0502", "a weight bit that was flipped holds its old value", why="the flip had no effect")
    wrong = chunk.expected & chunk.found & ~chunk.right
    slipped = chunk.expected != chunk.found
    outcome = np.where(slipped.any(axis=1), PROTOCOL, np.where(wrong.any(axis=1), WRONG, MASKED))
    change, largest = changes(simulation, graph, chunk, wrong)
    checked = cross_check(simulation, sites, injected, chunk, flips)
    return {
        "outcome": outcome.tolist(),
        "wrong": wrong.sum(axis=1).tolist(),
        "slipped": slipped.sum(axis=1).tolist(),
        "change": [rounded(v) for v in change.tolist()],
        "largest": [rounded(v) for v in largest.tolist()],
        "healed": (weight & (later == before)).astype(int).tolist(),
        "persistent": (weight & (end != before)).astype(int).tolist(),
        "checked": checked.tolist(),
    }


def changes(
    simulation: FaultSimulation, graph: Graph, chunk: Chunk, wrong: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (over due frames and elements) and largest absolute change of the real outputs, [n] each."""
    n = len(wrong)
    mean, largest = np.zeros(n), np.zeros(n)
    where, when = np.nonzero(wrong)
    if not where.size:
        return mean, largest
    found = simulation.codes(chunk.words[where, when])
    clean = simulation.codes(simulation.clean[chunk.due[where, when]])
    for (_, op), a, b in zip(graph.outputs, found, clean, strict=True):
        size = (len(where), *op.shape)
        away = np.abs(real_values(op, a.reshape(size)) - real_values(op, b.reshape(size))).reshape(len(where), -1)
        np.add.at(mean, where, away.mean(axis=1))
        np.maximum.at(largest, where, away.max(axis=1))
    return mean / np.maximum(chunk.expected.sum(axis=1), 1), largest


def cross_check(
    simulation: FaultSimulation, sites: Sites, injected: np.ndarray, chunk: Chunk, flips: WeightFlips | None
) -> np.ndarray:
    """Frames of each injection whose words were compared with the interpreter's for the flipped weight, [n].

    Frames that were in the pipeline at the flip may show the old or the new weight, later ones only the new.
    """
    checked = np.zeros(len(injected), np.int64)
    if flips is None:
        return checked
    positions = np.where(sites.protected()[injected], -1, sites.positions()[injected])
    mine = np.flatnonzero(positions >= 0)
    latency, observed = simulation.latency, simulation.observed
    # The frame due after edge base + k was taken k - latency + 1 cycles after the flip.
    taken = np.arange(observed) - latency + 1
    for index, codes in flips.outputs(positions[mine]):
        rows = mine[index]
        shape = (index.size, flips.frames)
        flat = {n: v.reshape(-1, *v.shape[2:]) for n, v in codes.items()}
        mutated = pack(simulation.interface["outputs"], flat).reshape(*shape, -1)
        due, words = chunk.due[rows], chunk.words[rows]
        wanted = mutated[np.arange(index.size)[:, None], np.maximum(due, 0)]
        same = (words == wanted).all(axis=-1)
        old = chunk.right[rows]
        # taken >= 1: only the new weight. Leaves at the very edge of the flip: only the old one. Between: either.
        agrees = np.where(taken >= 1, same, np.where(np.arange(observed) == 0, old, same | old))
        relevant = chunk.expected[rows] & chunk.found[rows]
        if (relevant & ~agrees).any():
            at = int(np.flatnonzero((relevant & ~agrees).any(axis=1))[0])
            bit = flips.bit(int(positions[rows[at]]))
            entry = flips.registers[bit.register]
            raise EdgecError(
                "E0501",
                "the simulated hardware and the interpreter differ on a flipped weight",
                layer=entry["layer"],
                why=f"{entry['name']}, element {bit.element}, bit {bit.bit}",
            )
        checked[rows] = relevant.sum(axis=1)
    return checked
