"""binary: weights as signs times a scale, activations as two values."""

from __future__ import annotations

import numpy as np
import pytest
from compress_nets import AFTER, codes, compressed, floats, frames, layer, net, refusal, with_zeros
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pass_nets import check_golden

from edgec.formats import Affine
from edgec.formats_compressed import Binary
from edgec.interp import run
from edgec.ops import Dequantize, Input, MultiThreshold, Quantize, Relu
from edgec.passes.binary import two_levels

BINARY = "binary{activations=binary}"


def test_golden() -> None:
    graph, _ = compressed(BINARY)
    check_golden("binary", graph)


def test_signs_and_the_least_squares_scale() -> None:
    w = layer(compressed("")[0], "conv1").w.values
    graph, context = compressed("binary")
    made = codes(graph, "conv1")
    assert np.array_equal(made.levels, np.where(w >= 0, 1, -1))
    rows = w.reshape(6, -1)
    assert made.format.scale_array.tolist() == np.abs(rows).mean(axis=1).astype(np.float32).tolist()
    for other in (0.9, 1.1):
        scales = made.format.scale_array[:, None]
        signs = made.levels.reshape(6, -1)
        assert (np.square(signs * scales - rows).sum(1) < np.square(signs * scales * other - rows).sum(1)).all()
    assert context.reports["compression"][0]["weight_bits"] == w.size
    single, _ = compressed("binary{per_channel=false}")
    assert codes(single, "conv1").format.scale_array.tolist() == [np.float32(np.abs(w).mean())]


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(-8, 8, width=32)))
def test_two_levels_lose_least(sample: np.ndarray) -> None:
    """No split into a lower and an upper part, each written as its mean, is better."""
    middle, half = two_levels(sample)
    ordered = np.sort(sample)

    def error(parts: list[np.ndarray]) -> float:
        return sum(float(np.square(p - p.mean()).sum()) for p in parts if p.size)

    found = float(np.square(np.where(sample >= middle, middle + half, middle - half) - sample).sum())
    best = min(error([ordered[:k], ordered[k:]]) for k in range(1, len(ordered)))
    assert half > 0 and found <= best + 1e-3 * (1 + np.abs(sample).max()) ** 2


def test_activations_become_thresholds_with_the_sign_of_the_norm() -> None:
    """A channel whose batch norm has a negative factor counts downwards; thresholds equal the float arithmetic."""
    graph, context = compressed(f"ternary{{layers=conv0}},{BINARY}", rest=AFTER)  # so that bn0 stays a norm
    assert not floats(graph) and not [d for d in context.diagnostics if d.code == "N0003"]
    thresholds = [op for op in graph.ops if isinstance(op, MultiThreshold)]
    assert len(thresholds) == 1 and thresholds[0].to.bits == 1
    assert isinstance(thresholds[0].to, Affine) and isinstance(thresholds[0].to.base, Binary)
    assert thresholds[0].sign.data.tolist() == [-1, 1, -1, 1]  # type: ignore[attr-defined]
    assert layer(graph, "conv1").x is thresholds[0]
    assert not [op for op in graph.ops if isinstance(op, Relu) and "relu0" in op.loc]


def test_the_float_graph_computes_what_its_formula_says() -> None:
    """x is written as beta + alpha * b; beta moves into the bias through the signs."""
    plain, _ = compressed("")
    graph, _ = compressed(BINARY)
    data = frames(plain)
    values: dict[str, np.ndarray] = {}

    def see(op, array):  # type: ignore[no-untyped-def]
        for name in op.loc:
            values[name] = array

    run(plain, data, observe=see)
    relu = values["relu0"]
    conv = layer(graph, "conv1")
    pair = conv.x
    assert isinstance(pair, Dequantize) and isinstance(pair.x, Quantize)
    alpha = pair.x.format.scale_array[0]
    beta = -float(conv_shift(conv))
    two = np.where(relu >= beta, beta + alpha, beta - alpha)
    w = codes(graph, "conv1").values
    patches = np.lib.stride_tricks.sliding_window_view(two, (2, 2), axis=(3, 4))  # [F, 1, C, H, W, 2, 2]
    wanted = np.einsum("fnchwij,ocij->fnohw", patches, w)
    got: dict[str, np.ndarray] = {}
    run(graph, data, observe=lambda op, array: got.update({"conv1": array}) if op is conv else None)
    assert np.allclose(got["conv1"], wanted, atol=1e-4)


def conv_shift(conv):  # type: ignore[no-untyped-def]
    """The constant that is subtracted in front of the quantiser, negated."""
    return -conv.x.x.x.y.values.ravel()[0]


def test_zero_weights_are_refused() -> None:
    error = refusal("binary", with_zeros(net(), "conv1", 1))
    (found,) = error.diagnostics
    assert error.code == "E0313" and found.layer == "conv1" and "1 of 96 weights are zero" in found.what
    assert refusal("prune{sparsity=0.3},binary").code == "E0313"
    compressed("binary{zeros=nearest}", with_zeros(net(), "conv1", 1))
    assert refusal("prune{sparsity=0.3},binary{zeros=nearest}").code == "E0313"


def test_padded_binary_activations_are_refused_and_integer_ones_are_not() -> None:
    error = refusal(BINARY, net(pads=1))
    (found,) = error.diagnostics
    assert error.code == "E0313" and found.layer == "conv1" and found.op == "conv"
    assert "pads its input with zeros" in found.what and "third value" in (found.why or "")
    graph, _ = compressed("binary", net(pads=1), AFTER)
    assert not floats(graph)


def test_pooling_and_reshaping_stand_behind_the_quantiser() -> None:
    """One bit an element is what pooling and the dense layer read."""
    graph, _ = compressed("binary{activations=binary,keep_last=false}", rest=AFTER)
    assert not floats(graph)
    assert {op.mnemonic: op.format.bits for op in graph.ops if "pool" in op.loc or "flat" in op.loc} == {
        "max_pool": 1,
        "reshape": 1,
    }


def test_graph_inputs_keep_their_format() -> None:
    graph, _ = compressed("binary{activations=binary,keep_first=false}")
    first = layer(graph, "conv0")
    assert isinstance(first.x, Input) and codes(graph, "conv0").format.base == Binary()


@pytest.mark.parametrize("seed", range(5))
def test_a_constant_activation_has_two_levels_too(seed: int) -> None:
    value = float(np.random.default_rng(seed).standard_normal())
    middle, half = two_levels(np.full(9, value))
    assert half > 0 and abs(middle + half - value) < 1e-6 and value >= middle - 1e-6
