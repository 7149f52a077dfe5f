"""Elementwise ops as C statements on one element; each does what `edgec.interp` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgec.backends.c import scalar as c
from edgec.backends.c.codes import base_of
from edgec.backends.c.functions import binary, unary
from edgec.backends.c.nearest import nearest
from edgec.backends.c.scalar import FLOATS, NUMBERS, UP, Body, Kind, Scalar, integer, integer_type, number
from edgec.backends.c.small_float import decode_float, encode_float
from edgec.formats import Format, FormatError, Quantizer
from edgec.formats_compressed import Binary as BinaryFormat
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Cast,
    Clip,
    Constant,
    DecodeFloat,
    Dequantize,
    EncodeFloat,
    Lut,
    Mul,
    MultiThreshold,
    Op,
    PRelu,
    Quantize,
    Relu,
    Requantize,
    RequantizeFloat,
    Sub,
    Unary,
    Where,
    clip_levels,
)

Values = Callable[[int], Scalar]
"""Operand number -> its value at this element."""
Along = Callable[[np.ndarray, int], Scalar]
"""An array [1] or [channels] of integers or floats and the axis of the channels -> its value at this element."""


def centred(body: Body, x: Scalar, op: Op, along: Along) -> Scalar:
    """A level with the zero point of `op` subtracted."""
    zero = op.format.zero_point_array
    if not zero.any():
        return x
    if (zero == zero[0]).all():
        return c.subtract(body, x, c.constant(int(zero[0])))
    assert op.format.axis is not None
    return c.subtract(body, x, along(zero, op.format.axis % len(op.shape)))


def known(op: Op, what: str) -> np.ndarray:
    """The codes of a parameter; FormatError where it is no constant."""
    if not isinstance(op, Constant):
        raise FormatError(f"{what} computed at run time")
    return op.data


def requantize_dyadic(body: Body, x: Scalar, frac: int, quantizer: Quantizer) -> Scalar:
    """A level with `frac` fraction bits brought to the level of the quantizer's format."""
    target = quantizer.format
    shifted = c.shift_round(body, x, frac - (target.frac or 0), quantizer.rounding)
    return c.overflow(body, shifted, *target.level_range, quantizer.overflow)


def element(op: Op, body: Body, values: Values, along: Along, table: Callable[[np.ndarray], str]) -> Scalar:
    """The value of `op` at one element: a level (zero point included) or a number.

    `table` gives the name of a constant array. Raises FormatError for what C code cannot do."""
    match op:
        case Add() | Sub() | Mul():
            return _arithmetic(op, body, values, along)
        case Relu() | Clip():
            return _clamped(op, body, values(0), along)
        case PRelu():
            x, slope = values(0), values(1)
            product = body.let_number(f"{x.code} * {slope.code}", x.kind)
            return body.let_number(f"{x.code} >= 0 ? {x.code} : {product.code}", x.kind)
        case Unary():
            return unary(op, body, values(0))
        case Binary():
            return binary(op, body, values(0), values(1))
        case Where():
            test, x, y = values(0), values(1), values(2)
            chosen = f"{test.code} != 0 ? {x.code} : {y.code}"
            if x.kind != "int":
                return body.let_number(chosen, x.kind)
            made = body.let(chosen, min(x.lo, y.lo), max(x.hi, y.hi))
            both = x.stored and y.stored
            return replace(made, stored=f"({test.code} != 0 ? {x.stored} : {y.stored})") if both else made
        case BatchNorm():
            return _batch_norm(op, body, values, along)
        case Quantize():
            return _quantize(op, body, values(0), along, table)
        case Dequantize():
            kind: Kind = FLOATS[op.to.dtype.name]  # type: ignore[assignment]
            level = c.as_number(body, centred(body, values(0), op.x, along), kind)
            scale = _scale(op.x.format, op.to.dtype, len(op.shape), along)
            return body.let_number(f"{level.code} * {scale.code}", kind)
        case Cast():
            if op.format.is_float:
                to: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
                return body.let_number(f"({NUMBERS[to]}){values(0).code}", to)
            return requantize_dyadic(body, centred(body, values(0), op.x, along), op.x.format.frac or 0, op.out)
        case Requantize():
            return _requantize(op, body, values, along)
        case RequantizeFloat():
            level = c.as_number(body, centred(body, values(0), op.x, along), "float")
            scaled = body.let_number(f"{level.code} * {along(known(op.scale, 'a scale'), op.axis).code}", "float")
            rounded = c.round_number(body, scaled, op.out.rounding)
            zero = int(op.format.zero_point_array[0])
            return c.to_levels(body, rounded, zero, *op.format.level_range, op.out.overflow)
        case MultiThreshold():
            return _multi_threshold(op, body, values(0), along, table)
        case Lut():
            levels = op.table.format.levels(known(op.table, "a table"))
            at = f"{table(levels)}[{values(0).code} - {integer(op.x.format.code_range[0])}]"
            return body.let(at, int(levels.min()), int(levels.max()))
        case DecodeFloat():
            return decode_float(op, body, values(0))
        case EncodeFloat():
            return encode_float(op, body, values(0))
    raise FormatError(f"{op.mnemonic} has no C code")


