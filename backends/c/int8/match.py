"""Which steps the vector code for 8-bit integers can do, and with what numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.codes import plain
from edgec.backends.c.vector.layer import Layer, fits, weights_of
from edgec.backends.c.vector.place import runs
from edgec.formats import Format
from edgec.ops import Clip, Constant, Conv, Dense, Op, Relu, Requantize, centered_range, clip_levels

WORD = 1 << 31
SHIFTS = (4, 8, 2, 6, 10, 12, 1, 3, 5, 7, 9, 11, 13, 14, 15, 16)
"""Shifts that are tried for all channels of a layer."""
EXACT = -1
"""In place of a common shift: products in 64 bits, with an offset."""


@dataclass(frozen=True, eq=False)
class ByteLayer(Layer):
    """A convolution or dense layer as integers: y = clamp(((x . w + bias) * multiplier) >> (31 + shift) + zero).

    With an `offset` [O]: clamp(((x . w + bias) * multiplier + offset) >> shift + zero).

    `weights` are int8, or int16 where some are +128; `bias`, `multiplier`, `shift` [O] int32 for codes of x without
    their zero point subtracted; the shift rounds halves up."""

    LANES = 16

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    zero: int
    offset: NDArray[np.int64] | None = None

    @property
    def clamp(self) -> str:
        """int8 saturation does it where lo..hi are all codes."""
        return "clamp" if (self.lo, self.hi) != (-128, 127) else ""

    @cached_property
    def common_shift(self) -> int:
        """A shift that all channels can share exactly, so that it narrows to 16 bits at once; 0 where there is none,
        `EXACT` where there is an offset.

        Few different ones, so that layers share code: the multipliers of such a layer are those of `shared`."""
        if self.offset is not None:
            return EXACT
        for shift in SHIFTS:
            if self._fits(shift):
                return shift
        return 0

    def _fits(self, shift: int) -> bool:
        up = shift - self.shift
        exact = (up >= 0) | (self.multiplier % (1 << np.maximum(-up, 0)) == 0)
        return bool((exact & (np.abs(self.multiplier) << np.maximum(up, 0) < WORD) | (self.multiplier == 0)).all())

    @property
    def shared(self) -> NDArray[np.int64]:
        """The multipliers for `common_shift`."""
        up = self.common_shift - self.shift if self.common_shift > 0 else np.zeros_like(self.shift)
        return np.where(up >= 0, self.multiplier << np.maximum(up, 0), self.multiplier >> np.maximum(-up, 0))


def matched(ops: tuple[Op, ...], window_fits: Callable[[Conv], bool] | None = None) -> ByteLayer | None:
    """The layer of a step's ops, None where the vector code cannot do it, for whose windows `window_fits` speaks."""
    op = ops[0]
    if not isinstance(op, Conv | Dense) or len(ops) < 2 or not isinstance(ops[1], Requantize):
        return None
    rescale = ops[1]
    if not (signed_byte(op.x.format) and signed_byte(rescale.format) and isinstance(op.w, Constant)):
        return None
    if not fits(op) or (isinstance(op, Conv) and not (window_fits or _window_fits)(op)):
        return None
    sums = _sums(op)
    scaled = rescaling(rescale, len(op.w.data))
    bounds = clamp_of(ops, rescale)
    if sums is None or scaled is None or bounds is None:
        return None
    weights, bias = sums
    multiplier, shift, offset = scaled
    negated = _negated(weights)
    sign = np.where(negated, -1, 1)
    weights = np.where(negated[:, None, None, None], -weights, weights)
    pad, zero = (int(fmt.zero_point_array[0]) for fmt in (op.x.format, rescale.format))
    layer = ByteLayer(op, _narrow(weights), bias * sign, *bounds, pad, multiplier * sign, shift, zero, offset)
    if layer.weights.dtype != np.int8 and (layer.depthwise or runs(layer)[1] > 1):
        return None
    return layer


