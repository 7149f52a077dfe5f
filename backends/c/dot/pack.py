"""Weights and rescalings in the order in which the inner loops read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.dot.match import DotLayer

LANES = 4
"""Output channels of one vector of sums."""
BLOCK = 16
"""Output channels that are computed together."""


@dataclass(frozen=True, eq=False)
class Block:
    """Output channels from `first` on, `count` of them in `vectors` vectors. `weights` for each tap of the window and
    each four bytes of a run: `vectors` x 4 channels x 4 bytes. `numbers`: bias, multiplier, minus shift, by channel."""

    first: int
    count: int
    vectors: int
    weights: NDArray[np.int8]
    numbers: NDArray[np.int32]


def runs(layer: DotLayer) -> tuple[int, int, int]:
    """(rows, columns, bytes): taps that are visited one by one, and how many bytes lie in a row behind each."""
    (kh, kw), _, (_, dilation), _ = layer.window
    channels = layer.weights.shape[3]
    return (kh, 1, kw * channels) if dilation == 1 or kw == 1 else (kh, kw, channels)


def blocks(layer: DotLayer) -> list[Block]:
    """All output channels, 16 at a time; the rest in as few vectors as it needs."""
    outputs = len(layer.weights)
    rows, columns, run = runs(layer)
    quads = -(-run // 4)
    w = np.zeros((-(-outputs // BLOCK) * BLOCK, rows, columns, quads * 4), np.int8)
    w[:outputs, :, :, :run] = layer.weights.reshape(outputs, rows, columns, run)
    made = []
    for first in range(0, outputs, BLOCK):
        count = min(BLOCK, outputs - first)
        vectors = -(-count // LANES)
        chosen = w[first : first + vectors * LANES].reshape(vectors, LANES, rows, columns, quads, 4)
        made.append(
            Block(first, count, vectors, chosen.transpose(2, 3, 4, 0, 1, 5), numbers(layer, first, vectors * LANES))
        )
    return made


def numbers(layer: DotLayer, first: int, count: int) -> NDArray[np.int32]:
    """Bias, multiplier, minus shift [3, count] of channels from `first` on; zero beyond the last."""
    table = np.stack([layer.bias, layer.shared, -layer.shift])[:, first : first + count]
    return np.pad(table, ((0, 0), (0, count - table.shape[1]))).astype(np.int32)


def depthwise_weights(layer: DotLayer, first: int) -> NDArray[np.int8]:
    """Of 16 channels [3 columns, 4 vectors, 4 channels, 4 rows], the fourth row zero; 8 channels count twice."""
    w = layer.weights[:, :, :, 0]
    channels = np.arange(first, first + BLOCK) % len(w) if len(w) < BLOCK else np.arange(first, first + BLOCK)
    rows = np.pad(w[channels].transpose(2, 0, 1), ((0, 0), (0, 0), (0, 1)))  # [columns, 16, 4]
    return rows.reshape(3, LANES, LANES, 4).astype(np.int8)


def depthwise_numbers(layer: DotLayer, first: int) -> NDArray[np.int32]:
    """Bias, multiplier, minus shift [3, 16]; 8 channels count twice."""
    outputs = len(layer.weights)
    channels = np.arange(first, first + BLOCK) % outputs if outputs < BLOCK else np.arange(first, first + BLOCK)
    return np.stack([layer.bias, layer.shared, -layer.shift])[:, channels].astype(np.int32)
