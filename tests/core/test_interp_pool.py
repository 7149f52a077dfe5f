"""Pooling and reductions against scalar references."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from core_support import codes, fixeds, inp, integers, overflow_exact, overflows, round_exact, roundings
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer
from edgec.formats_compressed import Binary, Pow2
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import ArgMax, AvgPool, MaxPool, Normalize, Reduce, constant

pool_formats: st.SearchStrategy[Format] = st.one_of(
    fixeds(2, 8),
    integers(2, 8),
    st.builds(lambda z: Affine(Integer(6, False), (0.3,), (z,)), st.integers(0, 63)),
)


@st.composite
def windows(draw: st.DrawFn) -> dict:
    rank = draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, kernel[i % rank] - 1)) for i in range(2 * rank))
    size = tuple(
        max(dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + rank], dilations[i]) + draw(st.integers(0, 4))
        for i in range(rank)
    )
    return {
        "kernel": kernel,
        "strides": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "pads": pads,
        "dilations": dilations,
        "ceil_mode": draw(st.booleans()),
        "size": size,
    }


def taps(op: MaxPool | AvgPool, position: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Coordinates under a window, those in the padding included."""
    return [
        tuple(
            p * s - b + k * d for p, s, b, k, d in zip(position, op.strides, op.pads, index, op.dilations, strict=False)
        )
        for index in np.ndindex(*op.kernel)
    ]


def inside(at: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return all(a <= i < b for i, a, b in zip(at, low, high, strict=True))


@given(windows(), pool_formats, st.integers(0, 2**32 - 1))
def test_max_pool(window: dict, fmt: Format, seed: int) -> None:
    size = window.pop("size")
    x = inp(fmt, 1, 2, *size)
    op = MaxPool(x, **window)
    frames = codes(np.random.default_rng(seed), fmt, 2, 1, 2, *size)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]
    for f, _, c, *t in np.ndindex(*found.shape):
        live = [frames[(f, 0, c, *at)] for at in taps(op, tuple(t)) if inside(at, (0,) * len(size), size)]
        assert found[(f, 0, c, *t)] == max(live)


@given(windows(), pool_formats, st.booleans(), st.booleans(), roundings, overflows, st.data())
def test_avg_pool(
    window: dict, fmt: Format, count_pad: bool, stated: bool, rounding: str, overflow: str, data: st.DataObject
) -> None:
    size = window.pop("size")
    rank = len(size)
    out = None
    if stated:
        target = data.draw(fixeds(2, 8)) if fmt.frac is not None else fmt
        out = Quantizer(target, rounding, overflow)  # type: ignore[arg-type]
    x = inp(fmt, 1, 1, *size)
    op = AvgPool(x, **window, count_include_pad=count_pad, out=out)
    frames = codes(np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), fmt, 2, 1, 1, *size)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]
    op.format.check(found)
    zero_in, zero_out = int(fmt.zero_point_array[0]), int(op.format.zero_point_array[0])
    ratio = Fraction(float(fmt.scale_array[0])) / Fraction(float(op.format.scale_array[0]))
    quantizer = out or Quantizer(fmt)
    high = tuple(n + e for n, e in zip(size, op.pads[rank:], strict=True))
    low = tuple(-b for b in op.pads[:rank])
    for f, _, _, *t in np.ndindex(*found.shape):
        every = taps(op, tuple(t))
        live = [at for at in every if inside(at, (0,) * rank, size)]
        count = sum(inside(at, low, high) for at in every) if count_pad else len(live)
        total = sum(int(fmt.levels(frames[(f, 0, 0, *at)])) - zero_in for at in live)
        level = round_exact(Fraction(total, count) * ratio, quantizer.rounding) + zero_out
        assert op.format.levels(found[(f, 0, 0, *t)]) == overflow_exact(
            level, *op.format.level_range, quantizer.overflow
        )


def test_average_of_four_by_hand() -> None:
    x = inp(Integer(8), 1, 1, 4)
    frame = np.array([[[[1, 2, 2, 2]]]], np.int8)  # the mean is 1.75
    for rounding, wanted in (("floor", 1), ("ceil", 2), ("trunc", 1), ("half_even", 2)):
        op = AvgPool(x, (4,), out=Quantizer(Integer(8), rounding))  # type: ignore[arg-type]
        assert run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"].item() == wanted
    op = AvgPool(x, (4,), out=Quantizer(Fixed(8, 4)))  # four fraction bits: exact
    assert run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"].item() == 28


def test_windows_that_hold_nothing_are_refused() -> None:
    x = inp(F32, 1, 1, 3)
    with pytest.raises(EdgecError, match="outside"):
        AvgPool(x, (2,), pads=(1, 1), dilations=(4,))  # taps at -1 and 3 of three elements


