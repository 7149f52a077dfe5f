"""The multiply-accumulate and pooling arrays of folded layers: one leaf circuit, used by every processing element.

A leaf adds SIMD products (or takes one maximum, or adds one number) to an operand, which is the sum so far or, at the
first tap of a window, a start value. The zero point of the activations and the bias are in the start value, so that
codes are multiplied as they are. Sums wrap: only the finished one has to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.backends.rtl.circuit.arith import maximum
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.matrix import Matrix
from edgec.backends.rtl.circuit.multiply import Lanes, add_products, products
from edgec.backends.rtl.circuit.wire import Input, Wire
from edgec.backends.rtl.folded.layers import Layer, pad_code, with_code
from edgec.backends.rtl.lower.mac import shifted, sign_lanes
from edgec.formats_compressed import Binary
from edgec.ops import AvgPool, Constant, Conv, Dense, MaxPool
from edgec.ops.mac import centered_range
from edgec.rounding import shift_round


@dataclass(frozen=True, eq=False)
class Array:
    """A windowed layer as hardware sees it, before it is folded.

    `weights` are integers [outputs, rows, columns, channels] (depthwise: [channels, rows, columns]; pooling: None),
    `start` [outputs]; `low`, `high` [outputs] bound the finished sums in units of 2**-frac.
    """

    op: Conv | Dense | MaxPool | AvgPool
    size: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_size: tuple[int, int]
    outputs: int
    by_channel: bool
    x: Interval
    weights: np.ndarray | None
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    frac: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def collects(self) -> bool:
        """Whether one window without a border is the whole frame and no weights are needed: global pooling."""
        return self.weights is None and self.kernel == self.size and not any(self.pads)

    @property
    def macs(self) -> int:
        """Products of a frame, those of the border included."""
        per_output = self.taps * (1 if self.by_channel else self.channels)
        return self.out_size[0] * self.out_size[1] * self.outputs * per_output if self.weights is not None else 0

    @property
    def sum_interval(self) -> Interval:
        """The finished sums of all channels."""
        return Interval(int(self.low.min()), int(self.high.max()), self.frac)

    @property
    def register(self) -> Interval:
        """What an accumulator holds."""
        i = self.sum_interval
        return Interval.of_bits(i.width, i.signed)

    @property
    def weight_interval(self) -> Interval:
        assert self.weights is not None
        return Interval(min(int(self.weights.min()), 0), max(int(self.weights.max()), 0))


def make_array(layer: Layer) -> Array:
    """The array of a layer that opens with a convolution, dense or pooling."""
    op, source = layer.main, layer.inputs[0]
    assert isinstance(op, Conv | Dense | MaxPool | AvgPool)
    if isinstance(op, Dense):
        size, kernel, strides, pads = source.size, source.size, (1, 1), (0, 0, 0, 0)
        out_size, outputs = (1, 1), op.shape[1]
    else:
        size, out_size, outputs = source.size, layer.output.size, op.shape[1]
        rank = len(op.shape) - 2
        window = op.w.shape[2:] if isinstance(op, Conv) else op.kernel
        kernel, strides = two(window, 1), two(op.strides, 1)
        begin, end = two(op.pads[:rank], 0), two(op.pads[rank:], 0)
        # A window may reach beyond the stated border (ceil_mode): the border grows.
        more = [(o - 1) * s + k - n for o, s, k, n in zip(out_size, strides, kernel, size, strict=True)]
        pads = (*begin, max(end[0], more[0] - begin[0]), max(end[1], more[1] - begin[1]))
    x = source.interval
    if any(pads):
        code = pad_code(op)
        assert code is not None, "checked by the backend"
        x = with_code(x, code)
    facts: dict[str, Any] = {"op": op, "size": size, "channels": source.channels, "kernel": kernel, "strides": strides}
    facts |= {"pads": pads, "out_size": out_size, "outputs": outputs, "x": x}
    if isinstance(op, MaxPool):
        ends = np.full(outputs, x.lo), np.full(outputs, x.hi)
        sums = {"start": ends[0], "low": ends[0], "high": ends[1], "frac": x.frac}
        return Array(**facts, by_channel=True, weights=None, **sums)
    if isinstance(op, AvgPool):
        taps = kernel[0] * kernel[1]
        start = np.full(outputs, -taps * int(op.x.format.zero_point_array[0]))
        frac = op.x.format.frac or 0
        sums = {"start": start, "low": start + taps * x.lo, "high": start + taps * x.hi, "frac": frac}
        return Array(**facts, by_channel=True, weights=None, **sums)
    return weighted(op, facts, source.order)


def two(sizes: Sequence[int], missing: int) -> tuple[int, int]:
    """Rows and columns of something stated for one or two axes."""
    return (missing, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def weighted(op: Conv | Dense, facts: dict[str, Any], order: np.ndarray) -> Array:
    """The array of a convolution or dense layer; see `lower.mac` for the units of products and sums."""
    assert isinstance(op.w, Constant)
    channels, kernel, outputs, x = (facts[k] for k in ("channels", "kernel", "outputs", "x"))
    levels = op.w.levels.astype(np.int64)
    by_channel = isinstance(op, Conv) and op.groups > 1
    if isinstance(op, Dense):
        weights = levels[:, order].reshape(outputs, *kernel, channels)
    else:
        weights = levels.reshape(outputs, -1, *kernel)
        weights = weights[:, 0] if by_channel else np.moveaxis(weights, 1, -1)
    dyadic = op.x.format.frac is not None and op.w.format.frac is not None
    frac = (op.x.format.frac or 0) + (op.w.format.frac or 0) if dyadic else 0
    drop = frac - (op.product.format.frac or 0) if op.product is not None else 0
    bias = op.b.levels.astype(np.int64) if isinstance(op.b, Constant) else np.zeros(outputs, np.int64)
    bias_frac = (op.b.format.frac or 0) if op.b is not None and dyadic else 0
    sum_frac = max(frac - drop, bias_frac if op.b is not None else -(1 << 30))
    scale = sum_frac - (frac - max(drop, 0))
    zero = 0 if isinstance(op.x.format, Binary) else int(op.x.format.zero_point_array[0])
    ends = centered_range(op.x.format) if isinstance(op.x.format, Binary) else (x.lo, x.hi)
    axes = tuple(range(1, weights.ndim))
    products_ = np.stack([weights * ends[0], weights * ends[1]])
    if drop > 0:
        assert op.product is not None
        products_ = shift_round(products_, drop, op.product.rounding)
    start = (bias << (sum_frac - bias_frac)) - (zero * weights.sum(axis=axes) << scale)
    low = start + (products_.min(axis=0).sum(axis=axes) << scale)
    high = start + (products_.max(axis=0).sum(axis=axes) << scale)
    sums = {"start": start, "low": low, "high": high, "frac": sum_frac}
    return Array(**facts, by_channel=by_channel, weights=weights, **sums)


def leaf(array: Array, simd: int, name: str) -> Circuit:
    """One processing element: ports x and w (`simd` numbers each, w only with weights), a and y."""
    a = Input("a", array.register)
    op = array.op
    if isinstance(op, MaxPool):
        x = Input("x", Interval(array.x.lo, array.x.hi))
        y: Wire = maximum(Input("a", x.interval), x)
        return Circuit(name, {"y": y}, [[x], [Input("a", x.interval)]])
    matrix = Matrix()
    xs = [Input("x", Interval(array.x.lo, array.x.hi), i) for i in range(simd)]
    inputs: list[list[Input]] = [xs]
    if isinstance(op, AvgPool):
        matrix.add(xs[0])
    else:
        ws = [Input("w", array.weight_interval, i) for i in range(simd)]
        inputs.append(ws)
        add_dot(matrix, op, xs, ws, array.frac)
    matrix.add(a)
    return Circuit(name, {"y": matrix.total(wrap=array.register)}, [*inputs, [a]])


def add_dot(matrix: Matrix, op: Conv | Dense, xs: list[Input], ws: list[Input], sum_frac: int) -> None:
    """Add sum x * w, each product rounded first where the op says so."""
    dyadic = op.x.format.frac is not None and op.w.format.frac is not None
    frac = (op.x.format.frac or 0) + (op.w.format.frac or 0) if dyadic else 0
    drop = max(frac - (op.product.format.frac or 0), 0) if op.product is not None else 0
    rounding = op.product.rounding if op.product is not None else "floor"
    x, w = Lanes.of(xs), Lanes.of(ws)
    if isinstance(op.x.format, Binary):
        x = sign_lanes(x)
    add_products(matrix, shifted(products(x, w, drop, rounding), sum_frac - (frac - drop)))


def finished(array: Array) -> Interval:
    """The interval in which the layer behind may read a finished sum."""
    return array.sum_interval
