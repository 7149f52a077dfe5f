"""Where a tensor lies: a buffer, an offset and a stride for every axis, so that moving values needs no code.

Transpose, Slice, Split, Expand and most Reshapes are other views of the same buffer. A new buffer is dense, its axes
in an order that suits the ops around it: channels last behind convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from edgec.formats import Format
from edgec.ops import Expand, Get, Op, Reshape, Slice, Split, Transpose

Place = Literal["arena", "input", "output", "constant"]
MOVES = (Reshape, Transpose, Slice, Expand, Split, Get)
"""Ops that are views of their operand where they can be."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """`elements` of `format` at one place; `name` is that of the C variable.

    `halo` (top, left, bottom, right) places around an image hold the code `fill`: what a convolution reads there."""

    name: str
    place: Place
    format: Format
    elements: int
    halo: tuple[int, int, int, int] = (0, 0, 0, 0)
    fill: int = 0

    @property
    def bytes(self) -> int:
        return self.elements * self.format.dtype.itemsize


@dataclass(frozen=True)
class View:
    """Element [i, j, ...] of a tensor of `shape` lies at offset + i * strides[0] + j * strides[1] + ..."""

    buffer: Buffer
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def order(self) -> tuple[int, ...]:
        """Axes from the outermost in memory to the innermost."""
        return tuple(sorted(range(len(self.shape)), key=lambda a: (self.shape[a] == 1, -self.strides[a], a)))

    @property
    def dense(self) -> bool:
        """Whether the elements fill their stretch of memory, in some order of axes, each once."""
        wanted = 1
        for axis in reversed(self.order):
            if self.shape[axis] == 1:
                continue
            if self.strides[axis] != wanted:
                return False
            wanted *= self.shape[axis]
        return True

    @property
    def row_major(self) -> bool:
        """Whether the elements lie in the order of the tensor."""
        return all(n == 1 or s == w for n, s, w in zip(self.shape, self.strides, dense(self.shape), strict=True))


def dense(shape: tuple[int, ...], order: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Strides of a dense tensor, the axes of `order` from the outermost to the innermost."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order if order is not None else range(len(shape))):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


SLACK = 16
"""Elements behind a tensor with a halo or without, which vector loads may read and nothing uses."""


def image(name: str, fmt: Format, shape: tuple[int, ...], halo: tuple[int, int, int, int], fill: int) -> View:
    """A view [1, C, H, W] or [1, C, W], channels last, inside a new buffer with a halo."""
    _, channels, *rows, width = shape
    height = rows[0] if rows else 1
    top, left, bottom, right = halo
    row = (left + width + right) * channels
    buffer = Buffer(name, "arena", fmt, (top + height + bottom) * row + SLACK, halo, fill)
    strides = (0, 1, row, channels) if rows else (0, 1, channels)
    return View(buffer, shape, strides, top * row + left * channels)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of axes with axis 1 innermost."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def moved(op: Op, x: View, index: int = 0) -> View | None:
    """The result of a move `op` as a view of its operand `x`; None where values have to be copied.

    `index` chooses among the results of Split."""
    match op:
        case Transpose(perm=perm):
            return View(x.buffer, op.shape, tuple(x.strides[p] for p in perm), x.offset)
        case Slice():
            cuts = [s.indices(n) for s, n in zip(op.slices(), x.shape, strict=True)]
            offset = x.offset + sum(start * stride for (start, _, _), stride in zip(cuts, x.strides, strict=True))
            return View(
                x.buffer, op.shape, tuple(step * s for (_, _, step), s in zip(cuts, x.strides, strict=True)), offset
            )
        case Expand():
            missing = len(op.shape) - len(x.shape)
            strides = [0] * missing + [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
            return View(x.buffer, op.shape, tuple(strides), x.offset)
        case Split(sizes=sizes, axis=axis):
            axis %= len(x.shape)
            offset = x.offset + sum(sizes[:index]) * x.strides[axis]
            shape = tuple(sizes[index] if a == axis else n for a, n in enumerate(x.shape))
            return View(x.buffer, shape, x.strides, offset)
        case Reshape():
            strides_or_none = reshaped(x.shape, x.strides, op.shape)
            return None if strides_or_none is None else View(x.buffer, op.shape, strides_or_none, x.offset)
    return None


def before(op: Reshape | Transpose, y: View) -> View | None:
    """Where the operand of a move lies if its result lies at `y`; None where the one is no view of the other."""
    shape = op.x.shape
    if isinstance(op, Transpose):
        strides = [0] * len(shape)
        for axis, stride in zip(op.perm, y.strides, strict=True):
            strides[axis] = stride
        return View(y.buffer, shape, tuple(strides), y.offset)
    found = reshaped(y.shape, y.strides, shape)
    if found is None or reshaped(shape, found, y.shape) is None:
        return None
    return View(y.buffer, shape, found, y.offset)


def reshaped(shape: tuple[int, ...], strides: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides of the same memory seen as `to`, or None where no strides give that order."""
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if math.prod(shape) == 0:
        return dense(to)
    result = [0] * len(to)
    i = 0
    for axis in range(len(to)):  # axes of size 1 may have any stride
        if to[axis] == 1:
            result[axis] = 0
    pending = [a for a in range(len(to)) if to[a] != 1]
    while pending or i < len(old):
        if not pending or i >= len(old):
            return None
        start_new, size_new = 0, to[pending[0]]
        count_old, size_old = 1, old[i][0]
        count_new = 1
        while size_new != size_old:
            if size_new < size_old:
                if count_new >= len(pending):
                    return None
                size_new *= to[pending[count_new]]
                count_new += 1
            else:
                if i + count_old >= len(old):
                    return None
                size_old *= old[i + count_old][0]
                count_old += 1
        group = old[i : i + count_old]
        if any(a[1] != b[0] * b[1] for a, b in pairwise(group)):
            return None
        step = group[-1][1]
        for axis in reversed(pending[start_new:count_new]):
            result[axis] = step
            step *= to[axis]
        del pending[:count_new]
        i += count_old
    return tuple(result)
