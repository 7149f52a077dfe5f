"""Re-encodes tensors of unsigned bytes inside a network as signed ones: the same values, codes 128 less.

Vector code for processors multiplies signed bytes by signed bytes. Nothing is rounded anew, and the borders of the
network keep their formats: a `Requantize` of its own, which moves codes only, stands behind an unsigned input, in front
of an unsigned output, and in front of an op that needs the codes as they were.
"""

from __future__ import annotations

from edgec.formats import Affine, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Clip,
    Concat,
    Constant,
    Conv,
    Dense,
    Dequantize,
    Expand,
    Lut,
    MaxPool,
    Mul,
    MultiThreshold,
    Op,
    Pad,
    Quantize,
    Relu,
    Requantize,
    RequantizeFloat,
    Reshape,
    Slice,
    Sub,
    Transpose,
    integers,
)
from edgec.pipeline import Context

THROUGH = (Relu, Clip, MaxPool, Reshape, Slice, Transpose, Expand, Concat, Pad)
"""Ops whose results are codes of their operands."""
BY_VALUE = (Conv, Dense, Requantize, RequantizeFloat, AvgPool, Add, Sub, Mul, Dequantize, MultiThreshold, Lut)
"""Ops that read levels without their zero point, or codes from the lowest on: they take either encoding."""
MIDDLE = 128


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with signed bytes between its layers."""
    signed = _chosen(graph)
    mapping: dict[Op, Op] = {}
    unmoved: dict[Op, Op] = {}

    def unsigned(op: Op) -> Op:
        """The codes of `op` as they were."""
        if op not in signed:
            return mapping[op]
        return unmoved.setdefault(op, _moved(mapping[op], op.format))

    for op in graph.ops:
        either = op in signed if isinstance(op, THROUGH) else isinstance(op, BY_VALUE)
        new = op.with_operands(mapping[o] if either and _takes(op, o) else unsigned(o) for o in op.operands)
        if isinstance(new, AvgPool) and new.out is None and _unsigned(op.format):  # not what its operand has now
            new = new.replace(out=Quantizer(op.format, "half_even", "saturate"))
        mapping[op] = _encoded(op, new) if op in signed and not isinstance(op, THROUGH) else new
    return graph.with_outputs((name, unsigned(op)) for name, op in graph.outputs)


def _takes(op: Op, operand: Op) -> bool:
    """Whether `op` reads this operand, which may be its weights too, in either encoding."""
    return not isinstance(op, Conv | Dense) or op.operands[0] is operand


def _chosen(graph: Graph) -> set[Op]:
    """The tensors that are re-encoded: those that share codes with one that a layer reads or makes."""
    parents: dict[Op, Op] = {op: op for op in graph.ops if isinstance(op.type, TensorType) and _unsigned(op.format)}

    def root(op: Op) -> Op:
        while parents[op] is not op:
            parents[op] = op = parents[parents[op]]
        return op

    for op in parents:
        if isinstance(op, THROUGH):
            for operand in op.operands:
                parents[root(operand)] = root(op)
    wanted = {root(op) for op in parents if _of_layer(graph, op)}
    return {op for op in parents if root(op) in wanted}


def _of_layer(graph: Graph, op: Op) -> bool:
    """Whether `op` is the operand of a layer or, rescaled, its result."""
    read = any(isinstance(user, Conv | Dense) and user.operands[0] is op for user in graph.users[op])
    return read or (isinstance(op, Requantize) and isinstance(op.x, Conv | Dense))


def _encoded(op: Op, new: Op) -> Op:
    """`new`, which stands for `op`, with signed codes."""
    fmt = _signed(op.format)
    if isinstance(new, Requantize | RequantizeFloat | Quantize | AvgPool) and new.out is not None:
        return new.replace(out=Quantizer(fmt, new.out.rounding, new.out.overflow))
    if isinstance(new, Constant):
        codes = (new.data.astype("int16") - MIDDLE).astype(fmt.dtype)
        return Constant(codes, type=TensorType(fmt, new.shape), loc=new.loc)
    return _moved(new, fmt)


def _moved(op: Op, fmt: Format) -> Op:
    """The values of `op` in the codes of `fmt`."""
    axis = 1 if len(op.shape) > 1 else 0
    return Requantize(op, integers([1]), integers([0]), None, Quantizer(fmt), axis, loc=op.loc)


def _unsigned(fmt: Format) -> bool:
    """Bytes without a sign, of one scale."""
    return isinstance(fmt, Affine) and fmt.base == Integer(8, signed_=False) and fmt.axis is None


def _signed(fmt: Format) -> Format:
    assert isinstance(fmt, Affine)
    return Affine(Integer(8), fmt.scale, tuple(z - MIDDLE for z in fmt.zero_point))
