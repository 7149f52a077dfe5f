"""QuantizeLinear, DequantizeLinear and the integer operators of ONNX."""

from __future__ import annotations

import numpy as np
import onnx

from edgec.formats import F32, Format, FormatError, Integer, Quantizer
from edgec.formats_compressed import Minifloat
from edgec.frontend.onnx import computed_scales as computed
from edgec.frontend.onnx.fold import evaluate_tree, moved, settle
from edgec.frontend.onnx.layers import product
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, dtype_format, element_format, is_plain, plain, reinterpret, scaled
from edgec.frontend.onnx.windows import window
from edgec.ops import Constant, Conv, Dequantize, Mul, Op, Quantize, Reshape, Sub, Transpose


def scales_of(node: Node, index: int) -> np.ndarray:
    array = node.known(index, "scale")
    if array.dtype.kind != "f":
        node.malformed(f"the scale holds {array.dtype}")
    return array


def described(node: Node, scale: int, zero: int, block: int = 0) -> bool:
    """Whether a number format can carry scale and zero point: they are constants, one a tensor or channel."""
    known = all(not node.has(i) or isinstance(node.value(i), np.ndarray | Constant) for i in (scale, zero))
    small = any(isinstance(node.element(i), Minifloat) for i in (0, zero) if node.has(i))
    return known and not block and not small


def quantised_format(
    node: Node, base: Format, scale: np.ndarray, zero: np.ndarray | None, shape: tuple[int, ...], axis: int | None
) -> Format:
    """The format of `base` codes with the given parameters; refuses blocks and scales that are not positive."""
    if scale.ndim > 1:
        node.malformed(f"scales of shape {list(scale.shape)} without a block size")
    if scale.size > 1:
        if axis is None or not -len(shape) <= axis < len(shape):
            node.malformed(f"axis {axis} of {list(shape)}")
        axis %= len(shape)
        if scale.size != shape[axis]:
            node.malformed(f"{scale.size} scales for {shape[axis]} channels")
    if zero is not None and zero.size not in (1, scale.size):
        node.malformed(f"{zero.size} zero points for {scale.size} scales")
    zeros = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64)
    try:
        return scaled(base, scale.astype(np.float64), zeros, axis if scale.size > 1 else None)
    except FormatError as error:
        node.unsupported(str(error))


def _base(node: Node, index: int, default: Format, what: str) -> tuple[Format, np.ndarray | None]:
    """The integer format named by the zero point at `index`, and the zero point."""
    if not node.has(index):
        return default, None
    zero = node.known(index, "zero point")
    base = dtype_format(zero.dtype)
    if base is None or base.is_float:
        node.unsupported(f"{what} {zero.dtype}", why="integers of 2 to 32 bits are supported")
    return base, zero


def _opset(node: Node) -> int:
    """The opset of the standard whose attributes a node has; onnxruntime's own operators have axis and block size."""
    return node.opset if node.item.domain == "" else 21


@imports("QuantizeLinear", domain="com.microsoft")
@imports("QuantizeLinear")
def quantize_linear(node: Node) -> Op:
    """round_half_even(x / scale) + zero_point, saturating; codes of an affine (or fixed) format."""
    opset = _opset(node)
    x = node.floating(0)
    node.ignore("saturate")  # it is about float8, which is refused
    default: Format = Integer(8, signed_=False)
    if opset >= 21:
        kind = node.integer("output_dtype", 0)
        if kind:
            stated = element_format(kind)
            if stated is None or stated.is_float:
                node.unsupported(f"quantisation to element type {kind}")
            default = stated
            if isinstance(stated, Minifloat) and not node.has(2):
                return computed.quantised(node, x, stated, *computed.parameters(node, 1, 2, x.shape, 1, 0))
        if opset >= 23 and node.integer("precision", 0) not in (0, onnx.TensorProto.FLOAT):
            node.unsupported("a precision other than float32")
    axis = node.integer("axis", 1) if opset >= 13 else None
    block = node.integer("block_size", 0) if opset >= 21 else 0
    if not described(node, 1, 2, block):
        target = node.element(2) or default
        return computed.quantised(node, x, target, *computed.parameters(node, 1, 2, x.shape, axis, block))
    base, zero = _base(node, 2, default, "quantisation to")
    fmt = quantised_format(node, base, scales_of(node, 1), zero, x.shape, axis)
    y = Quantize(x, Quantizer(fmt), loc=node.loc)
    if isinstance(x, Constant):
        result = settle(y)
        return constant_op(result, node.loc) if isinstance(result, np.ndarray) else result
    if isinstance(x, Dequantize) and isinstance(x.x, Constant):  # weights that were quantised twice
        return constant_op(evaluate_tree(y), x.x.loc, y.format)
    return y


