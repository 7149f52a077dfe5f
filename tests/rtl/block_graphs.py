"""Hypothesis strategies for small integer graphs, one block each, over shapes, formats, roundings and overflows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Fixed, Format, FormatError, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Codebook, Pow2, Ternary
from edgec.graph import Graph
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Constant,
    Conv,
    DecodeFloat,
    Dense,
    EncodeFloat,
    Gather,
    Input,
    Lut,
    MaxPool,
    Mul,
    MultiThreshold,
    NormalizePow2,
    Op,
    PackBits,
    Pad,
    Reduce,
    Relu,
    Requantize,
    Sub,
    Transpose,
    integers,
)
from edgec.rounding import OVERFLOWS, ROUNDINGS

roundings = st.sampled_from(ROUNDINGS)
overflows = st.sampled_from(OVERFLOWS)


@st.composite
def fixed(draw: st.DrawFn, low: int = 1, high: int = 9) -> Fixed:
    width = draw(st.integers(low, high))
    signed = draw(st.booleans())
    narrow = signed and width > 1 and draw(st.booleans())
    return Fixed(width, draw(st.integers(-1, width + 1)), signed, narrow)


@st.composite
def quantizers(draw: st.DrawFn, low: int = 1, high: int = 10) -> Quantizer:
    return Quantizer(draw(fixed(low, high)), draw(roundings), draw(overflows))


@st.composite
def affine(draw: st.DrawFn) -> Affine:
    base = draw(st.sampled_from([Integer(8), Integer(8, False), Integer(4), Integer(8, True, True)]))
    zero = draw(st.integers(*base.code_range))
    return Affine(base, (draw(st.sampled_from([0.1, 0.25, 0.037])),), (zero,))


activations = st.one_of(fixed(), affine(), st.just(Binary()), st.just(Ternary()), st.just(Integer(5, False)))
dyadic = st.one_of(fixed(), st.just(Ternary()), st.just(Integer(6)))
weight_formats = st.one_of(
    fixed(2, 6),
    st.just(Integer(4)),
    st.just(Ternary()),
    st.just(Binary()),
    st.just(Pow2(3)),
    st.just(Pow2(3, zero=True)),
    st.just(Codebook(2, Integer(4), (-5, 0, 3, 7))),
)
loadable = st.one_of(fixed(2, 6), st.just(Integer(4)), st.just(Ternary()), st.just(Binary()))


@st.composite
def constants(draw: st.DrawFn, fmt: Format, shape: tuple[int, ...]) -> Constant:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lo, hi = fmt.code_range
    data = generator.integers(lo, hi, shape, endpoint=True)
    if draw(st.booleans()) and fmt.has_zero:
        data = np.where(generator.random(shape) < 0.5, int(fmt.encode(np.zeros(1))[0]), data)
    return Constant(data, type=TensorType(fmt, shape))


def source(fmt: Format, *shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(fmt, shape))


@st.composite
def products(draw: st.DrawFn, x: Format, w: Format) -> Quantizer | None:
    """A rounding of products that cannot overflow, or none."""
    if x.frac is None or w.frac is None or not draw(st.booleans()):
        return None
    frac = x.frac + w.frac - draw(st.integers(0, 4))
    return Quantizer(Fixed(30, 30 - frac), draw(roundings), draw(overflows))


@st.composite
def macs(draw: st.DrawFn, loaded: bool = False) -> Op:
    x_format = draw(activations)
    w_format = draw(loadable if loaded else weight_formats)
    product = draw(products(x_format, w_format))
    dyadic_sum = x_format.frac is not None and w_format.frac is not None and not isinstance(x_format, Affine)
    quantised = {"product": product if dyadic_sum else None}
    for key in ("acc", "out"):
        quantised[key] = draw(quantizers(2, 14)) if dyadic_sum and draw(st.booleans()) else None
    bias_format: Format = draw(fixed(2, 8)) if dyadic_sum else Integer(10)
    if isinstance(x_format, Affine):
        bias_format = Integer(10)
    if draw(st.booleans()):
        k, o = draw(st.integers(1, 9)), draw(st.integers(1, 4))
        bias = draw(constants(bias_format, (o,))) if draw(st.booleans()) else None
        lead = draw(st.sampled_from([(1,), (2,), (1, 2)]))
        return Dense(source(x_format, *lead, k), draw(constants(w_format, (o, k))), bias, **quantised)
    rank = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 2]))
    per_group = draw(st.integers(1, 2))
    outputs = groups * draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    size = tuple(draw(st.integers(3, 5)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, 1)) for _ in range(2 * rank))
    dilations = tuple(draw(st.integers(1, 2)) if k > 1 else 1 for k in kernel)
    strides = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    bias = draw(constants(bias_format, (outputs,))) if draw(st.booleans()) else None
    w = draw(constants(w_format, (outputs, per_group, *kernel)))
    x = source(x_format, 1, groups * per_group, *size)
    return Conv(x, w, bias, strides, pads, dilations, groups, **quantised)


@st.composite
def elementwise(draw: st.DrawFn) -> Op:
    shape = draw(st.sampled_from([(1, 4), (1, 3, 2), (2, 2)]))
    kind = draw(st.sampled_from(["relu", "clip", "cast", "add", "sub", "mul", "requantize", "threshold", "lut"]))
    match kind:
        case "relu":
            return Relu(source(draw(st.one_of(fixed(), affine())), *shape))
        case "clip":
            return Clip(source(draw(fixed(4, 9)), *shape), draw(st.sampled_from([-1.0, 0.0])), 6.0)
        case "cast":
            return Cast(source(draw(dyadic), *shape), draw(quantizers()))
        case "requantize":
            channels = shape[1]
            values = np.random.default_rng(draw(st.integers(0, 2**31)))
            return Requantize(
                source(draw(st.one_of(fixed(), affine())), *shape),
                integers(values.integers(-300, 300, channels)),
                integers(values.integers(0, 12, channels)),
                integers(values.integers(-500, 500, channels)) if draw(st.booleans()) else None,
                Quantizer(draw(st.one_of(affine(), st.just(Integer(6)))), draw(roundings), draw(overflows)),
            )
        case "threshold":
            to = draw(st.sampled_from([Binary(), Integer(2, True, True), Integer(3, False), Fixed(4, 2)]))
            lo, hi = to.code_range
            values = np.random.default_rng(draw(st.integers(0, 2**31)))
            rows = draw(st.sampled_from([1, shape[1]]))
            table = np.sort(values.integers(-20, 20, (rows, hi - lo)), axis=1)
            signs = values.choice([-1, 1], rows)
            return MultiThreshold(source(draw(fixed(3, 7)), *shape), integers(table), integers(signs), to)
        case "lut":
            fmt, to = draw(fixed(1, 6)), draw(fixed(2, 8))
            entries = fmt.code_range[1] - fmt.code_range[0] + 1
            return Lut(source(fmt, *shape), draw(constants(to, (entries,))))
    out = draw(quantizers()) if draw(st.booleans()) else None
    x = source(draw(dyadic), *shape)
    other = draw(dyadic)
    y: Op = draw(constants(other, shape[-1:])) if draw(st.booleans()) else source(other, *shape, name="y")
    return {"add": Add, "sub": Sub, "mul": Mul}[kind](x, y, out)


@st.composite
def pools(draw: st.DrawFn) -> Op:
    kind = draw(st.sampled_from(["max", "avg", "sum", "reduce_max", "reduce_min", "argmax", "argmin"]))
    if kind in ("max", "avg"):
        kernel = tuple(draw(st.integers(2, 3)) for _ in range(2))
        options = {
            "strides": tuple(draw(st.integers(1, 2)) for _ in range(2)),
            "pads": tuple(draw(st.integers(0, 1)) for _ in range(4)),
            "ceil_mode": draw(st.booleans()),
        }
        x = source(draw(st.one_of(fixed(), affine())), 1, 2, 4, 5)
        if kind == "max":
            return MaxPool(x, kernel, **options)
        overflow = "saturate" if isinstance(x.format, Affine) else draw(overflows)  # ONNX has no narrow wrapping
        out = Quantizer(x.format, draw(roundings), overflow)
        if isinstance(x.format, Fixed) and draw(st.booleans()):
            out = draw(quantizers())
        return AvgPool(x, kernel, count_include_pad=draw(st.booleans()), out=out, **options)
    x = source(draw(fixed()), 1, 3, 4)
    if kind in ("argmax", "argmin"):
        return ArgMax(x, draw(st.integers(1, 2)), draw(st.booleans()), draw(st.booleans()), kind == "argmin")
    return Reduce(x, kind.removeprefix("reduce_"), draw(st.sampled_from([(1,), (2,), (1, 2)])), draw(st.booleans()))


@st.composite
def detectors(draw: st.DrawFn) -> Op:
    kind = draw(st.sampled_from(["decode", "encode", "normalize", "pack", "mask"]))
    if kind == "decode":
        e, m = draw(st.integers(1, 4)), draw(st.integers(0, 3))
        return DecodeFloat(source(Integer(e + m, False), 1, 4), e, m, draw(st.integers(0, 3)))
    if kind == "encode":
        x = source(Integer(draw(st.integers(1, 16)), False), 1, 3)
        return EncodeFloat(x, draw(st.integers(1, 5)), draw(st.integers(0, 4)))
    if kind == "normalize":
        x = source(Integer(draw(st.integers(1, 12)), False), 1, draw(st.integers(1, 6)))
        return NormalizePow2(x, draw(st.integers(4, 9)), draw(st.integers(0, 8)))
    width = draw(st.integers(1, 6))
    x = source(Fixed(width, 2, False), 1, 3)
    if kind == "pack":
        return PackBits(x, draw(st.integers(1, width)))
    mask = tuple(draw(st.integers(0, 1)) for _ in range(3 * width - 1)) + (1,)
    return PackBits(x, 0, mask)


@st.composite
def networks(draw: st.DrawFn) -> Op:
    """Several layers with a branch around some of them, so that values wait in registers."""
    fmt = draw(fixed(4, 7))
    x = source(fmt, 1, 2, 4, 4)
    w = draw(constants(Fixed(4, 1), (2, 2, 3, 3)))
    y: Op = Cast(Relu(Conv(x, w, pads=(1, 1, 1, 1))), Quantizer(Fixed(6, 3, False), draw(roundings), draw(overflows)))
    z: Op = Cast(Add(y, x), Quantizer(Fixed(7, 4), draw(roundings), draw(overflows)))
    z = draw(st.sampled_from([z, Transpose(z, (0, 1, 3, 2)), Pad(z, (0, 0, 1, 0, 0, 0, 0, -1))]))
    pooled = MaxPool(z, (2, 2), (2, 2))
    joined = (
        Concat((pooled, MaxPool(Cast(y, Quantizer(Fixed(7, 4))), (2, 2), (2, 2))), 1) if z.shape == y.shape else pooled
    )
    picked = Gather(joined, (1, -1, 0), 1)
    return Reduce(picked, "sum", (2, 3))


BLOCKS = {
    "macs": macs(),
    "loaded_macs": macs(loaded=True),
    "elementwise": elementwise(),
    "pools": pools(),
    "detectors": detectors(),
    "networks": networks(),
}


def graph_of(strategy_result: Op, name: str = "block") -> Graph:
    from edgec.graph import topological

    inputs = tuple(o for o in topological(strategy_result) if isinstance(o, Input))
    return Graph(name, inputs, (("y", strategy_result),))


def legal(strategy: st.SearchStrategy[Op]) -> st.SearchStrategy[Op]:
    """The strategy without draws that the ops themselves refuse."""

    @st.composite
    def attempt(draw: st.DrawFn) -> Op | None:
        try:
            return draw(strategy)
        except (EdgecError, FormatError, ValueError):
            return None

    return attempt().filter(lambda op: op is not None)
