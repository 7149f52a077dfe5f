"""What the tests of synthesis share: a small network of two layers, and artefacts of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import edgec
from edgec.artefact import Artefact
from edgec.formats import Fixed, Format, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Cast, Constant, Conv, Dense, Input, Op, Relu, Reshape
from edgec.options import Options

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


def constant(generator: np.random.Generator, fmt: Format, shape: tuple[int, ...], name: str) -> Constant:
    lo, hi = fmt.code_range
    return Constant(generator.integers(lo, hi, shape, endpoint=True), type=TensorType(fmt, shape), loc=(name,))


def network(seed: int = 0) -> Graph:
    """A convolution (8 weights of 3 bits, 2 biases) and a dense layer (24 weights): two stages of 8 and 3 results."""
    generator = np.random.default_rng(seed)

    def finish(op: Op, name: str) -> Op:
        return Cast(Relu(op, loc=(f"{name}.relu",)), Quantizer(Fixed(4, 1, False), "floor"), loc=(name,))

    x = Input("x", type=TensorType(Fixed(4, 2), (1, 1, 4, 4)))
    kernel = constant(generator, Fixed(3, 1), (2, 1, 2, 2), "conv.w")
    conv = Conv(x, kernel, constant(generator, Fixed(3, 1), (2,), "conv.b"), strides=(2, 2), loc=("conv",))
    flat = Reshape(finish(conv, "inner"), (1, 8), loc=("flat",))
    dense = Dense(flat, constant(generator, Fixed(3, 1), (3, 8), "fc.w"), None, loc=("fc",))
    return Graph("two", (x,), (("y", finish(dense, "last")),), {})


def build(folder: Path, weights: str = "loaded", seed: int = 0) -> Artefact:
    return edgec.build(network(seed), "gate-equivalents", folder, Options(weights=weights))
