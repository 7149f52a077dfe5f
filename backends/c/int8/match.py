"""Which steps the vector code for 8-bit integers can do, and with what numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.codes import plain
from edgec.backends.c.vector.layer import Layer, fits, weights_of
from edgec.backends.c.vector.place import runs
from edgec.formats import Format
from edgec.ops import Cast, Clip, Constant, Conv, Dense, Op, Relu, Requantize, centered_range, clip_levels

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
    their zero point subtracted; the shift rounds halves up. Where `even` is set it rounds them to even, and is by
    `shift` alone."""

    LANES = 16
    MOST: ClassVar[int] = WORD
    """What sums have to stay below."""
    MOST_SHIFT: ClassVar[int] = 32
    """A shift behind which nothing is left of them."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    zero: int
    even: bool = False
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
            if not self.even and self._fits(shift):
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


BYTE = np.dtype(np.int8)


def matched(
    ops: tuple[Op, ...],
    *,
    even: bool = False,
    grouped: bool = False,
    exact: bool = False,
    dtype: np.dtype = BYTE,
    kind: type[ByteLayer] = ByteLayer,
) -> ByteLayer | None:
    """The layer of a step's ops with activations of `dtype`, None where the vector code cannot do it. `even`: it can
    round halves to even; `grouped`: it can do groups of several channels; `exact`: weights of +128, and products in 64
    bits."""
    op = ops[0]
    if not isinstance(op, Conv | Dense) or len(ops) < 2 or not isinstance(ops[1], Requantize | Cast):
        return None
    rescale = ops[1]
    if not (signed(op.x.format, dtype) and signed(rescale.format, dtype) and isinstance(op.w, Constant)):
        return None
    if not fits(op, grouped=grouped):
        return None
    scaled = rescaling(rescale, len(op.w.data), even, exact, kind.MOST_SHIFT)
    bounds = clamp_of(ops, rescale)
    if scaled is None or bounds is None:
        return None
    lift = np.maximum(1 - scaled.shift, 0) if scaled.offset is None else np.zeros_like(scaled.shift)
    sums = _sums(op, scaled, lift, (np.iinfo(dtype).min, 128 if exact else np.iinfo(dtype).max), kind.MOST)
    if sums is None:
        return None
    weights, bias = sums
    pad, zero = (int(fmt.zero_point_array[0]) for fmt in (op.x.format, rescale.format))
    shift, even = scaled.shift + lift, scaled.even
    if not exact:
        weights = weights.astype(dtype)
        return kind(op, weights, bias, *bounds, pad, scaled.multiplier, shift, zero, even, scaled.offset)
    negated = _negated(weights)
    sign = np.where(negated, -1, 1)
    weights = np.where(negated[:, None, None, None], -weights, weights)
    multiplier = scaled.multiplier * sign
    layer = kind(op, _narrow(weights), bias * sign, *bounds, pad, multiplier, shift, zero, even, scaled.offset)
    if layer.weights.dtype != np.int8 and (layer.depthwise or layer.groups > 1 or runs(layer)[1] > 1):
        return None
    return layer


def _negated(w: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Channels that fit into bytes the other way round: with +128, without -128."""
    flat = w.reshape(len(w), -1)
    return (flat.max(axis=1, initial=0) > 127) & (flat.min(axis=1, initial=0) > -128)


def _narrow(w: NDArray[np.int64]) -> NDArray[np.integer]:
    return w.astype(np.int8) if w.max(initial=0) <= 127 else w.astype(np.int16)


def signed(fmt: Format, dtype: np.dtype = BYTE) -> bool:
    return fmt.dtype == dtype and plain(fmt) and fmt.zero_point_array.size == 1


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


