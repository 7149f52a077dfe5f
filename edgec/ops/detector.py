"""Ops of detector front ends: decode small floats, normalise by a power of two, pack output words.

Source: CMS HGCAL ECON-T, arXiv 2105.01683, and the emulator of the fabricated chip.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgec.formats import Fixed, Integer, TensorType
from edgec.ops.base import Op, require


@dataclass(frozen=True, eq=False)
class DecodeFloat(Op):
    """Unsigned small-float codes to integers: e = v >> mantissa_bits, m the rest.

    value = (m | 2**mantissa_bits) << (e - 1) if e > 0 else m. With `drop` > 0 the value is shifted left by
    `drop` and the midpoint 1 << (max(e - 1, 0) + drop - 1) is added.
    """

    x: Op
    exponent_bits: int
    mantissa_bits: int
    drop: int = 0

    def infer(self) -> TensorType:
        require(self.exponent_bits >= 1 and self.mantissa_bits >= 0 and self.drop >= 0, "field widths")
        bits = self.exponent_bits + self.mantissa_bits
        require(self.x.format == Integer(bits, signed_=False), f"codes must be uint<{bits}>")
        width = (1 << self.exponent_bits) - 1 + self.mantissa_bits + self.drop
        require(width <= 48, f"the decoded integer has {width} bits; at most 48")
        return TensorType(Integer(width, signed_=False), self.x.shape)


@dataclass(frozen=True, eq=False)
class EncodeFloat(Op):
    """Unsigned integers to small-float codes, truncating; the inverse of `DecodeFloat` with drop 0.

    Values beyond the largest code saturate.
    """

    x: Op
    exponent_bits: int
    mantissa_bits: int

    def infer(self) -> TensorType:
        fmt = self.x.format
        require(isinstance(fmt, Integer) and not fmt.signed, f"encodes unsigned integers, not {fmt}")
        require(self.exponent_bits >= 1 and self.mantissa_bits >= 0, "field widths")
        return TensorType(Integer(self.exponent_bits + self.mantissa_bits, signed_=False), self.x.shape)


@dataclass(frozen=True, eq=False)
class NormalizePow2(Op):
    """x scaled by the power of two of its sum: (x << frac) >> floor(log2 S), S the sum over the last axis.

    Truncating, saturating at the largest code; an empty module (S = 0) gives zeros. The result is
    `ufixed<bits, bits - frac>`.
    """

    x: Op
    width: int
    frac_bits: int

    def infer(self) -> TensorType:
        fmt = self.x.format
        require(isinstance(fmt, Integer) and not fmt.signed, f"normalises unsigned integers, not {fmt}")
        require(self.x.shape != () and self.x.shape[-1] >= 1, "nothing to normalise")
        require(1 <= self.width <= 32 and 0 <= self.frac_bits <= 32, "result format")
        require(fmt.bits + self.frac_bits <= 62, "the shifted value is wider than 62 bits")
        require(fmt.bits + self.x.shape[-1].bit_length() <= 63, "the sum is wider than 63 bits")
        return TensorType(Fixed(self.width, self.width - self.frac_bits, signed_=False), self.x.shape)


@dataclass(frozen=True, eq=False)
class PackBits(Op):
    """The top `keep` bits of every code along the last axis, concatenated: element 0 in the lowest bits.

    x unsigned codes of w bits [..., n] -> single bits `uint<1>` [..., n * keep], least significant first.
    With `mask` (one flag per code bit, element 0 bit 0 first, n * w of them) the selected bits are kept instead.
    """

    x: Op
    keep: int = 0
    mask: tuple[int, ...] = ()

    def infer(self) -> TensorType:
        fmt = self.x.format
        require(not fmt.is_float and not fmt.signed, f"packs unsigned codes, not {fmt}")
        require((self.keep > 0) != bool(self.mask), "either keep or mask")
        require(self.x.shape != (), "a scalar has no axis to pack along")
        n = self.x.shape[-1]
        if self.mask:
            require(len(self.mask) == n * fmt.bits, f"mask of {len(self.mask)} flags for {n * fmt.bits} bits")
            require(all(m in (0, 1) for m in self.mask), "mask flags are 0 or 1")
            count = sum(self.mask)
            require(count > 0, "the mask keeps nothing")
        else:
            require(self.keep <= fmt.bits, f"keep {self.keep} of {fmt.bits} bits")
            count = n * self.keep
        return TensorType(Integer(1, signed_=False), (*self.x.shape[:-1], count))
