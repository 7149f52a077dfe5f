"""Look-up tables: any float arithmetic on one narrow tensor and a quantiser, computed for every code."""

from __future__ import annotations

import numpy as np

from edgec.formats import TensorType
from edgec.graph import topological
from edgec.interp import evaluate
from edgec.ops import Constant, Lut, Op, Quantize, Relu, merge_loc
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
    """Whether the integer `op`, a chain down to `x`, gives `entries` for every code of `x`.

    When `x` is a Relu that saturation has made superfluous, the chain reads its operand, which has the same codes.
    """
    codes = all_codes(x).reshape(-1, *(1,) * len(x.shape))
    source, wanted = x, entries
    if isinstance(x, Relu) and x not in topological(op):
        source, kept = x.x, evaluate(x, [codes]).reshape(-1)
        wanted = entries[kept.astype(np.int64) - x.format.code_range[0]]
    known: dict[Op, np.ndarray] = {source: codes}
    for step in topological(op, dict.fromkeys([source])):
        known[step] = evaluate(step, [known[o] for o in step.operands])
    return np.array_equal(known[op].reshape(-1), wanted)
