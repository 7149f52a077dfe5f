"""Which steps the vector code for binary activations and weights can do, and with what numbers.

Products of -1 and +1 are +1 where the bits agree: a sum of n products is n less twice the number of bits that differ
(XNOR-Net, arXiv 1603.05279). Bits lie eight a byte, channels next to each other, a place filled up to whole bytes with
zeros on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.codes import base_of
from edgec.backends.c.int8.match import ByteLayer, bias_of, clamp_of, in_64_bits, rescaling, signed
from edgec.backends.c.vector.layer import fits, weights_of
from edgec.formats_compressed import Binary
from edgec.ops import Constant, Conv, Dense, MultiThreshold, Op, Requantize

MOST_TERMS = 1 << 16
"""Differing bits are counted in 16 bits."""
WORD = 1 << 31


@dataclass(frozen=True, eq=False)
class BitLayer(ByteLayer):
    """`weights` are packed bits [O, kH, kW, bytes], `bias` counts the n products of a sum with it.

    With `threshold` the result is one bit: `bias` + differing bits * `multiplier` >= 0."""

    threshold: bool = False

    @property
    def halo(self) -> tuple[int, int, int, int]:
        """None: the padding is around the bits."""
        return 0, 0, 0, 0

    def without(self, rows: Sequence[int], columns: Sequence[int]) -> BitLayer:
        """The layer where only these rows and columns of taps lie in the image: bits outside are read as -1, which the
        bias makes up for."""
        inside = np.zeros(self.weights.shape[1:3], bool)
        inside[np.ix_(rows, columns)] = True
        if inside.all():
            return self
        assert isinstance(self.op.w, Constant)
        outside = weights_of(self.op, self.op.w.levels)[:, ~inside].sum(axis=(1, 2))
        return replace(self, bias=self.bias + (-self.multiplier // 2 if self.threshold else 1) * outside)


def matched(ops: tuple[Op, ...]) -> BitLayer | None:
    """The layer of a step's ops, None where the vector code cannot do it."""
    op = ops[0]
    if not isinstance(op, Conv | Dense) or len(ops) < 2 or not isinstance(op.w, Constant) or op.w.format.is_float:
        return None
    if not isinstance(base_of(op.x.format), Binary) or not fits(op) or op.terms >= MOST_TERMS:
        return None
    if isinstance(op, Conv) and op.groups > 1:
        return None
    levels = op.w.levels
    bias = bias_of(op)
    if bias is None or not (np.abs(levels) == 1).all():
        return None
    weights = np.packbits(weights_of(op, levels) > 0, axis=-1, bitorder="little")
    bias = bias + op.terms
    if isinstance(ops[1], MultiThreshold):
        return _with_threshold(op, weights, bias, ops)
    rescale = ops[1]
    if not isinstance(rescale, Requantize) or not signed(rescale.format):
        return None
    scaled, bounds = rescaling(rescale, len(levels), False, True), clamp_of(ops, rescale)
    if scaled is None or bounds is None or np.abs(bias).max() + 2 * op.terms >= WORD:
        return None
    if (scaled.shift < 1).any() and scaled.offset is None:  # larger sums cannot make up for it
        shifts = np.broadcast_to(rescale.shift.data.astype(np.int64), len(levels))  # type: ignore[attr-defined]
        factors = np.broadcast_to(rescale.multiplier.data.astype(np.int64), len(levels))  # type: ignore[attr-defined]
        scaled = in_64_bits(factors, shifts, np.zeros(len(levels), np.int64))
        if scaled is None:
            return None
    zero = int(rescale.format.zero_point_array[0])
    return BitLayer(
        op, weights, bias - scaled.less, *bounds, 0, scaled.multiplier, scaled.shift, zero, offset=scaled.offset
    )


def _with_threshold(op: Conv | Dense, w: NDArray[np.uint8], bias: NDArray, ops: tuple[Op, ...]) -> BitLayer | None:
    """sign * (bias - 2 * differing) >= threshold, as one product and a comparison with zero."""
    compare = ops[1]
    assert isinstance(compare, MultiThreshold)
    if len(ops) > 2 or not isinstance(base_of(compare.format), Binary):
        return None
    if not isinstance(compare.thresholds, Constant) or not isinstance(compare.sign, Constant):
        return None
    channels = len(w)
    by_channel = channels > 1 and (compare.thresholds.data.size > 1 or compare.sign.data.size > 1)
    if by_channel and compare.axis % len(op.shape) != (1 if isinstance(op, Conv) else len(op.shape) - 1):
        return None
    sign, least = (
        np.broadcast_to(o.data.astype(np.int64).ravel(), channels) for o in (compare.sign, compare.thresholds)
    )
    # beyond what a sum can be, a threshold says no more than one just there
    least = np.clip(least, -2 * WORD, 2 * WORD)
    start = np.clip(sign * bias - least, -WORD // 2, WORD // 2)
    if np.abs(bias).max() >= WORD // 4:
        return None
    return BitLayer(op, w, start, 0, 1, 0, -2 * sign, np.zeros(channels, np.int64), 0, threshold=True)
