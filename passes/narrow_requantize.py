"""Brings rescalings into the form that processors with 32-bit registers compute in two instructions.

`Requantize` of a 32-bit sum by a multiplier of at most 31 bits is a doubling multiply-high and a rounding shift on Arm
(SQDMULH, SRSHL; both exact: the low half is cut off, and cutting before a floor changes nothing), if halves are rounded
up. So `half_even` becomes `half_up`: codes differ only where the exact value lies in the middle between two codes.

A sum of rescaled tensors (a residual) has multipliers so fine that the terms need more than 32 bits; they are made
coarser until the sum fits 31 bits. With 8-bit operands the coefficients keep 21 bits or more: the result can differ by
one code where the exact value lies within 2**-12 of an output step of a middle. The note N0005 counts such sums.
"""

from __future__ import annotations

import numpy as np

from edgec.formats import Integer, Quantizer, smallest_fixed
from edgec.graph import Graph, Uses, rewrite
from edgec.ops import Add, Constant, Op, Requantize, centered_range, integers
from edgec.pipeline import Context

SUM_BITS = 31
"""Bits of a sum of rescaled tensors, its sign included."""


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` with rescalings that round halves up, and sums of rescaled tensors in 32 bits."""
    coarser: list[str] = []

    def rule(op: Op, uses: Uses) -> Op | None:
        if not isinstance(op, Requantize) or not all(isinstance(o, Constant) for o in op.operands[1:]):
            return None
        made: Op = op
        terms = _terms(op)
        if terms is not None and (narrow := _narrow_sum(op, terms)) is not None:
            coarser.append(op.label)
            made = narrow
        assert isinstance(made, Requantize)
        if made.out.rounding == "half_even":
            made = made.replace(out=Quantizer(made.out.format, "half_up", made.out.overflow))
        return None if made is op else made

    new = rewrite(graph, rule)
    if coarser:
        context.warn(
            "N0005",
            f"{len(coarser)} sums of rescaled tensors are added in 32 bits",
            layer=", ".join(coarser[:3]) + (", ..." if len(coarser) > 3 else ""),
            why="codes can differ by one where the exact value lies next to the middle between two codes",
        )
    return new


def _terms(op: Requantize) -> list[Requantize] | None:
    """The rescaled tensors whose sum `op` rounds, where that sum is wider than 32 bits."""
    terms: list[Requantize] = []

    def walk(x: Op) -> bool:
        if isinstance(x, Add) and x.out is None:
            return walk(x.x) and walk(x.y)
        whole = isinstance(x, Requantize) and isinstance(x.shift, Constant) and not x.shift.data.any()
        if not whole or not isinstance(x.multiplier, Constant) or x.offset is not None:  # type: ignore[union-attr]
            return False
        terms.append(x)  # type: ignore[arg-type]
        return True

    if not isinstance(op.x, Add) or not walk(op.x) or len(terms) < 2:
        return None
    return terms


def _reach(term: Requantize) -> int:
    """The largest magnitude of a rescaled tensor."""
    lo, hi = centered_range(term.x.format)
    return max(abs(lo), abs(hi)) * int(np.abs(term.multiplier.data).max())  # type: ignore[attr-defined]


def _narrow_sum(op: Requantize, terms: list[Requantize]) -> Requantize | None:
    """`op` over the same terms with coarser multipliers, or None where they fit already or the shift is too small."""
    multiplier, shift = op.multiplier.data, op.shift.data  # type: ignore[attr-defined]
    offset = op.offset.data if op.offset is not None else np.zeros(1, np.int64)  # type: ignore[attr-defined]
    if (multiplier != 1).any() or shift.size != 1:
        return None
    most = sum(_reach(t) for t in terms) + int(np.abs(offset).max())
    drop = max(most.bit_length() + 2 - SUM_BITS, 0)
    if drop == 0 or drop >= int(shift[0]):
        return None
    total: Op | None = None
    for term in terms:
        coarse = np.rint(term.multiplier.data / (1 << drop)).astype(np.int64)  # type: ignore[attr-defined]
        lo, hi = centered_range(term.x.format)
        corners = [int(m) * v for m in (coarse.min(), coarse.max()) for v in (lo, hi)]
        width = smallest_fixed(min(*corners, -1), max(corners), 0).width
        scaled = term.replace(multiplier=integers(coarse), out=Quantizer(Integer(width), "floor"))
        total = scaled if total is None else Add(total, scaled, loc=op.x.loc)
    assert total is not None
    added = np.rint(offset / (1 << drop)).astype(np.int64)
    return Requantize(
        total,
        op.multiplier,
        integers(shift - drop),
        integers(added) if added.any() else None,
        op.out,
        op.axis,
        loc=op.loc,
    )
