"""Dense and Conv on codes: integer multiply-accumulate with the bias on its grid where it has one."""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import TensorType, smallest_fixed
from edgec.ops import Add, Constant, Conv, Dense, Dequantize, Op, centered_range, constant, integers
from edgec.passes._commute import codes_behind
from edgec.passes._cone import Constants, NoIntegerForm

FINER_BITS = 8
"""A bias may refine the accumulator's grid by so many bits, as long as sums stay within `FINE_SUM`."""
FINE_SUM = 32
SCALE_TOLERANCE = 2.0**-20
"""Relative difference at which the scale of an integer bias counts as that of the accumulator: float rounding."""


def integer_mac(op: Dense | Conv, constants: Constants) -> Op | None:
    """Dequantize of `op` on codes (a bias without integers added behind it in floats), or None for float operands.

    Raises `NoIntegerForm` with the reason when the formats do not allow it.
    """
    x, w = codes_behind(op.x), codes_behind(op.w)
    if x is None and w is None:
        return None
    if x is None:
        raise NoIntegerForm("its input is not quantised")
    if w is None or not isinstance(w, Constant):
        raise NoIntegerForm("its weights are not quantised constants")
    if isinstance(x, Constant):
        raise NoIntegerForm("its input is a constant")
    bias = None if op.b is None else constants.value(op.b)
    if op.b is not None and bias is None:
        raise NoIntegerForm("its bias is computed")
    try:
        bare = op.replace(x=x, w=w, b=None)
        if op.b is None or bias is None or not bias.any():
            return Dequantize(bare)
        exact = bias_codes(op, bare, bias)
        if exact is not None:
            return Dequantize(op.replace(x=x, w=w, b=exact))
    except EdgecError as error:
        raise NoIntegerForm(error.diagnostics[0].what) from None
    axis = len(op.shape) - 1 if isinstance(op, Dense) else 1
    shape = [1] * len(op.shape)
    values = bias[:1] if (bias == bias[0]).all() else bias
    shape[axis] = values.size
    return Add(Dequantize(bare), constant(values.reshape(shape), loc=op.b.loc), loc=op.loc)


def bias_codes(op: Dense | Conv, bare: Dense | Conv, bias: np.ndarray) -> Constant | None:
    """The bias as integers: fixed point, or plain integers in units of an affine accumulator; None if inexact."""
    given = codes_behind(op.b) if op.b is not None else None
    loc = op.b.loc if op.b is not None else ()
    frac = bare.format.frac
    if frac is not None:
        if isinstance(given, Constant) and given.format.frac is not None and given.format.frac <= frac:
            return given  # in the format that it was given: a register that is loaded later has that width
        return _fixed_bias(bare, bias.astype(np.float64), frac, loc)
    unit = bare.format.scale_array
    if isinstance(given, Constant):
        scale = given.format.scale_array
        if (np.abs(scale / unit - 1) <= SCALE_TOLERANCE).all():
            return integers(given.levels, loc=loc, bits=given.format.bits + bool(given.format.zero_point_array.any()))
    levels = np.rint(bias.astype(np.float64) / unit)
    same = levels.astype(np.float32) * unit.astype(np.float32) == bias.astype(np.float32)
    if (same & (np.abs(levels) < 1 << 20)).all():
        return integers(levels.astype(np.int64), loc=loc)
    return None


def _fixed_bias(bare: Dense | Conv, bias: np.ndarray, frac: int, loc: tuple[str, ...]) -> Constant | None:
    """The bias in fixed point when it refines the grid of the accumulator by a few bits at most."""
    exact = fixed_constant(bias, loc)
    if exact is None or exact.format.frac is None:
        return None
    finer = exact.format.frac - frac
    if finer > 0:
        lo, hi = centered_range(bare.format)
        reach = (max(abs(lo), abs(hi)) << finer) + int(np.abs(exact.levels).max())
        if finer > FINER_BITS or reach.bit_length() + 1 > FINE_SUM:
            return None
    return exact


def fixed_constant(values: np.ndarray, loc: tuple[str, ...] = ()) -> Constant | None:
    """Real `values` in the narrowest fixed point that holds all of them exactly, None beyond 62 bits."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all() or not values.size:
        return None
    mantissa, exponent = np.frexp(values)
    integer = np.ldexp(mantissa, 53).astype(np.int64)
    places = 53 - exponent - trailing_zeros(integer)  # fraction bits that each value needs
    frac = int(np.where(values == 0, -64, places).max())
    frac = 0 if not values.any() else frac
    levels = np.ldexp(values, frac)
    if np.abs(levels).max() >= 2.0**62 or abs(frac) > 200:
        return None
    units = levels.astype(np.int64)
    fmt = smallest_fixed(int(units.min()), int(units.max()), frac)
    return Constant(units, type=TensorType(fmt, values.shape), loc=loc)


def trailing_zeros(values: np.ndarray) -> np.ndarray:
    """Common power of two of each of `values`, 62 for zero."""
    lowest = np.where(values == 0, np.int64(1) << 62, values & -values)
    return np.log2(lowest.astype(np.float64)).astype(np.int64)
