"""GridSample: an image read at computed positions, as gathers of its neighbours with computed weights.

Padding is applied to each neighbour (outside: zero, the edge, or the mirror image), as the standard describes it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from edgec.formats import Integer, Quantizer
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op
from edgec.ops import (
    Add,
    Binary,
    Clip,
    Mul,
    Op,
    Quantize,
    Reshape,
    Slice,
    Sub,
    Take,
    Transpose,
    Unary,
    Where,
)
from edgec.ops import integers as narrow_integers

_MODES = {"bilinear": "linear", "linear": "linear", "nearest": "nearest", "bicubic": "cubic", "cubic": "cubic"}
_CUBIC_A = -0.75


@imports("GridSample")
def grid_sample(node: Node) -> Op:
    """x [N, C, *S], grid [N, *O, rank] of positions in -1..1, the last axis first -> [N, C, *O]."""
    x, grid = node.floating(0), node.floating(1)
    mode = _MODES[node.string("mode", "linear" if node.opset >= 20 else "bilinear", tuple(_MODES))]
    padding = node.string("padding_mode", "zeros", ("zeros", "border", "reflection"))
    corners = node.flag("align_corners")
    rank = len(x.shape) - 2
    if rank < 1 or len(grid.shape) != rank + 2 or grid.shape[0] != x.shape[0] or grid.shape[-1] != rank:
        node.malformed(f"a grid {list(grid.shape)} for {list(x.shape)}")
    if not x.tensor.size or x.format != grid.format:
        node.malformed(f"sampling {x.type} at {grid.type}")
    batch, channels, sizes, out = x.shape[0], x.shape[1], x.shape[2:], grid.shape[1:-1]
    count, places = math.prod(sizes), math.prod(out)
    node.limit(batch, channels, places)
    work = _Sampler(node, x, padding, corners)
    flat = Reshape(grid, (batch, places, rank), loc=node.loc)
    axes = []
    for d, n in enumerate(sizes):
        column = Slice(flat, (0, 0, rank - 1 - d), (batch, places, rank - d), (1, 1, 1), loc=node.loc)
        axes.append(work.taps(Reshape(column, (batch, places), loc=node.loc), n, mode))
    rows = Reshape(x, (batch, channels, count), loc=node.loc)
    rows = Reshape(Transpose(rows, (0, 2, 1), loc=node.loc), (batch * count, channels), loc=node.loc)
    heads = narrow_integers(np.arange(batch).reshape(batch, 1) * count, loc=node.loc)
    total: Op | None = None
    for combination in itertools.product(*axes):
        place, weight = _joined(node, combination, sizes)
        index = Add(place, heads, loc=node.loc) if batch > 1 else place
        value: Op = Take(rows, index, 0, loc=node.loc)  # [N, places, C]
        if weight is not None:
            value = Mul(value, Reshape(weight, (batch, places, 1), loc=node.loc), loc=node.loc)
        total = value if total is None else Add(total, value, loc=node.loc)
    assert total is not None
    return Reshape(Transpose(total, (0, 2, 1), loc=node.loc), (batch, channels, *out), loc=node.loc)


def _joined(node: Node, taps: tuple[tuple[Op, Op | None], ...], sizes: tuple[int, ...]) -> tuple[Op, Op | None]:
    """One neighbour on every axis: its place in the flattened image and the product of the weights."""
    place: Op | None = None
    weight: Op | None = None
    for d, (index, factor) in enumerate(taps):
        stride = math.prod(sizes[d + 1 :])
        part = index if stride == 1 else Mul(index, narrow_integers(stride, loc=node.loc), loc=node.loc)
        place = part if place is None else Add(place, part, loc=node.loc)
        if factor is not None:
            weight = factor if weight is None else Mul(weight, factor, loc=node.loc)
    assert place is not None
    return place, weight


class _Sampler:
    """Float arithmetic on positions, in the precision of the image."""

    def __init__(self, node: Node, x: Op, padding: str, corners: bool) -> None:
        self.node, self.dtype, self.padding, self.corners = node, x.format.dtype, padding, corners

    def number(self, value: float) -> Op:
        return constant_op(np.array(value, self.dtype), self.node.loc)

    def plus(self, x: Op, value: float) -> Op:
        return x if value == 0 else Add(x, self.number(value), loc=self.node.loc)

    def times(self, x: Op, value: float) -> Op:
        return Mul(x, self.number(value), loc=self.node.loc)

    def unary(self, x: Op, function: str) -> Op:
        return Unary(x, function, loc=self.node.loc)

    def taps(self, g: Op, n: int, mode: str) -> list[tuple[Op, Op | None]]:
        """Index and weight of every neighbour on an axis of `n`; the weight is None where it is always 1."""
        one = self.plus(g, 1)
        position = self.times(one, (n - 1) / 2) if self.corners else self.times(self.plus(self.times(one, n), -1), 0.5)
        if mode == "nearest":
            return [self.tap(self.unary(position, "round"), None, n)]
        low = self.unary(position, "floor")
        part = Sub(position, low, loc=self.node.loc)
        rest = Sub(self.number(1), part, loc=self.node.loc)
        if mode == "linear":
            return [self.tap(low, rest, n), self.tap(self.plus(low, 1), part, n)]
        weights = [self.far(self.plus(part, 1)), self.near(part), self.near(rest), self.far(self.plus(rest, 1))]
        return [self.tap(self.plus(low, k - 1), w, n) for k, w in enumerate(weights)]

    def polynomial(self, d: Op, coefficients: tuple[float, ...]) -> Op:
        """Horner's scheme, the highest power first."""
        y = self.plus(self.times(d, coefficients[0]), coefficients[1])
        for c in coefficients[2:]:
            y = self.plus(Mul(y, d, loc=self.node.loc), c)
        return y

    def near(self, d: Op) -> Op:
        return self.polynomial(d, (_CUBIC_A + 2, -(_CUBIC_A + 3), 0, 1))

    def far(self, d: Op) -> Op:
        return self.polynomial(d, (_CUBIC_A, -5 * _CUBIC_A, 8 * _CUBIC_A, -4 * _CUBIC_A))

    def tap(self, index: Op, weight: Op | None, n: int) -> tuple[Op, Op | None]:
        """The neighbour at a float `index`, brought inside; outside its weight is zero where zeros are padded."""
        loc = self.node.loc
        if self.padding == "reflection":
            index = self.reflected(index, n)
        inside = Clip(index, 0, n - 1, loc=loc)
        if self.padding == "zeros":
            here = Binary(inside, index, "equal", loc=loc)
            weight = Where(here, self.number(1) if weight is None else weight, self.number(0), loc=loc)
        target = Integer(max((n - 1).bit_length(), 1), signed_=False)
        return Quantize(inside, Quantizer(target, "trunc", "saturate"), loc=loc), weight

    def reflected(self, index: Op, n: int) -> Op:
        """The mirror image: about the outermost elements with aligned corners, else about their outer borders."""
        start, span = (0.0, n - 1) if self.corners else (-0.5, n)
        if span == 0:
            return index
        away = self.unary(self.plus(index, -start), "abs")
        phase = Binary(away, self.number(2 * span), "mod", loc=self.node.loc)
        back = self.unary(self.plus(phase, -span), "abs")
        return self.plus(Sub(self.number(span), back, loc=self.node.loc), start)
