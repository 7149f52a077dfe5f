"""Gathering by computed indices, ordering and running totals.

Gathers along several axes become one `Take` from a flattened tensor: the index is computed with integer arithmetic.
"""

from __future__ import annotations

import math

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Integer, Quantizer
from edgec.frontend.onnx.arithmetic import fits
from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op, plain
from edgec.ops import (
    Add,
    Binary,
    Cast,
    Clip,
    Constant,
    Cumulate,
    Gather,
    Get,
    Mul,
    Op,
    Reshape,
    Slice,
    Take,
    TopK,
    Where,
)
from edgec.ops import integers as narrow_integers


def inside(node: Node, indices: Op, n: int) -> Op:
    """`indices` with those below zero counted from the end of `n` elements, as unsigned integers below n."""
    indices = plain(indices)
    if indices.format.is_float or n < 1:
        node.malformed(f"indices of {indices.format} into {n} elements")
    unsigned = Integer(max((n - 1).bit_length(), 1), signed_=False)
    if fits(indices.format, unsigned):
        return indices
    low = -n if indices.format.signed else 0
    near = Clip(indices, low, n - 1, loc=node.loc)
    if not low:
        return Cast(near, Quantizer(unsigned, "floor", "wrap"), loc=node.loc)
    narrow = Cast(near, Quantizer(Integer(n.bit_length() + 1), "floor", "wrap"), loc=node.loc)
    zero = constant_op(np.zeros((), narrow.format.dtype), node.loc, narrow.format)
    wrapped = Add(narrow, narrow_integers(n, loc=node.loc), Quantizer(unsigned, "floor", "wrap"), loc=node.loc)
    kept = Cast(narrow, Quantizer(unsigned, "floor", "wrap"), loc=node.loc)
    return Where(Binary(narrow, zero, "less", loc=node.loc), wrapped, kept, loc=node.loc)


def weighted(node: Node, index: Op, stride: int) -> Op:
    """`index` times `stride`, exact."""
    return index if stride == 1 else Mul(index, narrow_integers(stride, loc=node.loc), loc=node.loc)


