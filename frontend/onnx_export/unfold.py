"""Sliding windows as one Gather with constant indices: for sums that Conv and pooling nodes cannot do exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgec.frontend.onnx_export.builder import Builder


def window_indices(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    begin: Sequence[int],
    dilations: Sequence[int],
    result: Sequence[int],
) -> np.ndarray:
    """Row-major places of every tap of every window, [T * K]; a tap outside is the place behind the last."""
    outside = math.prod(size)
    index: np.ndarray = np.zeros((1, 1), np.int64)
    inside: np.ndarray = np.ones((1, 1), np.bool_)
    for n, k, s, p, d, t in zip(size, kernel, strides, begin, dilations, result, strict=True):
        place = np.arange(t)[:, None] * s - p + np.arange(k)[None] * d  # [T_i, K_i]
        index = (index[:, None, :, None] * n + place[None, :, None, :]).reshape(index.shape[0] * t, index.shape[1] * k)
        fits = (place >= 0) & (place < n)
        inside = (inside[:, None, :, None] & fits[None, :, None, :]).reshape(index.shape)
    return np.where(inside, index, outside).ravel()


def unfolded(
    b: Builder,
    x: str,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    result: Sequence[int],
) -> str:
    """x [N, C, *S] as [N, C, T, K]; taps outside the tensor are zero."""
    n, c, *size = b.shape(x)
    places, taps = math.prod(result), math.prod(kernel)
    indices = window_indices(size, kernel, strides, pads[: len(size)], dilations, result)
    flat = b.reshape(x, (n, c, math.prod(size)))
    zeros = b.constant(np.zeros((n, c, 1), b.dtype(x)))
    longer = b.node("Concat", [flat, zeros], (n, c, math.prod(size) + 1), b.dtype(x), axis=2)
    taken = b.node("Gather", [longer, b.constant(indices)], (n, c, places * taps), b.dtype(x), axis=2)
    return b.reshape(taken, (n, c, places, taps))
