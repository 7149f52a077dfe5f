"""Resampling along one axis: where each output lies in the input, and the weights of its neighbours.

The arithmetic is that of the ONNX operator Resize; positions and weights are computed in float64.
"""

from __future__ import annotations

import numpy as np

from edgec.interp.registry import evaluates
from edgec.ops import Resize


def positions(coordinates: str, n: int, m: int, scale: float) -> np.ndarray:
    """Positions in `n` inputs for each of `m` outputs, float64."""
    y = np.arange(m, dtype=np.float64)
    match coordinates:
        case "half_pixel":
            return (y + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            return n / 2 * (1 - m / (scale * n)) + (y + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (y + 0.5) / scale - 0.5 if m > 1 else np.zeros(1)
        case "asymmetric":
            return y / scale
        case "align_corners":
            return y * (n - 1) / (m - 1) if m > 1 else np.zeros(1)
    raise ValueError(f"unknown coordinates {coordinates!r}")


def nearest_indices(position: np.ndarray, rule: str, n: int) -> np.ndarray:
    """The input that each position takes by the rounding `rule`, int64."""
    match rule:
        case "floor":
            index = np.floor(position)
        case "ceil":
            index = np.ceil(position)
        case "round_prefer_floor":
            index = np.ceil(position - 0.5)
        case _:
            index = np.floor(position + 0.5)
    return np.clip(index, 0, n - 1).astype(np.int64)


def kernel(mode: str, distance: np.ndarray, cubic_a: float) -> np.ndarray:
    """The weight of an input at `distance` from the position (linear: a triangle; cubic: Keys, IEEE TASSP 29(6))."""
    d = np.abs(distance)
    if mode == "linear":
        return np.clip(1 - d, 0, 1)
    near = ((cubic_a + 2) * d - (cubic_a + 3)) * d * d + 1
    far = ((cubic_a * d - 5 * cubic_a) * d + 8 * cubic_a) * d - 4 * cubic_a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def taps(
    mode: str,
    position: np.ndarray,
    n: int,
    *,
    cubic_a: float = -0.75,
    exclude_outside: bool = False,
    shrink: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Input indices and weights of each output, both [outputs, taps]; the edge is repeated outside, or left out.

    `shrink` < 1 widens the kernel by 1 / shrink, which is the antialiasing filter of a smaller image.
    """
    reach = (1 if mode == "linear" else 2) / min(shrink, 1.0)
    start = int(np.floor(-reach)) + 1
    low = np.floor(position)
    offsets = np.arange(start, 2 - start)
    index = low[:, None] + offsets
    weight = kernel(mode, (index - position[:, None]) * min(shrink, 1.0), cubic_a)
    if exclude_outside:
        weight = np.where((index < 0) | (index >= n), 0.0, weight)
    if exclude_outside or shrink < 1.0:
        weight = weight / weight.sum(axis=1, keepdims=True)
    return np.clip(index, 0, n - 1).astype(np.int64), weight


@evaluates(Resize)
def resize(op: Resize, x: np.ndarray) -> np.ndarray:
    for i in range(len(op.sizes)):
        axis, n = 3 + i, op.x.shape[2 + i]
        position = positions(op.coordinates, n, op.sizes[i], op.scales[i])
        if op.mode == "nearest":
            x = np.take(x, nearest_indices(position, op.nearest, n), axis=axis)
        elif op.mode == "linear":
            position = np.clip(position, 0, n - 1)
            low = np.floor(position).astype(np.int64)
            high = np.minimum(low + 1, n - 1)
            weight = (position - low).astype(x.dtype).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
            x = np.take(x, low, axis=axis) * (1 - weight) + np.take(x, high, axis=axis) * weight
        else:
            index, weights = taps("cubic", position, n, cubic_a=op.cubic_a, exclude_outside=op.exclude_outside)
            shape = [-1 if k == axis else 1 for k in range(x.ndim)]
            columns = zip(index.T, weights.astype(x.dtype).T, strict=True)
            parts = [np.take(x, place, axis=axis) * w.reshape(shape) for place, w in columns]
            x = parts[0] + parts[1] + parts[2] + parts[3]
    return x.astype(op.format.dtype)
