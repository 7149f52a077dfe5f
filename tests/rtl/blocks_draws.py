"""Hypothesis strategies of number formats, quantizers and constants, and of multiply-accumulate blocks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Fixed, Format, FormatError, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Codebook, Pow2, Ternary
from edgec.graph import Graph, topological
from edgec.ops import Constant, Conv, Dense, Input, Op, centered_range
from edgec.ops.mac import product_range
from edgec.rounding import OVERFLOWS, ROUNDINGS

Draw = st.DrawFn
roundings = st.sampled_from(ROUNDINGS)
overflows = st.sampled_from(OVERFLOWS)


def graph_of(**outputs: Op) -> Graph:
    """The graph of the named outputs, its inputs in the order of their use."""
    inputs: dict[Op, None] = {}
    for op in outputs.values():
        inputs |= dict.fromkeys(o for o in topological(op) if isinstance(o, Input))
    return Graph("block", tuple(inputs), tuple(outputs.items()))  # type: ignore[arg-type]


def blocks(function: Callable[..., Op | Graph]) -> Callable[..., st.SearchStrategy[Graph]]:
    """Like `st.composite`, for functions that return an op or a graph; what the ops refuse is not drawn."""

    @st.composite
    def drawn(draw: Draw, *args: object) -> Graph:
        try:
            made = function(draw, *args)
        except (EdgecError, FormatError):
            reject()
        return made if isinstance(made, Graph) else graph_of(y=made)

    return drawn


def source(fmt: Format, *shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(fmt, shape))


@st.composite
def integer(draw: Draw, low: int = 1, high: int = 9) -> Integer:
    width, signed = draw(st.integers(low, high)), draw(st.booleans())
    return Integer(width, signed, signed and width > 1 and draw(st.booleans()))


@st.composite
def fixed(draw: Draw, low: int = 1, high: int = 9) -> Fixed:
    base = draw(integer(low, high))
    return Fixed(base.width, draw(st.integers(-1, base.width + 2)), base.signed_, base.narrow)


@st.composite
def affine(draw: Draw, dyadic: bool | None = None, zero: bool | None = None) -> Affine:
    """`dyadic`: the scale is a power of two; `zero`: whether there may be a zero point."""
    base = draw(st.sampled_from([Integer(8), Integer(8, False), Integer(8, True, True), Integer(4), Integer(3, False)]))
    ends = base.code_range
    point = draw(st.sampled_from([*ends, 0, 1]) | st.integers(*ends)) if zero is not False else 0
    scales = {None: [0.1, 0.25, 0.037, 2.0], True: [0.25, 1.0, 4.0], False: [0.1, 0.037]}[dyadic]
    return Affine(base, (draw(st.sampled_from(scales)),), (point,))


small = st.sampled_from([Binary(), Ternary(), Integer(1, False), Integer(1), Affine(Binary(), (0.25,))])
wide = st.sampled_from([Integer(40), Fixed(33, 7), Fixed(36, 36, False)])
plain = st.one_of(fixed(), integer(), small)
"""Formats with a power-of-two unit and no zero point."""
activations = st.one_of(plain, plain, affine(), st.just(Affine(Binary(), (0.037,))))
weights = st.one_of(
    fixed(2, 7),
    integer(1, 6),
    st.sampled_from(
        [Ternary(), Binary(), Pow2(3), Pow2(4, zero=True), Codebook(2, Integer(5), (-11, 0, 3, 7)), Integer(12)]
        + [Affine(Binary(), (0.037,)), Affine(Pow2(4), (0.1,))]
    ),
    affine(zero=True),
)
scaled = st.sampled_from(
    [Affine(base, (scale,)) for base in (Binary(), Ternary(), Pow2(4), Pow2(3, zero=True)) for scale in (0.037, 0.25)]
)
shifts = st.sampled_from([Pow2(width, zero) for width in (2, 3, 4) for zero in (False, True)])
loadable = st.one_of(
    fixed(1, 7), integer(1, 6), st.sampled_from([Ternary(), Binary()]), affine(zero=False), shifts, scaled
)


@st.composite
def quantizers(draw: Draw, low: int = 1, high: int = 10) -> Quantizer:
    target = draw(st.one_of(fixed(low, high), integer(low, high), fixed(low, high), affine(True, False), small))
    return Quantizer(target, draw(roundings), draw(overflows))


@st.composite
def constants(draw: Draw, fmt: Format, shape: tuple[int, ...]) -> Constant:
    """Random codes; half of the time many zeros, or a row of nothing else."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = generator.integers(*fmt.code_range, shape, endpoint=True)
    kind = draw(st.sampled_from(["dense", "dense", "sparse", "row", "ends"]))
    if kind == "ends":
        data = np.where(generator.random(shape) < 0.5, *fmt.code_range)
    elif kind != "dense" and fmt.axis is None and fmt.has_zero:
        zero = int(fmt.encode(np.zeros(1))[0])
        data = np.where(generator.random(shape) < 0.6, zero, data)
        if kind == "row" and len(data.shape) and data.size:
            data[0] = zero
    return Constant(data, type=TensorType(fmt, shape))


