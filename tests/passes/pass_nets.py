"""Small networks and helpers for the tests of passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgec.formats import F32, TensorType
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Input,
    MaxPool,
    Op,
    Relu,
    Reshape,
    Softmax,
    constant,
)
from edgec.pipeline import Context, parse_pipeline, run_pipeline
from edgec.text import print_graph

GOLDEN = Path(__file__).parent.parent / "golden"


def f32(name: str, *shape: int) -> Input:
    return Input(name, type=TensorType(F32, shape))


def weights(generator: np.random.Generator, *shape: int, loc: str = "") -> Op:
    """Normal numbers, matrices and kernels scaled so that a layer keeps the size of its input."""
    values = generator.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))
    return constant(values, loc=(loc,) if loc else ())


def batch_norm(generator: np.random.Generator, x: Op, name: str = "bn", mean: bool = True) -> BatchNorm:
    n = x.shape[1]
    scale, bias = generator.uniform(0.5, 1.5, n), generator.standard_normal(n)
    centre = generator.standard_normal(n) if mean else np.zeros(n)
    parameters = (scale, bias if mean else np.zeros(n), centre, generator.uniform(0.2, 2, n))
    return BatchNorm(x, *map(constant, parameters), loc=(name,))


def residual_net(seed: int = 0, classes: int = 5) -> Graph:
    """Conv, batch norm, residual add, pooling, dense, softmax: what an imported classifier looks like."""
    g = np.random.default_rng(seed)
    x = f32("image", 1, 3, 8, 8)
    y: Op = Conv(x, weights(g, 8, 3, 3, 3, loc="w0"), pads=(1, 1, 1, 1), loc=("conv0",))
    y = Relu(batch_norm(g, y, "bn0"), loc=("relu0",))
    z: Op = Conv(y, weights(g, 8, 8, 3, 3, loc="w1"), weights(g, 8), pads=(1, 1, 1, 1), loc=("conv1",))
    z = Relu(Add(batch_norm(g, z, "bn1"), y, loc=("add",)), loc=("relu1",))
    z = MaxPool(z, (2, 2), strides=(2, 2), loc=("pool",))
    z = AvgPool(z, (4, 4), loc=("mean",))
    z = Reshape(z, (1, 8), loc=("flat",))
    z = Dense(z, weights(g, classes, 8, loc="w2"), weights(g, classes), loc=("dense",))
    return Graph("residual", (x,), (("probabilities", Softmax(z, loc=("softmax",))),))


def apply(graph: Graph, passes: str, context: Context | None = None) -> Graph:
    return run_pipeline(graph, parse_pipeline(passes), context or Context())


def outputs(graph: Graph, seed: int = 1, frames: int = 3) -> dict[str, np.ndarray]:
    return run(graph, random_frames(graph, frames, seed))


def assert_same(before: Graph, after: Graph, seed: int = 1, relative: float = 0.0) -> None:
    """Equal outputs on random frames; `relative` to the largest value of each output."""
    a, b = outputs(before, seed), outputs(after, seed)
    assert list(a) == list(b)
    for name in a:
        assert a[name].shape == b[name].shape and a[name].dtype == b[name].dtype
        size = float(np.abs(a[name].astype(np.float64)).max(initial=1e-30))
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=relative * size)


def mnemonics(graph: Graph) -> list[str]:
    return [op.mnemonic for op in graph.ops if op.mnemonic not in ("input", "constant")]


def check_golden(name: str, graph: Graph) -> None:
    """Compare the text form with tests/golden/`name`.edge; writes the file when it does not exist, and fails."""
    text, _ = print_graph(graph)
    file = GOLDEN / f"{name}.edge"
    if not file.exists():
        file.write_text(text)
        raise AssertionError(f"{file.name} was missing and has been written: look at it and run again")
    assert text == file.read_text()
