"""Elementwise arithmetic, comparison and logic with broadcasting, element type changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import F32, F64, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Minifloat
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, element_format, plain
from edgec.ops import BOOL, Add, Binary, Cast, Clip, Constant, Dequantize, Mul, Op, Quantize, Reshape, Sub, Unary, Where
from edgec.ops import integers as narrow_integers


def operands(node: Node) -> tuple[Op, Op]:
    """Both operands as plain ops of one kind; applies the explicit broadcasting of opset 6."""
    x, y = plain(node.op(0)), plain(node.op(1))
    if node.opset < 7:
        broadcast = node.flag("broadcast")
        axis = node.integer("axis", -1)
        if broadcast:
            tail = len(x.shape) - (axis % len(x.shape) if x.shape else 0) - len(y.shape)
            if axis != -1 and tail > 0:
                y = Reshape(y, y.shape + (1,) * tail, loc=node.loc)
        elif x.shape != y.shape:
            node.malformed(f"shapes {list(x.shape)} and {list(y.shape)} without broadcast=1")
    return same_format(node, x, y)


def same_format(node: Node, x: Op, y: Op) -> tuple[Op, Op]:
    """Operands of one format: floats as they are, integers through a common width."""
    x, y = common_format(node, (x, y))
    return x, y


def common_format(node: Node, ops: Sequence[Op]) -> tuple[Op, ...]:
    """`ops`, plain ones, in one format."""
    formats = [o.format for o in ops]
    if all(f == formats[0] for f in formats):
        return tuple(ops)
    if any(f.is_float for f in formats):
        node.malformed("operands of different element types: " + " and ".join(dict.fromkeys(map(str, formats))))
    if BOOL in formats and node.element(0) == BOOL:
        node.malformed("truth values and integers mixed")
    wide = Integer(64) if max(f.bits for f in formats) > 31 else Integer(32)
    return tuple(in_format(node, o, wide) for o in ops)


def in_format(node: Node, op: Op, fmt: Format) -> Op:
    """The plain integers `op` in a format that holds them all."""
    if op.format == fmt:
        return op
    if isinstance(op, Constant) and isinstance(op.format, Integer):
        return Constant(op.data, type=TensorType(fmt, op.shape), loc=op.loc)
    return Cast(op, Quantizer(fmt, "floor", "wrap"), loc=node.loc)


def in_element_type(node: Node, index: int, op: Op) -> Op:
    """Operand `index` as integers of its ONNX element type, where it is computed in a narrower format."""
    target = node.element(index)
    if target is None or op.format.is_float or not fits(op.format, target):
        return op
    return in_format(node, op, target)


def _integer_result(node: Node, cls: type[Add | Sub | Mul], x: Op, y: Op) -> Op:
    """Integer arithmetic that wraps at ONNX's element type, in no more bits than it needs."""
    target = node.element(0) or node.element(1) or x.format
    x, y = (narrow_integers(o.data, loc=o.loc) if isinstance(o, Constant) else o for o in (x, y))
    try:
        exact = cls(x, y, loc=node.loc)
    except EdgecError:  # more bits than any format has: it wraps
        exact = None
    if exact is not None and fits(exact.format, target):
        return exact
    return cls(x, y, Quantizer(target, "floor", "wrap"), loc=node.loc)


def fits(fmt: Format, target: Format) -> bool:
    """Whether all codes of `fmt` are codes of `target`."""
    (lo, hi), (low, high) = fmt.code_range, target.code_range
    return low <= lo and hi <= high


def _arithmetic(node: Node, cls: type[Add | Sub | Mul]) -> Op:
    x, y = operands(node)
    return cls(x, y, loc=node.loc) if x.format.is_float else _integer_result(node, cls, x, y)


@imports("Add")
def add(node: Node) -> Op:
    return _arithmetic(node, Add)


@imports("Sub")
def sub(node: Node) -> Op:
    return _arithmetic(node, Sub)


@imports("Mul")
def mul(node: Node) -> Op:
    return _arithmetic(node, Mul)


