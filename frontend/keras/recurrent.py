"""SimpleRNN, GRU and LSTM, both directions: one op of the IR each, time first inside, batch first outside.

Keras's gates are put in the order of the IR: LSTM i, f, g, o to i, o, f, g; those of the GRU have it already. A layer
that goes backwards gives its outputs in the order in which it made them, the last step first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import Tensor, own, permuted
from edgec.frontend.keras.wrapper import as_inner
from edgec.frontend.onnx.types import constant_op
from edgec.ops import Add, Concat, Get, Gru, Lstm, Mul, Op, Rnn, Slice

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
STATES = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2}
_ORDER = {"SimpleRNN": (0,), "GRU": (0, 1, 2), "LSTM": (0, 3, 1, 2)}
"""Where the rows of the IR's gates lie among Keras's."""
_WITH_INNER = {"SimpleRNN": (), "GRU": (0, 1), "LSTM": (0, 1, 2)}
"""The gates of the IR that have the recurrent activation; the last gate has the other one."""
ACTIVATIONS = ("sigmoid", "tanh", "relu", "hard_sigmoid", "softsign")
_FLATTER = np.float32(5 / 6)
"""Keras 3's hard sigmoid clip(x / 6 + 0.5) of x is that of the IR, clip(0.2 x + 0.5), of 5/6 x."""
_NOTHING = ("dropout", "recurrent_dropout", "unroll", "implementation", "zero_output_for_mask", "unit_forget_bias")
"""Settings for training, for speed, for masks (which are refused), and of initial weights."""


@dataclass
class Results:
    """y [T, N, H] in the order of time, whether Keras gives it backwards, and the last states [N, H]."""

    y: Op
    backwards: bool
    states: list[Op]
    sequences: bool
    with_states: bool


@imports("SimpleRNN", "GRU", "LSTM")
def recurrent(layer: Layer, xs: list[Tensor]) -> list[Tensor]:
    """The outputs [N, T, H], or the last one [N, H], then with `return_state` the last states."""
    if not xs:
        layer.malformed(f"no operands; {layer.class_name} has one")
    found = run(layer, xs[0], [state_op(layer, s) for s in xs[1:]])
    y = output(layer, found, found.backwards)
    return [y, *(own(s) for s in found.states)] if found.with_states else [y]


@imports("Bidirectional")
def bidirectional(layer: Layer, xs: list[Tensor]) -> list[Tensor]:
    """The same sequence read in both directions, the results merged step by step."""
    if not xs:
        layer.malformed(f"no operands; {layer.class_name} has one")
    modes = ("concat", "sum", "ave", "mul")
    mode = None if layer.raw("merge_mode", "concat") is None else layer.string("merge_mode", "concat", modes)
    forward, backward = layer.raw("layer"), layer.raw("backward_layer")
    half, odd = divmod(len(xs) - 1, 2)
    if odd:
        layer.malformed(f"{len(xs) - 1} initial states for two directions")
    starts = [state_op(layer, s) for s in xs[1:]]
    there = _direction(layer, forward, xs[0], starts[:half], turned=False)
    back = _direction(layer, forward if backward is None else backward, xs[0], starts[half:], turned=backward is None)
    if (there.sequences, there.with_states) != (back.sequences, back.with_states):
        layer.malformed("the two directions return different things")
    ys = [output(layer, there, there.backwards), output(layer, back, not back.backwards)]
    if mode is not None:
        ys = [own(_merged(layer, mode, ys[0].own, ys[1].own))]
    return [*ys, *(own(s) for d in (there, back) if d.with_states for s in d.states)]


def _direction(layer: Layer, described: Any, x: Tensor, starts: list[Op], *, turned: bool) -> Results:
    """One direction of a bidirectional layer; `turned`: it goes the other way than its description says."""
    inner = as_inner(layer, described)
    if inner.class_name not in GATES:
        inner.unsupported(
            f"{inner.class_name} in both directions",
            why=f"supported: {', '.join(GATES)}",
            remedy="use one of them, or cut the layer off",
        )
    found = run(inner, x, starts, turned=turned)
    inner.hand_back(layer)
    return found


def _merged(layer: Layer, mode: str, a: Op, b: Op) -> Op:
    match mode:
        case "concat":
            return Concat((a, b), len(a.shape) - 1, loc=layer.loc)
        case "mul":
            return Mul(a, b, loc=layer.loc)
        case "sum":
            return Add(a, b, loc=layer.loc)
    return Mul(Add(a, b, loc=layer.loc), layer.scalar(0.5), loc=layer.loc)


