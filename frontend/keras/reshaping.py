"""Layers that move elements: flatten, reshape, permute, pad, crop, enlarge."""

from __future__ import annotations

import math
from typing import Any

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import FIRST, FLAT, Tensor, own
from edgec.ops import Op, Pad, Reshape, Resize, Slice, Transpose


@imports("Flatten")
def flatten(layer: Layer, xs: list[Tensor]) -> Tensor:
    """Channels last, whatever the data format; a tensor with its channels first stays so until someone looks."""
    x, last = layer.one(xs), layer.channels_last()
    shape = (x.shape[0], math.prod(x.shape[1:]))
    if not last and x.rank > 2:
        x = own(Transpose(x.own, (0, *range(2, x.rank), 1), loc=layer.loc))
    if x.order == FIRST:
        spatial = math.prod(x.shape[1:-1])
        y = Reshape(x.op, shape, loc=layer.loc)
        return own(y) if spatial == 1 or x.shape[-1] == 1 else Tensor(y, shape, FLAT, x.shape[1:])
    if x.rank == 2:
        return x
    return own(Reshape(x.own, shape, loc=layer.loc))


@imports("Reshape")
def reshape(layer: Layer, xs: list[Tensor]) -> Tensor:
    x, target = layer.one(xs), layer.raw("target_shape")
    size = math.prod(x.shape[1:])
    if not isinstance(target, list) or not all(isinstance(n, int) and n >= -1 and n for n in target):
        layer.malformed(f"setting 'target_shape' is {target!r:.60}")
    if target.count(-1) == 1:
        rest = math.prod(n for n in target if n != -1)
        target = [size // rest if n == -1 else n for n in target]
    if math.prod(target) != size or len(target) > 16:
        layer.malformed(f"{list(x.shape[1:])} reshaped to {target}")
    return own(Reshape(x.own, (x.shape[0], *target), loc=layer.loc))


@imports("Permute")
def permute(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    dims = layer.sizes("dims", x.rank - 1)
    if sorted(dims) != list(range(1, x.rank)):
        layer.malformed(f"setting 'dims' is {list(dims)} for {x.rank} dimensions")
    return own(Transpose(x.own, (0, *dims), loc=layer.loc))


def _amounts(layer: Layer, name: str, rank: int) -> list[tuple[int, int]]:
    """(before, behind) for each spatial axis: one number, one for each axis, or a pair for each axis."""
    value = layer.raw(name, 1)
    if isinstance(value, int):
        value = [[value, value]] * rank
    if isinstance(value, list) and rank == 1 and len(value) == 2 and all(isinstance(v, int) for v in value):
        value = [value]
    if isinstance(value, list) and len(value) == rank:
        pairs: list[Any] = [[v, v] if isinstance(v, int) else v for v in value]
        if all(
            isinstance(v, list) and len(v) == 2 and all(isinstance(n, int) and 0 <= n < 1 << 20 for n in v)
            for v in pairs
        ):
            return [(v[0], v[1]) for v in pairs]
    layer.malformed(f"setting {name!r} is {value!r:.60}")


def _spatial(layer: Layer, x: Tensor) -> tuple[Tensor, int]:
    """The tensor, and the first spatial axis of its `op`."""
    last = layer.channels_last() if "data_format" in layer.config else True
    channels_first = x.order == FIRST if last else True
    return own(x.own) if not last else x, 2 if channels_first else 1


@imports("ZeroPadding1D", "ZeroPadding2D")
def zero_padding(layer: Layer, xs: list[Tensor]) -> Tensor:
    rank = 1 if layer.class_name.endswith("1D") else 2
    x, amounts = layer.one(xs, rank + 2), _amounts(layer, "padding", rank)
    x, start = _spatial(layer, x)
    pads = [0] * 2 * x.rank
    for i, (before, behind) in enumerate(amounts):
        pads[start + i], pads[x.rank + start + i] = before, behind
    layer.limit(*(n + a + b for n, a, b in zip(x.op.shape, pads[: x.rank], pads[x.rank :], strict=True)))
    return _again(x, Pad(x.op, tuple(pads), loc=layer.loc))


@imports("Cropping1D", "Cropping2D")
def cropping(layer: Layer, xs: list[Tensor]) -> Tensor:
    rank = 1 if layer.class_name.endswith("1D") else 2
    x, amounts = layer.one(xs, rank + 2), _amounts(layer, "cropping", rank)
    x, start = _spatial(layer, x)
    starts, stops = [0] * x.rank, list(x.op.shape)
    for i, (before, behind) in enumerate(amounts):
        starts[start + i], stops[start + i] = before, stops[start + i] - behind
        if starts[start + i] >= stops[start + i]:
            layer.malformed(f"nothing of {list(x.shape)} is left")
    return _again(x, Slice(x.op, tuple(starts), tuple(stops), (1,) * x.rank, loc=layer.loc))


def _again(x: Tensor, op: Op) -> Tensor:
    """The tensor of `op`, whose elements lie in the order of `x`."""
    if x.order == FIRST:
        n, c, *spatial = op.shape
        return Tensor(op, (n, *spatial, c), FIRST)
    return own(op)


@imports("UpSampling1D", "UpSampling2D")
def up_sampling(layer: Layer, xs: list[Tensor]) -> Tensor:
    rank = 1 if layer.class_name.endswith("1D") else 2
    x, last = layer.one(xs, rank + 2), layer.channels_last() if "data_format" in layer.config else True
    factors = layer.sizes("size", rank, 2)
    bilinear = rank == 2 and layer.string("interpolation", "nearest", ("nearest", "bilinear")) == "bilinear"
    op = layer.channel_axis(x, last)
    sizes = tuple(n * f for n, f in zip(op.shape[2:], factors, strict=True))
    layer.limit(*op.shape[:2], *sizes)
    scales = tuple(float(f) for f in factors)
    if bilinear:
        y = Resize(op, sizes, scales, "linear", "half_pixel", loc=layer.loc)
    else:
        y = Resize(op, sizes, scales, "nearest", "asymmetric", "floor", loc=layer.loc)
    n, c, *spatial = y.shape
    return Tensor(y, (n, *spatial, c), FIRST) if last else own(y)
