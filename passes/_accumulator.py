"""The exact interval of every integer that an op can produce, tighter than its format where weights are known."""

from __future__ import annotations

import numpy as np

from edgec.ops import Constant, Conv, Dense, Op, Relu, centered_range

Interval = tuple[np.ndarray, np.ndarray]
"""Smallest and largest centred level, arrays [1] or [channels]."""


def level_interval(op: Op) -> Interval:
    """The interval of the centred levels of `op`: per output channel behind Dense and Conv with constant weights."""
    match op:
        case Dense() | Conv() if op.product is None and op.acc is None and op.out is None:
            if isinstance(op.w, Constant) and (op.b is None or isinstance(op.b, Constant)):
                return _mac_interval(op)
        case Relu(x=x) if not x.format.zero_point_array.any():
            lo, hi = level_interval(x)
            return np.maximum(lo, 0), np.maximum(hi, 0)
    low, high = centered_range(op.format)
    return np.array([low]), np.array([high])


def _mac_interval(op: Dense | Conv) -> Interval:
    assert isinstance(op.w, Constant)
    weights = op.w.levels.reshape(op.w.shape[0], -1)
    x_lo, x_hi = centered_range(op.x.format)
    if isinstance(op, Conv) and any(op.pads):  # a padded tap contributes nothing, whatever x can be
        x_lo, x_hi = min(x_lo, 0), max(x_hi, 0)
    up, down = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    lo, hi = x_lo * up + x_hi * down, x_hi * up + x_lo * down
    if op.b is not None:
        assert isinstance(op.b, Constant)
        bias = op.b.levels
        x_frac, w_frac, b_frac = op.x.format.frac, op.w.format.frac, op.b.format.frac
        if x_frac is not None and w_frac is not None and b_frac is not None:
            common = max(x_frac + w_frac, b_frac)
            lo, hi = lo << (common - x_frac - w_frac), hi << (common - x_frac - w_frac)
            bias = bias << (common - b_frac)
        lo, hi = lo + bias, hi + bias
    return lo, hi
