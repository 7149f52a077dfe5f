"""Attributes of sliding windows: kernel, strides, pads (given or automatic), dilations."""

from __future__ import annotations

from typing import NamedTuple

from edgec.frontend.onnx.node import Node


class Window(NamedTuple):
    """`pads` are (begin..., end...)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool


def window(node: Node, shape: tuple[int, ...], kernel: tuple[int, ...] | None) -> Window:
    """The window over x of `shape` [N, C, *S]; `kernel` is that of the weights, None for pooling."""
    rank = len(shape) - 2
    if rank < 1:
        node.malformed(f"a window over {list(shape)}, which has no spatial axes")
    stated = node.ints("kernel_shape")
    if kernel is None and stated is None:
        node.malformed("attribute 'kernel_shape' is missing")
    sizes = stated if kernel is None else kernel
    assert sizes is not None
    if kernel is not None and stated is not None and tuple(stated) != tuple(kernel):
        node.malformed(f"kernel_shape {list(stated)} for weights with {list(kernel)}")
    strides = node.ints("strides") or (1,) * rank
    dilations = node.ints("dilations") or (1,) * rank
    pads = node.ints("pads")
    auto = node.string("auto_pad", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", ""))
    ceil_mode = "ceil_mode" in node.attributes and node.flag("ceil_mode")
    if not len(sizes) == len(strides) == len(dilations) == rank or (pads is not None and len(pads) != 2 * rank):
        node.malformed(f"window attributes do not fit {rank} axes")
    if min(*sizes, *strides, *dilations) < 1:
        node.malformed("kernel, strides and dilations are at least 1")
    if auto.startswith("SAME"):
        if pads is not None and any(pads):
            node.malformed("auto_pad and pads are both given")
        low, high = [], []
        for n, k, s, d in zip(shape[2:], sizes, strides, dilations, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            low.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
            high.append(total - low[-1])
        pads, ceil_mode = tuple(low + high), False
    elif auto == "VALID" or pads is None:
        pads = (0,) * 2 * rank
    if min(pads) < 0:
        node.unsupported("negative pads")
    padded = [n + pads[i] + pads[i + rank] for i, n in enumerate(shape[2:])]
    node.limit(*shape[:2], *padded, what="the padded input")
    return Window(tuple(sizes), strides, pads, dilations, ceil_mode)
