"""Rescaling by integer arithmetic: multiplier, offset and shift of `Requantize` from real coefficients.

Precision. What onnxruntime's integer kernels multiply by is one binary32 number, f32(f32(s_x * s_w) / s_y); its
24-bit mantissa is taken exactly. Coefficients of other float chains are rounded to 31 bits (relative error
2**-32), or to what makes 2**-32 of an output step for the largest operand when that is coarser; offsets to the same
fraction of a step. The sum is exact and rounded once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgec.formats import F32, Format, Integer, Quantizer, TensorType, smallest_fixed
from edgec.interp import evaluate
from edgec.ops import (
    Add,
    Clip,
    Constant,
    Op,
    Quantize,
    Relu,
    Requantize,
    RequantizeFloat,
    centered_range,
    integers,
)
from edgec.passes._accumulator import level_interval
from edgec.passes._cone import NoIntegerForm
from edgec.passes._linear import Linear, Term

COEFFICIENT_BITS = 31
KERNEL_BITS = 24
WORD = 62
"""Products and sums stay below 2**62, so that backends and the interpreter work in 64-bit integers."""


def kernel_scale(term: Term, target: float) -> np.ndarray:
    """The binary32 multiplier of onnxruntime's integer kernels (QLinearConv, QLinearGlobalAveragePool), float32."""
    divisor = np.float32(target) * np.float32(term.count)
    return (term.scale.astype(np.float32) / divisor).astype(np.float32)


