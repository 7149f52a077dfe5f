"""Vector code for what is no image: one-dimensional convolutions, and dense layers of several rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_c_arm as bytewise
import test_c_arm_float as floats
from c_support import graph_of, inp

from edgec.formats import F32
from edgec.graph import Graph
from edgec.ops import Op, Relu, Reshape, Slice, Transpose


def rows(kind: Any, fmt: Any, seed: int) -> Graph:
    """Convolutions of a sequence, alone and behind each other, and dense layers of rows that lie side by side, behind
    each other, transposed, cut out, and in two dimensions."""
    rng = np.random.default_rng(seed)
    sequence, wide = inp(fmt, 1, 5, 37, name="sequence"), inp(fmt, 1, 24, 19, name="wide")
    matrix, cube = inp(fmt, 7, 20, name="matrix"), inp(fmt, 3, 4, 33, name="cube")
    last = (0, 2, 1)
    first = kind.conv(rng, sequence, 16, (3,), pads=(1, 1), clamp="relu")
    second = kind.conv(rng, first, 21, (5,), pads=(2, 2), strides=(2,))
    outputs: list[Op] = [
        Transpose(kind.conv(rng, second, 8, (1,), clamp="clip"), last),
        Transpose(kind.conv(rng, wide, 13, (4,), dilations=(3,), pads=(0, 3)), last),
        kind.conv(rng, wide, 9, (2,)),  # channels first
        kind.dense(rng, kind.dense(rng, matrix, 18, clamp="relu"), 5),
        kind.dense(rng, cube, 34),
        kind.dense(rng, Transpose(Relu(cube), (1, 0, 2)), 12),  # no strides say where row n lies
        kind.dense(rng, Slice(Relu(matrix), (1, 0), (6, 20), (2, 1)), 10),
        kind.dense(rng, Reshape(second, (21, 19)), 11),
    ]
    return graph_of(*outputs)


@pytest.mark.parametrize("core", [floats.DOT, floats.NEON])
def test_floats(core: str) -> None:
    made = floats.verify(rows(floats, F32, 5), core)
    assert floats.steps(made) == (11, 11)


@pytest.mark.parametrize("core", [bytewise.DOT, bytewise.NEON])
def test_bytes(core: str) -> None:
    made = bytewise.verify(rows(bytewise, bytewise.byte(-3), 6), core)
    assert bytewise.steps(made) == (11, 11)


def test_a_depthwise_sequence() -> None:
    rng = np.random.default_rng(8)
    x = inp(F32, 1, 24, 31)
    outputs = [
        Transpose(floats.conv(rng, x, 24, (3,), groups=24, pads=(1, 1), clamp="relu"), (0, 2, 1)),
        Transpose(floats.conv(rng, x, 24, (9,), groups=24, pads=(8, 0), dilations=(2,)), (0, 2, 1)),
    ]
    made = floats.verify(graph_of(*outputs), floats.NEON)
    assert floats.steps(made) == (2, 2)
