"""Re-encodes tensors of unsigned bytes inside a network as signed ones: the same values, codes 128 less.

Vector code for processors multiplies signed bytes by signed bytes. Nothing is rounded anew, and the borders of the
network keep their formats: an unsigned input is re-encoded by a `Requantize` of its own, which moves codes only.
"""

from __future__ import annotations

from edgec.formats import Affine, Format, Integer, Quantizer
from edgec.graph import Graph
from edgec.ops import (
    AvgPool,
    Clip,
    Conv,
    Dense,
    Input,
    MaxPool,
    Op,
    Relu,
    Requantize,
    Reshape,
    Slice,
    Transpose,
    integers,
)
from edgec.pipeline import Context

THROUGH = (Relu, Clip, MaxPool, Reshape, Slice, Transpose)
"""Ops whose results are codes of their operand. Means that keep the format are as good: they are rounded alike, because
codes move by an even number."""
MIDDLE = 128


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with signed bytes between its layers."""
    outputs = {op for _, op in graph.outputs}

    def wanted(op: Op) -> bool:
        """Whether everything that reads the codes of `op` takes signed ones as well, and a layer is among it."""
        layers = 0
        pending = [op]
        while pending:
            x = pending.pop()
            if x in outputs:
                return False
            for user in graph.users[x]:
                if isinstance(user, THROUGH) or (isinstance(user, AvgPool) and user.format == x.format):
                    pending.append(user)
                elif not isinstance(user, Conv | Dense | Requantize) or user.operands[0] is not x:
                    return False
                layers += isinstance(user, Conv | Dense)
        return layers > 0

    mapping: dict[Op, Op] = {}
    for op in graph.ops:
        new = op.with_operands(mapping[o] for o in op.operands)
        if isinstance(op, Requantize) and _unsigned(op.format) and wanted(op):
            assert isinstance(new, Requantize)
            new = new.replace(out=Quantizer(_signed(op.format), op.out.rounding, op.out.overflow))
        elif isinstance(op, AvgPool) and op.out is not None and mapping[op.x].format != op.x.format:
            assert isinstance(new, AvgPool)
            new = new.replace(out=Quantizer(_signed(op.format), op.out.rounding, op.out.overflow))
        elif isinstance(op, Input) and _unsigned(op.format) and op not in outputs and wanted(op):
            axis = 1 if len(op.shape) > 1 else 0
            moved = Requantize(op, integers([1]), integers([0]), None, Quantizer(_signed(op.format)), axis, loc=op.loc)
            mapping[op] = moved
            continue
        mapping[op] = new
    return graph.with_outputs((name, mapping[op]) for name, op in graph.outputs)


def _unsigned(fmt: Format) -> bool:
    """Bytes without a sign, of one scale."""
    return isinstance(fmt, Affine) and fmt.base == Integer(8, signed_=False) and fmt.axis is None


def _signed(fmt: Format) -> Format:
    assert isinstance(fmt, Affine)
    return Affine(Integer(8), fmt.scale, tuple(z - MIDDLE for z in fmt.zero_point))
