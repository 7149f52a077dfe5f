"""Cones: the elementwise float arithmetic between dequantised tensors and the quantiser that reads it.

A cone is what `integerize` replaces as a whole: thresholds, a table or a rescaling behind an integer op. Its
leaves are `Dequantize` ops; constants of any kind inside are evaluated. One evaluation of a cone on all integers
that can occur is an exact description of the float executor, because the interpreter's own functions compute it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgec.formats import F32
from edgec.interp import evaluate
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Cast,
    Clip,
    Concat,
    Constant,
    Dequantize,
    Input,
    Mul,
    Op,
    Pad,
    PRelu,
    Quantize,
    Relu,
    Reshape,
    Slice,
    Sub,
    Transpose,
    Unary,
    Where,
    merge_loc,
)

ELEMENTWISE = (Add, BatchNorm, Binary, Cast, Clip, Mul, PRelu, Relu, Sub, Unary, Where)


class NoIntegerForm(Exception):
    """Why a piece of float arithmetic cannot become integer arithmetic; ends as a note to the user."""


class Constants:
    """Evaluates what depends on constants only; one memo per run of the pass."""

    def __init__(self) -> None:
        self.memo: dict[Op, np.ndarray | None] = {}

    def value(self, op: Op) -> np.ndarray | None:
        """The value of `op` without a frame axis, or None when it depends on an input."""
        if op not in self.memo:
            self.memo[op] = self._compute(op)
        return self.memo[op]

    def _compute(self, op: Op) -> np.ndarray | None:
        if isinstance(op, Constant):
            return op.data
        if isinstance(op, Input) or not op.operands or not isinstance(op, (*ELEMENTWISE, Dequantize, Quantize)):
            return None
        operands = [self.value(o) for o in op.operands]
        if any(o is None for o in operands):
            return None
        return np.broadcast_to(evaluate(op, [o[None] for o in operands if o is not None])[0], op.shape)


@dataclass(frozen=True)
class Cone:
    """Elementwise `ops` (operand first) from `leaves` to `root`; every result has the shape of `root`.

    `parameters` holds the arrays of constant operands, reduced to [1, ..., C, ..., 1] where they vary only along
    `axis`; `axis` is None when nothing varies between channels. It also covers the leaves' scales.
    """

    root: Op
    leaves: tuple[Dequantize, ...]
    ops: tuple[Op, ...]
    parameters: dict[Op, np.ndarray]
    axis: int | None

    @property
    def loc(self) -> tuple[str, ...]:
        return merge_loc(*self.ops)

    @property
    def channels(self) -> int:
        return 1 if self.axis is None else self.root.shape[self.axis]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Per-channel `values` [..., C or 1] shaped to broadcast in the cone: [n, 1, ..., C, ..., 1]."""
        rank = len(self.root.shape)
        shape = [1] * rank
        if rank and self.axis is not None:
            shape[self.axis] = values.shape[-1]
        return values.reshape(-1, *shape)

    def evaluate(self, values: dict[Dequantize, np.ndarray]) -> np.ndarray:
        """The root for float `values` of the leaves, arrays with a leading axis that broadcast to the root."""
        known: dict[Op, np.ndarray] = {op: array[None] for op, array in self.parameters.items()}
        known.update(iter(values.items()))
        for op in self.ops:
            known[op] = evaluate(op, [known[o] for o in op.operands])
        return known[self.root]

    def codes(self, quantize: Quantize, levels: np.ndarray) -> np.ndarray:
        """Codes of `quantize` behind a cone with one leaf for centred integer `levels` [n, C or 1], as [n, C]."""
        leaf = self.leaves[0]
        scale = leaf.x.format.scale_array.astype(leaf.to.dtype)
        real = self.spread(levels.astype(leaf.to.dtype) * scale)
        result = evaluate(quantize, [self.evaluate({leaf: real})])
        return np.broadcast_to(result.reshape(levels.shape[0], -1), (levels.shape[0], self.channels))


def cone_of(root: Op, constants: Constants) -> Cone:
    """The cone below `root`; raises `NoIntegerForm` where it reaches anything but elementwise float ops."""
    ops: list[Op] = []
    leaves: dict[Dequantize, None] = {}
    parameters: dict[Op, np.ndarray] = {}
    stack: list[tuple[Op, bool]] = [(root, False)]
    seen: set[Op] = set()
    while stack:
        op, ready = stack.pop()
        if ready:
            ops.append(op)
            continue
        if op in seen:
            continue
        seen.add(op)
        value = constants.value(op)
        if value is not None:
            parameters[op] = value
        elif isinstance(op, Dequantize):
            leaves[op] = None
        elif isinstance(op, ELEMENTWISE):
            stack.append((op, True))
            stack.extend((o, False) for o in reversed(op.operands))
        else:
            raise NoIntegerForm(_obstacle(op))
    rank = len(root.shape)
    for op in (*ops, *leaves):
        if len(op.shape) != rank or (len(leaves) == 1 and op.shape != root.shape):
            raise NoIntegerForm(f"{op.mnemonic} ({op.label}) broadcasts inside the float arithmetic")
    axes: set[int] = set()
    reduced = {}
    for op, value in parameters.items():
        users = [o for o in ops if op in o.operands]
        if any(isinstance(o, BatchNorm) for o in users):
            axes.add(1)
            reduced[op] = value
            continue
        reduced[op], varying = _reduce(value, rank)
        axes |= varying
    for leaf in leaves:
        if leaf.x.format.axis is not None and leaf.x.format.scale_array.size > 1:
            axes.add(leaf.x.format.axis % rank)
    if len(axes) > 1:
        raise NoIntegerForm("constants vary along more than the channel axis")
    if any(leaf.to != F32 for leaf in leaves):
        raise NoIntegerForm("arithmetic is not float32")
    return Cone(root, tuple(leaves), tuple(ops), reduced, axes.pop() if axes else None)


def _obstacle(op: Op) -> str:
    """Why a cone ends at `op`, in words; moves in front of it are looked through."""
    while isinstance(op, Reshape | Transpose | Slice | Pad | Concat) and op.operands:
        op = op.operands[0]
    if isinstance(op, Input):
        return f"input {op.name!r} is not quantised"
    return f"{op.mnemonic} ({op.label}) has no integer form"


def _reduce(value: np.ndarray, rank: int) -> tuple[np.ndarray, set[int]]:
    """`value` aligned to `rank` axes with those along which it does not vary cut to length 1, and the others."""
    full = value.reshape((1,) * (rank - value.ndim) + value.shape)
    varying = set()
    for axis in range(rank):
        if full.shape[axis] == 1:
            continue
        first = np.take(full, [0], axis=axis)
        if np.array_equal(np.broadcast_to(first, full.shape), full):
            full = first
        else:
            varying.add(axis)
    return full, varying
