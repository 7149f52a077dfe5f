"""Small whole networks in every precision, clean under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c_support import HOST, check, const, graph_of, inp

import edgec
from edgec.api import compile_model
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import F16, F32, F64, Format
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames
from edgec.ops import (
    Add,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Get,
    Lstm,
    MatMul,
    MaxPool,
    Mul,
    Normalize,
    Op,
    Pad,
    Relu,
    Reshape,
    Resize,
    Softmax,
    Sub,
    Transpose,
    Unary,
)
from edgec.options import Options

SANITIZE = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TOLERANCE = {F16: 4e-3, F32: 1e-5, F64: 1e-12}


class Weights:
    """Seeded constants of one format, their spread that of a trained layer."""

    def __init__(self, fmt: Format) -> None:
        self.fmt, self.random = fmt, np.random.default_rng(5)

    def __call__(self, *shape: int) -> Op:
        fan = max(int(np.prod(shape[1:])), 1)
        return const(self.fmt, self.random.standard_normal(shape) / np.sqrt(fan))


def images(fmt: Format) -> Graph:
    """Convolutions, depthwise ones, a residual sum, pooling, up-sampling, a classifier."""
    w, x = Weights(fmt), inp(fmt, 1, 3, 16, 12)
    y: Op = Relu(Conv(x, w(8, 3, 3, 3), w(8), (2, 1), (1, 1, 1, 1)))
    y = Relu(Conv(y, w(8, 1, 3, 3), w(8), pads=(1, 1, 1, 1), groups=8))
    y = Add(y, Conv(y, w(8, 8, 1, 1), None))
    up = Resize(MaxPool(y, (2, 2), (2, 2)), (8, 12), (2.0, 2.0), "linear", "half_pixel")
    wide = Concat((y, up, ConvTranspose(MaxPool(y, (2, 2), (2, 2)), w(8, 4, 2, 2), w(4), (2, 2))), 1)
    y = AvgPool(
        Unary(Conv(Pad(wide, (0, 0, 1, 0, 0, 0, 1, 0), "reflect"), w(16, 20, 3, 3), w(16)), "elu", 1.0), (8, 10)
    )
    return Graph("images", (x,), (("y", Softmax(Dense(Reshape(y, (1, 16)), w(5, 16), w(5)))), ("up", up)))


def attention(fmt: Format) -> Graph:
    """One head of self-attention behind a normalisation, with a gated layer."""
    w, x = Weights(fmt), inp(fmt, 1, 7, 40)
    n = Normalize(x, w(40), w(40))
    q, k, v = (Dense(n, w(40, 40), w(40)) for _ in range(3))
    scores = Softmax(Mul(MatMul(q, Transpose(k, (0, 2, 1))), const(fmt, 40**-0.5)))
    y = Add(x, Dense(MatMul(scores, v), w(40, 40), None))
    gate = Unary(Dense(y, w(64, 40), w(64)), "gelu")
    return Graph("attention", (x,), (("y", Add(y, Dense(gate, w(40, 64), w(40)))),))


def speech(fmt: Format) -> Graph:
    """A convolution over time, an LSTM whose state goes in and out, a decision."""
    w, x, h = Weights(fmt), inp(fmt, 1, 1, 64), inp(fmt, 1, 8, name="h")
    c = inp(fmt, 1, 8, name="c")
    spectrum = Unary(Conv(x, w(6, 1, 48), None, (4,)), "abs")
    layer = Lstm(Transpose(spectrum, (2, 0, 1)), w(32, 6), w(32, 8), w(32), h, c)
    y = Unary(Dense(Get(layer, 0), w(1, 8), w(1)), "sigmoid")
    return Graph("speech", (x, h, c), (("y", y), ("h", Get(layer, 1)), ("c", Get(layer, 2))))


@pytest.mark.parametrize("fmt", [F16, F32, F64], ids=str)
@pytest.mark.parametrize("make", [images, attention, speech])
def test_floats(make: object, fmt: Format) -> None:
    check(make(fmt), tolerance=TOLERANCE[fmt], flags=SANITIZE)  # type: ignore[operator]


@pytest.mark.parametrize("make", [images, attention])
@pytest.mark.parametrize("bits", ["bits=8", "bits=4"])
def test_quantised(make: object, bits: str) -> None:
    graph: Graph = make(F32)  # type: ignore[operator]
    frames = random_frames(graph, 16, 2)
    made = compile_model(graph, HOST, Options(quantize=bits), calibration=frames)
    check(made.graph, tolerance=1e-4, flags=SANITIZE)


def test_an_artefact_in_half_precision_verifies(tmp_path: Path) -> None:
    artefact = edgec.build(images(F16), "host", tmp_path / "out", Options(golden=4))
    assert edgec.verify(artefact, on=["c"])["ok"]


def test_a_step_is_judged_by_its_own_operands(tmp_path: Path) -> None:
    """The logarithm of a difference of nearly equal sums differs by much more than a step may."""
    w, x = Weights(F32), inp(F32, 1, 300)
    kernel = w(40, 300)
    one, other = Dense(x, kernel, None), Dense(x, kernel, const(F32, np.full(40, 1e-5)))
    graph = graph_of(Unary(Unary(Sub(one, other), "abs"), "log"), one, other)  # stored, as they are outputs
    artefact = edgec.build(graph, "host", tmp_path / "out", Options(golden=8))
    assert edgec.verify(artefact, on=["c"])["ok"]
    frames = random_frames(graph, 8, 0)
    found = run_plan(plan(graph, HOST, {"name": "t"}), frames)
    whole, steps = reference(graph, frames), reference(graph, frames, given=found.layers)
    assert first_difference(whole, found.layers, found.outputs, tolerance=1e-4) is not None
    assert first_difference(steps, found.layers, found.outputs, tolerance=1e-5) is None
