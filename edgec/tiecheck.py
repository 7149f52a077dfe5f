"""Near-ties: tells whether a float executor may have rounded to another code than the integer rule.

An integer rescaling rounds an exact rational number once. A float executor computes the same number with an error of
a few units in the last place of binary32 and rounds that. The two give different codes only where the exact number
lies within that error of a boundary between codes. `explain` recomputes the exact number of every differing element
and checks just that; a difference that it does not explain is a fault in one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from edgec.formats import Quantizer
from edgec.interp.pool import window_counts
from edgec.interp.registry import along, frame_levels
from edgec.ops import Add, AvgPool, Cast, Constant, Op, Requantize, RequantizeFloat, Sub
from edgec.rounding import divide_round

KERNEL_ERROR = 2.0**-22
"""Relative error of an integer kernel that rescales in binary32: two roundings of 2**-24 for the sum and the product,
one for the multiplier, one of the zero point added in floats."""


@dataclass(frozen=True)
class Ties:
    """Where two results of a layer differ: flat `positions`, of which `explained` (bool) are near-ties.

    `worst` is the largest difference of codes.
    """

    positions: np.ndarray
    explained: np.ndarray
    worst: int

    @property
    def ok(self) -> bool:
        return bool(self.explained.all())


def explain(
    op: Op,
    values: Mapping[Op, np.ndarray],
    theirs: np.ndarray,
    *,
    relative: float = KERNEL_ERROR,
    absolute: np.ndarray | float = 0.0,
) -> Ties:
    """Compare the codes `values[op]` with `theirs` [F, *shape].

    `values` holds the codes of `op` and its operands (of an Add in front as well). The error allowed to the other
    executor, in steps of the output: `relative` times the magnitudes that enter the sum, plus `absolute` (a number,
    or an array like the result: the error bound of a float sum of products).
    """
    ours = values[op]
    positions = np.flatnonzero(ours.ravel() != theirs.ravel())
    if not positions.size:
        return Ties(positions, np.zeros(0, bool), 0)
    fmt = op.format
    gap = np.abs(fmt.levels(ours).ravel()[positions] - fmt.levels(theirs).ravel()[positions])
    exact, quantizer = exact_values(op, values, positions)
    magnitude = _magnitudes(op, values, positions, exact)
    zero = int(fmt.zero_point_array[0])
    extra = np.broadcast_to(np.asarray(absolute, np.float64), ours.shape).ravel()[positions]
    explained = np.zeros(positions.size, bool)
    for i, value in enumerate(exact):
        error = Fraction(relative) * (magnitude[i] + abs(zero) + 1) + Fraction(float(extra[i]))
        low, high = (_code_level(value + side * error, quantizer, zero) for side in (-1, 1))
        explained[i] = low <= int(fmt.levels(theirs).ravel()[positions[i]]) <= high
    return Ties(positions, explained, int(gap.max()))


def _code_level(value: Fraction, quantizer: Quantizer, zero: int) -> int:
    rounded = divide_round(np.array([value.numerator], object), value.denominator, quantizer.rounding)[0]
    return int(quantizer.format.clip_levels(np.array([int(rounded) + zero]), quantizer.overflow)[0])


def exact_values(op: Op, values: Mapping[Op, np.ndarray], positions: np.ndarray) -> tuple[list[Fraction], Quantizer]:
    """The numbers that `op` rounds, in output steps without zero point, at flat `positions`, and how it rounds."""
    match op:
        case Requantize():
            numerators = _at(frame_levels(values[op.x], op.x), op, positions)
            multiplier, shift = (_parameter(p, op, op.axis, positions) for p in (op.multiplier, op.shift))
            offset = _parameter(op.offset, op, op.axis, positions) if op.offset is not None else [0] * positions.size
            exact = [
                Fraction(int(n) * int(m) + int(o)) / Fraction(2) ** int(s)
                for n, m, o, s in zip(numerators, multiplier, offset, shift, strict=True)
            ]
            return exact, op.out
        case RequantizeFloat():
            numerators = _at(frame_levels(values[op.x], op.x), op, positions)
            scale = _parameter(op.scale, op, op.axis, positions)
            return [int(n) * Fraction(float(s)) for n, s in zip(numerators, scale, strict=True)], op.out
        case Cast():
            numerators = _at(frame_levels(values[op.x], op.x), op, positions)
            unit = Fraction(2) ** ((op.out.format.frac or 0) - (op.x.format.frac or 0))
            return [int(n) * unit for n in numerators], op.out
        case AvgPool():
            quantizer = op.out or Quantizer(op.format)
            total = _pool_sums(op, values)
            counts = np.broadcast_to(window_counts(op), total.shape).ravel()[positions]
            source, target = op.x.format, quantizer.format
            dyadic = source.frac is not None and target.frac is not None
            unit = Fraction(2) ** ((target.frac or 0) - (source.frac or 0)) if dyadic else Fraction(1)
            return [int(n) * unit / int(c) for n, c in zip(total.ravel()[positions], counts, strict=True)], quantizer
    raise TypeError(f"{op.mnemonic} does not round")


def _pool_sums(op: AvgPool, values: Mapping[Op, np.ndarray]) -> np.ndarray:
    from edgec.interp.pool import _patches

    return _patches(op, frame_levels(values[op.x], op.x), 0).sum(axis=tuple(range(-len(op.kernel), 0)))


def _at(array: np.ndarray, op: Op, positions: np.ndarray) -> np.ndarray:
    """Elements of `array` [F, *shape of op]."""
    return array.reshape(-1)[positions]


def _parameter(parameter: Op, op: Op, axis: int, positions: np.ndarray) -> np.ndarray:
    assert isinstance(parameter, Constant)
    data = parameter.data
    if data.size == 1:
        return np.broadcast_to(data.reshape(-1), positions.shape)
    whole = np.broadcast_to(along(data, axis, len(op.shape))[0], op.shape).ravel()
    return whole[positions % op.tensor.size]


def _magnitudes(
    op: Op, values: Mapping[Op, np.ndarray], positions: np.ndarray, exact: list[Fraction]
) -> list[Fraction]:
    """What enters a sum in absolute terms: of an addition both operands, since either is rounded by itself."""
    total = op.operands[0]
    if not isinstance(op, Requantize) or not isinstance(total, Add | Sub):
        return [abs(e) for e in exact]
    shift = _parameter(op.shift, op, op.axis, positions)
    multiplier = _parameter(op.multiplier, op, op.axis, positions)
    parts = [
        np.abs(np.broadcast_to(frame_levels(values[o], o), values[op].shape).ravel()[positions]) for o in total.operands
    ]
    return [
        Fraction(sum(int(p[i]) for p in parts) * abs(int(multiplier[i]))) / Fraction(2) ** int(shift[i])
        for i in range(positions.size)
    ]
