"""Detector front and back ends: small floats, power-of-two normalisation, bit packing."""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.circuit.arith import add, at_least, minimum, subtract
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import lut, mux
from edgec.backends.rtl.circuit.rounding import clamp
from edgec.backends.rtl.circuit.select import leading_one, shift_right
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, shift_left, with_frac
from edgec.backends.rtl.lower.pool import sum_of
from edgec.backends.rtl.lower.registry import Layer, Wires, each, lowers
from edgec.interp.quant import decode_float as decode_values
from edgec.ops import DecodeFloat, EncodeFloat, NormalizePow2, PackBits


@lowers(DecodeFloat)
def decode_float(layer: Layer, op: DecodeFloat, x: Wires) -> Wires:
    entries = decode_values(op, np.arange(1 << op.x.format.bits)).tolist()
    return each(lambda w: lut(w, entries[w.interval.lo : w.interval.hi + 1]), x)


@lowers(EncodeFloat)
def encode_float(layer: Layer, op: EncodeFloat, x: Wires) -> Wires:
    m, largest = op.mantissa_bits, op.format.code_range[1]

    def one(value: Wire) -> Wire:
        if value.interval.hi < 1 << m:
            return value
        place = leading_one(value)
        shift = clamp(subtract(place, Const(m)), 0, max(value.width - 1 - m, 0))
        mantissa = bits(shift_right(value, shift), 0, m) if m else Const(0)
        exponent = add(shift, Const(1))
        large = add(shift_left_integer(exponent, m), mantissa)
        small = cast(bits(value, 0, m), Interval(0, (1 << m) - 1)) if m else Const(0)
        code = mux(at_least(value, Const(1 << m)), large, small)
        return minimum(code, Const(largest)) if code.interval.hi > largest else code

    return each(one, x)


def shift_left_integer(x: Wire, places: int) -> Wire:
    """x * 2**places in the unit of x."""
    return with_frac(shift_left(x, places), x.frac)


@lowers(NormalizePow2)
def normalize_pow2(layer: Layer, op: NormalizePow2, x: Wires) -> Wires:
    result = np.empty(op.shape, object)
    top = op.format.code_range[1]
    for index in np.ndindex(*op.shape[:-1]):
        row = list(x[index])
        amount = leading_one(sum_of(row))
        for k, wire in enumerate(row):
            shifted = shift_right(shift_left_integer(wire, op.frac_bits), amount)
            result[(*index, k)] = with_frac(clamp(shifted, 0, top), op.frac_bits)
    return result


@lowers(PackBits)
def pack_bits(layer: Layer, op: PackBits, x: Wires) -> Wires:
    width = op.x.format.bits
    result = np.empty(op.shape, object)
    flags = op.mask or ((0,) * (width - op.keep) + (1,) * op.keep) * op.x.shape[-1]
    chosen = np.flatnonzero(flags)
    for index in np.ndindex(*op.shape[:-1]):
        row = x[index]
        for k, flat in enumerate(chosen.tolist()):
            result[(*index, k)] = bits(row[flat // width], flat % width, 1)
    return result
