"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce as fold

import numpy as np

from edgec.backends.rtl.circuit.arith import add, at_least, maximum, minimum, subtract
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import bitwise, invert, mux
from edgec.backends.rtl.circuit.matrix import Matrix, scale
from edgec.backends.rtl.circuit.rounding import overflow_to, round_to
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, narrow, shift_right_floor, with_frac
from edgec.backends.rtl.lower.elementwise import real
from edgec.backends.rtl.lower.registry import Layer, Wires, centered, each, is_binary, lowers, unit
from edgec.formats import Quantizer
from edgec.interp.pool import window_counts
from edgec.ops import ArgMax, AvgPool, MaxPool, Reduce


def windows(op: MaxPool | AvgPool, x: Wires) -> Wires:
    """Object array [N, C, *T] of lists: the wires inside each window that lie inside the tensor."""
    result = np.empty(op.shape, object)
    kernel = np.array(list(np.ndindex(*op.kernel)))
    rank = len(op.kernel)
    size = np.array(op.x.shape[2:])
    for index in np.ndindex(*op.shape):
        at = kernel * op.dilations + np.array(index[2:]) * op.strides - np.array(op.pads[:rank])
        inside = at[((at >= 0) & (at < size)).all(axis=1)]
        result[index] = [x[(*index[:2], *place)] for place in inside]
    return result


def balanced(function: object, wires: Sequence[Wire]) -> Wire:
    """`function` folded over `wires` as a balanced tree."""
    items = list(wires)
    while len(items) > 1:
        pairs = [function(a, b) for a, b in zip(items[::2], items[1::2], strict=False)]  # type: ignore[operator]
        items = pairs + items[len(pairs) * 2 :]
    return items[0]


@lowers(MaxPool)
def max_pool(layer: Layer, op: MaxPool, x: Wires) -> Wires:
    lowest = Const(op.format.code_range[0], unit=unit(op.format))
    return each(lambda window: balanced(maximum, window) if window else lowest, windows(op, x))


def sum_of(wires: Sequence[Wire]) -> Wire:
    """The exact sum of wires of one unit in one compressor tree."""
    matrix = Matrix(wires[0].frac)
    for wire in wires:
        matrix.add(wire)
    return matrix.total()


@lowers(AvgPool)
def avg_pool(layer: Layer, op: AvgPool, x: Wires) -> Wires:
    quantizer = op.out or Quantizer(op.format)
    target = quantizer.format
    dyadic = op.x.format.frac is not None and target.frac is not None
    values = real(x, op.x.format) if dyadic else each(lambda w: with_frac(w, 0), centered(x, op.x.format))
    frac = (target.frac or 0) if dyadic else 0
    zero = int(target.zero_point_array[0])
    counts = np.broadcast_to(window_counts(op), op.shape)

    def one(window: list[Wire], count: int) -> Wire:
        total = sum_of(window) if window else Const(0, unit=frac)
        mean = divide(total, int(count), frac, quantizer.rounding)
        if is_binary(target):
            return at_least(mean, Const(0, unit=frac))
        moved = add(mean, Const(zero, unit=frac)) if zero else mean
        return with_frac(overflow_to(moved, *target.level_range, quantizer.overflow), unit(target))

    return each(one, windows(op, values), counts)


def divide(x: Wire, divisor: int, frac: int, rounding: str) -> Wire:
    """x / divisor in the unit 2**-frac, rounded exactly."""
    if divisor & (divisor - 1) == 0:
        return round_to(with_frac(x, x.frac + divisor.bit_length() - 1), frac, rounding)  # type: ignore[arg-type]
    # In integers: n / d with the units brought into n and d.
    up = frac - x.frac
    n = with_frac(scale(x, 1 << up), 0) if up > 0 else with_frac(x, 0)
    d = divisor << max(-up, 0)
    quotient = floor_divide(n, d)
    remainder = narrow(subtract(n, scale(quotient, d)), Interval(0, d - 1))
    twice = scale(remainder, 2)
    negative = bits(n, n.width - 1, 1) if n.signed else Const(0, 1)
    above, tie_or_above = at_least(twice, Const(d + 1)), at_least(twice, Const(d))
    some = at_least(remainder, Const(1))
    odd = bits(quotient, 0, 1)
    extra: Wire
    match rounding:
        case "floor":
            extra = Const(0)
        case "ceil":
            extra = some
        case "trunc":
            extra = bitwise("and", some, negative)
        case "away":
            extra = bitwise("and", some, invert(negative))
        case "half_up":
            extra = tie_or_above
        case "half_down":
            extra = above
        case "half_even":
            extra = mux(odd, tie_or_above, above)
        case "half_away":
            extra = mux(negative, above, tie_or_above)
        case _:
            extra = mux(negative, tie_or_above, above)
    return with_frac(add(quotient, extra), frac)


def floor_divide(n: Wire, d: int) -> Wire:
    """floor(n / d) by a multiplication with a rounded-up reciprocal (Granlund and Montgomery 1994)."""
    low = n.interval.lo // d
    shifted = add(n, Const(-low * d)) if low else n  # not negative
    top = shifted.interval.hi
    places = max(top, 1).bit_length() + d.bit_length()
    factor = -(-(1 << places) // d)
    quotient = shift_right_floor(scale(shifted, factor), places)
    quotient = cast(with_frac(quotient, 0), Interval(0, top // d)) if top // d > 0 else Const(0)
    return add(quotient, Const(low)) if low else quotient


@lowers(Reduce)
def reduce(layer: Layer, op: Reduce, x: Wires) -> Wires:
    axes = tuple(a % len(op.x.shape) for a in op.axes)
    kept = [i for i in range(len(op.x.shape)) if i not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(op.x.shape[i] for i in kept), -1)
    result = np.empty(rows.shape[:-1], object)
    for index in np.ndindex(*result.shape):
        row = list(rows[index])
        if op.function == "sum":
            result[index] = with_frac(sum_of(list(real(np.array(row, object), op.x.format))), unit(op.format))
        else:
            result[index] = balanced(maximum if op.function == "max" else minimum, row)
    return result.reshape(op.shape)


@lowers(ArgMax)
def arg_max(layer: Layer, op: ArgMax, x: Wires) -> Wires:
    axis = op.axis % len(op.x.shape)
    rows = np.moveaxis(x, axis, -1)
    result = np.empty(rows.shape[:-1], object)

    def better(a: tuple[Wire, Wire], b: tuple[Wire, Wire]) -> tuple[Wire, Wire]:
        """The winner of a (earlier) and b; equals go to the earlier unless the last is wanted."""
        (x_a, i_a), (x_b, i_b) = a, b
        first, second = (x_b, x_a) if op.smallest else (x_a, x_b)
        take_b = invert(at_least(first, second)) if not op.select_last else at_least(second, first)
        return mux(take_b, x_b, x_a), mux(take_b, i_b, i_a)

    for index in np.ndindex(*result.shape):
        pairs = [(wire, Const(i)) for i, wire in enumerate(rows[index])]
        result[index] = fold(better, pairs)[1]
    return result.reshape(op.shape)
