"""Hypothesis strategies of the blocks without weights: elementwise ops, format changes, pooling, moves, detectors."""

from __future__ import annotations

import numpy as np
from blocks_draws import (
    Draw,
    activations,
    affine,
    blocks,
    constants,
    fixed,
    graph_of,
    integer,
    overflows,
    plain,
    quantizers,
    roundings,
    small,
    source,
    wide,
)
from hypothesis import strategies as st

from edgec.formats import Affine, Fixed, Format, Integer, Quantizer
from edgec.formats_compressed import Binary, Ternary
from edgec.graph import Graph
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Conv,
    DecodeFloat,
    Dense,
    EncodeFloat,
    Expand,
    Gather,
    Get,
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
    Reshape,
    Slice,
    Split,
    Sub,
    Transpose,
    integers,
)

shapes = st.sampled_from([(1, 4), (1, 3, 2), (2, 2), (3,), (1, 1, 2, 2)])


@st.composite
def per_channel(draw: Draw, channels: int, axis: int, zeros: bool = True) -> Affine:
    """Affine with a scale for each channel, and a zero point too where `zeros`."""
    points = tuple(draw(st.integers(-8, 7)) for _ in range(channels)) if zeros else (0,)
    return Affine(Integer(4), tuple(0.1 * (i + 1) for i in range(channels)), points, axis)


@blocks
def activation_blocks(draw: Draw) -> Op:
    """Relu, Clip and Cast of every format."""
    shape = draw(shapes)
    x = source(draw(st.one_of(activations, wide)), *shape)
    match draw(st.sampled_from(["relu", "clip", "cast"])):
        case "relu":
            if draw(st.integers(0, 4)) == 0:
                x = source(draw(per_channel(shape[-1], -1)), *shape)
            return Relu(x)
        case "clip":
            ends = sorted(draw(st.sampled_from([-(2.0**30), -3.0, -1.0, -0.4, 0.0, 0.5, 1.0, 6.0])) for _ in range(2))
            return Clip(x, *ends)
    return Cast(x, draw(quantizers()))


@blocks
def arithmetic_blocks(draw: Draw) -> Op:
    """Add, Sub and Mul of mixed units, of constants on either side, and with broadcasting."""
    kind = draw(st.sampled_from([Add, Sub, Mul]))
    shape = draw(shapes)
    other = draw(st.sampled_from([shape, shape[-1:], (1,) * len(shape), (2, *shape)]))
    if kind is not Mul and draw(st.integers(0, 3)) == 0:
        form: Format = draw(st.one_of(affine(), per_channel(shape[-1], -1)))
        first, second, out = form, form, None
        if form.axis is not None:
            other = shape
    else:
        formats = st.one_of(plain, plain, affine(True)) if kind is Mul else st.one_of(plain, plain, affine(True), wide)
        first, second = draw(formats), draw(formats)
        out = draw(quantizers()) if draw(st.booleans()) else None
    x, y = source(first, *shape), source(second, *other, name="y")
    match draw(st.sampled_from(["both", "left", "right", "same"])):
        case "left":
            return kind(draw(constants(first, shape)), y, out)
        case "right":
            return kind(x, draw(constants(second, other)), out)
        case "same":
            return kind(x, x, out)
    return kind(x, y, out)


@blocks
def requantize_blocks(draw: Draw) -> Op:
    shape = draw(shapes)
    axis = draw(st.sampled_from([-1, 0])) if len(shape) == 1 else draw(st.sampled_from([1, -1]))
    channels = shape[axis]
    values = np.random.default_rng(draw(st.integers(0, 2**31)))

    def parameter(low: int, high: int) -> Op:
        return integers(values.integers(low, high, draw(st.sampled_from([1, channels])), endpoint=True))

    x = draw(st.one_of(activations, wide, per_channel(shape[-1], -1, draw(st.booleans()))))
    offset = parameter(-3000, 3000) if draw(st.booleans()) else None
    target = draw(st.one_of(affine(), fixed(), integer(1, 12)))
    size = draw(st.sampled_from([3, 300, 40000]))
    multiplier = parameter(-size, size) if draw(st.booleans()) else parameter(0, size)
    out = Quantizer(target, draw(roundings), draw(overflows))
    return Requantize(source(x, *shape), multiplier, parameter(-2, 14), offset, out, axis)


