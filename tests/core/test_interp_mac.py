"""Multiply-accumulate ops against loops over Python integers, and the exact width of their results."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from core_support import codes, fixeds, inp, integers, quantize_exact, quantizers
from hypothesis import given
from hypothesis import strategies as st

from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Codebook, Minifloat, Pow2, Ternary
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Constant, Conv, ConvTranspose, Dense, MatMul, Op, centered_range, constant

weight_formats: st.SearchStrategy[Format] = st.one_of(
    fixeds(1, 8),
    integers(2, 8),
    *map(st.just, (Binary(), Ternary(), Pow2(3), Pow2(3, True), Minifloat(2, 1))),
    st.just(Codebook(2, Fixed(5, 2), (-16, 3, 0, 15))),
    st.builds(lambda z: Affine(Integer(6, False), (0.25,), (z,)), st.integers(0, 63)),
    st.builds(lambda a, b: Affine(Integer(5), (0.5, 0.5), (a, b), 0), st.integers(-16, 15), st.integers(-16, 15)),
)
input_formats: st.SearchStrategy[Format] = st.one_of(
    fixeds(1, 8),
    integers(1, 8),
    *map(st.just, (Binary(), Ternary())),
    st.builds(lambda z: Affine(Integer(7, False), (2.0,), (z,)), st.integers(0, 127)),
)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), strategy)


def const(generator: np.random.Generator, fmt: Format, *shape: int) -> Constant:
    return Constant(codes(generator, fmt, *shape), type=TensorType(fmt, shape))


def at_most(op: type, *arguments: object, **attributes: object) -> Op | None:
    """The op, or None where its exact sum would be wider than the interpreter goes."""
    from edgec.diagnostics import EdgecError

    try:
        return op(*arguments, **attributes)
    except EdgecError as error:
        assert "bits" in str(error) or "outside 1..64" in str(error)
        return None


class Scalar:
    """One multiply-accumulate op by the definition in edgec/ops/mac.py, in exact rational numbers."""

    def __init__(self, op: Dense | Conv, x: np.ndarray) -> None:
        self.op = op
        self.x = op.x.format.decode(x)
        self.w = op.w.values  # type: ignore[attr-defined]
        self.b = op.b.values if op.b is not None else None  # type: ignore[attr-defined]

    def result(self, pairs: list[tuple[float, float]], output: int) -> int:
        """The level of one output element from its (input, weight) pairs."""
        op, total = self.op, Fraction(0)
        for x, w in pairs:
            product = Fraction(x) * Fraction(w)
            if op.product is not None:
                product = Fraction(quantize_exact(product, op.product)) * unit(op.product.format)
            total += product
        if self.b is not None:
            total += Fraction(self.b[output])
        for quantizer in (op.acc, op.out):
            if quantizer is not None:
                total = Fraction(quantize_exact(total, quantizer)) * unit(quantizer.format)
        level = total / unit(op.format)
        assert level.denominator == 1, "the result format has too few fraction bits"
        lo, hi = op.format.level_range
        assert lo <= level <= hi, "the result format is too narrow"
        return int(level)


def unit(fmt: Format) -> Fraction:
    assert fmt.frac is not None
    return Fraction(2) ** -fmt.frac


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from([1, 2, 4])),
    input_formats,
    weight_formats,
    maybe(fixeds(1, 12)),
    st.tuples(maybe(quantizers()), maybe(quantizers()), maybe(quantizers())),
    st.integers(0, 2**32 - 1),
)
def test_dense(
    shape: tuple[int, int, int],
    x_format: Format,
    w_format: Format,
    b_format: Format | None,
    quantize: tuple[Quantizer | None, ...],
    seed: int,
) -> None:
    rows, inner, outputs = shape
    g = np.random.default_rng(seed)
    if w_format.axis is not None:
        outputs = 2
    x, w = inp(x_format, rows, inner), const(g, w_format, outputs, inner)
    b = const(g, b_format, outputs) if b_format is not None else None
    op = at_most(Dense, x, w, b, *quantize)
    if op is None:
        return
    assert isinstance(op, Dense)
    frames = codes(g, x_format, 2, rows, inner)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]
    op.format.check(found)
    for f, r, o in np.ndindex(2, rows, outputs):
        scalar = Scalar(op, frames[f])
        pairs = [(scalar.x[r, k], scalar.w[o, k]) for k in range(inner)]
        assert op.format.levels(found[f, r, o]) == scalar.result(pairs, o)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, np.ndarray]:
    rank = draw(st.integers(1, 2))
    groups = draw(st.integers(1, 3))
    per_group, multiplier = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    strides = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    size = [
        max(d * (k - 1) + 1 - pads[i] - pads[i + rank], 1) + draw(st.integers(0, 3))
        for i, (k, d) in enumerate(zip(kernel, dilations, strict=True))
    ]
    g = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x_format, w_format = draw(input_formats), draw(weight_formats)
    outputs = multiplier * groups
    if w_format.axis is not None and outputs != 2:
        w_format = Fixed(5, 2)
    x = inp(x_format, draw(st.integers(1, 2)), per_group * groups, *size)
    w = const(g, w_format, outputs, per_group, *kernel)
    b = const(g, draw(fixeds(1, 12)), outputs) if draw(st.booleans()) else None
    quantize = [draw(maybe(quantizers())) for _ in range(3)]
    op = at_most(Conv, x, w, b, tuple(strides), tuple(pads), tuple(dilations), groups, *quantize)
    if op is None:
        op = Conv(x, const(g, Ternary(), *w.shape), None, tuple(strides), tuple(pads), tuple(dilations), groups)
    assert isinstance(op, Conv)
    return op, codes(g, x_format, 2, *x.shape)


@given(convolutions())
def test_conv(case: tuple[Conv, np.ndarray]) -> None:
    op, frames = case
    rank, per_group = len(op.x.shape) - 2, op.w.shape[1]
    found = run(Graph("g", (op.x,), (("y", op),)), {"x": frames})["y"]  # type: ignore[arg-type]
    op.format.check(found)
    scalar = [Scalar(op, frame) for frame in frames]
    for f, n, o, *t in np.ndindex(*found.shape):
        group = o // (op.w.shape[0] // op.groups)
        pairs = []
        for c, *k in np.ndindex(*op.w.shape[1:]):
            at = [t[i] * op.strides[i] - op.pads[i] + k[i] * op.dilations[i] for i in range(rank)]
            if all(0 <= a < s for a, s in zip(at, op.x.shape[2:], strict=True)):
                pairs.append((scalar[f].x[(n, group * per_group + c, *at)], scalar[f].w[(o, c, *k)]))
        assert op.format.levels(found[(f, n, o, *t)]) == scalar[f].result(pairs, o)


@given(input_formats, weight_formats, maybe(fixeds(1, 10)), st.integers(1, 5))
def test_the_exact_format_holds_the_worst_case_and_no_more(
    x_format: Format, w_format: Format, b_format: Format | None, terms: int
) -> None:
    if w_format.axis is not None:
        w_format = Fixed(5, 2)
    if not (x_format.level_range[0] <= int(x_format.zero_point_array[0]) <= x_format.level_range[1]):
        return
    x, w = (
        inp(x_format, 1, terms),
        Constant(np.zeros((1, terms), w_format.dtype), type=TensorType(w_format, (1, terms))),
    )
    b = None if b_format is None else Constant(np.zeros(1, b_format.dtype), type=TensorType(b_format, (1,)))
    fmt = Dense(x, w, b).format
    products = [Fraction(p) * Fraction(q) for p in extremes(x_format) for q in extremes(w_format)]
    lo = terms * min(products) + (min(map(Fraction, extremes(b_format))) if b_format else 0)
    hi = terms * max(products) + (max(map(Fraction, extremes(b_format))) if b_format else 0)
    low, high = (Fraction(v) * unit(fmt) for v in fmt.level_range)
    assert low <= lo and hi <= high
    covers_zero = min(products) <= 0 <= max(products)
    if covers_zero and fmt.bits > 1:
        narrower = Integer(fmt.bits - 1, fmt.signed).code_range
        assert lo < narrower[0] * unit(fmt) or hi > narrower[1] * unit(fmt)


def extremes(fmt: Format) -> list[float]:
    lo, hi = centered_range(fmt)
    return [lo * float(fmt.scale_array[0]), hi * float(fmt.scale_array[0])]


@pytest.mark.parametrize("bias_bits", [8, 32, 48])
@pytest.mark.parametrize("x_bits", [8, 16])
def test_units_that_are_no_power_of_two(x_bits: int, bias_bits: int) -> None:
    """The accumulator is int32 where that is enough, and wider where it is not."""
    g = np.random.default_rng(0)
    x_format = Affine(Integer(x_bits, False), (0.1,), (3,))
    w_format = Affine(Integer(16, False), (0.3, 0.7), (0, 5), 0)
    x = inp(x_format, 1, 3)
    w = Constant(np.full((2, 3), 65535, np.uint16), type=TensorType(w_format, (2, 3)))
    b = Constant(np.full(2, (1 << (bias_bits - 1)) - 1), type=TensorType(Integer(bias_bits), (2,)))
    op = Dense(x, w, b)
    frames = np.concatenate([codes(g, x_format, 3, 1, 3), np.full((1, 1, 3), (1 << x_bits) - 1, x_format.dtype)])
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]
    for f, o in np.ndindex(4, 2):
        wanted = sum((int(v) - 3) * (65535 - (0, 5)[o]) for v in frames[f, 0]) + (1 << (bias_bits - 1)) - 1
        assert found[f, 0, o] == wanted
    assert op.format.bits >= 32 and op.format.scale_array.tolist() == [0.1 * 0.3, 0.1 * 0.7]


def test_small_sums_keep_an_int32_accumulator() -> None:
    x = inp(Affine(Integer(8), (0.1,)), 1, 9)
    w = constant(np.ones((4, 9)), Affine(Integer(8), (0.3,)))
    assert Dense(x, w).format == Affine(Integer(32), (0.1 * 0.3,))
    assert Dense(x, w, Constant(np.zeros(4, np.int16), type=TensorType(Integer(12), (4,)))).format.bits == 32


def test_the_chip_floors_every_product() -> None:
    """The rule that an accumulate-then-round op cannot express: 3 * floor(1.5) is not floor(4.5)."""
    x = inp(Fixed(4, 3), 1, 3)
    w = constant(np.full((1, 3), 0.5), Fixed(4, 3))
    y = Dense(x, w, product=Quantizer(Fixed(8, 8), "floor"))
    summed = Dense(x, w, out=Quantizer(Fixed(8, 8), "floor"))
    graph = Graph("g", (x,), (("y", y), ("z", summed)))
    out = run(graph, {"x": x.format.encode(np.full((1, 1, 3), 3.0))})
    assert out["y"].item() == 3 and out["z"].item() == 4


@pytest.mark.parametrize("terms", [1, 8, 2**10])
def test_large_numbers_stay_exact(terms: int) -> None:
    """Across the limits where the matrix product changes from float32 to float64 to int64."""
    for bits in (8, 12, 20, 25):
        fmt = Integer(bits)
        x = inp(fmt, 1, terms)
        w = Constant(np.full((2, terms), -(1 << (bits - 1)), fmt.dtype), type=TensorType(fmt, (2, terms)))
        frames = np.full((1, 1, terms), -(1 << (bits - 1)), fmt.dtype)
        frames[..., -1] += 1
        found = run(Graph("g", (x,), (("y", Dense(x, w)),)), {"x": frames})["y"]
        assert found.ravel().tolist() == [(1 << (2 * bits - 2)) * terms - (1 << (bits - 1))] * 2


def test_float_convolutions_and_products() -> None:
    g = np.random.default_rng(1)
    x = inp(F32, 1, 4, 5, 6)
    w, b = g.standard_normal((6, 2, 3, 2)), g.standard_normal(6)
    op = Conv(x, constant(w), constant(b), (2, 1), (1, 0, 2, 1), (1, 2), 2)
    frame = g.standard_normal((1, 1, 4, 5, 6)).astype(np.float32)
    found = run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"][0]
    padded = np.pad(frame[0].astype(np.float64), [(0, 0), (0, 0), (1, 2), (0, 1)])
    for o, i, j in np.ndindex(*found.shape[1:]):
        window = padded[0, 2 * (o // 3) : 2 * (o // 3) + 2, 2 * i : 2 * i + 3, j : j + 3 : 2]
        assert math.isclose(found[0, o, i, j], (window * w[o]).sum() + b[o], rel_tol=1e-4, abs_tol=1e-5)
    y = MatMul(inp(F32, 2, 1, 3, 4, name="a"), inp(F32, 5, 4, 2, name="b"))
    arrays = {"a": g.standard_normal((1, 2, 1, 3, 4)), "b": g.standard_normal((1, 5, 4, 2))}
    out = run(Graph("g", (y.x, y.y), (("y", y),)), arrays)["y"]  # type: ignore[arg-type]
    np.testing.assert_allclose(out[0], arrays["a"][0] @ arrays["b"][0], rtol=1e-4, atol=1e-5)


def test_transposed_convolution() -> None:
    g = np.random.default_rng(2)
    x = inp(F32, 1, 4, 3)
    w = g.standard_normal((4, 3, 3))
    op = ConvTranspose(x, constant(w), None, (2,), (1, 0), (2,), (1,), 2)
    assert op.shape == (1, 6, 9)
    frame = g.standard_normal((1, 1, 4, 3))
    full = np.zeros((6, 10))
    for c, o, i, k in itertools.product(range(4), range(3), range(3), range(3)):
        full[(c // 2) * 3 + o, 2 * i + 2 * k] += frame[0, 0, c, i] * w[c, o, k]
    found = run(Graph("g", (x,), (("y", op),)), {"x": frame})["y"][0, 0]
    np.testing.assert_allclose(found, full[:, 1:], rtol=1e-4, atol=1e-5)
