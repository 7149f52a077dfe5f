"""Quantisation whose scale or zero point is computed, or that changes within a channel (blocks).

No number format can carry such a scale: the codes are plain integers, and scale and zero point are float arithmetic
around them, as the standard writes it. Dynamically quantised models and block-quantised weights come this way.
"""

from __future__ import annotations

import numpy as np

from edgec.formats import Format, Integer, Quantizer
from edgec.formats_compressed import Minifloat
from edgec.frontend.onnx.arithmetic import cast_to
from edgec.frontend.onnx.fold import evaluate_tree, moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.ops import (
    Add,
    Binary,
    Clip,
    Constant,
    Dequantize,
    Expand,
    Mul,
    Op,
    Quantize,
    Reduce,
    Reshape,
    Slice,
    Sub,
    Unary,
    Where,
)


def parameters(
    node: Node, scale: int, zero: int, shape: tuple[int, ...], axis: int | None, block: int
) -> tuple[Op, Op | None]:
    """Scale and zero point (None without one) shaped to broadcast against a tensor of `shape`."""
    ops = [_spread(node, plain(node.op(i)), shape, axis, block) if node.has(i) else None for i in (scale, zero)]
    assert ops[0] is not None
    return ops[0], ops[1]


def _spread(node: Node, op: Op, shape: tuple[int, ...], axis: int | None, block: int) -> Op:
    if op.tensor.size == 1:
        return _shaped(node, op, ())
    if axis is None or not -len(shape) <= axis < len(shape):
        node.malformed(f"axis {axis} of {list(shape)}")
    axis %= len(shape)
    if not block:
        if op.shape != (shape[axis],):
            node.malformed(f"parameters {list(op.shape)} for {shape[axis]} channels")
        return _shaped(node, op, tuple(shape[axis] if i == axis else 1 for i in range(len(shape))))
    if len(op.shape) != len(shape) or block < 1 or op.shape[axis] != -(-shape[axis] // block):
        node.malformed(f"parameters {list(op.shape)} for blocks of {block} in {list(shape)}")
    apart = _shaped(node, op, (*op.shape[: axis + 1], 1, *op.shape[axis + 1 :]))
    wide = moved(Expand(apart, (*op.shape[: axis + 1], block, *op.shape[axis + 1 :]), loc=node.loc))
    whole = _shaped(node, wide, (*op.shape[:axis], op.shape[axis] * block, *op.shape[axis + 1 :]))
    if whole.shape == shape:
        return whole
    if any(m != n for i, (m, n) in enumerate(zip(whole.shape, shape, strict=True)) if i != axis):
        node.malformed(f"parameters {list(op.shape)} for blocks of {block} in {list(shape)}")
    return moved(Slice(whole, (0,) * len(shape), shape, (1,) * len(shape), loc=node.loc))


def _shaped(node: Node, op: Op, shape: tuple[int, ...]) -> Op:
    return op if op.shape == shape else moved(Reshape(op, shape, loc=node.loc))


def quantised(node: Node, x: Op, target: Format, scale: Op, zero: Op | None) -> Op:
    """round_half_even(x / scale) + zero_point, saturated to `target`: plain integers, or small floats."""
    ratio = Binary(x, cast_to(node, scale, x.format), "div", loc=node.loc)
    if isinstance(target, Minifloat):
        return cast_to(node, ratio, target)
    lo, hi = target.code_range
    level: Op = Unary(ratio, "round", loc=node.loc)
    if zero is not None:
        level = Add(level, cast_to(node, zero, x.format), loc=node.loc)
    return Quantize(Clip(level, lo, hi, loc=node.loc), Quantizer(target, "trunc", "saturate"), loc=node.loc)


def dequantised(node: Node, x: Op, to: Format | None, scale: Op, zero: Op | None) -> Op:
    """(code - zero_point) * scale; of constants a constant of floats, as no format can keep the codes."""
    if to is None or not to.is_float:
        node.unsupported("a result of this element type")
    levels = Dequantize(plain(x), to, loc=node.loc)
    centred: Op = levels if zero is None else Sub(levels, Dequantize(zero, to, loc=node.loc), loc=node.loc)
    y = Mul(centred, cast_to(node, scale, to), loc=node.loc)
    if all(isinstance(o, Constant) for o in (x, scale, zero) if o is not None):
        return constant_op(evaluate_tree(y), x.loc, to)
    return y


@imports("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node) -> tuple[Op, Op, Op]:
    """uint8 codes with the scale and zero point of the range of x and 0; an x of zeros has the scale 1."""
    x = node.floating(0)
    axes = tuple(range(len(x.shape)))

    def number(value: float) -> Op:
        return constant_op(np.array(value, np.float32), node.loc)

    high = Binary(Reduce(x, "max", axes, False, loc=node.loc), number(0), "max", loc=node.loc)
    low = Binary(Reduce(x, "min", axes, False, loc=node.loc), number(0), "min", loc=node.loc)
    width = Binary(Sub(high, low, loc=node.loc), number(255), "div", loc=node.loc)
    scale = Where(Binary(width, number(0), "equal", loc=node.loc), number(1), width, loc=node.loc)
    start = Binary(Sub(number(0), low, loc=node.loc), scale, "div", loc=node.loc)
    nearest = Unary(Clip(start, 0, 255, loc=node.loc), "round", loc=node.loc)
    target = Integer(8, signed_=False)
    zero = Quantize(nearest, Quantizer(target, "trunc", "saturate"), loc=node.loc)
    return quantised(node, x, target, scale, zero), scale, zero