def dequantised(node: Node, x: Op, fmt: Format, to: Format = F32) -> Op:
    """The values of codes `x` read as `fmt`."""
    if x.format == fmt:
        return Dequantize(x, to, loc=node.loc)
    if isinstance(x, Constant) or (fmt.bits <= 16 and fmt.axis is None and x.format.code_range == fmt.code_range):
        return Dequantize(reinterpret(x, fmt), to, loc=node.loc)
    # Sums of integer operators are wider than any table: subtract and scale as floats, which is what ONNX does.
    y: Op = Dequantize(plain(x), to, loc=node.loc)
    zero, scale = (_along(a.astype(to.dtype), fmt.axis, len(x.shape)) for a in (fmt.zero_point_array, fmt.scale_array))
    if zero.any():
        y = Sub(y, constant_op(zero, node.loc), loc=node.loc)
    return Mul(y, constant_op(scale, node.loc), loc=node.loc)


def _along(values: np.ndarray, axis: int | None, rank: int) -> np.ndarray:
    if axis is None or values.size == 1:
        return values.reshape((1,) * rank).copy()
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)]).copy()


@imports("DequantizeLinear", domain="com.microsoft")
@imports("DequantizeLinear")
def dequantize_linear(node: Node) -> Op:
    """(code - zero_point) * scale; constants stay codes below the Dequantize."""
    opset = _opset(node)
    x = node.op(0)
    if x.format.is_float:
        node.malformed(f"the codes are {x.format}")
    block = node.integer("block_size", 0) if opset >= 21 else 0
    to = node.op(1).format if isinstance(node.value(1), Op) else dtype_format(scales_of(node, 1).dtype)
    if opset >= 23 and (kind := node.integer("output_dtype", 0)):
        to = element_format(kind)
    if to is None or not to.is_float:
        node.unsupported("a result of this element type")
    axis = node.integer("axis", 1) if opset >= 13 else None
    if not described(node, 1, 2, block):
        return computed.dequantised(node, x, to, *computed.parameters(node, 1, 2, x.shape, axis, block))
    scale = scales_of(node, 1)
    own = x.format if is_plain(x.format) else plain_base(x.format)
    base, zero = _base(node, 2, own, "codes of")
    if isinstance(x, Constant) and not isinstance(own, Integer):
        node.malformed(f"the codes are {x.format}")
    fmt = quantised_format(node, base, scale, zero, x.shape, axis)
    return dequantised(node, x, fmt, to)


def plain_base(fmt: Format) -> Format:
    """The integers that an affine or fixed format is made of."""
    lo, _ = fmt.code_range
    return getattr(fmt, "base", None) or Integer(fmt.bits, lo < 0)


def codes_of(node: Node, index: int, scale: int, zero: int, axis: int) -> Op:
    """Operand `index`, dequantised with the parameters at `scale` and `zero`."""
    x = node.op(index)
    if not described(node, scale, zero):
        return computed.dequantised(node, x, F32, *computed.parameters(node, scale, zero, x.shape, axis, 0))
    base, zeros = _base(node, zero, plain_base(x.format), "codes of")
    scales = scales_of(node, scale)
    return dequantised(node, x, quantised_format(node, base, scales, zeros, x.shape, axis))