def _in_element_types(node: Node) -> tuple[Op, Op]:
    """Both operands in one format, that of the ONNX element type for integers."""
    x, y = (in_element_type(node, i, plain(node.op(i))) for i in (0, 1))
    return operands(node) if x.format.is_float or node.opset < 7 else same_format(node, x, y)


@imports("Div")
def div(node: Node) -> Op:
    """Integers truncate."""
    x, y = _in_element_types(node)
    return Binary(x, y, "div", loc=node.loc)


@imports("Pow")
def power(node: Node) -> Op:
    """In the type of the base; integers through float64, as onnxruntime computes them."""
    base, exponent = plain(node.op(0)), plain(node.op(1))
    known = node.value(1)
    if base.format.is_float and isinstance(known, np.ndarray) and base.format.dtype != known.dtype:
        exponent = constant_op(known.astype(base.format.dtype), exponent.loc)
    wide = base.format if base.format.is_float else F64
    x, y = (cast_to(node, o, wide) for o in (base, exponent))
    y = Binary(x, y, "pow", loc=node.loc)
    return y if base.format.is_float else cast_to(node, y, node.element(0) or base.format)


@imports("Mod")
def modulo(node: Node) -> Op:
    """The sign is that of the divisor, with fmod=1 that of the dividend."""
    x, y = _in_element_types(node)
    return Binary(x, y, "mod" if node.flag("fmod") else "floor_mod", loc=node.loc)


_BITS = {"BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor"}


@imports(*_BITS)
def bitwise(node: Node) -> Op:
    x, y = _in_element_types(node)
    return Binary(x, y, _BITS[node.op_type], loc=node.loc)


@imports("BitwiseNot")
def invert(node: Node) -> Op:
    x = in_element_type(node, 0, plain(node.op(0)))
    ones = -1 if x.format.signed else x.format.code_range[1]
    return Binary(x, constant_op(np.array(ones), node.loc, x.format), "bit_xor", loc=node.loc)


@imports("BitShift")
def bit_shift(node: Node) -> Op:
    direction = node.string("direction", "", ("LEFT", "RIGHT")).lower()
    x, y = _in_element_types(node)
    return Binary(x, y, f"shift_{direction}", loc=node.loc)


@imports("Abs", "Neg", "Sign")
def signed(node: Node) -> Op:
    """Of floats as they are; of integers with wrapping, as the most negative one has no counterpart."""
    x = plain(node.op(0))
    if x.format.is_float:
        return Unary(x, node.op_type.lower(), loc=node.loc)
    zero = constant_op(np.zeros((), x.format.dtype), node.loc, x.format)
    if node.op_type == "Sign":
        one, minus = (integer_constant(node, v, Integer(2)) for v in (1, -1))
        none = integer_constant(node, 0, Integer(2))
        positive = Where(Binary(x, zero, "greater", loc=node.loc), one, none, loc=node.loc)
        return Where(Binary(x, zero, "less", loc=node.loc), minus, positive, loc=node.loc)
    target = node.element(0) or x.format
    opposite = Sub(integer_constant(node, 0, Integer(1)), x, Quantizer(target, "floor", "wrap"), loc=node.loc)
    if node.op_type == "Neg":
        return opposite
    return Where(Binary(x, zero, "less", loc=node.loc), opposite, in_format(node, x, target), loc=node.loc)


def integer_constant(node: Node, value: int, fmt: Format) -> Op:
    return constant_op(np.array(value), node.loc, fmt)


_COMPARE = {
    "Equal": "equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "And": "and",
    "Or": "or",
    "Xor": "xor",
}


@imports(*_COMPARE)
def compare(node: Node) -> Op:
    x, y = operands(node)
    return Binary(x, y, _COMPARE[node.op_type], loc=node.loc)


@imports("Not")
def negate(node: Node) -> Op:
    return Unary(node.op(0), "not", loc=node.loc)


