"""The detector ops as nodes of domain `edgec`; `functions.py` says what they compute."""

from __future__ import annotations

import numpy as np

from edgec.frontend.onnx_export.builder import DETECTOR, Builder, dtype_of, exports
from edgec.frontend.onnx_export.quantised import refuse
from edgec.ops import DecodeFloat, EncodeFloat, NormalizePow2, PackBits


def _wide(b: Builder, op: DecodeFloat | EncodeFloat | NormalizePow2 | PackBits) -> np.dtype:
    return max(b.dtype(b.values[op.x]), dtype_of(op), key=lambda d: d.itemsize)


@exports(DecodeFloat)
def decode_float(b: Builder, op: DecodeFloat) -> str:
    dtype = _wide(b, op)
    return b.node(
        "DecodeFloat",
        [b.read(op.x, dtype)],
        op.shape,
        dtype,
        domain=DETECTOR,
        exponent_bits=op.exponent_bits,
        mantissa_bits=op.mantissa_bits,
        drop=op.drop,
    )


@exports(EncodeFloat)
def encode_float(b: Builder, op: EncodeFloat) -> str:
    dtype = _wide(b, op)
    y = b.node(
        "EncodeFloat",
        [b.read(op.x, dtype)],
        op.shape,
        dtype,
        domain=DETECTOR,
        exponent_bits=op.exponent_bits,
        mantissa_bits=op.mantissa_bits,
        input_bits=op.x.format.bits,
    )
    return b.cast(y, dtype_of(op))


@exports(NormalizePow2)
def normalize_pow2(b: Builder, op: NormalizePow2) -> str:
    dtype = _wide(b, op)
    y = b.node(
        "NormalizePow2",
        [b.read(op.x, dtype)],
        op.shape,
        dtype,
        domain=DETECTOR,
        width=op.width,
        frac_bits=op.frac_bits,
        input_bits=op.x.format.bits,
    )
    return b.cast(y, dtype_of(op))


@exports(PackBits)
def pack_bits(b: Builder, op: PackBits) -> str:
    fmt = op.x.format
    if fmt.frac is None or fmt.zero_point_array.any():
        raise refuse(op, f"packing {fmt}")
    dtype = _wide(b, op)
    n, bits = op.x.shape[-1], fmt.bits
    mask = list(op.mask) or ([0] * (bits - op.keep) + [1] * op.keep) * n
    y = b.node(
        "PackBits",
        [b.read(op.x, dtype)],
        op.shape,
        dtype,
        domain=DETECTOR,
        input_bits=bits,
        input_frac=fmt.frac,
        mask=mask,
    )
    return b.cast(y, dtype_of(op))
