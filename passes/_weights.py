"""Parameters of a layer to codes: symmetric weights, and biases in units of the products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgec.formats import Affine, Fixed, Format, Integer, TensorType
from edgec.ops import Constant, Conv, Dense, Dequantize, Op, constant
from edgec.passes._patterns import float_constant
from edgec.passes._ranges import Kind, Method, encode, weight_frac, weight_scales


@dataclass(frozen=True)
class Weights:
    """How the parameters of a layer become codes."""

    kind: Kind
    method: Method
    per_channel: bool
    narrow: bool
    bias_bits: int | None

    def layer(self, op: Conv | Dense, x: Format, bits: int) -> tuple[Op, Op | None]:
        """Weights and bias of `op`, as dequantised codes, for an input of format `x`."""
        weights, bias = float_constant(op.w), float_constant(op.b)
        if weights is None:
            new_w: Op = op.w
        else:
            new_w = self.weights(weights, bias, x, bits)
        if bias is None:
            return new_w, op.b
        return new_w, self.bias(bias, x, new_w.operands[0].format)

    def weights(self, w: Constant, b: Constant | None, x: Format, bits: int) -> Dequantize:
        base = Integer(bits, True, self.narrow)
        rows = w.data.reshape(w.shape[0], -1)
        if self.kind == "fixed":
            frac = weight_frac(rows, base, self.method)
            fmt: Format = Fixed(bits, bits - frac, True, self.narrow)
            scales = fmt.scale_array
        else:
            scales = weight_scales(rows if self.per_channel else rows.reshape(1, -1), base, self.method)
            if b is not None:  # a bias must fit its own bits in units of input scale * weight scale
                room = x.scale_array[0] * (2.0 ** (self.affine_bias_bits - 1) - 1)
                least = np.abs(b.data).astype(np.float64) / room * (1 + 1e-6)
                least = least if self.per_channel else least.max(initial=0, keepdims=True)
                scales = np.maximum(scales, least).astype(np.float32).astype(np.float64)
            fmt = Affine(base, tuple(scales.tolist()), (0,), 0 if self.per_channel else None)
        codes = encode(w.data, scales, base)
        return Dequantize(Constant(codes, type=TensorType(fmt, w.shape), loc=w.loc), w.format, loc=w.loc)

    @property
    def affine_bias_bits(self) -> int:
        return self.bias_bits or 32

    def bias(self, b: Constant, x: Format, w: Format) -> Dequantize:
        if x.frac is not None and w.frac is not None and self.kind == "fixed":
            codes = fixed_bias(b, x.frac + w.frac, self.bias_bits)
        else:
            scales = x.scale_array * w.scale_array
            axis = 0 if scales.size > 1 else None
            fmt = Affine(Integer(self.affine_bias_bits), tuple(scales.tolist()), (0,), axis)
            codes = constant(b.data, fmt, loc=b.loc)
        return Dequantize(codes, b.format, loc=b.loc)


def fixed_bias(b: Constant, frac: int, bits: int | None) -> Constant:
    """Biases with at most `frac` fraction bits, in `bits` or the narrowest signed width up to 32."""
    size = float(np.abs(b.data).max(initial=0))
    while round(size * 2.0**frac) > (1 << ((bits or 32) - 1)) - 1:
        frac -= 1
    width = bits or max(round(size * 2.0**frac).bit_length() + 1, 2)
    return constant(b.data, Fixed(width, width - frac), loc=b.loc)
