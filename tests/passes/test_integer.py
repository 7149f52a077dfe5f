"""integer: weights of few bits before batch norms are folded."""

from __future__ import annotations

import numpy as np
import pytest
from compress_nets import AFTER, codes, compressed, floats, frames, layer, net, refusal
from pass_nets import check_golden

from edgec.formats import Integer
from edgec.interp import run

NAMES = ("conv0", "conv1", "dense")


def test_golden() -> None:
    graph, _ = compressed("integer{bits=3,layers=conv1}")
    check_golden("integer", graph)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_weights_are_rounded_to_the_nearest(bits: int) -> None:
    plain, _ = compressed("")
    graph, context = compressed(f"integer{{bits={bits},method=minmax}}")
    for name in NAMES:
        w, made = layer(plain, name).w.values, codes(graph, name)
        scale = made.format.scale_array.reshape(-1, *[1] * (w.ndim - 1))
        assert made.format.base == Integer(bits, True, True)
        assert (np.abs(made.values - w) <= scale * (0.5 + 1e-6)).all()
        top = (1 << (bits - 1)) - 1
        assert (np.abs(made.levels).reshape(len(w), -1).max(axis=1) == top).all()
    assert [r["weight_bits"] for r in context.reports["compression"]] == [72 * bits, 96 * bits, 18 * bits]


@pytest.mark.parametrize("options", ["", ",method=minmax", ",scale=pow2", ",compensate=full", ",per_channel=false"])
def test_it_becomes_integers(options: str) -> None:
    graph, context = compressed(f"integer{{bits=4{options}}}", rest=AFTER)
    assert not floats(graph) and not [d for d in context.diagnostics if d.code == "N0003"]


def error(steps: str) -> float:
    """Squared error of the scores of other frames than the calibrated ones, over their power."""
    plain, _ = compressed("")
    graph, _ = compressed(steps)
    data = frames(plain, 200, seed=99)
    (a,), (b,) = run(plain, data).values(), run(graph, data).values()
    return float(np.square(a - b).mean() / np.square(a - a.mean()).mean())


ALL = "keep_first=false,keep_last=false"


@pytest.mark.parametrize(
    "format", ["integer{bits=3", f"ternary{{{ALL}", f"pow2{{bits=2,{ALL}", f"binary{{{ALL}", "prune{sparsity=0.6"]
)
def test_compensation_loses_less(format: str) -> None:
    """On frames that it has not seen; the correction of the mean alone already helps or does nothing."""
    none, bias, full = (error(f"{format},compensate={c}}}") for c in ("none", "bias", "full"))
    assert full < 0.8 * none and bias < 1.1 * none


def test_compensation_needs_data_and_says_so() -> None:
    from pass_nets import apply

    from edgec.pipeline import Context

    context = Context()
    apply(net(), "integer{bits=3,compensate=full}", context)
    assert [d.code for d in context.diagnostics] == ["W0001"]


def test_what_is_quantised_stays_with_a_note() -> None:
    graph, context = compressed("fold-batch-norm,quantize,pow2{keep_first=false}")
    assert codes(graph, "conv1").format.base == Integer(8, True, True)
    notes = [d for d in context.diagnostics if d.code == "N0002"]
    assert len(notes) == 1 and "pow2 leaves 2 layers" in notes[0].what and "conv1" in (notes[0].why or "")
    assert refusal("integer{bits=1}").code == "E0204"
