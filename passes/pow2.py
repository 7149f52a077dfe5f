"""Weights to signed powers of two times a scale: a multiplication becomes a shift.

DenseShift (arXiv 2208.09708) writes n-bit weights as a sign and n-1 bits of exponent, without a zero; `zero=true` gives
one exponent up for zero. The code itself has no scale. What it stands for does: one float an output channel or tensor,
found by searching the least squared error, which goes into the requantisation behind the sum, together with the batch
norm of the channel. A batch norm is never folded into such weights: it would break the powers of two.

`scale=pow2` takes the nearest power of two, so that on power-of-two activations (`quantize{format=fixed}`) no
multiplier is left at all. A layer that has zeros (it was pruned) is refused in the zero-free form.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats_compressed import Pow2
from edgec.graph import Graph
from edgec.ops import Constant
from edgec.passes._code import Coder, by_scale, encoded
from edgec.passes._compensate import Compensate
from edgec.passes._compress import (
    Layer,
    Scale,
    Zeros,
    in_order,
    refuse_zeros,
    replaced,
    rows_of,
    select,
    stored,
)
from edgec.pipeline import Context

TOPS = np.exp2(np.arange(-4.0, 0.5, 1 / 16))
"""Candidates for the largest power of two times scale, as shares of the largest weight."""
SAMPLE = 1 << 14
"""Weights of a channel (or tensor) that the search looks at."""


def apply(
    graph: Graph,
    context: Context,
    *,
    bits: int = 4,
    zero: bool = False,
    layers: str = "*",
    skip: str = "",
    keep_first: bool | None = None,
    keep_last: bool | None = None,
    per_channel: bool = True,
    scale: Scale = "float",
    zeros: Zeros = "refuse",
    compensate: Compensate = "none",
) -> Graph:
    """`graph` with float weights of the selected layers as `pow2<bits>` (`pow2z<bits>` with `zero`).

    `layers`, `skip`: glob patterns of source names, separated by |. `keep_first`, `keep_last`: leave the first and the
    last layer as they are (the default as long as `layers` is *). `zeros`: what a zero-free format does with weights
    that are exactly zero. `compensate`: what the calibration frames are used for: `bias` corrects the mean of every
    output, `full` also lets weights make up for each other. Raises E0204, and E0313 for a layer with zeros.
    """
    if not 2 <= bits <= 5:
        raise EdgecError("E0204", f"pow2: bits={bits}", why="allowed are 2 to 5")
    base = Pow2(bits, zero)

    def coder(op: Layer, w: Constant) -> Coder:
        if not zero:
            refuse_zeros(context, op, w, str(base), zeros)
        return by_scale(base, best_scales(rows_of(w, per_channel), base, scale))

    chosen = select(graph, "pow2", layers, skip, keep_first, keep_last)
    new = encoded(graph, context, "pow2", chosen, coder, scale=scale, compensate=compensate)
    result = replaced(graph, new)
    in_order(context, result)
    return result


def best_scales(rows: np.ndarray, base: Pow2, kind: Scale = "float") -> np.ndarray:
    """Scales float64 [O] of weights [O, K] with the least squared error: a grid, then alternating least squares."""
    if rows.shape[1] > SAMPLE:
        rows = rows[:, np.random.default_rng(0).permutation(rows.shape[1])[:SAMPLE]]
    largest = np.abs(rows).max(axis=1, initial=0)
    unit = np.where(largest > 0, largest, 1.0) / base.level_range[1]
    tops = TOPS
    if kind == "pow2":
        unit, tops = np.exp2(np.floor(np.log2(unit))), np.exp2(np.arange(-4.0, 2.0))
    errors = np.empty((tops.size, rows.shape[0]))
    for k, share in enumerate(tops):
        errors[k] = error_of(rows, unit * share, base)
    best, least = unit * tops[errors.argmin(axis=0)], errors.min(axis=0)
    for _ in range(8 if kind == "float" else 0):
        levels = base.clip_levels(rows / best[:, None], "saturate").astype(np.float64)
        energy = np.square(levels).sum(axis=1)
        fitted = np.where(energy > 0, (rows * levels).sum(axis=1) / np.maximum(energy, 1), best)
        fitted = np.where(fitted > 0, fitted, best)
        error = error_of(rows, fitted, base)
        better = error < least
        if not better.any():
            break
        best, least = np.where(better, fitted, best), np.where(better, error, least)
    return stored(np.where(largest > 0, best, 0.0), kind)


def error_of(rows: np.ndarray, scales: np.ndarray, base: Pow2) -> np.ndarray:
    """Squared error [O] of `rows` [O, K] written with `scales` [O]."""
    return np.square(base.clip_levels(rows / scales[:, None], "saturate") * scales[:, None] - rows).sum(axis=1)
