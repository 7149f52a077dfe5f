"""Lets the weights that are still free make up for what quantised ones changed, on the statistics of the inputs.

The columns of a layer (one input each) are quantised one after the other, those of most energy first. What a column
loses is spread over the columns that are not quantised yet so that the layer's outputs change least in the mean square
(optimal brain surgeon; column by column as in GPTQ, arXiv 2210.17323, and SparseGPT, arXiv 2301.00774). At the end the
bias takes up what is left of the mean. No training and no labels: one run on the calibration frames.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgec.graph import Graph
from edgec.interp import run
from edgec.interp.mac import windows
from edgec.ops import Conv, Dense, Input, Op, constant
from edgec.passes._compress import Layer
from edgec.passes._patterns import float_constant

Compensate = Literal["none", "bias", "full"]
DAMPING = 0.01
"""Share of the mean energy that every input has besides its own, so that the inverse exists."""
ROWS = 1 << 15
"""Input vectors of a layer that are counted at a time."""

Quantise = Callable[[np.ndarray, np.ndarray, slice], np.ndarray]
"""(values [O, n], columns [n], rows) -> what the format makes of them."""


@dataclass
class Moments:
    """Sums over input vectors of a layer: of x [G, K], of x x' [G, K, K], and their number, for G groups."""

    total: np.ndarray
    products: np.ndarray
    count: int = 0

    @property
    def mean(self) -> np.ndarray:
        return self.total / max(self.count, 1)


def input_moments(graph: Graph, layers: Collection[Layer], frames: Mapping[str, np.ndarray]) -> dict[Layer, Moments]:
    """Moments of what `layers` read while `graph` runs on `frames`."""
    readers: dict[Op, list[Layer]] = {}
    found: dict[Layer, Moments] = {}
    for op in layers:
        readers.setdefault(op.x, []).append(op)
        groups = op.groups if isinstance(op, Conv) else 1
        found[op] = Moments(np.zeros((groups, op.terms)), np.zeros((groups, op.terms, op.terms)))

    def see(source: Op, values: np.ndarray) -> None:
        for op in readers.get(source, ()):
            add(found[op], op, values)

    for wanted in graph.inputs:
        see(wanted, np.asarray(frames[wanted.name]))
    run(graph, frames, observe=lambda op, values: None if isinstance(op, Input) else see(op, values))
    return found


def add(moments: Moments, op: Layer, values: np.ndarray) -> None:
    """Count the input vectors of `op` for its input `values` [F, *shape]."""
    if isinstance(op, Dense):
        parts = [values.reshape(1, -1, op.terms)]
    else:
        places = int(np.prod(op.shape[2:])) * op.shape[0]
        step = max(ROWS // max(places, 1), 1)
        parts = [patches(op, values[k : k + step]) for k in range(0, len(values), step)]
    for part in parts:
        x = part.astype(np.float32)
        moments.total += x.sum(axis=1, dtype=np.float64)
        moments.products += np.matmul(x.transpose(0, 2, 1), x).astype(np.float64)
        moments.count += x.shape[1]


def patches(op: Conv, values: np.ndarray) -> np.ndarray:
    """The input vectors of a convolution [groups, n, K], in the order of the weights."""
    rank = len(op.x.shape) - 2
    view = windows(values.reshape(-1, *op.x.shape[1:]), op)  # [B, C, *T, *K]
    batch, channels = view.shape[:2]
    grouped = view.reshape(batch, op.groups, channels // op.groups, *view.shape[2:])
    axes = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
    return grouped.transpose(axes).reshape(op.groups, -1, op.terms)


def compensated(weights: np.ndarray, moments: Moments, quantise: Quantise) -> np.ndarray:
    """What takes the place of `weights` [O, K]: values of the format that keep the layer's outputs."""
    groups = len(moments.total)
    result = np.empty_like(weights)
    each = weights.shape[0] // groups
    for g in range(groups):
        rows = slice(g * each, (g + 1) * each)
        result[rows] = _group(weights[rows], moments.products[g] / max(moments.count, 1), rows, quantise)
    return result


def _group(weights: np.ndarray, products: np.ndarray, rows: slice, quantise: Quantise) -> np.ndarray:
    energy = np.diag(products).copy()
    if not energy.any():
        return quantise(weights, np.arange(weights.shape[1]), rows)
    order = np.argsort(-energy, kind="stable")
    hessian = products[np.ix_(order, order)]
    hessian[np.diag_indices_from(hessian)] += DAMPING * energy.mean()
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T  # inverse = upper' upper
    left = weights[:, order].copy()
    made = np.empty_like(left)
    for k in range(left.shape[1]):
        made[:, k] = quantise(left[:, k : k + 1], order[k : k + 1], rows)[:, 0]
        loss = (left[:, k] - made[:, k]) / upper[k, k]
        left[:, k + 1 :] -= np.outer(loss, upper[k, k + 1 :])
    result = np.empty_like(made)
    result[:, order] = made
    return result


def factor(weights: np.ndarray, made: np.ndarray, moments: Moments, per_channel: bool) -> np.ndarray:
    """The factors [O] or [1] of `made` that bring the layer's outputs closest to those of `weights` [O, K]."""
    groups = len(moments.total)
    shape = (groups, -1, weights.shape[1])
    w, q = weights.reshape(shape), made.reshape(shape)
    seen = np.matmul(q, moments.products)
    top, bottom = (w * seen).sum(axis=2).ravel(), (q * seen).sum(axis=2).ravel()
    if not per_channel:
        top, bottom = top.sum(keepdims=True), bottom.sum(keepdims=True)
    ratio = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 1.0)
    return np.where((ratio > 0.25) & (ratio < 4), ratio, 1.0)


def corrected_bias(op: Layer, weights: np.ndarray, made: np.ndarray, moments: Moments) -> Op | None:
    """The bias of `op` with the mean of what changed added; None where its bias is not a float constant."""
    old = float_constant(op.b)
    if op.b is not None and old is None:
        return None
    groups = len(moments.total)
    change = (weights - made).reshape(groups, -1, weights.shape[1])
    shift = np.einsum("gok,gk->go", change, moments.mean).ravel()
    loc = op.b.loc if op.b is not None else ()
    return constant(shift + (0.0 if old is None else old.values), op.w.format, loc=loc)
