"""Constant weights of convolutions and dense layers in the order in which portable loops read them."""

from __future__ import annotations

import numpy as np

from edgec.ops import Constant, Conv, Dense


def constant_weights(op: Dense | Conv) -> np.ndarray | None:
    """Weights [O, taps..., channels] as levels or numbers; None for computed ones."""
    if not isinstance(op.w, Constant):
        return None
    w = op.w.data if op.w.format.is_float else op.w.levels
    return np.moveaxis(w, 1, -1) if isinstance(op, Conv) else w
