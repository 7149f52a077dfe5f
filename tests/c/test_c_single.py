"""Functions in single precision: their errors, and where they are not used."""

from __future__ import annotations

import numpy as np
import pytest
from c_support import HOST, const, graph_of, inp
from test_c_arm_float import source

from edgec.backends.c import plan
from edgec.backends.c.design import BuildPlan
from edgec.backends.c.single import CALLS
from edgec.formats import F16, F32, F64, Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import run
from edgec.ops import Binary, Get, Gru, Lstm, Mul, Op, Quantize, Rnn, Softmax, Unary

S8 = Integer(8)


def made_of(graph: Graph, functions: str = "single") -> BuildPlan:
    return plan(graph, HOST, {"name": "t", "functions": functions})


def outputs(graph: Graph, x: np.ndarray, made: BuildPlan | None = None) -> list[np.ndarray]:
    """What C code makes of one frame."""
    result = run_plan(made or made_of(graph), {"x": x[None]})
    return [np.asarray(result.outputs[name])[0] for name, _ in graph.outputs]


def exact(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    return [made[0] for made in run(graph, {"x": x[None]}).values()]


def spread(count: int) -> np.ndarray:
    """Numbers of all magnitudes, near zero and far, with what is special."""
    rng = np.random.default_rng(1)
    sign = rng.choice([-1.0, 1.0], count)
    wide = sign * np.exp(rng.uniform(np.log(1e-42), np.log(3e38), count))
    near = rng.normal(0, 3, count)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 88.7, 88.8, -87.4, -103.9, -104.1, 0.625, 0.96875, 4.0]
    return np.concatenate([wide, near, special]).astype(np.float32)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_errors_are_two_units_in_the_last_place(name: str) -> None:
    x = spread(4000)
    graph = graph_of(Unary(inp(F32, len(x), name="x"), name))
    made = made_of(graph)
    assert "_f32(" in source(made) and " exp(" not in source(made)
    (found,) = outputs(graph, x, made)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        (wanted,) = exact(graph, x)
        wanted = wanted.astype(np.float64)
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    usual = np.isfinite(wanted)
    assert np.array_equal(found[~usual & ~np.isnan(found)], wanted[~usual & ~np.isnan(wanted)])
    unit = np.spacing(np.abs(wanted[usual]).astype(np.float32)).astype(np.float64)
    if name.startswith("gelu"):  # the difference from x or from zero counts
        unit = np.maximum(unit, 2**-24 * np.abs(x[usual]))
    elif name in ("tanh", "erf"):
        unit = np.maximum(unit, 2**-24 * np.minimum(1, np.abs(x[usual])))
    assert (np.abs(found[usual] - wanted[usual]) <= 3 * unit).all()


def test_softmax() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 10, (3, 5, 70)).astype(np.float32)
    inner, outer = (Softmax(inp(F32, *x.shape, name="x"), axis) for axis in (-1, 1))
    for op in (inner, outer):
        graph = graph_of(op)
        made = made_of(graph)
        assert "t_exp_f32(" in source(made)
        (wanted,) = exact(graph, x)
        np.testing.assert_allclose(outputs(graph, x, made)[0], wanted, rtol=5e-6, atol=1e-12)


def test_recurrent_layers_call_them() -> None:
    rng = np.random.default_rng(3)
    x = inp(F32, 3, 1, 6, name="x")

    def weights(gates: int) -> list[Op]:
        return [const(F32, rng.uniform(-1, 1, shape)) for shape in ((gates * 4, 6), (gates * 4, 4), (gates * 4,))]

    h = const(F32, rng.uniform(-1, 1, (1, 4)))
    layers = [Rnn(x, *weights(1), h), Gru(x, *weights(3), h), Lstm(x, *weights(4), h, h)]
    graph = graph_of(*(Get(layer, 0) for layer in layers))
    made = made_of(graph)
    assert "exp(" not in source(made).replace("_exp_f32(", "")
    frame = rng.uniform(-2, 2, (3, 1, 6)).astype(np.float32)
    for found, wanted in zip(outputs(graph, frame, made), exact(graph, frame), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def into(x: Op, consumer: str) -> Op:
    if consumer == "codes":
        return Quantize(x, Quantizer(Affine(S8, (1 / 256,), (-128,)), "half_even", "saturate"))
    return Binary(x, const(F32, np.array([0.5])), "less")


@pytest.mark.parametrize("consumer", ["codes", "comparison"])
def test_double_precision_where_an_integer_depends_on_it(consumer: str) -> None:
    """And then the codes are those of the interpreter, also when other floats lie between."""
    x = inp(F32, 4096, name="x")
    graph = graph_of(
        into(Mul(Unary(x, "sigmoid"), const(F32, np.array([0.99]))), consumer), Softmax(Unary(x, "tanh"), 0)
    )
    made = made_of(graph)
    text = source(made)
    assert " exp(-fabs(" in text and "t_tanh_f32(" in text and "tanh(" not in text.replace("t_tanh_f32(", "")
    frame = np.random.default_rng(4).normal(0, 2, 4096).astype(np.float32)
    result = run_plan(made, {"x": frame[None]})
    name = graph.outputs[0][0]
    assert np.array_equal(result.outputs[name][0], exact(graph, frame)[0])


def test_double_precision_where_the_option_or_the_format_says_so() -> None:
    x = inp(F32, 64, name="x")
    graph = graph_of(Unary(x, "tanh"), Softmax(x, 0))
    assert "_f32(" not in source(made_of(graph, "double"))
    for fmt in (F16, F64):
        assert "_f32(" not in source(made_of(graph_of(Unary(inp(fmt, 64, name="x"), "tanh"))))
    frame = np.linspace(-3, 3, 64, dtype=np.float32)
    for found, wanted in zip(outputs(graph, frame, made_of(graph, "double")), exact(graph, frame), strict=True):
        np.testing.assert_array_equal(found, wanted)
