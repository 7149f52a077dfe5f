"""Small networks for the tests of fault campaigns, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgec import api
from edgec.artefact import Artefact
from edgec.formats import Fixed, Format, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Cast, Constant, Conv, Dense, Input, Op, Relu, Reshape
from edgec.options import Options

ROOT = Path(__file__).parents[2]
TARGET = "gate-equivalents"
S3, U4 = Fixed(3, 1), Fixed(4, 1, False)


def constant(generator: np.random.Generator, shape: tuple[int, ...], fmt: Format, name: str) -> Constant:
    lo, hi = fmt.code_range
    return Constant(generator.integers(lo, hi, shape, endpoint=True), type=TensorType(fmt, shape), loc=(name,))


def finished(op: Op, name: str) -> Op:
    return Cast(Relu(op, loc=(f"{name}.relu",)), Quantizer(U4, "floor"), loc=(name,))


def network(seed: int = 0) -> Graph:
    """A convolution and a dense layer: two stages, 18 + 2 + 24 + 3 weights of 3 bits."""
    generator = np.random.default_rng(seed)
    x = Input("x", type=TensorType(Fixed(4, 2), (1, 1, 4, 4)))
    kernel = constant(generator, (2, 1, 3, 3), S3, "conv.w")
    conv = Conv(x, kernel, constant(generator, (2,), S3, "conv.b"), strides=(2, 2), pads=(0, 0, 1, 1), loc=("conv",))
    flat = Reshape(finished(conv, "inner"), (1, 8), loc=("flat",))
    dense = Dense(flat, constant(generator, (3, 8), S3, "fc.w"), constant(generator, (3,), S3, "fc.b"), loc=("fc",))
    return Graph("small", (x,), (("y", finished(dense, "last")),), {})


def built(folder: Path, harden: str | None = None, weights: str = "loaded", ranking: Path | None = None) -> Artefact:
    options = Options(weights=weights, harden=harden, ranking=str(ranking) if ranking else None)
    return api.build(network(), TARGET, folder, options)


def edgec(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "edgec", *map(str, arguments)]
    ours = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(env or {})}
    return subprocess.run(words, capture_output=True, text=True, env=ours, timeout=300)
