"""Counts from the graph alone: exact where the formula is, against brute force and against the interpreter's shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from estimate_support import S6, U8, design_a, design_b, weights
from hypothesis import given
from hypothesis import strategies as st

from edgec.backends.rtl.constants.choose import sharing_factor
from edgec.formats import Affine, Fixed, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary
from edgec.graph import Graph
from edgec.hw.estimate import activity, apriori, apriori_plan
from edgec.hw.estimate.apriori_mac import csd_digits, mac_cost, tap_uses, tree_stages
from edgec.hw.estimate.toggling import toggles
from edgec.ops import Constant, Conv, Dense, Input, Lut, MaxPool, Quantize, Relu, Requantize, integers
from edgec.target import load_target


def naf_digits(n: int) -> int:
    """Nonzero digits of the non-adjacent form, digit by digit."""
    count, n = 0, abs(n)
    while n:
        if n & 1:
            n -= 2 - (n & 3)
            count += 1
        n >>= 1
    return count


@given(st.lists(st.integers(-(1 << 60), 1 << 60), min_size=1, max_size=20))
def test_csd_digits(values: list[int]) -> None:
    assert csd_digits(np.array(values)).tolist() == [naf_digits(v) for v in values]


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    dilation=st.integers(1, 2),
)
def test_padded_taps_are_left_out(
    size: tuple[int, int], kernel: tuple[int, int], stride: int, pads: tuple[int, ...], dilation: int
) -> None:
    if any(size[i] + pads[i] + pads[i + 2] < dilation * (kernel[i] - 1) + 1 for i in (0, 1)):
        return
    x = Input("x", type=TensorType(U8, (1, 1, *size)))
    op = Conv(x, weights((2, 1, *kernel)), strides=(stride,) * 2, pads=pads, dilations=(dilation,) * 2)
    # A padded image of ones where there is input and zeros around it: each tap sums what it meets.
    image = np.pad(np.ones(size, np.int64), ((pads[0], pads[2]), (pads[1], pads[3])))
    for a in range(kernel[0]):
        for b in range(kernel[1]):
            rows = np.arange(op.shape[2]) * stride + a * dilation
            columns = np.arange(op.shape[3]) * stride + b * dilation
            assert tap_uses(op)[a, b] == image[np.ix_(rows, columns)].sum()


def test_published_numbers_of_products() -> None:
    """2400 + 2048 for the 4x4x3 encoder, 968 + 2048 for 8x8x1; nominal 5504 and 3200."""
    for graph, live, nominal in ((design_a(), 4448, 5504), (design_b(), 3016, 3200)):
        plan = apriori_plan(graph, weights="loaded")
        assert sum(k.macs for k in plan.kernels) == live
        assert sum(k.macs_nominal for k in plan.kernels) == nominal
    assert sum(k.weight_bits for k in apriori_plan(design_a(), weights="loaded").kernels) == 13_728
    assert sum(k.weight_bits for k in apriori_plan(design_b(), weights="loaded").kernels) == 12_864


def test_a_dense_neuron_has_the_adders_of_a_dadda_tree() -> None:
    """128 products of u8 and s6: a Dadda generator makes 6123 full and 44 half adders in 16 stages, 21 result bits."""
    x = Input("x", type=TensorType(U8, (1, 128)))
    cost = mac_cost(Dense(x, weights((1, 128))), fixed=False)
    assert cost.cells["and2"] == 128 * 48
    assert cost.cells["full_adder"] == pytest.approx(6123, rel=1e-3)
    assert cost.cells["half_adder"] == pytest.approx(44, abs=4)
    assert tree_stages(128 * 6) == 16
    assert cost.path["full_adder"] == 16 + 10


def test_fixed_weights_cost_their_signed_digits() -> None:
    x = Input("x", type=TensorType(U8, (1, 64)))
    w = weights((32, 64), spread=20, fmt=Fixed(8, 1))
    cost = mac_cost(Dense(x, w), fixed=True)
    digits = int(csd_digits(w.levels).sum())
    assert cost.macs == int((w.levels != 0).sum()) < cost.macs_nominal == 2048
    shared = sharing_factor(w.levels, [255] * 64)
    assert 0.4 < shared < 0.8
    assert cost.cells["full_adder"] == round((8 * digits - 32 * (16 + 6)) * shared)
    assert "and2" not in cost.cells
    sparse = Constant(np.where(np.abs(w.levels) > 20, w.levels, 0), type=w.tensor)
    pow2 = Constant(2 ** np.maximum(csd_digits(w.levels), 1), type=w.tensor)
    for cheaper in (sparse, pow2):
        assert mac_cost(Dense(x, cheaper), fixed=True).cells["full_adder"] < cost.cells["full_adder"]


def test_padding_of_fixed_weights_is_counted_by_position() -> None:
    x = Input("x", type=TensorType(U8, (1, 1, 3, 3)))
    corner = np.zeros((1, 1, 3, 3), np.int64)
    corner[0, 0, 0, 0] = 1  # meets an input at 4 of 9 positions
    op = Conv(x, Constant(corner, type=TensorType(S6, corner.shape)), pads=(1, 1, 1, 1))
    assert mac_cost(op, fixed=True).macs == 4


def test_rounding_every_product_costs_adders() -> None:
    x = Input("x", type=TensorType(U8, (1, 128)))
    w = weights((4, 128))
    exact = mac_cost(Dense(x, w), fixed=False)
    floored = mac_cost(Dense(x, w, product=Quantizer(Fixed(10, 2), "floor")), fixed=False)
    assert floored.cells["full_adder"] > 0.9 * exact.cells["full_adder"]
    assert floored.path["full_adder"] > exact.path["full_adder"]


def test_binary_products_are_one_bit() -> None:
    sign = Affine(Binary(), (1.0,))
    x = Input("x", type=TensorType(sign, (1, 256)))
    w = Constant(np.random.default_rng(1).integers(0, 2, (64, 256)).astype(np.uint8), type=TensorType(sign, (64, 256)))
    cost = mac_cost(Dense(x, w), fixed=True)
    trees = cost.cells["full_adder"] / sharing_factor(w.levels, [2] * 256)
    assert trees == pytest.approx(15_424, rel=0.03), "recorded count of 64 popcount trees"


def test_layers_without_weights_and_light_ops_are_counted() -> None:
    x = Input("x", type=TensorType(U8, (1, 4, 4, 4)))
    pool = MaxPool(x, (2, 2), (2, 2), loc=("pool",))
    table = Constant(np.arange(256, dtype=np.uint8), type=TensorType(U8, (256,)))
    lut = Lut(Relu(pool), table, loc=("lut",))
    scaled = Requantize(lut, integers([5]), integers([3]), None, Quantizer(Integer(8)), loc=("scale",))
    plan = apriori_plan(Graph("g", (x,), (("y", scaled),)))
    assert [k.op for k in plan.kernels] == ["max_pool", "relu", "lut", "requantize"]
    assert all(sum(k.cells.values()) > 0 for k in plan.kernels)
    assert plan.interface["latency"] == 1 and plan.kernels[0].state == {"data": 128}
    only = apriori_plan(Graph("g", (x,), (("y", Relu(x)),)))
    assert only.interface["latency"] == 1 and only.kernels[0].state == {"data": 512}


def test_everything_is_analytic_and_floats_are_named() -> None:
    x = Input("x", type=TensorType(U8, (1, 8)))
    result = apriori(Graph("g", (x,), (("y", Dense(x, weights((4, 8)))),)), load_target("asic65nm"))
    assert {f.basis for f in result.totals.values()} == {"analytic"}
    from edgec.formats import F32

    f = Input("f", type=TensorType(F32, (1, 8)))
    mixed = Quantize(Relu(f, loc=("act",)), Quantizer(U8))
    noted = apriori(Graph("g", (f,), (("y", mixed),)), load_target("asic65nm"))
    assert any("act" in note for note in noted.notes)


def test_bars_of_fixed_weights_reach_down_to_shared_networks() -> None:
    target = load_target("asic65nm")
    fixed, loaded = (apriori(design_b(), target, weights=w).totals["area_kge"] for w in ("fixed", "loaded"))
    assert fixed.nominal < loaded.nominal
    assert fixed.low / fixed.nominal < loaded.low / loaded.nominal


def test_a_network_far_too_large_is_priced_quickly() -> None:
    x = Input("x", type=TensorType(U8, (1, 64, 64, 64)))
    y = Conv(x, weights((256, 64, 3, 3)), pads=(1, 1, 1, 1))
    total = apriori(Graph("g", (x,), (("y", y),)), load_target("asic65nm")).totals
    assert total["area_kge"].low > load_target("asic65nm").options["max_area_kge"]


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=30))
def test_toggles_are_differing_bits(codes: list[int]) -> None:
    array = np.array(codes, np.int8)[:, None]
    assert toggles(array, 8) == sum(((a ^ b) & 255).bit_count() for a, b in itertools.pairwise(codes))


def test_activity_of_layers() -> None:
    graph = design_b()
    still = np.full((5, 1, 1, 8, 8), 7, np.uint8)
    assert set(activity(graph, {"x": still}).values()) == {0.0}
    flipping = np.zeros((4, 1, 1, 8, 8), np.uint8)
    flipping[1::2] = 255
    rates = activity(graph, {"x": flipping})
    assert rates["input"] == rates["conv"] == 1.0
    random = np.random.default_rng(0).integers(0, 256, (200, 1, 1, 8, 8)).astype(np.uint8)
    rates = activity(graph, {"x": random})
    assert rates["input"] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates["dense"] < 0.5, "ReLU leaves zeros that do not toggle"


def test_activity_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    import edgec.hw.estimate.toggling as module
    from edgec.interp import run

    frames = {"x": np.random.default_rng(2).integers(0, 256, (23, 1, 1, 8, 8)).astype(np.uint8)}
    whole = activity(design_b(), frames)
    monkeypatch.setattr(module, "run", lambda g, f, observe: run(g, f, observe=observe, max_bytes=5 * 8 * 128))
    assert activity(design_b(), frames) == whole


def test_activity_needs_codes_of_two_frames() -> None:
    from edgec.diagnostics import EdgecError

    with pytest.raises(EdgecError, match="2 frames"):
        activity(design_b(), {"x": np.zeros((1, 1, 1, 8, 8), np.uint8)})
