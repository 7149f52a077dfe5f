"""Vector code for what is no image: one-dimensional convolutions, and dense layers of several rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_c_arm as bytewise
import test_c_arm_float as floats
from c_support import const, graph_of, inp

from edgec.formats import F32
from edgec.graph import Graph
from edgec.ops import Get, Gru, Lstm, Op, Relu, Reshape, Rnn, Slice, Transpose


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


def recurrent(seed: int) -> Graph:
    """Layers of all kinds and some sizes, whose states are outputs too."""
    rng = np.random.default_rng(seed)
    outputs: list[Op] = []
    for inputs, units in ((7, 5), (16, 12), (3, 33)):
        x = inp(F32, 4, 2, inputs, name=f"x{units}")
        h, c = (inp(F32, 2, units, name=f"{n}{units}") for n in "hc")

        def weights(gates: int, inputs: int = inputs, units: int = units) -> list[Op]:
            shapes = ((gates * units, inputs), (gates * units, units), (gates * units,))
            return [const(F32, rng.uniform(-0.7, 0.7, shape)) for shape in shapes]

        rb = const(F32, rng.uniform(-1, 1, units))
        layers = [
            Rnn(x, *weights(1), h, ("relu",)),
            Gru(x, *weights(3), h),
            Gru(x, *weights(3), h, rb, True, reverse=True),
            Lstm(x, *weights(4), h, c, reverse=units == 33),
        ]
        layers.append(Lstm(Get(layers[3], 0), *weights(4, units), h, c))
        outputs += [Get(layer, 0) for layer in layers[:4]]
        outputs += [Get(layers[2], 1), Get(layers[3], 1), Get(layers[3], 2), Get(layers[4], 1)]
    return graph_of(*outputs)


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_recurrent_layers(compiler: str) -> None:
    made = floats.verify(recurrent(4), floats.NEON, compiler)
    source = floats.source(made)
    assert source.count("#if T_NEON") >= 15
    floats.verify(recurrent(4), floats.NEON, flags=("-DT_PORTABLE",))
