"""Pooling and reductions."""

from __future__ import annotations

import math

from edgec.frontend.torch.arithmetic import truth
from edgec.frontend.torch.node import Missing, Node
from edgec.frontend.torch.registry import imports
from edgec.ops import ArgMax, AvgPool, Concat, MaxPool, Mul, Op, Reduce, Reshape, Slice, Sub, Unary

MAX_BINS = 64
"""Bins of adaptive pooling along one axis where they are not of one size; each becomes a slice."""


def _rank(node: Node) -> int:
    return next(int(c) for c in node.operator if c.isdigit())


def _batched(node: Node, x: Op, rank: int) -> Op:
    if len(x.shape) not in (rank + 1, rank + 2):
        node.malformed(f"pooling of {list(x.shape)} over {rank} axes")
    return Reshape(x, (1, *x.shape), loc=node.loc) if len(x.shape) == rank + 1 else x


def _unbatched(node: Node, y: Op, x: Op) -> Op:
    return Reshape(y, y.shape[1:], loc=node.loc) if len(x.shape) < len(y.shape) else y


def _max_pool(node: Node) -> Op:
    rank, x = _rank(node), node.op("self")
    kernel = node.ints("kernel_size", rank)
    strides = node.ints("stride", rank) if node.raw("stride") else kernel
    pads, dilations = node.ints("padding", rank, (0,)), node.ints("dilation", rank, (1,))
    y = MaxPool(_batched(node, x, rank), kernel, strides, pads * 2, dilations, node.flag("ceil_mode"), loc=node.loc)
    return _unbatched(node, y, x)


@imports("max_pool1d.default", "max_pool2d.default", "max_pool3d.default")
def max_pool(node: Node) -> Op:
    return _max_pool(node)