def run(layer: Layer, x: Tensor, starts: list[Op], *, turned: bool = False) -> Results:
    """The layer on x [N, T, I] from the states `starts`, zeros where there are none."""
    kind = layer.class_name
    layer.ignore(*_NOTHING)
    layer.require(
        not layer.flag("stateful"),
        "stateful=True: the state would live on from one inference to the next",
        remedy="take the state as an input (initial_state) and return it (return_state=True)",
    )
    backwards = layer.flag("go_backwards") != turned
    sequences, with_states = layer.flag("return_sequences"), layer.flag("return_state")
    units, x = layer.integer("units"), layer.one([x], 3)
    batch, steps, inputs = x.shape
    if steps < 1:
        layer.malformed("a sequence without steps")
    count = GATES[kind] * units
    w = layer.weight("kernel", inputs, count)
    r = layer.weight("recurrent kernel", units, count)
    after = kind == "GRU" and layer.flag("reset_after")
    b = np.zeros((2, count) if after else count, np.float32)
    if layer.flag("use_bias", True):
        b = layer.weight("bias", *b.shape)
    functions, factors = _activations(layer, units)
    operands = [_rows(kind, a, units) * f for a, f in ((w.T, factors[:, None]), (r.T, factors[:, None]))]
    outer, inner = (b[0] * factors, b[1] * factors) if after else (_rows(kind, b, units) * factors, None)
    if inner is not None:  # the candidate's recurrent bias stays inside its reset gate
        outer = np.concatenate([outer[: 2 * units] + inner[: 2 * units], outer[2 * units :]])
        inner = inner[2 * units :]
    if len(starts) not in (0, STATES[kind]):
        layer.malformed(f"{len(starts)} initial states; {kind} has {STATES[kind]}")
    states = starts or [constant_op(np.zeros((batch, units), np.float32), layer.loc)] * STATES[kind]
    for state in states:
        if state.shape != (batch, units):
            layer.malformed(f"an initial state {list(state.shape)}", why=f"needs {[batch, units]}")
    timed = permuted(x.own, (1, 0, 2))
    weights, recurrent_weights, bias = (layer.constant(a) for a in (*operands, outer))
    args = (timed, weights, recurrent_weights, bias, states[0])
    whole: Op
    if kind == "LSTM":
        whole = Lstm(*args, states[1], functions, backwards, loc=layer.loc)
    elif kind == "GRU":
        rb = None if inner is None else layer.constant(inner)
        whole = Gru(*args, rb, after, functions, backwards, loc=layer.loc)
    else:
        whole = Rnn(*args, functions, backwards, loc=layer.loc)
    last: list[Op] = [Get(whole, i, loc=layer.loc) for i in range(1, 1 + STATES[kind])]
    return Results(Get(whole, 0, loc=layer.loc), backwards, last, sequences, with_states)


def output(layer: Layer, found: Results, flipped: bool) -> Tensor:
    """What Keras returns: all outputs [N, T, H], backwards in time if `flipped`, or the last state [N, H]."""
    if not found.sequences:
        return own(found.states[0])
    y, (steps, *rest) = found.y, found.y.shape
    if flipped and steps > 1:
        y = Slice(y, (steps - 1, 0, 0), (-1, *rest), (-1, 1, 1), loc=layer.loc)
    return own(permuted(y, (1, 0, 2)))


def state_op(layer: Layer, state: Tensor) -> Op:
    return layer.floats(state).own


def _rows(kind: str, array: np.ndarray, units: int) -> np.ndarray:
    """The gates' rows in the order of the IR."""
    apart = array.reshape(GATES[kind], units, *array.shape[1:])
    return apart[list(_ORDER[kind])].reshape(array.shape)


def _activations(layer: Layer, units: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The functions as the IR orders them, and a factor for each row of the weights."""
    kind = layer.class_name
    factors = np.ones((GATES[kind], units), np.float32)
    of_cell = _activation(layer, "activation", "tanh")
    if layer.keras3 and of_cell == "hard_sigmoid":
        layer.require(kind != "LSTM", "hard_sigmoid of Keras 3 as the activation of an LSTM")
        factors[-1] = _FLATTER
    if kind == "SimpleRNN":
        return (of_cell,), factors.ravel()
    of_gates = _activation(layer, "recurrent_activation", "sigmoid")
    if layer.keras3 and of_gates == "hard_sigmoid":
        factors[list(_WITH_INNER[kind])] = _FLATTER
    return (of_gates, of_cell, of_cell)[: STATES[kind] + 1], factors.ravel()


def _activation(layer: Layer, setting: str, default: str) -> str:
    value = layer.raw(setting, default)
    if isinstance(value, dict) and value.get("class_name") == "function" and not value.get("registered_name"):
        value = value.get("config")
    value = "linear" if value is None else value
    if isinstance(value, str) and value in ACTIVATIONS:
        return value
    name = value.get("class_name") if isinstance(value, dict) else value
    layer.unsupported(f"{setting} {name!r:.60}", why=f"inside a recurrent layer: {', '.join(ACTIVATIONS)}")
