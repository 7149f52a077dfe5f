"""Weights to -1, 0, +1 times a scale: a multiplication becomes an addition, a subtraction or nothing.

BitNet b1.58 (arXiv 2407.09527): with s = 1 / mean|W| (or the median) of a tensor, Wq = clamp(round(W * s), -1, 1). Its
scale is 1 / s; without training behind it the least-squares factor <W, Wq> / <Wq, Wq> loses less and is the default
(`scale=bitnet` for the original). `threshold=search` also searches s for the least squared error.

Weights that are zero stay zero, so a pruned layer may become ternary.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgec.formats_compressed import Ternary
from edgec.graph import Graph
from edgec.ops import Constant
from edgec.passes._code import Coder, encoded
from edgec.passes._compensate import Compensate
from edgec.passes._compress import Layer, Scale, in_order, replaced, rows_of, select, stored
from edgec.pipeline import Context

Threshold = Literal["mean", "median", "search"]
EPSILON = 1e-5
"""Smallest mean or median that divides, as in BitNet."""
SHARES = np.arange(0.4, 2.8, 0.1)
"""Candidates for 1 / s over mean|W|."""


def apply(
    graph: Graph,
    context: Context,
    *,
    threshold: Threshold = "mean",
    scale: Literal["fit", "bitnet", "pow2"] = "fit",
    per_channel: bool = False,
    layers: str = "*",
    skip: str = "",
    keep_first: bool | None = None,
    keep_last: bool | None = None,
    compensate: Compensate = "none",
) -> Graph:
    """`graph` with float weights of the selected layers as `ternary`.

    `threshold`: what s is the inverse of. `scale`: `fit` the least-squares factor, `bitnet` 1 / s, `pow2` the power of
    two nearest to the fit. `per_channel`: s and scale an output channel. `layers`, `skip`, `keep_first`, `keep_last`,
    `compensate` as in `pow2`. Raises E0204.
    """
    base = Ternary()
    kind: Scale = "pow2" if scale == "pow2" else "float"

    def coder(op: Layer, w: Constant) -> Coder:
        rows = rows_of(w, per_channel)
        inverse = inverse_scale(rows, threshold)
        factors = inverse if scale == "bitnet" else fitted(rows, ternarized(rows, inverse))

        def levels(values: np.ndarray, part: slice) -> np.ndarray:
            return ternarized(values, inverse[part] if per_channel else inverse)

        return Coder(base, stored(factors, kind), levels)

    chosen = select(graph, "ternary", layers, skip, keep_first, keep_last)
    new = encoded(graph, context, "ternary", chosen, coder, scale=kind, compensate=compensate)
    result = replaced(graph, new)
    in_order(context, result)
    return result


def ternarized(rows: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """clamp(round(W / inverse), -1, 1) of W [O, K], ties to even."""
    return np.clip(np.rint(rows / inverse[:, None]), -1, 1)


def fitted(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The factors [O] that bring `codes` closest to `rows`; 0 for rows of zeros."""
    return (rows * codes).sum(axis=1) / np.maximum(np.square(codes).sum(axis=1), 1)


def inverse_scale(rows: np.ndarray, threshold: Threshold) -> np.ndarray:
    """1 / s [O] of W [O, K]: mean or median of |W|, or searched."""
    size = np.abs(rows)
    if threshold == "median":
        return np.maximum(np.median(size, axis=1), EPSILON)
    mean = np.maximum(size.mean(axis=1), EPSILON)
    if threshold == "mean":
        return mean
    errors = np.empty((SHARES.size, rows.shape[0]))
    for k, share in enumerate(SHARES):
        codes = ternarized(rows, mean * share)
        errors[k] = np.square(codes * fitted(rows, codes)[:, None] - rows).sum(axis=1)
    return mean * SHARES[errors.argmin(axis=0)]
