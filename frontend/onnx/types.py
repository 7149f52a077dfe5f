"""Element types: ONNX's, numpy's and the number formats they mean."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from edgec.formats import F16, F32, F64, Affine, Fixed, Format, FormatError, Integer, TensorType
from edgec.formats_compressed import Minifloat
from edgec.ops import BOOL, Constant, Lut, Op

FORMATS: dict[str, Format] = {
    "float32": F32,
    "float16": F16,
    "float64": F64,
    "bool": BOOL,
    "int4": Integer(4),
    "uint4": Integer(4, signed_=False),
    "int2": Integer(2),
    "uint2": Integer(2, signed_=False),
    "int8": Integer(8),
    "uint8": Integer(8, signed_=False),
    "int16": Integer(16),
    "uint16": Integer(16, signed_=False),
    "int32": Integer(32),
    "uint32": Integer(32, signed_=False),
    "int64": Integer(64),
    "float4_e2m1fn": Minifloat(2, 1),
}
"""numpy type name (ml_dtypes for the 2 and 4 bit types) -> format. bfloat16, float8, uint64, strings: none."""

_NAMES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT4E2M1: "float4_e2m1fn",
    **{
        getattr(TensorProto, n.upper()): n
        for n in FORMATS
        if hasattr(TensorProto, n.upper()) and n not in ("float32", "float64")
    },
}


def dtype_format(dtype: np.dtype) -> Format | None:
    """The format of a numpy element type, None when there is none."""
    return FORMATS.get(dtype.name)


def element_format(elem_type: int) -> Format | None:
    """The format of an ONNX element type, None when there is none."""
    return FORMATS.get(_NAMES.get(elem_type, ""))


def constant_op(array: np.ndarray, loc: tuple[str, ...], fmt: Format | None = None) -> Constant:
    """A constant of `array`'s codes in `fmt` (default: that of its element type)."""
    fmt = fmt or dtype_format(array.dtype)
    assert fmt is not None, "checked by the caller"
    if isinstance(fmt, Minifloat) and array.dtype.name in FORMATS:
        array = array.view(fmt.dtype)  # small floats are stored as their codes
    elif array.dtype != fmt.dtype:
        array = array.astype(fmt.dtype)
    if array.flags.writeable:  # a fresh array: handed over without another copy
        array.flags.writeable = False
    return Constant(array, type=TensorType(fmt, array.shape), loc=loc)


def scaled(base: Format, scales: np.ndarray, zero_points: np.ndarray, axis: int | None) -> Format:
    """`base` with scales and zero points; `Fixed` where one power of two and no zero point say the same.

    scales float [1] or [channels], zero_points integer [1] or [channels]; `axis` of the channels.
    Raises FormatError for scales that are not positive and finite.
    """
    scale = tuple(float(s) for s in np.asarray(scales).ravel())
    zero = tuple(int(z) for z in np.asarray(zero_points).ravel())
    if not any(zero):
        zero = (0,)
    if len(scale) == 1:
        axis = None
        mantissa, exponent = math.frexp(scale[0])
        if zero == (0,) and mantissa == 0.5 and isinstance(base, Integer) and abs(1 - exponent) <= 200:
            frac = 1 - exponent
            return Fixed(base.width, base.width - frac, base.signed_, base.narrow)
        zero = zero[:1] if len(set(zero)) == 1 else zero
    elif len(zero) == 1:
        zero = zero if zero == (0,) else zero * len(scale)
    return Affine(base, scale, zero, axis)


def is_plain(fmt: Format) -> bool:
    """Whether codes are the numbers themselves: floats, truth values, integers of unit 1 without zero point."""
    return fmt.is_float or isinstance(fmt, Integer) or (isinstance(fmt, Fixed) and fmt.frac == 0)


def reinterpret(op: Op, fmt: Format) -> Op:
    """The same codes read as another format of the same width: a table look-up that changes nothing but the type."""
    if op.format == fmt:
        return op
    if isinstance(op, Constant):
        return constant_op(op.data, op.loc, fmt)
    if op.format.code_range != fmt.code_range or fmt.bits > 16 or fmt.axis is not None:
        raise FormatError(f"codes of {op.format} cannot be read as {fmt}")
    lo, hi = fmt.code_range
    return Lut(op, constant_op(np.arange(lo, hi + 1).astype(fmt.dtype), op.loc, fmt), loc=op.loc)


def plain(op: Op) -> Op:
    """The codes of `op` as plain integers, which is what ONNX integer arithmetic works on."""
    if is_plain(op.format) or isinstance(op.format, Minifloat):
        return op
    base = op.format.base if isinstance(op.format, Affine) else op.format
    lo, hi = base.code_range
    return reinterpret(op, Integer(base.bits, lo < 0, lo == -hi))
