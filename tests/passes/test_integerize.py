"""integerize: the integer graph gives the codes of the fake-quantised float graph."""

from __future__ import annotations

import numpy as np
import pytest
from fake_quant import (
    S6,
    S8,
    U8,
    affine,
    assert_equal,
    batch_norm,
    computes_in_floats,
    graph_of,
    integer,
    kinds,
    quantized,
    random_codes,
    real_frames,
    source,
    weights,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pass_nets import apply, check_golden
from random_nets import random_net

from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Clip,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    Gather,
    Get,
    Input,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    Op,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    RequantizeFloat,
    Reshape,
    Slice,
    Softmax,
    Split,
    Sub,
    Transpose,
    Unary,
    constant,
)
from edgec.ops import Binary as Function
from edgec.pipeline import Context
from edgec.rounding import OVERFLOWS, ROUNDINGS
from edgec.text import print_graph
from edgec.tiecheck import explain

OUT = Fixed(7, 2)


def check(graph: Graph, seed: int = 0, leftover: tuple[str, ...] = ()) -> Graph:
    """The integer form of `graph`, equal to it on random frames, nothing but `leftover` in floats."""
    new = integer(graph)
    assert computes_in_floats(new) == list(leftover)
    assert_equal(graph, new, real_frames(graph, np.random.default_rng(seed)))
    return new


def conv_block(g: np.random.Generator, x: Op, channels: int, fmt: Format = S6, **options: object) -> Op:
    return Conv(x, weights(g, fmt, channels, x.shape[1], 3, 3), loc=("conv",), **options)  # type: ignore[arg-type]


def test_golden() -> None:
    """Residual block with all main rules: bias, thresholds, residual addition, mean, table."""
    g = np.random.default_rng(7)
    x = source(U8, 1, 1, 4, 4)
    y: Op = Conv(x, weights(g, S6, 2, 1, 3, 3), weights(g, S6, 2, loc="b"), pads=(1, 1, 1, 1), loc=("conv0",))
    y = quantized(Relu(y, loc=("relu0",)), affine(0.05, -128), loc="q0")
    z: Op = Conv(y, weights(g, affine(0.01), 2, 2, 1, 1), loc=("conv1",))
    z = quantized(batch_norm(g, z), Fixed(2, 2), loc="q1")
    r = quantized(Relu(Add(y, quantized(z, affine(0.3), loc="q2"), loc=("add",))), affine(0.07, -128), loc="q3")
    m = quantized(AvgPool(r, (4, 4), loc=("mean",)), affine(0.02, 3), loc="q4")
    s = quantized(Unary(Reshape(m, (1, 2)), "sigmoid", loc=("sigmoid",)), Fixed(4, 0, signed_=False), loc="q5")
    check_golden("integerize", integer(graph_of(s, name="block")))