@imports("QLinearConv")
def qlinear_conv(node: Node) -> Op:
    """The float convolution between Dequantize and Quantize; the bias has the scale of the products."""
    x, w = codes_of(node, 0, 1, 2, 1), codes_of(node, 3, 4, 5, 0)
    node.weights(isinstance(w, Dequantize) and isinstance(w.x, Constant))
    b = sums_of(node, 8, 1, 4) if node.has(8) else None
    area = window(node, x.shape, w.shape[2:])
    y = Conv(x, w, b, area.strides, area.pads, area.dilations, node.integer("group", 1), loc=node.loc)
    return requantised(node, y, 6, 7)


def sums_of(node: Node, index: int, x: int, w: int) -> Op:
    """Operand `index`, int32 codes whose scale is the product of those at `x` and `w`."""
    codes = node.op(index)
    scales = (scales_of(node, x).astype(np.float64) * scales_of(node, w).astype(np.float64)).ravel()
    return dequantised(node, codes, quantised_format(node, Integer(32), scales, None, codes.shape, 0))


def requantised(node: Node, y: Op, scale: int, zero: int) -> Op:
    """`y` as codes with the scale and zero point at these operands."""
    if not described(node, scale, zero):
        target = node.element(zero) or Integer(8, signed_=False)
        return computed.quantised(node, y, target, *computed.parameters(node, scale, zero, y.shape, None, 0))
    base, zeros = _base(node, zero, Integer(8, signed_=False), "quantisation to")
    fmt = quantised_format(node, base, scales_of(node, scale), zeros, y.shape, None)
    return Quantize(y, Quantizer(fmt), loc=node.loc)


@imports("QLinearMatMul")
def qlinear_matmul(node: Node) -> Op:
    x, y = codes_of(node, 0, 1, 2, -2), codes_of(node, 3, 4, 5, -1)
    return requantised(node, product(node, x, y), 6, 7)


def _centred(node: Node, index: int, zero: int, axis: int) -> Op:
    """Operand `index` as integers of unit 1 with its zero point in the format, or subtracted where it is computed."""
    x = node.op(index)
    if node.has(zero) and not described(node, zero, zero):
        if x.tensor.size and node.op(zero).tensor.size != 1:
            node.not_constant("zero point", "one that differs between channels is laid out when compiling")
        return Sub(plain(x), moved(Reshape(plain(node.op(zero)), (), loc=node.loc)), loc=node.loc)
    base, zeros = _base(node, zero, plain_base(x.format), "codes of")
    ones = np.ones(1 if zeros is None else zeros.size, np.float32)
    return reinterpret(x, quantised_format(node, base, ones, zeros, x.shape, axis))


@imports("ConvInteger")
def conv_integer(node: Node) -> Op:
    """An integer convolution with its exact sum."""
    x, w = _centred(node, 0, 2, 1), _centred(node, 1, 3, 0)
    node.weights(isinstance(w, Constant))
    area = window(node, x.shape, w.shape[2:])
    return Conv(x, w, None, area.strides, area.pads, area.dilations, node.integer("group", 1), loc=node.loc)


@imports("MatMulInteger")
def matmul_integer(node: Node) -> Op:
    """An integer matrix product with its exact sum; the right operand must be a constant matrix."""
    from edgec.ops import Dense

    x, w = _centred(node, 0, 2, -2), _centred(node, 1, 3, -1)
    node.weights(isinstance(w, Constant))
    node.require(len(w.shape) == 2 and len(x.shape) > 1, f"a product of {list(x.shape)} and {list(w.shape)}")
    turned = settle(Transpose(w, (1, 0), loc=w.loc))
    weights = constant_op(turned, w.loc) if isinstance(turned, np.ndarray) else turned
    return Dense(x, weights, loc=node.loc)
