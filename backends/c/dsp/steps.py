"""A step's body with the DSP extension."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.dsp import depthwise, tile
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import STRUCT, call, taps
from edgec.backends.c.vector.dense import geometry
from edgec.backends.c.vector.functions import add
from edgec.backends.c.view import View


def body(layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`, with memory in `scratch` from byte `work` on."""
    kind = tile.Kind.of(layer)
    shift = max(layer.common_shift - tile.less(layer), 0)
    add(constants, "widened", tile.WIDENED)
    add(constants, kind.scaled, tile.SCALED_WIDE if kind.wide else tile.SCALED)
    numbers = constants.array(tile.numbers(layer), as_is=True)
    if layer.depthwise:
        return _depthwise(layer, x, y, constants, base, work, numbers, shift)
    add(constants, "layer", STRUCT)
    add(constants, "load_word", tile.LOAD)
    weights = constants.array(tile.packed(layer), as_is=True)
    two, spaced = geometry(layer, x, y)[1] > 1, taps(layer)[1] > 1
    for places in (2, 1) if two else (1,):
        add(constants, *tile.expand(places, spaced))
        add(constants, *tile.multiply(places, kind))
    name, text = tile.loops(kind, two, spaced)
    add(constants, name, text)
    window = f"int32_t *window = (int32_t *)(void *)(scratch + {work});"
    return [window, *call(layer, x, y, base, (tile.words(layer), 0), shift, name, [weights, numbers], ["window"])]


def _depthwise(
    layer: ByteLayer, x: View, y: View, constants: Constants, base: str, work: int, numbers: str, shift: int
) -> list[str]:
    kind = tile.Kind.of(layer)
    add(constants, "planes", depthwise.STRUCT)
    add(constants, "half", depthwise.HALF)
    if depthwise.kind(layer) != "tap":
        add(constants, "load_pair", depthwise.PAIR)
    add(constants, "dsp_planes", depthwise.TAKEN)
    name, text = depthwise.function(layer, kind)
    add(constants, name, text)
    weights = constants.array(depthwise.packed(layer), as_is=True)
    facts = ", ".join(map(str, depthwise.facts(layer, x, y, shift)))
    return [
        f"static const @planes t = {{{facts}}};",
        f"int16_t *planes = (int16_t *)(void *)(scratch + {work});",
        *depthwise.statements(layer, kind.each, f"{base} + {x.offset}", f"y + {y.offset}", name, weights, numbers),
    ]


def workspace(layer: ByteLayer, y: View) -> int:
    """Bytes of memory that the body needs beside a copy of x: the windows of two places or the planes of two channels,
    two bytes a number."""
    if layer.depthwise:
        return 4 * depthwise.plane_size(layer)
    places = tile.PLACES if y.size > len(layer.weights) else 1
    return 8 * tile.words(layer) * places
