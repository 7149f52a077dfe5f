"""LSTM, GRU and RNN: one op a direction, the results joined as ONNX lays them out.

Rare parts are refused by name: peepholes, clipping, coupled gates, sequences of unequal length, activations with
parameters of their own.
"""

from __future__ import annotations

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op
from edgec.ops import Add, Concat, Constant, Get, Gru, Lstm, Op, Reshape, Rnn, Slice, Transpose

_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_ACTIVATIONS = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "hardsigmoid": "hard_sigmoid",
    "softsign": "softsign",
}


@imports("LSTM", "GRU", "RNN")
def recurrent(node: Node) -> tuple[Op, ...]:
    """Y [T, D, N, H] and the last states [D, N, H]; with layout 1 the sequences come first."""
    kind, opset14 = node.op_type, node.opset >= 14
    direction = node.string("direction", "forward", ("forward", "reverse", "bidirectional"))
    batch_first = opset14 and node.flag("layout")
    backward = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    activations = _activations(node, len(backward))
    node.require("clip" not in node.attributes, "clipping inside a recurrent layer")
    node.require(kind != "LSTM" or not node.flag("input_forget"), "coupled input and forget gates")
    node.require(not node.has(7) or not node.known(7, "peepholes").any(), "peephole connections")
    node.ignore("output_sequence")  # of opset 1: which results are made, which their readers decide
    after = kind == "GRU" and node.flag("linear_before_reset")
    x, w, r = node.floating(0), node.floating(1), node.floating(2)
    if len(x.shape) != 3 or len(w.shape) != 3 or len(r.shape) != 3:
        node.malformed(f"{kind} of {list(x.shape)} with weights {list(w.shape)} and {list(r.shape)}")
    if batch_first:
        x = Transpose(x, (1, 0, 2), loc=node.loc)
    steps, batch, units = x.shape[0], x.shape[1], r.shape[2]
    if node.integer("hidden_size", units) != units or w.shape[0] != len(backward):
        node.malformed(f"hidden_size or direction do not fit weights {list(r.shape)}")
    if node.has(4) and any(n != steps for n in node.known_ints(4, "sequence lengths")):
        node.unsupported("sequences of unequal length", remedy="give every sequence all steps")

    def state(index: int, d: int) -> Op:
        if not node.has(index):
            return constant_op(np.zeros((batch, units), x.format.dtype), node.loc)
        return _part(node, node.floating(index), d, 1 if batch_first else 0)

    layers: list[Op] = []
    for d, reverse in enumerate(backward):
        gates = activations[d]
        bias, inner = _biases(node, d, units, after)
        parts = (x, _part(node, w, d), _part(node, r, d), bias, state(5, d))
        if kind == "LSTM":
            layers.append(Lstm(*parts, state(6, d), gates, reverse, loc=node.loc))
        elif kind == "GRU":
            layers.append(Gru(*parts, inner, after, gates, reverse, loc=node.loc))
        else:
            layers.append(Rnn(*parts, gates, reverse, loc=node.loc))
    y = _joined(node, [Get(layer, 0, loc=node.loc) for layer in layers], 1)
    results = [Transpose(y, (2, 0, 1, 3), loc=node.loc) if batch_first else y]
    for index in range(1, 3 if kind == "LSTM" else 2):
        last = _joined(node, [Get(layer, index, loc=node.loc) for layer in layers], 0)
        results.append(Transpose(last, (1, 0, 2), loc=node.loc) if batch_first else last)
    return tuple(results)


def _activations(node: Node, directions: int) -> list[tuple[str, ...]]:
    """The functions of each direction; parameters other than the standard ones are refused."""
    default = _DEFAULTS[node.op_type]
    names = node.strings("activations") or default * directions
    if len(names) != len(default) * directions:
        node.malformed(f"{len(names)} activations for {directions} directions")
    for attribute, usual in (("activation_alpha", 0.2), ("activation_beta", 0.5)):
        if any(v != np.float32(usual) for v in node.floats(attribute) or ()):
            node.unsupported(f"{attribute} other than {usual}")
    for name in names:
        node.require(name.lower() in _ACTIVATIONS, f"activation {name!r} in a recurrent layer")
    known = [_ACTIVATIONS[n.lower()] for n in names]
    return [tuple(known[d * len(default) : (d + 1) * len(default)]) for d in range(directions)]


def _part(node: Node, op: Op, index: int, axis: int = 0) -> Op:
    """Element `index` of `op` along `axis`, the axis dropped."""
    if index >= op.shape[axis]:
        node.malformed(f"no direction {index} in {list(op.shape)}")
    rest = (*op.shape[:axis], *op.shape[axis + 1 :])
    if op.shape[axis] > 1:
        op = _cut(op, axis, index, index + 1, node)
    return moved(Reshape(op, rest, loc=op.loc or node.loc))


def _cut(op: Op, axis: int, start: int, stop: int, node: Node) -> Op:
    starts, stops = [0] * len(op.shape), list(op.shape)
    starts[axis], stops[axis] = start, stop
    return moved(Slice(op, tuple(starts), tuple(stops), (1,) * len(starts), loc=op.loc or node.loc))


def _biases(node: Node, d: int, units: int, after: bool) -> tuple[Op, Op | None]:
    """The biases of input and recurrence added, and for `linear_before_reset` that of the candidate's recurrence."""
    rows = _GATES[node.op_type] * units
    if not node.has(3):
        zeros = np.zeros(rows, node.floating(0).format.dtype)
        return constant_op(zeros, node.loc), constant_op(zeros[:units].copy(), node.loc) if after else None
    both = _part(node, node.floating(3), d)
    if both.shape != (2 * rows,):
        node.malformed(f"biases {list(both.shape)} for {rows} rows of weights")
    outer, inner = _cut(both, 0, 0, rows, node), _cut(both, 0, rows, 2 * rows, node)
    if not after:
        return _added(node, outer, inner), None
    kept = rows - units
    gates = _added(node, _cut(outer, 0, 0, kept, node), _cut(inner, 0, 0, kept, node))
    return moved(Concat((gates, _cut(outer, 0, kept, rows, node)), 0, loc=both.loc)), _cut(inner, 0, kept, rows, node)


def _added(node: Node, x: Op, y: Op) -> Op:
    if isinstance(x, Constant) and isinstance(y, Constant):
        return constant_op(x.data + y.data, x.loc)
    return Add(x, y, loc=node.loc)


def _joined(node: Node, parts: list[Op], axis: int) -> Op:
    """One tensor a direction, stacked along a new `axis`."""
    shape = parts[0].shape
    stacked = [Reshape(p, (*shape[:axis], 1, *shape[axis:]), loc=node.loc) for p in parts]
    return stacked[0] if len(stacked) == 1 else Concat(tuple(stacked), axis, loc=node.loc)
