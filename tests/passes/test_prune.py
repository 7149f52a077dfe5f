"""prune: global magnitude pruning with a floor a layer."""

from __future__ import annotations

import numpy as np
import pytest
from compress_nets import AFTER, codes, compressed, floats, layer, net, refusal
from hypothesis import given
from hypothesis import strategies as st
from pass_nets import check_golden

from edgec.diagnostics import EdgecError
from edgec.passes.prune import global_masks

NAMES = ("conv0", "conv1", "dense")


def by_the_paper(sizes: list[np.ndarray], sparsity: float, floor: float) -> list[np.ndarray]:
    """Global MP with minimum threshold, written step by step as its three stages."""
    every = np.sort(np.concatenate([s.ravel() for s in sizes]))
    total = every.size
    threshold = every[max(int(sparsity * total), 1) - 1]
    masks = [s >= threshold for s in sizes]
    least = int(total * floor)
    if least == 0:
        return masks
    counts = np.array([s.size for s in sizes])
    share = np.array([(~m).sum() / m.size for m in masks])
    share[counts <= least] = 0
    share = share / ((counts * share).sum() / total) * sparsity
    while True:
        low = ((1 - share) * counts < least) & (counts > least)
        share[low] = 1 - least / counts[low]
        reached = (counts * share).sum() / total
        if reached >= sparsity - 1e-9:
            break
        share = share / reached * sparsity
    return [s >= np.sort(s.ravel())[max(int(p * s.size), 1) - 1] for s, p in zip(sizes, share, strict=True)]


@st.composite
def layers(draw: st.DrawFn) -> list[np.ndarray]:
    """Magnitudes of several layers, some of them much smaller numbers than the others."""
    g = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 30)), min_size=1, max_size=5))
    return [np.abs(g.standard_normal(shape)) * draw(st.sampled_from([0.05, 0.3, 1.0, 4.0])) for shape in shapes]


@given(layers(), st.floats(0.05, 0.95))
def test_without_a_floor_there_is_one_threshold(sizes: list[np.ndarray], sparsity: float) -> None:
    masks = global_masks(sizes, sparsity, 0.0)
    kept = np.concatenate([s[m] for s, m in zip(sizes, masks, strict=True)])
    gone = np.concatenate([s[~m] for s, m in zip(sizes, masks, strict=True)])
    total = kept.size + gone.size
    assert gone.size == max(int(sparsity * total), 1) - 1  # the k-th smallest itself stays
    assert not gone.size or gone.max() < kept.min()


@given(layers(), st.floats(0.05, 0.9), st.sampled_from([0.002, 0.01, 0.05]))
def test_the_floor_as_in_the_paper(sizes: list[np.ndarray], sparsity: float, floor: float) -> None:
    counts = np.array([s.size for s in sizes])
    least = int(counts.sum() * floor)
    room = np.maximum(counts - least, 0).sum() / counts.sum()
    if least and room < sparsity:
        with pytest.raises(EdgecError, match="cannot be reached"):
            global_masks(sizes, sparsity, floor)
        return
    masks = global_masks(sizes, sparsity, floor)
    for size, mask, count in zip(sizes, masks, counts, strict=True):
        assert mask.sum() >= min(least, count)
        assert mask.all() or not mask.any() or size[~mask].max() < size[mask].min()  # by magnitude inside of a layer
        assert count > least or least == 0 or mask.all()
    pruned = sum(int((~m).sum()) for m in masks)
    assert abs(pruned - sparsity * counts.sum()) <= 2 * len(sizes)
    # the paper's loop needs some layer that the first stage prunes below its limit
    first = global_masks(sizes, sparsity, 0.0)
    shares = np.array([(~m).mean() for m in first]) * (counts > least)
    if ((shares > 0) & (shares * counts < counts - least)).any() and reaches(shares, counts, least, sparsity):
        expected = by_the_paper(sizes, sparsity, floor)
        assert all(abs(int(a.sum()) - int(b.sum())) <= 1 for a, b in zip(masks, expected, strict=True))


def reaches(shares: np.ndarray, counts: np.ndarray, least: int, sparsity: float) -> bool:
    """Whether the layers that the first stage prunes can give the whole target."""
    return float(((shares > 0) * np.maximum(counts - least, 0)).sum()) > sparsity * counts.sum() + 1


def test_small_layers_survive_what_would_kill_them() -> None:
    g = np.random.default_rng(0)
    sizes = [np.abs(g.standard_normal((40, 50))), np.abs(g.standard_normal((10, 20))) * 0.01]
    assert not global_masks(sizes, 0.5, 0.0)[1].sum() > 20
    masks = global_masks(sizes, 0.5, 0.03)
    assert masks[1].sum() >= 66 and abs(sum(int((~m).sum()) for m in masks) - 1100) <= 4


def test_golden() -> None:
    graph, _ = compressed("prune{sparsity=0.75,floor=0.05}")
    check_golden("prune", graph)


@pytest.mark.parametrize("compensate", ["none", "bias", "full"])
@pytest.mark.parametrize("format", ["int:8", "int:3", "fixed", "pow2z", "ternary"])
def test_the_mask_survives_quantisation(compensate: str, format: str) -> None:
    steps = f"prune{{sparsity=0.6,compensate={compensate}}}"
    pruned, context = compressed(steps)
    masks = {n: layer(pruned, n).w.values == 0 for n in NAMES}
    total = sum(m.size for m in masks.values())
    assert abs(sum(int(m.sum()) for m in masks.values()) - 0.6 * total) <= 4
    assert [r["zeros"] for r in context.reports["compression"]] == [int(masks[n].sum()) for n in NAMES]
    everywhere = "keep_first=false,keep_last=false"
    middle = {"pow2z": f",pow2{{zero=true,{everywhere}}}", "ternary": f",ternary{{{everywhere},compensate=full}}"}
    last = {"int:3": AFTER.replace(",quantize", ",quantize{bits=3}"),
            "fixed": AFTER.replace(",quantize", ",quantize{format=fixed}")}  # fmt: skip
    graph, _ = compressed(steps + middle.get(format, ""), rest=last.get(format, AFTER))
    assert not floats(graph)
    for name in NAMES:
        assert (codes(graph, name).values[masks[name]] == 0).all(), name


def test_codes_are_pruned_where_they_have_a_zero() -> None:
    graph, _ = compressed("pow2{zero=true,keep_first=false,keep_last=false},prune{sparsity=0.5}")
    assert 0.4 < np.mean([np.mean(codes(graph, n).values == 0) for n in NAMES]) < 0.6
    error = refusal("pow2{bits=3},prune")
    (found,) = error.diagnostics
    assert error.code == "E0313" and found.layer == "conv1" and "no code for zero" in (found.why or "")
    skipped, _ = compressed("pow2{bits=3},prune{skip=conv1}")
    assert (codes(skipped, "conv1").values != 0).all() and (layer(skipped, "dense").w.values == 0).any()


@pytest.mark.parametrize("options", ["sparsity=1.0", "sparsity=-0.1", "floor=1.0", "sparsity=0.9,floor=0.2"])
def test_bad_options(options: str) -> None:
    assert refusal(f"prune{{{options}}}").code == "E0204"


def test_nothing_to_prune_changes_nothing() -> None:
    graph, _ = compressed("prune{sparsity=0.0}")
    assert all(np.array_equal(layer(graph, n).w.values, layer(compressed("")[0], n).w.values) for n in NAMES)
    assert net().parameters == graph.parameters
