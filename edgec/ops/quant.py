"""Ops that change the number format, and integer-to-integer tables."""

from __future__ import annotations

from dataclasses import dataclass

from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.ops.base import Op, normalize_axis, require
from edgec.ops.mac import quantized


@dataclass(frozen=True, eq=False)
class Quantize(Op):
    """Float values to codes of `out.format`: round(x / scale) + zero_point, in the float precision of x."""

    x: Op
    out: Quantizer

    def infer(self) -> TensorType:
        require(self.x.format.is_float, f"quantize takes floats, not {self.x.format}; use cast or requantize")
        require(not self.out.format.is_float, "quantize makes codes, not floats")
        return TensorType(self.out.format, self.x.shape)


@dataclass(frozen=True, eq=False)
class Dequantize(Op):
    """Codes to float values: (level - zero_point) * scale, computed in the float format `to`."""

    x: Op
    to: Format = F32

    def infer(self) -> TensorType:
        require(not self.x.format.is_float, "the operand is float already")
        require(self.to.is_float, f"{self.to} is no float format")
        return TensorType(self.to, self.x.shape)


@dataclass(frozen=True, eq=False)
class Cast(Op):
    """Integers to another power-of-two unit: an exact shift, rounded and brought into range; or float to float."""

    x: Op
    out: Quantizer

    def infer(self) -> TensorType:
        if self.x.format.is_float:
            require(self.out.format.is_float, "use quantize to leave the floats")
            return TensorType(self.out.format, self.x.shape)
        require(not self.out.format.is_float, "use dequantize to reach the floats")
        return TensorType(quantized(self.x.format, self.out), self.x.shape)


@dataclass(frozen=True, eq=False)
class Requantize(Op):
    """Integers to another unit by an exact integer rule, per tensor or per channel.

    level = overflow(round(((x - zero_point_x) * multiplier + offset) * 2**-shift) + zero_point_out).
    `multiplier`, `shift` and the optional `offset` are integer constants, [1] or [channels] along `axis`.
    """

    x: Op
    multiplier: Op
    shift: Op
    offset: Op | None
    out: Quantizer
    axis: int = 1

    def infer(self) -> TensorType:
        require(not self.x.format.is_float, "requantize takes integers")
        fmt = self.out.format
        require(isinstance(fmt, Affine | Integer | Fixed), f"requantize to {fmt}")
        require(fmt.axis is None, "requantize to one scale per tensor")
        for p in self.operands[1:]:
            check_per_channel(p, self.x, self.axis)
            require(isinstance(p.format, Integer), f"parameters are integers, not {p.format}")
        return TensorType(fmt, self.x.shape)


@dataclass(frozen=True, eq=False)
class RequantizeFloat(Op):
    """Integers to another unit in binary32, as onnxruntime's integer kernels do.

    level = clip(round(f32(x - zero_point_x) * scale) + zero_point_out). No integer backend implements it; the
    pass `lower-requantize` turns it into `Requantize` and reports where the two could differ.
    """

    x: Op
    scale: Op
    out: Quantizer
    axis: int = 1

    def infer(self) -> TensorType:
        require(not self.x.format.is_float, "requantize takes integers")
        require(self.scale.format == F32, "the scale is f32")
        require(self.out.format.axis is None, "requantize to one scale per tensor")
        check_per_channel(self.scale, self.x, self.axis)
        return TensorType(self.out.format, self.x.shape)


@dataclass(frozen=True, eq=False)
class MultiThreshold(Op):
    """Counts how many thresholds a value reaches: code = lowest code + sum_l [sign * x >= threshold_l].

    x are levels minus zero point; `thresholds` [C or 1, L] integers, ascending; `sign` [C or 1] holds +1 or -1.
    L must be the number of codes of `to` minus 1. A batch
    norm and a narrow quantiser behind an integer sum are exactly this (FINN, arXiv 1612.07119).
    """

    x: Op
    thresholds: Op
    sign: Op
    to: Format
    axis: int = 1

    def infer(self) -> TensorType:
        require(not self.x.format.is_float, "thresholds compare integers")
        t, s = self.thresholds.tensor, self.sign.tensor
        require(isinstance(t.format, Integer) and isinstance(s.format, Integer), "thresholds and signs are integers")
        channels = self.x.shape[normalize_axis(self.axis, len(self.x.shape))]
        require(
            len(t.shape) == 2 and t.shape[0] in (1, channels), f"thresholds {list(t.shape)} for {channels} channels"
        )
        require(s.shape in ((1,), (channels,)), f"signs {list(s.shape)} for {channels} channels")
        lo, hi = self.to.code_range
        require(t.shape[1] == hi - lo, f"{t.shape[1]} thresholds for the {hi - lo + 1} codes of {self.to}")
        return TensorType(self.to, self.x.shape)


@dataclass(frozen=True, eq=False)
class Lut(Op):
    """A table look-up per element: result code = table[code - lowest code of x]; table [codes of x]."""

    x: Op
    table: Op

    def infer(self) -> TensorType:
        fmt = self.x.format
        require(not fmt.is_float, "a look-up table needs integer codes")
        lo, hi = fmt.code_range
        require(fmt.bits <= 16, f"a table for {fmt.bits} bits is too large; at most 16")
        require(self.table.shape == (hi - lo + 1,), f"table {list(self.table.shape)} for {hi - lo + 1} codes")
        require(self.table.format.axis is None, "the table needs one scale")
        return TensorType(self.table.format, self.x.shape)


def check_per_channel(parameter: Op, x: Op, axis: int) -> None:
    """Require shape [1] or [channels of x along axis]."""
    channels = x.shape[normalize_axis(axis, len(x.shape))] if x.shape else 1
    require(parameter.shape in ((1,), (channels,)), f"parameter {list(parameter.shape)} for {channels} channels")