@blocks
def threshold_blocks(draw: Draw) -> Op:
    """1 to 15 levels of either sign, per tensor and per channel, also out of reach and equal ones."""
    targets = [Binary(), Ternary(), Integer(2, True, True), Integer(3, False), Fixed(4, 2), Fixed(2, 1), Integer(1)]
    to = draw(st.sampled_from([*targets, Affine(Integer(4), (0.3,), (2,)), Affine(Integer(2, False), (0.5,), (3,))]))
    shape = draw(st.sampled_from([(1, 4), (1, 3, 2), (2, 2)]))
    values = np.random.default_rng(draw(st.integers(0, 2**31)))
    rows, reach = draw(st.sampled_from([1, shape[1]])), draw(st.sampled_from([3, 30, 400]))
    table = np.sort(values.integers(-reach, reach, (rows, to.code_range[1] - to.code_range[0])), axis=1)
    signs = values.choice([-1, 1], draw(st.sampled_from([1, shape[1]])))
    x = source(draw(st.one_of(activations, per_channel(shape[-1], -1))), *shape)
    axis = draw(st.sampled_from([1, -1])) if shape[1] == shape[-1] else 1
    return MultiThreshold(x, integers(table), integers(signs), to, axis)


@blocks
def table_blocks(draw: Draw) -> Op:
    fmt, to = draw(st.one_of(integer(1, 8), affine(), small, fixed(1, 6))), draw(st.one_of(activations, wide))
    entries = fmt.code_range[1] - fmt.code_range[0] + 1
    return Lut(source(fmt, *draw(shapes)), draw(constants(to, (entries,))))


@blocks
def pool_blocks(draw: Draw) -> Op:
    rank = draw(st.sampled_from([1, 2, 2, 3]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    options = {
        "strides": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "pads": tuple(draw(st.integers(0, k - 1)) for k in kernel * 2),
        "dilations": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        "ceil_mode": draw(st.booleans()),
    }
    size = tuple(draw(st.integers(1, {1: 7, 2: 4, 3: 3}[rank])) for _ in range(rank))
    x = source(draw(st.one_of(activations, wide)), 1, draw(st.integers(1, 2)), *size)
    if draw(st.booleans()):
        return MaxPool(x, kernel, **options)
    out = None
    match draw(st.sampled_from(["default", "same", "other"])):
        case "same":
            out = Quantizer(x.format, draw(roundings), draw(overflows))
        case "other" if x.format.frac is not None:
            target = draw(st.one_of(fixed(), integer(), small, affine(True)))
            out = Quantizer(target, draw(roundings), draw(overflows))
    return AvgPool(x, kernel, count_include_pad=draw(st.booleans()), out=out, **options)


@blocks
def reduce_blocks(draw: Draw) -> Op:
    x = source(draw(st.one_of(activations, wide)), *draw(st.sampled_from([(1, 3, 4), (5,), (2, 1, 2, 3)])))
    rank = len(x.shape)
    keep = draw(st.booleans())
    kind = draw(st.sampled_from(["sum", "sum", "max", "min", "arg", "arg"]))
    if kind == "arg":
        return ArgMax(x, draw(st.integers(-rank, rank - 1)), keep, draw(st.booleans()), draw(st.booleans()))
    axes = draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1))
    return Reduce(x, kind, tuple(a - rank if draw(st.booleans()) else a for a in axes), keep)


@st.composite
def moved(draw: Draw, x: Op) -> Op:
    """One op that only moves elements; it may also bring constants in."""
    rank, shape = len(x.shape), x.shape
    axis = draw(st.integers(0, rank - 1))
    kinds = ["reshape", "transpose", "concat", "constant", "slice", "pad", "gather", "expand", "split"]
    match draw(st.sampled_from(kinds)):
        case "reshape":
            return Reshape(x, draw(st.sampled_from([(x.tensor.size,), (1, *shape), (*shape, 1)])))
        case "transpose":
            return Transpose(x, tuple(draw(st.permutations(range(rank)))))
        case "concat":
            return Concat((x, x), axis - rank)
        case "constant":
            return Concat((draw(constants(x.format, shape)), x), axis)
        case "slice":
            steps = tuple(draw(st.sampled_from([1, 1, 2, -1, -2])) for _ in range(rank))
            starts = tuple(n - 1 if s < 0 else draw(st.integers(0, n - 1)) for n, s in zip(shape, steps, strict=True))
            return Slice(x, starts, tuple(-1 if s < 0 else n for n, s in zip(shape, steps, strict=True)), steps)
        case "pad":
            mode = draw(st.sampled_from(["constant", "constant", "edge", "reflect"]))
            low = -1 if mode == "constant" else 0
            pads = tuple(draw(st.integers(low if n > 2 else 0, 1)) for n in shape * 2)
            return Pad(x, pads, mode, draw(st.sampled_from([0.0, 1.0, -1.0])) if mode == "constant" else 0.0)
        case "gather":
            indices = draw(st.lists(st.integers(-1, shape[axis] - 1), min_size=1, max_size=4))
            return Gather(x, tuple(indices), axis)
        case "expand":
            return Expand(x, (2, *shape))
    cut = draw(st.integers(1, shape[axis])) if shape[axis] > 1 else 1
    parts = Split(x, tuple(n for n in (cut, shape[axis] - cut) if n), axis)
    return Get(parts, draw(st.integers(0, len(parts.sizes) - 1)))


