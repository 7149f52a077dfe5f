"""Layers with weights: convolutions and matrix products."""

from __future__ import annotations

import math

from edgec.frontend.onnx.fold import moved
from edgec.frontend.torch.node import Node, is_constant
from edgec.frontend.torch.registry import imports
from edgec.ops import Add, Conv, ConvTranspose, Dense, MatMul, Mul, Op, Reshape, Transpose


def _batched(x: Op, rank: int, node: Node) -> Op:
    """x with a batch axis; PyTorch takes [C, spatial...] too."""
    return Reshape(x, (1, *x.shape), loc=node.loc) if len(x.shape) == rank + 1 else x


def _unbatched(y: Op, x: Op, node: Node) -> Op:
    return Reshape(y, y.shape[1:], loc=node.loc) if len(x.shape) < len(y.shape) else y


@imports("conv1d.default", "conv2d.default", "conv3d.default", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv(node: Node) -> Op:
    rank = int(node.operator.removeprefix("aten.conv")[0])
    x, w, b = node.floating("input"), node.weights(node.floating("weight")), node.optional("bias")
    strides, dilations = node.ints("stride", rank, (1,)), node.ints("dilation", rank, (1,))
    if len(w.shape) != rank + 2:
        node.malformed(f"weights {list(w.shape)} for {rank} axes")
    if isinstance(node.raw("padding"), str):
        same = node.string("padding", "valid", ("valid", "same")) == "same"
        total = [d * (k - 1) if same else 0 for d, k in zip(dilations, w.shape[2:], strict=True)]
        pads = (*(t // 2 for t in total), *(t - t // 2 for t in total))
    else:
        pads = node.ints("padding", rank, (0,)) * 2
    groups = node.integer("groups", 1)
    y = Conv(_batched(x, rank, node), w, b, strides, pads, dilations, groups, loc=node.loc)
    return _unbatched(y, x, node)


@imports("convolution.default")
def convolution(node: Node) -> Op:
    """The one form that decomposed programs have."""
    x, w, b = node.floating("input"), node.weights(node.floating("weight")), node.optional("bias")
    rank = len(w.shape) - 2
    strides, dilations = node.ints("stride", rank), node.ints("dilation", rank)
    padding, extra = node.ints("padding", rank), node.ints("output_padding", rank)
    groups = node.integer("groups", 1)
    if node.flag("transposed"):
        return _transposed(node, x, w, b, strides, padding, dilations, extra, groups)
    y = Conv(_batched(x, rank, node), w, b, strides, padding * 2, dilations, groups, loc=node.loc)
    return _unbatched(y, x, node)


@imports("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(node: Node) -> Op:
    rank = int(node.operator.removeprefix("aten.conv_transpose")[0])
    x, w, b = node.floating("input"), node.weights(node.floating("weight")), node.optional("bias")
    strides, dilations = node.ints("stride", rank, (1,)), node.ints("dilation", rank, (1,))
    padding, extra = node.ints("padding", rank, (0,)), node.ints("output_padding", rank, (0,))
    return _transposed(node, x, w, b, strides, padding, dilations, extra, node.integer("groups", 1))


def _transposed(
    node: Node,
    x: Op,
    w: Op,
    b: Op | None,
    strides: tuple[int, ...],
    padding: tuple[int, ...],
    dilations: tuple[int, ...],
    extra: tuple[int, ...],
    groups: int,
) -> Op:
    rank = len(w.shape) - 2
    batched = _batched(x, rank, node)
    if rank < 1 or len(batched.shape) != rank + 2:
        node.malformed(f"weights {list(w.shape)} for {list(x.shape)}")
    if min(*strides, *dilations) < 1 or min(*padding, *extra) < 0:
        node.malformed("strides and dilations are at least 1, padding at least 0")
    spatial = zip(batched.shape[2:], w.shape[2:], strides, dilations, extra, strict=True)
    node.limit(x.shape[0], w.shape[1] * groups, *(s * (n - 1) + e + d * (k - 1) + 1 for n, k, s, d, e in spatial))
    y = ConvTranspose(batched, w, b, strides, padding * 2, dilations, extra, groups, loc=node.loc)
    return _unbatched(y, x, node)


@imports("linear.default")
def linear(node: Node) -> Op:
    x, w, b = node.floating("input"), node.floating("weight"), node.optional("bias")
    if is_constant(w) and len(w.shape) == 2 and (b is None or is_constant(b)):
        return Dense(x, w, b, loc=node.loc)
    y = product(node, x, Transpose(w, (1, 0), loc=node.loc))
    return y if b is None else Add(y, b, loc=node.loc)


def product(node: Node, x: Op, y: Op) -> Op:
    """x @ y as numpy defines it; a constant matrix on the right gives a dense layer."""
    if not x.shape or not y.shape:
        node.malformed("a matrix product with a scalar")
    if len(y.shape) == 2 and is_constant(y):
        return Dense(x, moved(Transpose(y, (1, 0), loc=y.loc)), loc=node.loc)
    a = Reshape(x, (1, *x.shape), loc=node.loc) if len(x.shape) == 1 else x
    b = Reshape(y, (*y.shape, 1), loc=node.loc) if len(y.shape) == 1 else y
    result: Op = MatMul(a, b, loc=node.loc)
    shape = list(result.shape)
    if len(y.shape) == 1:
        del shape[-1]
    if len(x.shape) == 1:
        del shape[-1 if len(y.shape) == 1 else -2]
    return result if tuple(shape) == result.shape else Reshape(result, tuple(shape), loc=node.loc)


@imports("matmul.default")
def matmul(node: Node) -> Op:
    return product(node, node.floating("self"), node.floating("other"))


@imports("mm.default", "bmm.default")
def mm(node: Node) -> Op:
    return product(node, node.floating("self"), node.floating("mat2"))


@imports("addmm.default", "baddbmm.default")
def addmm(node: Node) -> Op:
    """beta * self + alpha * (a @ b): a dense layer where b is a constant matrix and self its bias."""
    batched = "baddbmm" in node.operator
    a, b = (node.floating(n) for n in (("batch1", "batch2") if batched else ("mat1", "mat2")))
    c, alpha, beta = node.floating("self"), node.number("alpha", 1.0), node.number("beta", 1.0)
    if not batched and alpha == beta == 1.0 and is_constant(b) and is_constant(c):
        w = moved(Transpose(b, (1, 0), loc=b.loc))
        if c.shape and math.prod(c.shape) == w.shape[0] == c.shape[-1]:
            bias = c if len(c.shape) == 1 else moved(Reshape(c, (w.shape[0],), loc=c.loc))
            return Dense(a, w, bias, loc=node.loc)
    y = product(node, a, b)
    if alpha != 1.0:
        y = Mul(y, node.constant(alpha, y.format), loc=node.loc)
    if beta == 0.0:
        return y
    if beta != 1.0:
        c = Mul(c, node.constant(beta, y.format), loc=node.loc)
    return Add(y, c, loc=node.loc)


__all__ = ["product"]
