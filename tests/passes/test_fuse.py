"""fuse: canonical forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pass_nets import apply, assert_same, check_golden, f32, mnemonics, weights

from edgec.formats import F32, Affine, Fixed, Integer, TensorType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Clip,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    MatMul,
    MaxPool,
    Mul,
    Op,
    PRelu,
    Reduce,
    Relu,
    Reshape,
    Sub,
    Transpose,
    Unary,
    constant,
)

X = f32("x", 1, 4, 6, 6)
G = np.random.default_rng(0)


def fused(y: Op, *expected: str, relative: float = 0.0) -> Op:
    """The output of `y` after fuse, which must consist of the `expected` ops and compute the same."""
    before = Graph("g", (X,), (("y", y),))
    after = apply(before, "fuse")
    assert tuple(mnemonics(after)) == expected
    assert_same(before, after, relative=relative)
    return after.outputs[0][1]


def test_golden() -> None:
    g = np.random.default_rng(2)
    y: Op = Conv(X, weights(g, 8, 4, 3, 3, loc="k"), pads=(1, 1, 1, 1), loc=("conv",))
    y = Sub(y, constant(np.arange(8.0).reshape(8, 1, 1), loc=("shift",)), loc=("shifted",))
    y = MaxPool(y, (2, 2), strides=(2, 2), loc=("pool",))
    y = Binary(constant([0.0]), y, "max", loc=("relu",))
    y = Clip(y, -math.inf, 6.0, loc=("six",))
    y = Reshape(Reduce(y, "mean", (3, 2), loc=("mean",)), (1, 8), loc=("flat",))
    w = Dequantize(constant(g.standard_normal((3, 8)), Fixed(6, 1), loc=("w",)), loc=("w",))
    b = Dequantize(constant([0.5, -0.25, 0.125], Fixed(6, 1), loc=("b",)), loc=("b",))
    before = Graph("g", (X,), (("y", Add(b, Dense(y, w, loc=("dense",)), loc=("add",))),))
    after = apply(before, "fuse")
    check_golden("fuse", after)
    assert_same(before, after, relative=1e-6)


@pytest.mark.parametrize("left", [True, False])
def test_added_constants_become_biases(left: bool) -> None:
    for layer, shape in (
        (Conv(X, weights(G, 8, 4, 3, 3)), (8, 1, 1)),
        (Conv(X, weights(G, 8, 4, 3, 3)), (1, 1, 1, 1)),
        (ConvTranspose(X, weights(G, 4, 8, 2, 2)), (1, 8, 1, 1)),
        (Dense(X, weights(G, 5, 6)), (5,)),
    ):
        c = weights(G, *shape)
        op = fused(Add(c, layer) if left else Add(layer, c), layer.mnemonic)
        assert op.b.shape == (layer.w.shape[1] if isinstance(layer, ConvTranspose) else layer.w.shape[0],)  # type: ignore[attr-defined]
    fused(Sub(Dense(X, weights(G, 5, 6)), weights(G, 5)), "dense")
    fused(Add(Dense(X, weights(G, 5, 6), weights(G, 5)), weights(G, 5)), "dense", relative=1e-6)


def test_quantized_biases_keep_their_codes() -> None:
    w = Dequantize(constant(G.standard_normal((6, 6)), Fixed(6, 1)))
    fmt = Affine(Integer(8), tuple(np.linspace(0.1, 0.6, 6)), (0,), 0)
    b = Dequantize(constant(np.linspace(-1, 1, 6), fmt))
    op = fused(Add(b, Dense(X, w)), "dequantize", "dequantize", "dense")
    assert isinstance(op, Dense) and isinstance(op.b, Dequantize) and op.b.x.format == fmt
    single = Dequantize(constant([[0.5]], Fixed(4, 1)))
    op = fused(Add(Dense(X, w), single), "dequantize", "dequantize", "dense")
    assert op.b.shape == (6,) and op.b.x.format == Fixed(4, 1)  # type: ignore[attr-defined]
    spatial = Dequantize(constant(np.linspace(-1, 1, 6).reshape(6, 1), Fixed(6, 1)))
    fused(Add(Dense(X, w), spatial), "dequantize", "dense", "dequantize", "add")


def test_what_is_no_bias() -> None:
    fused(Add(Conv(X, weights(G, 8, 4, 3, 3)), weights(G, 8, 4, 4)), "conv", "add")
    fused(Add(Conv(X, weights(G, 1, 4, 3, 3)), weights(G, 8, 1, 1)), "conv", "add")
    conv = Conv(X, weights(G, 8, 4, 3, 3))
    fused(Add(Relu(conv), Add(conv, weights(G, 8, 1, 1))), "conv", "relu", "add", "add")


def test_clipping() -> None:
    assert fused(Clip(X, 0.0), "relu")
    op = fused(Clip(Relu(X), -3.0, 6.0), "clip")
    assert (op.lo, op.hi) == (0.0, 6.0)  # type: ignore[attr-defined]
    op = fused(Relu(Clip(Clip(X, -1.0, 4.0), -2.0, 3.0)), "clip")
    assert (op.lo, op.hi) == (0.0, 3.0)  # type: ignore[attr-defined]
    fused(Clip(Clip(X, -1.0, 0.5), 1.0, 3.0), "clip", "clip")  # disjoint: always 1
    op = fused(Binary(Binary(X, constant([6.0]), "min"), constant(np.zeros((1, 4, 1, 1))), "max"), "clip")
    assert (op.lo, op.hi) == (0.0, 6.0)  # type: ignore[attr-defined]
    fused(Binary(X, weights(G, 4, 1, 1), "max"), "binary")
    fused(Binary(Reshape(X, (4, 36)), constant(np.zeros((3, 4, 36))), "max"), "reshape", "binary")
    relu = Relu(X)
    fused(Add(Clip(relu, 0.0, 1.0), relu), "relu", "clip", "add")


def test_leaky_relu() -> None:
    op = fused(PRelu(X, constant(np.full((4, 1, 1), 0.3))), "unary")
    assert op.function == "leaky_relu" and op.alpha == float(np.float32(0.3))  # type: ignore[attr-defined]
    fused(PRelu(X, constant(np.zeros((1,)))), "relu")
    fused(PRelu(X, weights(G, 4, 1, 1)), "prelu")


def test_division_by_powers_of_two_only() -> None:
    op = fused(Binary(X, constant(np.array([2.0, -0.25, 1024.0, 1.0]).reshape(4, 1, 1)), "div"), "mul")
    assert op.y.data.ravel().tolist() == [0.5, -4.0, 2.0**-10, 1.0]  # type: ignore[attr-defined]
    fused(Binary(X, constant([3.0]), "div"), "binary")
    fused(Binary(constant([2.0]), X, "div"), "binary")


def test_constants_on_the_right() -> None:
    for op in (Mul(constant([3.0]), X), Add(weights(G, 4, 1, 1), X)):
        assert isinstance(fused(op, op.mnemonic).y, Constant)  # type: ignore[attr-defined]


def test_mean_becomes_pooling() -> None:
    op = fused(Reduce(X, "mean", (2, 3)), "avg_pool", relative=1e-6)
    assert isinstance(op, AvgPool) and op.kernel == (6, 6)
    fused(Reduce(X, "mean", (-1, 2), keepdims=False), "avg_pool", "reshape", relative=1e-6)
    fused(Reduce(X, "mean", (1, 2)), "reduce")
    fused(Reduce(X, "max", (2, 3)), "reduce")


def test_matmul_becomes_dense() -> None:
    fused(MatMul(X, weights(G, 6, 3)), "dense", relative=1e-6)
    op = fused(Add(MatMul(X, weights(G, 6, 3)), weights(G, 3)), "dense", relative=1e-6)
    assert op.b is not None  # type: ignore[attr-defined]
    codes = constant(G.standard_normal((6, 3)), Affine(Integer(4), (0.1, 0.2, 0.3), (0,), 1))
    op = fused(MatMul(X, Dequantize(codes)), "dequantize", "dense", relative=1e-6)
    assert op.w.x.format.axis == 0 and op.w.shape == (3, 6)  # type: ignore[attr-defined]
    rows = constant(G.standard_normal((6, 3)), Affine(Integer(4), (0.1,) * 6, (0,), 0))
    fused(MatMul(X, Dequantize(rows)), "dequantize", "mat_mul")
    fused(MatMul(X, Transpose(X, (0, 1, 3, 2))), "transpose", "mat_mul")


def test_activations_go_next_to_their_layers() -> None:
    fused(Relu(MaxPool(X, (2, 2))), "relu", "max_pool")
    moved = MaxPool(Reshape(Transpose(X, (0, 2, 3, 1)), X.shape), (2, 2))
    fused(Clip(Relu(moved), 0, 6), "clip", "transpose", "reshape", "max_pool")
    fused(Relu(AvgPool(X, (2, 2))), "avg_pool", "relu")
    pool = MaxPool(X, (2, 2))
    fused(Add(Relu(pool), pool), "max_pool", "relu", "add")
    twice = Unary(X, "neg")
    fused(Add(Relu(Reshape(twice, X.shape)), twice), "unary", "relu", "add")


def test_integer_graphs_pass_through() -> None:
    from edgec.ops import Input

    x = Input("x", type=TensorType(Fixed(8, 4), (1, 4)))
    y = Clip(Relu(Add(x, constant([[0.5] * 4], Fixed(8, 4)))), -1.0, 2.0)
    before = Graph("g", (x,), (("y", y),))
    after = apply(before, "fuse")
    assert mnemonics(after) == ["add", "clip"]
    assert_same(before, after)
    assert F32 not in {op.format for op in after.ops}
