"""Writing by computed indices: the scatters of ONNX as one `Scatter` into a flattened tensor."""

from __future__ import annotations

import math

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.arithmetic import same_format
from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.indexing import element_places, inside, shifted, tuple_places
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import plain
from edgec.ops import Add, Binary, Op, Reshape, Scatter
from edgec.ops import integers as narrow_integers

_REDUCTIONS = ("none", "add", "mul", "max", "min")


def _flat(node: Node, op: Op, shape: tuple[int, ...]) -> Op:
    return moved(Reshape(op, shape, loc=node.loc)) if op.shape != shape else op


def _scattered(node: Node, x: Op, places: Op, updates: Op, tail: int) -> Op:
    """`updates` written into the rows of x that lie before the last `tail` axes."""
    rest = x.shape[len(x.shape) - tail :]
    rows, count = math.prod(x.shape[: len(x.shape) - tail]), places.tensor.size
    reduction = node.string("reduction", "none", _REDUCTIONS) if "reduction" in node.attributes else "none"
    if updates.tensor.size != count * math.prod(rest):
        node.malformed(f"updates {list(updates.shape)} for {count} indices into {list(x.shape)}")
    x, updates = same_format(node, x, updates)
    flat = _flat(node, x, (rows, *rest)), _flat(node, places, (count,)), _flat(node, updates, (count, *rest))
    try:
        y = Scatter(*flat, reduction, loc=node.loc)
    except EdgecError as error:
        node.unsupported(error.diagnostics[0].what)
    return _flat(node, y, x.shape)


@imports("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Op:
    x, indices, updates = plain(node.op(0)), node.op(1), plain(node.op(2))
    if indices.shape != updates.shape:
        node.malformed(f"updates {list(updates.shape)} for indices {list(indices.shape)}")
    places = element_places(node, x, indices, node.axis(0, len(x.shape)))
    return _scattered(node, x, places, updates, 0)


@imports("ScatterND")
def scatter_nd(node: Node) -> Op:
    x, indices, updates = plain(node.op(0)), node.op(1), plain(node.op(2))
    places = tuple_places(node, x.shape, indices)
    return _scattered(node, x, places, updates, len(x.shape) - indices.shape[-1])


@imports("TensorScatter")
def tensor_scatter(node: Node) -> Op:
    """A cache [N, ..., steps, D] with `update` written from step write_indices[n] on."""
    x, update = plain(node.op(0)), plain(node.op(1))
    axis = node.axis(-2, len(x.shape))
    circular = node.string("mode", "linear", ("linear", "circular")) == "circular"
    if not 1 <= axis < len(x.shape) or update.shape[:axis] != x.shape[:axis]:
        node.malformed(f"an update {list(update.shape)} of {list(x.shape)} along axis {axis}")
    batch, steps, fresh = x.shape[0], x.shape[axis], update.shape[axis]
    heads = math.prod(x.shape[1:axis])
    offsets = np.arange(fresh).reshape(1, 1, fresh)
    if node.has(2):
        start = _flat(node, inside(node, node.op(2), steps), (batch, 1, 1))
        position: Op = Add(start, narrow_integers(offsets, loc=node.loc), loc=node.loc)
    else:
        position = narrow_integers(np.broadcast_to(offsets, (batch, 1, fresh)), loc=node.loc)
    if circular:
        wrap = narrow_integers(steps, loc=node.loc)
        position = Binary(*same_format(node, position, wrap), "floor_mod", loc=node.loc)
    base = (np.arange(batch).reshape(batch, 1, 1) * heads + np.arange(heads).reshape(1, heads, 1)) * steps
    places = shifted(node, position, np.broadcast_to(base, (batch, heads, fresh)))
    return _scattered(node, x, places, update, len(x.shape) - 1 - axis)
