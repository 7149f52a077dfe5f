"""Where the operand and the result of a layer lie, and the copy with padding that an operand may need first."""

from __future__ import annotations

import math

from edgec.backends.c.loops import nest
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.view import View, dense, image
from edgec.ops import Dense


def suits(layer: Layer, y: View) -> bool:
    """Whether the result lies so that a vector of channels can be stored at once."""
    to = layer.image(y)
    if to is None or (layer.depthwise and to.shape[1] < layer.LANES and to.strides[3] != to.shape[1]):
        return False
    return to.strides[1] == 1 or to.shape[1] == 1


def runs(layer: Layer) -> tuple[int, int, int]:
    """(rows, columns, run): taps that are visited one by one, and how many elements lie in a row behind each.

    A depthwise convolution's taps are one vector of channels each."""
    (kh, kw), _, (_, dilation), _ = layer.window
    if layer.depthwise:
        return kh, kw, layer.LANES
    channels = layer.weights.shape[3]
    together = layer.groups == 1 and dilation == 1
    return (kh, 1, kw * channels) if together or kw == 1 else (kh, kw, channels)


def reads_as_it_is(layer: Layer, x: View) -> bool:
    """Whether the inner loops can read x where it lies: channels side by side, and the padding around it."""
    pads = layer.halo
    run = runs(layer)[2]
    if x.buffer.place != "arena" and (run % layer.LANES or layer.depthwise):
        return False  # a vector would be read beyond the caller's memory
    lies = layer.image(x)
    if lies is None:
        return False
    x = lies
    if x.strides[1] != 1 and x.shape[1] > 1:
        return False
    if x.strides[3] != x.shape[1] and (layer.depthwise or runs(layer)[1] == 1) and layer.window[0][1] > 1:
        return False  # the columns of a window do not follow each other
    if not any(pads):
        return True
    buffer = x.buffer
    if buffer.fill != layer.pad or any(h < p for h, p in zip(buffer.halo, pads, strict=True)):
        return False
    around = image("", buffer.format, x.shape, buffer.halo, 0)
    return x.offset == around.offset and all(
        n == 1 or a == b for n, a, b in zip(x.shape, x.strides, around.strides, strict=True)
    )


def scratch(layer: Layer, x: View) -> View:
    """Where a copy of x with its padding goes, as an image."""
    fmt = layer.op.x.format
    if isinstance(layer.op, Dense):
        return image("scratch", fmt, (1, x.shape[-1], 1, math.prod(x.shape[:-1])), (0, 0, 0, 0), 0)
    rows = x.shape[2] if len(x.shape) == 4 else 1
    return image("scratch", fmt, (1, x.shape[1], rows, x.shape[-1]), layer.halo, layer.pad)


def fill(to: str, code: int, count: int, size: int) -> str:
    """A statement that writes the same code of `size` bytes `count` times; memset where that counts bytes or zeros."""
    if size == 1 or code == 0:
        return f"memset({to}, {code}, {count * size});"
    return f"for (int32_t i_ = 0; i_ < {count}; i_++) {{ ({to})[i_] = {code}; }}"


def copied(layer: Layer, x: View, copy: View) -> list[str]:
    """Statements that copy x at `x0` into `scratch`."""
    if isinstance(layer.op, Dense):
        loops = nest(x.shape, [x.strides, dense(x.shape)], tuple(range(len(x.shape))))
    else:
        x = layer.image(x) or x
        loops = nest(x.shape, [x.strides, copy.strides], (0, 2, 3, 1))
    lines = []
    if any(copy.buffer.halo):
        lines.append(fill("scratch", layer.pad, copy.buffer.elements, copy.buffer.format.dtype.itemsize))
    return lines + loops.copy("scratch", copy.offset, "x0", x.offset, x.buffer.format.dtype.itemsize, 0)


def corner(layer: Layer, x: View) -> int:
    """The offset of the first tap of the first result, in the padding or not."""
    top, left, _, _ = layer.window[3]
    return x.offset - top * x.strides[2] - left * x.strides[3]
