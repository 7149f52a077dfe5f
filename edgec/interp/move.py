"""Ops that move values: they work on codes of any format."""

from __future__ import annotations

import numpy as np

from edgec.interp.registry import align, evaluates
from edgec.ops import Concat, Expand, Gather, Get, Pad, Reshape, Slice, Split, Transpose
from edgec.ops.shape import fill_code


@evaluates(Reshape)
def reshape(op: Reshape, x: np.ndarray) -> np.ndarray:
    return x.reshape(x.shape[0], *op.shape)


@evaluates(Transpose)
def transpose(op: Transpose, x: np.ndarray) -> np.ndarray:
    return x.transpose(0, *(p + 1 for p in op.perm))


@evaluates(Concat)
def concat(op: Concat, *xs: np.ndarray) -> np.ndarray:
    frames = max(x.shape[0] for x in xs)
    return np.concatenate([np.broadcast_to(x, (frames, *x.shape[1:])) for x in xs], axis=op.axis % len(op.shape) + 1)


@evaluates(Slice)
def slice_(op: Slice, x: np.ndarray) -> np.ndarray:
    return x[(slice(None), *op.slices())]


@evaluates(Pad)
def pad(op: Pad, x: np.ndarray) -> np.ndarray:
    rank = len(op.x.shape)
    crop = tuple(
        slice(max(-op.pads[i], 0), n - max(-op.pads[i + rank], 0) if op.pads[i + rank] < 0 else None)
        for i, n in enumerate(op.x.shape)
    )
    x = x[(slice(None), *crop)]
    grow = [(0, 0)] + [(max(op.pads[i], 0), max(op.pads[i + rank], 0)) for i in range(rank)]
    if all(amount == (0, 0) for amount in grow):
        return x
    if op.mode == "constant":
        return np.pad(x, grow, constant_values=fill_code(op.format, op.value))
    return np.pad(x, grow, mode=op.mode)  # type: ignore[call-overload]


@evaluates(Gather)
def gather(op: Gather, x: np.ndarray) -> np.ndarray:
    axis = op.axis % len(op.x.shape) + 1
    indices = np.array(op.indices, np.int64)
    y = np.take(x, np.maximum(indices, 0), axis=axis)
    holes = np.flatnonzero(indices < 0)
    if holes.size:
        y[(slice(None),) * axis + (holes,)] = fill_code(op.format, 0.0)
    return y


@evaluates(Expand)
def expand(op: Expand, x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(align(x, len(op.shape)), (x.shape[0], *op.shape))


@evaluates(Split)
def split(op: Split, x: np.ndarray) -> tuple[np.ndarray, ...]:
    axis = op.axis % len(op.x.shape) + 1
    return tuple(np.split(x, np.cumsum(op.sizes)[:-1], axis=axis))


@evaluates(Get)
def get(op: Get, x: tuple[np.ndarray, ...]) -> np.ndarray:
    return x[op.index]
