"""Ops with several results, computed parameters and indices, tensors without elements: shapes that drawn nets lack."""

from __future__ import annotations

import numpy as np
import pytest
from c_support import HOST, check, const, drawn, graph_of, inp

from edgec.backends.c import plan
from edgec.formats import F16, F32, F64, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Minifloat, Pow2
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import run
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Concat,
    Constant,
    Conv,
    Cumulate,
    Dense,
    Gather,
    Get,
    Gru,
    Input,
    Lstm,
    Lut,
    Mul,
    Normalize,
    Op,
    Quantize,
    Reduce,
    Relu,
    Reshape,
    Rnn,
    Scatter,
    Slice,
    Split,
    Sub,
    Take,
    TopK,
    Transpose,
    Unary,
    integers,
)

SANITIZE = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def run_on(graph: Graph, **codes: np.ndarray) -> None:
    """C equals the interpreter on these frames, bit for bit but for NaN, under sanitizers."""
    found = run_plan(plan(graph, HOST, {"name": "t"}), codes, flags=SANITIZE).outputs
    for name, wanted in run(graph, codes).items():
        assert np.array_equal(
            found[name], np.broadcast_to(wanted, found[name].shape), equal_nan=wanted.dtype.kind == "f"
        )


def layer(kind: str, fmt: Format, seed: int = 0) -> Op:
    """A recurrent layer of 5 steps, 2 sequences, 3 inputs, 4 units with constant weights."""
    g = np.random.default_rng(seed)
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    x, h = inp(fmt, 5, 2, 3), inp(fmt, 2, 4, name="h")
    w = [const(fmt, g.uniform(-1, 1, s)) for s in ((4 * gates, 3), (4 * gates, 4), (4 * gates,))]
    if kind == "lstm":
        return Lstm(x, *w, h, h)
    return Rnn(x, *w, h) if kind == "rnn" else Gru(x, *w, h)


@pytest.mark.parametrize("fmt", [F32, F64, F16], ids=str)
def test_any_of_the_results_of_a_recurrent_layer(fmt: Format) -> None:
    outputs: list[Op] = []
    for k, kind in enumerate(("rnn", "gru", "lstm")):
        one, two, three = (layer(kind, fmt, s) for s in (k, k + 1, k + 2))
        outputs += [Get(one, 1), Get(one, 1), Relu(Get(two, 0)), Get(three, 0), Transpose(Get(three, 1), (1, 0))]
    shared = {i.name: i for op in outputs for i in _inputs(op)}
    merged = [_with(op, shared) for op in outputs]
    check(graph_of(*merged), tolerance=2e-3 if fmt is F16 else 1e-5)


def _inputs(op: Op) -> list[Input]:
    return [op] if isinstance(op, Input) else [i for o in op.operands for i in _inputs(o)]


def _with(op: Op, inputs: dict[str, Input]) -> Op:
    return inputs[op.name] if isinstance(op, Input) else op.with_operands([_with(o, inputs) for o in op.operands])


def test_a_state_kept_between_steps_of_a_stacked_layer() -> None:
    g = np.random.default_rng(1)
    first = layer("lstm", F32)
    w = [const(F32, g.uniform(-1, 1, s)) for s in ((16, 4), (16, 4), (16,))]
    second = Lstm(Get(first, 0), *w, Get(first, 1), Get(first, 2), reverse=True)
    check(graph_of(Concat((Get(first, 0), Get(second, 0)), 2), Get(second, 2)), flags=SANITIZE)


def test_computed_weights_and_parameters() -> None:
    x, w, b = inp(F32, 1, 4, 6, 6), inp(F32, 6, 2, 3, 3, name="w"), inp(F32, 6, name="b")
    four = [inp(F32, 4, name=n) for n in ("s", "t", "m", "v")]
    positive = Unary(four[3], "exp")
    outputs = [Conv(x, w, b, (2, 1), (1, 0, 1, 2), (1, 1), 2), BatchNorm(x, four[0], four[1], four[2], positive)]
    outputs += [Dense(inp(F32, 3, 100, name="y"), inp(F32, 6, 100, name="u"), b), Normalize(x, b, b)]
    check(graph_of(*outputs), frames=1)
    x8 = inp(Affine(Integer(8), (0.1,), (3,)), 1, 4, 6, 6)
    w8 = inp(Affine(Integer(8), (0.1,), (-2,)), 6, 4, 3, 3, name="w")
    to = Quantizer(Fixed(8, 2), "half_up", "wrap")
    q, v = inp(Fixed(8, 3), 3, 5, name="q"), inp(Fixed(6, 1), 2, 5, name="v")
    check(graph_of(Conv(x8, w8, None), Dense(q, v, None, to, None, to)), frames=1)


def test_constants_with_zero_points() -> None:
    rng = np.random.default_rng(0)
    fmt = Affine(Integer(8, False), (0.5,), (77,))
    x = inp(fmt, 1, 3, 5, 5)
    per_channel = Affine(Integer(8), (0.5, 0.25), (5, -7), 0)
    outputs = [Add(x, drawn(rng, fmt, 3, 1, 1)), Conv(x, drawn(rng, fmt, 2, 3, 2, 2), None)]
    outputs += [Conv(x, drawn(rng, per_channel, 2, 3, 2, 2), None, pads=(1, 1, 1, 1))]
    outputs += [Lut(inp(Integer(8), 9, name="c"), drawn(rng, fmt, 256))]
    check(graph_of(*outputs))