class TestMultiplyAccumulate:
    @pytest.mark.parametrize(
        "fmt", [S6, Binary(), Ternary(), Pow2(3), Pow2(4, zero=True), Affine(Integer(4), (0.25,), (3,))]
    )
    def test_weight_formats(self, fmt: Format) -> None:
        g = np.random.default_rng(1)
        y = Dense(source(S8, 1, 12), weights(g, fmt, 5, 12), loc=("fc",))
        new = check(graph_of(quantized(y, OUT)))
        assert {"dense", "cast"} <= kinds(new)

    def test_bias_on_a_finer_grid(self) -> None:
        g = np.random.default_rng(2)
        y = Dense(
            source(Fixed(4, 2), 1, 6), weights(g, Fixed(3, 1), 4, 6), constant([0.0078125, -1.5, 0, 3]), loc=("fc",)
        )
        new = check(graph_of(quantized(y, Fixed(12, 4))))
        (layer,) = (op for op in new.ops if isinstance(op, Dense))
        assert layer.b is not None and layer.b.format.frac == 7

    def test_bias_without_grid_becomes_the_offset_of_a_rescaling(self) -> None:
        g = np.random.default_rng(3)
        bias = constant(g.normal(size=4).astype(np.float32))
        y = Dense(source(Fixed(6, 2), 1, 6), weights(g, Fixed(6, 1), 4, 6), bias, loc=("fc",))
        new = check(graph_of(quantized(Relu(y), Fixed(8, 4, signed_=False))))
        (rescale,) = (op for op in new.ops if isinstance(op, Requantize))
        assert rescale.offset is not None and rescale.x.b is None  # type: ignore[attr-defined]

    def test_bias_of_an_affine_layer_is_plain_integers(self) -> None:
        g = np.random.default_rng(4)
        x, w = affine(0.031, 5), affine(0.0127)
        unit = float(np.float32(x.scale[0]) * np.float32(w.scale[0]))
        bias = weights(g, Affine(Integer(32), (unit,)), 4)
        bias = bias.replace(x=Constant(np.array([1000, -2000, 30, 0]), type=bias.x.type))  # type: ignore[attr-defined]
        y = Dense(source(x, 1, 9), weights(g, w, 4, 9), bias, loc=("fc",))
        new = integer(graph_of(quantized(y, affine(0.02, -7))))
        (layer,) = (op for op in new.ops if isinstance(op, Dense))
        assert layer.b is not None and layer.b.format == Integer(32)

    def test_depthwise_strided_dilated_grouped(self) -> None:
        g = np.random.default_rng(5)
        x = source(U8, 1, 4, 9, 9)
        y: Op = Conv(x, weights(g, S6, 4, 1, 3, 3), pads=(1, 1, 1, 1), groups=4, strides=(2, 2), loc=("dw",))
        y = quantized(Relu(y), Fixed(8, 3, signed_=False))
        y = Conv(y, weights(g, S6, 6, 2, 3, 3), pads=(2, 2, 2, 2), groups=2, dilations=(2, 2), loc=("grouped",))
        check(graph_of(quantized(y, Fixed(10, 5))))

    def test_padding_of_an_affine_input_counts_as_zero(self) -> None:
        g = np.random.default_rng(6)
        y = Conv(source(affine(0.5, -100), 1, 2, 4, 4), weights(g, S6, 3, 2, 3, 3), pads=(1, 1, 1, 1), loc=("conv",))
        graph = graph_of(quantized(y, Fixed(12, 8)))
        check(graph)

    def test_a_float_input_is_named(self) -> None:
        g = np.random.default_rng(7)
        x = Input("pixels", type=TensorType(F32, (1, 6)))
        context = Context()
        integer(graph_of(quantized(Dense(x, weights(g, S6, 4, 6), loc=("fc",)), OUT)), context=context)
        (note,) = context.diagnostics
        assert note.code == "N0003" and note.layer == "fc" and "input is not quantised" in (note.why or "")


class TestRequantize:
    @pytest.mark.parametrize("rounding", ROUNDINGS)
    @pytest.mark.parametrize("overflow", OVERFLOWS)
    def test_cast_modes(self, rounding: str, overflow: str) -> None:
        g = np.random.default_rng(8)
        y = Dense(source(S8, 1, 20), weights(g, S6, 5, 20), loc=("fc",))
        out = Dequantize(Quantize(y, Quantizer(Fixed(6, 2), rounding, overflow)))  # type: ignore[arg-type]
        assert "cast" in kinds(check(graph_of(out)))

    def test_power_of_two_unit_with_zero_point(self) -> None:
        g = np.random.default_rng(9)
        y = Dense(source(S8, 1, 20), weights(g, S6, 5, 20), loc=("fc",))
        check(graph_of(quantized(y, Affine(Integer(8, signed_=False), (2.0**-4,), (113,)))))

    def test_relu_folds_into_saturation(self) -> None:
        g = np.random.default_rng(10)
        for fmt, x, w in (
            (Fixed(8, 3, signed_=False), S8, S6),
            (affine(0.05, -128), affine(0.03, 4), affine(0.02)),
        ):
            y = Relu(Dense(source(x, 1, 16), weights(g, w, 5, 16), loc=("fc",)), loc=("relu",))
            new = integer(graph_of(quantized(y, fmt)))
            assert "relu" not in kinds(new)
            assert any("relu" in op.loc for op in new.ops)
            kept = integer(graph_of(quantized(y, fmt, overflow="wrap")))
            assert "relu" in kinds(kept)

    def test_relu6_in_front_of_a_signed_format(self) -> None:
        g = np.random.default_rng(11)
        y = Dense(source(affine(0.03, 4), 1, 16), weights(g, affine(0.02), 5, 16), loc=("fc",))
        graph = graph_of(quantized(Clip(y, 0.0, 0.4), affine(0.013, 7)))
        new = check(graph)
        assert "clip" in kinds(new)

    @pytest.mark.parametrize("per_channel", [False, True])
    def test_affine_multiplier_is_the_float32_scale(self, per_channel: bool) -> None:
        g = np.random.default_rng(12)
        scales = tuple(float(np.float32(s)) for s in g.uniform(0.001, 0.02, 5))
        w = Affine(Integer(8), scales, (0,), 0) if per_channel else affine(0.013)
        x, out = affine(0.031, 9), affine(0.11, -3)
        y = Dense(source(x, 1, 16), weights(g, w, 5, 16), loc=("fc",))
        new = integer(graph_of(quantized(y, out)))
        (rescale,) = (op for op in new.ops if isinstance(op, Requantize))
        assert isinstance(rescale.multiplier, Constant) and isinstance(rescale.shift, Constant)
        got = np.ldexp(rescale.multiplier.data.astype(float), -rescale.shift.data.astype(int))
        acc = np.float32(x.scale[0]) * np.array(w.scale, np.float32)
        np.testing.assert_array_equal(got.astype(np.float32), acc / np.float32(out.scale[0]))
        assert (got == got.astype(np.float32)).all()

    def test_float32_arithmetic(self) -> None:
        g = np.random.default_rng(13)
        y = Dense(source(affine(0.03, 4), 1, 16), weights(g, affine(0.02), 5, 16), loc=("fc",))
        new = integer(graph_of(quantized(y, affine(0.1))), "float32")
        assert any(isinstance(op, RequantizeFloat) for op in new.ops)

    def test_negative_and_dead_channels_of_a_batch_norm(self) -> None:
        g = np.random.default_rng(14)
        y = batch_norm(g, Dense(source(S8, 1, 16), weights(g, S6, 5, 16), loc=("fc",)))
        y = y.replace(scale=constant([0.7, -1.3, 0.0, 1e-12, -2.0]))
        graph = graph_of(quantized(y, Fixed(9, 4)))
        new = check(graph)
        assert "requantize" in kinds(new)

    def test_identity(self) -> None:
        x = source(S8, 1, 4)
        assert kinds(integer(graph_of(quantized(x, S8)))) == {"input", "quantize", "dequantize"}
        assert "cast" in kinds(integer(graph_of(quantized(x, S8, overflow="saturate_symmetric"))))


