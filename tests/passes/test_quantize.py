"""quantize: post-training quantisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pass_nets import apply, batch_norm, check_golden, f32, mnemonics, residual_net, weights
from random_nets import random_net

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    Get,
    Input,
    Lstm,
    MaxPool,
    Mul,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Softmax,
    Transpose,
    Unary,
    constant,
)
from edgec.passes._ranges import largest_frac
from edgec.pipeline import Context
from edgec.text import parse_graph, print_graph

FOLD = "fold-constants,fold-batch-norm,fuse,fold-padding"


def calibration(graph: Graph, frames: int = 16, seed: int = 3) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    return {i.name: g.standard_normal((frames, *i.shape)).astype(np.float32) for i in graph.inputs}


def quantized(graph: Graph, options: str = "", data: dict[str, np.ndarray] | None = None) -> tuple[Graph, Context]:
    context = Context(calibration=calibration(graph) if data is None else data)
    return apply(graph, "quantize" + (f"{{{options}}}" if options else ""), context), context


def pairs(graph: Graph) -> dict[str, Quantize]:
    """The quantisers of a graph by the last source name."""
    return {op.loc[-1]: op for op in graph.ops if isinstance(op, Quantize)}


def sqnr(before: Graph, after: Graph) -> float:
    data = calibration(before)
    a, b = run(before, data), run(after, data)
    name = before.outputs[0][0]
    noise = ((a[name] - b[name]) ** 2).sum()
    return float(10 * np.log10((a[name] ** 2).sum() / max(noise, 1e-30)))


def classifier() -> Graph:
    return apply(residual_net(), f"strip-softmax,{FOLD}")


def dyadic_net() -> tuple[Graph, dict[str, np.ndarray]]:
    """A residual network and calibration frames whose sums are exact in float32 in any order."""
    g = np.random.default_rng(0)

    def small(*shape: int, loc: str) -> Op:
        return constant(g.integers(-8, 9, shape) / 16, loc=(loc,))

    x = f32("image", 1, 3, 8, 8)
    y: Op = Relu(
        Conv(x, small(6, 3, 3, 3, loc="w0"), small(6, loc="b0"), pads=(1,) * 4, loc=("conv0",)), loc=("relu0",)
    )
    z: Op = Conv(y, small(6, 6, 3, 3, loc="w1"), small(6, loc="b1"), pads=(1,) * 4, loc=("conv1",))
    z = MaxPool(Relu(Add(z, y, loc=("add",)), loc=("relu1",)), (2, 2), strides=(2, 2), loc=("pool",))
    z = Reshape(AvgPool(z, (4, 4), loc=("mean",)), (1, 6), loc=("flat",))
    z = Softmax(Dense(z, small(4, 6, loc="w2"), small(4, loc="b2"), loc=("dense",)), loc=("softmax",))
    return Graph("dyadic", (x,), (("y", z),)), {"image": g.integers(-16, 17, (4, 1, 3, 8, 8)) / 8}


@pytest.mark.parametrize("fmt", ["affine", "fixed"])
def test_golden(fmt: str) -> None:
    net, data = dyadic_net()
    after, context = quantized(net, f"format={fmt}", data)
    check_golden(f"quantize_{fmt}", after)
    text, arrays = print_graph(after)
    assert print_graph(parse_graph(text, arrays))[0] == text
    assert [d.code for d in context.diagnostics] == ["N0001"]
    assert "softmax" in str(context.diagnostics[0].why)


def test_structure() -> None:
    """Every multiply-accumulate reads codes and is followed, through its activation, by a quantiser."""
    after, context = quantized(apply(residual_net(), FOLD))
    for op in after.ops:
        if isinstance(op, Conv | Dense):
            assert isinstance(op.w, Dequantize) and isinstance(op.w.x, Constant)
            assert isinstance(op.b, Dequantize) and isinstance(op.b.x, Constant)
            assert op.w.x.format.axis == 0 and op.w.x.format.base == Integer(8, True, True)  # type: ignore[attr-defined]
    assert set(pairs(after)) == {"image", "relu0", "bn1", "relu1", "mean", "dense"}
    assert pairs(after)["relu0"].loc == ("conv0", "bn0", "relu0")
    assert [r["layer"] for r in context.reports["quantize"]][1] == "conv0, bn0, relu0"
    assert mnemonics(after)[-1] == "softmax"
    assert {op.format for op in after.ops if op.mnemonic in ("max_pool", "reshape")} == {F32}


def test_biases_count_in_units_of_the_products() -> None:
    after, _ = quantized(classifier())
    for op in after.ops:
        if isinstance(op, Conv):
            x = op.x.x.format if isinstance(op.x, Dequantize) else None
            assert x is not None and op.b.x.format == Affine(  # type: ignore[union-attr]
                Integer(32),
                tuple((x.scale_array * op.w.x.format.scale_array).tolist()),
                (0,),
                0,  # type: ignore[attr-defined]
            )
    after, _ = quantized(classifier(), "format=fixed")
    for op in after.ops:
        if isinstance(op, Conv):
            assert op.b.x.format.frac == op.x.x.format.frac + op.w.x.format.frac  # type: ignore[union-attr, attr-defined]


def test_non_negative_tensors_are_unsigned() -> None:
    after, _ = quantized(classifier())
    assert pairs(after)["relu0"].format.base == Integer(8, False)  # type: ignore[attr-defined]
    assert pairs(after)["image"].format.base == Integer(8)  # type: ignore[attr-defined]
    symmetric, _ = quantized(classifier(), "symmetric=true")
    assert all(not q.format.zero_point_array.any() for q in pairs(symmetric).values())
    assert any(q.format.zero_point_array.any() for q in pairs(after).values())


def test_options_set_the_widths() -> None:
    after, _ = quantized(
        classifier(), "bits=4,activation_bits=6,input_bits=10,first_bits=7,last_bits=5,bias_bits=20,narrow=false"
    )
    layers = [op for op in after.ops if isinstance(op, Conv | Dense)]
    assert [op.w.x.format.bits for op in layers] == [7, 4, 5]  # type: ignore[attr-defined]
    assert {op.b.x.format.bits for op in layers} == {20}  # type: ignore[union-attr]
    assert layers[0].w.x.format.base == Integer(7)  # type: ignore[attr-defined]
    widths = {name: q.format.bits for name, q in pairs(after).items()}
    assert widths.pop("image") == 10 and set(widths.values()) == {6}
    floored, _ = quantized(classifier(), "rounding=floor,format=fixed,bias_bits=12")
    assert {q.out.rounding for q in pairs(floored).values()} == {"floor"}
    assert {op.b.x.format.bits for op in floored.ops if isinstance(op, Conv)} == {12}  # type: ignore[union-attr]
    single, _ = quantized(classifier(), "per_channel=false")
    assert {op.w.x.format.axis for op in single.ops if isinstance(op, Conv | Dense)} == {None}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [
        "bits=1",
        "bits=17",
        "activation_bits=1",
        "input_bits=99",
        "first_bits=0",
        "bias_bits=40",
        "percentile=50",
        "percentile=100.5",
        "percentile=nan",
        "format=fixed,per_channel=true",
        "frames=0",
    ],
)
def test_bad_values(options: str) -> None:
    with pytest.raises(EdgecError) as error:
        quantized(classifier(), options)
    assert error.value.code == "E0204" and error.value.exit == 2


@pytest.mark.parametrize("options", ["bit=8", "method=best", "format=int8", "bits=eight", "symmetric=perhaps"])
def test_bad_options(options: str) -> None:
    with pytest.raises(EdgecError) as error:
        quantized(classifier(), options)
    assert error.value.code == "E0207"


@given(bits=st.integers(2, 16), seed=st.integers(0, 10**6), fmt=st.sampled_from(["affine", "fixed"]))
@settings(max_examples=40, deadline=None)
def test_minmax_rounds_by_half_a_unit_at_most(bits: int, seed: int, fmt: str) -> None:
    """Within the calibrated range no value moves further than half a unit: weights, activations and biases."""
    g = np.random.default_rng(seed)
    x = f32("x", 1, 6)
    layer = Dense(x, constant(g.standard_normal((5, 6)) * 10.0 ** g.integers(-3, 3)), weights(g, 5))
    before = Graph("g", (x,), (("y", layer),))
    data = {"x": (g.standard_normal((40, 1, 6)) * 10.0 ** g.integers(-3, 3)).astype(np.float32)}
    after, _ = quantized(before, f"bits={bits},activation_bits={bits},format={fmt}", data)
    new = next(op for op in after.ops if isinstance(op, Dense))
    w = new.w.x.values - layer.w.values  # type: ignore[attr-defined]
    assert (np.abs(w) <= 0.5001 * new.w.x.format.scale_array[:, None]).all()  # type: ignore[attr-defined]
    b = new.b.x.values - layer.b.values  # type: ignore[union-attr]
    assert (np.abs(b) <= 0.5001 * new.b.x.format.scale_array).all()  # type: ignore[union-attr]
    quantizer = next(op for op in after.ops if isinstance(op, Quantize) and isinstance(op.x, Input))
    codes = quantizer.format.encode(data["x"])
    error = np.abs(quantizer.format.decode(codes) - data["x"])
    assert error.max() <= 0.5001 * quantizer.format.scale_array[0] * (2 if fmt == "affine" else 1)  # + zero point


@pytest.mark.parametrize("fmt", ["affine", "fixed"])
def test_more_bits_less_noise(fmt: str) -> None:
    before = classifier()
    levels = [
        sqnr(before, quantized(before, f"bits={b},activation_bits={b},format={fmt}")[0]) for b in (2, 4, 6, 8, 12)
    ]
    assert levels == sorted(levels) and levels[-1] > 50 and levels[3] > 25


@given(seed=st.integers(0, 10**6), fmt=st.sampled_from(["affine", "fixed"]))
@settings(max_examples=30, deadline=None)
def test_sixteen_bits_reproduce_random_networks(seed: int, fmt: str) -> None:
    before = apply(random_net(seed), FOLD)
    data = calibration(before, 8, 5)
    after, _ = quantized(before, f"bits=16,activation_bits=16,format={fmt}", data)
    a, b = run(before, data)["y"], run(after, data)["y"]
    size = float(np.abs(a).max()) + 1e-6
    assert float(np.abs(a - b).max()) < 0.02 * size


def test_percentiles() -> None:
    """The range is exactly the percentile of all calibration values when they fit the sample."""
    x = f32("x", 1, 64)
    before = Graph("g", (x,), (("y", Dense(x, constant(np.eye(64)), loc=("y",))),))
    data = {"x": np.random.default_rng(0).standard_normal((100, 1, 64)).astype(np.float32)}
    data["x"][3, 0, 5] = 100.0
    for percentile in (90.0, 99.0, 100.0):
        after, _ = quantized(before, f"method=percentile,percentile={percentile}", data)
        fmt = pairs(after)["x"].format
        low, high = np.percentile(data["x"], [100 - percentile, percentile])
        assert fmt.scale_array[0] == pytest.approx((high - low) / 255, rel=1e-6)
    minmax = pairs(quantized(before, "method=minmax", data)[0])["x"].format
    assert minmax == pairs(after)["x"].format


def test_mse_beats_minmax_on_outliers() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 64)
    w = g.standard_normal((64, 64))
    w[:, 0] *= 8
    before = Graph("g", (x,), (("y", Dense(x, constant(w), loc=("y",))),))
    data = {"x": g.laplace(size=(200, 1, 64)).astype(np.float32)}
    for fmt in ("affine", "fixed"):
        errors = {}
        for method in ("minmax", "mse"):
            after, _ = quantized(before, f"method={method},bits=4,activation_bits=4,format={fmt}", data)
            layer = next(op for op in after.ops if isinstance(op, Dense))
            codes = pairs(after)["x"].format
            errors[method] = (
                float(((layer.w.x.values - w) ** 2).sum()),  # type: ignore[attr-defined]
                float(((codes.decode(codes.encode(data["x"])) - data["x"]) ** 2).sum()),
            )
        assert errors["mse"][0] < 0.9 * errors["minmax"][0] or fmt == "fixed"
        assert errors["mse"][0] <= errors["minmax"][0] * 1.0001
        assert errors["mse"][1] < 0.9 * errors["minmax"][1]


def test_synthetic_calibration_is_stated() -> None:
    before = classifier()
    for options, words in (("", "normal"), ("{synthetic=uniform,frames=2}", "2 synthetic frames of numbers uniform")):
        contexts = [Context(seed=4), Context(seed=4), Context(seed=5)]
        texts = [print_graph(apply(before, "quantize" + options, c))[0] for c in contexts]
        assert texts[0] == texts[1] != texts[2]
        codes = [d.code for d in contexts[0].diagnostics]
        assert codes == ["W0001"] and words in str(contexts[0].diagnostics[0].why)


def test_bad_calibration() -> None:
    before = classifier()
    good = calibration(before)["image"]
    for data in (
        {"image": good[:, :, :2]},
        {"picture": good, "other": good},
        {"image": good[:0]},
        {"image": np.full_like(good, np.nan)},
        {"image": np.clip(good, -3, 3) * 1e38},
    ):
        with pytest.raises(EdgecError) as error:
            quantized(before, "", data)
        assert error.value.code == "E0210"


def test_concat_operands_share_one_format() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 6, 6)
    a = Relu(Conv(x, weights(g, 4, 4, 1, 1), loc=("a",)), loc=("relu",))
    b = Conv(x, constant(3 * g.standard_normal((4, 4, 1, 1))), loc=("b",))
    y = Conv(Concat((MaxPool(a, (1, 1)), b), 1, loc=("join",)), weights(g, 2, 8, 3, 3), loc=("c",))
    after, _ = quantized(Graph("g", (x,), (("y", y),)))
    formats = {name: q.format for name, q in pairs(after).items()}
    assert formats["relu"] == formats["b"] and set(formats) == {"x", "relu", "b", "c"}
    assert sqnr(Graph("g", (x,), (("y", y),)), after) > 25


def test_additions() -> None:
    shared, _ = quantized(classifier(), "share_add=true")
    own, _ = quantized(classifier())
    assert pairs(shared)["relu0"].format == pairs(shared)["bn1"].format
    assert pairs(own)["relu0"].format != pairs(own)["bn1"].format
    assert sqnr(classifier(), own) > sqnr(classifier(), shared) - 1


def test_constants_as_data() -> None:
    """A constant that is no bias becomes codes of its own."""
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 3, 3)
    y = Mul(Add(x, weights(g, 4, 3, 3)), weights(g, 3, 3))
    after, _ = quantized(Graph("g", (x,), (("y", y),)))
    assert mnemonics(after).count("quantize") == 3
    assert all(isinstance(op.y, Dequantize) for op in after.ops if isinstance(op, Add | Mul))
    assert sqnr(Graph("g", (x,), (("y", y),)), after) > 30


def test_constants_per_channel_stay_exact() -> None:
    """They end in the multipliers and offsets of the rescaling; coding them would only add noise."""
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 3, 3)
    factor, shift = weights(g, 4, 1, 1), weights(g, 1)
    y = Add(Mul(x, factor, loc=("m",)), shift, loc=("a",))
    after, _ = quantized(Graph("g", (x,), (("y", y),)), "share_add=true")
    assert set(pairs(after)) == {"x", "m", "a"}
    assert factor in after.ops and shift in after.ops
    assert not any(isinstance(op, Constant) and not op.format.is_float for op in after.ops)


def test_what_stays_float() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 6, 6)
    y: Op = Relu(Conv(x, weights(g, 4, 4, 3, 3), loc=("first",)), loc=("act",))
    y = ConvTranspose(y, weights(g, 4, 3, 3, 3), loc=("up",))
    y = Conv(Softmax(y, 1, loc=("soft",)), weights(g, 2, 3, 3, 3), loc=("second",))
    y = Reshape(Unary(Softmax(y, 1, loc=("end",)), "log", loc=("log",)), (2, 16), loc=("flat",))
    before = Graph("g", (x,), (("y", y),))
    after, context = quantized(before)
    assert set(pairs(after)) == {"x", "act", "soft", "second"}
    (note,) = context.diagnostics
    assert note.code == "N0001" and note.what.startswith("quantize left 5 ")
    for name in ("up (conv_transpose)", "soft", "end", "log", "flat"):
        assert name in str(note.why)
    assert sqnr(before, after) > 25
    kept, context = quantized(before, "keep_float=sec*|act")
    assert set(pairs(kept)) == {"x", "first"} and "second (conv)" in str(context.diagnostics[0].why)


def test_a_recurrent_layer_stays_float_between_quantised_layers() -> None:
    g = np.random.default_rng(1)
    x, state = f32("x", 5, 1, 6), constant(np.zeros((1, 4)))
    y: Op = Dense(x, weights(g, 3, 6), loc=("first",))
    layer = Lstm(y, weights(g, 16, 3), weights(g, 16, 4), constant(np.zeros(16)), state, state, loc=("lstm",))
    y = Dense(Reshape(Get(layer, 1, loc=("lstm",)), (1, 4), loc=("flat",)), weights(g, 2, 4), loc=("last",))
    before = Graph("g", (x,), (("y", y),))
    after, context = quantized(before)
    assert "lstm" in str(context.diagnostics[0].why)
    assert sum(isinstance(op, Lstm) for op in after.ops) == 1 and len(pairs(after)) >= 3
    assert sqnr(before, after) > 25


def test_what_is_quantized_already_stays() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 6, 6)
    inner = Quantizer(Fixed(5, 2))
    codes = Dequantize(Quantize(x, inner, loc=("q",)), loc=("dq",))
    w = Dequantize(constant(g.standard_normal((4, 4, 3, 3)), Fixed(3, 1)))
    y = Conv(codes, w, weights(g, 4), loc=("a",))
    y = Dequantize(Quantize(Relu(y, loc=("r",)), Quantizer(Fixed(6, 4)), loc=("rq",)), loc=("rdq",))
    y = AvgPool(y, (2, 2), loc=("p",))
    after, _ = quantized(Graph("g", (x,), (("y", y),)), "format=fixed")
    found = {name: str(q.format) for name, q in pairs(after).items()}
    assert set(found) == {"q", "rq", "p"} and (found["q"], found["rq"]) == ("fixed<5, 2>", "fixed<6, 4>")
    conv = next(op for op in after.ops if isinstance(op, Conv))
    assert conv.w is w and conv.b.x.format.frac == 3 + 2  # type: ignore[union-attr]


def test_infinite_padding_of_a_pooling() -> None:
    """It saturates to the lowest code, which never wins; here it cannot be folded, because a window sees only it."""
    x = f32("x", 1, 2, 4, 4)
    y = MaxPool(Pad(x, (0, 0, 0, 2, 0, 0, 0, 0), value=-np.inf), (2, 3), loc=("pool",))
    before = Graph("g", (x,), (("y", Relu(Conv(y, weights(np.random.default_rng(0), 3, 2, 1, 1)))),))
    after, _ = quantized(apply(before, FOLD))
    assert sqnr(before, after) > 25


def test_a_batch_norm_behind_quantized_weights_is_part_of_the_block() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 6)
    w = Dequantize(constant(g.standard_normal((4, 6)), Fixed(3, 1)))
    y = Binary(batch_norm(g, Mul(Dense(x, w, loc=("a",)), weights(g, 4))), constant([1.5]), "div", loc=("scaled",))
    y = Dequantize(Quantize(Relu(y, loc=("r",)), Quantizer(Fixed(6, 4)), loc=("rq",)), loc=("rdq",))
    y = batch_norm(g, y, "alone")
    before = Graph("g", (x,), (("y", Unary(y, "sigmoid", loc=("act",))),))
    after, context = quantized(before)
    assert set(pairs(after)) == {"x", "rq", "alone", "act"} and not context.diagnostics
    codes = Transpose(Input("c", type=TensorType(Fixed(4, 2), (2, 3))), (1, 0))
    context = Context(calibration={"c": np.zeros((1, 2, 3))})
    assert codes in apply(Graph("g", (codes.x,), (("y", codes),)), "quantize", context).ops  # type: ignore[arg-type]
    assert not context.diagnostics


def test_degenerate_tensors() -> None:
    """Channels of zeros, zero weights with a bias, and inputs that are always zero."""
    x = f32("x", 1, 3)
    w = np.array([[0.0, 0, 0], [1.0, -2, 3], [1e-30, 0, 0]])
    before = Graph("g", (x,), (("y", Dense(x, constant(w), constant([0.5, -0.25, 1e6]))),))
    for fmt in ("affine", "fixed"):
        for data in ({"x": np.zeros((4, 1, 3))}, calibration(before)):
            after, _ = quantized(before, f"format={fmt}", data)
            got, wanted = run(after, data)["y"], run(before, data)["y"]
            assert np.abs(got - wanted).max() <= 0.01 * np.abs(wanted).max()


@given(lo=st.floats(-1e6, 0), hi=st.floats(0, 1e6), bits=st.integers(2, 16), narrow=st.booleans(), signed=st.booleans())
@settings(max_examples=100, deadline=None)
def test_fraction_bits_are_the_most_that_fit(lo: float, hi: float, bits: int, narrow: bool, signed: bool) -> None:
    base = Integer(bits, signed, narrow and signed)
    lo = lo if signed else 0.0
    qmin, qmax = base.code_range
    frac = largest_frac(lo, hi, base)
    assert round(hi * 2.0**frac) <= qmax and round(lo * 2.0**frac) >= qmin
    if max(-lo, hi) > 1e-20:
        assert round(hi * 2.0 ** (frac + 1)) > qmax or round(lo * 2.0 ** (frac + 1)) < qmin
