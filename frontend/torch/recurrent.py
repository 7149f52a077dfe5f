"""Recurrent layers: LSTM, GRU and the plain cell, any number of layers, both directions.

Every layer and direction is one op of the IR. Formulas are those of torch.nn: the GRU applies its reset gate to
W_hn h + b_hn. PyTorch's rows of the gates are put in the order of the IR: LSTM i, f, g, o to i, o, f, g; GRU r, z, n
to z, r, n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgec.frontend.onnx.types import constant_op
from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.frontend.torch.shapes import reshaped, transposed
from edgec.ops import Concat, Constant, Get, Gru, Lstm, Op, Rnn, Slice

_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
"""Where the rows of the IR's gates lie among PyTorch's."""


class Cell(NamedTuple):
    """Weights of one layer in one direction: w [G H, I], r [G H, H], biases [G H], gates in the order of the IR."""

    w: Constant
    r: Constant
    b: Constant
    rb: Constant


@imports("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(node: Node) -> tuple[Op, ...]:
    """Output [T, N, D H] (or batch first), and the last states [L D, N, H]."""
    kind = node.operator.removeprefix("aten.").removesuffix(".input")
    states = node.ops("hx") if kind == "lstm" else [node.op("hx")]
    if len(states) != (2 if kind == "lstm" else 1):
        node.malformed(f"{len(states)} states of {kind}")
    x = node.floating("input")
    layers, directions = node.integer("num_layers"), 1 + node.flag("bidirectional")
    biases, first = node.flag("has_biases"), node.flag("batch_first")
    if node.number("dropout", 0.0) > 0:
        node.not_training(node.flag("train"))
    node.ignore("train")
    single = len(x.shape) == 2
    if single:
        x = reshaped(node, x, (x.shape[0], 1, x.shape[1]))
        states = [reshaped(node, s, (s.shape[0], 1, s.shape[-1])) for s in states]
    elif len(x.shape) != 3:
        node.malformed(f"a sequence of {list(x.shape)}")
    if first and not single:
        x = transposed(node, x, (1, 0, 2))
    cells = _cells(node, kind, layers * directions, biases)
    last: list[list[Op]] = [[] for _ in states]
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            start = [_row(node, s, index) for s in states]
            whole = _layer(node, kind, cells[index], x, start, reverse=direction == 1)
            outputs.append(Get(whole, 0, loc=node.loc))
            for k, rows in enumerate(last, start=1):
                rows.append(Get(whole, k, loc=node.loc))
        x = Concat(tuple(outputs), 2, loc=node.loc) if directions == 2 else outputs[0]
    finals = [_stacked(node, rows) for rows in last]
    if single:
        x = reshaped(node, x, (x.shape[0], x.shape[2]))
        finals = [reshaped(node, f, (f.shape[0], f.shape[2])) for f in finals]
    elif first:
        x = transposed(node, x, (1, 0, 2))
    return x, *finals


def _layer(node: Node, kind: str, cell: Cell, x: Op, start: list[Op], *, reverse: bool) -> Op:
    w, r, b, rb = cell
    both = _sum(b, rb)
    if kind == "lstm":
        return Lstm(x, w, r, both, start[0], start[1], reverse=reverse, loc=node.loc)
    if kind == "gru":  # the candidate's recurrent bias stays inside its reset gate
        units = r.shape[1]
        inner = constant_op(rb.data[2 * units :].copy(), rb.loc)
        outer = np.concatenate([both.data[: 2 * units], b.data[2 * units :]])
        b = constant_op(outer, b.loc)
        return Gru(x, w, r, b, start[0], inner, True, reverse=reverse, loc=node.loc)
    return Rnn(x, w, r, both, start[0], ("relu" if "relu" in kind else "tanh",), reverse, loc=node.loc)


def _sum(b: Constant, rb: Constant) -> Constant:
    return constant_op(b.data + rb.data, tuple(dict.fromkeys(b.loc + rb.loc)))


def _cells(node: Node, kind: str, count: int, biases: bool) -> list[Cell]:
    params = [node.weights(p) for p in node.ops("params")]
    each = 4 if biases else 2
    node.require(
        len(params) != (each + 1) * count,
        "an LSTM with projections",
        remedy="train it with proj_size=0, or write the projection as a layer behind it",
    )
    if len(params) != each * count:
        node.malformed(f"{len(params)} weights for {count} cells")
    cells = []
    for k in range(count):
        parts = [_ordered(node, kind, p) for p in params[k * each : (k + 1) * each]]
        if not biases:
            zeros = constant_op(np.zeros(parts[0].shape[0], parts[0].format.dtype), node.loc)
            parts += [zeros, zeros]
        cells.append(Cell(*parts))
    return cells


def _ordered(node: Node, kind: str, op: Op) -> Constant:
    """The gates' rows in the order of the IR."""
    node.require(isinstance(op, Constant) and op.format.is_float, "weights of a recurrent layer that are not floats")
    assert isinstance(op, Constant)
    order = _ORDER.get(kind)
    if order is None:
        return op
    if not op.shape or op.shape[0] % len(order):
        node.malformed(f"{list(op.shape)} rows for {len(order)} gates")
    apart = op.data.reshape(len(order), op.shape[0] // len(order), *op.shape[1:])
    return constant_op(apart[list(order)].reshape(op.shape), op.loc)


def _row(node: Node, x: Op, index: int) -> Op:
    """x[index] of [L D, N, H]."""
    if not 0 <= index < x.shape[0]:
        node.malformed(f"state {index} of {list(x.shape)}")
    starts, stops = (index, 0, 0), (index + 1, *x.shape[1:])
    cut = x if x.shape[0] == 1 else Slice(x, starts, stops, (1, 1, 1), loc=node.loc)
    return reshaped(node, cut, x.shape[1:])


def _stacked(node: Node, rows: list[Op]) -> Op:
    apart = [reshaped(node, r, (1, *r.shape)) for r in rows]
    return Concat(tuple(apart), 0, loc=node.loc) if len(apart) > 1 else apart[0]
