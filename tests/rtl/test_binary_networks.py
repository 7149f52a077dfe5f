"""Reuse along trees for binary and ternary matrices: exact coefficients, bounds on the depth, lengths, circuits."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtl_support import Dut, run_bench
from test_support import require_tool

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import input_array
from edgec.backends.rtl.constants.binary import DEPTH, Rows, mst, steiner
from edgec.backends.rtl.constants.cost import network_cells, network_cost
from edgec.backends.rtl.constants.hamming import centre, distances, heights, plain_distances, reroot, spanning_tree
from edgec.backends.rtl.constants.joints import Joints
from edgec.backends.rtl.constants.network import LinearNetwork
from edgec.backends.rtl.constants.parsimony import Tree, search
from edgec.backends.rtl.constants.realize import realize
from edgec.backends.rtl.constants.reuse import ReuseTree
from edgec.backends.rtl.constants.steiner import Joined
from edgec.hw.sim import iverilog

SIGNS, TERNARY = (-1, 1), (-1, 0, 1)


def random_signs(seed: int, outputs: int = 64, inputs: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).choice(SIGNS, (outputs, inputs))


def correlated_signs(seed: int, outputs: int = 64, inputs: int = 256) -> np.ndarray:
    """Signs of a matrix of rank 6."""
    rng = np.random.default_rng(seed)
    return np.where(rng.normal(size=(outputs, 6)) @ rng.normal(size=(6, inputs)) < 0, -1, 1)


@st.composite
def matrices(draw: st.DrawFn, values: tuple[int, ...] = SIGNS) -> np.ndarray:
    """Random rows, with some that are equal or opposite to others, or near them."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    inputs = draw(st.integers(1, 40))
    matrix = rng.choice(values, (draw(st.integers(1, 20)), inputs))
    for _ in range(draw(st.integers(0, 4))):
        copy = matrix[rng.integers(len(matrix))] * rng.choice(SIGNS)
        at = rng.integers(inputs)
        copy[at] = rng.choice([copy[at], *values])
        matrix = np.insert(matrix, rng.integers(len(matrix) + 1), copy, axis=0)
    return matrix


def network_of(
    method: str, matrix: np.ndarray, ranges: np.ndarray | None, max_depth: int, share: bool
) -> LinearNetwork:
    return (mst if method == "mst" else steiner)(matrix, ranges, max_depth=max_depth, share=share)


@given(
    st.sampled_from([SIGNS, TERNARY]).flatmap(matrices),
    st.sampled_from(["mst", "steiner"]),
    st.sampled_from([1, 3, 255]),
    st.integers(0, 7),
    st.booleans(),
)
def test_networks_are_the_matrix_and_keep_the_depth(
    matrix: np.ndarray, method: str, reach: int, max_depth: int, share: bool
) -> None:
    network = network_of(method, matrix, np.full(matrix.shape[1], reach), max_depth, share)
    np.testing.assert_array_equal(network.coefficients, matrix)
    if max_depth:
        assert network.depth <= max_depth
    assert network == network_of(method, matrix, np.full(matrix.shape[1], reach), max_depth, share)


@given(st.sampled_from([SIGNS, TERNARY]).flatmap(matrices))
def test_distances_by_definition(matrix: np.ndarray) -> None:
    distance, negated = distances(matrix)
    for a, b in product(range(len(matrix)), repeat=2):
        plain = int((matrix[a] != matrix[b]).sum())
        opposite = int((matrix[a] != -matrix[b]).sum())
        assert distance[a, b] == min(plain, opposite)
        assert negated[a, b] == (opposite < plain)


