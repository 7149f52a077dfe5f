"""Pooling in plain C.

Small windows that lie inside the tensor are written out tap by tap. Others are loops: where the channels follow each
other in memory, the innermost runs over some of them, so that compilers make vector code of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.loops import Nest, affine
from edgec.backends.c.mac import window_axis
from edgec.backends.c.scalar import FLOATS, NUMBERS, Body, Kind, Scalar, integer, integer_type
from edgec.backends.c.view import View
from edgec.backends.c.writer import Writer
from edgec.formats import Quantizer
from edgec.interp.pool import window_counts
from edgec.ops import AvgPool, MaxPool, Op, centered_range

Pool = MaxPool | AvgPool
Tap = Callable[[Body, Scalar, str], str]
"""The statement that takes a tap into a variable; it may need others before, which go to the body."""
Finish = Callable[[Body, str], Scalar]
"""The result that becomes of a variable."""

MOST_WRITTEN = 16
"""Taps of a window that are written out."""
MOST_TOGETHER, LEAST_TOGETHER = 64, 4
"""Channels whose sums are kept on the stack."""


def inside(op: Pool) -> bool:
    """Whether all windows lie in the tensor."""
    spans = zip(op.x.shape[2:], op.shape[2:], op.kernel, op.strides, op.dilations, op.pads, strict=False)
    return all(pad == 0 and (n - 1) * s + (k - 1) * d < size for size, n, k, s, d, pad in spans)


def written(op: Pool) -> bool:
    """Whether the window is written out."""
    return inside(op) and math.prod(op.kernel) <= MOST_WRITTEN


def together(views: Mapping[Op, View], op: Pool) -> int:
    """How many channels are done together: they follow each other in memory, and as many as the other blocks have."""
    if views[op.x].strides[1] != 1 or written(op):
        return 1
    block = max(n for n in range(1, MOST_TOGETHER + 1) if op.shape[1] % n == 0)
    return block if block >= LEAST_TOGETHER else 1


def max_pool(w: Writer, op: MaxPool) -> list[str]:
    kind = codes.load(Body(), op.x.format, "x", w.constants)
    lo, hi = op.format.level_range if kind.kind == "int" else (0, 0)
    least = integer(lo) if kind.kind == "int" else "-INFINITY"

    def larger(_: Body, value: Scalar, name: str) -> str:
        nan = f" || {value.code} != {value.code}" if value.kind != "int" else ""  # NaN stays
        return f"{name} = {value.code} > {name}{nan} ? {value.code} : {name};"

    return _looped(w, op, (kind.ctype, least), larger, lambda _, name: Scalar(name, kind.kind, lo, hi))


def avg_pool(w: Writer, op: AvgPool) -> list[str]:
    counts = window_counts(op)
    where = (0, 0, *(int(s) for s in np.array(counts.strides) // counts.itemsize))
    if op.x.format.is_float:
        kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]

        def divided(body: Body, name: str) -> Scalar:
            divisor = w.constant(body, counts.astype(op.format.dtype), where)
            return body.let_number(f"{name} / {divisor.code}", kind)

        return _looped(w, op, (NUMBERS[kind], "0"), lambda _, value, name: f"{name} += {value.code};", divided)
    zero = c.constant(int(op.x.format.zero_point_array[0]))
    lo, hi = centered_range(op.x.format)
    taps = math.prod(op.kernel)
    lo, hi = taps * min(lo, 0), taps * max(hi, 0)
    quantizer = op.out or Quantizer(op.format)
    source, target = op.x.format, quantizer.format
    up = (target.frac or 0) - (source.frac or 0) if source.frac is not None and target.frac is not None else 0

    def added(body: Body, value: Scalar, name: str) -> str:
        return f"{name} += {c.subtract(body, value, zero).code};"

    def mean(body: Body, name: str) -> Scalar:
        level = c.multiply(body, Scalar(name, "int", lo, hi), c.constant(1 << max(up, 0)))
        divisor = w.constant(body, counts.astype(np.int64) << max(-up, 0), where)
        level = c.divide_round(body, level, divisor, quantizer.rounding)
        level = c.add(body, level, c.constant(int(target.zero_point_array[0])))
        return c.overflow(body, level, *target.level_range, quantizer.overflow)

    return _looped(w, op, (integer_type(lo, hi), "0"), added, mean)


def _looped(w: Writer, op: Pool, kept: tuple[str, str], tap: Tap, finish: Finish) -> list[str]:
    """The loops. Between taps a variable is kept (type, first value), or one for each of the channels that are done
    together."""
    name = "best" if isinstance(op, MaxPool) else "sum"
    kind, start = kept
    block, channels, body = together(w.views, op), op.shape[1], Body()
    each_name = name if block == 1 else f"{name}[k]"
    last = w.epilogue(body, finish(body, each_name))
    if block == 1:
        taps = _written(w, op, tap, name) if written(op) else _over_window(w, op, _tap(w, op, tap, name))
        return w.over_axes([f"{kind} {name} = {start};", *taps, *last])

    def each(lines: Sequence[str]) -> list[str]:
        channel = [f"const int32_t i1 = {'k' if block == channels else 'b + k'};"]
        used = channel if any(re.search(r"\bi1\b", line) for line in lines) else []
        return [f"for (int32_t k = 0; k < {block}; k++) {{", *("  " + line for line in [*used, *lines]), "}"]

    lines = [f"{kind} {name}[{block}];", *each([f"{each_name} = {start};"])]
    lines += [*_over_window(w, op, each(_tap(w, op, tap, each_name))), *each(w.by_axes(last, 0))]
    loops = Nest(tuple((f"i{a}", op.shape[a]) for a in (0, *range(2, len(op.shape)))), ())
    if block == channels:
        return loops.write(lines)
    return loops.write([f"for (int32_t b = 0; b < {channels}; b += {block}) {{", *("  " + x for x in lines), "}"])


def _tap(w: Writer, op: Pool, tap: Tap, name: str, place: Sequence[int] | None = None) -> list[str]:
    """Statements for the tap at `place` of the window, or at p0, p1, ... of the tensor."""
    view, body = w.views[op.x], Body("v")
    terms, offset = [("i0", view.strides[0]), ("i1", view.strides[1])], view.offset
    for a, step in enumerate(view.strides[2:]):
        terms.append((f"p{a}", step) if place is None else (f"i{2 + a}", op.strides[a] * step))
        offset += 0 if place is None else place[a] * op.dilations[a] * step
    value = codes.load(body, op.x.format, w.element_of(op.x, affine(terms, offset)), w.constants)
    statement = tap(body, value, name)
    return [*body.lines, statement]


def _written(w: Writer, op: Pool, tap: Tap, name: str) -> list[str]:
    """The taps one behind the other."""
    places = [_tap(w, op, tap, name, place) for place in np.ndindex(*op.kernel)]
    return [line for lines in places for line in (["{", *("  " + x for x in lines), "}"] if len(lines) > 1 else lines)]


def _over_window(w: Writer, op: Pool, taps: Sequence[str]) -> list[str]:
    """`taps` inside loops over those that lie in the tensor."""
    rank = len(op.kernel)
    lines = []
    for a in range(rank):
        opened, position = window_axis(a, op.kernel[a], op.x.shape[2 + a], op.strides[a], op.pads[a],
                                       op.pads[a + rank], op.dilations[a], op.shape[2 + a])  # fmt: skip
        lines += ["  " * a + line for line in [*opened, f"  (void){position};"]]
    return [*lines, *("  " * rank + line for line in taps), *("  " * a + "}" for a in reversed(range(rank)))]
