"""Streams: the order in which the elements of a tensor flow, and moves of elements that need no hardware."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.diagnostics import EdgecError
from edgec.ops import Op, Reshape, Transpose

MOVES = (Reshape, Transpose)
"""Ops that only rename or reorder elements."""


@dataclass(eq=False)
class Stream:
    """The elements of `op`, `channels` at every pixel of `size` (rows, columns), row by row.

    `order[p]` is the flat (row-major) number of the element that comes at place p. Streams of moved tensors share the
    `root`: it is one and the same stream of hardware. `carries` is the interval of the wires of an element (of the
    root's).
    """

    op: Op
    size: tuple[int, int]
    channels: int
    order: np.ndarray
    carries: Interval = field(default_factory=lambda: Interval(0, 0))
    root: Stream | None = None

    @property
    def origin(self) -> Stream:
        return self.root or self

    @property
    def interval(self) -> Interval:
        return self.origin.carries

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def elements(self) -> int:
        return self.pixels * self.channels

    @property
    def is_canonical(self) -> bool:
        """Whether pixels and channels are those of `op`."""
        size, channels = geometry(self.op)
        return (size, channels) == (self.size, self.channels) and np.array_equal(self.order, canonical(self.op))

    def channel_of(self, axis: int) -> np.ndarray | None:
        """For each of `channels` lanes its coordinate along `axis` of `op`; None if that depends on the pixel."""
        at = np.unravel_index(self.order, self.op.shape)[axis % len(self.op.shape)].reshape(self.pixels, -1)
        return at[0] if (at == at[0]).all() else None

    def moved(self, op: Op) -> Stream:
        """The same stream seen as the result of the move `op` of this stream's tensor."""
        where = np.argsort(move(op, np.arange(self.elements).reshape(self.op.shape)).ravel())
        return Stream(op, self.size, self.channels, where[self.order], root=self.origin)


def move(op: Op, array: np.ndarray) -> np.ndarray:
    """What the move `op` makes of `array`."""
    if isinstance(op, Transpose):
        return array.transpose(op.perm)
    assert isinstance(op, Reshape)
    return array.reshape(op.shape)


def geometry(op: Op) -> tuple[tuple[int, int], int]:
    """Rows and columns, and channels, of a tensor [1, C], [1, C, W] or [1, C, H, W]; E0310 for others."""
    shape = op.shape
    if not 2 <= len(shape) <= 4 or shape[0] != 1:
        raise EdgecError(
            "E0310",
            f"{op.mnemonic} gives a tensor of shape {list(shape)}",
            layer=op.label,
            op=op.mnemonic,
            why="folded layers work on [1, channels], [1, channels, columns] or [1, channels, rows, columns]",
            remedy="--batch 1 fixes the batch; --mode spatial takes any shape",
        )
    rows, columns = (1, 1, *shape[2:])[-2:]
    return (rows, columns), shape[1]


def canonical(op: Op) -> np.ndarray:
    """Flat element numbers of a tensor in the order of its stream: channels innermost."""
    shape = op.shape
    return np.moveaxis(np.arange(op.tensor.size).reshape(shape), 1, -1).ravel()
