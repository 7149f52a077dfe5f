"""Which steps the vector code for binary32 can do, and with what numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgec.backends.c.multiples import Multiples
from edgec.backends.c.scalar import number
from edgec.backends.c.vector.layer import Layer, fits, weights_of
from edgec.formats import F32, Format
from edgec.ops import Clip, Constant, Conv, Dense, Op, Relu


@dataclass(frozen=True, eq=False)
class FloatLayer(Layer):
    """y = min(max(x . w + bias, lo), hi), all in binary32. `multiples`: what the weights are stored as, where not as
    they are."""

    LANES = 4

    multiples: Multiples | None = None

    @property
    def clamp(self) -> str:
        return "low" * (self.lo > -math.inf) + "high" * (self.hi < math.inf)

    def facts(self) -> list[str]:
        """Both bounds in C."""
        return [number(self.lo, "float"), number(self.hi, "float")]


def matched(ops: tuple[Op, ...], fmt: Format = F32, kind: type[FloatLayer] = FloatLayer) -> FloatLayer | None:
    """The layer of a step's ops in `fmt`, None where the vector code cannot do it."""
    op = ops[0]
    if not isinstance(op, Conv | Dense) or not isinstance(op.w, Constant) or not op.tensor.size:
        return None
    if not fits(op, grouped=True):
        return None
    if any(f != fmt for f in (op.x.format, op.w.format, op.format)):
        return None
    if op.b is not None and not (isinstance(op.b, Constant) and op.b.format == fmt):
        return None
    bounds = clamp_of(ops, fmt)
    if bounds is None:
        return None
    w = weights_of(op, op.w.data)
    bias = np.zeros(1) if op.b is None else op.b.data.ravel()
    return kind(op, w, np.broadcast_to(bias.astype(np.float32), len(w)), *bounds, 0)


def clamp_of(ops: Sequence[Op], fmt: Format = F32) -> tuple[float, float] | None:
    """What the clamps behind the sums leave; None for other ops there."""
    lo, hi = -math.inf, math.inf
    for op in ops[1:]:
        if isinstance(op, Relu):
            low, high = 0.0, math.inf
        elif isinstance(op, Clip):
            low, high = (float(fmt.dtype.type(v)) for v in (op.lo, op.hi))
        else:
            return None
        lo, hi = (min(max(v, low), high) for v in (lo, hi))
    return lo, hi
