"""Operators that move values without computing."""

from __future__ import annotations

import math

from edgec.frontend.onnx.fold import moved
from edgec.frontend.torch.node import Node, Value
from edgec.frontend.torch.registry import imports
from edgec.ops import Concat, Expand, Op, Reshape, Transpose


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


@imports(
    "contiguous.default",
    "clone.default",
    "alias.default",
    "detach.default",
    "lift_fresh_copy.default",
)
def identity(node: Node) -> Value:
    return node.value("self")
