"""Constant weights of convolutions and dense layers in the order in which portable loops read them."""

from __future__ import annotations

import numpy as np

from edgec.backends.c.lowbit.codebook import Codebook
from edgec.ops import Constant, Conv, Dense, Op


def constant_weights(op: Dense | Conv) -> np.ndarray | None:
    """Weights [O, taps..., channels] as levels or numbers; None for computed ones."""
    if not isinstance(op.w, Constant):
        return None
    w = op.w.data if op.w.format.is_float else op.w.levels
    return np.moveaxis(w, 1, -1) if isinstance(op, Conv) else w


def codes_of(op: Op) -> Codebook | None:
    """The codebook of the weights as portable loops read them; None where they are computed or too many."""
    weights = constant_weights(op) if isinstance(op, Dense | Conv) else None
    return None if weights is None or weights.dtype.kind == "f" else Codebook.of(weights)
