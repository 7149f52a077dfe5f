"""Flipped weight bits in the interpreter: the vectorised way gives what a changed graph gives, bit after bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from faults_support import S3, U4, constant, finished, network

from edgec.backends.rtl.bank import bank_entries
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.formats_compressed import Ternary
from edgec.graph import Graph
from edgec.hw.faults.weights import WeightFlips
from edgec.interp import random_frames, run
from edgec.mutants import with_element
from edgec.ops import Add, Constant, Conv, Dense, Input


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def image(shape: tuple[int, ...] = (1, 2, 4, 4)) -> Input:
    return Input("x", type=TensorType(Fixed(4, 2), shape))


def rounded_products() -> Graph:
    x, g = image((1, 6)), rng()
    product = Quantizer(Fixed(5, 3), "floor")
    dense = Dense(x, constant(g, (3, 6), S3, "w"), constant(g, (3,), S3, "b"), product=product, loc=("fc",))
    return Graph("rounded", (x,), (("y", finished(dense, "q")),), {})


def depthwise() -> Graph:
    x, g = image(), rng()
    conv = Conv(x, constant(g, (2, 1, 3, 3), S3, "w"), constant(g, (2,), S3, "b"), groups=2, loc=("dw",))
    return Graph("depthwise", (x,), (("y", finished(conv, "q")),), {})


def shared() -> Graph:
    """One constant in two layers, of which one reads the other; both are outputs."""
    x, g = image((1, 4)), rng()
    w = constant(g, (4, 4), S3, "w")
    first = finished(Dense(x, w, None, loc=("a",)), "first")
    second = finished(Dense(first, w, None, loc=("b",)), "second")
    return Graph("shared", (x,), (("y", second), ("z", first)), {})


def branches() -> Graph:
    """A value that does not depend on the flipped layer joins behind it."""
    x, g = image((1, 4)), rng()
    left = finished(Dense(x, constant(g, (4, 4), S3, "l"), None, loc=("l",)), "left")
    right = finished(Dense(x, constant(g, (4, 4), S3, "r"), constant(g, (4,), S3, "rb"), loc=("r",)), "right")
    return Graph("branches", (x,), (("y", Add(left, right, Quantizer(U4), loc=("sum",))),), {})


def ternary() -> Graph:
    """Ternary weights have no code for one of the four values of two bits."""
    x, g = image((1, 5)), rng()
    w = Constant(g.integers(-1, 2, (3, 5)), type=TensorType(Ternary(), (3, 5)), loc=("w",))
    return Graph("ternary", (x,), (("y", finished(Dense(x, w, constant(g, (3,), S3, "b")), "q")),), {})


@pytest.mark.parametrize("make", [network, rounded_products, depthwise, shared, branches, ternary])
def test_every_flip_is_that_of_a_changed_graph(make: Callable[[], Graph]) -> None:
    graph = make()
    registers = [e.as_dict() for e in bank_entries(graph)]
    frames = random_frames(graph, 7, 1)
    flips = WeightFlips(graph, registers, frames)
    assert flips.positions.size == sum(r["elements"] * r["element_bits"] for r in registers)
    for name, clean in run(graph, frames).items():
        assert np.array_equal(flips.clean[name], clean)
    seen = np.zeros(flips.positions.size, int)
    for index, found in flips.outputs(flips.positions):
        seen[index] += 1
        for k, i in enumerate(index):
            bit = flips.bit(int(flips.positions[i]))
            code = flips.flipped_code(bit)
            assert code is not None
            mutant, _ = with_element(graph, flips.constants[bit.register], flips.place(bit), code)
            for name, wanted in run(mutant, frames).items():
                assert np.array_equal(found[name][k], wanted), (bit, name)
    legal = np.array([flips.flipped_code(flips.bit(int(p))) is not None for p in flips.positions])
    assert np.array_equal(seen, legal.astype(int))
    assert legal.all() == (make is not ternary)
