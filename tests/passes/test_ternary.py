"""ternary: weights as -1, 0, +1 times a scale."""

from __future__ import annotations

import numpy as np
import pytest
from compress_nets import AFTER, codes, compressed, floats, layer, net, with_zeros
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pass_nets import check_golden

from edgec.passes.ternary import EPSILON, fitted, inverse_scale, ternarized

WEIGHTS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.floats(-4, 4))


@pytest.mark.parametrize("threshold", ["mean", "median"])
@given(values=WEIGHTS)
def test_the_formula_of_bitnet(threshold: str, values: np.ndarray) -> None:
    """Wq = clamp(round(W * s), -1, 1), s = 1 / max(eps, mean or median of |W|), written out weight by weight."""
    flat = values.reshape(1, -1)
    size = sorted(abs(v) for v in flat[0])
    n = len(size)
    middle = sum(size) / n if threshold == "mean" else (size[(n - 1) // 2] + size[n // 2]) / 2
    s = max(middle, EPSILON)
    wanted = [max(-1, min(1, round(v / s))) for v in flat[0]]  # Python rounds ties to even too
    found = ternarized(flat, inverse_scale(flat, threshold))[0].tolist()  # type: ignore[arg-type]
    near_tie = [abs(abs(v / s) - 0.5) < 1e-9 for v in flat[0]]
    assert all(a == b or tie for a, b, tie in zip(found, wanted, near_tie, strict=True))


@given(WEIGHTS)
def test_the_fitted_scale_has_the_least_error(values: np.ndarray) -> None:
    inverse = inverse_scale(values, "mean")
    made = ternarized(values, inverse)
    best = fitted(values, made)

    def error(scale: np.ndarray) -> np.ndarray:
        return np.square(made * scale[:, None] - values).sum(axis=1)

    assert (best >= 0).all()
    for other in (inverse, best * 0.9, best * 1.1, np.abs(values).mean(axis=1)):
        assert (error(best) <= error(other) + 1e-9).all()


@given(WEIGHTS)
def test_searching_loses_no_more_than_the_mean(values: np.ndarray) -> None:
    def error(threshold: str) -> np.ndarray:
        made = ternarized(values, inverse_scale(values, threshold))  # type: ignore[arg-type]
        return np.square(made * fitted(values, made)[:, None] - values).sum(axis=1)

    assert (error("search") <= error("mean") * (1 + 1e-9) + 1e-12).all()


def test_golden() -> None:
    graph, _ = compressed("ternary")
    check_golden("ternary", graph)


@pytest.mark.parametrize("threshold", ["mean", "median"])
def test_scales(threshold: str) -> None:
    w = layer(compressed("")[0], "conv1").w.values
    middle = {"mean": np.mean, "median": np.median}[threshold](np.abs(w))
    for scale in ("fit", "bitnet", "pow2"):
        graph, _ = compressed(f"ternary{{threshold={threshold},scale={scale}}}")
        made = codes(graph, "conv1")
        levels = np.clip(np.rint(w / middle), -1, 1)
        assert np.array_equal(made.levels, levels)
        fit = (w * levels).sum() / np.abs(levels).sum()
        found = made.format.scale_array[0]
        if scale == "pow2":
            assert found == 2.0 ** np.rint(np.log2(fit))
        else:
            assert found == np.float32(fit if scale == "fit" else middle)
    graph, _ = compressed("ternary{per_channel=true}")
    assert codes(graph, "conv1").format.scale_array.size == 6


def test_integers_and_the_mask_survives() -> None:
    sparse = with_zeros(net(), "conv1", 20)
    for steps in ("ternary", "ternary{compensate=full}", "ternary{threshold=search,per_channel=true}"):
        graph, _ = compressed(steps, sparse, AFTER)
        assert not floats(graph)
        assert (codes(graph, "conv1").levels.ravel()[:20] == 0).all()
