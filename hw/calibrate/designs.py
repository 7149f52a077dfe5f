"""Small designs that a library is calibrated on: a layer or two of every kind that the RTL backend makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgec.formats import Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.ops import Add, ArgMax, Constant, Conv, Dense, Input, Lut, MaxPool, Op, Relu, Requantize, Reshape
from edgec.ops.source import integers
from edgec.options import Options

U8, S8, S6, U9 = Fixed(8, 0, False), Fixed(8, 1), Fixed(6, 1), Fixed(9, 1, False)
FRAMES = 100


@dataclass(frozen=True)
class Design:
    """A model (a graph, or a file), how it is built, and its frames: real values by input, or None: `sparse` or random
    codes are drawn for what the inputs have become."""

    name: str
    model: Graph | str | Path
    options: Options
    sparse: bool = False
    frames: Mapping[str, NDArray] | None = None
    seed: int = 1


def designs(seed: int = 1) -> list[Design]:
    """All of them; the weights and frames follow from `seed`."""
    made = []
    for number, (name, (build, weights, sparse)) in enumerate(DESIGNS.items()):
        graph = build(np.random.default_rng([seed, number]))
        made.append(Design(name, graph, Options(weights=weights), sparse, seed=seed))
    return made


def drawn(graph: Graph, seed: int, sparse: bool, count: int = FRAMES) -> dict[str, NDArray]:
    """Codes for every input: all equally likely, or 60 % zeros and the rest exponential with a mean of a sixth."""
    rng = np.random.default_rng(seed)
    result = {}
    for op in graph.inputs:
        low, high = op.format.code_range
        codes = rng.integers(low, high, (count, *op.shape), endpoint=True)
        if sparse:
            drawn = np.minimum(np.floor(rng.exponential((high - low) / 6, codes.shape)), high)
            codes = np.where(rng.random(codes.shape) < 0.6, 0, drawn).astype(np.int64)
        result[op.name] = codes.astype(op.format.dtype)
    return result


def laplace(rng: np.random.Generator, shape: tuple[int, ...], fmt: Fixed = S6) -> Constant:
    """Weights as training leaves them."""
    low, high = fmt.code_range
    levels = np.clip(np.round(rng.laplace(0, high / 5, shape)), low, high).astype(np.int64)
    return Constant(levels, type=TensorType(fmt, shape))


def uniform(rng: np.random.Generator, shape: tuple[int, ...], fmt: Format) -> Constant:
    """Every code of a format equally likely."""
    low, high = fmt.code_range
    codes = rng.integers(low, high, shape, endpoint=True)
    return Constant(codes, type=TensorType(Affine(fmt, (1.0,)) if isinstance(fmt, Binary) else fmt, shape))


def _dense(
    inputs: int,
    outputs: int,
    w: Callable[..., Constant],
    fmt: Format = U8,
    *,
    product: Quantizer | None = None,
    out: Quantizer | None = None,
) -> Callable[[np.random.Generator], Graph]:
    def build(rng: np.random.Generator) -> Graph:
        x = Input("x", type=TensorType(fmt, (1, inputs)))
        dense = Dense(x, w(rng, (outputs, inputs)), product=product, out=out, loc=("dense",))
        return Graph("micro", (x,), (("y", dense if out is None else Relu(dense, loc=("relu",))),))

    return build


def _conv(channels: int, filters: int, size: int, out: Quantizer) -> Callable[[np.random.Generator], Graph]:
    def build(rng: np.random.Generator) -> Graph:
        x = Input("x", type=TensorType(U8, (1, channels, size, size)))
        conv = Conv(
            x,
            laplace(rng, (filters, channels, 3, 3)),
            laplace(rng, (filters,)),
            pads=(1, 1, 1, 1),
            out=out,
            loc=("conv",),
        )
        relu = Relu(conv, loc=("relu",))
        pool = MaxPool(relu, (2, 2), (2, 2), loc=("pool",))
        return Graph("micro", (x,), (("y", pool),))

    return build


def _two_layers(rng: np.random.Generator) -> Graph:
    x = Input("x", type=TensorType(U8, (1, 24)))
    hidden = Relu(Dense(x, laplace(rng, (12, 24)), laplace(rng, (12,)), out=Quantizer(U8, "floor"), loc=("first",)))
    second = Dense(hidden, laplace(rng, (6, 12)), laplace(rng, (6,)), out=Quantizer(U9, "floor"), loc=("second",))
    return Graph("micro", (x,), (("y", Relu(second, loc=("relu",))),))


def _elementwise(rng: np.random.Generator) -> Graph:
    fmt = Affine(Integer(8), (0.05,))
    x = Input("x", type=TensorType(fmt, (1, 4, 2, 2)))
    y = Input("y", type=TensorType(fmt, (1, 4, 2, 2)))
    total: Op = Add(x, y, loc=("add",))
    factor, shift = rng.integers(1 << 14, 1 << 15, 4), np.full(4, 16)
    scaled = Requantize(
        total, integers(factor), integers(shift), None, Quantizer(fmt, "half_up", "saturate"), loc=("scale",)
    )
    table = Constant(np.sort(rng.integers(-128, 128, 256)).astype(np.int8), type=TensorType(fmt, (256,)))
    return Graph("micro", (x, y), (("z", Lut(scaled, table, loc=("lut",))),))


def _table(rng: np.random.Generator) -> Graph:
    """A table behind sums, whose glitches go through it."""
    x = Input("x", type=TensorType(U8, (1, 16)))
    sums = Dense(x, laplace(rng, (6, 16)), laplace(rng, (6,)), out=Quantizer(Fixed(8, 4), "floor"), loc=("dense",))
    curve = np.round(127 * np.tanh(np.arange(-128, 128) / 24)).astype(np.int64)
    table = Constant(curve, type=TensorType(Fixed(8, 1), (256,)))
    return Graph("micro", (x,), (("y", Lut(sums, table, loc=("lut",))),))


def _classes(rng: np.random.Generator) -> Graph:
    x = Input("x", type=TensorType(U8, (1, 4, 4, 4)))
    pool = Reshape(MaxPool(x, (2, 2), (2, 2), loc=("pool",)), (1, 16))
    return Graph("micro", (x,), (("y", ArgMax(pool, axis=1, loc=("argmax",))),))


def _binary(rng: np.random.Generator, shape: tuple[int, ...]) -> Constant:
    return uniform(rng, shape, Binary())


SIGN = Affine(Binary(), (1.0,))
DESIGNS: dict[str, tuple[Callable[[np.random.Generator], Graph], str, bool]] = {
    "dense_loaded": (_dense(24, 3, laplace, out=Quantizer(U9, "floor")), "loaded", True),
    "dense_loaded_rounded": (
        _dense(20, 3, laplace, product=Quantizer(Fixed(10, 2), "floor"), out=Quantizer(U9, "floor")),
        "loaded",
        True,
    ),
    "dense_pow2_loaded": (_dense(24, 3, lambda r, s: uniform(r, s, Pow2(3))), "loaded", False),
    "dense_fixed": (_dense(32, 8, laplace), "fixed", False),
    "dense_fixed_deep": (_dense(96, 12, laplace), "fixed", True),
    "dense_fixed_rounded": (
        _dense(32, 6, laplace, product=Quantizer(Fixed(10, 2), "floor"), out=Quantizer(U9, "floor")),
        "fixed",
        False,
    ),
    "dense_int8": (_dense(24, 6, lambda r, s: laplace(r, s, S8)), "fixed", True),
    "dense_pow2": (_dense(48, 8, lambda r, s: uniform(r, s, Pow2(4))), "fixed", False),
    "dense_ternary": (_dense(64, 12, lambda r, s: uniform(r, s, Ternary())), "fixed", True),
    "dense_binary": (_dense(96, 24, _binary, SIGN), "fixed", False),
    "conv_loaded": (_conv(1, 3, 4, out=Quantizer(U8, "floor")), "loaded", True),
    "conv_fixed": (_conv(2, 4, 6, out=Quantizer(U8, "floor")), "fixed", False),
    "two_layers": (_two_layers, "fixed", True),
    "elementwise": (_elementwise, "fixed", False),
    "table": (_table, "fixed", False),
    "classes": (_classes, "fixed", False),
}
"""Name -> how it is built, its weights, and whether its frames are sparse."""
