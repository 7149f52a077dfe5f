"""fold-constants and eliminate-identity."""

from __future__ import annotations

import numpy as np
import pytest
from pass_nets import apply, assert_same, check_golden, f32, mnemonics

from edgec.formats import F32, Affine, Fixed, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    Add,
    Cast,
    Clip,
    Concat,
    Constant,
    Dense,
    Dequantize,
    Expand,
    Gather,
    Get,
    Input,
    MatMul,
    Mul,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Slice,
    Split,
    Transpose,
    Unary,
    constant,
)
from edgec.passes import fold_constants
from edgec.pipeline import Context


def graph_of(x: Input, y) -> Graph:
    return Graph("g", (x,), (("y", y),))


def per_channel_weights() -> Dequantize:
    fmt = Affine(Integer(4), (0.5, 0.25, 0.125), (0,), 1)
    codes = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    return Dequantize(Constant(codes, type=TensorType(fmt, (4, 3)), loc=("w",)), loc=("dq",))


def quantised_parameters() -> Graph:
    """Quantised weights in both spellings, a computed bias, and a reshape of both."""
    x = f32("x", 2, 4)
    table = constant(np.linspace(-1, 1, 12).reshape(3, 4), loc=("table",))
    w = Dequantize(Quantize(table, Quantizer(Fixed(6, 1)), loc=("quant",)), loc=("dequant",))
    y = Dense(x, w, Unary(constant([1.0, 4.0, 9.0], loc=("squares",)), "sqrt", loc=("roots",)), loc=("dense0",))
    z = Dense(x, Transpose(per_channel_weights(), (1, 0), loc=("turn",)), loc=("dense1",))
    return graph_of(x, Add(y, z, loc=("sum",)))


def test_golden() -> None:
    before = quantised_parameters()
    after = apply(before, "fold-constants")
    check_golden("fold_constants", after)
    assert_same(before, after)
    assert mnemonics(after) == ["dequantize", "dense", "dequantize", "dense", "add"]


def test_quantized_parameters_stay_codes() -> None:
    after = apply(quantised_parameters(), "fold-constants")
    first, second = (op for op in after.ops if isinstance(op, Dense))
    assert isinstance(first.w, Dequantize) and first.w.x.format == Fixed(6, 1)
    assert isinstance(second.w, Dequantize) and isinstance(second.w.x, Constant)
    assert second.w.x.format.axis == 0 and second.w.x.loc == ("w", "turn")
    assert isinstance(first.b, Constant) and first.b.data.tolist() == [1, 2, 3] and first.b.loc == ("squares", "roots")


def test_a_layout_that_loses_the_channels_stays_outside() -> None:
    x = f32("x", 12)
    before = graph_of(x, Add(x, Reshape(per_channel_weights(), (12,))))
    after = apply(before, "fold-constants")
    assert mnemonics(after) == ["dequantize", "reshape", "add"]
    assert_same(before, after)


def test_large_results_are_left_to_run_time() -> None:
    x = f32("x", 1, 100, 100)
    big = Expand(constant([[2.0]]), (1, 100, 100))
    assert mnemonics(apply(graph_of(x, Mul(x, big)), "fold-constants")) == ["expand", "mul"]
    small = f32("x", 1, 10, 10)
    after = apply(graph_of(small, Mul(small, Expand(constant([[2.0]]), (1, 10, 10)))), "fold-constants")
    assert mnemonics(after) == ["mul"]


def test_parts_of_a_split_constant() -> None:
    x = f32("x", 2)
    split = Split(constant(np.arange(5.0)), (3, 2), 0)
    after = apply(graph_of(x, Add(x, Get(split, 1))), "fold-constants")
    assert mnemonics(after) == ["add"]
    assert [op.data.tolist() for op in after.ops if isinstance(op, Constant)] == [[3.0, 4.0]]


def test_an_output_may_become_a_constant() -> None:
    x = f32("x", 2)
    after = apply(graph_of(x, Relu(constant([-1.0, 1.0]))), "fold-constants")
    assert mnemonics(after) == [] and after.inputs == (x,)
    assert_same(graph_of(x, Relu(constant([-1.0, 1.0]))), after)


