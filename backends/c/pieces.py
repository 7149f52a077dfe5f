"""Large steps in pieces that threads may run at the same time: every piece writes results of its own.

Vector code does rows of an image in each piece, or of a single row channels: a piece is a smaller layer. Plain code
takes its share of the outermost loop (`shared`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.winograd import SIDE
from edgec.backends.c.view import View
from edgec.ops import AvgPool, Conv, Dense, MatMul, MaxPool

LARGE = 1 << 14
"""Instructions, roughly, of the smallest step that is worth waking a thread for: some microseconds."""
CHANNELS = 16
"""Channels of a piece are a multiple."""
SHARED = (Conv, Dense, MatMul, MaxPool, AvgPool)
"""Anchors whose outermost loop goes over results."""
LOOP = re.compile(r"(\s*)for \(int32_t (\w+) = 0; \2 < (\d+); \2\+\+\) \{")


@dataclass(frozen=True)
class Pieces:
    """A layer in `count` pieces of `size` rows (or channels) each, but for the last."""

    rows: bool
    count: int
    size: int
    last: int


def pieces_of(layer: Layer, y: View, threads: int, rows_together: int) -> Pieces | None:
    """The pieces of a layer that vector code does, with the result [1, C, H, W], of a multiple of so many rows; None
    where there is but one."""
    rows = y.shape[2] > 1
    if not rows and layer.depthwise:
        return None
    size = y.shape[2] if rows else len(layer.weights)
    unit = rows_together if rows else CHANNELS
    each = -(-size // (min(threads, -(-size // unit)) * unit)) * unit
    count = -(-size // each)
    return Pieces(rows, count, each, size - each * (count - 1)) if count > 1 else None


def part(pieces: Pieces, index: int, layer: Layer, y: View) -> tuple[Layer, View]:
    """Piece `index`: of rows the layer that makes the first ones, which those of other pieces are like."""
    size = pieces.last if index == pieces.count - 1 else pieces.size
    if pieces.rows:
        if layer.winograd is not None and size < SIDE:  # no patch fits
            layer = dataclasses.replace(layer, winograd=None)
        return layer, dataclasses.replace(y, shape=(*y.shape[:2], size, *y.shape[3:]))
    first, outputs = pieces.size * index, len(layer.weights)
    fields = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
    chosen = {
        name: value[first : first + size]
        for name, value in fields.items()
        if isinstance(value, np.ndarray) and value.shape[:1] == (outputs,)
    }
    shape = (y.shape[0], size, *y.shape[2:])
    to = dataclasses.replace(y, shape=shape, offset=y.offset + first * y.strides[1])
    return dataclasses.replace(layer, **chosen), to


def shared(lines: Sequence[str], count: int) -> list[str] | None:
    """A body with the share of piece `piece` of `count` of its outermost loop; None where it is not one loop."""
    for k, line in enumerate(lines):
        found = LOOP.fullmatch(line)
        if found is None:
            return None
        indent, name, size = found.groups()
        if int(size) == 1:
            continue
        if not lines[-1 - k].startswith(indent + "}") or any(set(end) - set(" }") for end in lines[len(lines) - k :]):
            return None
        depth = 0
        for inner in lines[k + 1 : len(lines) - 1 - k]:  # the loop ends with the body, not before
            depth += inner.count("{") - inner.count("}")
            if depth < 0:
                return None
        wide = "int64_t" if int(size) * count >= 1 << 31 else "int32_t"
        ends = [f"(int32_t)(({wide})piece * {size} / {count})", f"(int32_t)((({wide})piece + 1) * {size} / {count})"]
        head = f"{indent}for (int32_t {name} = {ends[0]}, end_ = {ends[1]}; {name} < end_; {name}++) {{"
        return [*lines[:k], head, *lines[k + 1 :]]
    return None
