"""A tensor at import: what the model sees, and in which order its elements lie in the graph.

Keras keeps channels last, the IR wants them first. Elements are put in the IR's order where the first convolution or
pooling layer needs it and stay there until a layer counts on the model's own order, so that a chain of convolutions
has no transposes between its layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from edgec.ops import Op, Reshape, Transpose

OWN, FIRST, FLAT = "own", "first", "flat"


@dataclass
class Tensor:
    """`shape` is the model's, batch included; `op` holds the elements in one of three orders.

    own: as the model has them. first: [N, C, *S] for the model's [N, *S, C]. flat: the model flattened [N, *S, C] to
    [N, S·C] while `op` [N, C·S] is [N, C, *S] flattened; `parts` is then (*S, C).
    """

    op: Op
    shape: tuple[int, ...]
    order: str = OWN
    parts: tuple[int, ...] = ()
    _own: Op | None = field(default=None, repr=False)
    _first: Op | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def own(self) -> Op:
        """The op with the elements in the model's order."""
        if self._own is None:
            self._own = self._to_own()
        return self._own

    def _to_own(self) -> Op:
        if self.order == FIRST:
            return channels_last(self.op)
        if self.order == FLAT:
            *spatial, channels = self.parts
            apart = Reshape(self.op, (self.shape[0], channels, *spatial), loc=self.op.loc)
            return Reshape(channels_last(apart), self.shape, loc=self.op.loc)
        return self.op

    @property
    def first(self) -> Op:
        """The op as [N, C, *S], where the model has [N, *S, C]; at least three dimensions."""
        if self.order == FIRST:
            return self.op
        if self._first is None:
            self._first = channels_first(self.own)
        return self._first

    def with_op(self, op: Op) -> Tensor:
        """What an elementwise layer makes of this tensor: other values in the same order."""
        return Tensor(op, self.shape, self.order, self.parts)

    def axis(self, axis: int) -> int:
        """Where axis `axis` of the model (0 .. rank - 1) lies in `op`; not for flat tensors."""
        if self.order != FIRST or axis == 0:
            return axis
        return 1 if axis == self.rank - 1 else axis + 1

    def flat_order(self) -> np.ndarray:
        """For each element of a flat `op`, its place in the model's order."""
        places = np.arange(math.prod(self.parts)).reshape(self.parts)
        return np.moveaxis(places, -1, 0).ravel()


def own(op: Op) -> Tensor:
    """A tensor whose elements lie as the model has them."""
    return Tensor(op, op.shape)


def first(op: Op) -> Tensor:
    """The tensor whose elements, channels first, are `op` [N, C, *S]."""
    n, c, *spatial = op.shape
    return Tensor(op, (n, *spatial, c), FIRST)


def channels_first(op: Op) -> Op:
    """[N, *S, C] to [N, C, *S]."""
    rank = len(op.shape)
    return permuted(op, (0, rank - 1, *range(1, rank - 1)))


def channels_last(op: Op) -> Op:
    """[N, C, *S] to [N, *S, C]."""
    rank = len(op.shape)
    return permuted(op, (0, *range(2, rank), 1))


def permuted(op: Op, perm: tuple[int, ...]) -> Op:
    """A transpose, or a reshape where no element moves."""
    if perm == tuple(range(len(perm))):
        return op
    wide = [p for p in perm if op.shape[p] != 1]
    if wide == sorted(wide):
        return Reshape(op, tuple(op.shape[p] for p in perm), loc=op.loc)
    return Transpose(op, perm, loc=op.loc)
