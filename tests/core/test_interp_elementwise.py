"""Elementwise ops: exact on integers of any two formats, and float functions against their definitions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from core_support import affines, codes, fixeds, inp, integers, quantize_exact, quantizers
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, Affine, Fixed, Format, Integer, Quantizer
from edgec.formats_compressed import Binary as BinaryFormat
from edgec.formats_compressed import Minifloat, Pow2, Ternary
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    BOOL,
    Add,
    BatchNorm,
    Binary,
    Clip,
    Mul,
    Normalize,
    Op,
    PRelu,
    Relu,
    Softmax,
    Sub,
    Unary,
    Where,
    constant,
)
from edgec.ops.elementwise import BINARY_FUNCTIONS, UNARY_FUNCTIONS

dyadic: st.SearchStrategy[Format] = st.one_of(
    fixeds(1, 10),
    integers(1, 10),
    *map(st.just, (BinaryFormat(), Ternary(), Pow2(3), Minifloat(2, 2))),
    st.builds(lambda z: Affine(Integer(6, False), (0.5,), (z,)), st.integers(0, 63)),
)


def run2(op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = op.operands
    found = run(Graph("g", (a, b), (("r", op),)), {"x": x, "y": y})["r"]  # type: ignore[arg-type]
    op.format.check(found)
    return found


@given(
    st.sampled_from([Add, Sub, Mul]),
    dyadic,
    dyadic,
    st.one_of(st.none(), quantizers()),
    st.sampled_from([((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 1)), ((), (2, 3))]),
    st.integers(0, 2**32 - 1),
)
def test_integer_arithmetic(
    op_class: type, xf: Format, yf: Format, out: Quantizer | None, shapes: tuple, seed: int
) -> None:
    g = np.random.default_rng(seed)
    op = op_class(inp(xf, *shapes[0]), inp(yf, *shapes[1], name="y"), out)
    x, y = codes(g, xf, 2, *shapes[0]), codes(g, yf, 2, *shapes[1])
    found = run2(op, x, y)
    for f in range(2):
        a, b = np.broadcast_arrays(xf.decode(x[f]), yf.decode(y[f]))
        for i in np.ndindex(*op.shape):
            p, q = Fraction(float(a[i])), Fraction(float(b[i]))
            exact = {Add: p + q, Sub: p - q, Mul: p * q}[op_class]
            if out is not None:
                assert op.format.levels(found[f][i]) == quantize_exact(exact, out)
            else:
                assert Fraction(float(op.format.decode(found[f][i][None])[0])) == exact


@given(st.sampled_from([Add, Sub, Mul]), fixeds(1, 10), fixeds(1, 10))
def test_the_exact_format_is_the_narrowest(op_class: type, xf: Fixed, yf: Fixed) -> None:
    x, y = inp(xf, 4), inp(yf, 4, name="y")
    op = op_class(x, y)
    (a, b), (c, d) = xf.code_range, yf.code_range
    frames = {"x": np.array([[a, a, b, b]], xf.dtype), "y": np.array([[c, d, c, d]], yf.dtype)}
    found = run(Graph("g", (x, y), (("r", op),)), frames)["r"].ravel().astype(np.int64)
    if op.format.bits > 1:
        lo, hi = Integer(op.format.bits - 1, op.format.signed).code_range
        assert found.min() < lo or found.max() > hi


def test_equal_units_that_are_no_power_of_two() -> None:
    fmt, other = Affine(Integer(8), (0.1,), (5,)), Affine(Integer(8, False), (0.1,), (200,))
    op = Sub(inp(fmt, 2), inp(other, 2, name="y"))
    found = run2(op, np.array([[-128, 127]], np.int8), np.array([[255, 0]], np.uint8))
    assert found.tolist() == [[-133 - 55, 122 + 200]] and op.format == Affine(Integer(32), (0.1,))
    with pytest.raises(EdgecError, match="requantize them to one"):
        Add(inp(fmt, 2), inp(Affine(Integer(8), (0.2,)), 2, name="y"))


@given(st.one_of(dyadic, affines(channels=3, axis=1)), st.integers(0, 2**32 - 1))
def test_relu(fmt: Format, seed: int) -> None:
    x = inp(fmt, 2, 3)
    if not fmt.has_zero:
        with pytest.raises(EdgecError, match="zero"):
            Relu(x)
        return
    frames = codes(np.random.default_rng(seed), fmt, 2, 2, 3)
    found = run(Graph("g", (x,), (("y", Relu(x)),)), {"x": frames})["y"]
    for got, frame in zip(found, frames, strict=True):
        assert np.array_equal(fmt.decode(got), np.maximum(fmt.decode(frame), 0))


@given(
    st.one_of(fixeds(2, 8), affines().filter(lambda f: isinstance(f.base, Integer))),
    st.floats(-9, 9),
    st.floats(-9, 9),
)
def test_clip(fmt: Format, a: float, b: float) -> None:
    lo, hi = (0.0 if abs(v) < 1e-300 else v for v in (min(a, b), max(a, b)))  # bounds that a division keeps
    every = np.arange(fmt.code_range[0], fmt.code_range[1] + 1).astype(fmt.dtype)
    values = fmt.decode(every)
    legal = values[(values >= lo) & (values <= hi)]
    x = inp(fmt, len(every))
    if not legal.size:
        with pytest.raises(EdgecError, match="has no value in"):
            Clip(x, lo, hi)
        return
    found = fmt.decode(run(Graph("g", (x,), (("y", Clip(x, lo, hi)),)), {"x": every[None]})["y"][0])
    step = float(fmt.scale_array[0])
    assert np.all(np.abs(found - np.clip(values, legal.min(), legal.max())) <= 1e-9 * step)


def test_clip_of_formats_with_gaps() -> None:
    """The bounds become values that the format has: 3.9 is 3 in a small float with 3 and 4."""
    for fmt, lo, hi, wanted in (
        (Ternary(), 0.0, 1.0, [0, 1]),
        (Minifloat(2, 1), -0.7, 3.9, [-0.5, 0, 0.5, 1, 1.5, 2, 3]),
        (Pow2(3), -3.0, 5.0, [-2, -1, 1, 2, 4]),
        (BinaryFormat(), -1.0, 0.5, [-1]),
    ):
        every = np.arange(fmt.code_range[0], fmt.code_range[1] + 1).astype(fmt.dtype)
        x = inp(fmt, len(every))
        found = run(Graph("g", (x,), (("y", Clip(x, lo, hi)),)), {"x": every[None]})["y"]
        assert sorted(set(fmt.decode(found[0]).tolist())) == wanted
    with pytest.raises(EdgecError, match="binary has no value in"):
        Clip(inp(BinaryFormat(), 2), 0.0, 0.9)


def test_predicates_and_where() -> None:
    x, y = inp(Fixed(4, 2), 3), inp(Fixed(4, 2), 3, name="y")
    frames = {"x": np.array([[-8, 0, 7]], np.int8), "y": np.array([[0, 0, 0]], np.int8)}
    wanted = {
        "equal": [0, 1, 0],
        "less": [1, 0, 0],
        "less_equal": [1, 1, 0],
        "greater": [0, 0, 1],
        "greater_equal": [0, 1, 1],
    }
    for function, row in wanted.items():
        op = Binary(x, y, function)
        assert op.format == BOOL and run(Graph("g", (x, y), (("r", op),)), frames)["r"].tolist() == [row]
    condition = Binary(x, y, "less")
    for function, row in (("and", [0, 0, 0]), ("or", [1, 0, 1]), ("xor", [1, 0, 1])):
        op = Binary(condition, Binary(x, y, "greater"), function)
        assert run(Graph("g", (x, y), (("r", op),)), frames)["r"].tolist() == [row]
    chosen = Where(Unary(condition, "not"), x, y)
    assert run(Graph("g", (x, y), (("r", chosen),)), frames)["r"].tolist() == [[0, 0, 7]]
    for function, row in (("max", [0, 0, 7]), ("min", [-8, 0, 0])):
        assert run(Graph("g", (x, y), (("r", Binary(x, y, function)),)), frames)["r"].tolist() == [row]


def erf(v: float) -> float:
    return math.erf(v)


REFERENCES = {
    "abs": abs,
    "neg": lambda v: -v,
    "exp": math.exp,
    "log": lambda v: math.log(v) if v > 0 else math.nan if v < 0 else -math.inf,
    "sqrt": lambda v: math.sqrt(v) if v >= 0 else math.nan,
    "reciprocal": lambda v: 1 / v if v else math.inf,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "erf": erf,
    "softplus": lambda v: math.log1p(math.exp(v)),
    "softsign": lambda v: v / (1 + abs(v)),
    "hard_sigmoid": lambda v: min(max(0.2 * v + 0.5, 0), 1),
    "hard_swish": lambda v: v * min(max(v / 6 + 0.5, 0), 1),
    "elu": lambda v: v if v > 0 else 0.2 * math.expm1(v),
    "selu": lambda v: 0.5 * (v if v > 0 else 0.2 * math.expm1(v)),
    "celu": lambda v: max(v, 0) + min(0.2 * math.expm1(v / 0.2), 0),
    "leaky_relu": lambda v: v if v >= 0 else 0.2 * v,
    "thresholded_relu": lambda v: v if v > 0.2 else 0,
    "gelu": lambda v: 0.5 * v * (1 + erf(v / math.sqrt(2))),
    "gelu_tanh": lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
    "mish": lambda v: v * math.tanh(math.log1p(math.exp(v))),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "sign": lambda v: (v > 0) - (v < 0),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": lambda v: math.asin(v) if abs(v) <= 1 else math.nan,
    "acos": lambda v: math.acos(v) if abs(v) <= 1 else math.nan,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "asinh": math.asinh,
    "acosh": lambda v: math.acosh(v) if v >= 1 else math.nan,
    "atanh": lambda v: math.atanh(v) if abs(v) < 1 else math.copysign(math.inf, v) if abs(v) == 1 else math.nan,
}


@pytest.mark.parametrize("function", [f for f in UNARY_FUNCTIONS if f != "not"])
@pytest.mark.parametrize("fmt", [F32, F16])
def test_unary_functions(function: str, fmt: Format) -> None:
    values = np.array([-7.5, -2.5, -1.0, -0.3, 0.0, 0.3, 0.5, 1.5, 2.5, 6.0], fmt.dtype)
    x = inp(fmt, len(values))
    op = Unary(x, function, 0.2, 0.5)
    found = run(Graph("g", (x,), (("y", op),)), {"x": values[None]})["y"][0]
    wanted = [REFERENCES[function](float(v)) for v in values]
    assert found.dtype == fmt.dtype
    tolerance = 1e-5 if fmt == F32 else 2e-3
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=tolerance, atol=tolerance)


def test_functions_do_not_overflow_on_the_way() -> None:
    values = np.array([[-200.0, -90.0, 90.0, 200.0]], np.float32)
    x = inp(F32, 4)
    for function, wanted in (("sigmoid", [0, 0, 1, 1]), ("softplus", [0, 0, 90, 200]), ("mish", [0, 0, 90, 200])):
        found = run(Graph("g", (x,), (("y", Unary(x, function)),)), {"x": values})["y"]
        np.testing.assert_allclose(found[0], wanted, atol=1e-6)


def test_every_function_is_tested() -> None:
    assert set(REFERENCES) == set(UNARY_FUNCTIONS) - {"not"}
    assert {"div", "pow", "mod", "floor_mod"} < set(BINARY_FUNCTIONS)


def test_float_arithmetic() -> None:
    g = np.random.default_rng(0)
    x, y = inp(F32, 2, 3), inp(F32, 3, name="y")
    a, b = g.uniform(0.5, 2, (1, 2, 3)).astype(np.float32), g.uniform(0.5, 2, (1, 3)).astype(np.float32)
    for op, wanted in (
        (Add(x, y), a + b),
        (Sub(x, y), a - b),
        (Mul(x, y), a * b),
        (Binary(x, y, "div"), a / b),
        (Binary(x, y, "pow"), a**b),
        (Binary(x, y, "mod"), np.fmod(a, b)),
        (PRelu(Sub(x, y), y), np.where(a >= b, a - b, (a - b) * b)),
    ):
        found = run(Graph("g", (x, y), (("r", op),)), {"x": a, "y": b})["r"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_softmax_and_batch_norm() -> None:
    g = np.random.default_rng(0)
    x = inp(F32, 2, 3, 4)
    a = (g.standard_normal((1, 2, 3, 4)) * 50).astype(np.float32)
    e = np.exp(a.astype(np.float64) - a.max(axis=2, keepdims=True))
    wanted = e / e.sum(axis=2, keepdims=True)
    for log, want in ((False, wanted), (True, np.log(wanted))):
        found = run(Graph("g", (x,), (("y", Softmax(x, 1, log)),)), {"x": a})["y"]
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)
    s, b, m, v = (g.uniform(0.5, 2, 3) for _ in range(4))
    op = BatchNorm(x, constant(s), constant(b), constant(m), constant(v), 1e-3)
    found = run(Graph("g", (x,), (("y", op),)), {"x": a})["y"]
    shape = (1, 3, 1)
    want = (a - m.reshape(shape)) / np.sqrt(v.reshape(shape) + 1e-3) * s.reshape(shape) + b.reshape(shape)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_parameters_may_change_from_frame_to_frame() -> None:
    g = np.random.default_rng(3)
    x = inp(F32, 2, 3, 4)
    p = [inp(F32, 3, name=n) for n in "sbmv"]
    frames = {"x": g.normal(0, 1, (5, 2, 3, 4)), **{n: g.uniform(0.5, 1.5, (5, 3)) for n in "sbmv"}}
    frames = {n: a.astype(np.float32) for n, a in frames.items()}
    op = BatchNorm(x, *p)
    together = run(Graph("g", (x, *p), (("y", op),)), frames)["y"]
    for f in range(5):
        alone = run(Graph("g", (x, *p), (("y", op),)), {n: a[f : f + 1] for n, a in frames.items()})["y"]
        np.testing.assert_array_equal(alone[0], together[f])
    scale, bias = inp(F32, 4, name="s"), inp(F32, 4, name="b")
    layer = Graph("g", (x, scale, bias), (("y", Normalize(x, scale, bias)),))
    frames |= {n: g.uniform(0.5, 1.5, (5, 4)).astype(np.float32) for n in "sb"}
    frames = {n: frames[n] for n in "xsb"}
    together = run(layer, frames)["y"]
    for f in range(5):
        alone = run(layer, {n: a[f : f + 1] for n, a in frames.items()})["y"]
        np.testing.assert_array_equal(alone[0], together[f])