def test_identities() -> None:
    x = f32("x", 2, 3, 4)
    y = Reshape(Reshape(Reshape(x, (6, 4)), (24,)), (2, 3, 4))
    y = Transpose(Transpose(y, (2, 0, 1)), (1, 2, 0))
    y = Slice(y, (0, 0, 0), (2, 3, 4), (1, 1, 1))
    y = Pad(y, (0,) * 6)
    y = Concat((y,), 1)
    y = Cast(y, Quantizer(F32))
    y = Expand(y, (2, 3, 4))
    y = Gather(y, (0, 1, 2), 1)
    y = Get(Split(y, (3,), 1), 0)
    y = Add(Mul(y, constant([1.0])), constant(np.zeros((3, 1))))
    after = apply(graph_of(x, y), "eliminate-identity")
    assert mnemonics(after) == [] and after.outputs[0][1] is x


def test_what_only_looks_like_an_identity() -> None:
    x = f32("x", 2, 3)
    for y in (
        Reshape(x, (3, 2)),
        Transpose(x, (1, 0)),
        Slice(x, (0, 0), (1, 3), (1, 1)),
        Slice(x, (1, 0), (-1, 3), (-1, 1)),
        Gather(x, (0, 2, 1), 1),
        Gather(x, (0, 1), 1),
        Add(x, constant(np.zeros((1, 2, 3)))),
        Clip(x, -1.0),
        Expand(x, (2, 2, 3)),
    ):
        before = graph_of(x, y)
        after = apply(before, "eliminate-identity")
        assert len(mnemonics(after)) == 1
        assert_same(before, after)


def test_a_format_survives_its_own_round_trip() -> None:
    """Every code of a 16-bit format comes back through float32, so the pair may go; with floor it may not."""
    fmt = Affine(Integer(16), (0.0123,), (77,))
    x = Input("x", type=TensorType(fmt, (1 << 16,)))
    for rounding, expected in (("half_even", []), ("floor", ["dequantize", "quantize"])):
        before = graph_of(x, Quantize(Dequantize(x), Quantizer(fmt, rounding)))
        assert mnemonics(apply(before, "eliminate-identity")) == expected
    from edgec.interp import run

    codes = np.arange(-(1 << 15), 1 << 15).astype(np.int16)[None]
    assert (run(graph_of(x, Quantize(Dequantize(x), Quantizer(fmt))), {"x": codes})["y"] == codes).all()


def test_readers_are_counted_through_identities() -> None:
    """A layer read through a dropped reshape by several ops must not be duplicated by fusing."""
    x = f32("x", 1, 4)
    layer = Dense(x, constant(np.eye(4)), loc=("dense",))
    same = Reshape(layer, (1, 4))
    before = Graph("g", (x,), (("a", Add(same, constant(np.ones(4)))), ("b", Relu(same)), ("c", Unary(layer, "neg"))))
    for passes in ("fuse", "eliminate-identity,fuse", "fold-constants,fold-batch-norm,fuse"):
        after = apply(before, passes)
        assert mnemonics(after).count("dense") == 1
        assert_same(before, after)


@pytest.mark.parametrize("axis", [0, 1, 3, -1, -2])
def test_zero_of_channels_along_any_axis(axis: int) -> None:
    """What decides whether a padding or an empty place can be written."""
    assert Affine(Integer(4), (0.1, 0.2, 0.3), (1, 2, 3), axis).has_zero
    assert not Affine(Integer(4), (0.1, 0.2, 0.3), (1, 9, 3), axis).has_zero
    assert not Affine(Integer(4), (0.25, 0.5, 2.0), (0,), axis).encodes(1.0)


def test_what_is_folded_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants that double again and again, and a product of matrices: the rest is left to run time."""
    monkeypatch.setattr(fold_constants, "MOST", 10_000)
    monkeypatch.setattr(fold_constants, "PRODUCTS", 500)
    x = Constant(np.ones((1, 8), np.float32), type=TensorType(F32, (1, 8)))
    y: Op = x
    for _ in range(14):
        y = Concat((y, y), 1)
    w = Constant(np.ones((8, 8), np.float32), type=TensorType(F32, (8, 8)))
    given = Input("x", type=TensorType(F32, (2,)))
    graph = Graph("net", (given,), (("y", y), ("z", MatMul(w, MatMul(w, w))), ("x", given)))
    new = fold_constants.apply(graph, Context())
    assert sum(isinstance(op, MatMul) for op in new.ops) == 2
    kept = [op.tensor.size for op in new.ops if isinstance(op, Constant)]
    assert any(isinstance(op, Concat) for op in new.ops) and 4000 < max(kept) <= 16_384
    frames = {"x": np.zeros((1, 2), np.float32)}
    before, after = run(graph, frames), run(new, frames)
    assert all((before[name] == after[name]).all() for name in before)
