"""Quantising floats to formats whose codes are a table: the thresholds between neighbours, found by bisection.

The interpreter's result grows with its operand, so for every level there is a smallest number that reaches it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgec.backends.c.codes import ctype
from edgec.backends.c.scalar import Body, Scalar, integer_type
from edgec.formats import FormatError, TensorType
from edgec.interp import evaluate
from edgec.ops import Input, Quantize

MOST_CODES = 256


def nearest(op: Quantize, body: Body, x: Scalar, table: Callable[[np.ndarray], str]) -> Scalar:
    """The level of `x` and its code, by counting the thresholds that it reaches."""
    fmt = op.format
    first, last = fmt.code_range
    if fmt.axis is not None or op.out.overflow == "wrap" or last - first >= MOST_CODES:
        raise FormatError(f"floats to {fmt}")
    bits = np.dtype(f"int{8 * op.x.format.dtype.itemsize}")

    def codes(values: np.ndarray) -> np.ndarray:
        flat = Quantize(Input("x", type=TensorType(op.x.format, values.shape)), op.out)
        with np.errstate(all="ignore"):
            return evaluate(flat, [values[None]])[0]

    def at(keys: np.ndarray) -> np.ndarray:
        """Floats by rank: keys in two's complement order as the numbers do."""
        least = np.iinfo(bits).min
        return np.where(keys >= 0, keys, least - keys - 1).astype(bits).view(op.x.format.dtype)

    top = int(np.array(np.inf, op.x.format.dtype).view(bits))
    ends = np.array([-top - 1, top], bits)
    reached = np.unique(fmt.levels(np.arange(first, last + 1, dtype=fmt.dtype)))
    low_level, high_level = fmt.levels(codes(at(ends)))
    reached = reached[(reached > low_level) & (reached <= high_level)]
    low, high = np.full(reached.shape, ends[0], np.int64), np.full(reached.shape, ends[1], np.int64)
    while (high - low > 1).any():  # low is below the threshold, high is not
        middle = (low + high) // 2
        above = fmt.levels(codes(at(middle.astype(bits)))) >= reached
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    thresholds = at(high.astype(bits))
    lowest = at(ends[:1])
    results = np.concatenate([codes(lowest), codes(thresholds), codes(np.array([np.nan], op.x.format.dtype))])
    levels = fmt.levels(results)
    wide = np.float64 if x.kind == "double" else np.float32
    names = [table(a) for a in (thresholds.astype(wide), levels)]
    stored = table(results)
    count, loop = body.name(), body.name()
    body.lines += [
        f"int32_t {count} = {x.code} != {x.code} ? {len(results) - 1} : 0;",
        f"for (int32_t {loop} = 0; {loop} < {len(thresholds)}; {loop}++) {{",
        f"  {count} += {x.code} >= {names[0]}[{loop}] ? 1 : 0;",
        "}",
    ]
    lo, hi = int(levels.min()), int(levels.max())
    kind = integer_type(lo, hi)
    return Scalar(f"(({kind}){names[1]}[{count}])", "int", lo, hi, f"({ctype(fmt)}){stored}[{count}]")
