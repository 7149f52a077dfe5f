"""From calibrated ranges to number formats: the arithmetic of post-training quantisation, vectorised.

Activations get one format per tensor, weights symmetric scales per output channel or per tensor. `mse` minimises
the mean squared error over a grid of clipping ranges. Scales are float32 numbers, so that every export carries
exactly the same value.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from edgec.formats import Affine, Fixed, Format, Integer
from edgec.passes._calibrate import Statistics

Kind = Literal["affine", "fixed"]
Method = Literal["minmax", "percentile", "mse"]

SMALLEST_SCALE = 2.0**-100
RATIOS = np.linspace(0.15, 1.0, 35)
"""Share of the full range that the mse search tries to keep."""
SEARCH_SAMPLE = 1 << 14
"""Values per tensor, and weights per channel, that the mse search looks at."""


def float32(scale: float) -> float:
    """The nearest float32 to a positive scale, never zero."""
    return float(np.float32(max(scale, SMALLEST_SCALE)))


def largest_frac(lo: float, hi: float, base: Integer) -> int:
    """The most fraction bits with which `base` still holds lo..hi after rounding to nearest."""
    qmin, qmax = base.code_range
    size = max(abs(lo), abs(hi))
    if size < SMALLEST_SCALE:
        return base.bits - base.signed
    frac = math.floor(math.log2((qmax + 1) / size)) + 1
    while round(hi * 2.0**frac) > qmax or round(lo * 2.0**frac) < qmin:
        frac -= 1
    return frac


def activation_format(
    seen: Statistics, kind: Kind, bits: int, method: Method, percentile: float, symmetric: bool
) -> Format:
    """The format of a tensor (or of several that share it); zero is always one of its values."""
    lo, hi = min(seen.lo, 0.0), max(seen.hi, 0.0)
    if method == "percentile" and (sample := seen.sample).size:
        low, high = np.percentile(sample, [100 - percentile, percentile])
        lo, hi = min(float(low), 0.0), max(float(high), 0.0)
    base = Integer(bits, signed_=lo < 0)
    sample = _thinned(seen.sample) if method == "mse" else np.zeros(0)
    if kind == "fixed":
        frac = largest_frac(lo, hi, base)
        if sample.size:
            frac += int(np.argmin([_error(sample, 2.0 ** -(frac + k), 0, base) for k in range(5)]))
        return Fixed(bits, bits - frac, base.signed)
    if sample.size and hi > lo:
        lo, hi = _search(sample, lo, hi, base, symmetric)
    scale, zero = affine_parameters(lo, hi, base, symmetric)
    return Affine(base, (scale,), (zero,))


def affine_parameters(lo: float, hi: float, base: Integer, symmetric: bool) -> tuple[float, int]:
    """Scale and zero point that map lo..hi (zero inside) onto the codes of `base`."""
    qmin, qmax = base.code_range
    if hi <= lo:
        return 1.0, 0
    if not base.signed:
        return float32(hi / qmax), 0
    if symmetric:
        return float32(max(hi / qmax, -lo / -qmin if -lo > hi else 0.0)), 0
    scale = float32((hi - lo) / (qmax - qmin))
    return scale, min(max(round(qmin - lo / scale), qmin), qmax)


def _search(sample: np.ndarray, lo: float, hi: float, base: Integer, symmetric: bool) -> tuple[float, float]:
    """The clipping range with the least squared error: both ends together first, then each alone."""

    def best(lows: np.ndarray, highs: np.ndarray) -> tuple[float, float]:
        errors = []
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            scale, zero = affine_parameters(low, high, base, symmetric)
            errors.append(_error(sample, scale, zero, base))
        at = int(np.argmin(errors))
        return float(lows[at]), float(highs[at])

    lo, hi = best(lo * RATIOS, hi * RATIOS)
    if lo < 0 < hi and not symmetric:
        steps = np.linspace(0.5, 1.25, 16)
        lo, hi = best(np.full(16, lo), hi * steps)
        lo, hi = best(lo * steps, np.full(16, hi))
    return lo, hi


def _error(sample: np.ndarray, scale: float, zero: int, base: Integer) -> float:
    """Mean squared error of `sample` through round-to-nearest codes."""
    qmin, qmax = base.code_range
    levels = np.rint(sample / np.float32(scale))
    np.clip(levels, qmin - zero, qmax - zero, out=levels)
    levels *= np.float32(scale)
    levels -= sample
    return float(np.dot(levels, levels)) / max(sample.size, 1)


def _thinned(sample: np.ndarray) -> np.ndarray:
    if sample.size <= SEARCH_SAMPLE:
        return sample.astype(np.float32)
    return np.random.default_rng(0).choice(sample, SEARCH_SAMPLE, replace=False).astype(np.float32)


def weight_scales(rows: np.ndarray, base: Integer, method: Method) -> np.ndarray:
    """Symmetric scales float64 [O] of weights float32 [O, K]; rows of zeros get the scale of a typical row."""
    qmax = base.code_range[1]
    largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0)).astype(np.float64)
    scales = largest / qmax
    if method == "mse" and rows.shape[1]:
        scales = scales * _weight_ratios(rows, scales, base)
    alive = scales > SMALLEST_SCALE
    typical = float(np.median(scales[alive])) if alive.any() else 1.0
    return np.where(alive, scales, typical).astype(np.float32).astype(np.float64)


def _weight_ratios(rows: np.ndarray, scales: np.ndarray, base: Integer) -> np.ndarray:
    """For every row the share of its scale with the least squared error."""
    if rows.shape[1] > SEARCH_SAMPLE:
        rows = rows[:, np.random.default_rng(0).permutation(rows.shape[1])[:SEARCH_SAMPLE]]
    full = np.maximum(scales, SMALLEST_SCALE).astype(np.float32)[:, None]
    qmin, qmax = base.code_range
    errors = np.empty((RATIOS.size, rows.shape[0]))
    for k, ratio in enumerate(RATIOS.astype(np.float32)):
        step = full * ratio
        levels = np.rint(rows / step)
        np.clip(levels, qmin, qmax, out=levels)
        levels *= step
        levels -= rows
        errors[k] = np.einsum("ok,ok->o", levels, levels)
    return RATIOS[errors.argmin(axis=0)]


def weight_frac(weights: np.ndarray, base: Integer, method: Method) -> int:
    """Fraction bits of power-of-two scaled weights, one for the tensor."""
    frac = largest_frac(float(weights.min(initial=0)), float(weights.max(initial=0)), base)
    if method == "mse" and weights.size:
        sample = _thinned(weights.reshape(-1))
        frac += int(np.argmin([_error(sample, 2.0 ** -(frac + k), 0, base) for k in range(5)]))
    return frac


def encode(values: np.ndarray, scales: np.ndarray, base: Integer) -> np.ndarray:
    """Codes of `values` [O, ...] float32, nearest (ties to even), saturating; `scales` [1] or [O]."""
    levels = values / scales.astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
    np.rint(levels, out=levels)
    np.clip(levels, *map(np.float32, base.code_range), out=levels)
    codes = levels.astype(base.dtype)
    codes.flags.writeable = False
    return codes
