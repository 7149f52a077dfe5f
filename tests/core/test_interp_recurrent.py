"""Recurrent layers against loops over single numbers, in Python's float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from core_support import inp

from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, F64, Format
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Get, Gru, Input, Lstm, Op, Rnn, constant

STEPS, BATCH, INPUTS, UNITS = 5, 2, 3, 4
FUNCTIONS = {
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "relu": lambda v: max(v, 0.0),
    "hard_sigmoid": lambda v: min(max(0.2 * v + 0.5, 0.0), 1.0),
    "softsign": lambda v: v / (1 + abs(v)),
}


def weights(gates: int, fmt: Format, seed: int) -> list[Op]:
    g = np.random.default_rng(seed)
    return [
        constant(g.uniform(-1, 1, s), fmt) for s in ((gates * UNITS, INPUTS), (gates * UNITS, UNITS), (gates * UNITS,))
    ]


def row(op, gate: int, unit: int, x: list[float], h: list[float], *, bias: bool = True) -> float:
    """Row `unit` of `gate`: W x + R h (+ b)."""
    index = gate * UNITS + unit
    total = sum(float(op.w.data[index, k]) * x[k] for k in range(len(x)))
    total += sum(float(op.r.data[index, k]) * h[k] for k in range(len(h)))
    return total + (float(op.b.data[index]) if bias else 0.0)


def rnn_step(op: Rnn, x, h):
    return [FUNCTIONS[op.activations[0]](row(op, 0, u, x, h)) for u in range(UNITS)]


def gru_step(op: Gru, x, h):
    gate, candidate = (FUNCTIONS[a] for a in op.activations)
    z = [gate(row(op, 0, u, x, h)) for u in range(UNITS)]
    r = [gate(row(op, 1, u, x, h)) for u in range(UNITS)]
    n = []
    for u in range(UNITS):
        if op.linear_before_reset:
            inner = sum(float(op.r.data[2 * UNITS + u, k]) * h[k] for k in range(UNITS)) + float(op.rb.data[u])
            n.append(candidate(row(op, 2, u, x, []) + r[u] * inner))
        else:
            n.append(candidate(row(op, 2, u, x, [a * b for a, b in zip(r, h, strict=True)])))
    return [(1 - z[u]) * n[u] + z[u] * h[u] for u in range(UNITS)]


def lstm_step(op: Lstm, x, h, c):
    gate, cell, output = (FUNCTIONS[a] for a in op.activations)
    i, o, f = ([gate(row(op, k, u, x, h)) for u in range(UNITS)] for k in range(3))
    c = [f[u] * c[u] + i[u] * cell(row(op, 3, u, x, h)) for u in range(UNITS)]
    return [o[u] * output(c[u]) for u in range(UNITS)], c


def expected(op, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
    y = np.zeros((STEPS, BATCH, UNITS))
    last, cells = h.astype(np.float64), c.astype(np.float64)
    for n in range(BATCH):
        state, memory = [float(v) for v in h[n]], [float(v) for v in c[n]]
        for t in reversed(range(STEPS)) if op.reverse else range(STEPS):
            values = [float(v) for v in x[t, n]]
            if isinstance(op, Lstm):
                state, memory = lstm_step(op, values, state, memory)
            else:
                state = (gru_step if isinstance(op, Gru) else rnn_step)(op, values, state)
            y[t, n] = state
        last[n], cells[n] = state, memory
    return [y, last, cells]


def build(kind: str, fmt: Format, reverse: bool, seed: int) -> Op:
    x, h = inp(fmt, STEPS, BATCH, INPUTS), inp(fmt, BATCH, UNITS, name="h")
    match kind:
        case "rnn":
            return Rnn(x, *weights(1, fmt, seed), h, ("relu",) if reverse else ("tanh",), reverse)
        case "gru":
            return Gru(x, *weights(3, fmt, seed), h, None, False, ("sigmoid", "tanh"), reverse)
        case "gru-after":
            rb = constant(np.random.default_rng(seed).uniform(-1, 1, UNITS), fmt)
            return Gru(x, *weights(3, fmt, seed), h, rb, True, ("hard_sigmoid", "softsign"), reverse)
    c = inp(fmt, BATCH, UNITS, name="c")
    gates = ("hard_sigmoid", "softsign", "relu") if reverse else ("sigmoid", "tanh", "tanh")
    return Lstm(x, *weights(4, fmt, seed), h, c, gates, reverse)


@pytest.mark.parametrize("kind", ["rnn", "gru", "gru-after", "lstm"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("fmt", "tolerance"), [(F64, 1e-12), (F32, 2e-6), (F16, 4e-3)], ids=["f64", "f32", "f16"])
def test_equals_a_loop_over_numbers(kind: str, reverse: bool, fmt: Format, tolerance: float) -> None:
    op = build(kind, fmt, reverse, 5)
    results = len(op.type.elements)  # type: ignore[union-attr]
    inputs = tuple(o for o in op.operands if isinstance(o, Input))
    graph = Graph("g", inputs, tuple((f"r{i}", Get(op, i)) for i in range(results)))
    g = np.random.default_rng(1)
    frames = {i.name: g.normal(0, 1, (3, *i.shape)).astype(fmt.dtype) for i in graph.inputs}
    ours = run(graph, frames)
    for f in range(3):
        x = next(a for n, a in frames.items() if n not in ("h", "c"))[f]
        h = frames["h"][f]
        wanted = expected(op, x, h, frames["c"][f] if "c" in frames else np.zeros_like(h))
        for i in range(results):
            np.testing.assert_allclose(ours[f"r{i}"][f], wanted[i], atol=tolerance, rtol=tolerance)


def test_the_state_carries_on() -> None:
    """Two halves of a sequence, the state handed over, give the whole."""
    op = build("lstm", F64, False, 7)
    assert isinstance(op, Lstm)
    g = np.random.default_rng(2)
    first = Lstm(inp(F64, 3, BATCH, INPUTS), op.w, op.r, op.b, op.h, op.c)
    second = Lstm(inp(F64, 2, BATCH, INPUTS), op.w, op.r, op.b, op.h, op.c)
    x = g.normal(0, 1, (1, STEPS, BATCH, INPUTS))
    state = {"h": np.zeros((1, BATCH, UNITS)), "c": np.zeros((1, BATCH, UNITS))}

    def all_of(layer: Op, data: np.ndarray, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = tuple(o for o in layer.operands if isinstance(o, Input))
        graph = Graph("g", inputs, tuple((n, Get(layer, i)) for i, n in enumerate(("y", "h", "c"))))
        return run(graph, {graph.inputs[0].name: data} | given)

    whole = all_of(op, x, state)
    head = all_of(first, x[:, :3], state)
    tail = all_of(second, x[:, 3:], {"h": head["h"], "c": head["c"]})
    np.testing.assert_array_equal(np.concatenate([head["y"], tail["y"]], axis=1), whole["y"])
    np.testing.assert_array_equal(tail["c"], whole["c"])


def test_what_does_not_fit_is_refused() -> None:
    x, h = inp(F32, STEPS, BATCH, INPUTS), inp(F32, BATCH, UNITS, name="h")
    w, r, b = weights(3, F32, 0)
    for bad in (
        lambda: Gru(h, w, r, b, h),
        lambda: Gru(x, w, r, b, inp(F32, BATCH, 3)),
        lambda: Gru(x, w, r, constant(np.zeros(UNITS)), h),
        lambda: Gru(x, w, w, b, h),
        lambda: Gru(x, w, r, b, h, constant(np.zeros(UNITS))),
        lambda: Gru(x, w, r, b, h, None, True),
        lambda: Gru(x, w, r, b, h, activations=("sigmoid",)),
        lambda: Gru(x, w, r, b, h, activations=("sigmoid", "exp")),
        lambda: Rnn(x, w, r, b, h),
        lambda: Lstm(x, w, r, b, h, h),
        lambda: Gru(inp(F16, STEPS, BATCH, INPUTS), w, r, b, h),
    ):
        with pytest.raises(EdgecError) as caught:
            bad()
        assert caught.value.diagnostics[0].code == "E0102"
