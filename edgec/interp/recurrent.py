"""Recurrent layers: the state is rounded to the format after every step; activations are computed in float64."""

from __future__ import annotations

import numpy as np

from edgec.interp.elementwise import apply_function
from edgec.interp.registry import evaluates
from edgec.ops import Gru, Lstm, Rnn


def _activation(name: str, x: np.ndarray) -> np.ndarray:
    if name == "relu":
        return np.maximum(x, 0)
    return apply_function(name, x.astype(np.float64), 0.2, 0.5).astype(x.dtype)


def _wide(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Half precision is computed in binary32."""
    return tuple(a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays)


def _times(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [F, ..., K] times the transpose of w [F or 1, O, K]."""
    turned = np.swapaxes(w, -1, -2)
    return np.matmul(x, turned.reshape(turned.shape[0], *(1,) * (x.ndim - 3), *turned.shape[1:]))


def _steps(op: Rnn | Gru | Lstm) -> range:
    count = op.x.shape[0]
    return range(count - 1, -1, -1) if op.reverse else range(count)


def _frames(*arrays: np.ndarray) -> int:
    return max(a.shape[0] for a in arrays)


@evaluates(Rnn)
def rnn(
    op: Rnn, x: np.ndarray, w: np.ndarray, r: np.ndarray, b: np.ndarray, h: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    dtype, frames = x.dtype, _frames(x, w, r, b, h)
    x, w, r, b, h = _wide(x, w, r, b, h)
    given = _times(x, w) + b[:, None, None]  # [F, T, N, H]
    y = np.empty((frames, *given.shape[1:]), dtype)
    for t in _steps(op):
        h = _activation(op.activations[0], given[:, t] + _times(h, r)).astype(dtype)
        y[:, t] = h
        (h,) = _wide(h)
    return y, h.astype(dtype)


@evaluates(Gru)
def gru(
    op: Gru,
    x: np.ndarray,
    w: np.ndarray,
    r: np.ndarray,
    b: np.ndarray,
    h: np.ndarray,
    rb: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    dtype, frames, units = x.dtype, _frames(x, w, r, b, h), op.h.shape[1]
    x, w, r, b, h = _wide(x, w, r, b, h)
    given = _times(x, w) + b[:, None, None]  # [F, T, N, 3H]
    y = np.empty((frames, *given.shape[1:3], units), dtype)
    for t in _steps(op):
        gates = given[:, t, :, : 2 * units] + _times(h, r[:, : 2 * units])
        update, reset = np.split(_activation(op.activations[0], gates), 2, axis=-1)
        if rb is not None:
            inner = reset * (_times(h, r[:, 2 * units :]) + _wide(rb)[0][:, None])
        else:
            inner = _times(reset * h, r[:, 2 * units :])
        candidate = _activation(op.activations[1], given[:, t, :, 2 * units :] + inner)
        h = ((1 - update) * candidate + update * h).astype(dtype)
        y[:, t] = h
        (h,) = _wide(h)
    return y, h.astype(dtype)


@evaluates(Lstm)
def lstm(
    op: Lstm, x: np.ndarray, w: np.ndarray, r: np.ndarray, b: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dtype, frames, units = x.dtype, _frames(x, w, r, b, h, c), op.h.shape[1]
    x, w, r, b, h, c = _wide(x, w, r, b, h, c)
    given = _times(x, w) + b[:, None, None]  # [F, T, N, 4H]
    y = np.empty((frames, *given.shape[1:3], units), dtype)
    of_gates, of_cell, of_output = op.activations
    for t in _steps(op):
        rows = given[:, t] + _times(h, r)
        enter, leave, forget = np.split(_activation(of_gates, rows[..., : 3 * units]), 3, axis=-1)
        c = (forget * c + enter * _activation(of_cell, rows[..., 3 * units :])).astype(dtype)
        h = (leave * _activation(of_output, _wide(c)[0])).astype(dtype)
        y[:, t] = h
        h, c = _wide(h, c)
    return y, h.astype(dtype), c.astype(dtype)
