"""Recurrent layers: one ONNX layer of one direction an op."""

from __future__ import annotations

import numpy as np
import onnx

from edgec.frontend.onnx_export.builder import Builder, exports
from edgec.ops import Constant, Gru, Lstm, Op, Rnn

_NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "hard_sigmoid": "HardSigmoid",
    "softsign": "Softsign",
}


@exports(Rnn, Gru, Lstm)
def recurrent(b: Builder, op: Rnn | Gru | Lstm) -> str:
    """The node with all of its results; `Get` reads them."""
    dtype = b.dtype(b.read(op.x))
    after = isinstance(op, Gru) and op.linear_before_reset
    operands = [b.read(op.x), _leading(b, op.w), _leading(b, op.r), _biases(b, op), "", _leading(b, op.h)]
    if isinstance(op, Lstm):
        operands.append(_leading(b, op.c))
    state = (1, *op.h.shape)
    shapes = [(op.x.shape[0], *state), *[state] * (len(operands) - 5)]
    names = [b.unique(f"{b.stem}.{n}") for n in ("y", "h", "c")[: len(shapes)]]
    attributes: dict[str, object] = {"linear_before_reset": 1} if after else {}
    b.nodes.append(
        onnx.helper.make_node(
            type(op).__name__.upper(),
            operands,
            names,
            name=names[0],
            hidden_size=op.h.shape[1],
            direction="reverse" if op.reverse else "forward",
            activations=[_NAMES[a] for a in op.activations],
            **attributes,  # type: ignore[arg-type]
        )
    )
    for name, shape in zip(names, shapes, strict=True):
        b.info[name] = (dtype, shape)
    b.parts[op] = names
    return ""


def _leading(b: Builder, op: Op) -> str:
    """`op` with one direction in front."""
    if isinstance(op, Constant):
        return b.constant(op.data[None])
    return b.reshape(b.read(op), (1, *op.shape))


def _biases(b: Builder, op: Rnn | Gru | Lstm) -> str:
    """[1, 2 rows]: the biases of the input, then those of the recurrence, which are zero but for `rb`."""
    rows, units, dtype = op.b.shape[0], op.h.shape[1], op.b.format.dtype
    inner: Op | None = op.rb if isinstance(op, Gru) else None
    if isinstance(op.b, Constant) and (inner is None or isinstance(inner, Constant)):
        both = np.zeros((1, 2 * rows), dtype)
        both[0, :rows] = op.b.data
        if inner is not None:
            both[0, -units:] = inner.data
        return b.constant(both)
    zeros = b.constant(np.zeros(rows if inner is None else rows - units, dtype))
    parts = [b.read(op.b), zeros, *([b.read(inner)] if inner is not None else [])]
    return b.reshape(b.node("Concat", parts, (2 * rows,), dtype, axis=0), (1, 2 * rows))