def test_equal_opposite_and_zero_rows_cost_nothing() -> None:
    row = random_signs(0, 1, 30)
    network = mst(np.concatenate([row, -row, row, -row]))
    assert len(network.sums) == 1
    assert [t is not None and t.negative for t in network.outputs].count(True) == 2
    ternary = np.concatenate([np.zeros((1, 30), int), row, np.zeros((1, 30), int), -row])
    network = steiner(ternary)
    assert len(network.sums) == 1
    assert network.outputs[0] is None and network.outputs[2] is None


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 1), (2, 3)])
def test_small_matrices(shape: tuple[int, int]) -> None:
    for method in (mst, steiner):
        assert method(np.ones(shape, int)).coefficients.shape == shape


def test_other_weights_are_refused() -> None:
    for method in (mst, steiner):
        with pytest.raises(ValueError, match="other than -1, 0 and 1"):
            method(np.array([[1, 2], [1, -1], [1, 1]]))


def kruskal(distance: np.ndarray) -> int:
    """The total of a minimum spanning tree, by another algorithm."""
    group, total = list(range(len(distance))), 0
    pairs = [(int(distance[v, u]), v, u) for v in range(len(distance)) for u in range(v)]
    for _, a, b in sorted(pairs):
        if group[a] != group[b]:
            total += int(distance[a, b])
            group = [group[a] if g == group[b] else g for g in group]
    return total


@given(matrices(), st.integers(0, 5))
def test_spanning_trees(matrix: np.ndarray, max_height: int) -> None:
    distance, _ = distances(matrix)
    parent = spanning_tree(distance, max_height)
    height = heights(parent)
    assert (parent < 0).sum() == 1
    assert not max_height or height.max() <= max_height
    below = parent >= 0
    total = int(distance[np.flatnonzero(below), parent[below]].sum())
    assert total == kruskal(distance) if not max_height else total >= kruskal(distance)
    if max_height == 1 and height.max() == 1:  # a star, and there is no better one unless the tree itself is low
        assert total in (kruskal(distance), distance.sum(1).min())
    # No other root gives the same edges a lower tree.
    assert heights(reroot(parent, centre(parent))).max() == min(
        heights(reroot(parent, v)).max() for v in range(len(parent))
    )


def test_three_rows_meet_at_their_majority() -> None:
    rows = random_signs(3, 3, 31)
    tree = search(rows)
    signed = rows * np.where(tree.negated, -1, 1)[:, None]
    joined = Joined(signed, tree.neighbours)
    joined.choose_rows()
    np.testing.assert_array_equal(joined.rows[3], np.sign(signed.sum(0)))
    assert tree.length == (joined.rows[3] != signed).sum()


def edges(joined: Joined) -> int:
    """The length of a tree, from its rows."""
    distance = plain_distances(joined.rows)
    return sum(int(distance[v, u]) for v, near in enumerate(joined.neighbours) for u in near) // 2


@given(st.sampled_from([SIGNS, TERNARY]).flatmap(matrices), st.integers(0, 9))
def test_parsimony_trees(matrix: np.ndarray, seed: int) -> None:
    rows = Rows(matrix).distinct
    if len(rows) < 3:
        return
    tree = Tree(rows, seed=seed)
    before = tree.length
    tree.improve(2000)
    assert tree.length <= before
    assert sorted(map(len, tree.neighbours)) == [1] * len(rows) + [3] * (len(rows) - 2)
    signed = rows * np.where(tree.negated, -1, 1)[:, None]
    joined = Joined(signed, tree.neighbours)
    joined.choose_rows()
    # Fitch's count of changes is what the rows that Sankoff's algorithm chooses differ in.
    assert edges(joined) == tree.length
    np.testing.assert_array_equal(joined.rows[: len(rows)], signed)


@given(matrices(), st.integers(1, 4), st.integers(0, 4))
def test_joints_shorten_within_the_height(matrix: np.ndarray, lower: int, more: int) -> None:
    parent = spanning_tree(plain_distances(matrix), lower)
    before = ReuseTree(matrix, parent, ())
    joints = Joints(matrix, parent, lower + more)
    after = ReuseTree(joints.rows, joints.parent, ())
    assert after.length <= before.length
    assert len(joints.rows) == len(matrix) or after.length < before.length
    assert after.height <= lower + more
    np.testing.assert_array_equal(joints.rows[: len(matrix)], matrix)


