"""Graphs of anything: each is refused with a diagnostic of what is unsupported, or built and then right."""

from __future__ import annotations

import pytest
from blocks_draws import Draw, affine, blocks, constants, graph_of, plain, quantizers, source, wide
from blocks_draws_other import per_channel
from blocks_support import TARGET, check_modules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgec.backends.rtl.design import make_plan
from edgec.diagnostics import EdgecError, Exit
from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer
from edgec.formats_compressed import Binary, Codebook, Minifloat, Pow2, Sparse, Ternary
from edgec.graph import Graph
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Conv,
    Dense,
    Dequantize,
    Expand,
    Gather,
    Lut,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    NormalizePow2,
    Op,
    PackBits,
    Pad,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Split,
    Sub,
    Transpose,
    Unary,
    Where,
    integers,
)
from edgec.ops import Binary as BinaryOp

odd = st.sampled_from(
    [
        F32, Pow2(3), Pow2(4, zero=True), Codebook(2, Fixed(5, 2), (-4, 0, 3)), Minifloat(2, 2),
        Sparse(Integer(4), 1, 2), Affine(Binary(), (0.5,)), Affine(Ternary(), (0.5,)), Affine(Pow2(3), (0.3,)),
        Integer(64), Integer(63, False), Integer(62), Fixed(50, 100), Fixed(8, -60),
    ]
)  # fmt: skip
formats = st.one_of(odd, odd, plain, affine(), wide, per_channel(2, 1))
shapes = st.sampled_from([(1, 2, 4), (1, 2, 2, 2), (2, 2), (3,), (), (0,), (1, 2, 0), (1, 2, 1, 1, 1)])


@st.composite
def operand(draw: Draw, fmt: Format, shape: tuple[int, ...], name: str) -> Op:
    """An input or, of formats that have codes, sometimes a constant."""
    if fmt.is_float or draw(st.integers(0, 3)):
        return source(fmt, *shape, name=name)
    if isinstance(fmt, Sparse):
        fmt = fmt.element
    return draw(constants(fmt, shape))


@st.composite
def targets(draw: Draw) -> Quantizer:
    quantizer = draw(quantizers())
    return Quantizer(draw(formats), quantizer.rounding, quantizer.overflow) if draw(st.booleans()) else quantizer


@blocks
def anything(draw: Draw) -> Op | Graph:
    fmt, shape = draw(formats), draw(shapes)
    x = draw(operand(fmt, shape, "x"))
    same, other = draw(operand(fmt, shape, "y")), draw(operand(draw(formats), shape, "z"))
    y = draw(st.sampled_from([same, other]))
    out = draw(targets()) if draw(st.booleans()) else None
    stated = {k: draw(targets()) for k in ("product", "acc", "out") if draw(st.booleans())}
    rank, flags = len(shape), draw(st.tuples(st.booleans(), st.booleans()))
    entries = fmt.code_range[1] - fmt.code_range[0] + 1 if not fmt.is_float and fmt.bits <= 6 else 1
    w_shape = draw(st.sampled_from([(2, *shape[1:2], *[1] * (rank - 2)), (3, *shape[-1:])]))
    w = draw(operand(draw(formats), w_shape, "w"))
    b = draw(st.none() | operand(draw(formats), w_shape[:1], "b"))
    makers = [
        lambda: Relu(x),
        lambda: Clip(x, -1.0, 1.0),
        lambda: Cast(x, draw(targets())),
        lambda: Add(x, y, out),
        lambda: Sub(x, y, out),
        lambda: Mul(x, y, out),
        lambda: Dense(x, w, b, **stated),
        lambda: Conv(x, w, b, **stated),
        lambda: MaxPool(x, (2,) * (rank - 2)),
        lambda: AvgPool(x, (2,) * (rank - 2), out=out),
        lambda: Reduce(x, draw(st.sampled_from(["sum", "max", "mean"])), (draw(st.integers(0, 1)),), flags[0]),
        lambda: ArgMax(x, 0, *flags),
        lambda: Requantize(x, draw(operand(Integer(4), (1,), "m")), integers([2]), None, draw(targets())),
        lambda: Lut(x, draw(operand(draw(formats), (entries,), "t"))),
        lambda: MultiThreshold(x, draw(operand(Integer(5), (1, 3), "t")), integers([1]), Integer(2, False)),
        lambda: NormalizePow2(x, 8, 4),
        lambda: PackBits(x, 1),
        lambda: Pad(x, (0, 1) * rank, "constant", draw(st.sampled_from([0.0, 1.0]))),
        lambda: Gather(x, tuple(draw(st.lists(st.integers(-1, 1), max_size=3))), 0),
        lambda: Concat((x, same), 0),
        lambda: Slice(x, (0,) * rank, (draw(st.integers(0, 2)),) * rank, (1,) * rank),
        lambda: Split(x, (1, 1), 1),
        lambda: Expand(x, (2, *shape)),
        lambda: Reshape(x, (x.tensor.size,)),
        lambda: Transpose(x, tuple(reversed(range(rank)))),
        lambda: Resize(x, (4,) * (rank - 2), (2.0,) * (rank - 2)),
        lambda: Unary(x, "tanh"),
        lambda: BinaryOp(x, same, draw(st.sampled_from(["max", "less", "div"]))),
        lambda: Where(BinaryOp(x, same, "less"), x, same),
        lambda: Softmax(x),
        lambda: MatMul(x, y),
        lambda: Quantize(x, draw(targets())),
        lambda: Dequantize(x),
    ]
    made = draw(st.sampled_from(makers))()
    if hasattr(made.type, "shape") and draw(st.booleans()):
        return graph_of(y=made, x=x)
    return graph_of(y=made)


def judge(graph: Graph, loaded: bool) -> bool:
    """Whether it was built; anything but a diagnostic of status UNSUPPORTED is a fault."""
    try:
        make_plan(graph, TARGET, {"name": "dut", "weights": "loaded" if loaded else "fixed"})
    except EdgecError as error:
        assert error.exit == Exit.UNSUPPORTED, error
        return False
    check_modules(graph, loaded)
    return True


def sweep(examples: int) -> None:
    built: list[bool] = []

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(anything(), st.booleans())
    def check(graph: Graph, loaded: bool) -> None:
        built.append(judge(graph, loaded))

    check()
    assert built.count(True) > examples // 10 and built.count(False) > examples // 10


def test_graphs_of_anything_are_refused_or_right() -> None:
    sweep(300)


@pytest.mark.long
def test_many_more_graphs_of_anything_are_refused_or_right() -> None:
    sweep(10_000)
