"""What the loops for Cortex-M do, as counts of the kinds of work that a target prices with `cycles.KIND`."""

from __future__ import annotations

from collections import defaultdict

from edgec.backends.c.dsp import depthwise, tile
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.mcu.layer import taps
from edgec.backends.c.mve.depthwise import BLOCK
from edgec.backends.c.mve.tile import VECTOR, in_place, size
from edgec.backends.c.vector.dense import geometry
from edgec.backends.c.view import View

WORD, VECTOR_WORDS = 4, 4


def dsp(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    """A step with the DSP extension, in instructions of its inner loops."""
    if layer.depthwise:
        _planes(found, layer, x, y)
        return
    lines, places, *_ = geometry(layer, x, y)
    rows, columns, run = taps(layer)
    words = tile.words(layer)
    for together, tiles in _tiles(layer, places):
        for outputs, count in tiles:
            turns = lines * count * words
            found["dsp_mac"] += turns * 2 * together * outputs
            found["dsp_load"] += turns * (1 + together + 2 * outputs)
            found["dsp_sum"] += lines * count
    windows = lines * places * rows * columns
    found["dsp_run"] += windows
    found["dsp_word"] += windows * (run // WORD)
    found["dsp_rest"] += windows * (run % WORD > 0)
    _results(found, layer, lines * places * len(layer.weights))
    found["dsp_call"] += lines * -(-places // tile.PLACES)


def _planes(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    """Depthwise: the planes taken out of x, and the windows of every channel in them."""
    channels, lines, places = len(layer.weights), y.shape[2], y.shape[3]
    (kh, kw), *_ = layer.window
    found["dsp_row"] += -(-channels // 2) * x.shape[2]
    found["dsp_pair"] += -(-channels // 2) * x.shape[2] * -(-x.shape[3] // 2)
    found["dsp_line"] += channels * lines
    done = channels * lines * places
    kind = depthwise.kind(layer)
    if kind == "three":
        found["dsp_tap"] += channels * lines * (18 * (places // 2) + 12 * (places % 2))
        found["dsp_window"] += channels * lines * -(-places // 2)
    else:
        found["dsp_window"] += done
        if kind == "three_apart":
            found["dsp_tap"] += done * 12
        else:
            found["dsp_run"] += done * kh
            found["dsp_tap"] += done * kh * (4 * kw if kind == "tap" else 8 * -(-kw // WORD))
    _results(found, layer, done)


def _results(found: defaultdict[str, float], layer: ByteLayer, count: int) -> None:
    found["dsp_rescale"] += count
    found["dsp_clamp"] += count if layer.clamp else 0


def _tiles(layer: ByteLayer, places: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Places that are done together, and for those the output channels of a tile with the number of such tiles."""
    outputs = len(layer.weights)
    together = [(2, places // 2), (1, places % 2)]
    return [(p, [(2, n * (outputs // 2)), (1, n * (outputs % 2))]) for p, n in together]


def mve(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    """A step with MVE, in instructions of its inner loops."""
    outputs = len(layer.weights)
    if layer.depthwise:
        (kh, kw), *_ = layer.window
        blocks = y.shape[2] * y.shape[3] * -(-outputs // BLOCK)
        found["mve_tap"] += blocks * kh * kw
        found["mve_block"] += blocks
        found["mve_call"] += y.shape[2]
        return
    lines, places, *_ = geometry(layer, x, y)
    rows, columns, run = taps(layer)
    vectors = -(-size(layer) // VECTOR)
    for together, tiles in _tiles(layer, places):
        for channels, count in tiles:
            found["mve_mac"] += lines * count * vectors * together * channels
            found["mve_load"] += lines * count * vectors * (together + channels)
            found["mve_sum"] += lines * count
    if not in_place(layer):
        found["mve_run"] += lines * places * rows * columns
        found["mve_copy"] += lines * places * rows * columns * -(-run // VECTOR)
    found["mve_rescale"] += lines * places * -(-outputs // VECTOR_WORDS)
    found["mve_call"] += lines * -(-places // 2)