@given(st.sampled_from([SIGNS, TERNARY]).flatmap(matrices), st.integers(1, 4), st.integers(0, 99))
def test_trees_are_lowered(matrix: np.ndarray, max_height: int, seed: int) -> None:
    parent = np.array(
        [-1, *(np.random.default_rng(seed).integers(max(k - 2, 0), k + 1) for k in range(len(matrix) - 1))]
    )
    outputs = tuple((k, False) for k in range(len(matrix)))
    tree = ReuseTree(matrix, parent, outputs).bounded(max_height)
    assert tree.height <= max_height
    np.testing.assert_array_equal(tree.rows, matrix)
    np.testing.assert_array_equal(tree.network(np.ones(matrix.shape[1]), share=False).coefficients, matrix)


@pytest.mark.parametrize(("weights", "most"), [(random_signs, 0.67), (correlated_signs, 0.92)])
@pytest.mark.parametrize("seed", [1, 2])
def test_smaller_than_spanning_trees(weights: object, most: float, seed: int) -> None:
    matrix = weights(seed)  # type: ignore[operator]
    ranges = np.ones(256, int)
    plain, better = mst(matrix), steiner(matrix)
    assert better.depth <= DEPTH
    assert network_cost(better, ranges) < most * network_cost(plain, ranges)
    # A spanning tree adds 0.42 of the inputs of random rows, and a few half adders.
    separate = mst(matrix, max_depth=1)
    assert network_cells(plain, ranges)["FA"] < 0.47 * network_cells(separate, ranges)["FA"]


def test_wide_inputs_and_ternary_weights_pay_too() -> None:
    rng = np.random.default_rng(7)
    for matrix, reach, most in (
        (random_signs(4, 16, 128), 255, 0.6),
        (rng.choice(TERNARY, (32, 128)), 3, 0.85),
    ):
        ranges = np.full(matrix.shape[1], reach)
        assert network_cost(steiner(matrix, ranges), ranges) < most * network_cost(
            mst(matrix, ranges, max_depth=1), ranges
        )


def circuit_of(network: LinearNetwork, interval: Interval, name: str = "net") -> Circuit:
    x = input_array("x", network.inputs, interval)
    return Circuit(name, {"y": realize(network, x)}, [x])


@given(matrices(), st.sampled_from(["mst", "steiner"]), st.sampled_from([(0, 1), (0, 3), (-8, 7), (0, 255)]))
def test_circuits_compute_the_sums(matrix: np.ndarray, method: str, ends: tuple[int, int]) -> None:
    network = network_of(method, matrix, np.full(matrix.shape[1], ends[1] - ends[0]), 0, True)
    x = np.random.default_rng(0).integers(ends[0], ends[1] + 1, (50, matrix.shape[1]))
    x[0], x[1] = ends
    y = evaluate(circuit_of(network, Interval(*ends)), {"x": x}, check=True)["y"].reshape(50, len(matrix))
    np.testing.assert_array_equal(y, x @ matrix.T)


def test_emitted_networks(tmp_path: Path) -> None:
    """The netlists of cells, in a Verilog simulator."""
    require_tool("iverilog")
    rng = np.random.default_rng(5)
    duts = []
    for k, (network, high) in enumerate(
        [
            (steiner(random_signs(5, 12, 40)), 1),
            (mst(correlated_signs(5, 9, 30)), 3),
            (steiner(random_signs(6, 6, 20)), 255),
        ]
    ):
        x = rng.integers(0, high + 1, (100, network.inputs))
        x[0], x[1] = 0, high
        circuit = circuit_of(network, Interval(0, high), f"net{k}")
        duts.append(Dut(circuit, {"x": x}, {"y": x @ network.coefficients.T}))
    result = run_bench(duts, tmp_path, iverilog.run_testbench, ["EDGEC_CELLS"])
    assert result.passed, result.output
