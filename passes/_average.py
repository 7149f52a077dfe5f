"""Means and sums of codes: integer average pooling, or a sum whose divisor goes into the rescaling behind it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from edgec.formats import Affine, Fixed, Format, Integer, Quantizer
from edgec.interp.pool import window_counts
from edgec.ops import AvgPool, Dequantize, Op, Quantize, Reduce, Requantize, Reshape, Transpose, integers, merge_loc
from edgec.passes._commute import codes_behind
from edgec.passes._cone import NoIntegerForm
from edgec.passes._linear import Linear, leaf_term, plain_integers


def is_mean(op: Op) -> bool:
    return isinstance(op, AvgPool) or (isinstance(op, Reduce) and op.function == "mean")


def is_sum(op: Op) -> bool:
    return isinstance(op, Reduce) and op.function == "sum"


def as_pool(op: Op, codes: Op) -> tuple[AvgPool, tuple[int, ...]]:
    """The mean `op` of `codes` as average pooling, and the shape that its result is brought to afterwards.

    The mean over any axes is pooling over one window after moving those axes to the end.
    """
    if isinstance(op, AvgPool):
        return op.replace(x=codes), op.shape
    assert isinstance(op, Reduce)
    rank = len(codes.shape)
    axes = sorted(a % rank for a in op.axes)
    if axes == list(range(2, rank)) and rank > 2:
        return AvgPool(codes, codes.shape[2:], loc=op.loc), op.shape
    kept = [i for i in range(rank) if i not in axes]
    terms = math.prod(codes.shape[a] for a in axes)
    moved = Transpose(codes, (*kept, *axes), loc=op.loc)
    flat = Reshape(moved, (1, moved.tensor.size // terms, terms), loc=op.loc)
    return AvgPool(flat, (terms,), loc=op.loc), op.shape


def pooled(op: Op, codes: Op, out: Quantizer | None, loc: tuple[str, ...]) -> Op:
    """The mean `op` on `codes` with the exact quotient rounded into `out`."""
    pool, shape = as_pool(op, codes)
    new: Op = pool.replace(out=out, loc=loc)
    return new if shape == new.shape else Reshape(new, shape, loc=loc)


def divisor(op: Op, codes: Op) -> int | None:
    """How many elements every result is the mean of, or None when windows at the border have fewer."""
    pool, _ = as_pool(op, codes)
    counts = np.unique(window_counts(pool))
    return int(counts[0]) if counts.size == 1 else None


def same_unit(a: Format, b: Format) -> bool:
    return a.scale_array.size == b.scale_array.size == 1 and bool(
        a.scale_array.astype(np.float32)[0] == b.scale_array.astype(np.float32)[0]
    )


def quantized_mean(quantize: Quantize) -> Op | None:
    """Quantize of a mean as one integer average pooling, exact; None when the units need a multiplier."""
    mean = quantize.x
    codes = codes_behind(mean.operands[0])
    if codes is None:
        return None
    source, target = codes.format, quantize.format
    if source.axis is not None or target.axis is not None or target.code_range != target.level_range:
        return None
    dyadic = source.frac is not None and target.frac is not None
    if not dyadic and not (same_unit(source, target) and source.scale_array[0] == target.scale_array[0]):
        return None
    return pooled(mean, codes, quantize.out, merge_loc(mean, quantize))


def sum_form(op: Op) -> Linear | None:
    """The sum or mean of codes as an integer sum (over the number of its elements); None for partial windows."""
    codes = codes_behind(op.operands[0])
    if codes is None or codes.format.axis is not None:
        return None
    total: Op
    if is_sum(op):
        total = op.replace(x=plain_integers(codes))
        return Linear((replace(leaf_term(codes), x=total),))
    pool, shape = as_pool(op, codes)
    if pool.shape[2:] != (1,) * len(pool.kernel) or any(pool.pads) or pool.x.shape[2:] != pool.kernel:
        return None
    rank = len(pool.x.shape)
    total = Reduce(plain_integers(pool.x), "sum", tuple(range(2, rank)), loc=op.loc)
    if shape != total.shape:
        total = Reshape(total, shape, loc=op.loc)
    return Linear((replace(leaf_term(codes, math.prod(pool.kernel)), x=total),))


def dequantized_mean(op: Op) -> Op | None:
    """A mean or sum that nothing quantises, as Dequantize: exact for powers of two, else with a scale s / n.

    The scale s / n is rounded to float32 once, which the float executor does not do; a relative 2**-24.
    """
    codes = codes_behind(op.operands[0])
    if codes is None:
        return None
    if codes.format.axis is not None:
        raise NoIntegerForm("a mean needs one scale")
    count = 1 if is_sum(op) else divisor(op, codes)
    if count is None:
        raise NoIntegerForm("windows at the border average fewer elements")
    fmt = codes.format
    if fmt.frac is not None and count & (count - 1) == 0 and not is_sum(op):
        lo, hi = fmt.level_range
        zero = int(fmt.zero_point_array[0])
        extra = count.bit_length() - 1
        width = max((lo - zero).bit_length(), (hi - zero).bit_length()) + 1 + extra
        exact = Fixed(width, width - fmt.frac - extra)
        return Dequantize(pooled(op, codes, Quantizer(exact, "floor"), op.loc))
    form = sum_form(op)
    if form is None:
        raise NoIntegerForm("average pooling of several windows needs a quantiser behind it")
    (term,) = form.terms
    width = term.x.format.bits
    base = Integer(width, term.x.format.signed)
    scale = (float(term.coefficient[0]),)
    tagged = Requantize(term.x, integers([1]), integers([0]), None, Quantizer(Affine(base, scale), "floor"), loc=op.loc)
    return Dequantize(tagged)