class TestThresholds:
    @pytest.mark.parametrize(
        "fmt",
        [Binary(), Ternary(), Fixed(2, 2), Fixed(2, 2, narrow=True), Fixed(4, 1, signed_=False), affine(0.3, 1, 3)],
    )
    @pytest.mark.parametrize("weight", [Binary(), S6, Affine(Integer(4), (0.07, 0.11, 0.013, 0.2, 0.05), (0,), 0)])
    def test_batch_norm(self, fmt: Format, weight: Format) -> None:
        g = np.random.default_rng(15)
        y = batch_norm(g, Dense(source(Fixed(4, 2), 1, 24), weights(g, weight, 5, 24), loc=("fc",)))
        new = check(graph_of(quantized(y, fmt)))
        assert "multi_threshold" in kinds(new)

    def test_every_level_of_the_accumulator(self) -> None:
        """The comparisons agree with the float chain at all integers, not only at those that frames reach."""
        g = np.random.default_rng(16)
        layer = Dense(source(Fixed(4, 2), 1, 24), weights(g, S6, 5, 24), loc=("fc",))
        q = Quantize(batch_norm(g, layer), Quantizer(Fixed(3, 1)))
        new = integer(graph_of(Dequantize(q)))
        (op,) = (o for o in new.ops if isinstance(o, MultiThreshold))
        acc = Input("acc", type=TensorType(op.x.format, op.x.shape))
        chain = graph_of(q.replace(x=q.x.replace(x=Dequantize(acc))))
        thresholds = graph_of(op.replace(x=acc))
        lo, hi = -24 * 8 * 32, 24 * 8 * 32  # 24 products of 4 and 6 bits
        levels = np.arange(lo, hi + 1).reshape(-1, 1, 1)
        frames = {"acc": np.broadcast_to(levels, (levels.size, 1, 5))}
        np.testing.assert_array_equal(run(thresholds, frames)["y"], run(chain, frames)["y"])

    def test_bisection_equals_enumeration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from edgec.passes import _thresholds

        g = np.random.default_rng(17)
        y = batch_norm(g, conv_block(g, source(S8, 1, 3, 5, 5), 6))
        graph = graph_of(quantized(Unary(y, "leaky_relu", alpha=0.1), Fixed(4, 2)))
        full = print_graph(integer(graph))
        monkeypatch.setattr(_thresholds, "FULL_RANGE", 0)
        halved = print_graph(integer(graph))
        assert full[0] == halved[0]
        assert all(np.array_equal(full[1][k], halved[1][k]) for k in full[1])

    def test_what_is_not_monotone_is_refused_by_name(self) -> None:
        g = np.random.default_rng(18)
        y = Dense(source(S8, 1, 24), weights(g, S6, 5, 24), loc=("fc",))
        context = Context()
        graph = graph_of(quantized(Unary(y, "sin", loc=("wave",)), Fixed(2, 1)))
        new = integer(graph, context=context)
        assert computes_in_floats(new) == ["unary", "quantize"]
        assert [n.layer for n in context.diagnostics] == ["wave"] and "not monotone" in (
            context.diagnostics[0].why or ""
        )

    def test_wrapping_quantiser(self) -> None:
        y = Dense(source(Fixed(4, 2), 1, 8), weights(np.random.default_rng(19), S6, 3, 8), loc=("fc",))
        graph = graph_of(quantized(Mul(y, constant([0.3])), Fixed(3, 1), overflow="wrap"))
        new = check(graph)
        assert "multi_threshold" not in kinds(new)


