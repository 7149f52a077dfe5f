"""Turns RequantizeFloat into Requantize: the binary32 multiplier's 24-bit mantissa as an exact integer.

The integer rule rounds the exact product once; the binary32 rule rounds the sum and the product to 24 bits before.
They give different codes only where the exact product lies within those roundings of the middle between two codes
(`edgec.tiecheck`); the note N0004 says for how many layers that is possible at all.
"""

from __future__ import annotations

import numpy as np

from edgec.graph import Graph, Uses, rewrite
from edgec.ops import Constant, Op, RequantizeFloat
from edgec.passes._accumulator import level_interval
from edgec.passes._cone import NoIntegerForm
from edgec.passes._rescale import requantize_exactly
from edgec.pipeline import Context


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` without RequantizeFloat."""
    inexact: list[str] = []

    def rule(op: Op, uses: Uses) -> Op | None:
        if not isinstance(op, RequantizeFloat) or not isinstance(op.scale, Constant):
            return None
        try:
            new = requantize_exactly(op.x, op.scale.data, op.out, op.axis, op.loc)
        except NoIntegerForm as reason:
            context.warn("N0003", f"{op.mnemonic} stays in floating point", layer=op.label, why=str(reason))
            return None
        if not exact_in_binary32(op):
            inexact.append(op.label)
        return new

    new = rewrite(graph, rule)
    if inexact:
        context.warn(
            "N0004",
            f"{len(inexact)} rescalings round once instead of in binary32",
            layer=", ".join(inexact[:3]) + (", ..." if len(inexact) > 3 else ""),
            why="codes can differ by one where the exact value lies within 2**-23 (relative) of a tie",
        )
    return new


def exact_in_binary32(op: RequantizeFloat) -> bool:
    """Whether every product of level and multiplier fits the 24 bits of binary32, so that both rules agree."""
    assert isinstance(op.scale, Constant)
    mantissa = np.ldexp(np.frexp(op.scale.data.astype(np.float64))[0], 24).astype(np.int64)
    odd = mantissa // np.maximum(mantissa & -mantissa, 1)
    lo, hi = level_interval(op.x)
    reach = max(abs(int(lo.min())), abs(int(hi.max())))
    return reach * int(np.abs(odd).max(initial=0)) <= 1 << 24
