"""Elementwise ops and format changes."""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.circuit.arith import add, at_least, subtract
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import lut as table_lookup
from edgec.backends.rtl.circuit.matrix import Matrix, popcount
from edgec.backends.rtl.circuit.multiply import multiply
from edgec.backends.rtl.circuit.rounding import clamp, overflow_to, quantize, round_to
from edgec.backends.rtl.circuit.wire import Const, Wire, concat, with_frac
from edgec.backends.rtl.lower.registry import (
    Layer,
    Wires,
    centered,
    each,
    full,
    is_binary,
    lowers,
    per_channel,
    unit,
    zero_points,
)
from edgec.formats import Format, Quantizer
from edgec.ops import Add, Cast, Clip, Constant, Lut, Mul, MultiThreshold, Op, Relu, Requantize, Sub, clip_levels


def bring(wire: Wire, quantizer: Quantizer) -> Wire:
    """A dyadic wire rounded and brought into a format with a power-of-two unit; `binary` takes the sign."""
    fmt = quantizer.format
    if is_binary(fmt):
        rounded = round_to(wire, fmt.frac or 0, quantizer.rounding)
        return at_least(rounded, Const(0))
    frac = fmt.frac or 0
    result = quantize(wire, Interval(*fmt.level_range, frac), quantizer.rounding, quantizer.overflow)
    return with_frac(result, unit(fmt))


def real(wires: Wires, fmt: Format) -> Wires:
    """Centred levels as wires in the unit of `fmt`, for arithmetic between power-of-two units."""
    if fmt.frac is None:
        return centered(wires, fmt)
    frac = fmt.frac
    return each(lambda w: with_frac(w, frac), centered(wires, fmt))


def operand(layer: Layer, op: Op, wires: Wires | None) -> Wires:
    """Centred wires of an operand, or constants where it is one that is not loaded."""
    if wires is not None:
        return real(wires, op.format)
    assert isinstance(op, Constant)
    frac = op.format.frac or 0
    return each(lambda v: Const(int(v), unit=frac), op.levels.astype(object))


def finish(op: Add | Sub | Mul, wires: Wires) -> Wires:
    quantizer = op.out
    if quantizer is not None:
        return each(lambda w: bring(w, quantizer), wires)
    return each(lambda w: with_frac(w, unit(op.format)), wires)


@lowers(Add)
def lower_add(layer: Layer, op: Add, x: Wires | None, y: Wires | None) -> Wires:
    return finish(op, each(add, operand(layer, op.x, x), operand(layer, op.y, y)))


@lowers(Sub)
def lower_sub(layer: Layer, op: Sub, x: Wires | None, y: Wires | None) -> Wires:
    return finish(op, each(subtract, operand(layer, op.x, x), operand(layer, op.y, y)))


@lowers(Mul)
def lower_mul(layer: Layer, op: Mul, x: Wires | None, y: Wires | None) -> Wires:
    return finish(op, each(multiply, operand(layer, op.x, x), operand(layer, op.y, y)))


@lowers(Relu)
def relu(layer: Layer, op: Relu, x: Wires) -> Wires:
    fmt = op.format
    if is_binary(fmt):
        return full(op.shape, Const(1, 1))  # max(-1, 0) has no code: the op is refused before it comes here
    lo, hi = fmt.level_range
    return each(lambda w, zero: clamp(w, max(lo, int(zero)), hi), x, zero_points(fmt, op.shape))


@lowers(Clip)
def clip(layer: Layer, op: Clip, x: Wires) -> Wires:
    lo, hi = clip_levels(op.format, op.lo, op.hi)
    if is_binary(op.format):
        lo, hi = (lo + 1) // 2, (hi + 1) // 2  # its wires carry codes
    return each(lambda w: clamp(w, lo, hi), x)


@lowers(Cast)
def lower_cast(layer: Layer, op: Cast, x: Wires) -> Wires:
    return each(lambda w: bring(w, op.out), real(x, op.x.format))


@lowers(Requantize)
def requantize(layer: Layer, op: Requantize, x: Wires, *_: object) -> Wires:
    shape = op.shape

    def parameter(constant: Op | None) -> np.ndarray:
        if constant is None:
            return np.zeros(shape, np.int64)
        assert isinstance(constant, Constant)
        return per_channel(constant.data.astype(np.int64), op.axis, shape)

    fmt, out = op.format, op.out
    zero = int(fmt.zero_point_array[0])

    def one(wire: Wire, factor: int, places: int, offset: int) -> Wire:
        sum_ = Matrix()
        sum_.add_scaled(with_frac(wire, 0), int(factor))
        sum_.add_constant(int(offset))
        rounded = round_to(with_frac(sum_.total(), int(places)), 0, out.rounding)
        moved = add(rounded, Const(zero)) if zero else rounded
        return with_frac(overflow_to(moved, *fmt.level_range, out.overflow), unit(fmt))

    return each(one, centered(x, op.x.format), parameter(op.multiplier), parameter(op.shift), parameter(op.offset))


@lowers(MultiThreshold)
def multi_threshold(layer: Layer, op: MultiThreshold, x: Wires, thresholds: Wires | None, sign: Wires | None) -> Wires:
    assert isinstance(op.sign, Constant) and isinstance(op.thresholds, Constant)
    signs = per_channel(op.sign.data.astype(np.int64), op.axis, op.shape)
    steps = op.thresholds.shape[1]
    if thresholds is None:
        table = each(lambda v: Const(int(v)), op.thresholds.data.astype(object))
    else:
        table = thresholds
    columns = [per_channel(table[:, k], op.axis, op.shape) for k in range(steps)]
    lowest, frac = op.to.code_range[0], unit(op.to)

    def one(wire: Wire, direction: int, *limits: Wire) -> Wire:
        level = with_frac(wire, 0)
        if direction > 0:
            reached = [at_least(level, limit) for limit in limits]
        else:
            reached = [at_least(subtract(Const(0), limit), level) for limit in limits]
        count = popcount(concat(reached)) if len(reached) > 1 else reached[0]
        return with_frac(add(count, Const(lowest)), frac) if lowest else with_frac(count, frac)

    return each(one, centered(x, op.x.format), signs, *columns)


@lowers(Lut)
def lookup(layer: Layer, op: Lut, x: Wires, table: object) -> Wires:
    assert isinstance(op.table, Constant)
    entries, lowest = op.table.data.astype(np.int64).tolist(), op.x.format.code_range[0]
    frac = unit(op.format)

    def one(wire: Wire) -> Wire:
        i = wire.interval
        return table_lookup(with_frac(wire, 0), entries[i.lo - lowest : i.hi - lowest + 1], frac)

    return each(one, x)