@st.composite
def product_quantizers(draw: Draw, x: Format, w: Format) -> Quantizer:
    """A rounding of products that cannot overflow."""
    drop = draw(st.integers(-2, 7))
    frac = (x.frac or 0) + (w.frac or 0) - drop
    ends = product_range(centered_range(x), centered_range(w))
    reach = max(max(map(abs, ends)) >> drop if drop > 0 else max(map(abs, ends)) << -drop, 1) + 1
    width = reach.bit_length() + 1 + draw(st.integers(0, 2))
    return Quantizer(Fixed(width, width - frac), draw(roundings), draw(overflows))


@st.composite
def arithmetic(draw: Draw, x: Format, w: Format) -> dict[str, Quantizer]:
    """Some of `product`, `acc` and `out`, where the units allow them."""
    stated: dict[str, Quantizer] = {}
    if x.frac is None or w.frac is None:
        return stated
    if draw(st.booleans()):
        stated["product"] = draw(product_quantizers(x, w))
    for key, low, high in (("acc", 4, 14), ("out", 1, 10)):
        if draw(st.booleans()):
            stated[key] = draw(quantizers(low, high))
    return stated


@st.composite
def biases(draw: Draw, x: Format, w: Format, outputs: int) -> Constant | None:
    if draw(st.booleans()):
        return None
    if x.frac is None or w.frac is None:
        return draw(constants(Integer(draw(st.integers(2, 12))), (outputs,)))
    scaled = Affine(Integer(10), (2.0 ** -(x.frac + w.frac),))
    return draw(constants(draw(st.one_of(fixed(1, 9), integer(1, 9), st.just(scaled), small)), (outputs,)))


@blocks
def dense_blocks(draw: Draw, loaded: bool = False) -> Op:
    x, w = draw(activations), draw(loadable if loaded else weights)
    k, o = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    if isinstance(w, Affine) and draw(st.booleans()):  # one scale an output
        w = Affine(w.base, tuple(0.01 * (i + 1) for i in range(o)), w.zero_point, 0)
    shape = (*draw(st.sampled_from([(), (1,), (2,), (1, 3)])), k)
    stated = draw(arithmetic(x, w))
    return Dense(source(x, *shape), draw(constants(w, (o, k))), draw(biases(x, w, o)), **stated)


@blocks
def conv_blocks(draw: Draw, loaded: bool = False) -> Op:
    """One or two axes; grouped, depthwise with a multiplier, dilated, and windows that see nothing but padding."""
    x, w = draw(activations), draw(loadable if loaded else weights)
    rank = draw(st.integers(1, 2))
    groups, per_group, multiplier = draw(
        st.sampled_from([(1, 1, 1), (1, 2, 3), (1, 3, 2), (2, 1, 1), (3, 1, 2), (2, 2, 1), (2, 2, 2)])
    )
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    size = tuple(draw(st.integers(1, 5 if rank == 2 else 7)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(2 * rank))
    dilations = tuple(draw(st.integers(1, 3)) if k > 1 else 1 for k in kernel)
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    frames = draw(st.sampled_from([1, 1, 2]))
    outputs = groups * multiplier
    if math.prod(size) * outputs > 60:
        strides = tuple(max(s, 2) for s in strides)
    stated = draw(arithmetic(x, w))
    return Conv(
        source(x, frames, groups * per_group, *size),
        draw(constants(w, (outputs, per_group, *kernel))),
        draw(biases(x, w, outputs)),
        strides,
        pads,
        dilations,
        groups,
        **stated,
    )


@blocks
def wide_blocks(draw: Draw) -> Op:
    """Sums beyond 32 bits."""
    x, w = draw(st.one_of(wide, fixed(12, 20))), draw(st.one_of(integer(8, 16), st.just(Ternary())))
    k = draw(st.integers(1, 6))
    stated = {"out": Quantizer(draw(fixed(20, 40)), draw(roundings), draw(overflows))} if draw(st.booleans()) else {}
    return Dense(source(x, 1, k), draw(constants(w, (2, k))), draw(biases(x, w, 2)), **stated)
