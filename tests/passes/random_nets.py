"""Random small float networks with everything that the structural passes look for."""

from __future__ import annotations

import itertools
import math

import numpy as np
from pass_nets import batch_norm, f32, weights

from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    MatMul,
    MaxPool,
    Mul,
    Op,
    Pad,
    PRelu,
    Reduce,
    Relu,
    Reshape,
    Slice,
    Sub,
    Transpose,
    constant,
)


def random_net(seed: int, depth: int = 7) -> Graph:
    """A network of `depth` random steps on a [1, 4, 6, 6] image, then mean, dense and bias."""
    g = np.random.default_rng(seed)
    x = f32("image", 1, 4, 6, 6)
    y: Op = x
    for _ in range(depth):
        y = _step(g, y)
    y = Reduce(y, "mean", (2, 3), keepdims=bool(g.integers(2)), loc=("mean",))
    y = Reshape(y, (1, math.prod(y.shape)))
    y = MatMul(y, weights(g, y.shape[1], 3), loc=("product",))
    y = Add(weights(g, 3), y, loc=("bias",))
    return Graph(f"net{seed}", (x,), (("y", y),))


def _step(g: np.random.Generator, x: Op) -> Op:
    channels = x.shape[1]
    name = f"step{int(g.integers(1000))}"
    match int(g.integers(20)):
        case 0 | 1:
            bias = weights(g, 4) if g.integers(2) else None
            w = constant(g.standard_normal((4, channels, 3, 3)) / 5)
            return Conv(x, w, bias, pads=(1, 1, 1, 1), loc=(name,))
        case 2:
            w = constant(g.standard_normal((channels, 1, 1, 1)))
            return Conv(x, w, groups=channels, loc=(name,))
        case 3 | 4:
            return batch_norm(g, x, name, mean=bool(g.integers(2)))
        case 5:
            return Relu(x, loc=(name,))
        case 6:
            return Clip(x, float(-g.integers(3)), float(g.integers(1, 7)), loc=(name,))
        case 7:
            return Binary(constant(np.full((1,), float(g.integers(-1, 2)))), x, "max" if g.integers(2) else "min")
        case 8:
            return PRelu(x, constant(np.full((channels, 1, 1), 0.25)), loc=(name,))
        case 9:
            return Add(weights(g, channels, 1, 1), x, loc=(name,))
        case 10:
            return Sub(x, weights(g, channels, 1, 1), loc=(name,))
        case 11:
            return Mul(x, constant(g.uniform(0.5, 2, (1, channels, 1, 1))), loc=(name,))
        case 12:
            return Binary(x, constant([float(g.choice([0.5, 3.0, 4.0]))]), "div", loc=(name,))
        case 13:
            value = -math.inf if g.integers(2) else 0.0
            padded = Pad(x, (0, 0, 1, 1, 0, 0, 1, 0), value=value)
            return MaxPool(padded, (3, 2), loc=(name,)) if min(padded.shape[2:]) >= 3 else x
        case 14:
            padded = Pad(Pad(x, (0, 0, 1, 0, 0, 0, 0, 0)), (0, 0, 0, 1, 0, 0, 1, 1))
            if g.integers(2):
                padded = Relu(padded)
            return Conv(padded, constant(g.standard_normal((4, channels, 3, 3)) / 5), loc=(name,))
        case 15:
            padded = Pad(x, (0, 0, 1, 1, 0, 0, 1, 1))
            return AvgPool(padded, (3, 3), count_include_pad=bool(g.integers(2)), loc=(name,))
        case 16:
            there = Transpose(x, (0, 2, 3, 1))
            there = Relu(there) if g.integers(2) else there
            return Transpose(there, (0, 3, 1, 2), loc=(name,))
        case 17:
            flat = Reshape(Reshape(x, (1, x.tensor.size)), (1, channels, -1 * (-x.tensor.size // channels)))
            return Reshape(flat, x.shape, loc=(name,))
        case 18:
            both = Concat((x, Concat((Relu(x),), 1)), 1, loc=(name,))
            end = (1, channels, *x.shape[2:])
            part = Slice(both, (0, 0, 0, 0), end, (1, 1, 1, 1))
            return Add(part, Slice(x, (0, 0, 0, 0), end, (1, 1, 1, 1)))
        case _:
            w = constant(g.standard_normal((channels, 4, 2, 2)) / 3)
            y: Op = ConvTranspose(x, w, pads=(0, 0, 1, 1), loc=(name,))
            return batch_norm(g, y) if g.integers(2) else y


def dense_net(seed: int, widths: tuple[int, ...] = (6, 8, 4)) -> Graph:
    """Dense layers with batch norms between them."""
    g = np.random.default_rng(seed)
    x = f32("features", 1, widths[0])
    y: Op = x
    for k, (n, m) in enumerate(itertools.pairwise(widths)):
        y = Dense(batch_norm(g, y, f"bn{k}"), weights(g, m, n), loc=(f"dense{k}",))
        y = Relu(batch_norm(g, y, f"norm{k}"), loc=(f"relu{k}",))
    return Graph("mlp", (x,), (("y", y),))
