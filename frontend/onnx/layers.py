"""Layers with weights: convolutions, matrix products, normalisations."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op
from edgec.frontend.onnx.windows import window
from edgec.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Binary,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    MatMul,
    Mul,
    Normalize,
    Op,
    Reduce,
    Reshape,
    Sub,
    Transpose,
    Unary,
    Where,
)


def is_constant(op: Op) -> bool:
    """A constant, plain or dequantised."""
    return isinstance(op, Constant) or (isinstance(op, Dequantize) and isinstance(op.x, Constant))


@imports("Conv")
def conv(node: Node) -> Op:
    x, w = node.floating(0), node.floating(1)
    b = node.floating(2) if node.has(2) else None
    node.weights(is_constant(w))
    spatial = window(node, x.shape, w.shape[2:])
    return Conv(x, w, b, spatial.strides, spatial.pads, spatial.dilations, node.integer("group", 1), loc=node.loc)


@imports("ConvTranspose")
def conv_transpose(node: Node) -> Op:
    x, w = node.floating(0), node.floating(1)
    b = node.floating(2) if node.has(2) else None
    node.weights(is_constant(w))
    rank = len(x.shape) - 2
    kernel = node.ints("kernel_shape") or w.shape[2:]
    if kernel != w.shape[2:] or rank < 1:
        node.malformed(f"kernel_shape {list(kernel)} for weights {list(w.shape)} and input {list(x.shape)}")
    strides = node.ints("strides") or (1,) * rank
    dilations = node.ints("dilations") or (1,) * rank
    extra = node.ints("output_padding") or (0,) * rank
    auto = node.string("auto_pad", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
    pads = node.ints("pads") or (0,) * 2 * rank
    wanted = node.ints("output_shape")
    if not len(strides) == len(dilations) == len(extra) == rank or len(pads) != 2 * rank:
        node.malformed(f"window attributes do not fit {rank} axes")
    if min(*strides, *dilations) < 1 or min(*pads, *extra) < 0:
        node.malformed("strides and dilations are at least 1, pads at least 0")
    full = [
        s * (n - 1) + e + d * (k - 1) + 1
        for n, k, s, d, e in zip(x.shape[2:], kernel, strides, dilations, extra, strict=True)
    ]
    node.limit(x.shape[0], w.shape[1] * node.integer("group", 1), *full)
    if wanted is not None or auto.startswith("SAME"):
        sizes = wanted[-rank:] if wanted else tuple(n * s for n, s in zip(x.shape[2:], strides, strict=True))
        total = [max(f - o, 0) for f, o in zip(full, sizes, strict=True)]
        short = tuple(max(o - f, 0) for f, o in zip(full, sizes, strict=True))
        extra = tuple(a + b for a, b in zip(extra, short, strict=True))
        low, high = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = tuple((high + low) if auto == "SAME_LOWER" or (wanted and auto == "NOTSET") else (low + high))
        if auto == "SAME_UPPER":
            pads = tuple(low + high)
    elif auto == "VALID":
        pads = (0,) * 2 * rank
    return ConvTranspose(x, w, b, strides, pads, dilations, extra, node.integer("group", 1), loc=node.loc)


@imports("MatMul")
def matmul(node: Node) -> Op:
    return product(node, node.floating(0), node.floating(1))


def product(node: Node, x: Op, y: Op) -> Op:
    """x @ y as numpy defines it; a constant matrix on the right gives a Dense layer."""
    if not x.shape or not y.shape:
        node.malformed("a matrix product with a scalar")
    if len(y.shape) == 2 and is_constant(y):
        return Dense(x, moved(Transpose(y, (1, 0), loc=y.loc)), loc=node.loc)
    a = Reshape(x, (1, *x.shape), loc=node.loc) if len(x.shape) == 1 else x
    b = moved(Reshape(y, (*y.shape, 1), loc=y.loc)) if len(y.shape) == 1 else y
    if len(b.shape) == 2 and is_constant(b):
        result: Op = Dense(a, moved(Transpose(b, (1, 0), loc=b.loc)), loc=node.loc)
    else:
        result = MatMul(a, b, loc=node.loc)
    shape = list(result.shape)
    if len(y.shape) == 1:
        del shape[-1]
    if len(x.shape) == 1:
        del shape[-1 if len(y.shape) == 1 else -2]
    return result if tuple(shape) == result.shape else Reshape(result, tuple(shape), loc=node.loc)


@imports("Gemm")
def gemm(node: Node) -> Op:
    """alpha * A' B' + beta * C; plain factors are folded into constants, C becomes the bias where it is one."""
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    x, w = node.floating(0), node.floating(1)
    if len(x.shape) != 2 or len(w.shape) != 2:
        node.malformed(f"Gemm of {list(x.shape)} and {list(w.shape)}")
    if node.opset < 7:
        node.ignore("broadcast")  # C is broadcast to the result whether the flag says so or not
    if node.flag("transA"):
        x = moved(Transpose(x, (1, 0), loc=x.loc if is_constant(x) else node.loc))
    by_output = node.flag("transB")
    if is_constant(w):
        w = w if by_output else moved(Transpose(w, (1, 0), loc=w.loc))
        if alpha != 1.0 and isinstance(w, Constant):
            w = constant_op((w.data * w.data.dtype.type(alpha)), w.loc)
            alpha = 1.0
    elif by_output:
        w = Transpose(w, (1, 0), loc=node.loc)
    outputs = w.shape[0] if is_constant(w) else w.shape[1]
    c = node.floating(2) if node.has(2) and beta != 0.0 else None
    if c is not None and beta != 1.0:
        if isinstance(c, Constant):
            c = constant_op(c.data * c.data.dtype.type(beta), c.loc)
        else:
            c = Mul(c, constant_op(np.array(beta, c.format.dtype), node.loc), loc=node.loc)
    bias = None
    if c is not None and is_constant(c) and is_constant(w) and alpha == 1.0:
        if c.shape and math.prod(c.shape) == outputs == c.shape[-1]:
            bias = c if len(c.shape) == 1 else moved(Reshape(c, (outputs,), loc=c.loc))
        elif math.prod(c.shape) == 1 and isinstance(c, Constant):
            bias = constant_op(np.full(outputs, c.data.ravel()[0]), c.loc)
    result: Op = Dense(x, w, bias, loc=node.loc) if is_constant(w) else MatMul(x, w, loc=node.loc)
    if alpha != 1.0:
        result = Mul(result, constant_op(np.array(alpha, result.format.dtype), node.loc), loc=node.loc)
    if c is None or bias is not None:
        return result
    total = Add(result, c, loc=node.loc)
    if total.shape != result.shape:
        node.malformed(f"C of shape {list(c.shape)} for a result of {list(result.shape)}")
    return total


@imports("BatchNormalization")
def batch_normalization(node: Node) -> Op:
    if node.opset >= 14 and node.flag("training_mode"):
        node.unsupported("batch normalisation in training mode", remedy="export the model for inference")
    if node.opset < 9 and not node.flag("spatial", True):
        node.unsupported("batch normalisation per element (spatial=0)")
    if any(node.output_used(i) for i in range(1, 5)):
        node.unsupported("batch normalisation that returns statistics", remedy="export the model for inference")
    node.ignore("momentum", "is_test", "consumed_inputs")  # they matter in training only
    x, scale, bias, mean, var = (node.floating(i) for i in range(5))
    epsilon = node.number("epsilon", 1e-5)
    if len(x.shape) == 1:
        node.malformed("batch normalisation needs a channel axis")
    return BatchNorm(x, scale, bias, mean, var, epsilon, loc=node.loc)


def per_channel(node: Node, op: Op, rank: int, axis: int = 1) -> Op:
    """[C] shaped to broadcast along `axis`."""
    shape = tuple(op.shape[0] if i == axis else 1 for i in range(rank))
    return moved(Reshape(op, shape, loc=op.loc or node.loc))


def _standardise(node: Node, x: Op, axis: int, epsilon: float) -> Op:
    ones = constant_op(np.ones(x.shape[axis:], x.format.dtype), node.loc)
    return Normalize(x, ones, None, axis, epsilon, loc=node.loc)


@imports("LayerNormalization")
def layer_normalization(node: Node) -> tuple[Op, ...]:
    """The normalised tensor and, where they are read, mean and inverse standard deviation."""
    if node.integer("stash_type", 1) != 1:
        node.unsupported("stash_type other than float32")
    x, epsilon = node.floating(0), node.number("epsilon", 1e-5)
    axis = node.axis(-1, len(x.shape))
    scale, bias = node.floating(1), node.floating(2) if node.has(2) else None
    if scale.shape == x.shape[axis:] and (bias is None or bias.shape == x.shape[axis:]):
        y: Op = Normalize(x, scale, bias, axis, epsilon, loc=node.loc)
    else:
        y = Mul(_standardise(node, x, axis, epsilon), scale, loc=node.loc)
        y = y if bias is None else Add(y, bias, loc=node.loc)
    if not (node.output_used(1) or node.output_used(2)):
        return (y,)
    axes = tuple(range(axis, len(x.shape)))
    mean = Reduce(x, "mean", axes, loc=node.loc)
    centred = Sub(x, mean, loc=node.loc)
    variance = Reduce(Mul(centred, centred, loc=node.loc), "mean", axes, loc=node.loc)
    shifted = Add(variance, constant_op(np.array(epsilon, x.format.dtype), node.loc), loc=node.loc)
    return y, mean, Unary(Unary(shifted, "sqrt", loc=node.loc), "reciprocal", loc=node.loc)


@imports("InstanceNormalization")
def instance_normalization(node: Node) -> Op:
    x, epsilon = node.floating(0), node.number("epsilon", 1e-5)
    rank = len(x.shape)
    if rank < 3:
        node.malformed("instance normalisation needs spatial axes")
    scale, bias = (per_channel(node, node.floating(i), rank) for i in (1, 2))
    return Add(Mul(_standardise(node, x, 2, epsilon), scale, loc=node.loc), bias, loc=node.loc)


@imports("GroupNormalization")
def group_normalization(node: Node) -> Op:
    if node.integer("stash_type", 1) != 1:
        node.unsupported("stash_type other than float32")
    x, epsilon, groups = node.floating(0), node.number("epsilon", 1e-5), node.integer("num_groups", 1)
    rank = len(x.shape)
    if rank < 2 or groups < 1 or x.shape[1] % groups:
        node.malformed(f"{groups} groups of {list(x.shape)}")
    grouped = Reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups), loc=node.loc)
    y: Op = _standardise(node, grouped, 2, epsilon)
    scale, bias = node.floating(1), node.floating(2)
    if scale.shape == (groups,) != (x.shape[1],):  # opset 18: one pair a group
        y = Add(Mul(y, per_channel(node, scale, 3), loc=node.loc), per_channel(node, bias, 3), loc=node.loc)
        return Reshape(y, x.shape, loc=node.loc)
    y = Reshape(y, x.shape, loc=node.loc)
    return Add(Mul(y, per_channel(node, scale, rank), loc=node.loc), per_channel(node, bias, rank), loc=node.loc)


@imports("RMSNormalization")
def rms_normalization(node: Node) -> Op:
    if node.integer("stash_type", 1) != 1:
        node.unsupported("stash_type other than float32")
    x, epsilon = node.floating(0), node.number("epsilon", 1e-5)
    axis = node.axis(-1, len(x.shape))
    mean = Reduce(Mul(x, x, loc=node.loc), "mean", tuple(range(axis, len(x.shape))), loc=node.loc)
    shifted = Add(mean, constant_op(np.array(epsilon, x.format.dtype), node.loc), loc=node.loc)
    y = Binary(x, Unary(shifted, "sqrt", loc=node.loc), "div", loc=node.loc)
    return Mul(y, node.floating(1), loc=node.loc)


@imports("LpNormalization")
def lp_normalization(node: Node) -> Op:
    x, p = node.floating(0), node.integer("p", 2)
    node.require(p in (1, 2), f"the norm of order {p}")
    norm = Reduce(x, f"l{p}", (node.axis(-1, len(x.shape)),), loc=node.loc)
    zero = constant_op(np.zeros((), x.format.dtype), node.loc)
    empty = Binary(norm, zero, "equal", loc=node.loc)  # the standard gives zeros where the norm is zero
    return Where(empty, zero, Binary(x, norm, "div", loc=node.loc), loc=node.loc)


@imports("LRN")
def local_response_normalization(node: Node) -> Op:
    """x / (bias + alpha * mean of squares over `size` channels) ** beta."""
    x, size = node.floating(0), node.integer("size")
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    if size < 1 or size > 2 * x.shape[1] or len(x.shape) < 2:
        node.malformed(f"a window of {size} channels over {list(x.shape)}")
    dtype = x.format.dtype
    square = Reshape(Mul(x, x, loc=node.loc), (x.shape[0], 1, x.shape[1], math.prod(x.shape[2:])), loc=node.loc)
    pads = ((size - 1) // 2, 0, size // 2, 0)
    mean = AvgPool(square, (size, 1), pads=pads, count_include_pad=True, loc=node.loc) if size > 1 else square
    scaled = Mul(Reshape(mean, x.shape, loc=node.loc), constant_op(np.array(alpha, dtype), node.loc), loc=node.loc)
    base = Add(scaled, constant_op(np.array(bias, dtype), node.loc), loc=node.loc)
    power = Binary(base, constant_op(np.array(beta, dtype), node.loc), "pow", loc=node.loc)
    return Binary(x, power, "div", loc=node.loc)


__all__ = ["is_constant", "per_channel", "product"]
