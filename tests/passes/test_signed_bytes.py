"""signed-bytes: the same values in signed codes inside the network, the same codes at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from pass_nets import check_golden

from edgec.formats import Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Add, AvgPool, Constant, Conv, Input, MaxPool, Op, Relu, Requantize, integers
from edgec.passes import signed_bytes
from edgec.pipeline import Context

U8 = Affine(Integer(8, signed_=False), (0.02,), (7,))
S8 = Affine(Integer(8), (0.03,), (0,))


def network(*, residual: bool = False) -> Graph:
    rng = np.random.default_rng(0)

    def conv(y: Op, name: str) -> Op:
        w = Constant(rng.integers(-127, 128, (3, 3, 3, 3)), type=TensorType(S8, (3, 3, 3, 3)))
        made = Conv(y, w, pads=(1, 1, 1, 1), loc=(name,))
        return Requantize(made, integers([77_777]), integers([24]), None, Quantizer(U8), loc=(name,))

    x = Input("x", type=TensorType(U8, (1, 3, 5, 5)))
    first = conv(x, "a")
    y = MaxPool(Relu(first, loc=("relu",)), (2, 2), loc=("pool",))
    last = conv(y, "b")
    if residual:
        last = Add(first, first, loc=("add",))
    return Graph("net", (x,), (("y", last),))


def test_golden() -> None:
    check_golden("signed_bytes", signed_bytes.apply(network(), Context()))


def test_same_codes_at_the_borders() -> None:
    graph = network()
    new = signed_bytes.apply(graph, Context())
    frames = {"x": np.random.default_rng(1).integers(0, 256, (40, 1, 3, 5, 5))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()
    assert new.inputs == graph.inputs and new.outputs[0][1].format == U8
    convolutions = [op for op in new.ops if isinstance(op, Conv)]
    assert len(convolutions) == 2 and all(op.x.format.code_range == (-128, 127) for op in convolutions)


def test_codes_that_something_else_reads_stay() -> None:
    graph = network(residual=True)
    new = signed_bytes.apply(graph, Context())
    assert [op.format for op in new.ops if isinstance(op, Relu)] == [
        op.format for op in graph.ops if isinstance(op, Relu)
    ]
    frames = {"x": np.random.default_rng(2).integers(0, 256, (5, 1, 3, 5, 5))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()


@pytest.mark.parametrize("out", [None, Quantizer(U8), Quantizer(U8, "half_up"), Quantizer(S8, "half_up")])
def test_means_are_rounded_alike(out: Quantizer | None) -> None:
    """Windows of two and four, also at borders, so that halves occur."""

    def convolution(y: Op) -> Conv:
        w = Constant(np.random.default_rng(3).integers(-127, 128, (4, 3, 1, 1)), type=TensorType(S8, (4, 3, 1, 1)))
        return Conv(y, w)

    x = Input("x", type=TensorType(U8, (1, 3, 6, 6)))
    first = Requantize(convolution(x), integers([7_777]), integers([21]), None, Quantizer(U8))
    if out is not None and out.format == S8:  # the mean changes the unit, which it may only if both are dyadic
        halves, eighths = (Affine(Integer(8, signed_=s), (u,), (0,)) for s, u in ((False, 0.5), (True, 0.125)))
        first, out = first.replace(out=Quantizer(halves)), Quantizer(eighths, "half_up", "saturate")
    mean = AvgPool(first, (2, 2), (1, 1), (0, 1, 1, 0), out=out)
    w = Constant(np.random.default_rng(4).integers(-127, 128, (2, 4, 3, 3)), type=TensorType(S8, (2, 4, 3, 3)))
    graph = Graph("net", (x,), (("y", Requantize(Conv(mean, w), integers([9]), integers([12]), None, Quantizer(U8))),))
    new = signed_bytes.apply(graph, Context())
    pool = next(op for op in new.ops if isinstance(op, AvgPool))
    assert pool.format.code_range == (-128, 127)
    assert (pool.x.format.code_range == (-128, 127)) == (mean.format == first.format)
    frames = {"x": np.random.default_rng(5).integers(0, 256, (30, 1, 3, 6, 6))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()
