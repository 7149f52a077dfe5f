"""Transposed convolutions in binary32: results a stride apart are a convolution each, with those of the taps that reach
them, last to first. The tiles of convolutions do them, on one copy of x with the padding that all need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgec.backends.c.fp32.match import FloatLayer, clamp_of
from edgec.backends.c.fp32.tile import FloatTile, TapTile
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.place import copied, reads_as_it_is, scratch
from edgec.backends.c.vector.place import suits as lies_well
from edgec.backends.c.view import View
from edgec.backends.c.writer import Writer
from edgec.formats import F32, TensorType
from edgec.ops import Constant, Conv, ConvTranspose, Input, Op


@dataclass(frozen=True)
class Phase:
    """Results `start`, `start + stride`, ... of one axis, `count` of them: result q adds up taps[j] times the element
    q + first + j * step of x."""

    start: int
    count: int
    taps: tuple[int, ...]
    first: int
    step: int

    @property
    def last(self) -> int:
        """The element that the last result takes last."""
        return self.count - 1 + self.first + (len(self.taps) - 1) * self.step


def phases(op: ConvTranspose, axis: int) -> list[Phase]:
    """The phases of a spatial axis. One whose results no tap reaches has no taps."""
    stride, dilation, pad = op.strides[axis], op.dilations[axis], op.pads[axis]
    found = []
    for start in range(min(stride, op.shape[2 + axis])):
        taps = tuple(k for k in reversed(range(op.w.shape[2 + axis])) if (start + pad - k * dilation) % stride == 0)
        first = (start + pad - taps[0] * dilation) // stride if taps else 0
        count = -(-(op.shape[2 + axis] - start) // stride)
        found.append(Phase(start, count, taps, first, dilation // math.gcd(stride, dilation)))
    return found


def can(ops: Sequence[Op]) -> bool:
    """Whether everything is binary32, no weight is computed, one image or row goes in, all channels take part in every
    result or each in its own, and clamps are all that is behind."""
    op = ops[0]
    if not isinstance(op, ConvTranspose) or not isinstance(op.w, Constant) or clamp_of(ops) is None:
        return False
    rank, depthwise = len(op.shape) - 2, op.groups == op.x.shape[1] and op.w.shape[1] == 1
    return (
        all(o.format == F32 for o in (*op.operands, op))
        and isinstance(op.b, Constant | None)
        and rank in (1, 2)
        and op.x.shape[0] == 1
        and (op.groups == 1 or depthwise)
        and bool(op.x.tensor.size)
        and all(phase.taps for axis in range(rank) for phase in phases(op, axis))
    )


def suits(ops: Sequence[Op], views: Mapping[Op, View]) -> bool:
    """Whether the result lies so that a vector of channels can be stored at once."""
    return lies_well(_padded(ops), views[ops[-1]])


def room(ops: Sequence[Op], views: Mapping[Op, View]) -> int:
    """Elements of scratch memory: the copy of x, where there has to be one."""
    layer, x = _padded(ops), views[ops[0].operands[0]]
    return 0 if reads_as_it_is(layer, x) else scratch(layer, x).buffer.elements


def body(w: Writer) -> list[str]:
    """Statements of a step with the operands of `w` and `scratch`."""
    ops = w.step.ops
    layer, x = _padded(ops), w.views[ops[0].operands[0]]
    lines, base = [], "x0"
    if not reads_as_it_is(layer, x):
        lines, base = copied(layer, x, scratch(layer, x)), "scratch"
    tile = TapTile if layer.depthwise else FloatTile
    for part, lies, y in parts(ops, w.views):
        lines += ["{", *("  " + line for line in dense(part, lies, y, w.constants, base, tile)), "}"]
    return lines


def parts(ops: Sequence[Op], views: Mapping[Op, View]) -> list[tuple[FloatLayer, View, View]]:
    """The convolutions, with where x lies for each, as if it were padded, and its results."""
    op = ops[0]
    assert isinstance(op, ConvTranspose)
    layer = _padded(ops)
    x, y = layer.image(views[op.x]), layer.image(views[ops[-1]])
    if not reads_as_it_is(layer, views[op.x]):
        x = scratch(layer, views[op.x])
    assert x is not None and y is not None
    rows, columns = _axes(op)
    (sy, sx), (dy, dx) = _strides(op), (rows[0].step, columns[0].step)
    found = []
    for row, column in product(rows, columns):
        taken = layer.weights[:, list(row.taps)][:, :, list(column.taps)]
        shape = (1, x.shape[1], row.count + (len(row.taps) - 1) * dy, column.count + (len(column.taps) - 1) * dx)
        kernel = np.moveaxis(taken, -1, 1)
        conv = Conv(
            Input("x", type=TensorType(F32, shape)),
            Constant(kernel, type=TensorType(F32, kernel.shape)),
            dilations=(dy, dx),
            groups=op.groups,
        )
        at = x.offset + row.first * x.strides[2] + column.first * x.strides[3]
        part = FloatLayer(conv, taken, layer.bias, layer.lo, layer.hi, 0)
        to = y.offset + row.start * y.strides[2] + column.start * y.strides[3]
        strides = (y.strides[0], y.strides[1], y.strides[2] * sy, y.strides[3] * sx)
        y_part = View(y.buffer, (1, y.shape[1], row.count, column.count), strides, to)
        found.append((part, View(x.buffer, shape, x.strides, at), y_part))
    return found


def _axes(op: ConvTranspose) -> tuple[list[Phase], list[Phase]]:
    """The phases of rows and columns; a row is an image."""
    if len(op.shape) == 3:
        return [Phase(0, 1, (0,), 0, 1)], phases(op, 0)
    return phases(op, 0), phases(op, 1)


def _strides(op: ConvTranspose) -> tuple[int, int]:
    return (1, op.strides[0]) if len(op.shape) == 3 else (op.strides[0], op.strides[1])


def _padded(ops: Sequence[Op]) -> FloatLayer:
    """A layer with all weights, [O, kH, kW, C / groups], that reads x with the padding which the phases need."""
    op = ops[0]
    assert isinstance(op, ConvTranspose) and isinstance(op.w, Constant)
    w = op.w.data if len(op.shape) == 4 else op.w.data[:, :, None]
    w = np.moveaxis(w, (0, 1), (-1, 0)) if op.groups == 1 else np.moveaxis(w, 1, -1)
    bias = np.zeros(len(w), np.float32) if op.b is None else op.b.data  # type: ignore[attr-defined]
    sizes = op.x.shape[2:] if len(op.shape) == 4 else (1, op.x.shape[2])
    before, behind, kernel = [], [], []
    for size, axis in zip(sizes, _axes(op), strict=True):
        before.append(max(0, *(-phase.first for phase in axis)))
        behind.append(max(0, *(phase.last - size + 1 for phase in axis)))
        kernel.append(max(len(phase.taps) for phase in axis))
    pads = (*before, *behind)
    shape = (1, op.x.shape[1], *sizes)
    seen = np.broadcast_to(np.float32(0), (len(w), w.shape[-1], *kernel))
    conv = Conv(
        Input("x", type=TensorType(F32, shape)),
        Constant(seen, type=TensorType(F32, seen.shape)),
        pads=pads,
        groups=op.groups,
    )
    bounds = clamp_of(ops)
    assert bounds is not None
    return FloatLayer(conv, w, bias, *bounds, 0)
