"""Where the operand and the result of a layer lie, and the copy with padding that an operand may need first."""

from __future__ import annotations

from edgec.backends.c.loops import nest
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.view import View, image


def suits(layer: Layer, y: View) -> bool:
    """Whether the result lies so that a vector of channels can be stored at once."""
    channel = 1 if len(y.shape) == 4 else len(y.shape) - 1
    if layer.depthwise and y.shape[1] < layer.LANES and y.strides[3] != y.shape[1]:
        return False
    return y.strides[channel] == 1 or y.shape[channel] == 1


def runs(layer: Layer) -> tuple[int, int, int]:
    """(rows, columns, run): taps that are visited one by one, and how many elements lie in a row behind each.

    A depthwise convolution's taps are one vector of channels each."""
    (kh, kw), _, (_, dilation), _ = layer.window
    if layer.depthwise:
        return kh, kw, layer.LANES
    channels = layer.weights.shape[3]
    return (kh, 1, kw * channels) if dilation == 1 or kw == 1 else (kh, kw, channels)


def reads_as_it_is(layer: Layer, x: View) -> bool:
    """Whether the inner loops can read x where it lies: channels side by side, and the padding around it."""
    _, _, _, pads = layer.window
    run = runs(layer)[2]
    if x.buffer.place != "arena" and (run % layer.LANES or layer.depthwise):
        return False  # a vector would be read beyond the caller's memory
    if len(x.shape) != 4:
        return x.row_major
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
    return (x.offset, x.strides[1:]) == (around.offset, around.strides[1:])


def scratch(layer: Layer, x: View) -> View:
    """Where a copy of x with its padding goes."""
    fmt = layer.op.x.format
    if len(x.shape) != 4:
        return image("scratch", fmt, (1, x.size, 1, 1), (0, 0, 0, 0), 0)
    return image("scratch", fmt, x.shape, layer.window[3], layer.pad)


def copied(layer: Layer, x: View, copy: View) -> list[str]:
    """Statements that copy x at `x0` into `scratch`."""
    shape = x.shape if len(x.shape) == 4 else (1, x.size, 1, 1)
    strides = x.strides if len(x.shape) == 4 else (0, 1, 0, 0)
    order = (0, 2, 3, 1)
    loops = nest(shape, [strides, copy.strides], order)
    lines = []
    if any(copy.buffer.halo):
        lines.append(f"memset(scratch, {layer.pad}, {copy.buffer.bytes});")
    copying = f"scratch[{loops.index(1, copy.offset)}] = x0[{loops.index(0, x.offset)}];"
    return lines + loops.write([copying], 0)


def corner(layer: Layer, x: View) -> int:
    """The offset of the first tap of the first result, in the padding or not."""
    if len(x.shape) != 4:
        return x.offset
    top, left, _, _ = layer.window[3]
    return x.offset - top * x.strides[2] - left * x.strides[3]
