"""Operators that move values without computing."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.torch.node import Node, Value
from edgec.frontend.torch.registry import imports
from edgec.ops import Concat, Expand, Gather, Get, Op, Reshape, Slice, Split, Transpose


def reshaped(node: Node, x: Op, shape: tuple[int, ...]) -> Op:
    """x with another shape; one -1 stands for what is left."""
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        if rest <= 0 or x.tensor.size % rest:
            node.malformed(f"{list(x.shape)} reshaped to {list(shape)}")
        shape = tuple(x.tensor.size // rest if n == -1 else n for n in shape)
    if any(n < 0 for n in shape):
        node.malformed(f"{list(x.shape)} reshaped to {list(shape)}")
    return x if shape == x.shape else moved(Reshape(x, shape, loc=node.loc))


def transposed(node: Node, x: Op, perm: tuple[int, ...]) -> Op:
    return x if perm == tuple(range(len(perm))) else moved(Transpose(x, perm, loc=node.loc))


@imports("view.default", "reshape.default", "_unsafe_view.default")
def reshape(node: Node) -> Op:
    return reshaped(node, node.op("self"), node.ints("shape" if "reshape" in node.operator else "size"))


@imports("flatten.using_ints")
def flatten(node: Node) -> Op:
    x = node.op("self")
    rank = len(x.shape)
    first, last = node.axis("start_dim", rank, 0), node.axis("end_dim", rank, -1)
    if first > last:
        node.malformed(f"axes {first} to {last}")
    size = math.prod(x.shape[first : last + 1])
    return reshaped(node, x, (*x.shape[:first], size, *x.shape[last + 1 :]))


@imports("unflatten.int")
def unflatten(node: Node) -> Op:
    x, sizes = node.op("self"), node.ints("sizes")
    axis = node.axis("dim", len(x.shape))
    if sizes.count(-1) == 1 and (rest := -math.prod(sizes)) > 0:
        sizes = tuple(x.shape[axis] // rest if n == -1 else n for n in sizes)
    return reshaped(node, x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


@imports("squeeze.default", "squeeze.dim", "squeeze.dims")
def squeeze(node: Node) -> Op:
    x = node.op("self")
    rank = len(x.shape)
    axes = node.axes("dim", rank) if rank else ()
    return reshaped(node, x, tuple(n for i, n in enumerate(x.shape) if i not in axes or n != 1))


@imports("unsqueeze.default")
def unsqueeze(node: Node) -> Op:
    x = node.op("self")
    axis = node.axis("dim", len(x.shape) + 1)
    return reshaped(node, x, (*x.shape[:axis], 1, *x.shape[axis:]))


@imports("permute.default")
def permute(node: Node) -> Op:
    x = node.op("self")
    return transposed(node, x, node.axes("dims", len(x.shape)))


@imports("transpose.int", "swapaxes.default", "swapdims.default")
def transpose(node: Node) -> Op:
    x = node.op("self")
    names = ("axis0", "axis1") if "swapaxes" in node.operator else ("dim0", "dim1")
    first, second = (node.axis(n, len(x.shape)) for n in names)
    perm = list(range(len(x.shape)))
    if perm:
        perm[first], perm[second] = perm[second], perm[first]
    return transposed(node, x, tuple(perm))


@imports("t.default", "numpy_T.default")
def turned(node: Node) -> Op:
    x = node.op("self")
    return transposed(node, x, tuple(reversed(range(len(x.shape)))))


@imports("movedim.int", "movedim.intlist")
def movedim(node: Node) -> Op:
    x = node.op("self")
    rank = len(x.shape)
    source, target = node.axes("source", rank), node.axes("destination", rank)
    if len(source) != len(target):
        node.malformed(f"axes {list(source)} moved to {list(target)}")
    order = [a for a in range(rank) if a not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return transposed(node, x, tuple(order))


@imports("expand.default", "broadcast_to.default")
def expand(node: Node) -> Op:
    x, size = node.op("self"), node.ints("size")
    node.ignore("implicit")  # it says who asked for it
    lead = len(size) - len(x.shape)
    if lead < 0 or any(n < 0 and i < lead for i, n in enumerate(size)):
        node.malformed(f"{list(x.shape)} expanded to {list(size)}")
    return _expanded(node, x, tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(size)))


@imports("expand_as.default")
def expand_as(node: Node) -> Op:
    return _expanded(node, node.op("self"), node.value("other").shape)


def _expanded(node: Node, x: Op, shape: tuple[int, ...]) -> Op:
    node.limit(*shape)
    return x if shape == x.shape else Expand(x, shape, loc=node.loc)


@imports("repeat.default", "tile.default")
def repeat(node: Node) -> Op:
    """The whole tensor again and again along every axis."""
    x, times = node.op("self"), node.ints("repeats" if "repeat" in node.operator else "dims")
    if "tile" in node.operator:
        times = (1,) * max(len(x.shape) - len(times), 0) + times
    lead = len(times) - len(x.shape)
    if lead < 0:
        node.malformed(f"{list(x.shape)} repeated {list(times)} times")
    shape = (1,) * lead + x.shape
    total = tuple(n * t for n, t in zip(shape, times, strict=True))
    node.limit(*total)
    apart = reshaped(node, x, tuple(v for n in shape for v in (1, n)))
    spread = _expanded(node, apart, tuple(v for n, t in zip(shape, times, strict=True) for v in (t, n)))
    return reshaped(node, spread, total)


@imports("repeat_interleave.self_int")
def repeat_interleave(node: Node) -> Op:
    """Every element `repeats` times in a row along an axis."""
    x, times = node.op("self"), node.integer("repeats")
    node.ignore("output_size")  # the size of the result once more
    x = x if node.has("dim") else reshaped(node, x, (-1,))
    axis = node.axis("dim", len(x.shape), 0)
    apart = reshaped(node, x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    spread = _expanded(node, apart, (*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
    return reshaped(node, spread, (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :]))


@imports("cat.default", "concat.default", "concatenate.default")
def concat(node: Node) -> Op:
    parts = [x for x in node.ops("tensors") if x.shape != (0,)]  # PyTorch leaves out empty vectors
    if not parts:
        node.malformed("nothing to join")
    return Concat(tuple(_alike(node, parts)), node.axis("dim", len(parts[0].shape), 0), loc=node.loc)


@imports("stack.default")
def stack(node: Node) -> Op:
    parts = _alike(node, node.ops("tensors"))
    if not parts:
        node.malformed("nothing to stack")
    axis = node.axis("dim", len(parts[0].shape) + 1, 0)
    apart = [reshaped(node, x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in parts]
    return Concat(tuple(apart), axis, loc=node.loc)


def _alike(node: Node, parts: list[Op]) -> list[Op]:
    """Floats of one format, where the result is float."""
    if node.dtype().kind != "f":
        return parts
    return [node.as_float(p, node.format()) for p in parts]


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
    if size < 1:
        node.malformed(f"parts of {size}")
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
    return tuple(_one(node, x, axis, i) for i in range(x.shape[axis]))


def _cut(node: Node, x: Op, axis: int, start: int, stop: int, step: int = 1) -> Op:
    rank = len(x.shape)
    starts = tuple(start if i == axis else 0 for i in range(rank))
    stops = tuple(stop if i == axis else n for i, n in enumerate(x.shape))
    if starts == (0,) * rank and stops == x.shape and step == 1:
        return x
    return moved(Slice(x, starts, stops, tuple(step if i == axis else 1 for i in range(rank)), loc=node.loc))


def _one(node: Node, x: Op, axis: int, index: int) -> Op:
    return reshaped(node, _cut(node, x, axis, index, index + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


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
    return _cut(node, x, axis, start, max(start, stop), step)


@imports("narrow.default")
def narrow(node: Node) -> Op:
    x, start, length = node.op("self"), node.integer("start"), node.integer("length")
    axis = node.axis("dim", len(x.shape))
    start %= max(x.shape[axis], 1)
    return _cut(node, x, axis, start, start + length)


@imports("index_select.default")
def index_select(node: Node) -> Op:
    x = node.op("self")
    return _gathered(node, x, node.axis("dim", len(x.shape)), node.known("index", "index"))


@imports("index.Tensor", "_unsafe_index.Tensor")
def index(node: Node) -> Op:
    """x[:, i, :] with constant integers; of several tensors, each for an axis of its own: x[:, i[:, None], j]."""
    x, given = node.op("self"), node.raw("indices")
    if not isinstance(given, list):
        node.malformed("an index that is no list")
    places = [i for i, v in enumerate(given) if v is not None]
    chosen = [given[i] for i in places]
    for each in chosen:
        if isinstance(each, Op):
            node.not_constant("index", "wires are laid out when compiling")
        node.require(isinstance(each, np.ndarray) and each.dtype.kind in "iu", "indexing with truth values")
    if len(places) == 1:
        return _gathered(node, x, places[0], chosen[0])
    rank = max((each.ndim for each in chosen), default=0)
    shapes = [(1,) * (rank - each.ndim) + each.shape for each in chosen]
    apart = rank == len(places) and all(n == 1 for k, s in enumerate(shapes) for i, n in enumerate(s) if i != k)
    adjacent = places == list(range(places[0], places[-1] + 1)) if places else False
    node.require(apart and adjacent, "indexing with several tensors that pick single elements")
    for axis, each in zip(places, chosen, strict=True):
        x = _gathered(node, x, axis, each.reshape(-1))
    return x


@imports("embedding.default")
def embedding(node: Node) -> Op:
    """Rows of a table at constant indices, such as the positions of a transformer."""
    node.ignore("padding_idx", "scale_grad_by_freq", "sparse")  # they matter in training only
    return _gathered(node, node.op("weight"), 0, node.known("indices", "index"))


def _gathered(node: Node, x: Op, axis: int, index: np.ndarray) -> Op:
    n = x.shape[axis]
    if index.dtype.kind not in "iu" or (index.size and not (-n <= index.min() and index.max() < n)):
        node.malformed(f"an index outside the {n} elements of axis {axis}")
    node.limit(*x.shape[:axis], index.size, *x.shape[axis + 1 :])
    flat = Gather(x, tuple(int(i) for i in (index % max(n, 1)).ravel()), axis, loc=node.loc)
    return reshaped(node, flat, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


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
            x = Concat((_cut(node, x, axis, n - shift, n), _cut(node, x, axis, 0, n - shift)), axis, loc=node.loc)
    return x


@imports(
    "contiguous.default",
    "clone.default",
    "alias.default",
    "detach.default",
    "detach_.default",
    "lift_fresh_copy.default",
)
def identity(node: Node) -> Value:
    return node.value("self")
