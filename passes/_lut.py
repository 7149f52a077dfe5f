"""Look-up tables: any float arithmetic on one narrow tensor and a quantiser, computed for every code."""

from __future__ import annotations

import numpy as np

from edgec.formats import TensorType
from edgec.interp import evaluate
from edgec.ops import Constant, Lut, Op, Quantize, merge_loc
from edgec.passes._cone import Cone, NoIntegerForm

MAX_BITS = 12


def tabulable(cone: Cone) -> bool:
    """Whether the cone reads one per-tensor tensor of at most 12 bits, the same way in every channel."""
    return cone.axis is None and len(cone.leaves) == 1 and cone.leaves[0].x.format.bits <= MAX_BITS


def all_codes(x: Op) -> np.ndarray:
    """Every code of the format of `x`, ascending."""
    lo, hi = x.format.code_range
    return np.arange(lo, hi + 1).astype(x.format.dtype)


def table(cone: Cone, quantize: Quantize) -> np.ndarray:
    """Codes of `quantize` for all codes of the cone's one leaf, through the interpreter in float32."""
    if not tabulable(cone):
        raise NoIntegerForm("the arithmetic differs between channels or reads more than 12 bits")
    leaf = cone.leaves[0]
    rank = len(leaf.shape)
    codes = all_codes(leaf.x).reshape(-1, *(1,) * rank)
    real = evaluate(leaf, [codes])
    return evaluate(quantize, [cone.evaluate({leaf: real})]).reshape(-1)


def to_lut(cone: Cone, quantize: Quantize, entries: np.ndarray) -> Op:
    """The table look-up with `entries` as computed by `table`."""
    constant = Constant(entries, type=TensorType(quantize.format, entries.shape))
    return Lut(cone.leaves[0].x, constant, loc=merge_loc(*cone.ops, quantize))


def agrees(op: Op, x: Op, entries: np.ndarray) -> bool:
    """Whether the integer `op`, a chain down to `x` alone, gives `entries` for every code of `x`."""
    rank = len(x.shape)
    known: dict[Op, np.ndarray] = {x: all_codes(x).reshape(-1, *(1,) * rank)}

    def value(o: Op) -> np.ndarray:
        if o not in known:
            known[o] = evaluate(o, [value(p) for p in o.operands])
        return known[o]

    return np.array_equal(value(op).reshape(-1), entries)
