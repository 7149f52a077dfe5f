"""Shared terms of constant matrices: exact networks, exact circuits, costs that hold, and savings that are promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rtl_support import Dut, run_bench
from test_support import require_tool

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.matrix import csd_digits
from edgec.backends.rtl.circuit.wire import Input
from edgec.backends.rtl.constants.choose import choose_network, score, separate_trees
from edgec.backends.rtl.constants.cost import network_cells, network_cost, value_widths
from edgec.backends.rtl.constants.network import LinearNetwork, Term
from edgec.backends.rtl.constants.polarity import settle_signs
from edgec.backends.rtl.constants.realize import realize
from edgec.backends.rtl.constants.shared import shared_terms
from edgec.hw.sim import iverilog, verilator_bench

matrices = st.tuples(st.integers(1, 9), st.integers(1, 14), st.integers(1, 200)).flatmap(
    lambda s: arrays(np.int64, s[:2], elements=st.integers(-s[2], s[2]))
)
ends = st.tuples(st.integers(-300, 300), st.integers(0, 400)).map(lambda e: Interval(e[0], e[0] + e[1]))


def random_matrix(kind: str, outputs: int, inputs: int, seed: int) -> np.ndarray:
    r = np.random.default_rng(seed)
    shape = (outputs, inputs)
    if kind == "int6":
        return np.clip(np.round(r.laplace(0, 6, shape)), -31, 31).astype(np.int64)
    if kind == "pow2":
        return r.choice([-1, 1], shape) << r.integers(0, 7, shape)
    return r.choice([-1, 0, 1], shape, p=[0.3, 0.4, 0.3])


def circuit_of(network: LinearNetwork, intervals: list[Interval], constants: list[int] | None = None) -> Circuit:
    x = [Input("x", interval, i) for i, interval in enumerate(intervals)]
    return Circuit("network", {"y": realize(network, x, constants or [])}, [x])


@given(matrices, st.integers(0, 6), st.integers(0, 2**12))
def test_networks_are_the_matrix_within_the_depth(matrix: np.ndarray, depth: int, reach: int) -> None:
    depth = depth and depth + 1
    network = shared_terms(matrix, [reach] * matrix.shape[1], depth=depth)
    np.testing.assert_array_equal(network.coefficients, matrix)
    assert not depth or network.depth <= depth
    settled = settle_signs(network, [reach] * matrix.shape[1])
    np.testing.assert_array_equal(settled.coefficients, matrix)
    ranges = [reach] * matrix.shape[1]
    assert network_cells(settled, ranges)["NOT"] <= network_cells(network, ranges)["NOT"] * 1.1 + 1


@given(matrices, st.data())
def test_circuits_compute_the_matrix(matrix: np.ndarray, data: st.DataObject) -> None:
    outputs, inputs = matrix.shape
    intervals = data.draw(st.lists(ends, min_size=inputs, max_size=inputs))
    constants = data.draw(st.lists(st.integers(-500, 500), min_size=outputs, max_size=outputs))
    network = shared_terms(matrix, [i.hi - i.lo for i in intervals])
    rng = np.random.default_rng(inputs)
    x = np.stack([rng.integers(i.lo, i.hi + 1, 20) for i in intervals], axis=1)
    x[0], x[1] = [i.lo for i in intervals], [i.hi for i in intervals]
    circuit = circuit_of(network, intervals, constants)
    found = evaluate(circuit, {"x": x}, check=True)["y"].reshape(-1, outputs)
    found = np.broadcast_to(found, (len(x), outputs))
    np.testing.assert_array_equal(found, x @ matrix.T + np.array(constants))
    # The intervals are exact: each end is reached by some corner of the inputs.
    low = np.array([i.lo for i in intervals]) @ np.maximum(matrix, 0).T
    low += np.array([i.hi for i in intervals]) @ np.minimum(matrix, 0).T + np.array(constants)
    assert [w.interval.lo for w in circuit.outputs] == low.tolist()


def test_same_input_same_network() -> None:
    matrix = random_matrix("int6", 16, 40, 1)
    assert shared_terms(matrix, [255] * 40) == shared_terms(matrix, [255] * 40)


def test_equal_rows_are_one_sum() -> None:
    row = random_matrix("ternary", 1, 30, 3)[0]
    network = shared_terms(np.stack([row, row, -row, 4 * row, 0 * row]), [255] * 30)
    assert len(network.sums) == 1
    assert network.outputs[0] == network.outputs[1]
    assert network.outputs[4] is None


def test_rows_of_one_input_need_no_adder() -> None:
    network = shared_terms(np.array([[4, 0], [0, -2]]), [15, 15])
    assert not network.sums
    assert network.outputs == (Term(0, 2), Term(1, 1, True))


@pytest.mark.parametrize(("kind", "most"), [("int6", 0.62), ("pow2", 0.74), ("ternary", 0.57)])
def test_shared_terms_save(kind: str, most: float) -> None:
    """Gate equivalents beside separate trees of canonical signed digits, 128x16, inputs of 8 bits."""
    for seed in range(2):
        matrix = random_matrix(kind, 16, 128, seed)
        ranges = [255] * 128
        shared = shared_terms(matrix, ranges)
        assert network_cost(shared, ranges) < most * network_cost(separate_trees(matrix), ranges)
        assert shared.depth <= 6


@pytest.mark.parametrize("kind", ["int6", "pow2", "ternary"])
def test_costs_are_those_of_the_circuit(kind: str) -> None:
    matrix = random_matrix(kind, 12, 50, 5)
    network = shared_terms(matrix, [255] * 50)
    cells = circuit_of(network, [Interval.of_bits(8)] * 50).cells
    assert network_cost(network, [255] * 50) == pytest.approx(gate_equivalents(cells), rel=0.03)
    assert cells["FA"] == pytest.approx(network_cells(network, [255] * 50)["FA"], rel=0.01)


def test_full_adders_are_bits_in_less_bits_out() -> None:
    """Of a sum without constants, and with few half adders: one for each column that ends even."""
    network = LinearNetwork(9, (tuple(Term(i) for i in range(9)),), (Term(9),))
    cells = circuit_of(network, [Interval.of_bits(8)] * 9).cells
    width = int(value_widths(network, [255] * 9)[9])
    assert cells["FA"] + cells["XOR2"] // 2 <= 9 * 8 - width <= cells["FA"] + cells["XOR2"]
    assert cells["HA"] <= width


def test_the_cheapest_is_chosen() -> None:
    alone = np.diag([5, 3, 7])
    assert choose_network(alone, [255] * 3, "auto") is None  # nothing to share
    assert choose_network(random_matrix("int6", 1, 30, 0), [255] * 30, "auto") is None
    assert choose_network(random_matrix("int6", 8, 30, 0), [255] * 30, "none") is None
    binary = np.random.default_rng(0).choice([-1, 1], (32, 96))
    found = {s: choose_network(binary, [1] * 96, s) for s in ("auto", "shared", "mst")}
    scores = {s: score(network, [1] * 96) for s, network in found.items() if network is not None}
    assert set(scores) == {"auto", "shared", "mst"}
    assert scores["auto"] == min(scores.values())
    with pytest.raises(ValueError, match="mst-only"):
        choose_network(random_matrix("int6", 8, 30, 0), [255] * 30, "mst-only")


def late_bits(network: LinearNetwork, ranges: list[int]) -> int:
    widths = value_widths(network, ranges)
    return sum(int(widths[t.source]) for terms in network.sums for t in terms if t.source >= network.inputs)


def test_energy_counts_beside_area() -> None:
    """Where small terms save little area but make many bits late, they are left out: 128x16 powers of two."""
    ranges = [255] * 128
    for seed in range(4):
        matrix = random_matrix("pow2", 16, 128, seed)
        smallest, chosen = shared_terms(matrix, ranges, depth=3), choose_network(matrix, ranges, "auto")
        assert chosen is not None and score(chosen, ranges) < score(smallest, ranges)
        assert late_bits(chosen, ranges) < 0.6 * late_bits(smallest, ranges)
        assert network_cost(chosen, ranges) < 1.08 * network_cost(smallest, ranges)
        ternary = random_matrix("ternary", 16, 128, seed)
        kept = choose_network(ternary, ranges, "auto")
        assert kept is not None and kept.depth == 3
        assert late_bits(kept, ranges) == late_bits(shared_terms(ternary, ranges, depth=3), ranges)


def test_given_digits_are_used() -> None:
    """Other signed digits than canonical ones: 3 as 2 + 1."""
    matrix = np.array([[3, 3], [1, 1]])
    digits = np.zeros((2, 2, 2), np.int8)
    digits[0], digits[1, :, 0] = 1, 1
    network = shared_terms(matrix, [15, 15], digits=digits)
    np.testing.assert_array_equal(network.coefficients, matrix)
    with pytest.raises(AssertionError):
        shared_terms(matrix, [15, 15], digits=csd_digits(matrix + 1))


def duts() -> list[Dut]:
    """Networks of each kind, with signed and unsigned inputs of many widths, and constants."""
    made = []
    for k, kind in enumerate(["int6", "pow2", "ternary", "int6"]):
        rng = np.random.default_rng(k)
        matrix = random_matrix(kind, 6, 12, k)
        lows = rng.integers(-40, 2, 12)
        intervals = [Interval(int(lo), int(lo + hi)) for lo, hi in zip(lows, rng.integers(0, 200, 12), strict=True)]
        network = settle_signs(shared_terms(matrix, [i.hi - i.lo for i in intervals]), [200] * 12)
        constants = rng.integers(-99, 99, 6).tolist()
        inner = circuit_of(network, intervals, constants)
        circuit = Circuit(f"network{k}", inner.output_ports, [list(inner.inputs)])  # type: ignore[list-item]
        x = np.stack([rng.integers(i.lo, i.hi + 1, 50) for i in intervals], axis=1)
        made.append(Dut(circuit, {"x": x}, {"y": x @ matrix.T + constants}))
    return made


@pytest.mark.parametrize(
    ("simulator", "defines"), [("iverilog", ()), ("iverilog", ("EDGEC_CELLS",)), ("verilator", ())]
)
def test_emitted_networks(simulator: str, defines: tuple[str, ...], tmp_path: Path) -> None:
    """Words and cells compute the same in the simulators."""
    require_tool(simulator)
    run = iverilog.run_testbench if simulator == "iverilog" else verilator_bench.run_testbench
    result = run_bench(duts(), tmp_path, run, defines)
    assert result.passed, result.output
