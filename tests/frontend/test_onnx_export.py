"""Every stage exports to ONNX that onnxruntime evaluates to exactly the interpreter's numbers, and comes back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx_support import by_qonnx, check_against_onnxruntime, compare, real_values

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.frontend.onnx import load
from edgec.frontend.onnx_export import to_onnx
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    BatchNorm,
    Cast,
    Clip,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    DecodeFloat,
    Dense,
    Dequantize,
    EncodeFloat,
    Expand,
    Gather,
    Get,
    Input,
    Lut,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    Normalize,
    NormalizePow2,
    Op,
    PackBits,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    RequantizeFloat,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Split,
    Sub,
    Transpose,
    Unary,
    Where,
    constant,
    integers,
)
from edgec.ops import (
    Binary as BinaryOp,
)
from edgec.rounding import OVERFLOWS, ROUNDINGS


def graph_of(*outputs: Op, inputs: tuple[Input, ...]) -> Graph:
    return Graph("net", inputs, tuple((f"y{i}", o) for i, o in enumerate(outputs)))


def wire(fmt: Format, *shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(fmt, shape))


def codes(fmt: Format, shape: tuple[int, ...], seed: int = 1) -> Constant:
    lo, hi = fmt.code_range
    data = np.random.default_rng(seed).integers(lo, hi, shape, endpoint=True)
    return Constant(data.astype(fmt.dtype), type=TensorType(fmt, shape), loc=("w",))


def both_ways(graph: Graph, tolerance: float = 0.0, count: int = 16) -> None:
    """Interpreter = onnxruntime on the export, and = interpreter on the re-imported export; same bytes twice."""
    model = check_against_onnxruntime(graph, count=count, tolerance=tolerance)
    assert model.SerializeToString(deterministic=True) == to_onnx(graph).SerializeToString(deterministic=True)
    frames = random_frames(graph, count, 7)
    back = load(model)
    ours, theirs = run(graph, frames), run(back, real_values(graph, frames, model))
    values = {n: o.format.decode(theirs[n]) for n, o in back.outputs}
    compare(graph, ours, values, max(tolerance, 1e-6))


X = Fixed(8, 3)
FUNCTIONS = """abs neg exp sigmoid tanh erf softplus softsign floor ceil round sign sin cos mish
    hard_swish gelu gelu_tanh""".split()  # noqa: SIM905
W = Fixed(6, 1)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_every_rounding_and_overflow(rounding, overflow):
    x = wire(Fixed(10, 4), 1, 12)
    signed = Cast(x, Quantizer(Fixed(6, 3), rounding, overflow), loc=("signed",))
    unsigned = Cast(x, Quantizer(Fixed(5, 3, signed_=False), rounding, overflow), loc=("unsigned",))
    narrow = Cast(x, Quantizer(Fixed(6, 3, narrow=True), rounding, overflow), loc=("narrow",))
    y = wire(F32, 1, 12, name="f")
    from_float = Quantize(Mul(y, constant(np.float32(4.0))), Quantizer(Fixed(6, 3), rounding, overflow))
    both_ways(graph_of(signed, unsigned, narrow, from_float, inputs=(x, y)), count=64)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_float_quantisers_on_ties(rounding):
    x = wire(F32, 1, 41)
    frames = {"x": (np.arange(-20, 21, dtype=np.float32) / 4)[None, None]}
    graph = graph_of(Dequantize(Quantize(x, Quantizer(Fixed(5, 5), rounding))), inputs=(x,))
    check_against_onnxruntime(graph, frames)


@pytest.mark.parametrize(
    ("rounding", "overflow"), [("floor", "wrap"), ("floor", "saturate"), ("half_even", "wrap"), ("trunc", "saturate")]
)
def test_rounded_products(rounding, overflow):
    """The sum of floored products is not the floor of the sum: the export keeps each product's rounding."""
    product = Quantizer(Fixed(9, 2), rounding, overflow)
    x = wire(X, 1, 2, 5, 6)
    y = Conv(
        x,
        codes(W, (4, 1, 3, 2)),
        codes(Fixed(6, 1), (4,), 2),
        (2, 1),
        (1, 0, 1, 1),
        (1, 2),
        2,
        product,
        out=Quantizer(Fixed(8, 4), "floor", "saturate"),
        loc=("conv",),
    )
    z = wire(X, 1, 7, name="z")
    d = Dense(z, codes(W, (3, 7)), codes(W, (3,), 3), product, loc=("dense",))
    both_ways(graph_of(y, d, inputs=(x, z)), count=64)
    plain = Conv(x, y.w, y.b, y.strides, y.pads, y.dilations, 2, out=y.out)
    frames = random_frames(graph_of(y, inputs=(x,)), 64, 5)
    first = run(graph_of(y, inputs=(x,)), frames)["y0"]
    assert (first != run(graph_of(plain, inputs=(x,)), frames)["y0"]).any()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_integer_convolution(wide, groups):
    """Sums beyond 24 bits move to float64."""
    fx, fw = (Fixed(14, 6), Fixed(13, 1)) if wide else (X, W)
    x = wire(fx, 1, 4, 6, 5)
    y = Conv(x, codes(fw, (6, 4 // groups, 3, 3)), codes(Fixed(12, 3), (6,), 4), (1, 2), (1, 1, 0, 1), (1, 1), groups)
    z = Conv(
        x, y.w, None, acc=Quantizer(Fixed(12, 8), "floor", "wrap"), out=Quantizer(Fixed(9, 5), "half_up"), groups=groups
    )
    both_ways(graph_of(y, z, inputs=(x,)))


def test_dense_wide_and_narrow():
    x = wire(Integer(16), 1, 40)
    both_ways(graph_of(Dense(x, codes(Integer(15), (4, 40)), integers(np.arange(4))), inputs=(x,)))
    x = wire(X, 2, 3, 10)
    both_ways(graph_of(Dense(x, codes(Fixed(1, 1, signed_=False), (4, 10))), inputs=(x,)))


@pytest.mark.parametrize("fmt", [Binary(), Ternary(), Pow2(4), Pow2(4, zero=True), Affine(Binary(), (0.5,))])
def test_compressed_weights(fmt):
    x = wire(X, 1, 10)
    layer = Dense(x, codes(fmt, (4, 10)), loc=("dense",))
    unpacked = Dequantize(codes(fmt, (4, 10)))
    both_ways(graph_of(layer, unpacked, inputs=(x,)))


SCALED = Affine(Integer(8), (0.037,), (5,))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_requantize(rounding):
    """Affine integers: multiplier, offset and rounded shift, per channel, in 64-bit integers."""
    x = wire(SCALED, 1, 3, 4, 4)
    w = Constant(
        np.random.default_rng(3).integers(-127, 128, (5, 3, 3, 3)).astype(np.int8),
        type=TensorType(Affine(Integer(8), (0.01, 0.02, 0.03, 0.011, 0.07), (0,), 0), (5, 3, 3, 3)),
    )
    acc = Conv(x, w, integers(np.arange(-2, 3) * 100), pads=(1, 1, 1, 1), loc=("conv",))
    shift = integers(np.array([24, 25, 26, 24, 27]))
    multiplier = integers(np.array([1 << 20, 123456, 99999, 77777, (1 << 22) + 1]))
    out = Quantizer(Affine(Integer(8), (0.05,), (-3,)), rounding)
    y = Requantize(acc, multiplier, shift, None, out, 1, loc=("requant",))
    one = Requantize(acc, integers([5]), integers([9]), integers([1 << 8]), out, 1, loc=("one",))
    f = RequantizeFloat(acc, constant(np.array([0.01, 0.02, 0.005, 0.01, 0.03])), out, 1, loc=("float",))
    both_ways(graph_of(y, one, f, inputs=(x,)))


def test_thresholds_and_tables():
    x = wire(Fixed(8, 4), 1, 3, 5)
    thresholds = integers(np.sort(np.random.default_rng(0).integers(-120, 120, (3, 3)), axis=1))
    counted = MultiThreshold(x, thresholds, integers([1, -1, 1]), Fixed(2, 2), 1, loc=("mt",))
    sign = MultiThreshold(x, integers([[3]]), integers([1]), Binary(), 1, loc=("sign",))
    table = constant(np.random.default_rng(1).normal(0, 2, 256), Fixed(7, 3), loc=("table",))
    looked_up = Lut(x, table, loc=("lut",))
    again = Lut(sign, Constant(np.array([5, -7], np.int8), type=TensorType(Integer(8), (2,))), loc=("bits",))
    affine = wire(SCALED, 1, 3, 5, name="a")
    from_affine = Lut(
        affine,
        Constant(
            np.arange(256).astype(np.uint8), type=TensorType(Affine(Integer(8, signed_=False), (0.3,), (7,)), (256,))
        ),
    )
    graph = graph_of(counted, sign, looked_up, again, from_affine, inputs=(x, affine))
    both_ways(graph, count=32)
    kinds = {type(o).__name__ for o in load(to_onnx(graph)).ops}
    assert kinds >= {"MultiThreshold", "Lut"}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_integer_pooling(rounding):
    for fmt, out in ((X, Fixed(7, 3)), (X, Fixed(12, 3)), (SCALED, SCALED)):
        x = wire(fmt, 1, 2, 7, 6)
        whole = AvgPool(x, (7, 6), out=Quantizer(out, rounding))
        windows = AvgPool(x, (3, 2), (2, 2), (1, 0, 1, 1), ceil_mode=True, out=Quantizer(out, rounding))
        counted = AvgPool(x, (2, 2), pads=(1, 1, 0, 0), count_include_pad=True, out=Quantizer(out, rounding))
        largest = MaxPool(x, (3, 3), (2, 2), (1, 0, 1, 1), (1, 2), ceil_mode=True)
        both_ways(graph_of(whole, windows, counted, largest, inputs=(x,)))


@pytest.mark.parametrize("fmt", [X, SCALED, Integer(5, signed_=False)])
def test_moves_of_codes(fmt):
    x = wire(fmt, 1, 3, 4, 6)
    parts = Split(x, (1, 2), 1, loc=("split",))
    zero = 0.0
    ops = [
        Transpose(x, (0, 2, 3, 1)),
        Reshape(x, (2, 36)),
        Concat((Get(parts, 1), Get(parts, 0)), 1, loc=("cat",)),
        Slice(x, (0, 2, 3, 0), (1, -1, -1, 6), (1, -1, -2, 4)),
        Pad(x, (0, 0, 1, -1, 0, 0, 2, 1), "constant", zero),
        Pad(x, (0, 0, 1, 2, 0, 0, 2, 1), "reflect"),
        Gather(x, (2, -1, 0, 0), 1, loc=("map",)),
        Gather(x, (2, 0), -1),
        Expand(x, (2, 3, 4, 6)),
        Resize(x, (8, 9), (2.0, 1.5), "nearest", "asymmetric", "floor"),
        Relu(x),
        Clip(x, -0.3, 1.1) if fmt.signed else Clip(x, 3.0, 17.0),
        ArgMax(x, 3),
        ArgMax(x, 1, False, True, True),
        Reduce(x, "max", (1, 2)),
    ]
    both_ways(graph_of(*ops, inputs=(x,)))


def test_integer_arithmetic():
    x, y = wire(X, 1, 6), wire(Fixed(7, 1), 1, 6, name="y")
    quantizer = Quantizer(Fixed(6, 3), "half_even", "saturate")
    results = [op(x, y, q) for op, q in itertools.product((Add, Sub, Mul), (None, quantizer))]
    same = Reduce(x, "sum", (1,))
    bits = BinaryOp(x, x, "less_equal")
    best = BinaryOp(x, Cast(y, Quantizer(X)), "max")
    chosen = Where(BinaryOp(best, x, "equal"), x, best)
    flags = Unary(BinaryOp(bits, bits, "xor"), "not")
    both_ways(graph_of(*results, same, bits, best, chosen, flags, inputs=(x, y)))
    a, b = wire(SCALED, 1, 6, name="a"), wire(SCALED, 1, 6, name="b")
    both_ways(graph_of(Add(a, b), Sub(a, b), inputs=(a, b)))


def test_detector_ops():
    """Local functions of domain edgec: onnxruntime runs them, the import knows them."""
    cells = wire(Integer(7, signed_=False), 1, 48, name="cells")
    decoded = DecodeFloat(cells, 4, 3, 3, loc=("decode",))
    plain = DecodeFloat(cells, 4, 3, loc=("plain",))
    encoded = EncodeFloat(plain, 5, 4, loc=("encode",))
    norm = NormalizePow2(decoded, 8, 7, loc=("norm",))
    placed = Reshape(Gather(norm, (*range(48), *(-1,) * 16), 1, loc=("place",)), (1, 1, 8, 8), loc=("image",))
    packed = PackBits(norm, 5, loc=("pack",))
    masked = PackBits(cells, mask=tuple(int(i % 3 == 0) for i in range(48 * 7)), loc=("mask",))
    graph = graph_of(decoded, plain, encoded, norm, placed, packed, masked, inputs=(cells,))
    model = check_against_onnxruntime(graph, count=64)
    assert {f.name for f in model.functions} >= {"DecodeFloat", "EncodeFloat", "NormalizePow2", "PackBits", "CellMap"}
    both_ways(graph)
    kinds = {type(o).__name__ for o in load(model).ops}
    assert kinds >= {"DecodeFloat", "EncodeFloat", "NormalizePow2", "PackBits", "Gather"}
    empty = {"cells": np.zeros((2, 1, 48), np.uint8)}
    check_against_onnxruntime(graph, empty)


def test_float_ops():
    x, y = wire(F32, 1, 4, 6, 5), wire(F32, 1, 4, 6, 5, name="y")
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Constant:
        return constant(rng.normal(0, 1, shape).astype(np.float32))

    smooth = Unary(Mul(x, x), "sqrt")
    ops = [
        Conv(x, weights(6, 2, 3, 3), weights(6), (2, 1), (1, 1, 1, 1), (1, 2), 2),
        ConvTranspose(x, weights(4, 3, 3, 2), weights(3), (2, 2), (1, 0, 0, 1), output_padding=(1, 0)),
        Dense(x, weights(3, 5), weights(3)),
        MatMul(x, Transpose(y, (0, 1, 3, 2))),
        BatchNorm(x, weights(4), weights(4), weights(4), constant(rng.uniform(0.5, 2, 4).astype(np.float32))),
        AvgPool(x, (3, 2), (2, 2), (1, 0, 1, 1), count_include_pad=True),
        AvgPool(x, (2, 3), (2, 2), (0, 0, 0, 0), ceil_mode=True),
        MaxPool(x, (2, 3), (2, 2), ceil_mode=True),
        Softmax(x, 1),
        Softmax(x, -1, True),
        Normalize(x, weights(6, 5), weights(6, 5), 2),
        Normalize(x, weights(5), None),
        PRelu(x, weights(4, 1, 1)),
        Clip(x, -0.5),
        Clip(x, -0.5, 0.75),
        Pad(x, (0, 0, 1, 1, 0, 0, 2, 0), "edge"),
        Resize(x, (12, 7), (2.0, 1.4), "linear"),
        Resize(x, (9, 10), (1.5, 2.0), "linear", "align_corners"),
        Resize(x, (12, 10), (2.0, 2.0), "nearest", "half_pixel"),
        BinaryOp(x, y, "div"),
        BinaryOp(x, y, "mod"),
        BinaryOp(smooth, y, "pow"),
        *(Reduce(x, f, (2, 3)) for f in ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum_exp")),
        Reduce(x, "sum", (1,), keepdims=False),
        *(Unary(x, f) for f in FUNCTIONS),
        Unary(smooth, "log"),
        Unary(x, "hard_sigmoid", 0.3, 0.4),
        Unary(x, "elu", 0.7),
        Unary(x, "celu", 0.7),
        Unary(x, "selu", 1.5, 1.1),
        Unary(x, "leaky_relu", 0.2),
        Unary(x, "thresholded_relu", 0.5),
        ArgMax(x, 2),
    ]
    both_ways(graph_of(*ops, inputs=(x, y)), tolerance=1e-5, count=3)


@pytest.mark.parametrize(
    "fmt",
    [
        Fixed(8, 3),
        Fixed(4, 0, signed_=False),
        Affine(Integer(8), (0.1,)),
        Affine(Integer(8), (0.1,), (7,)),
        Affine(Integer(8, signed_=False), (0.05,), (100,)),
        Affine(Integer(4), (0.3,), (-2,)),
        Affine(Integer(6), (0.1, 0.2, 0.3), (0,), 1),
        Affine(Integer(16), (1e-3, 2e-3, 3e-3), (5, -6, 7), 1),
        Binary(),
        Affine(Binary(), (0.3,)),
        Affine(Binary(), (0.3, 0.25, 0.7), (0,), 1),
    ],
    ids=str,
)
def test_fake_quantised_stage(fmt):
    """Quantize-Dequantize pairs on activations and weights."""
    x = wire(F32, 2, 3, 4)
    pair = Dequantize(Quantize(x, Quantizer(fmt), loc=("q",)), loc=("q",))
    weights = Dequantize(codes(fmt, (2, 3, 4)), loc=("w",))
    loose = Quantize(Unary(x, "tanh"), Quantizer(fmt), loc=("codes",))  # also an output: stays by itself
    both_ways(graph_of(pair, weights, Add(pair, weights), loose, Dequantize(loose), inputs=(x,)), tolerance=1e-6)


def test_qonnx_runs_the_exported_stages():
    """Fake-quantised and integer stages in float32 run in the qonnx executor with equal results."""
    x = wire(F32, 1, 2, 6, 6)
    q = Dequantize(Quantize(x, Quantizer(Fixed(8, 3), "half_even"), loc=("in",)), loc=("in",))
    w = Dequantize(codes(Fixed(4, 1), (3, 2, 3, 3)), loc=("w",))
    y = Relu(Conv(q, w, loc=("conv",)), loc=("relu",))
    out = Dequantize(Quantize(y, Quantizer(Fixed(6, 4, signed_=False), "floor"), loc=("out",)), loc=("out",))
    flat = Dequantize(Quantize(Reshape(out, (1, 48)), Quantizer(Binary())), loc=("sign",))
    fake = graph_of(out, flat, inputs=(x,))
    c = wire(Fixed(8, 3), 1, 2, 6, 6)
    sums = Conv(c, codes(Fixed(4, 1), (3, 2, 3, 3)), loc=("conv",), out=Quantizer(Fixed(6, 4), "floor", "saturate"))
    table = constant(np.arange(64) / 8 - 4, Fixed(6, 4), loc=("t",))
    whole = graph_of(Lut(MaxPool(Relu(sums), (2, 2), (2, 2)), table), inputs=(c,))
    for graph in (fake, whole):
        model = to_onnx(graph, inline=True)
        frames = random_frames(graph, 4, 3)
        theirs = by_qonnx(model, real_values(graph, frames, model))
        compare(graph, run(graph, frames), theirs, 0.0)


def test_what_has_no_exact_form_is_refused():
    x = wire(Integer(40), 1, 4)
    with pytest.raises(EdgecError, match="no exact float type") as caught:
        to_onnx(graph_of(Dense(x, codes(Integer(20), (2, 4))), inputs=(x,)))
    assert caught.value.code == "E0304"
    y = wire(F32, 1, 4)
    with pytest.raises(EdgecError, match="pow2") as caught:
        to_onnx(graph_of(Quantize(y, Quantizer(Pow2(4))), inputs=(y,)))
    assert caught.value.code == "E0304"


def test_metadata_names_the_formats():
    x = wire(X, 1, 4, name="in put")
    model = to_onnx(graph_of(Relu(x), inputs=(x,)))
    facts = {p.key: p.value for p in model.metadata_props}
    assert facts["edgec.input.in put"] == facts["edgec.output.y0"] == "fixed<8, 3>"
    assert model.producer_name == "edgec"
