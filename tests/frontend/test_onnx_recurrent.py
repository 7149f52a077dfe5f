"""LSTM, GRU and RNN: imported, run and exported again, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_support import by_onnxruntime, check_against_onnxruntime, model_of

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx import load
from edgec.interp import run
from edgec.ops import Gru, Lstm, Rnn

node = helper.make_node
STEPS, BATCH, INPUTS, UNITS = 6, 2, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OPS = {"LSTM": Lstm, "GRU": Gru, "RNN": Rnn}


def layer(
    kind: str, direction: str, *, bias: bool = True, state: bool = True, layout: int = 0, opset: int = 17, **more
):
    """A model of one layer; `state` makes the initial states inputs."""
    g = np.random.default_rng(4)
    d, rows = 2 if direction == "bidirectional" else 1, GATES[kind] * UNITS
    constants = {
        "w": g.uniform(-1, 1, (d, rows, INPUTS)).astype(np.float32),
        "r": g.uniform(-1, 1, (d, rows, UNITS)).astype(np.float32),
    }
    if bias:
        constants["b"] = g.uniform(-1, 1, (d, 2 * rows)).astype(np.float32)
    states = ("h0", "c0")[: 2 if kind == "LSTM" else 1] if state else ()
    names = ["x", "w", "r", "b" if bias else "", "", *states]
    while not names[-1]:
        names.pop()
    shape = (BATCH, d, UNITS) if layout else (d, BATCH, UNITS)
    inputs = {"x": (BATCH, STEPS, INPUTS) if layout else (STEPS, BATCH, INPUTS)} | dict.fromkeys(states, shape)
    outputs = ["y", "h", "c"][: 3 if kind == "LSTM" else 2]
    if layout:
        more["layout"] = layout
    made = node(kind, names, outputs, hidden_size=UNITS, direction=direction, name="/rnn", **more)
    return model_of([made], inputs, outputs, constants, opset=opset)


def check(model, tolerance: float = 2e-6):
    g = np.random.default_rng(5)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    frames = {n: g.normal(0, 1, (3, *s)).astype(np.float32) for n, s in shapes.items()}
    graph = load(model)
    ours, theirs = run(graph, frames), by_onnxruntime(model, frames)
    for name, wanted in theirs.items():
        assert ours[name].shape == wanted.shape
        np.testing.assert_allclose(ours[name], wanted, atol=tolerance, rtol=tolerance)
    check_against_onnxruntime(graph, frames, tolerance=2e-6)
    return graph


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", list(GATES))
def test_every_direction(kind: str, direction: str) -> None:
    graph = check(layer(kind, direction))
    assert sum(isinstance(op, OPS[kind]) for op in graph.ops) == (2 if direction == "bidirectional" else 1)
    check(layer(kind, direction, bias=False, state=False))


@pytest.mark.parametrize("opset", [7, 14, 22])
def test_opsets(opset: int) -> None:
    check(layer("LSTM", "forward", opset=opset))


@pytest.mark.parametrize("state", [False, True])
def test_gru_with_the_reset_after_the_product(state: bool) -> None:
    graph = check(layer("GRU", "bidirectional", linear_before_reset=1, state=state))
    assert all(op.rb is not None for op in graph.ops if isinstance(op, Gru))
    check(layer("GRU", "forward", linear_before_reset=1, bias=False))


def test_activations() -> None:
    check(layer("LSTM", "forward", activations=["HardSigmoid", "Softsign", "Relu"]))
    check(layer("GRU", "reverse", activations=["HardSigmoid", "Relu"]))
    check(layer("RNN", "bidirectional", activations=["Relu", "Sigmoid"]))


def test_batch_first() -> None:
    """onnxruntime has no layout 1, so it is compared with layout 0 of the same numbers."""
    for kind in GATES:
        by_batch, by_time = load(layer(kind, "bidirectional", layout=1)), load(layer(kind, "bidirectional"))
        g = np.random.default_rng(6)
        frames = {i.name: g.normal(0, 1, (2, *i.shape)).astype(np.float32) for i in by_time.inputs}
        wanted = run(by_time, frames)
        got = run(by_batch, {n: np.swapaxes(a, 1, 2).copy() for n, a in frames.items()})
        np.testing.assert_array_equal(got["y"], wanted["y"].transpose(0, 3, 1, 2, 4))
        np.testing.assert_array_equal(got["h"], wanted["h"].swapaxes(1, 2))


def test_equal_sequence_lengths_are_all_steps() -> None:
    model = layer("GRU", "forward", state=False)
    names = list(model.graph.node[0].input)
    del model.graph.node[0].input[:]
    model.graph.node[0].input.extend([*names, "lengths"])
    lengths = helper.make_tensor("lengths", TensorProto.INT32, [BATCH], [STEPS] * BATCH)
    model.graph.initializer.append(lengths)
    check(model)
    lengths.int32_data[0] = 2
    model.graph.initializer[-1].CopyFrom(lengths)
    with pytest.raises(EdgecError, match="unequal length"):
        load(model)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"clip": 1.0}, "clipping"),
        ({"input_forget": 1}, "coupled"),
        ({"activations": ["Sigmoid", "Tanh", "Elu"]}, "activation 'Elu'"),
        ({"activations": ["Sigmoid"]}, "1 activations"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]}, "activation_alpha"),
    ],
)
def test_rare_parts_are_refused_by_name(more, what: str) -> None:
    with pytest.raises(EdgecError) as caught:
        load(layer("LSTM", "forward", **more))
    found = caught.value.diagnostics[0]
    assert what in found.what and found.layer == "/rnn" and found.op == "LSTM"
