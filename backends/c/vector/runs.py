"""Loops of elementwise steps in vector code: runs that lie side by side in all tensors, and a call for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgec.backends.c.loops import Nest, nest
from edgec.backends.c.view import View
from edgec.backends.c.writer import Writer
from edgec.ops import Op

LEAST = 16
"""Elements of the shortest run that is worth a call."""


def run_of(operands: Sequence[Op], result: Op, views: Mapping[Op, View]) -> int:
    """Elements of a run; 0 where the tensors lie too differently for vectors, or runs are shorter than `LEAST`."""
    y = views[result]
    if any(op.shape != result.shape for op in operands) or not y.size:
        return 0
    found = _nest(operands, y, views)
    if not found.loops or any(strides[-1] != 1 for strides in found.strides) or found.loops[-1][1] < LEAST:
        return 0
    return found.loops[-1][1]


def calls(w: Writer, name: str, operands: Sequence[Op], facts: str) -> list[str]:
    """Statements that call `name`(operands ..., result, elements, facts) for every run."""
    found = _nest(operands, w.result, w.views)
    outer = Nest(found.loops[:-1], tuple(strides[:-1] for strides in found.strides))
    views = [w.views[op] for op in operands]
    at = [f"{w.arguments[view.buffer]} + {outer.index(k, view.offset)}" for k, view in enumerate(views)]
    at.append(f"y + {outer.index(len(views), w.result.offset)}")
    return outer.write([f"{name}({', '.join(at)}, {found.loops[-1][1]}, {facts});"], 0)


def _nest(operands: Sequence[Op], y: View, views: Mapping[Op, View]) -> Nest:
    return nest(y.shape, [*(views[op].strides for op in operands), y.strides], y.order)
