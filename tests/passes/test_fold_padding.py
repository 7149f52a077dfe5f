"""fold-padding, and which taps of a layer ever see data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pass_nets import apply, assert_same, check_golden, f32, mnemonics, weights

from edgec.formats import Affine, Fixed, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    AvgPool,
    Clip,
    Concat,
    Conv,
    Dense,
    Dequantize,
    Gather,
    Get,
    Input,
    MaxPool,
    Op,
    Pad,
    Quantize,
    Relu,
    Reshape,
    Split,
    Unary,
    constant,
)
from edgec.passes._live_taps import live_macs, live_taps, liveness

X = f32("x", 1, 4, 6, 6)
G = np.random.default_rng(0)
PADS = (0, 0, 1, 0, 0, 0, 2, 1)
AFFINE = Affine(Integer(8), (0.05,), (7,))


def folded(y: Op, *expected: str, x: Input = X) -> Op:
    before = Graph("g", (x,), (("y", y),))
    after = apply(before, "fold-padding")
    assert tuple(mnemonics(after)) == expected
    assert_same(before, after)
    return after.outputs[0][1]


def test_golden() -> None:
    y: Op = Conv(Pad(X, PADS, loc=("pad0",)), weights(G, 4, 4, 3, 3, loc="w"), pads=(1, 1, 0, 0), loc=("conv",))
    y = AvgPool(Pad(y, PADS, loc=("pad1",)), (3, 3), loc=("average",))
    y = Relu(y, loc=("relu",))
    y = MaxPool(Pad(Pad(y, PADS, loc=("pad2",)), PADS, loc=("pad3",)), (6, 6), loc=("largest",))
    before = Graph("g", (X,), (("y", y),))
    after = apply(before, "fold-padding")
    check_golden("fold_padding", after)
    assert_same(before, after)


def test_convolution() -> None:
    op = folded(Conv(Pad(X, PADS), weights(G, 4, 4, 3, 3)), "conv")
    assert op.pads == (1, 0, 2, 1)  # type: ignore[attr-defined]
    fmt = Quantizer(AFFINE)
    folded(Conv(Dequantize(Quantize(Relu(Pad(X, PADS)), fmt)), weights(G, 4, 4, 3, 3)), "relu", "quantize",
           "dequantize", "conv")  # fmt: skip
    x = Input("x", type=TensorType(AFFINE, (1, 4, 6, 6)))
    w = constant(G.standard_normal((4, 4, 3, 3)), Affine(Integer(4), (0.2,)))
    folded(Conv(Pad(x, PADS), w), "conv", x=x)


def test_illegal_for_convolutions() -> None:
    w = weights(G, 4, 4, 3, 3)
    folded(Conv(Pad(X, PADS, value=1.0), w), "pad", "conv")
    folded(Conv(Pad(X, PADS, mode="edge"), w), "pad", "conv")
    folded(Conv(Pad(X, (0, 0, -1, 0, 0, 0, 2, 0)), w), "pad", "conv")
    folded(Conv(Pad(X, (0, 1, 0, 0, 0, 1, 0, 0)), weights(G, 4, 6, 3, 3)), "pad", "conv")
    without_zero = Affine(Integer(1, False), (0.5,), (0,))
    assert without_zero.has_zero
    odd = Affine(Integer(4), (0.5,), (9,))  # zero point out of range: no code for zero
    folded(Conv(Dequantize(Quantize(Pad(X, PADS), Quantizer(odd))), w), "pad", "quantize", "dequantize", "conv")


def test_average_pooling() -> None:
    op = folded(AvgPool(Pad(X, PADS), (3, 3)), "avg_pool")
    assert op.count_include_pad  # type: ignore[attr-defined]
    folded(AvgPool(Pad(X, (0, 0, 1, 1, 0, 0, 0, 0)), (3, 3), pads=(1, 1, 1, 1), count_include_pad=True), "avg_pool")
    folded(AvgPool(Pad(X, PADS), (3, 3), pads=(1, 1, 1, 1)), "pad", "avg_pool")
    folded(AvgPool(Pad(X, PADS), (3, 3), strides=(2, 2), ceil_mode=True), "pad", "avg_pool")
    folded(AvgPool(Pad(X, PADS, value=-1.0), (3, 3)), "pad", "avg_pool")
    folded(AvgPool(Pad(X, PADS), (2, 2)), "pad", "avg_pool")  # pads as large as the kernel


def test_max_pooling() -> None:
    folded(MaxPool(Pad(X, PADS, value=-math.inf), (3, 3)), "max_pool")
    folded(MaxPool(Relu(Pad(X, PADS, value=-math.inf)), (3, 3)), "relu", "max_pool")
    folded(MaxPool(Clip(Pad(X, PADS, value=-math.inf), -2.0, 1.0), (3, 3)), "clip", "max_pool")
    folded(MaxPool(Pad(Clip(X, -2.0, 1.0), PADS, value=-1.0), (3, 3)), "clip", "pad", "max_pool")
    folded(MaxPool(Relu(Pad(X, PADS, value=0.5)), (3, 3)), "pad", "relu", "max_pool")
    folded(MaxPool(Pad(X, PADS), (3, 3)), "pad", "max_pool")
    for positive in (Relu(X), Clip(X, 0.0, 6.0), Unary(X, "sigmoid"), Reshape(Relu(X), X.shape)):
        folded(MaxPool(Pad(positive, PADS), (3, 3)), *mnemonics(Graph("g", (X,), (("y", positive),))), "max_pool")
    x = Input("x", type=TensorType(Fixed(6, 3, signed_=False), (1, 4, 6, 6)))
    folded(MaxPool(Pad(x, PADS), (3, 3)), "max_pool", x=x)
    x = Input("x", type=TensorType(Fixed(6, 3), (1, 4, 6, 6)))
    folded(MaxPool(Pad(x, PADS), (3, 3)), "pad", "max_pool", x=x)


def test_one_padding_for_two_layers() -> None:
    pad = Pad(X, PADS)
    before = Graph("g", (X,), (("a", Conv(pad, weights(G, 4, 4, 3, 3))), ("b", AvgPool(pad, (3, 3)))))
    after = apply(before, "fold-padding")
    assert sorted(mnemonics(after)) == ["avg_pool", "conv"]
    assert_same(before, after)


# Which taps see data. Figures of the ECON-T encoders: arXiv 2105.01683 and its published golden vectors.


def econ_t_image(channels: int = 1) -> tuple[Input, Op]:
    """48 cells in an 8x8 image whose last quadrant is empty."""
    x = f32("cells", 1, 48)
    rows = [range(8 * r, 8 * r + 8) for r in range(4)]
    rows += [(*range(32 + 4 * r, 36 + 4 * r), -1, -1, -1, -1) for r in range(4)]
    return x, Reshape(Gather(x, tuple(i for row in rows for i in row), 1), (1, channels, 8, 8))


def test_products_of_the_econ_t_designs() -> None:
    design_a = Conv(f32("x", 1, 3, 4, 4), weights(G, 8, 3, 3, 3), pads=(1, 1, 1, 1))
    dense = Dense(Reshape(design_a, (1, 128)), weights(G, 16, 128))
    assert live_macs(design_a) + live_macs(dense) == 4448
    x, image = econ_t_image()
    design_b = Conv(image, weights(G, 8, 1, 3, 3), weights(G, 8), strides=(2, 2), pads=(0, 0, 1, 1))
    dense = Dense(Reshape(Relu(design_b), (1, 128)), weights(G, 16, 128))
    live = liveness(Graph("b", (x,), (("y", dense),)))
    assert live_macs(design_b) + live_macs(dense) == 3016  # only the padding folded
    assert live_macs(design_b, live[image]) == 680
    assert live_macs(design_b, live[image]) + live_macs(dense, live[dense.x]) == 2728
    empty = ~live_taps(design_b, live[image]).reshape(16, 9).any(axis=1)
    assert empty.sum() == 4  # positions that see the empty quadrant only


def test_dead_taps_never_matter() -> None:
    """Whatever a weight is multiplied with where no tap is live, the result stays: checked by brute force."""
    x, image = econ_t_image()
    quantised = Dequantize(Quantize(image, Quantizer(AFFINE)))
    joined = Concat((quantised, Get(Split(Concat((quantised, Relu(quantised)), 1), (1, 1), 1), 1)), 1)
    w = weights(G, 2, 2, 3, 3)
    conv = Conv(joined, w, strides=(2, 2), pads=(1, 0, 1, 1))
    graph = Graph("g", (x,), (("x", joined), ("y", conv)))
    live = liveness(graph)
    taps = live_taps(conv, live[joined])
    results = run(graph, {"cells": G.standard_normal((4, 1, 48)) * 3 + 9})
    padded = np.pad(results["x"], [(0, 0)] * 3 + [(1, 1), (0, 1)])
    for (row, column), got in np.ndenumerate(results["y"][2, 0, 1]):
        window = padded[2, 0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        assert (window[~taps[0, :, row, column]] == 0).all()
        assert math.isclose(got, float((window * w.data[1])[taps[0, :, row, column]].sum()), abs_tol=1e-4)  # type: ignore[attr-defined]
    assert live[joined].sum() == 96 and (~taps).sum() > 0


@pytest.mark.parametrize("groups", [1, 2])
def test_groups(groups: int) -> None:
    conv = Conv(X, weights(G, 8, 4 // groups, 3, 3), pads=(1, 1, 1, 1), groups=groups)
    assert live_macs(conv) == (3 * 6 - 2) ** 2 * 8 * 4 // groups