class TestLut:
    @pytest.mark.parametrize("function", ["sigmoid", "tanh", "sin", "hard_swish", "gelu"])
    @pytest.mark.parametrize("fmt", [Fixed(8, 1), affine(0.008, 2), Fixed(5, 1)])
    def test_functions(self, function: str, fmt: Format) -> None:
        new = check(graph_of(quantized(Unary(source(S8, 1, 9), function), fmt)))
        assert "lut" in kinds(new)

    def test_product_with_itself(self) -> None:
        x = source(affine(0.03, 17), 1, 9)
        graph = graph_of(quantized(Mul(x, Unary(x, "sigmoid")), affine(0.02, -100)))
        assert "lut" in kinds(check(graph))

    def test_affine_to_affine_is_exact(self) -> None:
        for zero, scale in ((0, 0.02), (9, 0.033), (-128, 0.01)):
            check(graph_of(quantized(source(affine(0.03, 17), 1, 64), affine(scale, zero))))

    def test_too_wide_for_a_table(self) -> None:
        context = Context()
        new = integer(graph_of(quantized(Unary(source(Fixed(14, 2), 1, 3), "tanh", loc=("t",)), S8)), context=context)
        assert computes_in_floats(new) == ["unary", "quantize"]
        assert context.diagnostics[0].layer == "t"


class TestAddition:
    def test_dyadic(self) -> None:
        x, z = source(S8, 1, 6), source(Fixed(5, 3), 1, 6, name="z")
        for op in (Add(x, z), Sub(x, z), Mul(x, z), Function(x, quantized(z, S8), "max")):
            check(graph_of(quantized(op, Fixed(6, 3))))

    def test_residual_of_affine_tensors(self) -> None:
        """Each code is that of the exact rational sum; a float executor differs at near-ties only."""
        g = np.random.default_rng(20)
        x, z = source(affine(0.031, 5), 1, 4, 6, 6), source(affine(0.017, -9), 1, 4, 6, 6, name="z")
        for arithmetic in (Add(x, z), Sub(x, z), Add(x, Mul(z, constant([0.5]))), Add(Mul(x, z), z)):
            graph = graph_of(quantized(Relu(arithmetic), affine(0.04, -128)))
            new = integer(graph)
            assert not computes_in_floats(new)
            frames = real_frames(graph, g, 64)
            assert explained(graph, new, frames)

    def test_one_unit_adds_before_it_rescales(self) -> None:
        x, z = source(affine(0.031, 5), 1, 40), source(affine(0.031, -9), 1, 40, name="z")
        new = integer(graph_of(quantized(Add(x, z), affine(0.04))))
        assert sum(isinstance(op, Requantize) for op in new.ops) == 1

    def test_constants(self) -> None:
        g = np.random.default_rng(21)
        x = source(affine(0.031, 5), 1, 3, 4, 4)
        y = Mul(Add(x, constant(g.normal(size=(3, 1, 1)))), constant(g.normal(size=(1, 3, 1, 1))))
        graph = graph_of(quantized(y, affine(0.05)))
        new = integer(graph)
        assert not computes_in_floats(new) and explained(graph, new, real_frames(graph, g))