def _sums(
    op: Conv | Dense, scaled: Rescaling, lift: NDArray[np.int64], reach: tuple[int, int], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Weights [O, kH, kW, C] and the bias that makes up for the zero point of x, both times 2^lift; None where weights
    are not in reach, or sums do not stay below the limit.

    Where sums are multiplied by 0, their bias, often the largest code, is left out."""
    assert isinstance(op.w, Constant)
    w = op.w.levels
    if lift.max(initial=0) > 31:
        return None
    w = weights_of(op, w) << lift[:, None, None, None]
    if w.min(initial=0) < reach[0] or w.max(initial=0) > reach[1]:
        return None
    flat = w.reshape(len(w), -1)
    bias = bias_of(op)
    if bias is None or (np.abs(bias) >= limit >> lift).any():
        return None
    bias = np.where(scaled.multiplier != 0, (bias - scaled.less) << lift, 0)
    lo, hi = centered_range(op.x.format)
    most = np.abs(flat).sum(axis=1) * max(abs(lo), abs(hi)) + np.abs(bias)
    bias = bias - flat.sum(axis=1) * int(op.x.format.zero_point_array[0])
    if most.max(initial=0) >= limit or np.abs(bias).max(initial=0) >= limit:
        return None
    return w, bias


class Rescaling(NamedTuple):
    """Multiplier and shift [O] for SQDMULH and SRSHL, which shifts by 1 or more: less is made up by larger sums.

    `even`: halves are rounded to even, by the shift alone. `less` is taken from the sums: half a step turns rounding
    into rounding down. With an `offset` multiplier and shift are for products in 64 bits."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    even: bool = False
    less: NDArray[np.int64] | int = 0
    offset: NDArray[np.int64] | None = None


def rescaling(op: Requantize | Cast, channels: int, even: bool, exact: bool, most: int = 32) -> Rescaling | None:
    """None for what vectors cannot do exactly; products in 64 bits can be had if `exact`. A shift by `most` leaves
    nothing."""
    found = _parameters(op, channels)
    if found is None or op.out.overflow not in ("saturate", "saturate_symmetric"):
        return None
    multiplier, shift, offset = found
    if offset is not None:
        return in_64_bits(multiplier, shift, offset) if exact and op.out.rounding == "half_up" else None
    less: NDArray[np.int64] | int = 0
    if op.out.rounding != "half_up":
        if (multiplier != 1).any() or (shift > 31).any():
            return None
        if op.out.rounding == "half_even" and even:
            return Rescaling(multiplier, shift, True)
        if op.out.rounding != "floor":
            return None
        less = np.where(shift > 0, 1 << np.maximum(shift - 1, 0), 0)
    up = np.zeros(channels, np.int64)
    while True:
        can = (np.abs(multiplier) << (up + 1) < WORD) & (multiplier != 0)
        if not can.any():
            break
        up += can
    right = shift + up - 31
    right[multiplier == 0] = 1
    if (np.abs(multiplier << up) >= WORD).any():
        return None
    return Rescaling(multiplier << up, np.minimum(right, most), less=less)


def in_64_bits(multiplier: NDArray[np.int64], shift: NDArray[np.int64], offset: NDArray[np.int64]) -> Rescaling | None:
    """The same numbers, where products and offsets fit into 64 bits together."""
    small = np.abs(multiplier).max() < WORD and np.abs(offset).max() < 1 << 62
    return Rescaling(multiplier, shift, offset=offset) if small and shift.min() >= 0 and shift.max() <= 62 else None


def _parameters(
    op: Requantize | Cast, channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None] | None:
    """Multiplier, shift and offset of every channel."""
    if isinstance(op, Cast):
        source, target = op.x.format.frac, op.out.format.frac
        if source is None or target is None:
            return None
        return np.ones(channels, np.int64), np.full(channels, source - target, np.int64), None
    parameters = [p for p in (op.multiplier, op.shift, op.offset) if p is not None]
    if not all(isinstance(p, Constant) for p in parameters):
        return None
    by_channel = channels > 1 and any(p.data.size > 1 for p in parameters)  # type: ignore[attr-defined]
    if by_channel and op.axis % len(op.shape) != (1 if isinstance(op.x, Conv) else len(op.shape) - 1):
        return None
    multiplier, shift, *offset = (
        np.broadcast_to(p.data.astype(np.int64), channels).copy()  # type: ignore[attr-defined]
        for p in parameters
    )
    return multiplier, shift, offset[0] if offset else None


def table_of(layer: ByteLayer, channels: slice | NDArray, count: int) -> NDArray[np.int32]:
    """Bias, multiplier, minus shift of `channels`, zero up to `count`; behind them the offsets, 64 bits each."""
    rows = np.stack([layer.bias, layer.shared, -layer.shift])[:, channels]
    table = np.pad(rows, ((0, 0), (0, count - rows.shape[1]))).astype(np.int32)
    if layer.offset is None:
        return table
    offset = np.pad(layer.offset[channels], (0, count - rows.shape[1])).astype("<i8").view("<i4").astype(np.int32)
    return np.concatenate([table, offset.reshape(2, count)])


def clamp_of(ops: tuple[Op, ...], rescale: Requantize | Cast) -> tuple[int, int] | None:
    """Codes that the clamps behind the rescaling leave; None for other ops there."""
    lo, hi = rescale.format.level_range
    if rescale.out.overflow == "saturate_symmetric":
        lo = -hi
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