def shifted(node: Node, index: Op, base: np.ndarray) -> Op:
    """`index` plus constant places."""
    return Add(index, narrow_integers(base, loc=node.loc), loc=node.loc) if base.any() else index


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """How far apart neighbours on each axis lie in row-major order."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def element_places(node: Node, x: Op, indices: Op, axis: int) -> Op:
    """For GatherElements and its inverse: the place in the flattened x that each index names; shape of `indices`."""
    shape = indices.shape
    if len(shape) != len(x.shape) or any(
        m > n for i, (m, n) in enumerate(zip(shape, x.shape, strict=True)) if i != axis
    ):
        node.malformed(f"indices {list(shape)} for {list(x.shape)}")
    strides = strides_of(x.shape)
    grid = [np.arange(n).reshape([-1 if k == i else 1 for k in range(len(shape))]) for i, n in enumerate(shape)]
    base = sum((grid[i] * strides[i] for i in range(len(shape)) if i != axis), np.zeros((), np.int64))
    return shifted(node, weighted(node, inside(node, indices, x.shape[axis]), strides[axis]), np.asarray(base))


def tuple_places(node: Node, shape: tuple[int, ...], indices: Op, batch: int = 0) -> Op:
    """For GatherND and its inverse: the row that each tuple of indices [..., k] names behind `batch` common axes."""
    count = indices.shape[-1] if indices.shape else 0
    if not indices.shape or not 1 <= count <= len(shape) - batch or shape[:batch] != indices.shape[:batch]:
        node.malformed(f"indices {list(indices.shape)} into {list(shape)}")
    strides = strides_of(shape[batch : batch + count])
    total: Op | None = None
    for j in range(count):
        starts, stops = [0] * len(indices.shape), list(indices.shape)
        starts[-1], stops[-1] = j, j + 1
        column: Op = indices
        if count > 1:
            column = moved(Slice(indices, tuple(starts), tuple(stops), (1,) * len(starts), loc=node.loc))
        column = moved(Reshape(column, indices.shape[:-1], loc=node.loc))
        part = weighted(node, inside(node, column, shape[batch + j]), strides[j])
        total = part if total is None else Add(total, part, loc=node.loc)
    assert total is not None
    heads = np.arange(math.prod(shape[:batch])) * math.prod(shape[batch : batch + count])
    spread = heads.reshape(*shape[:batch], *(1,) * (len(indices.shape) - 1 - batch))
    return shifted(node, total, spread)


@imports("Gather")
def gather(node: Node) -> Op:
    """The indices' axes take the place of the gathered one."""
    x, indices = node.op(0), node.value(1)
    axis = node.axis(0, len(x.shape))
    n = x.shape[axis]
    if isinstance(indices, Constant):
        indices = indices.data
    if not isinstance(indices, np.ndarray):
        node.limit(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return Take(x, indices_in(node, indices, n), axis, loc=node.loc)
    if indices.dtype.kind not in "iu" or (indices.size and not -n <= indices.min() <= indices.max() < n):
        node.malformed(f"indices outside {-n}..{n - 1}")
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    node.limit(*shape)
    flat = moved(Gather(x, tuple((indices.ravel() % n).tolist()) if n else (), axis, loc=node.loc))
    return flat if flat.shape == shape else moved(Reshape(flat, shape, loc=node.loc))


def indices_in(node: Node, indices: Op, n: int) -> Op:
    """Computed indices as plain integers; a `Take` itself counts from the end and stays inside."""
    indices = plain(indices)
    if indices.format.is_float or n < 1:
        node.malformed(f"indices of {indices.format} into {n} elements")
    return indices


@imports("GatherElements")
def gather_elements(node: Node) -> Op:
    x, indices = node.op(0), node.op(1)
    axis = node.axis(0, len(x.shape))
    flat = moved(Reshape(x, (x.tensor.size,), loc=node.loc))
    return Take(flat, element_places(node, x, indices, axis), 0, loc=node.loc)


@imports("GatherND")
def gather_nd(node: Node) -> Op:
    x, indices = node.op(0), node.op(1)
    batch = node.integer("batch_dims", 0)
    if not 0 <= batch < min(len(x.shape), len(indices.shape)):
        node.malformed(f"batch_dims {batch} of {list(x.shape)} and {list(indices.shape)}")
    places = tuple_places(node, x.shape, indices, batch)
    count = batch + indices.shape[-1]
    rows = moved(Reshape(x, (math.prod(x.shape[:count]), *x.shape[count:]), loc=node.loc))
    return Take(rows, places, 0, loc=node.loc)


@imports("TopK")
def top_k(node: Node) -> tuple[Op, ...]:
    """k is an attribute before opset 10, an operand from then on; the result is always in order."""
    x = plain(node.op(0))
    k = node.integer("k") if node.opset < 10 else node.known_ints(1, "k")[0]
    axis = node.axis(-1, len(x.shape))
    largest = node.opset < 11 or node.flag("largest", True)
    node.ignore("sorted")
    if not 0 <= k <= x.shape[axis]:
        node.malformed(f"the {k} largest of {x.shape[axis]}")
    both = TopK(x, k, axis, largest, loc=node.loc)
    return Get(both, 0, loc=node.loc), Get(both, 1, loc=node.loc)


@imports("CumSum", "CumProd")
def cumulate(node: Node) -> Op:
    x = plain(node.op(0))
    axis = node.axes(node.known_ints(1, "axis"), len(x.shape))[0]
    function = "sum" if node.op_type == "CumSum" else "prod"
    exclusive, reverse = node.flag("exclusive"), node.flag("reverse")
    if x.format.is_float:
        return Cumulate(x, axis, function, exclusive, reverse, loc=node.loc)
    target = node.element(0) or x.format
    try:
        exact = Cumulate(x, axis, function, exclusive, reverse, loc=node.loc)
    except EdgecError:  # more bits than any format has: it wraps
        exact = None
    if exact is not None and fits(exact.format, target):
        return exact
    out = Quantizer(target, "floor", "wrap")
    return Cumulate(x, axis, function, exclusive, reverse, out, loc=node.loc)


@imports("Compress")
def compress(node: Node) -> Op:
    """The chosen elements; which ones must be known, since the result's shape depends on it."""
    x, chosen = node.op(0), node.known(1, "condition").ravel()
    if "axis" in node.attributes:
        axis = node.axis(0, len(x.shape))
    else:
        x, axis = moved(Reshape(x, (x.tensor.size,), loc=node.loc)), 0
    if chosen.size > x.shape[axis]:
        node.malformed(f"{chosen.size} flags for {x.shape[axis]} elements")
    return moved(Gather(x, tuple(np.flatnonzero(chosen).tolist()), axis, loc=node.loc))


@imports("ReverseSequence")
def reverse_sequence(node: Node) -> Op:
    """The first elements of every sequence in reverse; the lengths must be known."""
    x, lengths = node.op(0), node.known_ints(1, "sequence lengths")
    batch_axis, time_axis = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    if {batch_axis, time_axis} != {0, 1} or len(x.shape) < 2 or len(lengths) != x.shape[batch_axis]:
        node.malformed(f"sequences on axes {batch_axis} and {time_axis} of {list(x.shape)}")
    steps = x.shape[time_axis]
    if not all(0 <= n <= steps for n in lengths):
        node.malformed(f"lengths {list(lengths)} of {steps} steps")
    order = np.array([[n - 1 - t if t < n else t for t in range(steps)] for n in lengths], np.int64)  # [batch, time]
    places = np.arange(len(lengths))[:, None] * steps + order
    if batch_axis == 1:
        places = (order * len(lengths) + np.arange(len(lengths))[:, None]).T
    rows = moved(Reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]), loc=node.loc))
    taken = moved(Gather(rows, tuple(places.ravel().tolist()), 0, loc=node.loc))
    return moved(Reshape(taken, x.shape, loc=node.loc))