def explained(graph: Graph, new: Graph, frames: dict[str, np.ndarray]) -> bool:
    """Whether every difference of the last layer is a near-tie."""
    values: dict[Op, np.ndarray] = {}
    theirs = run(graph.with_outputs([("y", graph.outputs[0][1].operands[0])]), frames)["y"]
    last = new.outputs[0][1].operands[0]
    run(new, frames, observe=lambda op, codes: values.__setitem__(op, codes))
    while not isinstance(last, Requantize | AvgPool):
        last = last.operands[0]
    return explain(last, values, theirs).ok


class TestMeans:
    @pytest.mark.parametrize(("x", "out"), [(U8, S8), (affine(0.03, 5), affine(0.03, 5)), (S8, Fixed(12, 1))])
    @pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 0, 0)])
    def test_average_pooling(self, x: Format, out: Format, pads: tuple[int, ...]) -> None:
        for include in (False, True):
            y = AvgPool(source(x, 1, 3, 6, 6), (3, 2), strides=(2, 2), pads=pads, count_include_pad=include)
            graph = graph_of(quantized(y, out))
            new = integer(graph)
            assert not computes_in_floats(new) and "avg_pool" in kinds(new)
            if x.frac is not None:
                check(graph)
            assert explained(graph, new, real_frames(graph, np.random.default_rng(0)))

    def test_other_units(self) -> None:
        g = np.random.default_rng(22)
        x = source(affine(0.03, 5), 1, 3, 5, 5)
        for y in (
            AvgPool(x, (5, 5)),
            Reduce(x, "mean", (2, 3)),
            Reduce(x, "mean", (1,), keepdims=False),
            Reduce(x, "mean", (0, 3)),
            Reduce(x, "sum", (2,)),
        ):
            graph = graph_of(quantized(y, affine(0.011, 3)))
            new = integer(graph)
            assert not computes_in_floats(new) and "reduce" in kinds(new)
            assert explained(graph, new, real_frames(graph, g, 64))

    def test_mean_without_quantiser(self) -> None:
        g = np.random.default_rng(23)
        y = Reshape(AvgPool(source(S8, 1, 3, 4, 4), (4, 4)), (1, 3))
        new = check(graph_of(quantized(Dense(y, weights(g, S6, 4, 3), loc=("fc",)), OUT)))
        assert "avg_pool" in kinds(new)


class TestMoves:
    def test_everything_that_moves(self) -> None:
        x = source(S8, 1, 2, 4, 6)
        halves = Split(x, (1, 1), 1)
        y: Op = Concat((Get(halves, 1), Get(halves, 0)), 1)
        y = Pad(y, (0, 0, 1, 0, 0, 0, 0, 1))
        y = MaxPool(Transpose(y, (0, 1, 3, 2)), (2, 2))
        y = Slice(y, (0, 0, 0, 0), (1, 2, 6, 4), (1, 1, 2, 1))
        y = Gather(Relu(y), (1, -1, 0), 1)
        y = Reduce(Clip(y, -0.5, 0.25), "max", (3,))
        new = check(graph_of(quantized(y, Fixed(6, 1)), ArgMax(y, 1)))
        assert kinds(new) >= {"split", "concat", "pad", "max_pool", "gather", "clip", "reduce", "arg_max"}
        assert sum(isinstance(op, Split) for op in new.ops) == 1

    def test_quantiser_moves_up(self) -> None:
        """Behind a move of float arithmetic, and to both sides of a concatenation of different scales."""
        g = np.random.default_rng(24)
        y = batch_norm(g, conv_block(g, source(S8, 1, 2, 4, 4), 3))
        a = MaxPool(y, (2, 2))
        b = Slice(source(affine(0.3, 3), 1, 3, 1, 1, name="z"), (0,) * 4, (1, 3, 1, 1), (1,) * 4)
        check(graph_of(quantized(Reshape(Concat((a, b), 1), (1, 6)), Fixed(3, 2))))

    def test_clip_between_values_stays_out_of_the_codes(self) -> None:
        y = Clip(source(Fixed(4, 2), 1, 9), -0.3, 0.9)
        check(graph_of(quantized(y, Fixed(8, 2)), quantized(Mul(y, y), Fixed(8, 2))))


