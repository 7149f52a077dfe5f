"""Pooling in plain C."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.loops import Nest, affine
from edgec.backends.c.mac import window_axis
from edgec.backends.c.scalar import FLOATS, NUMBERS, Body, Kind, Scalar, integer, integer_type
from edgec.backends.c.writer import Writer
from edgec.formats import Quantizer
from edgec.interp.pool import window_counts
from edgec.ops import AvgPool, MaxPool, centered_range


def _over_window(w: Writer, op: MaxPool | AvgPool, inner: list[str]) -> list[str]:
    """`inner` inside loops over the taps that lie in the tensor."""
    rank = len(op.kernel)
    lines = []
    for a in range(rank):
        opened, position = window_axis(a, op.kernel[a], op.x.shape[2 + a], op.strides[a], op.pads[a],
                                       op.pads[a + rank], op.dilations[a], op.shape[2 + a])  # fmt: skip
        lines += ["  " * a + line for line in [*opened, f"  (void){position};"]]
    return [*lines, *("  " * rank + line for line in inner), *("  " * a + "}" for a in reversed(range(rank)))]


def _tap(w: Writer, op: MaxPool | AvgPool, body: Body) -> Scalar:
    view = w.views[op.x]
    terms = [("i0", view.strides[0]), ("i1", view.strides[1])]
    terms += [(f"p{a}", view.strides[2 + a]) for a in range(len(op.kernel))]
    return codes.load(body, op.x.format, w.element_of(op.x, affine(terms, view.offset)), w.constants)


def max_pool(w: Writer, op: MaxPool) -> list[str]:
    inner = Body("v")
    value = _tap(w, op, inner)
    body = Body()
    if value.kind == "int":
        lo, hi = op.format.level_range
        body.lines.append(f"{value.ctype} best = {integer(lo)};")
        test = f"if ({value.code} > best) {{ best = {value.code}; }}"
        result = Scalar("best", "int", lo, hi)
    else:
        body.lines.append(f"{value.ctype} best = -INFINITY;")
        test = f"if ({value.code} > best || {value.code} != {value.code}) {{ best = {value.code}; }}"
        result = Scalar("best", value.kind)
    body.lines += _over_window(w, op, [*inner.lines, test])
    return w.over_axes(w.epilogue(body, result))


MOST_TOGETHER = 1024
"""Channels whose sums are kept on the stack, so that the loop over them is the inner one and runs in vectors."""


def _side_by_side(w: Writer, op: AvgPool) -> bool:
    """Whether the channels of the operand follow each other in memory."""
    return w.views[op.x].strides[1] == 1 and 1 < op.shape[1] <= MOST_TOGETHER and op.kernel != (1,) * len(op.kernel)


def avg_pool(w: Writer, op: AvgPool) -> list[str]:
    counts = window_counts(op)
    where = (0, 0, *(int(s) for s in np.array(counts.strides) // counts.itemsize))
    inner, body = Body("v"), Body()
    value = _tap(w, op, inner)
    together = _side_by_side(w, op)
    if value.kind != "int":
        kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
        divisor = w.constant(body, counts.astype(op.format.dtype), where)
        done = body.let_number(f"{'sum[i1]' if together else 'sum'} / {divisor.code}", kind)
        return _summed(w, op, f"sum{{}} += {value.code};", NUMBERS[kind], inner, w.epilogue(body, done))
    value = c.subtract(inner, value, c.constant(int(op.x.format.zero_point_array[0])))
    lo, hi = centered_range(op.x.format)
    taps = int(np.prod(op.kernel))
    lo, hi = taps * min(lo, 0), taps * max(hi, 0)
    quantizer = op.out or Quantizer(op.format)
    source, target = op.x.format, quantizer.format
    up = (target.frac or 0) - (source.frac or 0) if source.frac is not None and target.frac is not None else 0
    total = c.multiply(body, Scalar("sum[i1]" if together else "sum", "int", lo, hi), c.constant(1 << max(up, 0)))
    divisor = w.constant(body, counts.astype(np.int64) << max(-up, 0), where)
    level = c.divide_round(body, total, divisor, quantizer.rounding)
    level = c.add(body, level, c.constant(int(target.zero_point_array[0])))
    last = w.epilogue(body, c.overflow(body, level, *target.level_range, quantizer.overflow))
    return _summed(w, op, f"sum{{}} += {value.code};", integer_type(lo, hi), inner, last)


def _summed(w: Writer, op: AvgPool, adding: str, kind: str, inner: Body, last: list[str]) -> list[str]:
    """The loops: `inner` and `adding` for every tap, then `last` for every sum, of one channel or of all together."""
    if not _side_by_side(w, op):
        taps = _over_window(w, op, [*inner.lines, adding.format("")])
        return w.over_axes([f"{kind} sum = 0;", *taps, *last])
    channels = op.shape[1]
    over = f"for (int32_t i1 = 0; i1 < {channels}; i1++) {{"
    taps = [over, *("  " + line for line in [*inner.lines, adding.format("[i1]")]), "}"]
    lines = [f"{kind} sum[{channels}] = {{0}};", *_over_window(w, op, taps)]
    lines += [over, *("  " + line for line in w.by_axes(last, 0)), "}"]
    loops = Nest(tuple((f"i{a}", op.shape[a]) for a in (0, *range(2, len(op.shape)))), ())
    return loops.write(lines)
