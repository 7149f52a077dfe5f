"""Functions of two plain integers: computed on int64 tensors and cast back."""

from __future__ import annotations

import numpy as np

from edgec.frontend.onnx_export.builder import BOOL, I64, Builder, dtype_of
from edgec.frontend.onnx_export.quantised import refuse
from edgec.ops import Binary

_BITS = {"bit_and": "BitwiseAnd", "bit_or": "BitwiseOr", "bit_xor": "BitwiseXor"}
_U64 = np.dtype(np.uint64)


def integer_function(b: Builder, op: Binary) -> str:
    """`op`, one of `INTEGER_FUNCTIONS`, with what ONNX leaves open (zero divisors, wide shifts) spelt out."""
    name, bits = op.function, op.format.bits
    x, y = b.read(op.x, I64), b.read(op.y, I64)
    zero = b.scalar(0, I64)
    if name in _BITS:
        result = b.each(_BITS[name], x, y)
    elif name.startswith("shift"):
        if bits > 32:
            raise refuse(op, f"a shift of {op.format}")
        result = _shifted(b, x, y, bits, name == "shift_left", op.format.signed)
    else:
        empty = b.each("Equal", y, zero, dtype=BOOL)
        divisor = b.each("Where", empty, b.scalar(1, I64), y, dtype=I64)
        kind = {"div": ("Div", None), "mod": ("Mod", 1), "floor_mod": ("Mod", 0)}[name]
        quotient = b.each(kind[0], x, divisor, fmod=kind[1])
        if name == "div" and op.format.signed:  # the most negative integer by -1 wraps
            lowest, highest = op.format.code_range
            wraps = b.each("Greater", quotient, b.scalar(highest, I64), dtype=BOOL)
            quotient = b.each("Where", wraps, b.scalar(lowest, I64), quotient, dtype=I64)
        result = b.each("Where", empty, zero, quotient, dtype=I64)
    return b.cast(result, dtype_of(op))


def _shifted(b: Builder, x: str, y: str, bits: int, left: bool, signed: bool) -> str:
    """x shifted by y in `bits` bits. ONNX shifts unsigned tensors: a negative x is inverted before and after."""
    zero, top = b.scalar(0, I64), b.scalar(bits - 1, I64)
    outside = b.each("Or", b.each("Less", y, zero, dtype=BOOL), b.each("Greater", y, top, dtype=BOOL), dtype=BOOL)
    amount = b.cast(b.each("Clip", y, zero, top), _U64)
    mask, sign = b.scalar((1 << bits) - 1, I64), b.scalar(1 << (bits - 1), I64)
    if left:
        bare = b.cast(b.each("BitwiseAnd", x, mask), _U64)
        moved = b.each("BitwiseAnd", b.cast(b.each("BitShift", bare, amount, direction="LEFT"), I64), mask)
        if signed:  # the top bit counts negative
            moved = b.each("Sub", b.each("BitwiseXor", moved, sign), sign)
        return b.each("Where", outside, zero, moved, dtype=I64)
    fill = b.each("Min", b.each("Sign", x), zero)  # -1 below zero, else 0
    bare = b.cast(b.each("BitwiseXor", x, fill), _U64)
    moved = b.cast(b.each("BitShift", bare, amount, direction="RIGHT"), I64)
    return b.each("Where", outside, fill, b.each("BitwiseXor", moved, fill), dtype=I64)
