"""Pooling and reductions."""

from __future__ import annotations

import numpy as np

from edgec.formats import Quantizer
from edgec.interp.mac import requantize_dyadic
from edgec.interp.registry import align, evaluates, frame_levels
from edgec.ops import ArgMax, AvgPool, MaxPool, Normalize, Reduce
from edgec.rounding import divide_round


def _patches(op: MaxPool | AvgPool, x: np.ndarray, fill: float) -> np.ndarray:
    """Windows of x [F, N, C, *S] as [F, N, C, *T, *K]; `fill` stands outside the tensor."""
    rank = len(op.kernel)
    span = [d * (k - 1) + 1 for d, k in zip(op.dilations, op.kernel, strict=True)]
    pads = [(0, 0)] * 3
    for i in range(rank):
        need = (op.shape[2 + i] - 1) * op.strides[i] + span[i]  # ceil mode may reach beyond the end padding
        pads.append((op.pads[i], max(need - op.x.shape[2 + i] - op.pads[i], 0)))
    if any(p != (0, 0) for p in pads):
        x = np.pad(x, pads, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=tuple(range(3, 3 + rank)))
    index = (slice(None),) * 3 + tuple(
        slice(None, (n - 1) * s + 1, s) for n, s in zip(op.shape[2:], op.strides, strict=True)
    )
    return view[index + tuple(slice(None, None, d) for d in op.dilations)]


@evaluates(MaxPool)
def max_pool(op: MaxPool, x: np.ndarray) -> np.ndarray:
    axes = tuple(range(-len(op.kernel), 0))
    if op.format.is_float:
        return _patches(op, x, -np.inf).max(axis=axes)
    levels = op.format.levels(x)
    return op.format.codes_of_levels(_patches(op, levels, op.format.level_range[0]).max(axis=axes))


def window_counts(op: AvgPool) -> np.ndarray:
    """Divisor of every output position, [*T]: elements inside the tensor (and the stated padding if counted)."""
    rank = len(op.kernel)
    per_axis = []
    for i in range(rank):
        n = op.x.shape[2 + i]
        lo, hi = (-op.pads[i], n + op.pads[i + rank]) if op.count_include_pad else (0, n)
        starts = np.arange(op.shape[2 + i]) * op.strides[i] - op.pads[i]
        taps = starts[:, None] + np.arange(op.kernel[i]) * op.dilations[i]
        per_axis.append(((taps >= lo) & (taps < hi)).sum(axis=1))
    counts = per_axis[0]
    for axis in per_axis[1:]:
        counts = counts[..., None] * axis
    return counts


@evaluates(AvgPool)
def avg_pool(op: AvgPool, x: np.ndarray) -> np.ndarray:
    axes = tuple(range(-len(op.kernel), 0))
    counts = window_counts(op)
    if op.format.is_float:
        return (_patches(op, x, 0.0).sum(axis=axes) / counts.astype(x.dtype)).astype(x.dtype)
    total = _patches(op, frame_levels(x, op.x), 0).sum(axis=axes)
    quantizer = op.out or Quantizer(op.format)
    source, target = op.x.format, quantizer.format
    up = (target.frac or 0) - (source.frac or 0) if source.frac is not None and target.frac is not None else 0
    numerator, divisor = (total << up, counts) if up >= 0 else (total, counts << -up)
    levels = divide_round(numerator, divisor.astype(np.int64), quantizer.rounding)
    levels = levels + target.zero_point_array.reshape(1)
    return target.codes_of_levels(target.clip_levels(levels, quantizer.overflow))


@evaluates(Reduce)
def reduce(op: Reduce, x: np.ndarray) -> np.ndarray:
    axes = tuple(a % len(op.x.shape) + 1 for a in op.axes)
    fmt = op.x.format
    keep = op.keepdims
    if not fmt.is_float:
        levels = frame_levels(x, op.x) if op.function == "sum" else fmt.levels(x)
        if op.function == "sum":
            result = levels.sum(axis=axes, keepdims=keep)
        else:
            function, start = (np.max, fmt.level_range[0]) if op.function == "max" else (np.min, fmt.level_range[1])
            result = function(levels, axis=axes, keepdims=keep, initial=start)
        if op.out is not None:
            result = requantize_dyadic(result, fmt.frac or 0, op.out)
        return op.format.codes_of_levels(result)
    match op.function:
        case "sum":
            y = x.sum(axis=axes, keepdims=keep)
        case "mean":
            y = x.mean(axis=axes, keepdims=keep)
        case "max":
            y = x.max(axis=axes, keepdims=keep, initial=-np.inf)
        case "min":
            y = x.min(axis=axes, keepdims=keep, initial=np.inf)
        case "prod":
            y = x.prod(axis=axes, keepdims=keep)
        case "l1":
            y = np.abs(x).sum(axis=axes, keepdims=keep)
        case "l2":
            y = np.sqrt((x * x).sum(axis=axes, keepdims=keep))
        case "sum_square":
            y = (x * x).sum(axis=axes, keepdims=keep)
        case "log_sum":
            y = np.log(x.sum(axis=axes, keepdims=keep))
        case _:
            top = x.max(axis=axes, keepdims=True, initial=-np.inf)
            top = np.where(np.isfinite(top), top, x.dtype.type(0))
            y = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
            y = y if keep else y.reshape(x.shape[0], *op.shape)
    return np.asarray(y, op.format.dtype)


@evaluates(ArgMax)
def arg_max(op: ArgMax, x: np.ndarray) -> np.ndarray:
    axis = op.axis % len(op.x.shape) + 1
    values = x if op.x.format.is_float else op.x.format.levels(x)
    values = -values if op.smallest else values
    if op.select_last:
        index = values.shape[axis] - 1 - np.argmax(np.flip(values, axis), axis=axis)
    else:
        index = np.argmax(values, axis=axis)
    if op.keepdims:
        index = np.expand_dims(index, axis)
    return index.astype(op.format.dtype)


@evaluates(Normalize)
def normalize(op: Normalize, x: np.ndarray, scale: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    rank = len(op.shape)
    axes = tuple(range(op.axis % rank + 1, rank + 1))
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    var = (centred * centred).mean(axis=axes, keepdims=True)
    y = centred / np.sqrt(var + x.dtype.type(op.epsilon)) * align(scale, rank)
    return (y if bias is None else y + align(bias, rank)).astype(op.format.dtype)