def _arithmetic(op: Add | Sub | Mul, body: Body, values: Values, along: Along) -> Scalar:
    x, y = values(0), values(1)
    sign = {Add: "+", Sub: "-", Mul: "*"}[type(op)]
    if x.kind != "int":
        return body.let_number(f"{x.code} {sign} {y.code}", x.kind)
    a, b = centred(body, x, op.x, along), centred(body, y, op.y, along)
    fx, fy = op.x.format.frac, op.y.format.frac
    if _only_wraps(op, a, b):
        assert op.out is not None
        return c.wrapped(body, sign, a, b, *op.out.format.level_range)
    if isinstance(op, Mul):
        frac: int | None = (fx or 0) + (fy or 0)
        result = c.multiply(body, a, b)
    else:
        frac = None
        if fx is not None and fy is not None:
            frac = max(fx, fy)
            a = c.multiply(body, a, c.constant(1 << (frac - fx)))
            b = c.multiply(body, b, c.constant(1 << (frac - fy)))
        result = (c.add if isinstance(op, Add) else c.subtract)(body, a, b)
    if op.out is None:
        return result
    assert frac is not None
    return requantize_dyadic(body, result, frac, op.out)


def _only_wraps(op: Add | Sub | Mul, a: Scalar, b: Scalar) -> bool:
    """Whether the exact result needs more than 64 bits, of which `out` takes the low ones in the same unit."""
    fx, fy = op.x.format.frac, op.y.format.frac
    if op.out is None or op.out.overflow != "wrap" or fx is None or fy is None:
        return False
    if op.out.format.frac != (fx + fy if isinstance(op, Mul) else fx) or (fx != fy and not isinstance(op, Mul)):
        return False
    if isinstance(op, Mul):
        ends = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    else:
        ends = [a.lo + b.lo, a.hi + b.hi] if isinstance(op, Add) else [a.lo - b.hi, a.hi - b.lo]
    return min(ends) < -(1 << 63) or max(ends) >= 1 << 63


def _clamped(op: Relu | Clip, body: Body, x: Scalar, along: Along) -> Scalar:
    if isinstance(op, Relu):
        if x.kind != "int":
            return body.let_number(f"{x.code} <= 0 ? 0 : {x.code}", x.kind)
        zero = op.x.format.zero_point_array
        if (zero == zero[0]).all():
            return c.maximum(body, x, int(zero[0]))
        z = along(zero, (op.x.format.axis or 0) % len(op.shape))
        return body.let(f"{x.code} < {z.code} ? {z.code} : {x.code}", max(x.lo, z.lo), max(x.hi, z.hi))
    if x.kind != "int":
        lo, hi = number(op.lo, x.kind), number(op.hi, x.kind)
        return body.let_number(f"{x.code} < {lo} ? {lo} : {x.code} > {hi} ? {hi} : {x.code}", x.kind)
    low, high = clip_levels(op.format, op.lo, op.hi)
    return c.minimum(body, c.maximum(body, x, low), high)


def _batch_norm(op: BatchNorm, body: Body, values: Values, along: Along) -> Scalar:
    x = values(0)
    scale, bias, mean, var = (p.data for p in op.operands[1:])  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):
        deviation = np.sqrt(var + op.format.dtype.type(op.epsilon)).astype(op.format.dtype)
    y = body.let_number(f"{x.code} - {along(mean, 1).code}", x.kind)
    y = body.let_number(f"{y.code} / {along(deviation, 1).code}", x.kind)
    y = body.let_number(f"{y.code} * {along(scale, 1).code}", x.kind)
    return body.let_number(f"{y.code} + {along(bias, 1).code}", x.kind)


def _scale(fmt: Format, dtype: np.dtype, rank: int, along: Along) -> Scalar:
    scale = fmt.scale_array.astype(dtype)
    return along(scale, fmt.axis % rank if fmt.axis is not None and rank else 0)


