"""Vector code in binary32 for products of computed matrices and for transposed convolutions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import test_c_arm_float as floats
from c_support import const, graph_of, inp
from test_c_arm_float import random_frames, run_plan

from edgec.backends.c.design import BuildPlan
from edgec.formats import F32
from edgec.graph import Graph
from edgec.ops import Clip, ConvTranspose, MatMul, Op, Relu, Transpose


def bodies(made: BuildPlan, mnemonic: str) -> list[bool]:
    """For every step of an anchor, whether it has vector code."""
    found = re.findall(rf"^static void t_s\d+_{mnemonic}\(.*?^}}", floats.source(made), re.M | re.S)
    return ["#if T_" in body for body in found]


def products(seed: int) -> Graph:
    """Matrices of all layouts: batches, broadcast ones, transposed, constant, of caller's memory and of the arena."""
    rng = np.random.default_rng(seed)
    x, y, z = inp(F32, 2, 3, 10, 18, name="x"), inp(F32, 2, 3, 18, 37, name="y"), inp(F32, 3, 11, 18, name="z")
    near, few = Relu(x), inp(F32, 1, 18, 33, name="few")
    swapped = (0, 1, 3, 2)
    outputs: list[Op] = [
        MatMul(x, y),
        MatMul(near, Transpose(z, (0, 2, 1))),
        MatMul(z, Transpose(Relu(z), (0, 2, 1))),
        MatMul(Transpose(y, swapped), Transpose(x, swapped)),
        MatMul(const(F32, rng.uniform(-1, 1, (1, 18))), y),
        Relu(MatMul(near, y)),
        MatMul(near, const(F32, rng.uniform(-1, 1, (3, 18, 5)))),
        MatMul(Transpose(near, (0, 1, 3, 2)), near),
        MatMul(z, few),
    ]
    return graph_of(*outputs)


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_products_of_computed_matrices(compiler: str) -> None:
    made = floats.verify(products(4), floats.NEON, compiler)
    assert bodies(made, "mat_mul") == [True] * 9


def test_narrow_products_are_plain_code() -> None:
    made = floats.verify(graph_of(MatMul(inp(F32, 5, 7, name="x"), inp(F32, 7, 3, name="y"))), floats.DOT)
    assert bodies(made, "mat_mul") == [False]


def transposed(rng: np.random.Generator, x: Op, outputs: int, kernel: tuple[int, ...], *strides: int, **how: Any) -> Op:
    groups = how.get("groups", 1)
    w = const(F32, rng.uniform(-1, 1, (x.shape[1], outputs // groups, *kernel)))
    return ConvTranspose(x, w, const(F32, rng.uniform(-1, 1, outputs)), strides, **how)


def last(x: Op) -> Op:
    return Transpose(x, (0, *range(2, len(x.shape)), 1))


def images(seed: int) -> Graph:
    """Kernels, strides, paddings and dilations that leave phases of several sizes; rows; clamps; layers in a row."""
    rng = np.random.default_rng(seed)
    x, y, z = inp(F32, 1, 8, 7, 9, name="x"), inp(F32, 1, 5, 11, name="y"), inp(F32, 1, 6, 5, 5, name="z")
    behind = transposed(rng, Relu(z), 8, (4, 4), 2, 2, pads=(1, 1, 1, 1))
    outputs = [
        Relu(transposed(rng, x, 12, (2, 2), 2, 2)),
        transposed(rng, Relu(x), 10, (3, 3), 2, 2, pads=(1, 1, 1, 1), output_padding=(1, 1)),
        Clip(transposed(rng, z, 7, (5, 4), 3, 2, pads=(2, 0, 1, 1)), -1, 1),
        transposed(rng, y, 9, (4,), 2, pads=(1, 1)),
        transposed(rng, y, 4, (3,), 1, pads=(1, 1), dilations=(2,)),
        transposed(rng, behind, 16, (4, 4), 2, 2, pads=(1, 1, 1, 1)),
        transposed(rng, Relu(x), 8, (4, 4), 2, 2, groups=8, pads=(1, 1, 1, 1)),
        transposed(rng, z, 5, (3, 3), 2, 3, dilations=(3, 2)),
        floats.conv(rng, transposed(rng, z, 8, (2, 2), 2, 2), 4, (3, 3), pads=(1, 1, 1, 1)),
    ]
    return graph_of(*map(last, outputs))


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_transposed_convolutions(compiler: str) -> None:
    made = floats.verify(images(5), floats.NEON, compiler)
    assert bodies(made, "conv_transpose") == [True] * 10


def test_what_no_tap_reaches_and_groups_are_plain_code() -> None:
    rng = np.random.default_rng(6)
    x = inp(F32, 1, 8, 4, 4)
    graph = graph_of(last(transposed(rng, x, 6, (2, 2), 3, 3)), last(transposed(rng, x, 8, (2, 2), 2, 2, groups=2)))
    assert bodies(floats.verify(graph, floats.NEON), "conv_transpose") == [False, False]


@pytest.mark.parametrize("graph", [products(7), images(8)], ids=["products", "images"])
def test_a_third_of_the_instructions(graph: Graph) -> None:
    made = floats.plan(graph, floats.load_target(floats.DOT), {"name": "t"})
    frames = random_frames(graph, 1, 3)
    fast, plain = (
        run_plan(made, frames, core=floats.DOT, flags=flags, count_instructions=True).instructions
        for flags in ([], ["-DT_PORTABLE"])
    )
    assert fast is not None and plain is not None and 3 * fast < plain