def decompose(ratio: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(multiplier, shift), int64, with ratio = multiplier * 2**-shift to `bits` bits; exact for that many bits."""
    mantissa, exponent = np.frexp(ratio)
    multiplier = np.rint(np.ldexp(mantissa, bits)).astype(np.int64)
    return multiplier, np.where(multiplier == 0, 0, bits - exponent).astype(np.int64)


def simplified(multiplier: np.ndarray, shift: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same rationals with common factors of two taken out while the shift allows it."""
    merged = multiplier | offset
    low = np.where(merged == 0, 0, np.log2(np.maximum(merged & np.negative(merged), 1)).astype(np.int64))
    drop = np.where(merged == 0, np.maximum(shift, 0), np.minimum(low, np.maximum(shift, 0)))
    left = np.maximum(-shift, 0)
    return (multiplier >> drop) << left, np.maximum(shift, 0) - drop, (offset >> drop) << left


def collapsed(values: np.ndarray) -> np.ndarray:
    """[1] when all channels agree."""
    return values[:1] if (values == values[0]).all() else values


def clamp_codes(form: Linear, quantize: Quantize) -> tuple[int, int] | None:
    """Output levels that the clamp of `form` cuts to, or None when saturation of the format does the same."""
    fmt, out = quantize.format, quantize.out
    if not form.clamped:
        return None
    if out.overflow == "wrap":
        raise NoIntegerForm("a clamp in front of a quantiser that wraps")
    lowest, highest = fmt.level_range
    if out.overflow == "saturate_symmetric" and lowest < 0:
        lowest = -highest
    bounds = []
    for values, extreme in ((form.lo, lowest), (form.hi, highest)):
        finite = np.isfinite(values)
        reals = np.where(finite, values, 0).astype(np.float32).reshape(-1, *(1,) * len(quantize.shape))
        levels = np.where(finite, fmt.levels(evaluate(quantize, [reals]).reshape(-1)), extreme)
        levels = np.clip(levels, lowest, highest)
        if (levels != levels[0]).any():
            raise NoIntegerForm("a clamp that differs between channels")
        bounds.append(int(levels[0]))
    return None if tuple(bounds) == (lowest, highest) else (bounds[0], bounds[1])


def clamped(op: Op, bounds: tuple[int, int] | None, loc: tuple[str, ...]) -> Op:
    """`op` cut to levels `bounds` (zero point included)."""
    if bounds is None:
        return op
    scale, zero = float(op.format.scale_array[0]), int(op.format.zero_point_array[0])
    lo, hi = bounds
    if lo == zero and hi == op.format.level_range[1]:
        return Relu(op, loc=loc)
    # half a step outwards, so that float division cannot step inside the intended level
    return Clip(op, (lo - zero - 0.5) * scale, (hi - zero + 0.5) * scale, loc=loc)


def to_requantize(form: Linear, quantize: Quantize, axis: int, arithmetic: str, loc: tuple[str, ...]) -> Op:
    """Integer ops that bring a linear form to the format of `quantize`."""
    target = quantize.format
    if target.axis is not None or target.code_range != target.level_range:
        raise NoIntegerForm(f"a rescaling cannot make {target}")
    if not form.terms:
        raise NoIntegerForm("nothing but constants is quantised")
    bounds = clamp_codes(form, quantize)
    unit = float(target.scale_array[0])
    if len(form.terms) == 1 and not form.offset.any() and (form.terms[0].factor == 1).all():
        (term,) = form.terms
        if bounds is None:
            bare = without_relu(term.x, quantize.out)
            loc = loc if bare is term.x else with_names(term.x, loc)
            term = replace(term, x=bare)
        scale = kernel_scale(term, unit)
        if arithmetic == "float32":
            values = collapsed(scale)
            new: Op = RequantizeFloat(
                term.x, Constant(values, type=TensorType(F32, values.shape)), quantize.out, axis, loc=loc
            )
        else:
            new = requantize_exactly(term.x, scale, quantize.out, axis, loc)
    elif len(form.terms) == 1:
        (term,) = form.terms
        new = _affine(term.x, term.coefficient / unit, form.offset / unit, quantize.out, axis, loc)
    else:
        new = _sum(form, unit, quantize.out, axis, loc)
    return clamped(new, bounds, loc)


def without_relu(x: Op, out: Quantizer) -> Op:
    """The operand of a Relu whose effect saturation at the lowest code, the zero point, has as well."""
    if not isinstance(x, Relu) or int(out.format.zero_point_array[0]) != out.format.level_range[0]:
        return x
    clamps = out.overflow == "saturate" or (out.overflow == "saturate_symmetric" and not out.format.signed)
    return x.x if clamps else x


def with_names(op: Op, loc: tuple[str, ...]) -> tuple[str, ...]:
    """`loc` preceded by those source names of `op` that it lacks."""
    return (*(name for name in op.loc if name not in loc), *loc)


def requantize_exactly(x: Op, scale: np.ndarray, out: Quantizer, axis: int, loc: tuple[str, ...]) -> Op:
    """Requantize by float32 `scale` [1] or [C], whose 24-bit mantissas are multiplied exactly."""
    multiplier, shift = decompose(scale.astype(np.float64), KERNEL_BITS)
    multiplier, shift, _ = simplified(multiplier, shift, np.zeros_like(multiplier))
    _check_word(x, multiplier, np.zeros_like(multiplier))
    if out.rounding.startswith("half"):
        multiplier, shift = _without_dead(x, multiplier, shift)
    return Requantize(x, integers(collapsed(multiplier)), integers(collapsed(shift)), None, out, axis, loc=loc)


def _without_dead(x: Op, multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, ...]:
    """Channels whose products are all less than half a step get the multiplier 0: pruned ones have scales of 1e-38,
    and shifts beyond any word."""
    lo, hi = level_interval(x)
    reach = max(abs(int(lo.min())), abs(int(hi.max())), 1)
    dead = np.ldexp(np.abs(multiplier).astype(np.float64) * reach, -shift) < 0.5  # products stay below 2**62
    if not dead.any():
        return multiplier, shift
    return np.where(dead, 0, multiplier), np.where(dead, 0 if dead.all() else shift[~dead].min(), shift)


def _affine(x: Op, ratio: np.ndarray, offset: np.ndarray, out: Quantizer, axis: int, loc: tuple[str, ...]) -> Op:
    ratio, offset = np.broadcast_arrays(np.atleast_1d(ratio), np.atleast_1d(offset))
    if not (np.isfinite(ratio).all() and np.isfinite(offset).all()):
        raise NoIntegerForm("a coefficient is not finite")
    lo, hi = level_interval(x)
    reach = float(max(abs(int(lo.min())), abs(int(hi.max())), 1))
    room = WORD - 2 - np.ceil(np.log2(reach * np.abs(ratio) + np.abs(offset) + 1)).astype(np.int64)
    fine = COEFFICIENT_BITS + int(np.ceil(np.log2(reach)))  # one unit of a multiplier is then 2**-31 of a step
    _, shift = decompose(ratio, COEFFICIENT_BITS)
    shift = np.minimum(np.where(ratio == 0, fine, np.minimum(shift, fine)), room)
    if (shift < 0).any():
        raise NoIntegerForm("a coefficient is too large for 64-bit arithmetic")
    multiplier = np.rint(np.ldexp(ratio, shift)).astype(np.int64)
    bias = np.rint(np.ldexp(offset, shift)).astype(np.int64)
    multiplier, shift, bias = simplified(multiplier, shift, bias)
    _check_word(x, multiplier, bias)
    added = integers(collapsed(bias)) if bias.any() else None
    return Requantize(x, integers(collapsed(multiplier)), integers(collapsed(shift)), added, out, axis, loc=loc)


def _sum(form: Linear, unit: float, out: Quantizer, axis: int, loc: tuple[str, ...]) -> Op:
    """Terms brought to one fine unit by exact products, added, and rounded once."""
    pure = not form.offset.any() and all(t.pure for t in form.terms)
    if pure:
        ratios = [kernel_scale(t, unit).astype(np.float64) * t.factor for t in form.terms]
    else:
        ratios = [t.coefficient / unit for t in form.terms]
    parts = [decompose(r, KERNEL_BITS if pure else COEFFICIENT_BITS) for r in ratios]
    finest = max(int(s.max()) for _, s in parts)
    top = max(int(np.frexp(r)[1].max()) for r in ratios)
    shift = min(finest, COEFFICIENT_BITS - top)
    if shift < 0:
        raise NoIntegerForm("the terms of a sum are too large for their output format")
    total: Op | None = None
    for term, ratio in zip(form.terms, ratios, strict=True):
        multiplier = collapsed(np.rint(np.ldexp(ratio, shift)).astype(np.int64))
        _check_word(term.x, multiplier, np.zeros_like(multiplier))
        lo, hi = centered_range(term.x.format)
        corners = [int(m) * v for m in (multiplier.min(), multiplier.max()) for v in (lo, hi)]
        wide = Quantizer(_integer(min(*corners, 0), max(corners)), "floor")
        scaled = Requantize(term.x, integers(multiplier), integers([0]), None, wide, axis, loc=loc)
        total = scaled if total is None else Add(total, scaled, loc=loc)
    assert total is not None
    offset = np.rint(np.ldexp(form.offset / unit, shift)).astype(np.int64)
    _check_word(total, np.ones(1, np.int64), offset)
    added = integers(collapsed(offset)) if offset.any() else None
    return Requantize(total, integers([1]), integers([shift]), added, out, axis, loc=loc)


def _integer(lo: int, hi: int) -> Format:
    return Integer(smallest_fixed(min(lo, -1), hi, 0).width)


def _check_word(x: Op, multiplier: np.ndarray, offset: np.ndarray) -> None:
    lo, hi = level_interval(x)
    reach = max(abs(int(lo.min())), abs(int(hi.max())))
    if reach * int(np.abs(multiplier).max()) + int(np.abs(offset).max()) >= 1 << WORD:
        raise NoIntegerForm("the rescaling does not fit 64-bit arithmetic")
