"""The places of maxima in max pooling, and the way back (MaxUnpool)."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.indexing import inside
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.ops import Add, ArgMax, Gather, MaxPool, Op, Pad, Reshape, Scatter, Take
from edgec.ops import integers as narrow_integers


def _window_places(pool: MaxPool) -> np.ndarray:
    """[T, K]: the flattened spatial place of every tap of every window, -1 outside the tensor."""
    sizes, rank = pool.x.shape[2:], len(pool.kernel)
    total = np.zeros((), np.int64)
    outside = np.zeros((), np.bool_)
    for i, n in enumerate(sizes):
        start = np.arange(pool.shape[2 + i]) * pool.strides[i] - pool.pads[i]
        place = start[:, None] + np.arange(pool.kernel[i]) * pool.dilations[i]  # [outputs, taps] of this axis
        shape = [1] * (2 * rank)
        shape[i], shape[rank + i] = place.shape
        total = total + place.reshape(shape) * math.prod(sizes[i + 1 :])
        outside = outside | ((place < 0) | (place >= n)).reshape(shape)
    places = np.where(outside, -1, total)
    return places.reshape(math.prod(pool.shape[2:]), math.prod(pool.kernel))


def places_of_maxima(node: Node, pool: MaxPool, by_column: bool) -> Op:
    """The place of each maximum in the flattened input (of equals the first), in the shape of the result."""
    x, sizes = plain(pool.x), pool.x.shape[2:]
    n, c = x.shape[:2]
    count = math.prod(sizes)
    table = _window_places(pool)
    node.limit(n, c, *table.shape, what="the windows of max pooling with places")
    lowest = -math.inf if x.format.is_float else float(x.format.code_range[0])
    flat = Pad(Reshape(x, (n, c, count), loc=node.loc), (0, 0, 0, 0, 0, 1), "constant", lowest, loc=node.loc)
    taken = Gather(flat, tuple(np.where(table < 0, count, table).ravel().tolist()), 2, loc=node.loc)
    choice = ArgMax(Reshape(taken, (n, c, *table.shape), loc=node.loc), 3, False, loc=node.loc)  # [N, C, T]
    tap = Add(choice, narrow_integers(np.arange(table.shape[0]) * table.shape[1], loc=node.loc), loc=node.loc)
    if by_column:  # places count down the columns first
        order = np.arange(count).reshape(sizes[::-1]).transpose(*reversed(range(len(sizes)))).ravel()
        table = np.where(table < 0, -1, order[table])
    place = Take(narrow_integers(np.maximum(table, 0).ravel(), loc=node.loc), tap, 0, loc=node.loc)
    base = np.arange(n * c).reshape(n, c, 1) * count
    whole = Add(place, narrow_integers(base, loc=node.loc), loc=node.loc) if n * c > 1 else place
    return Reshape(whole, pool.shape, loc=node.loc)


@imports("MaxUnpool")
def max_unpool(node: Node) -> Op:
    """Zeros with the values at the places that max pooling found."""
    x, places = plain(node.op(0)), node.op(1)
    kernel = node.ints("kernel_shape") or ()
    rank = len(x.shape) - 2
    strides, pads = node.ints("strides") or (1,) * rank, node.ints("pads") or (0,) * 2 * rank
    if rank < 1 or not len(kernel) == len(strides) == rank or len(pads) != 2 * rank or places.shape != x.shape:
        node.malformed(f"unpooling of {list(x.shape)} with kernel {list(kernel)}")
    spatial = tuple(
        (n - 1) * s - pads[i] - pads[i + rank] + k
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    )
    shape = (*x.shape[:2], *spatial)
    node.limit(*shape)
    size = math.prod(shape)
    zeros = constant_op(np.zeros(size, x.format.dtype), node.loc, x.format)
    flat = moved(Reshape(x, (x.tensor.size,), loc=node.loc))
    index = moved(Reshape(inside(node, places, size), (x.tensor.size,), loc=node.loc))
    y = Reshape(Scatter(zeros, index, flat, loc=node.loc), shape, loc=node.loc)
    wanted = node.known_ints(2, "output shape") if node.has(2) else shape
    if len(wanted) != len(shape) or any(m < n for m, n in zip(wanted, shape, strict=True)):
        node.malformed(f"output shape {list(wanted)} for {list(shape)}")
    extra = tuple(m - n for m, n in zip(wanted, shape, strict=True))
    return Pad(y, (0,) * len(shape) + extra, loc=node.loc) if any(extra) else y
