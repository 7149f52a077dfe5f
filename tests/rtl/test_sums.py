"""Compressor trees and products: exactness, adder counts, stages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtl_support import planes_of

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.compress import dadda_heights
from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import bitwise
from edgec.backends.rtl.circuit.matrix import Matrix, csd_digits
from edgec.backends.rtl.circuit.multiply import (
    Lanes,
    add_products,
    and_products,
    booth_products,
    multiply,
    products,
    recode,
    round_products,
)
from edgec.backends.rtl.circuit.wire import Input, input_array
from edgec.rounding import ROUNDINGS, shift_round

U8, S6 = Interval.of_bits(8), Interval.of_bits(6, signed=True)


def neuron(count: int, x: Interval, w: Interval, form: str, drop: int = 0, rounding: str = "floor") -> Circuit:
    """Sum of rounded products and a bias."""
    xs, ws, bias = Lanes.input("x", count, x), Lanes.input("w", count, w), Input("b", S6)
    matrix = Matrix()
    add_products(matrix, products(xs, ws, drop, rounding, form))  # type: ignore[arg-type]
    matrix.add(bias, 2)
    return Circuit("neuron", {"y": matrix.total()}, [xs.planes, ws.planes, bias])  # type: ignore[list-item]


def check_neuron(circuit: Circuit, count: int, x: Interval, w: Interval, drop: int, rounding: str) -> None:
    rng = np.random.default_rng(count)
    xs = rng.integers(x.lo, x.hi + 1, (200, count))
    ws = rng.integers(w.lo, w.hi + 1, (200, count))
    xs[:2], ws[0], ws[1] = x.hi, w.hi, w.lo
    xs[2:4], ws[2], ws[3] = x.lo, w.hi, w.lo
    bias = rng.integers(-32, 32, 200)
    data = {"x": planes_of(xs, x.width), "w": planes_of(ws, w.width), "b": bias}
    wanted = shift_round(xs * ws, drop, rounding).sum(1) + 4 * bias  # type: ignore[arg-type]
    np.testing.assert_array_equal(evaluate(circuit, data, check=True)["y"], wanted)


@given(
    st.integers(1, 70),
    st.tuples(st.integers(1, 9), st.booleans()),
    st.tuples(st.integers(1, 8), st.booleans()),
    st.sampled_from(["and", "booth", "auto"]),
    st.integers(0, 7),
    st.sampled_from(ROUNDINGS),
)
def test_dot_products_of_any_format(
    count: int, x: tuple[int, bool], w: tuple[int, bool], form: str, drop: int, rounding: str
) -> None:
    xi, wi = Interval.of_bits(*x), Interval.of_bits(*w)
    drop = min(drop, xi.width + wi.width - 2)
    check_neuron(neuron(count, xi, wi, form, drop, rounding), count, xi, wi, drop, rounding)


@given(st.lists(st.tuples(st.integers(-200, 200), st.integers(0, 300), st.integers(-99, 99)), min_size=1, max_size=30))
def test_constant_weights_join_one_tree(terms: list[tuple[int, int, int]]) -> None:
    wires = [Input("x", Interval(lo, lo + more), i) for i, (lo, more, _) in enumerate(terms)]
    matrix = Matrix()
    for wire, (_, _, factor) in zip(wires, terms, strict=True):
        matrix.add_scaled(wire, factor)
    rng = np.random.default_rng(len(terms))
    data = np.stack([rng.integers(lo, lo + more + 1, 100) for lo, more, _ in terms], axis=1)
    circuit = Circuit("fixed", {"y": matrix.total()}, [wires])
    wanted = data @ np.array([factor for _, _, factor in terms])
    np.testing.assert_array_equal(evaluate(circuit, {"x": data}, check=True)["y"], wanted)


def classical_dadda(heights: list[int]) -> tuple[int, int, int]:
    """Full adders, half adders and stages of the tree by columns (Dadda 1965), the final adder not included."""
    full = half = stages = 0
    heights = [*heights, 0]
    for limit in reversed(dadda_heights(max(heights))):
        carries = 0
        for c, height in enumerate(heights):
            excess = max(height + carries - limit, 0)
            f, h = excess // 2, excess % 2
            heights[c] = height + carries - 2 * f - h
            full, half, carries = full + f, half + h, f + h
        stages += 1
    return full, half, stages


@pytest.mark.parametrize("count", [9, 128])
def test_adders_of_a_neuron_are_those_of_dadda(count: int) -> None:
    circuit = neuron(count, U8, S6, "and")
    heights = [0] * 21
    for i in range(8):
        for j in range(6):
            heights[i + j] += count
    for i in range(6):
        heights[i + 2] += 1
    full, half, _ = classical_dadda(heights)
    tree = circuit.cells["FA"] - next(n.cells(frozenset())["FA"] for n in circuit.nodes if type(n).__name__ == "Add")
    assert circuit.cells["AND2"] + circuit.cells["NAND2"] == 48 * count
    assert abs(tree - full) <= 0.02 * full + 3
    assert circuit.cells["HA"] <= half + 12  # the final adder's included


@pytest.mark.parametrize(("count", "more"), [(9, 0), (64, 1), (128, 0), (100, 1)])
def test_stages_are_those_of_dadda(count: int, more: int) -> None:
    matrix = Matrix()
    add_products(matrix, and_products(Lanes.input("x", count, U8), Lanes.input("w", count, S6)))
    matrix.total()
    assert matrix.stages <= len(dadda_heights(6 * count)) + more


def test_booth_digits_can_be_shared() -> None:
    """Recoding outside, for all blocks that share a weight, leaves each block its selectors and its tree."""
    xs, ws = Lanes.input("x", 9, U8), Lanes.input("w", 9, S6)
    digits = recode(ws)
    matrix = Matrix()
    add_products(matrix, round_products(booth_products(xs, digits, keep_low=5), 5))
    circuit = Circuit("pixel", {"y": matrix.total()}, [xs.planes, ws.planes])  # type: ignore[list-item]
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (300, 9)), rng.integers(-32, 32, (300, 9))
    got = evaluate(circuit, {"x": planes_of(x, 8), "w": planes_of(w, 6)})["y"]
    np.testing.assert_array_equal(got, (x * w >> 5).sum(1))


def test_the_cheaper_form_is_taken() -> None:
    sizes = {form: gate_equivalents(neuron(64, U8, S6, form).cells) for form in ("and", "booth", "auto")}
    assert sizes["auto"] == min(sizes["and"], sizes["booth"]) and sizes["booth"] < 0.92 * sizes["and"]
    two = Interval.of_bits(2)
    assert neuron(64, U8, two, "auto").cells == neuron(64, U8, two, "and").cells


def test_canonical_signed_digits() -> None:
    values = np.arange(-3000, 3000)
    digits = csd_digits(values)
    assert (digits @ (1 << np.arange(digits.shape[-1])) == values).all()
    assert not (digits[:, 1:] & digits[:, :-1] & 1).any()


@given(st.integers(-500, 500), st.integers(0, 900), st.integers(-60, 60), st.integers(0, 90))
def test_multiply(a: int, more_a: int, b: int, more_b: int) -> None:
    x, y = Input("x", Interval(a, a + more_a, 2)), Input("y", Interval(b, b + more_b, 3))
    product = multiply(x, y)
    rng = np.random.default_rng(0)
    xs, ys = rng.integers(a, a + more_a + 1, 100), rng.integers(b, b + more_b + 1, 100)
    circuit = Circuit("product", {"p": product}, [x, y])
    np.testing.assert_array_equal(evaluate(circuit, {"x": xs, "y": ys}, check=True)["p"], xs * ys)
    assert product.frac == 5


def test_xnor_popcount_costs_one_adder_a_bit() -> None:
    x, w = Input("x", Interval.of_bits(256)), Input("w", Interval.of_bits(256))
    matrix = Matrix()
    matrix.count(bitwise("xnor", x, w))
    circuit = Circuit("neuron", {"y": matrix.total()}, [x, w])
    bits = np.random.default_rng(0).integers(0, 2, (50, 256))
    values = np.array([int("".join(map(str, row)), 2) for row in bits], object)
    ones = evaluate(circuit, {"x": values, "w": np.full(50, (1 << 256) - 1, object)})["y"]
    np.testing.assert_array_equal(ones, bits.sum(1))
    assert circuit.cells["XOR2"] <= 256 + 4 and circuit.cells["FA"] <= 256 - 9 + 2


def test_one_lane_and_many_lanes_share_a_tree() -> None:
    xs = input_array("x", 20, U8)
    matrix = Matrix()
    for x in xs[:5]:
        matrix.add(x, 1, negate=True)
    lanes = Lanes.of(xs[5:])
    for column, plane in enumerate(lanes.planes):
        matrix.add_bits(plane, column)
    matrix.hi += 15 * 255
    data = np.random.default_rng(0).integers(0, 256, (100, 20))
    got = evaluate(Circuit("mixed", {"y": matrix.total()}, [xs]), {"x": data})["y"]
    np.testing.assert_array_equal(got, data[:, 5:].sum(1) - 2 * data[:, :5].sum(1))