@blocks
def move_blocks(draw: Draw) -> Graph:
    """Moves before and behind an op that computes; the moves alone can be an output, and so can the input."""
    x = source(draw(activations), *draw(st.sampled_from([(1, 3, 2), (4,), (2, 2, 2), (1, 2, 3, 2)])))
    outputs: dict[str, Op] = {}
    y: Op = x
    for _ in range(draw(st.integers(1, 3))):
        if y.tensor.size < 40:
            y = draw(moved(y))
    if draw(st.booleans()):
        outputs["moved"] = y
    if draw(st.booleans()):
        outputs["passed"] = x
    z: Op = MaxPool(Reshape(y, (1, 1, y.tensor.size)), (1,)) if draw(st.booleans()) else Reduce(y, "max", (0,))
    for _ in range(draw(st.integers(0, 2))):
        if z.shape and z.tensor.size < 40:
            z = draw(moved(z))
    return graph_of(y=z, **outputs)


@blocks
def detector_blocks(draw: Draw) -> Op:
    lead = draw(st.sampled_from([(), (1,), (2,)]))
    kind = draw(st.sampled_from(["decode", "encode", "normalize", "pack", "mask"]))
    if kind == "decode":
        e, m = draw(st.integers(1, 5)), draw(st.integers(0, 4))
        return DecodeFloat(source(Integer(e + m, False), *lead, 3), e, m, draw(st.integers(0, 3)))
    if kind == "encode":
        x = source(Integer(draw(st.integers(1, 40)), False), *lead, 2)
        return EncodeFloat(x, draw(st.integers(1, 6)), draw(st.integers(0, 5)))
    if kind == "normalize":
        x = source(Integer(draw(st.integers(1, 22)), False), *lead, draw(st.integers(1, 9)))
        return NormalizePow2(x, draw(st.integers(1, 12)), draw(st.integers(0, 12)))
    base = draw(st.integers(1, 9))
    form = draw(
        st.sampled_from([Fixed(base, 2, False), Integer(base, False), Affine(Integer(base, False), (0.3,), (1,))])
    )
    if kind == "pack":
        return PackBits(source(form, *lead, 3), draw(st.integers(1, base)))
    mask = tuple(draw(st.integers(0, 1)) for _ in range(3 * base - 1)) + (1,)
    return PackBits(source(form, *lead, 3), 0, mask)


@blocks
def network_blocks(draw: Draw) -> Graph:
    """Residual networks: two inputs, branches of different depths, values that wait, several outputs."""

    def bring(y: Op, fmt: Format) -> Op:
        return Cast(y, Quantizer(fmt, draw(roundings), draw(overflows)))

    x, side = source(draw(fixed(3, 6)), 1, 2, 4, 4), source(draw(fixed(2, 5)), 1, 2, 4, 4, name="side")
    common = Fixed(6, 3)
    y: Op = Conv(x, draw(constants(Fixed(4, 1), (2, 2, 3, 3))), draw(constants(Fixed(5, 2), (2,))), pads=(1, 1, 1, 1))
    y = bring(Relu(y), Fixed(5, 3, False))
    first = y
    for _ in range(draw(st.integers(0, 2))):
        y = bring(Conv(y, draw(constants(Fixed(3, 1), (2, 1, 1, 1))), groups=2), common)
    y = bring(Add(y, draw(st.sampled_from([x, side, first]))), common)
    joined = Concat((y, draw(moved_channels(y)), bring(side, common)), 1)
    pooled = MaxPool(joined, (2, 2), (2, 2)) if draw(st.booleans()) else AvgPool(joined, (3, 2), (2, 2))
    flat = Reshape(pooled, (1, pooled.tensor.size))
    head = Dense(flat, draw(constants(Ternary(), (3, flat.shape[1]))), draw(constants(Integer(5), (3,))))
    outputs: dict[str, Op] = {"head": head, "label": ArgMax(head, 1)}
    if draw(st.booleans()):
        outputs["early"] = first
    if draw(st.booleans()):
        outputs["passed"] = side
    if draw(st.booleans()):
        outputs["turned"] = Transpose(x, (0, 1, 3, 2))
    return graph_of(**outputs)


@st.composite
def moved_channels(draw: Draw, y: Op) -> Op:
    moves = [
        Gather(y, (1, -1), 1),
        Transpose(y, (0, 1, 3, 2)),
        Get(Split(y, (1, 1), 1), 1),
        Slice(y, (0, 1, 3, 0), (1, -3, -1, 4), (1, -1, -1, 1)),
        Pad(y, (0, 0, 1, 0, 0, 0, -1, 0)),
    ]
    return draw(st.sampled_from(moves))
