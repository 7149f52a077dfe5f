"""Thresholds: a monotone float chain and a narrow quantiser behind an integer tensor, as comparisons.

The chain is evaluated in float32 through the interpreter at every integer that the tensor can take (or found by
bisection), so the comparisons give exactly the codes of the float executor (FINN, arXiv 1612.07119).
"""

from __future__ import annotations

import numpy as np

from edgec.formats import Affine, Fixed, Format, Integer
from edgec.formats_compressed import Binary, Ternary
from edgec.ops import (
    Add,
    BatchNorm,
    Clip,
    Mul,
    MultiThreshold,
    Op,
    PRelu,
    Quantize,
    Relu,
    Sub,
    Unary,
    integers,
    merge_loc,
)
from edgec.ops import Binary as BinaryFunction
from edgec.passes._accumulator import Interval, level_interval
from edgec.passes._cone import Cone, NoIntegerForm

MAX_CODES = 16
FULL_RANGE = 1 << 16
"""Ranges up to this are evaluated completely; longer ones by bisection when the chain is proven monotone."""
MAX_EVALUATIONS = 1 << 26
CHUNK = 1 << 21


def ordered(fmt: Format) -> bool:
    """Whether larger codes mean larger values, one scale for the tensor."""
    base = fmt.base if isinstance(fmt, Affine) else fmt
    return isinstance(base, Fixed | Integer | Binary | Ternary) and fmt.axis is None


def narrow(quantize: Quantize) -> bool:
    """Whether `quantize` makes few enough ordered codes for thresholds."""
    lo, hi = quantize.format.code_range
    return ordered(quantize.format) and hi - lo < MAX_CODES


def to_thresholds(cone: Cone, quantize: Quantize) -> Op:
    """`MultiThreshold` for `quantize` of a cone with one leaf; raises `NoIntegerForm` when it is not monotone.

    A range of at most 2**16 levels, or a chain whose monotonicity is not proven, is evaluated completely and every
    step checked. For longer ranges bisection is exact when the chain is a composition of functions that are
    monotone in IEEE arithmetic whatever their arguments (adding, scaling, clamping by constants: rounding is
    monotone, so the composition is), which `monotone` decides from the ops alone.
    """
    leaf = cone.leaves[0]
    lo, hi = (np.broadcast_to(v, (cone.channels,)) for v in _fit(level_interval(leaf.x), cone))
    span = int(hi.max() - lo.min()) + 1
    lowest, highest = quantize.format.code_range
    if monotone(cone, quantize) and (span > FULL_RANGE or span * cone.channels > MAX_EVALUATIONS):
        sign, thresholds = _bisect(cone, quantize, lo, hi)
    elif span * cone.channels <= MAX_EVALUATIONS:
        sign, thresholds = _enumerate(cone, quantize, lo, hi)
    else:
        raise NoIntegerForm(f"{span} levels are too many to check that the arithmetic is monotone")
    assert thresholds.shape == (cone.channels, highest - lowest)
    if cone.channels > 1 and (thresholds == thresholds[:1]).all() and (sign == sign[:1]).all():
        thresholds, sign = thresholds[:1], sign[:1]
    return MultiThreshold(
        leaf.x,
        integers(thresholds),
        integers(sign),
        quantize.format,
        cone.axis if cone.axis is not None else _default_axis(leaf.x),
        loc=merge_loc(*cone.ops, quantize),
    )


def _default_axis(op: Op) -> int:
    return 1 if len(op.shape) > 1 else 0


def _fit(interval: Interval, cone: Cone) -> Interval:
    lo, hi = interval
    if lo.size in (1, cone.channels):
        return lo, hi
    return np.array([lo.min()]), np.array([hi.max()])


def _signs(cone: Cone, quantize: Quantize, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """+1 for channels whose code does not fall from `lo` to `hi`, else -1."""
    ends = cone.codes(quantize, np.stack([lo, hi])).astype(np.int64)
    return np.where(ends[1] >= ends[0], 1, -1)


def _enumerate(cone: Cone, quantize: Quantize, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signs [C] and thresholds [C, L] from all levels of every channel."""
    first, last = int(lo.min()), int(hi.max())
    lowest, highest = quantize.format.code_range
    sign = _signs(cone, quantize, lo, hi)
    below = np.zeros((cone.channels, highest - lowest), np.int64)
    block = max(2, CHUNK // cone.channels)
    for start in range(first, last + 1, block - 1):  # blocks overlap by one level, so that every step is checked
        levels = np.arange(start, min(start + block, last + 1))[:, None]
        codes = cone.codes(quantize, np.broadcast_to(levels, (len(levels), cone.channels))).astype(np.int64)
        inside = (levels >= lo) & (levels <= hi)
        if (inside[1:] & inside[:-1] & (np.diff(codes, axis=0) * sign < 0)).any():
            raise NoIntegerForm("the arithmetic in front of the quantiser is not monotone")
        fresh = slice(0 if start == first else 1, None)
        ranks = np.where(inside, codes - lowest, highest - lowest)[fresh]  # never counted outside
        for step in range(highest - lowest):
            below[:, step] += (ranks <= step).sum(axis=0)
    return sign, np.where(sign > 0, lo, -hi)[:, None] + below


def _bisect(cone: Cone, quantize: Quantize, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signs [C] and thresholds [C, L] of a chain that is monotone, by halving the range for all of them at once."""
    sign = _signs(cone, quantize, lo, hi)
    lowest, highest = quantize.format.code_range
    wanted = np.arange(lowest + 1, highest + 1)[:, None]  # [L, 1]
    start, end = np.where(sign > 0, lo, -hi), np.where(sign > 0, hi, -lo)
    left = np.broadcast_to(start, (len(wanted), cone.channels)).copy()
    right = np.broadcast_to(end + 1, left.shape).copy()  # the code is reached somewhere in left..right
    while (left < right).any():
        middle = (left + right) // 2
        reached = cone.codes(quantize, middle * sign).astype(np.int64) >= wanted
        right = np.where(reached | (left >= right), np.minimum(right, middle), right)
        left = np.where(reached, left, np.minimum(middle + 1, right))
    return sign, left.T


def monotone(cone: Cone, quantize: Quantize) -> bool:
    """Whether every op of `cone` is monotone in its one computed operand in IEEE arithmetic, with finite constants."""
    if quantize.out.overflow == "wrap" or not all(np.isfinite(p).all() for p in cone.parameters.values()):
        return False
    return all(_monotone(op, cone) for op in cone.ops)


def _monotone(op: Op, cone: Cone) -> bool:
    computed = [o for o in op.operands if o not in cone.parameters]
    if len(computed) != 1:
        return False
    match op:
        case Add() | Sub() | Mul() | Relu() | Clip():
            return True
        case BatchNorm(x=x, var=var, epsilon=epsilon):
            return computed[0] is x and bool((cone.parameters[var] + epsilon > 0).all())
        case BinaryFunction(x=x, function="div"):
            return computed[0] is x and bool((cone.parameters[op.y] != 0).all())
        case BinaryFunction(function="max" | "min"):
            return True
        case PRelu(x=x, slope=slope):
            return computed[0] is x and bool((cone.parameters[slope] >= 0).all())
        case Unary(function="leaky_relu", alpha=alpha):
            return alpha >= 0
        case Unary(function=function):
            return function in ("neg", "floor", "ceil", "round", "sign")
    return False
