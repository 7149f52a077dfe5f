"""Padding, up- and downsampling, and shuffling between pixels and channels."""

from __future__ import annotations

import math
from typing import NoReturn

from edgec.frontend.torch.indexing import cut
from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.frontend.torch.shapes import reshaped, transposed
from edgec.ops import Concat, Op, Pad, Resize


def _padded(node: Node, x: Op, pads: tuple[int, ...], mode: str, value: float) -> Op:
    """`pads` as PyTorch has them: (begin, end) of the last axis first."""
    rank = len(x.shape)
    if len(pads) % 2 or len(pads) > 2 * rank:
        node.malformed(f"padding {list(pads)} of {list(x.shape)}")
    begin, end = [0] * rank, [0] * rank
    for i in range(len(pads) // 2):
        begin[rank - 1 - i], end[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    node.limit(*(max(n + a + b, 0) for n, a, b in zip(x.shape, begin, end, strict=True)))
    return Pad(x, (*begin, *end), mode, value, loc=node.loc) if any(pads) else x


@imports("constant_pad_nd.default")
def constant_pad(node: Node) -> Op:
    return _padded(node, node.op("self"), node.ints("pad"), "constant", node.number("value", 0.0))


@imports("pad.default")
def pad(node: Node) -> Op:
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": ""}
    mode = modes[node.string("mode", "constant", tuple(modes))]
    if not mode:
        node.ignore("value")
        return _circular(node, node.op("self"), node.ints("pad"))
    return _padded(node, node.op("self"), node.ints("pad"), mode, node.number("value", 0.0))


def _circular(node: Node, x: Op, pads: tuple[int, ...]) -> Op:
    """The other end of every axis set before and behind it."""
    rank = len(x.shape)
    if len(pads) % 2 or len(pads) > 2 * rank:
        node.malformed(f"padding {list(pads)} of {list(x.shape)}")
    for i in range(len(pads) // 2):
        axis, before, behind = rank - 1 - i, pads[2 * i], pads[2 * i + 1]
        n = x.shape[axis]
        node.require(min(before, behind) >= 0 and max(before, behind) <= n, f"circular padding {list(pads)}")
        parts = (cut(node, x, axis, n - before, n), x, cut(node, x, axis, 0, behind))
        kept = tuple(p for p in parts if p.shape[axis])
        x = Concat(kept, axis, loc=node.loc) if len(kept) > 1 else x
    return x


@imports(*(f"{kind}_pad{rank}d.default" for kind in ("reflection", "replication") for rank in (1, 2, 3)))
def mirrored_pad(node: Node) -> Op:
    mode = "reflect" if "reflection" in node.operator else "edge"
    return _padded(node, node.op("self"), node.ints("padding"), mode, 0.0)


def _target(node: Node, x: Op) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Sizes of the result, and the factors by which PyTorch steps: those that are stated, else of the sizes."""
    rank = len(x.shape) - 2
    if rank < 1 or min(x.shape) < 1:
        node.malformed(f"resampling of {list(x.shape)}")
    if node.operator.endswith(".vec"):
        stated = node.raw("scale_factors")
    else:
        names = ("scales",) if rank == 1 else ("scales_d", "scales_h", "scales_w")[-rank:]
        stated = [node.finite(n) for n in names] if node.has(names[0]) else None
        node.ignore(*names)
    if stated is not None and (len(stated) != rank or any(not (math.isfinite(s) and s > 0) for s in stated)):
        node.malformed(f"scales {stated} for {rank} axes")
    if node.has("output_size"):
        sizes = node.ints("output_size", rank)
    elif stated is not None:
        sizes = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], stated, strict=True))
    else:
        node.malformed("neither sizes nor scales")
    node.limit(*x.shape[:2], *sizes)
    factors = stated or [m / n for m, n in zip(sizes, x.shape[2:], strict=True)]
    return sizes, tuple(float(f) for f in factors)


@imports(*(f"upsample_nearest{rank}d.{kind}" for rank in (1, 2, 3) for kind in ("vec", "default")))
def nearest(node: Node) -> Op:
    x = node.op("input" if node.operator.endswith("vec") else "self")
    sizes, scales = _target(node, x)
    return Resize(x, sizes, scales, "nearest", "asymmetric", "floor", loc=node.loc)


@imports(*(f"_upsample_nearest_exact{rank}d.{kind}" for rank in (1, 2, 3) for kind in ("vec", "default")))
def nearest_exact(node: Node) -> Op:
    x = node.op("input" if node.operator.endswith("vec") else "self")
    sizes, scales = _target(node, x)
    return Resize(x, sizes, scales, "nearest", "half_pixel", "round_prefer_ceil", loc=node.loc)


_LINEAR = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")


@imports(*(f"{name}.{kind}" for name in _LINEAR for kind in ("vec", "default")))
def linear(node: Node) -> Op:
    x = node.floating("input" if node.operator.endswith("vec") else "self")
    corners = node.flag("align_corners")
    sizes, scales = _target(node, x)
    return Resize(x, sizes, scales, "linear", "align_corners" if corners else "half_pixel", loc=node.loc)


@imports("pixel_shuffle.default")
def pixel_shuffle(node: Node) -> Op:
    """[..., C r r, H, W] -> [..., C, H r, W r]."""
    x, r = node.op("self"), node.integer("upscale_factor")
    if len(x.shape) < 3 or r < 1 or x.shape[-3] % (r * r):
        _misfit(node, x, r)
    *lead, c, h, w = x.shape
    n = len(lead)
    apart = reshaped(node, x, (*lead, c // (r * r), r, r, h, w))
    turned = transposed(node, apart, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshaped(node, turned, (*lead, c // (r * r), h * r, w * r))


@imports("pixel_unshuffle.default")
def pixel_unshuffle(node: Node) -> Op:
    """[..., C, H r, W r] -> [..., C r r, H, W]."""
    x, r = node.op("self"), node.integer("downscale_factor")
    if len(x.shape) < 3 or r < 1 or x.shape[-1] % r or x.shape[-2] % r:
        _misfit(node, x, r)
    *lead, c, h, w = x.shape
    n = len(lead)
    apart = reshaped(node, x, (*lead, c, h // r, r, w // r, r))
    turned = transposed(node, apart, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshaped(node, turned, (*lead, c * r * r, h // r, w // r))


@imports("channel_shuffle.default", "native_channel_shuffle.default")
def channel_shuffle(node: Node) -> Op:
    x, groups = node.op("self"), node.integer("groups")
    if len(x.shape) < 3 or groups < 1 or x.shape[1] % groups:
        _misfit(node, x, groups)
    n, c, *rest = x.shape
    apart = reshaped(node, x, (n, groups, c // groups, *rest))
    return reshaped(node, transposed(node, apart, (0, 2, 1, *range(3, len(rest) + 3))), x.shape)


def _misfit(node: Node, x: Op, factor: int) -> NoReturn:
    node.malformed(f"factor {factor} for {list(x.shape)}")
