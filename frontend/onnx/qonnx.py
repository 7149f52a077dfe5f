"""QONNX: Quant (IntQuant), BipolarQuant and Trunc.

Semantics of the qonnx executor: level = round(clamp(x / scale + zero_point)), value = (level - zero_point) * scale
in binary32. With a zero point, rounding acts on the shifted level; where that differs from rounding before the
shift the node is refused, or a warning tells (ties only).
"""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import Format, FormatError, Integer, Quantizer
from edgec.formats_compressed import Binary
from edgec.frontend.onnx.fold import settle
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, scaled
from edgec.ops import (
    AvgPool,
    Clip,
    Concat,
    Constant,
    Dequantize,
    MaxPool,
    Mul,
    Op,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Transpose,
    integers,
)
from edgec.rounding import Rounding

ROUNDINGS: dict[str, Rounding] = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "UP": "away",
    "DOWN": "trunc",
    "HALF_UP": "half_away",
    "HALF_DOWN": "half_zero",
}
_SHIFTED: dict[Rounding, Rounding] = {
    "away": "ceil",
    "trunc": "floor",
    "half_away": "half_up",
    "half_zero": "half_down",
}
"""What a rounding by magnitude is on levels that are never negative."""
MAX_BITS = 32


def _rounding(node: Node, default: str) -> Rounding:
    name = node.string("rounding_mode", default).upper()
    if name not in ROUNDINGS:
        node.unsupported(f"rounding_mode {name!r}", why=f"known: {', '.join(ROUNDINGS)}")
    return ROUNDINGS[name]


def _bits(node: Node, index: int) -> int:
    array = node.known(index, "bit width").astype(np.float64)
    if array.size == 0 or (array != array.flat[0]).any():
        node.unsupported("bit widths that differ within a tensor")
    bits = float(array.flat[0])
    if not math.isfinite(bits) or bits != int(bits):
        node.unsupported(f"a bit width of {bits}", remedy="round the bit width before export")
    if not 1 <= bits <= MAX_BITS:
        node.unsupported(f"a bit width of {int(bits)}", why=f"1 to {MAX_BITS} are supported")
    return int(bits)


def _zero_points(node: Node, index: int) -> np.ndarray:
    array = node.known(index, "zero point").astype(np.float64)
    if not np.isfinite(array).all() or (array != np.rint(array)).any() or np.abs(array).max(initial=0) > 2**31:
        node.unsupported("a zero point that is no integer", remedy="round the zero points before export")
    return array.astype(np.int64)


