"""Re-encodes unsigned tensors of up to 8 bits, or of 16, as signed ones inside a network: codes move by half of theirs.

Vector code for processors multiplies signed numbers by signed ones: codes of 8 bits move by 128, those of 16 by 32768,
and fixed-point ones get a zero point. Nothing is rounded anew, and the borders of the network keep their formats: a
`Requantize` of its own, which moves codes only, stands behind an unsigned input, in front of an unsigned output, and in
front of an op that needs the codes as they were.
"""

from __future__ import annotations

from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Cast,
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
BY_VALUE = (Conv, Dense, Cast, Requantize, RequantizeFloat, AvgPool, Add, Sub, Mul, Dequantize, MultiThreshold, Lut)
"""Ops that read levels without their zero point, or codes from the lowest on: they take either encoding."""
BITS = (*range(2, 9), 16)


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with signed numbers between its layers."""
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
        new = _rebuilt(op, [mapping[o] if either and _takes(op, o) else unsigned(o) for o in op.operands])
        if new is None or (
            op not in signed and new.type != op.type
        ):  # its result depends on the zero point of operands
            new = op.with_operands(unsigned(o) for o in op.operands)
        mapping[op] = _encoded(op, new) if op in signed and not isinstance(op, THROUGH) else new
    return graph.with_outputs((name, unsigned(op)) for name, op in graph.outputs)


def _rebuilt(op: Op, operands: list[Op]) -> Op | None:
    """`op` with other operands, None where it refuses them."""
    try:
        if isinstance(op, AvgPool) and op.out is None and _unsigned(op.format):  # not what its operand has now
            op = op.replace(out=Quantizer(op.format, "half_even", "saturate"))
        return op.with_operands(operands)
    except EdgecError:
        return None


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
    """Whether `op` is the operand of a layer or, rescaled, its result: of one that vector code can do."""
    read = any(_exact(user) and user.operands[0] is op for user in graph.users[op])
    return read or (isinstance(op, Requantize | Cast) and _exact(op.x))


def _exact(op: Op) -> bool:
    """Whether `op` is a layer whose sums are not rounded on the way."""
    return isinstance(op, Conv | Dense) and op.product is None and op.acc is None and op.out is None


def _encoded(op: Op, new: Op) -> Op:
    """`new`, which stands for `op`, with signed codes."""
    fmt = _signed(op.format)
    if isinstance(new, MultiThreshold):
        return new.replace(to=fmt)
    if isinstance(new, Constant):
        codes = (new.data.astype("int32") - _middle(op.format)).astype(fmt.dtype)
        return Constant(codes, type=TensorType(fmt, new.shape), loc=new.loc)
    out: Quantizer | None = getattr(new, "out", None)
    if out is None or not isinstance(new, Cast | Requantize | RequantizeFloat | Quantize | AvgPool):
        return _moved(new, fmt)
    out = Quantizer(fmt, out.rounding, "wrap" if out.overflow == "wrap" else "saturate")  # symmetric only for signed
    return _shifted(new, out) if isinstance(new, Cast) else new.replace(out=out)


def _shifted(op: Cast, out: Quantizer) -> Op:
    """A cast to a format with a zero point."""
    shift = (op.x.format.frac or 0) - (op.format.frac or 0)
    multiplier, right = (1, shift) if shift >= 0 else (1 << -shift, 0)
    return Requantize(op.x, integers([multiplier]), integers([right]), None, out, _axis(op), loc=op.loc)


def _moved(op: Op, fmt: Format) -> Op:
    """The values of `op` in the codes of `fmt`."""
    return Requantize(op, integers([1]), integers([0]), None, Quantizer(fmt), _axis(op), loc=op.loc)


def _axis(op: Op) -> int:
    return 1 if len(op.shape) > 1 else 0


def _unsigned(fmt: Format) -> bool:
    """Codes of up to 8 bits or of 16 without a sign, of one scale."""
    base = fmt.base if isinstance(fmt, Affine) else fmt
    return isinstance(base, Integer | Fixed) and not base.signed_ and base.width in BITS and fmt.axis is None


def _signed(fmt: Format) -> Format:
    """The same values in codes that are half of all codes less."""
    zero = int(fmt.zero_point_array[0]) - _middle(fmt)
    return Affine(Integer(fmt.bits), (float(fmt.scale_array[0]),), (zero,))


def _middle(fmt: Format) -> int:
    return 1 << (fmt.bits - 1)
