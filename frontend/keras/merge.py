"""Layers with several operands."""

from __future__ import annotations

from functools import reduce

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import FIRST, Tensor, own
from edgec.ops import Add, Binary, Concat, MatMul, Mul, Op, Reshape, Sub, Transpose


def aligned(layer: Layer, xs: list[Tensor]) -> list[Tensor]:
    """The operands as floats of one rank, in one order of elements."""
    xs = [layer.floats(x) for x in xs]
    rank = max(x.rank for x in xs)
    xs = [x if x.rank == rank else _raised(layer, x, rank) for x in xs]
    if all(x.order == xs[0].order and x.parts == xs[0].parts and x.shape == xs[0].shape for x in xs):
        return xs
    if rank >= 3 and any(x.order == FIRST for x in xs):
        return [Tensor(x.first, x.shape, FIRST) for x in xs]
    return [own(x.own) for x in xs]


def _raised(layer: Layer, x: Tensor, rank: int) -> Tensor:
    """Keras puts the missing axes behind the batch."""
    if x.rank < 1:
        layer.malformed("a scalar operand")
    shape = (x.shape[0], *(1,) * (rank - x.rank), *x.shape[1:])
    return own(Reshape(x.own, shape, loc=layer.loc))


def _several(layer: Layer, xs: list[Tensor], exactly: int = 0) -> list[Tensor]:
    if len(xs) < 2 or (exactly and len(xs) != exactly):
        layer.malformed(f"{len(xs)} operands", why=f"{layer.class_name} has {exactly or 'at least 2'}")
    return aligned(layer, xs)


def _combined(xs: list[Tensor], ops: Op) -> Tensor:
    """The result in the order of the operands; its shape by broadcasting."""
    first = xs[0]
    if first.order == FIRST:
        n, c, *spatial = ops.shape
        return Tensor(ops, (n, *spatial, c), FIRST)
    return Tensor(ops, ops.shape, first.order, first.parts)


@imports("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")
@imports("ops.Add", "ops.Subtract", "ops.Multiply", "ops.Maximum", "ops.Minimum")
def elementwise(layer: Layer, xs: list[Tensor]) -> Tensor:
    kind = layer.class_name
    binary = kind == "Subtract" or layer.spec.module.count(".ops.")
    xs = _several(layer, xs, 2 if binary else 0)
    ops = [x.op for x in xs]
    match kind:
        case "Add" | "Average":
            y: Op = reduce(lambda a, b: Add(a, b, loc=layer.loc), ops)
        case "Subtract":
            y = Sub(ops[0], ops[1], loc=layer.loc)
        case "Multiply":
            y = reduce(lambda a, b: Mul(a, b, loc=layer.loc), ops)
        case _:
            function = "max" if kind == "Maximum" else "min"
            y = reduce(lambda a, b: Binary(a, b, function, loc=layer.loc), ops)
    if kind == "Average":
        y = Mul(y, layer.scalar(1 / len(ops)), loc=layer.loc)
    return _combined(xs, y)


@imports("Concatenate", "ops.Concatenate")
def concatenate(layer: Layer, xs: list[Tensor]) -> Tensor:
    axes = layer.axes("axis", max((x.rank for x in xs), default=1))
    layer.require(len(axes) == 1, "concatenation along several axes")
    axis = axes[0]
    if len(xs) < 2 or len({x.rank for x in xs}) > 1:
        layer.malformed(f"operands {', '.join(str(list(x.shape)) for x in xs)}")
    layer.require(axis > 0, "concatenation of batches")
    xs = [layer.floats(x) for x in xs]
    if xs[0].rank >= 3 and any(x.order == FIRST for x in xs):
        xs = [Tensor(x.first, x.shape, FIRST) for x in xs]
    else:
        xs = [own(x.own) for x in xs]
    y = Concat(tuple(x.op for x in xs), xs[0].axis(axis), loc=layer.loc)
    return _combined(xs, y)


@imports("Dot")
def dot(layer: Layer, xs: list[Tensor]) -> Tensor:
    """The product of two tensors over one axis of each: vectors, or matrices [N, A, B]."""
    if len(xs) != 2:
        layer.malformed(f"{len(xs)} operands; Dot has 2")
    layer.require(not layer.flag("normalize"), "a dot product of normalised operands")
    a, b = (layer.floats(x) for x in xs)
    layer.require(a.rank in (2, 3) and b.rank in (2, 3), f"a dot product of {a.rank} and {b.rank} dimensions")
    stated = layer.raw("axes")
    pair = [stated, stated] if isinstance(stated, int) else stated
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(p, int) for p in pair):
        layer.malformed(f"setting 'axes' is {stated!r:.60}")
    places = [p % x.rank if -x.rank <= p < x.rank else 0 for p, x in zip(pair, (a, b), strict=True)]
    layer.require(all(places), f"a dot product over axes {pair}")
    x = _matrix(layer, a, places[0], last=True)
    y = _matrix(layer, b, places[1], last=False)
    shape = (a.shape[0], *(n for i, n in enumerate(a.shape) if i not in (0, places[0])))
    shape = (*shape, *(n for i, n in enumerate(b.shape) if i not in (0, places[1]))) or shape
    product = MatMul(x, y, loc=layer.loc)
    return own(Reshape(product, shape if len(shape) > 1 else (*shape, 1), loc=layer.loc))


def _matrix(layer: Layer, x: Tensor, axis: int, last: bool) -> Op:
    """[N, rows, K] or [N, K, columns], the summed axis K at its place."""
    op = x.own
    if x.rank == 2:
        return Reshape(op, (x.shape[0], 1, x.shape[1]) if last else (*x.shape, 1), loc=layer.loc)
    return op if axis == (2 if last else 1) else Transpose(op, (0, 2, 1), loc=layer.loc)
