"""Recurrent layers, unrolled in time: LSTM, GRU and the plain cell, any number of layers, both directions.

The products with the input of all steps are one dense layer; each step then adds that of the state. Gate order and
formulas are those of torch.nn: LSTM i, f, g, o; GRU r, z, n with the reset gate applied to W_hn h + b_hn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.frontend.torch.shapes import reshaped, transposed
from edgec.ops import Add, Concat, Dense, Mul, Op, Slice, Sub, Unary

MAX_STEPS = 512
"""Steps of all layers and directions together that are unrolled; each is about fifteen ops."""


class Cell(NamedTuple):
    """Weights of one layer in one direction: w_ih [G H, I], w_hh [G H, H], biases [G H] or None, w_hr [P, H]."""

    w_ih: Op
    w_hh: Op
    b_ih: Op | None
    b_hh: Op | None
    w_hr: Op | None


State = tuple[Op, ...]
Step = Callable[[Node, Cell, Op, State], State]


def _function(node: Node, x: Op, name: str) -> Op:
    return Unary(x, name, loc=node.loc)


def _gate(node: Node, x: Op, index: int, count: int) -> Op:
    size = x.shape[-1] // count
    return Slice(x, (0, index * size), (x.shape[0], (index + 1) * size), (1, 1), loc=node.loc)


def _lstm(node: Node, cell: Cell, x: Op, state: State) -> State:
    h, c = state
    gates = Add(x, Dense(h, cell.w_hh, cell.b_hh, loc=node.loc), loc=node.loc)
    i, f, g, o = (_gate(node, gates, k, 4) for k in range(4))
    kept = Mul(_function(node, f, "sigmoid"), c, loc=node.loc)
    new = Mul(_function(node, i, "sigmoid"), _function(node, g, "tanh"), loc=node.loc)
    c = Add(kept, new, loc=node.loc)
    h = Mul(_function(node, o, "sigmoid"), _function(node, c, "tanh"), loc=node.loc)
    return (h if cell.w_hr is None else Dense(h, cell.w_hr, loc=node.loc)), c


def _gru(node: Node, cell: Cell, x: Op, state: State) -> State:
    (h,) = state
    own = Dense(h, cell.w_hh, cell.b_hh, loc=node.loc)
    r, z = (
        _function(node, Add(_gate(node, x, k, 3), _gate(node, own, k, 3), loc=node.loc), "sigmoid") for k in range(2)
    )
    n = Add(_gate(node, x, 2, 3), Mul(r, _gate(node, own, 2, 3), loc=node.loc), loc=node.loc)
    n = _function(node, n, "tanh")
    # (1 - z) n + z h = n + z (h - n)
    return (Add(n, Mul(z, Sub(h, n, loc=node.loc), loc=node.loc), loc=node.loc),)


def _plain(function: str) -> Step:
    def step(node: Node, cell: Cell, x: Op, state: State) -> State:
        total = Add(x, Dense(state[0], cell.w_hh, cell.b_hh, loc=node.loc), loc=node.loc)
        if function == "relu":
            from edgec.ops import Relu

            return (Relu(total, loc=node.loc),)
        return (_function(node, total, "tanh"),)

    return step


@imports("lstm.input")
def lstm(node: Node) -> tuple[Op, ...]:
    states = node.ops("hx")
    if len(states) != 2:
        node.malformed(f"{len(states)} states of an LSTM")
    return _layers(node, _lstm, states)


@imports("gru.input")
def gru(node: Node) -> tuple[Op, ...]:
    return _layers(node, _gru, [node.op("hx")])


@imports("rnn_tanh.input", "rnn_relu.input")
def rnn(node: Node) -> tuple[Op, ...]:
    return _layers(node, _plain("relu" if "relu" in node.operator else "tanh"), [node.op("hx")])


def _layers(node: Node, step: Step, states: list[Op]) -> tuple[Op, ...]:
    """Output [T, N, D H] (or batch first), and the last states [L D, N, H]."""
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
    steps = x.shape[0]
    total = steps * layers * directions
    node.require(
        0 < total <= MAX_STEPS,
        f"{total} steps of a recurrent layer",
        why=f"{layers} layers, {directions} directions, {steps} steps; at most {MAX_STEPS} are unrolled",
        remedy="export one step with the state as input and output",
    )
    cells = _cells(node, layers * directions, biases)
    last: list[list[Op]] = [[] for _ in states]
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            start = tuple(_row(node, s, index) for s in states)
            sequence, end = _run(node, step, cells[index], x, start, backwards=direction == 1)
            outputs.append(sequence)
            for place, value in zip(last, end, strict=True):
                place.append(value)
        x = Concat(tuple(outputs), 2, loc=node.loc) if directions == 2 else outputs[0]
    finals = [_stacked(node, rows) for rows in last]
    if single:
        x = reshaped(node, x, (x.shape[0], x.shape[2]))
        finals = [reshaped(node, f, (f.shape[0], f.shape[2])) for f in finals]
    elif first:
        x = transposed(node, x, (1, 0, 2))
    return x, *finals


def _cells(node: Node, count: int, biases: bool) -> list[Cell]:
    params = [node.weights(p) for p in node.ops("params")]
    plain = 4 if biases else 2
    if len(params) not in (plain * count, (plain + 1) * count):
        node.malformed(f"{len(params)} weights for {count} cells")
    each = len(params) // count
    cells = []
    for k in range(count):
        w_ih, w_hh, *rest = params[k * each : (k + 1) * each]
        b_ih, b_hh = rest[:2] if biases else (None, None)
        cells.append(Cell(w_ih, w_hh, b_ih, b_hh, rest[-1] if each > plain else None))
    return cells


def _run(node: Node, step: Step, cell: Cell, x: Op, state: State, *, backwards: bool) -> tuple[Op, State]:
    """All steps of one cell over x [T, N, I]: outputs [T, N, H] in the order of time, and the last state."""
    inputs = Dense(x, cell.w_ih, cell.b_ih, loc=node.loc)
    rows: list[Op] = []
    order = range(x.shape[0])
    for t in reversed(order) if backwards else order:
        state = step(node, cell, _row(node, inputs, t), state)
        rows.append(state[0])
    return _stacked(node, rows[::-1] if backwards else rows), state


def _row(node: Node, x: Op, index: int) -> Op:
    """x[index] of [T, N, K]."""
    if not 0 <= index < x.shape[0]:
        node.malformed(f"state {index} of {list(x.shape)}")
    starts, stops = (index, 0, 0), (index + 1, *x.shape[1:])
    cut = x if x.shape[0] == 1 else Slice(x, starts, stops, (1, 1, 1), loc=node.loc)
    return reshaped(node, cut, x.shape[1:])


def _stacked(node: Node, rows: list[Op]) -> Op:
    apart = [reshaped(node, r, (1, *r.shape)) for r in rows]
    return Concat(tuple(apart), 0, loc=node.loc) if len(apart) > 1 else apart[0]
