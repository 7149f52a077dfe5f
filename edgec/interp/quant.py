"""Format changes and the integer detector ops."""

from __future__ import annotations

import numpy as np

from edgec.formats import F32, Affine, Format
from edgec.interp.mac import requantize_dyadic
from edgec.interp.registry import along, evaluates, frame_levels
from edgec.ops import (
    Cast,
    DecodeFloat,
    Dequantize,
    EncodeFloat,
    Lut,
    MultiThreshold,
    NormalizePow2,
    PackBits,
    Quantize,
    Requantize,
    RequantizeFloat,
)
from edgec.rounding import round_float, shift_round


def _per_channel(values: np.ndarray, fmt: Format, rank: int) -> np.ndarray:
    return (
        along(values, fmt.axis, rank) if fmt.axis is not None and values.size > 1 else values.reshape((1,) * (rank + 1))
    )


@evaluates(Quantize)
def quantize(op: Quantize, x: np.ndarray) -> np.ndarray:
    fmt, rank = op.format, len(op.shape)
    scale = _per_channel(fmt.scale_array, fmt, rank).astype(x.dtype)
    if fmt.code_range != fmt.level_range:  # table formats and binary: nearest value
        if not isinstance(fmt, Affine):
            return fmt.encode(x, op.out.rounding, op.out.overflow)
        levels = x / scale + _per_channel(fmt.zero_point_array, fmt, rank)
        return fmt.codes_of_levels(fmt.clip_levels(levels, op.out.overflow))
    levels = round_float(x / scale, op.out.rounding) + _per_channel(fmt.zero_point_array, fmt, rank)
    return fmt.codes_of_levels(fmt.clip_levels(levels, op.out.overflow))


@evaluates(Dequantize)
def dequantize(op: Dequantize, x: np.ndarray) -> np.ndarray:
    fmt = op.x.format
    scale = _per_channel(fmt.scale_array, fmt, len(op.shape)).astype(op.to.dtype)
    return frame_levels(x, op.x).astype(op.to.dtype) * scale


@evaluates(Cast)
def cast(op: Cast, x: np.ndarray) -> np.ndarray:
    if op.format.is_float:
        return x.astype(op.format.dtype)
    levels = requantize_dyadic(frame_levels(x, op.x), op.x.format.frac or 0, op.out)
    return op.format.codes_of_levels(levels)


@evaluates(Requantize)
def requantize(op: Requantize, x: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    rank, fmt = len(op.shape), op.format
    multiplier, shift, *offset = (
        along(p[0].astype(np.int64), op.axis, rank) if p.size > 1 else p.astype(np.int64).reshape((1,) * (rank + 1))
        for p in parameters
    )
    levels = frame_levels(x, op.x)
    bound = int(np.abs(levels).max(initial=0)) * int(np.abs(multiplier).max())
    if offset:
        bound += int(np.abs(offset[0]).max())
    bound <<= max(-int(shift.min()), 0)
    if bound >= 1 << 62:  # beyond int64: exact arithmetic in Python integers
        levels, multiplier = levels.astype(object), multiplier.astype(object)
    scaled = levels * multiplier + (offset[0] if offset else 0)
    if shift.size == 1:
        rounded = shift_round(scaled, int(shift.flat[0]), op.out.rounding)
    else:
        rounded = np.empty_like(scaled)
        for value in np.unique(shift):
            channels = np.flatnonzero(shift.ravel() == value)
            index = (slice(None),) * (1 + op.axis % rank) + (channels,)
            rounded[index] = shift_round(scaled[index], int(value), op.out.rounding)
    levels = fmt.clip_levels(rounded + fmt.zero_point_array.reshape(1), op.out.overflow)
    return fmt.codes_of_levels(levels)


@evaluates(RequantizeFloat)
def requantize_float(op: RequantizeFloat, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    fmt = op.format
    factor = along(scale[0], op.axis, len(op.shape)) if scale.size > 1 else scale.reshape((1,) * (len(op.shape) + 1))
    product = frame_levels(x, op.x).astype(F32.dtype) * factor
    levels = round_float(product, op.out.rounding) + fmt.zero_point_array.reshape(1)
    return fmt.codes_of_levels(fmt.clip_levels(levels, op.out.overflow))


@evaluates(MultiThreshold)
def multi_threshold(op: MultiThreshold, x: np.ndarray, thresholds: np.ndarray, sign: np.ndarray) -> np.ndarray:
    rank = len(op.shape)
    table = thresholds[0].astype(np.int64)
    signed = frame_levels(x, op.x) * (
        along(sign[0].astype(np.int64), op.axis, rank) if sign.size > 1 else int(sign.flat[0])
    )
    count = np.zeros(signed.shape, np.int64)
    for step in range(table.shape[1]):
        column = table[:, step]
        count += signed >= (along(column, op.axis, rank) if column.size > 1 else int(column[0]))
    return (count + op.format.code_range[0]).astype(op.format.dtype)


@evaluates(Lut)
def lut(op: Lut, x: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[0][x.astype(np.int64) - op.x.format.code_range[0]]


@evaluates(DecodeFloat)
def decode_float(op: DecodeFloat, x: np.ndarray) -> np.ndarray:
    code = x.astype(np.int64)
    exponent, mantissa = code >> op.mantissa_bits, code & ((1 << op.mantissa_bits) - 1)
    value = np.where(exponent > 0, (mantissa | 1 << op.mantissa_bits) << np.maximum(exponent - 1, 0), mantissa)
    if op.drop:
        value = (value << op.drop) + (1 << (np.maximum(exponent - 1, 0) + op.drop - 1))
    return value.astype(op.format.dtype)


@evaluates(EncodeFloat)
def encode_float(op: EncodeFloat, x: np.ndarray) -> np.ndarray:
    value, m = x.astype(np.int64), op.mantissa_bits
    exponent = np.maximum(bit_length(value) - m, 0)
    mantissa = np.where(exponent > 0, (value >> np.maximum(exponent - 1, 0)) & ((1 << m) - 1), value)
    code = (exponent << m) | mantissa
    return np.minimum(code, op.format.code_range[1]).astype(op.format.dtype)


@evaluates(NormalizePow2)
def normalize_pow2(op: NormalizePow2, x: np.ndarray) -> np.ndarray:
    value = x.astype(np.int64)
    shift = np.maximum(bit_length(value.sum(axis=-1, keepdims=True)) - 1, 0)
    return np.minimum((value << op.frac_bits) >> shift, op.format.code_range[1]).astype(op.format.dtype)


@evaluates(PackBits)
def pack_bits(op: PackBits, x: np.ndarray) -> np.ndarray:
    width = op.x.format.bits
    bits = (x.astype(np.int64)[..., None] >> np.arange(width)) & 1
    if op.mask:
        flat = bits.reshape(*x.shape[:-1], -1)
        return flat[..., np.flatnonzero(op.mask)].astype(op.format.dtype)
    return bits[..., width - op.keep :].reshape(*x.shape[:-1], -1).astype(op.format.dtype)


def bit_length(values: np.ndarray) -> np.ndarray:
    """Bits of non-negative int64 `values` (0 has none), exact for all of them."""
    length = np.zeros(values.shape, np.int64)
    rest = values.copy()
    for step in (32, 16, 8, 4, 2, 1):
        high = rest >> step > 0
        length += np.where(high, step, 0)
        rest = np.where(high, rest >> step, rest)
    return length + (rest > 0)
