"""The layers of a graph as rows: what tables, reports and diagnostics show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from edgec.formats import Format, Quantizer, TupleType
from edgec.graph import Graph
from edgec.ops import Constant, Conv, ConvTranspose, Dense, Gru, Input, Lstm, MatMul, Op, Rnn
from edgec.text import Printer

MOVES = ("reshape", "transpose", "get", "split")
"""Ops that only rename elements; they get no row."""


@dataclass(frozen=True)
class Layer:
    """One computing op: `name` as in graph.edge, `source` the user's node names, `arithmetic` its formats."""

    name: str
    op: str
    source: tuple[str, ...]
    shape: tuple[int, ...]
    format: str
    macs: int
    parameters: int
    parameter_bits: int
    arithmetic: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "op": self.op,
            "source": list(self.source),
            "shape": list(self.shape),
            "format": self.format,
            "macs": self.macs,
            "parameters": self.parameters,
            "parameter_bits": self.parameter_bits,
            "arithmetic": self.arithmetic,
        }


def nominal_macs(op: Op) -> int:
    """Multiply-accumulates of one frame, padded taps included."""
    if isinstance(op, Conv | Dense):
        return op.tensor.size * op.terms
    if isinstance(op, MatMul):
        return op.tensor.size * op.x.shape[-1]
    if isinstance(op, ConvTranspose):
        return op.x.tensor.size * math.prod(op.w.shape[1:])
    if isinstance(op, Rnn | Gru | Lstm):
        steps, sequences, inputs = op.x.shape
        return steps * sequences * op.w.shape[0] * (inputs + op.r.shape[1])
    return 0


def layers(graph: Graph) -> list[Layer]:
    """A row for every op of `graph` that computes something, in order."""
    names = Printer(graph).names
    rows = []
    for op in graph.ops:
        if isinstance(op, Input | Constant) or op.mnemonic in MOVES:
            continue
        result = op.type.elements[0] if isinstance(op.type, TupleType) else op.type  # the first says most
        constants = [o for o in op.operands if isinstance(o, Constant)]
        arithmetic = {k: str(v) for k, v in op.fields() if isinstance(v, Quantizer | Format)}
        for key, value in op.fields():
            if isinstance(value, Op) and hasattr(value.type, "shape"):
                arithmetic[key] = str(value.format)
        rows.append(
            Layer(
                names[op],
                op.mnemonic,
                op.loc,
                result.shape,
                str(result.format),
                nominal_macs(op),
                sum(c.tensor.size for c in constants),
                sum(c.tensor.bits for c in constants),
                arithmetic,
            )
        )
    return rows
