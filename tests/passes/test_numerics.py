"""numerics: the econ-t profile against an independent integer model of the chip's rules, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from fake_quant import graph_of, quantized, source, weights
from pass_nets import check_golden

from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Format
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import Conv, Dense, Relu, Reshape, Transpose
from edgec.passes import numerics
from edgec.pipeline import Context, parse_pipeline, run_pipeline

U8, U9, W6 = Fixed(8, 1, signed_=False), Fixed(9, 1, signed_=False), Fixed(6, 1)


def encoder(
    design: str, *, pixels: Format = U8, w: Format = W6, hidden: Format = U8, out: Format = U9, seed: int = 0
) -> Graph:
    """The two published designs with random weights: 8x8x1 with stride 2, and 4x4x3."""
    g = np.random.default_rng(seed)
    size, channels, stride, pads = (8, 1, 2, (0, 0, 1, 1)) if design == "b" else (4, 3, 1, (1, 1, 1, 1))
    x = source(pixels, 1, channels, size, size)
    kernel, bias = weights(g, w, 8, channels, 3, 3, loc="kernel"), weights(g, W6, 8, loc="bias0")
    y = Relu(Conv(x, kernel, bias, strides=(stride, stride), pads=pads, loc=("conv",)))
    y = Reshape(Transpose(quantized(y, hidden, "floor"), (0, 2, 3, 1)), (1, 128))
    y = Relu(Dense(y, weights(g, W6, 16, 128, loc="matrix"), weights(g, W6, 16, loc="bias1"), loc=("dense",)))
    return graph_of(quantized(y, out, "floor"), name=f"design_{design}")


def lowered(graph: Graph, profile: str = "econ-t") -> Graph:
    return run_pipeline(graph, parse_pipeline(f"integerize,integer-io,numerics{{profile={profile}}}"), Context())


def chip(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The rules in plain integer loops over output places; x [F, C, H, W] levels. Returns [F, 16]."""
    (conv,) = (op for op in graph.ops if isinstance(op, Conv))
    (dense,) = (op for op in graph.ops if isinstance(op, Dense))
    kernel, bias = conv.w.levels, conv.b.levels  # type: ignore[attr-defined, union-attr]
    top, left, bottom, right = conv.pads
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    hidden = np.zeros((len(x), 4, 4, 8), np.int64)
    for row in range(4):
        for column in range(4):
            r, c = row * conv.strides[0], column * conv.strides[1]
            patch = padded[:, None, :, r : r + 3, c : c + 3]
            total = ((patch * kernel) >> 5).sum(axis=(2, 3, 4)) + (bias << 2)
            hidden[:, row, column] = np.clip(total, 0, 255)
    products = (hidden.reshape(len(x), 1, 128) * dense.w.levels) >> 4  # type: ignore[attr-defined]
    return np.clip(products.sum(axis=2) + (dense.b.levels << 3), 0, 511)  # type: ignore[union-attr]


@pytest.mark.parametrize("design", ["a", "b"])
def test_both_designs_follow_the_chip(design: str) -> None:
    graph = lowered(encoder(design))
    frames = random_frames(graph, 200, 1)
    frames["x"][:100] >>= 3  # sparse, dim images, as detectors see them
    got = run(graph, frames)["y"]
    np.testing.assert_array_equal(
        got.reshape(200, 16), chip(graph, frames["x"].reshape(200, *graph.inputs[0].shape[1:]))
    )
    exact = run(lowered(encoder(design), "exact"), frames)["y"]
    assert (exact != got).any()
    assert graph.meta["numerics"] == "econ-t"


def test_products_never_overflow() -> None:
    """The extreme products lie inside the format that they are rounded to."""
    graph = lowered(encoder("b"))
    for op in graph.ops:
        if isinstance(op, Conv | Dense):
            assert op.product is not None and op.product.rounding == "floor"
            shift = 12 - (op.product.format.frac or 0)
            lo, hi = op.product.format.level_range
            assert lo <= (255 * -32) >> shift and (255 * 31) >> shift <= hi


def test_golden() -> None:
    check_golden("numerics", lowered(encoder("b")))


def test_exact_changes_nothing() -> None:
    graph = encoder("a")
    assert numerics.apply(graph, Context(), profile="exact") is graph


@pytest.mark.parametrize(
    ("change", "layer", "words"),
    [
        ({"w": Fixed(5, 1)}, "conv", ["weights", "fixed<5, 1>", "fixed<6, 1>"]),
        ({"pixels": Fixed(8, 0, signed_=False)}, "conv", ["input", "ufixed<8, 0>"]),
        ({"hidden": Fixed(8, 2, signed_=False)}, "conv", ["result", "ufixed<8, 2>"]),
        ({"out": Fixed(10, 1, signed_=False)}, "dense", ["result", "ufixed<10, 1>"]),
    ],
)
def test_other_formats_are_refused(change: dict[str, Format], layer: str, words: list[str]) -> None:
    with pytest.raises(EdgecError) as caught:
        lowered(encoder("b", **change))
    first = caught.value.diagnostics[0]
    assert first.code == "E0314" and first.layer is not None and layer in first.layer
    assert all(word in first.what for word in words)


def test_unknown_profile() -> None:
    with pytest.raises(EdgecError) as caught:
        numerics.apply(encoder("b"), Context(), profile="econ")
    assert caught.value.code == "E0204" and "econ-t" in str(caught.value)


def test_a_network_without_layers() -> None:
    with pytest.raises(EdgecError) as caught:
        lowered(graph_of(quantized(source(U8, 1, 4), U8)))
    assert caught.value.code == "E0314"
