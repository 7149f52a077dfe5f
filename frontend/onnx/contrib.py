"""Quantised operators of onnxruntime (domain com.microsoft), which its `quantize_static` writes as QOperator.

Each is the float operator between Dequantize and Quantize, as QLinearConv is; the passes make integers of it.
"""

from __future__ import annotations

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.quantised import codes_of, requantised, sums_of
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.windows import window
from edgec.ops import Add, AvgPool, Concat, Constant, Dense, Dequantize, Mul, Op, Softmax, Transpose, Unary

DOMAIN = "com.microsoft"


@imports("QGemm", domain=DOMAIN)
def qgemm(node: Node) -> Op:
    """A' B' + C; C are int32 codes in the scale of the products. Without a scale of y the result is floats."""
    node.require(node.number("alpha", 1.0) == 1.0, "alpha other than 1")
    by_output = node.flag("transB")
    x, w = codes_of(node, 0, 1, 2, 1), codes_of(node, 3, 4, 5, 0 if by_output else 1)
    node.weights(isinstance(w, Dequantize) and isinstance(w.x, Constant))
    if len(x.shape) != 2 or len(w.shape) != 2:
        node.malformed(f"QGemm of {list(x.shape)} and {list(w.shape)}")
    if node.flag("transA"):
        x = Transpose(x, (1, 0), loc=node.loc)
    if not by_output:
        w = moved(Transpose(w, (1, 0), loc=w.loc))
    bias: Op | None = None
    if node.has(6):
        if node.op(6).shape != w.shape[:1]:
            node.malformed(f"a bias {list(node.op(6).shape)} for {w.shape[0]} outputs")
        bias = sums_of(node, 6, 1, 4)
    y = Dense(x, w, bias, loc=node.loc)
    return requantised(node, y, 7, 8) if node.has(7) else y


@imports("QLinearAdd", "QLinearMul", domain=DOMAIN)
def two_operands(node: Node) -> Op:
    kind = Add if node.op_type == "QLinearAdd" else Mul
    return requantised(node, kind(codes_of(node, 0, 1, 2, 1), codes_of(node, 3, 4, 5, 1), loc=node.loc), 6, 7)


@imports("QLinearAveragePool", "QLinearGlobalAveragePool", domain=DOMAIN)
def average_pool(node: Node) -> Op:
    x = codes_of(node, 0, 1, 2, 1)
    node.require(not node.flag("channels_last"), "channels_last")
    if len(x.shape) < 3:
        node.malformed(f"pooling of {list(x.shape)}")
    if node.op_type == "QLinearGlobalAveragePool":
        return requantised(node, AvgPool(x, x.shape[2:], loc=node.loc), 3, 4)
    w = window(node, x.shape, None)
    include = node.flag("count_include_pad")
    y = AvgPool(x, w.kernel, w.strides, w.pads, w.dilations, w.ceil_mode, include, loc=node.loc)
    return requantised(node, y, 3, 4)


@imports("QLinearSigmoid", "QLinearLeakyRelu", domain=DOMAIN)
def function(node: Node) -> Op:
    x = codes_of(node, 0, 1, 2, 1)
    if node.op_type == "QLinearSigmoid":
        return requantised(node, Unary(x, "sigmoid", loc=node.loc), 3, 4)
    return requantised(node, Unary(x, "leaky_relu", node.number("alpha", 0.01), loc=node.loc), 3, 4)


@imports("QLinearSoftmax", domain=DOMAIN)
def softmax(node: Node) -> Op:
    """Attribute `opset` says whose Softmax it is: before 13 all axes from `axis` on are one."""
    x = codes_of(node, 0, 1, 2, 1)
    rank, opset = len(x.shape), node.integer("opset", 13)
    axis = node.axis(-1, rank)
    if opset < 13:
        node.require(all(n == 1 for n in x.shape[axis + 1 :]) or axis == rank - 1, "softmax over several axes")
    return requantised(node, Softmax(x, axis, loc=node.loc), 3, 4)


@imports("QLinearConcat", domain=DOMAIN)
def concat(node: Node) -> Op:
    """Operands: scale and zero point of y, then codes, scale and zero point of each part."""
    count, odd = divmod(len(node.values) - 2, 3)
    if odd or count < 1:
        node.malformed(f"{len(node.values)} operands")
    parts = tuple(codes_of(node, 2 + 3 * i, 3 + 3 * i, 4 + 3 * i, 1) for i in range(count))
    return requantised(node, Concat(parts, node.axis(0, len(parts[0].shape)), loc=node.loc), 0, 1)
