"""Operators that move values, and those that make or read shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from edgec.frontend.onnx.arithmetic import common_format
from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import is_plain, plain
from edgec.ops import Concat, Expand, Gather, Get, Op, Pad, Reshape, Slice, Split, Transpose


@imports("Constant")
def constant(node: Node) -> np.ndarray:
    present = [a for a in node.item.proto.attribute]
    if len(present) != 1:
        node.malformed(f"a constant with {len(present)} values")
    name = present[0].name
    node.unread.discard(name)
    match name:
        case "value":
            array = node.array("value")
            assert array is not None
            return array
        case "value_float":
            return np.array(node.number(name), np.float32)
        case "value_floats":
            return np.array(node.floats(name), np.float32)
        case "value_int":
            return np.array(node.integer(name), np.int64)
        case "value_ints":
            return np.array(node.ints(name), np.int64)
    node.unsupported(f"a constant given by {name!r}")


@imports("ConstantOfShape")
def constant_of_shape(node: Node) -> np.ndarray:
    shape = node.known_ints(0, "shape")
    node.limit(*shape)
    value = node.array("value")
    value = np.zeros(1, np.float32) if value is None else value
    if value.size != 1:
        node.malformed(f"the value has shape {list(value.shape)}")
    return np.full(shape, value.ravel()[0], value.dtype)


@imports("Shape")
def shape(node: Node) -> np.ndarray:
    sizes = node.value(0).shape
    start, end = node.integer("start", 0), node.integer("end", len(sizes))
    return np.array(sizes[start:end], np.int64)


@imports("Size")
def size(node: Node) -> np.ndarray:
    return np.array(math.prod(node.value(0).shape), np.int64)


@imports("Range")
def arange(node: Node) -> np.ndarray:
    start, stop, step = (node.known(i, "range") for i in range(3))
    if any(a.size != 1 for a in (start, stop, step)) or not step.any():
        node.malformed("start, limit and step are one number each, the step not 0")
    first, last, delta = (a.ravel().astype(np.float64)[0] for a in (start, stop, step))
    count = (last - first) / delta
    if not math.isfinite(count):
        node.malformed("a range without end")
    count = max(math.ceil(count), 0)
    node.limit(count)
    return (start.ravel()[0] + np.arange(count, dtype=start.dtype) * step.ravel()[0]).astype(start.dtype)


@imports("EyeLike")
def eye_like(node: Node) -> np.ndarray:
    rows = node.value(0).shape
    if len(rows) != 2:
        node.malformed(f"an identity matrix like {list(rows)}")
    node.limit(*rows)
    kind = node.integer("dtype", onnx.TensorProto.FLOAT)
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    except KeyError:
        node.malformed(f"unknown element type {kind}")
    k = node.integer("k", 0)
    return np.eye(*rows, k=max(min(k, rows[1]), -rows[0]), dtype=dtype)


def reshaped(node: Node, x: Op, shape: Sequence[int]) -> Op:
    """`x` in another shape; nothing when it has it already."""
    node.limit(*shape)
    if tuple(shape) == x.shape:
        return x
    return moved(Reshape(x, tuple(shape), loc=node.loc))


@imports("Reshape")
def reshape(node: Node) -> Op:
    x, wanted = node.op(0), node.known_ints(1, "new shape")
    keep_zero = "allowzero" in node.attributes and node.flag("allowzero")
    if sum(n == -1 for n in wanted) > 1 or any(n < -1 for n in wanted):
        node.malformed(f"new shape {list(wanted)}")
    sizes = []
    for i, n in enumerate(wanted):
        if n == 0 and not keep_zero:
            if i >= len(x.shape):
                node.malformed(f"new shape {list(wanted)} copies an axis that {list(x.shape)} has not")
            n = x.shape[i]
        sizes.append(n)
    if -1 in sizes:
        rest = math.prod(n for n in sizes if n != -1)
        if rest == 0 or x.tensor.size % rest:
            node.malformed(f"{list(x.shape)} reshaped to {list(wanted)}")
        sizes[sizes.index(-1)] = x.tensor.size // rest
    return reshaped(node, x, sizes)


@imports("Flatten")
def flatten(node: Node) -> Op:
    x = node.op(0)
    axis = node.integer("axis", 1)
    if not -len(x.shape) <= axis <= len(x.shape):
        node.malformed(f"axis {axis} of {list(x.shape)}")
    axis = axis + len(x.shape) if axis < 0 else axis
    return reshaped(node, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@imports("Squeeze")
def squeeze(node: Node) -> Op:
    x = node.op(0)
    stated = node.ints_at("axes", 1, 13, "axes")
    axes = tuple(i for i, n in enumerate(x.shape) if n == 1) if stated is None else node.axes(stated, len(x.shape))
    if any(x.shape[a] != 1 for a in axes):
        node.malformed(f"axes {list(axes)} of {list(x.shape)} are not all 1")
    return reshaped(node, x, [n for i, n in enumerate(x.shape) if i not in axes])


@imports("Unsqueeze")
def unsqueeze(node: Node) -> Op:
    x = node.op(0)
    stated = node.ints_at("axes", 1, 13, "axes")
    if stated is None:
        node.malformed("axes are missing")
    rank = len(x.shape) + len(stated)
    axes, rest = node.axes(stated, rank), iter(x.shape)
    return reshaped(node, x, [1 if i in axes else next(rest) for i in range(rank)])


@imports("Transpose")
def transpose(node: Node) -> Op:
    x = node.op(0)
    perm = node.ints("perm") or tuple(reversed(range(len(x.shape))))
    if tuple(perm) == tuple(range(len(x.shape))):
        return x
    return moved(Transpose(x, tuple(perm), loc=node.loc))


@imports("Concat")
def concat(node: Node) -> Op:
    xs = tuple(node.op(i) for i in range(len(node.values)))
    if "axis" not in node.attributes:
        node.malformed("attribute 'axis' is missing")
    axis = node.axis(0, len(xs[0].shape))
    if any(x.format != xs[0].format for x in xs) and not all(is_plain(x.format) for x in xs):
        xs = tuple(plain(x) for x in xs)
    if all(is_plain(x.format) for x in xs):
        xs = common_format(node, xs)
    node.limit(sum(x.tensor.size for x in xs))
    return xs[0] if len(xs) == 1 else moved(Concat(xs, axis, loc=node.loc))


@imports("Split")
def split(node: Node) -> tuple[Op, ...]:
    """Sizes are an attribute before opset 13, an operand from then on; without them the parts are equal."""
    x = node.op(0)
    axis, parts = node.axis(0, len(x.shape)), len(node.item.outputs)
    if node.opset >= 18 and "num_outputs" in node.attributes:
        stated = node.integer("num_outputs")
        if stated != parts:
            node.malformed(f"num_outputs {stated} with {parts} outputs")
    sizes = node.ints_at("split", 1, 13, "part sizes")
    if not sizes:
        if not parts:
            node.malformed("no outputs")
        chunk = -(-x.shape[axis] // parts)
        sizes = tuple(max(min(chunk, x.shape[axis] - i * chunk), 0) for i in range(parts))
    if len(sizes) != parts:
        node.malformed(f"{len(sizes)} part sizes for {parts} outputs")
    whole = Split(x, sizes, axis, loc=node.loc)
    return tuple(Get(whole, i, loc=node.loc) for i in range(parts))


@imports("Slice")
def slice_(node: Node) -> Op:
    """Bounds are attributes before opset 10, operands from then on."""
    x = node.op(0)
    rank = len(x.shape)
    if node.opset < 10:
        starts, ends, axes, steps = node.ints("starts"), node.ints("ends"), node.ints("axes"), None
        if starts is None or ends is None:
            node.malformed("starts or ends are missing")
    else:
        starts, ends = node.known_ints(1, "slice starts"), node.known_ints(2, "slice ends")
        axes = node.known_ints(3, "slice axes") if node.has(3) else None
        steps = node.known_ints(4, "slice steps") if node.has(4) else None
    axes = node.axes(tuple(range(len(starts))) if axes is None else axes, rank)
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        node.malformed(f"starts {list(starts)}, ends {list(ends)}, axes {list(axes)}, steps {list(steps)}")
    first, last, stride = [0] * rank, list(x.shape), [1] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        bounds = slice(start, end, step).indices(x.shape[axis])
        first[axis], last[axis], stride[axis] = bounds
    if first == [0] * rank and last == list(x.shape) and stride == [1] * rank:
        return x
    return moved(Slice(x, tuple(first), tuple(last), tuple(stride), loc=node.loc))


@imports("Expand")
def expand(node: Node) -> Op:
    x, wanted = node.op(0), node.known_ints(1, "new shape")
    try:
        shape = np.broadcast_shapes(x.shape, wanted)
    except ValueError as error:
        node.malformed(str(error))
    node.limit(*shape)
    return x if shape == x.shape else moved(Expand(x, shape, loc=node.loc))


@imports("Tile")
def tile(node: Node) -> Op:
    x, repeats = node.op(0), node.known_ints(1, "repeats")
    if len(repeats) != len(x.shape) or any(r < 0 for r in repeats):
        node.malformed(f"repeats {list(repeats)} of {list(x.shape)}")
    shape = [n * r for n, r in zip(x.shape, repeats, strict=True)]
    node.limit(*shape)
    apart = [m for n in x.shape for m in (1, n)]
    wide = [m for n, r in zip(x.shape, repeats, strict=True) for m in (r, n)]
    return reshaped(node, moved(Expand(reshaped(node, x, apart), tuple(wide), loc=node.loc)), shape)


@imports("Pad")
def pad(node: Node) -> Op:
    """Pads are attributes before opset 11, operands from then on."""
    x = node.op(0)
    rank = len(x.shape)
    mode = node.string("mode", "constant", ("constant", "reflect", "edge", "wrap"))
    if node.opset < 11:
        pads, value = node.ints("pads"), node.number("value", 0.0)
    else:
        pads = node.known_ints(1, "pads")
        value = node.known_scalar(2, "padding value") if node.has(2) else 0.0
    if pads is None:
        node.malformed("pads are missing")
    if node.has(3):
        axes = node.axes(node.known_ints(3, "padded axes"), rank)
        if len(pads) != 2 * len(axes):
            node.malformed(f"{len(pads)} pads for {len(axes)} axes")
        spread = [0] * 2 * rank
        for i, axis in enumerate(axes):
            spread[axis], spread[axis + rank] = pads[i], pads[i + len(axes)]
        pads = tuple(spread)
    if len(pads) != 2 * rank:
        node.malformed(f"{len(pads)} pads for {rank} axes")
    node.limit(*(n + max(pads[i], 0) + max(pads[i + rank], 0) for i, n in enumerate(x.shape)))
    if not any(pads):
        return x
    if mode == "wrap":
        return _wrapped(node, x, pads)
    if not x.format.is_float:
        zero, scale = int(x.format.zero_point_array[0]), float(x.format.scale_array[0])
        value = (int(value) - zero) * scale  # the operand is a code, the IR takes the value
    return moved(Pad(x, pads, mode, value, loc=node.loc))


def _wrapped(node: Node, x: Op, pads: Sequence[int]) -> Op:
    """x repeated on all sides, as if it were periodic."""
    rank = len(x.shape)
    for axis, n in enumerate(x.shape):
        before, after = pads[axis], pads[axis + rank]
        if n + before + after < 0 or (n == 0 and before + after > 0):
            node.malformed(f"pads {list(pads)} of {list(x.shape)}")
        if before or after:
            places = tuple(i % n for i in range(-before, n + after))
            x = moved(Gather(x, places, axis, loc=node.loc))
    return x


@imports("DepthToSpace")
def depth_to_space(node: Node) -> Op:
    x, block = node.op(0), node.integer("blocksize")
    crd = "mode" in node.attributes and node.string("mode", "DCR", ("DCR", "CRD")) == "CRD"
    if len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block):
        node.malformed(f"blocks of {block} from {list(x.shape)}")
    n, c, h, w = x.shape
    inner = c // (block * block)
    apart = (n, inner, block, block, h, w) if crd else (n, block, block, inner, h, w)
    order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    y = Transpose(Reshape(x, apart, loc=node.loc), order, loc=node.loc)
    return Reshape(y, (n, inner, h * block, w * block), loc=node.loc)


@imports("SpaceToDepth")
def space_to_depth(node: Node) -> Op:
    x, block = node.op(0), node.integer("blocksize")
    crd = "mode" in node.attributes and node.string("mode", "DCR", ("DCR", "CRD")) == "CRD"
    if len(x.shape) != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
        node.malformed(f"blocks of {block} from {list(x.shape)}")
    n, c, h, w = x.shape
    apart = Reshape(x, (n, c, h // block, block, w // block, block), loc=node.loc)
    y = Transpose(apart, (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4), loc=node.loc)
    return Reshape(y, (n, c * block * block, h // block, w // block), loc=node.loc)
