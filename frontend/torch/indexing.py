"""Parts of tensors: splits, slices, rows at constant indices, and writes to slices."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.frontend.torch.shapes import reshaped
from edgec.ops import Concat, Expand, Gather, Get, Op, Slice, Split

MAX_INDICES = 1 << 22
"""Rows that one call may pick: each is written down in the graph."""


def _parts(node: Node, x: Op, sizes: tuple[int, ...], axis: int) -> tuple[Op, ...]:
    if len(sizes) == 1:
        return (x,)
    whole = Split(x, sizes, axis, loc=node.loc)
    return tuple(Get(whole, i, loc=node.loc) for i in range(len(sizes)))


@imports("split.Tensor", "chunk.default")
def split(node: Node) -> tuple[Op, ...]:
    """Parts of one size, the last one smaller."""
    x = node.op("self")
    axis = node.axis("dim", len(x.shape), 0)
    n = x.shape[axis]
    size = -(-n // max(node.integer("chunks"), 1)) if "chunk" in node.operator else node.integer("split_size")
    if size < 1 or -(-n // size) != len(node.results):
        node.malformed(f"parts of {size} from {n} elements for {len(node.results)} results")
    return _parts(node, x, tuple(min(size, n - i) for i in range(0, n, size)), axis)


@imports("split.sizes", "split_with_sizes.default")
def split_with_sizes(node: Node) -> tuple[Op, ...]:
    x = node.op("self")
    sizes = node.ints("split_size" if node.operator == "aten.split.sizes" else "split_sizes")
    return _parts(node, x, sizes, node.axis("dim", len(x.shape), 0))


@imports("unbind.int")
def unbind(node: Node) -> tuple[Op, ...]:
    x = node.op("self")
    axis = node.axis("dim", len(x.shape), 0)
    if not x.shape or x.shape[axis] != len(node.results):
        node.malformed(f"{list(x.shape)} taken apart into {len(node.results)} results")
    return tuple(_one(node, x, axis, i) for i in range(x.shape[axis]))


def cut(node: Node, x: Op, axis: int, start: int, stop: int, step: int = 1) -> Op:
    rank = len(x.shape)
    starts = tuple(start if i == axis else 0 for i in range(rank))
    stops = tuple(stop if i == axis else n for i, n in enumerate(x.shape))
    if starts == (0,) * rank and stops == x.shape and step == 1:
        return x
    return moved(Slice(x, starts, stops, tuple(step if i == axis else 1 for i in range(rank)), loc=node.loc))


def _one(node: Node, x: Op, axis: int, index: int) -> Op:
    return reshaped(node, cut(node, x, axis, index, index + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


@imports("select.int")
def select(node: Node) -> Op:
    x, index = node.op("self"), node.integer("index")
    axis = node.axis("dim", len(x.shape))
    if not x.shape or not -x.shape[axis] <= index < x.shape[axis]:
        node.malformed(f"element {index} of {list(x.shape)}")
    return _one(node, x, axis, index % x.shape[axis])


@imports("slice.Tensor")
def slice_(node: Node) -> Op:
    x, step = node.op("self"), node.integer("step", 1)
    axis = node.axis("dim", len(x.shape), 0)
    if step < 1 or not x.shape:
        node.malformed(f"steps of {step} in {list(x.shape)}")
    start = node.integer("start") if node.has("start") else None
    stop = node.integer("end") if node.has("end") else None
    start, stop, _ = slice(start, stop).indices(x.shape[axis])
    return cut(node, x, axis, start, max(start, stop), step)


@imports("narrow.default")
def narrow(node: Node) -> Op:
    x, start, length = node.op("self"), node.integer("start"), node.integer("length")
    axis = node.axis("dim", len(x.shape))
    start %= max(x.shape[axis], 1)
    return cut(node, x, axis, start, start + length)


@imports("index_select.default")
def index_select(node: Node) -> Op:
    x = node.op("self")
    return _gathered(node, x, node.axis("dim", len(x.shape)), node.known("index", "index"))


@imports("index.Tensor", "_unsafe_index.Tensor")
def index(node: Node) -> Op:
    """x[:, i, j] with tensors of constant integers for neighbouring axes, which are looked up as one."""
    x, given = node.op("self"), node.raw("indices")
    if not isinstance(given, list) or len(given) > len(x.shape):
        node.malformed("an index that is no list, or one of more axes than there are")
    places = [i for i, v in enumerate(given) if v is not None]
    chosen = [given[i] for i in places]
    for each in chosen:
        if isinstance(each, Op):
            node.not_constant("index", "wires are laid out when compiling")
        node.require(isinstance(each, np.ndarray) and each.dtype.kind in "iu", "indexing with truth values")
    if not places:
        return x
    first, last = places[0], places[-1]
    node.require(places == list(range(first, last + 1)), "indexing of axes that are not neighbours")
    sizes = x.shape[first : last + 1]
    whole = [_inside(node, each, n, a) for each, n, a in zip(chosen, sizes, places, strict=True)]
    node.limit(*np.broadcast_shapes(*(each.shape for each in whole)))
    rows = np.ravel_multi_index(tuple(np.broadcast_arrays(*whole)), sizes)
    merged = reshaped(node, x, (*x.shape[:first], math.prod(sizes), *x.shape[last + 1 :]))
    return _gathered(node, merged, first, np.asarray(rows))


@imports("embedding.default")
def embedding(node: Node) -> Op:
    """Rows of a table at constant indices, such as the positions of a transformer."""
    node.ignore("padding_idx", "scale_grad_by_freq", "sparse")  # they matter in training only
    return _gathered(node, node.op("weight"), 0, node.known("indices", "index"))


def _inside(node: Node, index: np.ndarray, n: int, axis: int) -> np.ndarray:
    """`index` counted from the beginning of an axis of `n` elements."""
    if index.dtype.kind not in "iu" or (index.size and not (-n <= index.min() and index.max() < n)):
        node.malformed(f"an index outside the {n} elements of axis {axis}")
    return index % max(n, 1)


def _gathered(node: Node, x: Op, axis: int, index: np.ndarray) -> Op:
    node.require(index.size <= MAX_INDICES, f"{index.size} indices", why=f"at most {MAX_INDICES}")
    rows = _inside(node, index, x.shape[axis], axis)
    node.limit(*x.shape[:axis], index.size, *x.shape[axis + 1 :])
    flat = Gather(x, tuple(rows.ravel().tolist()), axis, loc=node.loc)
    return reshaped(node, flat, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@imports("copy.default")
def copy(node: Node) -> Op:
    """The source in shape and type of what it is copied to."""
    target, source = node.value("self"), node.op("src")
    node.limit(*target.shape)
    source = node.as_float(source, node.format()) if node.dtype().kind == "f" else source
    return source if source.shape == target.shape else Expand(source, target.shape, loc=node.loc)


@imports("slice_scatter.default", "select_scatter.default")
def written(node: Node) -> Op:
    """x with one slice of it replaced, which is what a write to x[:, a:b] becomes."""
    x, source = node.op("self"), node.op("src")
    axis = node.axis("dim", len(x.shape), 0)
    n = x.shape[axis] if x.shape else 0
    if "select" in node.operator:
        start = node.integer("index") % max(n, 1)
        stop, source = start + 1, reshaped(node, source, (*source.shape[:axis], 1, *source.shape[axis:]))
    else:
        node.require(node.integer("step", 1) == 1, "writing every other element")
        bounds = [node.integer(b) if node.has(b) else None for b in ("start", "end")]
        start, stop, _ = slice(*bounds).indices(n)
        stop = max(start, stop)
    if source.shape != (*x.shape[:axis], stop - start, *x.shape[axis + 1 :]):
        node.malformed(f"{list(source.shape)} written to elements {start} to {stop} of {list(x.shape)}")
    source = node.as_float(source, x.format) if x.format.is_float else source
    parts = (cut(node, x, axis, 0, start), source, cut(node, x, axis, stop, n))
    kept = [p for p in parts if p.shape[axis]] or [source]  # nothing is left of a tensor without elements
    return Concat(tuple(kept), axis, loc=node.loc) if len(kept) > 1 else kept[0]


@imports("flip.default")
def flip(node: Node) -> Op:
    x = node.op("self")
    axes = node.axes("dims", len(x.shape))
    starts = tuple(n - 1 if i in axes else 0 for i, n in enumerate(x.shape))
    stops = tuple(-1 if i in axes else n for i, n in enumerate(x.shape))
    return moved(Slice(x, starts, stops, tuple(-1 if i in axes else 1 for i in range(len(x.shape))), loc=node.loc))


@imports("roll.default")
def roll(node: Node) -> Op:
    x, shifts = node.op("self"), node.ints("shifts")
    if not node.has("dims") or not node.ints("dims"):
        node.unsupported("rolling the flattened tensor")
    axes = node.axes("dims", len(x.shape))
    if len(axes) != len(shifts):
        node.malformed(f"shifts {list(shifts)} along {list(axes)}")
    for axis, shift in zip(axes, shifts, strict=True):
        n = x.shape[axis]
        shift %= max(n, 1)
        if shift:
            x = Concat((cut(node, x, axis, n - shift, n), cut(node, x, axis, 0, n - shift)), axis, loc=node.loc)
    return x