def test_a_result_that_is_used_twice_by_one_op_and_by_another_is_stored() -> None:
    x = inp(F32, 2, 3, 8)
    mean = Reduce(x, "mean", (2,))
    spread = Sub(Reduce(Mul(x, x), "mean", (2,)), Mul(mean, mean))
    check(graph_of(Binary(Sub(x, mean), Unary(spread, "sqrt"), "div")))


def test_no_index_reaches_outside() -> None:
    wide = Integer(64)
    x, index = inp(Fixed(8, 3), 4, 3), inp(wide, 6, name="i")
    updates = inp(Fixed(8, 3), 6, 3, name="u")
    table = drawn(np.random.default_rng(0), Fixed(8, 3), 5, 2)
    graph = graph_of(Take(x, index, 1), Take(table, index), Scatter(x, index, updates))
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    rng = np.random.default_rng(1)
    run_on(
        graph,
        x=rng.integers(-128, 128, (2, 4, 3)).astype(np.int8),
        i=np.array([[0, -1, 3, low, high, -3], [4, -4, -5, 2, 2, 1]]),
        u=rng.integers(-128, 128, (2, 6, 3)).astype(np.int8),
    )


def test_every_reduction_of_scatter() -> None:
    for fmt in (F32, Integer(8), Integer(8, False), Integer(64)):
        x, updates, index = inp(fmt, 4, 2), inp(fmt, 5, 2, name="u"), inp(Integer(4), 5, name="i")
        names = ("none", "add", "max", "min") + (("mul",) if fmt is F32 else ())
        check(graph_of(*(Scatter(x, index, updates, n) for n in names)))


def test_top_k_with_ties_and_nan() -> None:
    x, q = inp(F32, 2, 7), inp(Integer(8), 7, 2, name="q")
    tops = [TopK(x, 4), TopK(x, 7, 1, False), TopK(q, 3, 0), TopK(x, 0)]
    values = np.array([[[1, np.nan, 2, 2, -np.inf, np.nan, 0], [0, -0.0, 5, np.inf, 5, 1, np.inf]]], np.float32)
    ties = np.random.default_rng(0).integers(-2, 3, (1, 7, 2)).astype(np.int8)
    run_on(graph_of(*(Get(t, i) for t in tops for i in (0, 1))), x=values, q=ties)


def test_integers_of_64_bits_wrap() -> None:
    names = ("div", "mod", "floor_mod", "bit_and", "bit_or", "bit_xor", "shift_left", "shift_right", "max", "less")
    for fmt in (Integer(64), Integer(32), Integer(8), Integer(16, False)):
        x, y = inp(fmt, 64), inp(fmt, 64, name="y")
        wrap = Quantizer(fmt, "floor", "wrap")
        sums = [Add(x, y, wrap), Sub(x, y, wrap), Mul(x, y, wrap), Cumulate(x, 0, "sum", out=wrap)]
        lo, hi = fmt.code_range
        rng = np.random.default_rng(0)
        a = rng.integers(lo, hi, (3, 64), fmt.dtype, endpoint=True)
        b = rng.integers(lo, hi, (3, 64), fmt.dtype, endpoint=True)
        a[0, :8], b[0, :8] = [lo, lo, hi, 0, 5, hi, lo, 7], [0, hi, 0, 0, 3, hi, lo, 2]
        if lo:
            a[1, :2], b[1, :32] = lo, -1
        b[2] = np.arange(64) if fmt.bits > 8 else np.arange(64) % 9
        run_on(graph_of(*sums, *(Binary(x, y, n) for n in names)), x=a, y=b)


def test_floats_into_tables_and_wrapping_formats() -> None:
    x = inp(F32, 600)
    formats = [Minifloat(2, 1), Minifloat(4, 3), Pow2(4)]
    outputs: list[Op] = [Quantize(x, Quantizer(f)) for f in formats]
    outputs += [Quantize(x, Quantizer(Integer(n), "trunc", "wrap")) for n in (4, 32, 64)]
    outputs += [
        Gather(outputs[0], (5, 7, 5), 0),
        Quantize(x, Quantizer(Affine(Integer(8), (0.5,), (3,)), "floor", "wrap")),
    ]
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((2, 600)) * 2.0 ** rng.integers(-8, 9, (2, 600))).astype(np.float32)
    values[0, :8] = [np.nan, np.inf, -np.inf, 0, -0.0, 1e30, -3e38, 0.25]
    run_on(graph_of(*outputs), x=values)


def test_tensors_without_elements() -> None:
    x = inp(F32, 0, 3)
    full = inp(F32, 2, 3, name="f")
    empty = Slice(full, (0, 0), (0, 3), (1, 1))
    outputs = [Relu(x), Concat((full, x), 0), Reduce(x, "sum", (0,)), Concat((empty, Unary(x, "exp")), 0)]
    outputs += [
        Reshape(x, (3, 0)),
        Get(Split(full, (0, 2), 0), 0),
        Take(full, Constant(np.zeros(0, np.int8), type=TensorType(Integer(8), (0,)))),
    ]
    made = plan(graph_of(*outputs), HOST, {"name": "t"})
    codes = {"x": np.zeros((2, 0, 3), np.float32), "f": np.ones((2, 2, 3), np.float32)}
    found = run_plan(made, codes, flags=SANITIZE).outputs
    for name, wanted in run(graph_of(*outputs), codes).items():
        assert np.array_equal(found[name], wanted)


def test_an_input_that_nothing_reads() -> None:
    check(Graph("t", (inp(F32, 3), inp(F32, 2, name="unread")), (("k", integers([1, 2])),)), frames=2)