@imports("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(node: Node) -> tuple[Op, Missing]:
    return _max_pool(node), Missing("the index of a maximum")


@imports("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
def avg_pool(node: Node) -> Op:
    rank, x = _rank(node), node.floating("self")
    kernel = node.ints("kernel_size", rank)
    strides = node.ints("stride", rank) if node.raw("stride") else kernel
    pads = node.ints("padding", rank, (0,))
    include = node.flag("count_include_pad", True)
    divisor = node.integer("divisor_override") if node.has("divisor_override") else None
    ceil_mode = node.flag("ceil_mode")
    if divisor is not None:
        node.require(divisor != 0 and not any(pads) and not ceil_mode, "a divisor together with padding or ceil_mode")
    y: Op = AvgPool(_batched(node, x, rank), kernel, strides, pads * 2, (1,) * rank, ceil_mode, include, loc=node.loc)
    if divisor is not None:
        y = Mul(y, node.constant(math.prod(kernel) / divisor, y.format), loc=node.loc)
    return _unbatched(node, y, x)


@imports(
    "adaptive_avg_pool1d.default",
    "adaptive_avg_pool2d.default",
    "adaptive_avg_pool3d.default",
    "_adaptive_avg_pool2d.default",
    "_adaptive_avg_pool3d.default",
)
def adaptive_avg_pool(node: Node) -> Op:
    return _adaptive(node, node.floating("self"), "mean")


@imports("adaptive_max_pool1d.default", "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(node: Node) -> tuple[Op, Missing]:
    return _adaptive(node, node.op("self"), "max"), Missing("the index of a maximum")


def _adaptive(node: Node, x: Op, function: str) -> Op:
    """Bin i of n covers floor(i * size / n) to ceil((i + 1) * size / n): a window where all bins are of one size."""
    rank = _rank(node)
    batched = _batched(node, x, rank)
    bins = node.ints("output_size", rank)
    sizes = batched.shape[2:]
    if min(bins) < 1:
        node.malformed(f"{list(bins)} bins")
    if all(n % b == 0 for n, b in zip(sizes, bins, strict=True)):
        kernel = tuple(n // b for n, b in zip(sizes, bins, strict=True))
        pool = AvgPool if function == "mean" else MaxPool
        return _unbatched(node, pool(batched, kernel, kernel, loc=node.loc), x)
    y = batched
    for axis, (n, b) in enumerate(zip(sizes, bins, strict=True), start=2):
        node.require(b <= MAX_BINS, f"{b} bins of unequal size", why=f"at most {MAX_BINS} along an axis")
        parts = [_bin(node, y, axis, i * n // b, -(-(i + 1) * n // b), function) for i in range(b)]
        y = Concat(tuple(parts), axis, loc=node.loc) if len(parts) > 1 else parts[0]
    return _unbatched(node, y, x)


def _bin(node: Node, x: Op, axis: int, start: int, stop: int, function: str) -> Op:
    rank = len(x.shape)
    starts = tuple(start if i == axis else 0 for i in range(rank))
    stops = tuple(stop if i == axis else n for i, n in enumerate(x.shape))
    return Reduce(Slice(x, starts, stops, (1,) * rank, loc=node.loc), function, (axis,), loc=node.loc)


_REDUCTIONS = {
    "mean.dim": "mean",
    "mean.default": "mean",
    "sum.dim_IntList": "sum",
    "sum.default": "sum",
    "amax.default": "max",
    "amin.default": "min",
    "max.default": "max",
    "min.default": "min",
    "prod.dim_int": "prod",
    "prod.default": "prod",
    "logsumexp.default": "log_sum_exp",
}


@imports(*_REDUCTIONS)
def reduce(node: Node) -> Op:
    function, x = _REDUCTIONS[node.operator.removeprefix("aten.")], node.op("self")
    if node.has("dtype"):
        node.require(node.format() == x.format or not x.format.is_float, "a reduction that changes the element type")
        x = node.as_float(x, node.format()) if node.format().is_float else x
    if function not in ("sum", "max", "min") or node.dtype().kind == "f":
        x = node.as_float(x, node.format())
    return Reduce(x, function, node.axes("dim", len(x.shape)), node.flag("keepdim"), loc=node.loc)


@imports(*(f"{name}.{kind}" for name in ("any", "all") for kind in ("default", "dim", "dims")))
def some(node: Node) -> Op:
    """Whether one element, or every element, is true."""
    x = node.lifted(truth(node, node.value("self")))
    function = "max" if ".any." in node.operator else "min"
    return Reduce(x, function, node.axes("dim", len(x.shape)), node.flag("keepdim"), loc=node.loc)


@imports("max.dim", "min.dim")
def extremum(node: Node) -> tuple[Op, Op]:
    """The largest (smallest) element and its index."""
    x, keep, smallest = node.op("self"), node.flag("keepdim"), "min" in node.operator
    axis = node.axis("dim", len(x.shape))
    values = Reduce(x, "min" if smallest else "max", (axis,), keep, loc=node.loc)
    return values, ArgMax(x, axis, keep, False, smallest, loc=node.loc)


@imports("argmax.default", "argmin.default")
def arg_max(node: Node) -> Op:
    x, keep = node.op("self"), node.flag("keepdim")
    smallest = "argmin" in node.operator
    if node.has("dim"):
        return ArgMax(x, node.axis("dim", len(x.shape)), keep, False, smallest, loc=node.loc)
    flat = Reshape(x, (x.tensor.size,), loc=node.loc)
    index = ArgMax(flat, 0, False, False, smallest, loc=node.loc)
    return Reshape(index, (1,) * len(x.shape), loc=node.loc) if keep else index


@imports("var.correction", "std.correction", "var.dim", "std.dim", "var.default", "std.default")
def variance(node: Node) -> Op:
    return _variance(node)[0]


@imports("var_mean.correction", "std_mean.correction")
def variance_and_mean(node: Node) -> tuple[Op, Op]:
    return _variance(node)


def _variance(node: Node) -> tuple[Op, Op]:
    """Mean of the squared distances from the mean, times n / (n - correction); or its root. And the mean."""
    x, keep = node.floating("self"), node.flag("keepdim")
    axes = node.axes("dim", len(x.shape))
    if node.operator.endswith("correction"):
        correction = node.number("correction", 1.0)
    else:
        correction = float(node.flag("unbiased", True))
    n = math.prod(x.shape[a] for a in axes)
    node.require(n > correction, f"the variance of {n} elements with correction {correction}")
    centred = Sub(x, Reduce(x, "mean", axes, loc=node.loc), loc=node.loc)
    y: Op = Reduce(Mul(centred, centred, loc=node.loc), "mean", axes, keep, loc=node.loc)
    if correction:
        y = Mul(y, node.constant(n / (n - correction), y.format), loc=node.loc)
    y = Unary(y, "sqrt", loc=node.loc) if ".std" in node.operator else y
    return y, Reduce(x, "mean", axes, keep, loc=node.loc)


@imports("linalg_vector_norm.default", "norm.ScalarOpt_dim")
def norm(node: Node) -> Op:
    x, keep = node.floating("self"), node.flag("keepdim")
    order = node.number("ord" if "linalg" in node.operator else "p", 2.0)
    axes = node.axes("dim", len(x.shape))
    if order == math.inf:
        return Reduce(Unary(x, "abs", loc=node.loc), "max", axes, keep, loc=node.loc)
    node.require(order in (1.0, 2.0), f"the norm of order {order}", why="supported: 1, 2, infinity")
    return Reduce(x, f"l{int(order)}", axes, keep, loc=node.loc)
