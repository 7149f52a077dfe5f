"""Elementwise arithmetic, comparison and logic with broadcasting, element type changes."""

from __future__ import annotations

from functools import reduce

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Format, Integer, Quantizer, TensorType
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, element_format, plain
from edgec.ops import BOOL, Add, Binary, Cast, Constant, Dequantize, Mul, Op, Quantize, Reshape, Sub, Unary, Where
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
    if x.format == y.format:
        return x, y
    if x.format.is_float or y.format.is_float:
        node.malformed(f"operands of different element types: {x.format} and {y.format}")
    if BOOL in (x.format, y.format):
        node.malformed("truth values and integers mixed")
    wide = Integer(64) if max(x.format.bits, y.format.bits) > 31 else Integer(32)
    return tuple(  # type: ignore[return-value]
        Constant(o.data, type=TensorType(wide, o.shape), loc=o.loc)
        if isinstance(o, Constant) and isinstance(o.format, Integer)
        else Cast(o, Quantizer(wide, "floor", "wrap"), loc=node.loc)
        for o in (x, y)
    )


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


@imports("Div")
def div(node: Node) -> Op:
    x, y = operands(node)
    node.require(x.format.is_float, "division of integers that depend on the model's inputs")
    return Binary(x, y, "div", loc=node.loc)


@imports("Pow")
def power(node: Node) -> Op:
    exponent = node.value(1)
    base = node.floating(0)
    if isinstance(exponent, np.ndarray) and base.format.dtype != exponent.dtype:
        node.values[1] = exponent.astype(base.format.dtype)
    x, y = operands(node)
    node.require(y.format.is_float, "an integer exponent that depends on the model's inputs")
    return Binary(x, y, "pow", loc=node.loc)


@imports("Mod")
def modulo(node: Node) -> Op:
    node.require(node.flag("fmod"), "mod of integers that depend on the model's inputs")
    x, y = operands(node)
    node.require(x.format.is_float, "mod of integers that depend on the model's inputs")
    return Binary(x, y, "mod", loc=node.loc)


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
        node.require(x.format.is_float, f"{kind} of integers that depend on the model's inputs")
        return Add(x, y, loc=node.loc)

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
    """`x` with elements of `fmt` as ONNX Cast converts them (float to integer truncates)."""
    x = plain(x)
    if x.format == fmt:
        return x
    if x.format.is_float and fmt.is_float:
        return Cast(x, Quantizer(fmt), loc=node.loc)
    if fmt.is_float:
        return Dequantize(x, fmt, loc=node.loc)
    if fmt == BOOL:
        zero = constant_op(np.zeros((), x.format.dtype), node.loc, x.format)
        return Unary(Binary(x, zero, "equal", loc=node.loc), "not", loc=node.loc)
    if x.format.is_float:
        node.require(fmt.bits >= 8, f"a cast of floats to {fmt}", remedy="use QuantizeLinear")
        return Quantize(x, Quantizer(fmt, "trunc", "saturate"), loc=node.loc)
    return Cast(x, Quantizer(fmt, "floor", "wrap"), loc=node.loc)


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
