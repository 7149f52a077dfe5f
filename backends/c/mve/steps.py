"""A step's body with MVE."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import STRUCT, call
from edgec.backends.c.memory import ALIGNMENT
from edgec.backends.c.mve import depthwise, tile
from edgec.backends.c.vector.dense import geometry
from edgec.backends.c.vector.functions import add
from edgec.backends.c.view import View


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`, with memory in `scratch` from byte `work` on."""
    add(constants, "layer", STRUCT)
    own, shift = layer.common_shift == 0, -layer.common_shift
    if layer.depthwise:
        name, text = depthwise.function(layer.window[0][1], own)
        add(constants, name, text)
        arrays = [constants.array(a, as_is=True) for a in (depthwise.packed(layer), depthwise.numbers(layer))]
        return call(layer, x, y, base, (0, 0), shift, name, arrays)
    copied, two = not tile.in_place(layer), geometry(layer, x, y)[1] > 1
    copy, text = tile.copied(layer) if copied else ("", "")
    if copied:
        add(constants, copy, text)
    add(constants, *tile.scaled(own))
    for places in (2, 1) if two else (1,):
        add(constants, *tile.multiply(places))
    name, text = tile.loops(copy, two, own)
    add(constants, name, text)
    arrays = [constants.array(a, as_is=True) for a in (tile.packed(layer), tile.numbers(layer))]
    memory = [f"int32_t *sums = (int32_t *)(void *)(scratch + {work});"]
    memory += [f"int8_t *window = scratch + {work + _sums(layer, y)};"] * copied
    size = tile.size(layer), tile.room(layer)
    return [*memory, *call(layer, x, y, base, size, shift, name, arrays, ["sums", *["window"] * copied])]


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x: the sums and windows of two places."""
    return 0 if layer.depthwise else _sums(layer, y) + _places(layer, y) * tile.room(layer)


def _places(layer: ByteLayer, y: View) -> int:
    return tile.PLACES if y.size > len(layer.weights) else 1


def _sums(layer: ByteLayer, y: View) -> int:
    """Bytes of the sums, aligned."""
    return -(-4 * len(layer.weights) * _places(layer, y) // ALIGNMENT) * ALIGNMENT