@imports("Max", "Min", "Sum", "Mean")
def variadic(node: Node) -> Op:
    """Any number of operands, combined from left to right."""
    ops = [plain(node.op(i)) for i in range(len(node.values))]
    kind = node.op_type

    def combine(x: Op, y: Op) -> Op:
        x, y = same_format(node, x, y)
        if kind in ("Max", "Min"):
            return Binary(x, y, kind.lower(), loc=node.loc)
        return Add(x, y, loc=node.loc) if x.format.is_float else _integer_result(node, Add, x, y)

    node.require(kind != "Mean" or ops[0].format.is_float, "the mean of integers that depend on the model's inputs")
    total = reduce(combine, ops)
    if kind == "Mean" and len(ops) > 1:
        total = Binary(total, constant_op(np.array(len(ops), total.format.dtype), node.loc), "div", loc=node.loc)
    return total


@imports("Where")
def where(node: Node) -> Op:
    y, z = same_format(node, plain(node.op(1)), plain(node.op(2)))
    return Where(node.op(0), y, z, loc=node.loc)


@imports("Identity")
def identity(node: Node) -> Op | np.ndarray:
    return node.value(0)


@imports("Dropout")
def dropout(node: Node) -> tuple[Op | np.ndarray, ...]:
    """Nothing at inference; the mask is all true."""
    node.ignore("ratio", "seed", "is_test")  # they matter in training only
    if node.has(2) and node.known(2, "training mode").any():
        node.unsupported("dropout in training mode", remedy="export the model for inference")
    x = node.value(0)
    if not node.output_used(1):
        return (x,)
    return x, np.ones(x.shape, np.bool_)


def cast_to(node: Node, x: Op, fmt: Format) -> Op:
    """`x` with elements of `fmt` as ONNX Cast converts them: float to integer truncates, to 4 or 2 bits also wraps."""
    x = plain(x)
    if x.format == fmt:
        return x
    if x.format.is_float and fmt.is_float:
        return Cast(x, Quantizer(fmt), loc=node.loc)
    if fmt.is_float:
        return Dequantize(x, fmt, loc=node.loc)
    if isinstance(fmt, Minifloat):
        return _four_bit_float(node, x if x.format.is_float else Dequantize(x, F32, loc=node.loc), fmt)
    if isinstance(x.format, Minifloat):
        return cast_to(node, Dequantize(x, F32, loc=node.loc), fmt)
    if fmt == BOOL:
        zero = constant_op(np.zeros((), x.format.dtype), node.loc, x.format)
        return Unary(Binary(x, zero, "equal", loc=node.loc), "not", loc=node.loc)
    if x.format.is_float:
        return Quantize(x, Quantizer(fmt, "trunc", "saturate" if fmt.bits >= 8 else "wrap"), loc=node.loc)
    return Cast(x, Quantizer(fmt, "floor", "wrap"), loc=node.loc)


def _four_bit_float(node: Node, x: Op, fmt: Minifloat) -> Op:
    """x as E2M1 codes: to the nearest, ties to even as ONNX has it (the format's own go to the smaller), NaN to 0."""

    def number(value: float) -> Op:
        return constant_op(np.array(value, x.format.dtype), node.loc)

    inside = Clip(x, -6.0, 6.0, loc=node.loc)
    size = Unary(inside, "abs", loc=node.loc)
    rounded: Op = number(0)
    for limit, step in ((math.inf, 2.0), (4.0, 1.0), (2.0, 0.5)):  # the largest binade first
        scaled = Unary(Mul(inside, number(1 / step), loc=node.loc), "round", loc=node.loc)
        near = Binary(size, number(limit), "less", loc=node.loc)  # never true of NaN
        rounded = Where(near, Mul(scaled, number(step), loc=node.loc), rounded, loc=node.loc)
    return Quantize(rounded, Quantizer(fmt), loc=node.loc)


@imports("Cast")
def cast(node: Node) -> Op:
    node.ignore("saturate", "round_mode")  # they are about float8 targets, which are refused
    target = node.integer("to")
    fmt = element_format(target)
    if fmt is None:
        node.unsupported(f"cast to element type {target}")
    return cast_to(node, node.op(0), fmt)


@imports("CastLike")
def cast_like(node: Node) -> Op:
    node.ignore("saturate", "round_mode")  # as for Cast
    return cast_to(node, node.op(0), plain(node.op(1)).format)