def _negated(w: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Channels that fit into bytes the other way round: with +128, without -128."""
    flat = w.reshape(len(w), -1)
    return (flat.max(axis=1, initial=0) > 127) & (flat.min(axis=1, initial=0) > -128)


def _narrow(w: NDArray[np.int16]) -> NDArray[np.integer]:
    return w.astype(np.int8) if w.max(initial=0) <= 127 else w


def signed_byte(fmt: Format) -> bool:
    return fmt.dtype == np.int8 and plain(fmt) and fmt.zero_point_array.size == 1


def _window_fits(op: Conv) -> bool:
    if op.groups == 1:
        return True
    return op.w.shape[2:] == (3, 3) and op.dilations == (1, 1) and _depthwise_blocks(op)


def _depthwise_blocks(op: Conv) -> bool:
    """Whether 16 lanes can be filled: 16 channels or more, or two neighbouring places of 8."""
    channels, width = op.groups, op.shape[3]
    horizontal = op.strides[1]
    if channels >= 16:
        return horizontal in (1, 2)
    return channels == 8 and horizontal == 1 and width > 1


def bias_of(op: Conv | Dense) -> NDArray[np.int64] | None:
    """The bias in units of the products; None for one that is computed or finer."""
    if op.b is None:
        return np.zeros(len(op.w.data), np.int64)  # type: ignore[attr-defined]
    if not isinstance(op.b, Constant):
        return None
    x, k = op.x.format.frac, op.w.format.frac
    if x is None or k is None or op.b.format.frac is None:
        return op.b.levels
    return None if op.b.format.frac > x + k else op.b.levels << (x + k - op.b.format.frac)


def _sums(op: Conv | Dense) -> tuple[NDArray[np.int16], NDArray[np.int64]] | None:
    """Weights [O, kH, kW, C], -128 to 128, and the bias that makes up for the zero point of x; None beyond 32-bit
    sums."""
    assert isinstance(op.w, Constant)
    w = op.w.levels
    if w.min(initial=0) < -128 or w.max(initial=0) > 128:
        return None
    w = weights_of(op, w)
    flat = w.reshape(len(w), -1)
    bias = bias_of(op)
    if bias is None:
        return None
    lo, hi = centered_range(op.x.format)
    most = np.abs(flat).sum(axis=1) * max(abs(lo), abs(hi)) + np.abs(bias)
    bias = bias - flat.sum(axis=1) * int(op.x.format.zero_point_array[0])
    if most.max(initial=0) >= WORD or np.abs(bias).max(initial=0) >= WORD:
        return None
    return w.astype(np.int16), bias


def rescaling(
    op: Requantize, channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None] | None:
    """Multiplier, shift and offset of every channel, these for SQDMULH and SRSHL where there is no offset: one of zeros
    for what these cannot do exactly; None for what nothing can."""
    if not isinstance(op.multiplier, Constant) or not isinstance(op.shift, Constant):
        return None
    if not (op.offset is None or isinstance(op.offset, Constant)):
        return None
    if op.out.rounding != "half_up" or op.out.overflow != "saturate":
        return None
    parameters = [p for p in (op.multiplier, op.shift, op.offset) if p is not None]
    by_channel = channels > 1 and any(p.data.size > 1 for p in parameters)
    if by_channel and op.axis % len(op.shape) != (1 if isinstance(op.x, Conv) else len(op.shape) - 1):
        return None
    multiplier, shift, *offset = (np.broadcast_to(p.data.astype(np.int64), channels).copy() for p in parameters)
    if offset:
        return _in_64_bits(multiplier, shift, offset[0])
    up = np.zeros(channels, np.int64)
    while True:
        can = (np.abs(multiplier) << (up + 1) < WORD) & (multiplier != 0)
        if not can.any():
            break
        up += can
    right = shift + up - 31
    right[multiplier == 0] = 1
    if (right < 1).any() or (np.abs(multiplier << up) >= WORD).any():
        return _in_64_bits(multiplier, shift, np.zeros(channels, np.int64))
    return multiplier << up, np.minimum(right, 32), None


def _in_64_bits(
    multiplier: NDArray[np.int64], shift: NDArray[np.int64], offset: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """The same numbers, where products and offsets fit into 64 bits together."""
    small = np.abs(multiplier).max() < WORD and np.abs(offset).max() < 1 << 62
    return (multiplier, shift, offset) if small and shift.min() >= 0 and shift.max() <= 62 else None


def table_of(layer: ByteLayer, channels: slice | NDArray, count: int) -> NDArray[np.int32]:
    """Bias, multiplier, minus shift of `channels`, zero up to `count`; behind them the offsets, 64 bits each."""
    rows = np.stack([layer.bias, layer.shared, -layer.shift])[:, channels]
    table = np.pad(rows, ((0, 0), (0, count - rows.shape[1]))).astype(np.int32)
    if layer.offset is None:
        return table
    offset = np.pad(layer.offset[channels], (0, count - rows.shape[1])).astype("<i8").view("<i4").astype(np.int32)
    return np.concatenate([table, offset.reshape(2, count)])


def clamp_of(ops: tuple[Op, ...], rescale: Requantize) -> tuple[int, int] | None:
    """Codes that the clamps behind the rescaling leave; None for other ops there."""
    lo, hi = rescale.format.level_range
    zero = int(rescale.format.zero_point_array[0])
    for op in ops[2:]:
        if isinstance(op, Relu):
            lo = max(lo, zero)
        elif isinstance(op, Clip):
            low, high = clip_levels(op.format, op.lo, op.hi)
            lo, hi = max(lo, low), min(hi, high)
        else:
            return None
    return (lo, hi) if lo <= hi else None
