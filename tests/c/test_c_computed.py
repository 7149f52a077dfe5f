"""Parameters that are computed instead of constant: the same numbers as the interpreter's, or E0310 with a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from c_support import HOST, const, drawn, graph_of, inp, need

from edgec.api import compile_model
from edgec.backends.c import plan
from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_batch import run_batch
from edgec.interp import random_frames, run
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Get,
    Gru,
    Input,
    Lstm,
    Lut,
    MatMul,
    Mul,
    MultiThreshold,
    Normalize,
    Op,
    PRelu,
    Requantize,
    RequantizeFloat,
    Rnn,
    Take,
    Unary,
    Where,
)
from edgec.target import load_target

I8, I32, U2, BIT, SHIFT = (Integer(8), Integer(32), Integer(2, signed_=False), Integer(1, signed_=False), Integer(4))
REASONS = ("computed", "run time")
ON_ARM = load_target("cortex-a76")


def samples() -> list[Op]:
    g = np.random.default_rng(7)

    def f(*shape: int) -> Constant:
        return drawn(g, F32, *shape)

    def i(fmt: Format, *shape: int) -> Constant:
        return drawn(g, fmt, *shape)

    image, codes, sums, numbers = inp(F32, 1, 4, 5, 5), inp(I8, 1, 4, 5, 5), inp(I32, 1, 4, 3), inp(F32, 3, 1, 2)
    up = Quantizer(Affine(I8, (0.5,), (3,)), "half_up", "saturate")
    ladder = const(I32, np.sort(g.integers(-50, 50, (4, 3)), axis=1))
    return [
        Conv(codes, i(I8, 3, 4, 3, 3), i(I8, 3)),
        Conv(image, f(3, 4, 3, 3), f(3)),
        ConvTranspose(image, f(4, 3, 2, 2), f(3)),
        Dense(inp(I8, 1, 6), i(I8, 4, 6), i(I8, 4)),
        Dense(inp(F32, 1, 6), f(4, 6), f(4)),
        BatchNorm(image, f(4), f(4), f(4), const(F32, np.abs(g.standard_normal(4)) + 0.1)),
        PRelu(image, f(4, 1, 1)),
        Requantize(sums, i(I8, 4), const(SHIFT, [1, 5, 2, 7]), i(I8, 4), Quantizer(I8, "half_even", "saturate")),
        Requantize(sums, i(I8, 1), const(SHIFT, [6]), None, up),
        RequantizeFloat(sums, f(4), Quantizer(I8, "half_even", "saturate")),
        MultiThreshold(sums, ladder, const(I8, [1, -1, 1, 1]), U2),
        Lut(inp(U2, 1, 4), i(I8, 4)),
        Normalize(image, f(5), f(5), 3, 1e-5),
        Take(sums, const(I32, [0, 2]), 1),
        Where(inp(BIT, 1, 4, 3), i(I8, 1, 4, 3), i(I8, 1, 4, 3)),
        Add(inp(Fixed(8, 3), 1, 4, 3), drawn(g, Fixed(6, 1), 4, 1)),
        Binary(image, f(4, 1, 1), "max"),
        MatMul(inp(F32, 2, 3), f(3, 4)),
        Rnn(numbers, f(4, 2), f(4, 4), f(4), f(1, 4)),
        Gru(numbers, f(12, 2), f(12, 4), f(12), f(1, 4)),
        Gru(numbers, f(12, 2), f(12, 4), f(12), f(1, 4), f(4), True),
        Lstm(numbers, f(16, 2), f(16, 4), f(16), f(1, 4), f(1, 4)),
    ]


def variants() -> Iterator[tuple[str, Op]]:
    """Every sample with each constant an input, and with all of them."""
    for op in samples():
        names = [f.name for f in dataclasses.fields(op) if isinstance(getattr(op, f.name), Constant)]
        for chosen in [[n] for n in names] + ([names] if len(names) > 1 else []):
            inputs = {n: Input(n, type=getattr(op, n).tensor) for n in chosen}
            yield f"{op.mnemonic}: {', '.join(chosen)}", op.replace(type=None, **inputs)


def graph_with(op: Op) -> Graph:
    several = getattr(op.type, "elements", None)
    return graph_of(*([op] if several is None else [Get(op, i) for i in range(len(several))]))


def test_computed_parameters_are_right_or_refused() -> None:
    need("cc")
    ready, refused = [], []
    for name, op in variants():
        graph = graph_with(op)
        try:
            made = [plan(graph, target, {"name": f"m{len(ready)}"}) for target in (ON_ARM, HOST)][1]
        except EdgecError as error:
            (found,) = error.diagnostics
            assert found.code == "E0310" and any(r in found.what for r in REASONS), name
            refused.append(name)
        else:
            frame = random_frames(graph, 1, 5)
            frame |= {n: np.abs(a) for n, a in frame.items() if n == "var"}
            ready.append((name, made, frame, run(graph, frame)))
    results = run_batch([p for _, p, _, _ in ready], [f for _, _, f, _ in ready])
    for (name, _, _, expected), found in zip(ready, results, strict=True):
        assert not isinstance(found, str), f"{name}: {found}"
        for label, y in expected.items():
            limit = 1e-5 * float(np.abs(y).max()) if y.dtype.kind == "f" else 0
            assert np.abs(y[0].astype(np.float64) - found[label]).max() <= limit, f"{name}: {label}"
    kinds = {name.partition(":")[0] for name in refused}
    assert kinds == {"conv", "conv_transpose", "dense", "requantize", "requantize_float", "multi_threshold", "lut"}
    assert len(ready) > 30


def test_functions_of_scalars_are_folded() -> None:
    graph = graph_of(Mul(inp(F32, 1, 4), Unary(const(F32, 2.0), "exp")))
    ((_, y),) = compile_model(graph, "host").graph.outputs
    assert isinstance(y, Mul) and isinstance(y.y, Constant)
    assert y.y.shape == () and float(y.y.data) == pytest.approx(np.exp(2.0))