class TestNotes:
    def test_what_stays(self) -> None:
        g = np.random.default_rng(25)
        x = source(S8, 1, 2, 4, 4)
        y: Op = ConvTranspose(x, weights(g, S6, 2, 3, 2, 2), strides=(2, 2), loc=("up",))
        y = quantized(y, S8)
        z = MatMul(Reshape(y, (1, 3, 8, 8)), y, loc=("attention",))
        context = Context()
        integer(graph_of(Softmax(z, loc=("softmax",))), context=context)
        assert [n.layer for n in context.diagnostics] == ["up", "attention", "softmax"]
        assert all(n.code == "N0003" and n.why for n in context.diagnostics)

    def test_slope_per_channel(self) -> None:
        """PReLU in front of many codes has no integer form on wide integers; the note names it."""
        g = np.random.default_rng(26)
        y = conv_block(g, source(S8, 1, 2, 4, 4), 3)
        y = PRelu(y, constant(np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1)), loc=("prelu",))
        context = Context()
        new = integer(graph_of(quantized(y, S8), quantized(y, Fixed(4, 1))), context=context)
        assert "multi_threshold" in kinds(new)
        assert [n.layer for n in context.diagnostics] == ["prelu"]


FORMATS = st.one_of(
    st.builds(Fixed, st.integers(2, 8), st.integers(0, 4), st.booleans()),
    st.builds(lambda z, f: Affine(Integer(8), (2.0**-f,), (z,)), st.integers(-128, 127), st.integers(0, 6)),
)
NARROW = st.one_of(
    st.sampled_from([Binary(), Ternary()]), st.builds(Fixed, st.integers(2, 4), st.integers(0, 2), st.booleans())
)
WEIGHTS = st.one_of(
    st.builds(Fixed, st.integers(2, 6), st.integers(0, 2)), st.sampled_from([Binary(), Ternary(), Pow2(3)])
)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Graph, int]:
    """Two to four layers on power-of-two units; float chains in front of narrow quantisers."""
    seed = draw(st.integers(0, 2**31))
    g = np.random.default_rng(seed)
    y = source(draw(FORMATS), 1, 3, 5, 5)
    for layer in range(draw(st.integers(1, 3))):
        fmt = draw(WEIGHTS)
        bias = draw(st.sampled_from(["none", "fixed", "float"]))
        b = {"none": None, "fixed": weights(g, S6, 4, loc="b"), "float": constant(g.normal(size=4))}[bias]
        y = Conv(y, weights(g, fmt, 4, y.shape[1], 3, 3), b, pads=(1, 1, 1, 1), loc=(f"conv{layer}",))
        activation = draw(st.sampled_from(["none", "relu", "batch_norm", "leaky", "scale"]))
        if activation == "relu":
            y = Relu(y)
        elif activation == "batch_norm":
            y = batch_norm(g, y)
        elif activation == "leaky":
            y = Unary(y, "leaky_relu", alpha=0.125)
        elif activation == "scale":
            y = Mul(y, constant(g.normal(size=(4, 1, 1))))
        exact = activation in ("none", "relu") and bias != "float"
        rounding = draw(st.sampled_from(["half_even", "floor", "half_up", "half_away", "trunc"]))
        y = quantized(y, draw(FORMATS if exact else NARROW), rounding)  # type: ignore[arg-type]
        if draw(st.booleans()):
            y = MaxPool(y, (2, 2))
    return graph_of(y), seed


@settings(max_examples=60, deadline=None)
@given(networks())
def test_drawn_networks(drawn: tuple[Graph, int]) -> None:
    """Sums stay below 2**24, so the float graph is exact and the integer graph equals it."""
    graph, seed = drawn
    new = integer(graph)
    assert not computes_in_floats(new)
    assert_equal(graph, new, real_frames(graph, np.random.default_rng(seed), 8))


def test_deterministic() -> None:
    g = np.random.default_rng(27)
    graph = graph_of(quantized(batch_norm(g, conv_block(g, source(S8, 1, 2, 4, 4), 3)), Fixed(4, 1)))
    first, second = print_graph(integer(graph)), print_graph(integer(graph))
    assert first[0] == second[0] and all(np.array_equal(first[1][k], second[1][k]) for k in first[1])


def test_random_codes_cover_the_format() -> None:
    assert set(random_codes(np.random.default_rng(0), Fixed(2, 2), 200)) == {-2, -1, 0, 1}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([4, 8]))
def test_quantized_random_networks(seed: int, bits: int) -> None:
    """Post-training quantisation to fixed point, then integers: exactly the fake-quantised network."""
    passes = f"fold-constants,fold-batch-norm,fuse,quantize{{format=fixed,activation_bits={bits},bits={bits}}}"
    graph = apply(random_net(seed), passes)
    assert_equal(graph, integer(graph), random_frames(graph, 4, seed))
