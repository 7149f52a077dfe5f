"""How well a decoded module resembles the true one: telescope loss, earth mover's distance, baselines.

Images are shares of the module's charge [N, 48] in physical cell order; they sum to one.
"""

from __future__ import annotations

import numpy as np
from generator import decode_4e3m, encode_4e3m
from geometry import DISTANCES, groups_of_four
from scipy.optimize import linprog
from scipy.sparse import coo_array

HALF_PITCHES = 2.0
"""Half trigger-cell pitches in a pitch: the unit of the earth mover's distance."""
GROUPS, GROUP_WEIGHTS = groups_of_four()
RHOMBI = np.kron(np.eye(3), np.ones(16))


def decode(code: np.ndarray, decoder: dict[str, np.ndarray]) -> np.ndarray:
    """Encoder outputs [N, 16] as real numbers (code / 256) to shares of the charge [N, 48]."""
    h = np.asarray(code, np.float32)
    for i in range(3):
        h = h @ decoder[f"weight{i}"].astype(np.float32).T + decoder[f"bias{i}"].astype(np.float32)
        if i < 2:
            h = np.maximum(h, 0.0)
    h = np.exp(h - h.max(axis=1, keepdims=True))
    return h / h.sum(axis=1, keepdims=True)


def shares(charges: np.ndarray) -> np.ndarray:
    """Charges [N, 48] divided by their sum; modules without charge become uniform."""
    total = charges.sum(axis=1, keepdims=True)
    return np.where(total > 0, charges / np.maximum(total, 1), 1.0 / charges.shape[1])


def telescope_loss(true: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """4 L1 + 2 L2 + L3 for each event [N] (arXiv 2105.01683 and its public training code).

    Each term is the mean of (y - d)^2 max(y, d): over the 48 cells, over the 36 overlapping 2x2 groups with
    their weights, and over the three 4x4 sums. Images are scaled to a mean of one a cell first.
    """
    y, d = 48.0 * true, 48.0 * decoded

    def term(a: np.ndarray, b: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
        return ((a - b) ** 2 * np.maximum(a, b) * weight).mean(axis=1)

    fine = term(y, d)
    middle = term(y @ GROUPS.T / 4.0, d @ GROUPS.T / 4.0, GROUP_WEIGHTS)
    return 4.0 * fine + 2.0 * middle + term(y @ RHOMBI.T / 16.0, d @ RHOMBI.T / 16.0)


def earth_movers_distance(true: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Exact earth mover's distance for each event [N], in half trigger-cell pitches.

    Charge present in both images stays where it is (the distance obeys the triangle inequality), so only the
    difference has to be moved: a small transport problem between the cells that have too much and too little.
    """
    return np.array([_transport(t, d) for t, d in zip(true, decoded, strict=True)])


def _transport(true: np.ndarray, decoded: np.ndarray) -> float:
    difference = np.asarray(true, np.float64) - decoded
    source, sink = np.flatnonzero(difference > 1e-9), np.flatnonzero(difference < -1e-9)
    if not len(source) or not len(sink):
        return 0.0
    supply, demand = difference[source], -difference[sink]
    moved = min(supply.sum(), demand.sum())
    supply, demand = supply * (moved / supply.sum()), demand * (moved / demand.sum())
    cost = DISTANCES[np.ix_(source, sink)].ravel()
    i, j = np.divmod(np.arange(len(cost)), len(sink))
    rows = np.concatenate([i, len(source) + j])[: 2 * len(cost)]
    columns = np.tile(np.arange(len(cost)), 2)
    balance = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(source) + len(sink), len(cost))).tocsr()
    # One balance equation follows from the others; dropping it keeps rounding from making the problem
    # infeasible.
    result = linprog(cost, A_eq=balance[:-1], b_eq=np.concatenate([supply, demand])[:-1], method="highs")
    if result.status != 0:
        raise RuntimeError(f"transport problem not solved: {result.message}")
    return float(result.fun) * HALF_PITCHES


def baselines(charges: np.ndarray) -> dict[str, np.ndarray]:
    """What simpler encodings of at most 144 bits let one decode: images [N, 48] by name.

    - uniform: nothing but the module's sum is sent; the charge is spread evenly.
    - sums of four: 12 sums of 4 neighbouring cells, 9 bits each (108 bits), spread evenly over their cells.
    - best cells: the 11 largest cells as 6-bit address and 4E3M charge (143 bits), the rest lost.
    """
    n = len(charges)
    # Each rhombus of 4x4 cells holds four 2x2 blocks.
    blocks = charges.reshape(n, 3, 2, 2, 2, 2).sum(axis=(3, 5), keepdims=True)
    spread = np.broadcast_to(blocks // 4, (n, 3, 2, 2, 2, 2)).reshape(n, 48)
    best = decode_4e3m(encode_4e3m(charges)) * (encode_4e3m(charges) > 0)
    rank = (-charges).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return {
        "uniform": np.full((n, 48), 1.0 / 48.0),
        "sums_of_four": shares(spread),
        "best_cells": shares(best * (rank < 11)),
    }