def _parameters(
    node: Node, scale: np.ndarray, zero: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Scales and zero points as [1] or [channels], and the axis of the channels."""
    scale, zero = np.broadcast_arrays(np.asarray(scale, np.float64), zero)
    if scale.ndim > len(shape):
        node.unsupported(f"scales of shape {list(scale.shape)} for a tensor {list(shape)}")
    padded = (1,) * (len(shape) - scale.ndim) + scale.shape
    wide = [i for i, n in enumerate(padded) if n != 1]
    if len(wide) > 1 or any(padded[i] != shape[i] for i in wide):
        node.unsupported(
            f"scales of shape {list(scale.shape)} for a tensor {list(shape)}",
            why="scales may differ along one axis only",
        )
    return scale.ravel(), zero.ravel(), wide[0] if wide else None


def _format(node: Node, base: Format, scale: np.ndarray, zero: np.ndarray, axis: int | None) -> Format:
    try:
        return scaled(base, scale, zero, axis)
    except FormatError as error:
        node.unsupported(str(error), why="scales must be positive and finite")


def _pair(node: Node, x: Op, quantizer: Quantizer, clip_to: float | None = None) -> Op:
    """Quantize, then Dequantize; a constant becomes a constant of codes."""
    codes: Op = Quantize(x, quantizer, loc=node.loc)
    if clip_to is not None:
        codes = Clip(codes, hi=clip_to, loc=node.loc)
    if isinstance(x, Constant):
        settled = settle(codes)
        codes = settled if isinstance(settled, Op) else constant_op(settled, x.loc)
        codes = Constant(codes.data, type=codes.tensor, loc=x.loc)  # type: ignore[attr-defined]
    return Dequantize(codes, loc=node.loc)


@imports("Quant", "IntQuant", domain="qonnx")
def quant(node: Node) -> Op:
    """Operands: x, scale, zero point, bit width."""
    x = node.floating(0)
    signed, narrow = node.flag("signed", True), node.flag("narrow", True)
    rounding, bits = _rounding(node, "ROUND"), _bits(node, 3)
    scale, zero, axis = _parameters(node, node.known(1, "scale"), _zero_points(node, 2), x.shape)
    if bits == 1 and signed:
        node.require(not zero.any(), "a bipolar quantiser with a zero point")
        return _bipolar(node, x, scale, axis)
    if zero.any() and rounding in _SHIFTED:
        node.require(not signed, f"rounding by magnitude with a zero point in a signed range ({rounding})")
        rounding = _SHIFTED[rounding]
    if rounding == "half_even" and (zero % 2).any():
        node.warn("W0005", "a zero point that is odd: exact ties round to the other level", why="see `edgec explain`")
    if narrow and signed and bits == 1:
        node.malformed("a narrow range of one bit")
    base = Integer(bits, signed, narrow and signed)
    fmt = _format(node, base, scale, zero, axis)
    clip_to = None
    if narrow and not signed:  # qonnx leaves out the highest level of an unsigned narrow range
        node.require(axis is None, "an unsigned narrow range per channel")
        node.require(bits > 1, "an unsigned narrow range of one bit has one level only")
        clip_to = ((1 << bits) - 2 - int(zero[0])) * float(scale[0])
    return _pair(node, x, Quantizer(fmt, rounding), clip_to)


def _bipolar(node: Node, x: Op, scale: np.ndarray, axis: int | None) -> Op:
    if scale.size == 1 and scale[0] == 1.0:
        return _pair(node, x, Quantizer(Binary()))
    return _pair(node, x, Quantizer(_format(node, Binary(), scale, np.zeros(1, np.int64), axis)))


@imports("BipolarQuant", domain="qonnx")
def bipolar_quant(node: Node) -> Op:
    """scale where x >= 0, else -scale. Operands: x, scale."""
    x = node.floating(0)
    scale, _, axis = _parameters(node, node.known(1, "scale"), np.zeros((), np.int64), x.shape)
    return _bipolar(node, x, scale, axis)


@imports("Trunc", domain="qonnx")
def trunc(node: Node) -> Op:
    """Drops low bits of an integer: version 1 keeps the unit (value / 2**dropped), version 2 states the new one.

    Version 1 operands: x, scale, zero point, input bits, output bits; version 2: x, scale, zero point, input bits,
    output scale, output bits.
    """
    x = node.floating(0)
    second = len(node.values) == 6
    node.require(second or len(node.values) == 5, f"Trunc with {len(node.values)} operands")
    rounding = _rounding(node, "FLOOR")
    zero = _zero_points(node, 2)
    node.require(not zero.any(), "Trunc with a zero point")
    scale, zeros, axis = _parameters(node, node.known(1, "scale"), zero, x.shape)
    node.require(axis is None, "Trunc with a scale per channel")
    in_bits, out_bits = _bits(node, 3), _bits(node, 5 if second else 4)
    unsigned = nonnegative(x)
    source = _format(node, Integer(in_bits + (not unsigned and not second), not unsigned), scale, zeros, None)
    if second:
        signed, narrow = node.flag("signed", True), node.flag("narrow", False)
        ratio = node.known_scalar(4, "output scale") / float(scale[0])
        node.require(ratio > 0 and math.isfinite(ratio), "an output scale that is not positive")
        shift = round(math.log2(ratio))
        node.require(not (narrow and (not signed or out_bits == 1)), "this narrow range")
        out_scale = np.array([node.known_scalar(4, "output scale")])
        target = _format(node, Integer(out_bits, signed, narrow), out_scale, zeros, None)
    else:
        shift = in_bits - out_bits
        carry = rounding not in ("floor", "trunc")  # rounding up may reach the next power of two, nothing clips it
        target = _format(node, Integer(out_bits + (not unsigned) + carry, not unsigned), scale, zeros, None)
    node.require(0 <= shift <= 32, f"Trunc that drops {shift} bits")
    codes = Quantize(x, Quantizer(source), loc=node.loc)
    short = Requantize(codes, integers([1]), integers([shift]), None, Quantizer(target, rounding), 0, loc=node.loc)
    result: Op = short
    if isinstance(x, Constant):
        settled = settle(short)
        result = settled if isinstance(settled, Op) else constant_op(settled, node.loc)
    return Dequantize(result, loc=node.loc)


def nonnegative(op: Op) -> bool:
    """Whether `op` is known never to be negative; looks through pooling and moves."""
    for _ in range(64):
        match op:
            case Relu():
                return True
            case Dequantize(x=x):
                return not x.format.signed and not x.format.zero_point_array.any()
            case Clip(lo=lo):
                return lo >= 0
            case Constant():
                return bool((op.data >= 0).all())
            case Mul(x=x, y=Constant(data=factor)) if (factor >= 0).all():
                op = x
            case AvgPool(x=x) | MaxPool(x=x) | Reshape(x=x) | Transpose(x=x):
                op = x
            case Concat(xs=xs):
                return all(nonnegative(x) for x in xs)
            case _:
                return False
    return False
