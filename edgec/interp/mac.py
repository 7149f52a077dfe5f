"""Multiply-accumulate ops in exact integers.

A matrix product whose sums provably stay below 2**24 (2**53) is computed by the float32 (float64) BLAS, which is
then exact; everything else runs in int64.
"""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import Quantizer
from edgec.interp.registry import align, evaluates, frame_levels
from edgec.ops import Conv, ConvTranspose, Dense, MatMul
from edgec.rounding import shift_round


def requantize_dyadic(levels: np.ndarray, frac: int, quantizer: Quantizer) -> np.ndarray:
    """Integer `levels` with `frac` fraction bits brought to the levels of `quantizer.format`."""
    target = quantizer.format
    shifted = shift_round(levels, frac - (target.frac or 0), quantizer.rounding)
    return target.clip_levels(shifted, quantizer.overflow)


def integer_matmul(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x [..., K] @ w [K, O] of int64 levels, exact, int64."""
    if not x.size or not w.size:
        return np.matmul(x, w)
    terms = max(x.shape[-1], 1)
    bound = int(np.abs(x).max()) * int(np.abs(w).max()) * terms
    for dtype, exact in ((np.float32, 1 << 24), (np.float64, 1 << 53)):
        if bound < exact:
            return np.matmul(x.astype(dtype), w.astype(dtype)).astype(np.int64)
    return np.matmul(x, w)


def _sum_products(op: Dense | Conv, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Sum over the last axis of x [..., K] times w [K, O], products rounded where stated; its fraction bits."""
    x_frac, w_frac = op.x.format.frac, op.w.format.frac
    frac = x_frac + w_frac if x_frac is not None and w_frac is not None else None
    if op.product is None:
        return integer_matmul(x, w), frac
    assert frac is not None, "checked by infer"
    total = np.zeros((*x.shape[:-1], w.shape[1]), np.int64)
    for k in range(w.shape[0]):  # one outer product at a time keeps the rounded products exact and small
        total += requantize_dyadic(x[..., k, None] * w[k], frac, op.product)
    return total, op.product.format.frac


def _finish(op: Dense | Conv, total: np.ndarray, frac: int | None, bias: np.ndarray | None) -> np.ndarray:
    """Add the bias (levels shaped to broadcast), apply `acc` and `out`, and return codes."""
    if bias is not None:
        assert op.b is not None
        bias_frac = op.b.format.frac
        if frac is None or bias_frac is None:
            total = total + bias
        else:
            common = max(frac, bias_frac)
            total = (total << (common - frac)) + (bias << (common - bias_frac))
            frac = common
    for quantizer in (op.acc, op.out):
        if quantizer is not None:
            assert frac is not None, "checked by infer"
            total = requantize_dyadic(total, frac, quantizer)
            frac = quantizer.format.frac
    return op.format.codes_of_levels(total)


def _wide(x: np.ndarray) -> np.ndarray:
    """Halves as binary32, in which their sums of products are; these are rounded once."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


@evaluates(Dense)
def dense(op: Dense, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    if op.format.is_float:
        x, w, b = _wide(x), _wide(w), None if b is None else _wide(b)
        y = np.matmul(x, w[0].T if w.shape[0] == 1 else np.swapaxes(w, -1, -2))
        return (y if b is None else y + align(b, len(op.shape))).astype(op.format.dtype)
    levels_x = frame_levels(x, op.x)
    levels_w = frame_levels(w, op.w)
    if w.shape[0] != 1:
        raise op.error("weights that change from frame to frame need matmul")
    total, frac = _sum_products(op, levels_x, np.ascontiguousarray(levels_w[0].T))
    bias = None if b is None else align(frame_levels(b, op.b), len(op.shape))  # type: ignore[arg-type]
    return _finish(op, total, frac, bias)


def windows(x: np.ndarray, op: Conv) -> np.ndarray:
    """Patches of x [B, C, *S] (already centred or float) as a view [B, C, *T, *K]; padding adds zeros."""
    rank = x.ndim - 2
    pads = [(0, 0), (0, 0)] + [(op.pads[i], op.pads[i + rank]) for i in range(rank)]
    if any(p != (0, 0) for p in pads):
        x = np.pad(x, pads)
    span = [d * (k - 1) + 1 for d, k in zip(op.dilations, op.w.shape[2:], strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=tuple(range(2, 2 + rank)))
    index = (slice(None), slice(None), *(slice(None, None, s) for s in op.strides))
    return view[index + tuple(slice(None, None, d) for d in op.dilations)]


@evaluates(Conv)
def conv(op: Conv, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    if w.shape[0] != 1:
        raise op.error("weights that change from frame to frame are not supported")
    frames, rank = x.shape[0], len(op.x.shape) - 2
    is_float = op.format.is_float
    if is_float:
        x, w, b = _wide(x), _wide(w), None if b is None else _wide(b)
    levels = x if is_float else frame_levels(x, op.x)
    batch = levels.reshape(-1, *op.x.shape[1:])
    weights = w[0] if is_float else frame_levels(w, op.w)[0]
    groups, outputs = op.groups, op.w.shape[0]
    patches = windows(batch, op)  # [B, C, *T, *K]
    spatial = patches.shape[2 : 2 + rank]
    frac: int | None = None
    if groups > 1 and op.w.shape[1] == 1 and op.product is None:
        total, frac = _depthwise(op, patches, weights)
    else:
        per_group = op.w.shape[1]
        parts = []
        for g in range(groups):
            part = patches[:, g * per_group : (g + 1) * per_group]
            axes = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
            rows = part.transpose(axes).reshape(-1, op.terms)
            kernel = weights[g * outputs // groups : (g + 1) * outputs // groups].reshape(-1, op.terms).T
            if is_float:
                parts.append(rows @ kernel)
            else:
                partial, frac = _sum_products(op, rows, np.ascontiguousarray(kernel))
                parts.append(partial)
        joined = parts[0] if groups == 1 else np.concatenate(parts, axis=-1)
        total = np.moveaxis(joined.reshape(-1, math.prod(spatial), outputs), 1, 2)
    total = total.reshape(frames, op.x.shape[0], outputs, *spatial)
    bias_shape = (-1, 1, outputs) + (1,) * rank  # a bias may change from frame to frame
    if is_float:
        return (total if b is None else total + b.reshape(bias_shape)).astype(op.format.dtype)
    bias = None if b is None else frame_levels(b, op.b).reshape(bias_shape)  # type: ignore[arg-type]
    return _finish(op, total, frac, bias)


def _depthwise(op: Conv, patches: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int | None]:
    """One input channel a group: sum over the taps, vectorised over channels. [B, O, T...] flattened in T."""
    rank = len(op.x.shape) - 2
    multiplier = op.w.shape[0] // op.groups
    if multiplier > 1:
        patches = np.repeat(patches, multiplier, axis=1)
    taps = math.prod(op.w.shape[2:])
    spatial = patches.shape[2 : 2 + rank]
    flat = patches.reshape(*patches.shape[:2], math.prod(spatial), taps)
    kernel = weights.reshape(-1, 1, taps)
    total = np.zeros(flat.shape[:3], flat.dtype)
    for tap in range(taps):
        total += flat[..., tap] * kernel[..., tap]
    x_frac, w_frac = op.x.format.frac, op.w.format.frac
    return total, x_frac + w_frac if x_frac is not None and w_frac is not None else None


@evaluates(ConvTranspose)
def conv_transpose(op: ConvTranspose, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    rank = len(op.x.shape) - 2
    x, w, b = _wide(x), _wide(w), None if b is None else _wide(b)
    batch = x.reshape(-1, *op.x.shape[1:])
    weights, groups = w[0], op.groups
    channels, out_per_group = op.w.shape[0] // groups, op.w.shape[1]
    full = [
        s * (n - 1) + o + d * (k - 1) + 1
        for n, k, s, d, o in zip(
            op.x.shape[2:], op.w.shape[2:], op.strides, op.dilations, op.output_padding, strict=True
        )
    ]
    total = np.zeros((batch.shape[0], out_per_group * groups, *full), batch.dtype)
    for g in range(groups):
        part = batch[:, g * channels : (g + 1) * channels]
        kernel = weights[g * channels : (g + 1) * channels]
        for tap in np.ndindex(*op.w.shape[2:]):
            spread = np.einsum("bc...,co->bo...", part, kernel[(slice(None), slice(None), *tap)])
            place = tuple(
                slice(t * d, t * d + s * (n - 1) + 1, s)
                for t, d, s, n in zip(tap, op.dilations, op.strides, op.x.shape[2:], strict=True)
            )
            total[(slice(None), slice(g * out_per_group, (g + 1) * out_per_group), *place)] += spread
    crop = tuple(slice(op.pads[i], full[i] - op.pads[i + rank]) for i in range(rank))
    y = total[(slice(None), slice(None), *crop)].reshape(x.shape[0], *op.shape)
    return (y if b is None else y + b.reshape((1, 1, -1) + (1,) * rank)).astype(op.format.dtype)


@evaluates(MatMul)
def matmul(op: MatMul, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rank = max(len(op.x.shape), len(op.y.shape))
    return np.matmul(align(x, rank), align(y, rank))
