"""signed-bytes: the same values in signed codes inside the network, the same codes at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from pass_nets import check_golden

from edgec.formats import F32, Affine, Fixed, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Concat,
    Constant,
    Conv,
    Dequantize,
    Input,
    Lut,
    MaxPool,
    MultiThreshold,
    Op,
    Pad,
    Relu,
    Requantize,
    Sub,
    integers,
)
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


def test_residuals_and_outputs() -> None:
    """A sum reads values; the network's output is moved back."""
    graph = network(residual=True)
    new = signed_bytes.apply(graph, Context())
    assert [op.format.code_range for op in new.ops if isinstance(op, Conv)] and new.outputs[0][
        1
    ].format == graph.outputs[0][1].format
    (total,) = (op for op in new.ops if isinstance(op, Add))
    assert total.x.format.code_range == (-128, 127)
    frames = {"x": np.random.default_rng(2).integers(0, 256, (5, 1, 3, 5, 5))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()


def test_words() -> None:
    """16-bit numbers likewise."""
    u16 = Quantizer(Affine(Integer(16, signed_=False), (0.001,), (70,)))
    x = Input("x", type=TensorType(u16.format, (1, 3, 5, 5)))
    w = Constant(np.random.default_rng(3).integers(-127, 128, (3, 3, 1, 1)), type=TensorType(S8, (3, 3, 1, 1)))
    y = Conv(Relu(Requantize(Conv(x, w), integers([77_777]), integers([24]), None, u16)), w)
    graph = Graph("net", (x,), (("y", y),))
    new = signed_bytes.apply(graph, Context())
    assert [op.x.format.code_range for op in new.ops if isinstance(op, Conv)] == [(-32768, 32767)] * 2
    frames = {"x": np.random.default_rng(1).integers(0, 65536, (40, 1, 3, 5, 5))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()


def test_every_reader() -> None:
    """Ops on values, ops on codes, a constant among them, and one that needs the codes as they were."""
    rng = np.random.default_rng(4)
    x = Input("x", type=TensorType(U8, (1, 3, 6, 6)))
    w = Constant(rng.integers(-127, 128, (3, 3, 3, 3)), type=TensorType(S8, (3, 3, 3, 3)))
    layer = Requantize(Conv(x, w, loc=("a",)), integers([77_777]), integers([24]), None, Quantizer(U8), loc=("a",))
    other = Constant(rng.integers(0, 256, (1, 3, 4, 4)), type=TensorType(U8, (1, 3, 4, 4)))
    joined = Pad(Concat((layer, other), 1), (0, 0, 1, 0, 0, 0, 0, 1), "constant", 0.02)
    outputs = {
        "mean": AvgPool(joined, (2, 2)),
        "real": Dequantize(joined, F32),
        "index": ArgMax(joined, 1),
        "code": Lut(layer, Constant(rng.integers(0, 256, 256), type=TensorType(U8, (256,)))),
        "again": layer,
        "same": x,
    }
    graph = Graph("net", (x,), tuple(outputs.items()))
    new = signed_bytes.apply(graph, Context())
    frames = {"x": rng.integers(0, 256, (7, 1, 3, 6, 6))}
    before, after = run(graph, frames), run(new, frames)
    for name in outputs:
        assert before[name].dtype == after[name].dtype and (before[name] == after[name]).all(), name
    kinds = {type(op): op for op in new.ops}
    assert kinds[Concat].format.code_range == kinds[Pad].format.code_range == (-128, 127)
    assert [op.format.code_range for op in kinds[ArgMax].operands] == [(0, 255)]


def test_fixed_point_formats() -> None:
    """Casts, thresholds and means of unsigned fixed-point numbers; symmetric saturation leaves out no code."""
    rng = np.random.default_rng(5)
    u8, u4, s8 = Fixed(8, 2, signed_=False), Fixed(4, 1, signed_=False), Fixed(8, 1)
    x = Input("x", type=TensorType(Fixed(6, 0, signed_=False), (1, 3, 12, 12)))

    def layer(op: Op) -> Conv:
        return Conv(op, Constant(rng.integers(-127, 128, (3, 3, 3, 3)), type=TensorType(s8, (3, 3, 3, 3))))

    wide = Cast(layer(x), Quantizer(u8, "half_even", "saturate_symmetric"), loc=("a",))
    wrapped = Cast(layer(wide), Quantizer(u8, "floor", "wrap"), loc=("b",))
    total = Cast(Add(wide, wide), Quantizer(u8))
    steps = Constant(np.sort(rng.integers(-2000, 9000, (1, 15))), type=TensorType(Integer(16), (1, 15)))
    counted = MultiThreshold(layer(total), steps, integers([1]), u4)
    coarse = Cast(layer(AvgPool(counted, (1, 1), out=Quantizer(Fixed(4, 2, signed_=False), "floor"))), Quantizer(u8))
    outputs = {"coarse": coarse, "wrapped": wrapped, "counted": counted, "difference": Sub(wide, wide)}
    graph = Graph("net", (x,), tuple(outputs.items()))
    new = signed_bytes.apply(graph, Context())
    frames = {"x": rng.integers(0, 64, (7, 1, 3, 12, 12))}
    before, after = run(graph, frames), run(new, frames)
    for name, op in graph.outputs:
        assert dict(new.outputs)[name].type == op.type
        assert (before[name] == after[name]).all() and len(np.unique(before[name])) > 3 * (name != "difference"), name
    layers = [op for op in new.ops if isinstance(op, Conv)]
    assert len(layers) == 4 and all(op.x.format.signed for op in layers)
    assert {type(op) for op in new.ops} & {Cast, MultiThreshold} == {MultiThreshold}


def test_networks_without_layers_stay() -> None:
    x = Input("x", type=TensorType(U8, (1, 3, 6, 6)))
    graph = Graph("net", (x,), (("y", Relu(MaxPool(x, (2, 2)))),))
    assert all(a is b for a, b in zip(signed_bytes.apply(graph, Context()).ops, graph.ops, strict=True))


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
    assert pool.x.format.code_range == (-128, 127)
    frames = {"x": np.random.default_rng(5).integers(0, 256, (30, 1, 3, 6, 6))}
    assert (run(graph, frames)["y"] == run(new, frames)["y"]).all()