def _quantize(op: Quantize, body: Body, x: Scalar, along: Along, table: Callable[[np.ndarray], str]) -> Scalar:
    fmt = op.format
    if isinstance(base_of(fmt), BinaryFormat):  # the sign, zero counts as positive
        zero = float(fmt.zero_point_array[0])
        if zero:
            raise FormatError(f"floats to {fmt}")
        return body.let(f"{x.code} >= 0 ? 1 : -1", -1, 1)
    if fmt.code_range != fmt.level_range:
        return nearest(op, body, x, table)
    wide = body.let_number(x.code, "float") if x.kind == "half" else x
    scale = _scale(fmt, op.x.format.dtype, len(op.shape), along)
    divided = body.let_number(f"{wide.code} / {scale.code}", x.kind)
    rounded = c.round_number(body, divided, op.out.rounding)
    zero = fmt.zero_point_array
    if (zero == zero[0]).all():
        return c.to_levels(body, rounded, int(zero[0]), *fmt.level_range, op.out.overflow)
    raise FormatError("zero points that differ by channel, in a quantiser of floats")


def _requantize(op: Requantize, body: Body, values: Values, along: Along) -> Scalar:
    level = centred(body, values(0), op.x, along)
    multiplier, shift = known(op.multiplier, "a multiplier"), known(op.shift, "a shift")
    product = c.multiply(body, level, along(multiplier, op.axis))
    if op.offset is not None:
        product = c.add(body, product, along(known(op.offset, "an offset"), op.axis))
    if (shift == shift.flat[0]).all():
        rounded = c.shift_round(body, product, int(shift.flat[0]), op.out.rounding)
    else:
        rounded = _variable_shift(body, product, shift, along(shift, op.axis), op.out.rounding)
    moved = c.add(body, rounded, c.constant(int(op.format.zero_point_array[0])))
    return c.overflow(body, moved, *op.format.level_range, op.out.overflow)


def _variable_shift(body: Body, x: Scalar, shifts: np.ndarray, shift: Scalar, rounding: str) -> Scalar:
    """x * 2**-shift rounded, the shift from channel to channel another."""
    least, most = int(shifts.min()), int(shifts.max())
    if least < 0 or most > 62:
        raise FormatError(f"shifts from {least} to {most} bits")
    lo, hi = min(x.lo >> least, x.lo >> most), (max(x.hi >> least, x.hi >> most)) + 1
    wide = integer_type(min(x.lo, 0), max(x.hi, 1 << most))
    one = f"({wide})1 << {shift.code}"
    small, top = integer_type(lo, hi), 1 << max(most - 1, 0)
    if rounding == "half_up":
        kind = integer_type(x.lo, x.hi + (1 << most))
        half = body.let(f"({integer_type(0, top)})((({kind})1 << {shift.code}) >> 1)", 0, top)
        return body.let(f"({small})((({kind}){x.code} + {half.code}) >> {shift.code})", lo, hi)
    q = body.let(f"({small})(({wide}){x.code} >> {shift.code})", lo, hi)
    if rounding == "floor":
        return q
    r = body.let(f"({integer_type(0, 2 * top - 1)})(({wide}){x.code} & (({one}) - 1))", 0, 2 * top - 1)
    half = body.let(f"({integer_type(0, top)})(({one}) >> 1)", 0, top)
    up = f"{r.code} != 0 && ({UP[rounding].format(r=r.code, a=x.code, q=q.code, h=half.code)})"
    return body.let(f"{q.code} + (({up}) ? 1 : 0)", lo, hi)


def _multi_threshold(
    op: MultiThreshold, body: Body, x: Scalar, along: Along, table: Callable[[np.ndarray], str]
) -> Scalar:
    level = centred(body, x, op.x, along)
    signed = c.multiply(body, level, along(known(op.sign, "a sign of thresholds"), op.axis))
    thresholds = known(op.thresholds, "thresholds")
    steps = thresholds.shape[1]
    name = table(thresholds)
    rows = np.arange(thresholds.shape[0]) * steps
    row = along(rows, op.axis)
    lo = op.format.code_range[0]
    count, loop = body.name(), body.name()
    wide = integer_type(min(signed.lo, int(thresholds.min(initial=0))), max(signed.hi, int(thresholds.max(initial=0))))
    body.lines.append(f"int32_t {count} = 0;")
    body.lines.append(f"for (int32_t {loop} = 0; {loop} < {steps}; {loop}++) {{")
    body.lines.append(f"  {count} += ({wide}){signed.code} >= ({wide}){name}[{row.code} + {loop}] ? 1 : 0;")
    body.lines.append("}")
    code = c.add(body, Scalar(count, "int", 0, steps), c.constant(lo))
    levels = op.format.levels(np.arange(lo, op.format.code_range[1] + 1))
    if (levels == np.arange(lo, op.format.code_range[1] + 1)).all():
        return code
    return body.let(f"{table(levels)}[{code.code} - {integer(lo)}]", int(levels.min()), int(levels.max()))
