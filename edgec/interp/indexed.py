"""Computed indices, ordering, running totals."""

from __future__ import annotations

import numpy as np

from edgec.interp.registry import evaluates
from edgec.ops import Cumulate, Scatter, Take, TopK


def _from_end(indices: np.ndarray, n: int) -> np.ndarray:
    wide = indices.astype(np.int64)
    return np.where(wide < 0, wide + n, wide)


@evaluates(Take)
def take(op: Take, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    axis = op.axis % len(op.x.shape)
    n = op.x.shape[axis]
    frames = max(x.shape[0], indices.shape[0])
    shape = (frames, *op.shape)
    if not op.tensor.size:
        return np.zeros(shape, x.dtype)
    inside = np.clip(_from_end(indices, n), 0, n - 1).reshape(indices.shape[0], 1, -1, 1)
    flat = x.reshape(x.shape[0], int(np.prod(op.x.shape[:axis])), n, -1)
    rows = np.arange(x.shape[0]).reshape(-1, 1, 1, 1)
    columns, tails = np.arange(flat.shape[1]).reshape(1, -1, 1, 1), np.arange(flat.shape[3])
    return flat[rows, columns, inside, tails].reshape(shape)


@evaluates(Scatter)
def scatter(op: Scatter, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    n = op.x.shape[0]
    frames = max(x.shape[0], indices.shape[0], updates.shape[0])
    y = np.array(np.broadcast_to(x, (frames, *x.shape[1:])))
    where, given = (np.broadcast_to(a, (frames, *a.shape[1:])) for a in (_from_end(indices, n), updates))
    fmt = op.format
    for target, places, rows in zip(y, where, given, strict=True):
        inside = (places >= 0) & (places < n)
        places, rows = places[inside], rows[inside]
        if op.reduction == "none":
            target[places] = rows
        elif op.reduction == "add" and not fmt.is_float:
            total = target.astype(np.int64)
            np.add.at(total, places, rows.astype(np.int64))
            target[...] = fmt.codes_of_levels(fmt.clip_levels(total, "wrap"))
        elif fmt.is_float:
            function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[op.reduction]
            function.at(target, places, rows)
        else:
            levels = fmt.levels(target)
            (np.maximum if op.reduction == "max" else np.minimum).at(levels, places, fmt.levels(rows))
            target[...] = fmt.codes_of_levels(levels)
    return y


@evaluates(TopK)
def top_k(op: TopK, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    axis = op.axis % len(op.x.shape) + 1
    values = x if op.x.format.is_float else op.x.format.levels(x)
    order = np.argsort(-values if op.largest else values, axis=axis, kind="stable")
    order = np.take(order, np.arange(op.k), axis=axis)
    index = op.type.elements[1].format  # type: ignore[union-attr]
    return np.take_along_axis(x, order, axis=axis), order.astype(index.dtype)


@evaluates(Cumulate)
def cumulate(op: Cumulate, x: np.ndarray) -> np.ndarray:
    axis = op.axis % len(op.x.shape) + 1
    values = x if op.format.is_float else op.x.format.levels(x)
    if op.reverse:
        values = np.flip(values, axis)
    if op.exclusive:
        first = (
            np.full_like(np.take(values, [0], axis=axis), 0 if op.function == "sum" else 1) if values.size else values
        )
        values = np.concatenate([first, np.delete(values, -1, axis=axis)], axis=axis) if values.size else values
    total = (np.cumsum if op.function == "sum" else np.cumprod)(values, axis=axis, dtype=values.dtype)
    if op.reverse:
        total = np.flip(total, axis)
    if op.format.is_float:
        return total
    if op.out is not None:
        total = op.format.clip_levels(total, op.out.overflow)
    return op.format.codes_of_levels(total)
