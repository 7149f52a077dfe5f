"""Which steps the vector code for 8-bit integers can do, and with what numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.codes import plain
from edgec.backends.c.vector.layer import Layer, fits, weights_of
from edgec.formats import Format
from edgec.ops import Cast, Clip, Constant, Conv, Dense, Op, Relu, Requantize, centered_range, clip_levels

WORD = 1 << 31
SHIFTS = (4, 8, 2, 6, 10, 12, 1, 3, 5, 7, 9, 11, 13, 14, 15, 16)
"""Shifts that are tried for all channels of a layer."""


@dataclass(frozen=True, eq=False)
class ByteLayer(Layer):
    """A convolution or dense layer as integers: y = clamp(((x . w + bias) * multiplier) >> (31 + shift) + zero).

    `weights` are int8; `bias`, `multiplier`, `shift` [O] int32 for codes of x without their zero point subtracted; the
    shift rounds halves up. Where `even` is set it rounds them to even, and is by `shift` alone."""

    LANES = 16
    MOST: ClassVar[int] = WORD
    """What sums have to stay below."""
    MOST_SHIFT: ClassVar[int] = 32
    """A shift behind which nothing is left of them."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    zero: int
    even: bool = False

    @property
    def clamp(self) -> str:
        """int8 saturation does it where lo..hi are all codes."""
        return "clamp" if (self.lo, self.hi) != (-128, 127) else ""

    @cached_property
    def common_shift(self) -> int:
        """A shift that all channels can share exactly, so that it narrows to 16 bits at once; 0 where there is none.

        Few different ones, so that layers share code: the multipliers of such a layer are those of `shared`."""
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
        up = self.common_shift - self.shift if self.common_shift else np.zeros_like(self.shift)
        return np.where(up >= 0, self.multiplier << np.maximum(up, 0), self.multiplier >> np.maximum(-up, 0))


BYTE = np.dtype(np.int8)


def matched(
    ops: tuple[Op, ...],
    *,
    even: bool = False,
    grouped: bool = False,
    dtype: np.dtype = BYTE,
    kind: type[ByteLayer] = ByteLayer,
) -> ByteLayer | None:
    """The layer of a step's ops with activations of `dtype`, None where the vector code cannot do it. `even`: it can
    round halves to even; `grouped`: it can do groups of several channels."""
    op = ops[0]
    if not isinstance(op, Conv | Dense) or len(ops) < 2 or not isinstance(ops[1], Requantize | Cast):
        return None
    rescale = ops[1]
    if not (_signed(op.x.format, dtype) and _signed(rescale.format, dtype) and isinstance(op.w, Constant)):
        return None
    if not fits(op, grouped=grouped):
        return None
    scaled = _rescaling(rescale, len(op.w.data), even, kind.MOST_SHIFT)
    bounds = _clamp(ops, rescale)
    if scaled is None or bounds is None:
        return None
    lift = np.maximum(1 - scaled.shift, 0)
    sums = _sums(op, scaled, lift, dtype, kind.MOST)
    if sums is None:
        return None
    weights, bias = sums
    pad, zero = (int(fmt.zero_point_array[0]) for fmt in (op.x.format, rescale.format))
    return kind(op, weights, bias, *bounds, pad, scaled.multiplier, scaled.shift + lift, zero, scaled.even)


def _signed(fmt: Format, dtype: np.dtype) -> bool:
    return fmt.dtype == dtype and plain(fmt) and fmt.zero_point_array.size == 1


def _sums(
    op: Conv | Dense, scaled: _Rescaling, lift: NDArray[np.int64], dtype: np.dtype, limit: int
) -> tuple[NDArray, NDArray[np.int64]] | None:
    """Weights [O, kH, kW, C] in `dtype` and the bias that makes up for the zero point of x, both times 2^lift; None
    where weights or sums, which stay below the limit, do not hold that.

    Where sums are multiplied by 0, their bias, often the largest code, is left out."""
    assert isinstance(op.w, Constant)
    w = op.w.levels
    if lift.max(initial=0) > 31:
        return None
    w = weights_of(op, w) << lift[:, None, None, None]
    if w.min(initial=0) < np.iinfo(dtype).min or w.max(initial=0) > np.iinfo(dtype).max:
        return None
    flat = w.reshape(len(w), -1)
    bias = np.zeros(len(w), np.int64)
    if op.b is not None:
        x, k = op.x.format.frac, op.w.format.frac
        if not isinstance(op.b, Constant):
            return None
        bias = op.b.levels
        if x is not None and k is not None and op.b.format.frac is not None:
            if op.b.format.frac > x + k:
                return None
            bias = bias << (x + k - op.b.format.frac)
    if (np.abs(bias) >= limit >> lift).any():
        return None
    bias = np.where(scaled.multiplier != 0, (bias - scaled.less) << lift, 0)
    lo, hi = centered_range(op.x.format)
    most = np.abs(flat).sum(axis=1) * max(abs(lo), abs(hi)) + np.abs(bias)
    bias = bias - flat.sum(axis=1) * int(op.x.format.zero_point_array[0])
    if most.max(initial=0) >= limit or np.abs(bias).max(initial=0) >= limit:
        return None
    return w.astype(dtype), bias


class _Rescaling(NamedTuple):
    """Multiplier and shift [O] for SQDMULH and SRSHL, which shifts by 1 or more: less is made up by larger sums.

    `even`: halves are rounded to even, by the shift alone. `less` is taken from the sums: half a step turns rounding
    into rounding down."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    even: bool = False
    less: NDArray[np.int64] | int = 0


def _rescaling(op: Requantize | Cast, channels: int, even: bool, most: int) -> _Rescaling | None:
    """None for what vectors cannot do exactly."""
    found = _parameters(op, channels)
    if found is None or op.out.overflow not in ("saturate", "saturate_symmetric"):
        return None
    multiplier, shift = found
    less: NDArray[np.int64] | int = 0
    if op.out.rounding != "half_up":
        if (multiplier != 1).any() or (shift > 31).any():
            return None
        if op.out.rounding == "half_even" and even:
            return _Rescaling(multiplier, shift, True)
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
    return _Rescaling(multiplier << up, np.minimum(right, most), less=less)


def _parameters(op: Requantize | Cast, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Multiplier and shift of every channel."""
    if isinstance(op, Cast):
        source, target = op.x.format.frac, op.out.format.frac
        if source is None or target is None:
            return None
        return np.ones(channels, np.int64), np.full(channels, source - target, np.int64)
    if not isinstance(op.multiplier, Constant) or not isinstance(op.shift, Constant) or op.offset is not None:
        return None
    by_channel = channels > 1 and (op.multiplier.data.size > 1 or op.shift.data.size > 1)
    if by_channel and op.axis % len(op.shape) != (1 if isinstance(op.x, Conv) else len(op.shape) - 1):
        return None
    multiplier, shift = (np.broadcast_to(p.data.astype(np.int64), channels).copy() for p in (op.multiplier, op.shift))
    return multiplier, shift


def _clamp(ops: tuple[Op, ...], rescale: Requantize | Cast) -> tuple[int, int] | None:
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
