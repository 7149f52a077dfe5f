"""fold-batch-norm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pass_nets import apply, assert_same, batch_norm, check_golden, f32, mnemonics, residual_net, weights

from edgec.formats import Affine, Fixed, Integer, Quantizer
from edgec.graph import Graph
from edgec.ops import Add, Binary, Conv, ConvTranspose, Dense, Dequantize, Mul, Op, Quantize, Relu, Sub, constant


def test_golden() -> None:
    before = residual_net()
    after = apply(before, "fold-batch-norm")
    check_golden("fold_batch_norm", after)
    assert_same(before, after, relative=1e-5)
    assert [op.loc for op in after.ops if isinstance(op, Conv)] == [("conv0", "bn0"), ("conv1", "bn1")]


@given(
    seed=st.integers(0, 10**6),
    groups=st.sampled_from([1, 2, 4]),
    transposed=st.booleans(),
    bias=st.booleans(),
    rank=st.integers(1, 2),
)
@settings(max_examples=40, deadline=None)
def test_behind_convolutions(seed: int, groups: int, transposed: bool, bias: bool, rank: int) -> None:
    g = np.random.default_rng(seed)
    x = f32("x", 2, 4, *(5,) * rank)
    b = weights(g, 8) if bias else None
    kernel = (3,) * rank
    if transposed:
        y: Op = ConvTranspose(x, weights(g, 4, 8 // groups, *kernel), b, strides=(2,) * rank, groups=groups)
    else:
        y = Conv(x, weights(g, 8, 4 // groups, *kernel), b, pads=(1,) * 2 * rank, groups=groups)
    before = Graph("g", (x,), (("y", batch_norm(g, y)),))
    after = apply(before, "fold-batch-norm")
    assert len(mnemonics(after)) == 1
    assert_same(before, after, relative=1e-5)


@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 2, 4]), dense=st.booleans())
@settings(max_examples=30, deadline=None)
def test_before_unpadded_layers(seed: int, groups: int, dense: bool) -> None:
    g = np.random.default_rng(seed)
    if dense:
        x = f32("x", 3, 6)
        y: Op = Dense(batch_norm(g, x), weights(g, 5, 6), weights(g, 5))
    else:
        x = f32("x", 1, 4, 6, 6)
        y = Conv(batch_norm(g, x), weights(g, 8, 4 // groups, 3, 3), groups=groups)
    before = Graph("g", (x,), (("y", y),))
    after = apply(before, "fold-batch-norm")
    assert len(mnemonics(after)) == 1
    assert_same(before, after, relative=1e-5)


@pytest.mark.parametrize("mean", [True, False])
def test_before_padded_convolutions_only_without_offset(mean: bool) -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 4, 6, 6)
    before = Graph("g", (x,), (("y", Conv(batch_norm(g, x, mean=mean), weights(g, 3, 4, 3, 3), pads=(1, 1, 1, 1))),))
    after = apply(before, "fold-batch-norm")
    assert ("batch_norm" in mnemonics(after)) == mean
    assert_same(before, after, relative=1e-5)


def test_input_normalisation_goes_into_the_first_layer() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 3, 6, 6)
    y = Binary(Sub(x, constant(g.standard_normal((3, 1, 1)))), constant(g.uniform(1, 2, (3, 1, 1))), "div")
    before = Graph("g", (x,), (("y", Conv(y, weights(g, 4, 3, 3, 3))),))
    after = apply(before, "fold-batch-norm")
    assert mnemonics(after) == ["conv"]
    assert_same(before, after, relative=1e-5)


def test_scaled_outputs() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 3, 6, 6)
    y = Binary(Mul(constant(g.standard_normal((4, 1, 1))), Conv(x, weights(g, 4, 3, 3, 3))), constant([0.3]), "div")
    before = Graph("g", (x,), (("y", y),))
    after = apply(before, "fold-batch-norm")
    assert mnemonics(after) == ["conv"]
    assert_same(before, after, relative=1e-5)


@pytest.mark.parametrize("fmt", [Fixed(6, 1), Affine(Integer(4), (0.3,)), Affine(Integer(2), (0.125,))])
def test_quantized_weights_are_left(fmt) -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 3, 6, 6)
    w = Dequantize(constant(g.standard_normal((4, 3, 3, 3)), fmt))
    conv = Conv(x, w)
    before = Graph("g", (x,), (("y", batch_norm(g, conv)),))
    assert mnemonics(apply(before, "fold-constants,fold-batch-norm,fuse")) == ["dequantize", "conv", "batch_norm"]
    raw = Conv(batch_norm(g, x), Dequantize(Quantize(weights(g, 4, 3, 3, 3), Quantizer(fmt))))
    before = Graph("g", (x,), (("y", raw),))
    assert "batch_norm" in mnemonics(apply(before, "fold-batch-norm"))


def test_a_layer_with_two_readers_is_left() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 3, 6, 6)
    conv = Conv(x, weights(g, 4, 3, 3, 3))
    before = Graph("g", (x,), (("y", Add(batch_norm(g, conv), Relu(conv))),))
    assert "batch_norm" in mnemonics(apply(before, "fold-batch-norm"))


def test_what_varies_over_positions_is_left() -> None:
    g = np.random.default_rng(0)
    x = f32("x", 1, 3, 4, 4)
    conv = Conv(x, weights(g, 4, 3, 1, 1))
    before = Graph("g", (x,), (("y", Mul(conv, weights(g, 4, 4, 4))),))
    assert mnemonics(apply(before, "fold-batch-norm")) == ["conv", "mul"]
    zero = Binary(Conv(x, weights(g, 4, 3, 1, 1)), constant([0.0]), "div")
    assert mnemonics(apply(Graph("g", (x,), (("y", zero),)), "fold-batch-norm")) == ["conv", "binary"]