def test_pools_refuse() -> None:
    per_channel = Affine(Integer(8), (0.5, 0.5), (0,), 1)
    for build, message in (
        (lambda: MaxPool(inp(F32, 1, 1, 4), (2,), pads=(2, 0)), "pads as large as the kernel"),
        (lambda: MaxPool(inp(F32, 1, 4), ()), "pooling needs"),
        (lambda: MaxPool(inp(F32, 1, 1, 4), (5,)), "does not fit 4 elements"),
        (lambda: AvgPool(inp(F32, 1, 1, 4), (2,), out=Quantizer(Integer(8))), "integer operands"),
        (lambda: AvgPool(inp(Integer(8), 1, 1, 4), (2,), out=Quantizer(F32)), "float"),
        (lambda: AvgPool(inp(Affine(Integer(8), (0.3,)), 1, 1, 4), (2,), out=Quantizer(Fixed(8, 3))), "units"),
        (lambda: AvgPool(inp(Affine(Integer(8), (0.3, 0.4), (0,), 1), 1, 2, 4), (2,)), "one scale"),
        (lambda: AvgPool(inp(Fixed(8, 3), 1, 2, 4), (2,), out=Quantizer(per_channel)), "one scale"),
        (lambda: Reduce(inp(F32, 2, 2), "median", (0,)), "unknown reduction"),
        (lambda: Reduce(inp(F32, 2, 2), "sum", (0, -2)), "reduced twice"),
        (lambda: Reduce(inp(F32, 2, 2), "sum", (2,)), "axis 2"),
        (lambda: Reduce(inp(Integer(8), 2, 2), "mean", (0,)), "mean of integers"),
        (lambda: Reduce(inp(Affine(Integer(8), (0.3, 0.4), (0,), 1), 1, 2), "max", (1,)), "one scale"),
        (lambda: ArgMax(inp(Affine(Integer(8), (0.3, 0.4), (0,), 1), 1, 2), 1), "one scale"),
    ):
        with pytest.raises(EdgecError, match=message):
            build()


@given(
    st.one_of(fixeds(1, 8), integers(1, 8), st.just(Binary()), st.just(Pow2(4))),
    st.sampled_from(["sum", "max", "min"]),
    st.sampled_from([(0,), (1,), (-1, 0), (0, 1, 2)]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_integer_reductions(fmt: Format, function: str, axes: tuple[int, ...], keepdims: bool, seed: int) -> None:
    x = inp(fmt, 2, 3, 2)
    op = Reduce(x, function, axes, keepdims)
    frames = codes(np.random.default_rng(seed), fmt, 2, 2, 3, 2)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]
    op.format.check(found)
    values = np.stack([getattr(np, function)(fmt.decode(f), axis=axes, keepdims=keepdims) for f in frames])
    assert np.array_equal(op.format.decode(found), values)


@pytest.mark.parametrize("function", ["mean", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp", "sum", "max"])
def test_float_reductions(function: str) -> None:
    x = inp(F32, 3, 4)
    frame = np.random.default_rng(0).uniform(0.1, 2, (1, 3, 4)).astype(np.float32)
    wanted = {
        "mean": np.mean,
        "prod": np.prod,
        "l1": lambda v, axis: np.abs(v).sum(axis),
        "l2": lambda v, axis: np.sqrt((v**2).sum(axis)),
        "sum_square": lambda v, axis: (v**2).sum(axis),
        "log_sum": lambda v, axis: np.log(v.sum(axis)),
        "log_sum_exp": lambda v, axis: np.log(np.exp(v).sum(axis)),
        "sum": np.sum,
        "max": np.max,
    }[function](frame[0].astype(np.float64), axis=1)
    for keepdims in (True, False):
        op = Reduce(x, function, (-1,), keepdims)
        found = run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"]
        assert found.dtype == np.float32 and found.shape == (1, *op.shape)
        np.testing.assert_allclose(found.ravel(), wanted, rtol=1e-5)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=6), st.booleans(), st.booleans(), st.booleans())
def test_arg_max(row: list[int], last: bool, smallest: bool, keepdims: bool) -> None:
    best = min(row) if smallest else max(row)
    wanted = len(row) - 1 - row[::-1].index(best) if last else row.index(best)
    for fmt in (Integer(3), F32):
        x = inp(fmt, 1, len(row))
        op = ArgMax(x, -1, keepdims, last, smallest)
        found = run(Graph("g", (x,), (("y", op),)), {"x": np.array([[row]], fmt.dtype)})["y"]
        assert found.shape == ((1, 1, 1) if keepdims else (1, 1)) and found.item() == wanted
        op.format.check(found)


def test_normalize() -> None:
    x = inp(F32, 2, 3, 4)
    g = np.random.default_rng(0)
    scale, bias, frame = g.standard_normal((3, 4)), g.standard_normal((3, 4)), g.standard_normal((1, 2, 3, 4))
    op = Normalize(x, constant(scale), constant(bias), -2, 1e-3)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"][0]
    for row, got in zip(frame[0], found, strict=True):
        want = (row - row.mean()) / math.sqrt(row.var() + 1e-3) * scale + bias
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
