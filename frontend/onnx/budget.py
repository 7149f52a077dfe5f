"""How much an import may compute: a small file can ask for constants that no memory holds and no patience outlasts.

One account an import, `opened` by the importer; whoever makes a constant draws on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from edgec.formats import FormatError, TensorType, TupleType
from edgec.ops import AvgPool, Conv, ConvTranspose, Dense, MatMul, MaxPool, Op

ELEMENTS = 1 << 27
"""Of all computed constants together, besides `TIMES` the elements of the file's own."""
TIMES = 8
OPERATIONS = 1 << 33
"""Of all of them together: products, elements of windows, elements that are read and written."""


@dataclass
class Budget:
    """What is left."""

    elements: int
    operations: int


_CURRENT: ContextVar[Budget | None] = ContextVar("edgec_onnx_budget", default=None)


@contextmanager
def opened(stored: int) -> Iterator[Budget]:
    """The account of an import of a file with so many `stored` elements."""
    token = _CURRENT.set(Budget(ELEMENTS + TIMES * stored, OPERATIONS))
    try:
        yield _CURRENT.get()  # type: ignore[misc]
    finally:
        _CURRENT.reset(token)


def afford(elements: int, operations: int = 0) -> None:
    """FormatError where a constant of so many elements goes beyond what is left. Nothing is spent."""
    budget = _CURRENT.get()
    if budget is None:
        return
    if elements > budget.elements:
        raise FormatError(
            f"a computed constant of {elements} elements: all together may have {ELEMENTS}, and {TIMES} times those "
            "that the file holds"
        )
    if operations > budget.operations:
        raise FormatError(f"constants that take {operations} operations to compute: all together may take {OPERATIONS}")


def spend(elements: int, operations: int = 0) -> None:
    """The same, and spends it."""
    afford(elements, operations)
    budget = _CURRENT.get()
    if budget is not None:
        budget.elements -= elements
        budget.operations -= operations


def effort(op: Op) -> tuple[int, int]:
    """Elements of the result of an op, and operations that the interpreter needs for it, roughly."""
    types = op.type.elements if isinstance(op.type, TupleType) else (op.type,)
    size = sum(t.size for t in types)
    read = sum(o.tensor.size for o in op.operands if isinstance(o.type, TensorType))
    match op:
        case Dense() | Conv():
            return size, size * op.terms
        case ConvTranspose():
            return size, op.x.tensor.size * math.prod(op.w.shape[1:])
        case MatMul():
            return size, size * op.x.shape[-1]
        case MaxPool() | AvgPool():
            return size, size * math.prod(op.kernel)
    return size, size + read
