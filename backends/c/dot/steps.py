"""The loops around tiles: a step's body with dot-product instructions."""

from __future__ import annotations

import math

import numpy as np

from edgec.backends.c.constants import Constants
from edgec.backends.c.dot import depthwise, tiles
from edgec.backends.c.dot.match import DotLayer
from edgec.backends.c.dot.pack import BLOCK, blocks, depthwise_numbers, depthwise_weights, runs
from edgec.backends.c.loops import nest
from edgec.backends.c.view import View, image
from edgec.formats import Integer

MOST_PLACES = {4: 5, 3: 6, 2: 8, 1: 8}
"""Places that are computed together, by vectors of sums a place: as many as registers hold."""
GUARD = "@DOT"
"""Condition of the preprocessor under which the instructions exist."""


def suits(layer: DotLayer, y: View) -> bool:
    """Whether the result lies so that 16 channels can be stored at once."""
    channel = 1 if len(y.shape) == 4 else len(y.shape) - 1
    if layer.depthwise and y.shape[1] < BLOCK and y.strides[3] != y.shape[1]:
        return False
    return y.strides[channel] == 1 or y.shape[channel] == 1


def reads_as_it_is(layer: DotLayer, x: View) -> bool:
    """Whether the inner loops can read x where it lies: channels side by side, and the padding around it."""
    _, _, _, pads = layer.window
    run = runs(layer)[2]
    if x.buffer.place != "arena" and (run % 16 or layer.depthwise):
        return False  # a vector would be read beyond the caller's memory
    if len(x.shape) != 4:
        return x.row_major
    if x.strides[1] != 1 and x.shape[1] > 1:
        return False
    if x.strides[3] != x.shape[1] and runs(layer)[1] == 1 and layer.window[0][1] > 1:
        return False  # the columns of a window do not follow each other
    if not any(pads):
        return True
    buffer = x.buffer
    if buffer.fill != layer.pad or any(h < p for h, p in zip(buffer.halo, pads, strict=True)):
        return False
    around = image("", buffer.format, x.shape, buffer.halo, 0)
    return (x.offset, x.strides[1:]) == (around.offset, around.strides[1:])


def scratch(layer: DotLayer, x: View) -> View:
    """Where a copy of x with its padding goes."""
    if len(x.shape) != 4:
        return image("scratch", Integer(8), (1, x.size, 1, 1), (0, 0, 0, 0), 0)
    return image("scratch", Integer(8), x.shape, layer.window[3], layer.pad)


def body(layer: DotLayer, x: View, y: View, constants: Constants, copy: View | None) -> list[str]:
    """Statements for x at `x0` (or in `scratch`, after it was copied there) and y at `y`."""
    lines = [] if copy is None else _copied(layer, x, copy)
    source = x if copy is None else copy
    base = "x0" if copy is None else "scratch"
    if layer.depthwise:
        return lines + _depthwise(layer, source, y, constants, base)
    return lines + _dense(layer, source, y, constants, base)


def _copied(layer: DotLayer, x: View, copy: View) -> list[str]:
    shape = x.shape if len(x.shape) == 4 else (1, x.size, 1, 1)
    strides = x.strides if len(x.shape) == 4 else (0, 1, 0, 0)
    order = (0, 2, 3, 1)
    loops = nest(shape, [strides, copy.strides], order)
    lines = []
    if any(copy.buffer.halo):
        lines.append(f"memset(scratch, {layer.pad}, {copy.buffer.elements});")
    copying = f"scratch[{loops.index(1, copy.offset)}] = x0[{loops.index(0, x.offset)}];"
    return lines + loops.write([copying], 0)


def geometry(layer: DotLayer, x: View, y: View) -> tuple[int, int, int, int, int, int, int, int]:
    """(rows, places, x offset, x row, x place, y row, y place, x column): rows of results that follow each other in
    memory are one."""
    if len(x.shape) != 4 or len(y.shape) != 4:
        return 1, 1, x.offset, 0, 0, 0, 0, 0
    _, (sy, sx), _, (top, left, _, _) = layer.window
    rows, places = y.shape[2], y.shape[3]
    row, place = x.strides[2] * sy, x.strides[3] * sx
    offset = x.offset - top * x.strides[2] - left * x.strides[3]
    if rows > 1 and row == places * place and y.strides[2] == places * y.strides[3]:
        rows, places = 1, rows * places
    return rows, places, offset, row, place, y.strides[2], y.strides[3], x.strides[3]


def split(places: int, most: int) -> list[tuple[int, int]]:
    """(places, tiles) that cover a row, of nearly equal size."""
    count = -(-places // most)
    small, more = divmod(places, count)
    return [(p, n) for p, n in ((small + 1, more), (small, count - more)) if n]


def most_places(run: int, vectors: int) -> int:
    """Places of a tile: 4 with three vectors a turn take fewer instructions than 5 with one."""
    return 4 if vectors == 4 and turn(run // 16, 16) == 3 else MOST_PLACES[vectors]


def turn(vectors: int, sums: int) -> int:
    """How many vectors of a run are done in one turn of the loop: 3 or 2 where they divide the run, and where the sums
    leave registers to load the next ones into."""
    most = (3, 2) if sums <= 16 else ()
    return next((n for n in most if vectors % n == 0), 1) if vectors else 0


def _dense(layer: DotLayer, x: View, y: View, constants: Constants, base: str) -> list[str]:
    rows, places, offset, row, place, y_row, y_place, _ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    (_, _), _, (dy, dx), _ = layer.window
    is_image = len(x.shape) == 4
    row_step = x.strides[2] * dy if is_image and tap_rows > 1 else 0
    column_step = x.strides[3] * dx if is_image and columns > 1 else 0
    clamp = (layer.lo, layer.hi) != (-128, 127)
    constants.functions.setdefault("dot_tile", tiles.STRUCT)
    facts = [tap_rows, row_step, columns, column_step, run // 16, place, y_place, layer.zero, layer.lo, layer.hi]
    lines = [f"static const @tile t = {{{', '.join(map(str, facts))}}};"]
    kind = {"clamp": clamp, "shift": layer.common_shift, "words": -(-(run % 16) // 4)}
    made = blocks(layer)
    groups = [[b for b in made if b.count == BLOCK], [b for b in made if b.count < BLOCK]]
    for group in groups:
        if not group:
            continue
        weights = constants.array(np.concatenate([b.weights.ravel() for b in group]))
        numbers = constants.array(np.concatenate([b.numbers.ravel() for b in group]), as_is=True)
        one = group[0]
        calls = []
        x_at, y_at = f"{base} + {offset}", f"y + {y.offset + one.first}"
        w_at, n_at = weights, numbers
        if len(group) > 1:
            w_at, n_at = f"{weights} + b * {one.weights.size}", f"{numbers} + b * {one.numbers.size}"
            y_at = f"{y_at} + b * {BLOCK}"
        if rows > 1:
            x_at, y_at = f"{x_at} + r * {row}", f"{y_at} + r * {y_row}"
        done = 0
        for count, n in split(places, most_places(run, one.vectors)):
            whole = turn(run // 16, count * one.vectors)
            form = {"columns": columns > 1, "whole": whole, "loop": run // 16 > whole}
            tile = tiles.Tile(count, one.vectors, one.count, **form, **kind)
            tiles.add(constants.functions, tile.name, tile.function())
            xs, ys = (f" + {done * s}" if done * s else "" for s in (place, y_place))
            calls.append(f"{tile.name}({x_at}{xs}, {w_at}, {n_at}, {y_at}{ys}, {n}, &t);")
            done += count * n
        if rows > 1:
            calls = [f"for (int32_t r = 0; r < {rows}; r++) {{", *("  " + c for c in calls), "}"]
        if len(group) > 1:
            calls = [f"for (int32_t b = 0; b < {len(group)}; b++) {{", *("  " + c for c in calls), "}"]
        lines += calls
    return lines


def _depthwise(layer: DotLayer, x: View, y: View, constants: Constants, base: str) -> list[str]:
    _, (sy, sx), _, (top, left, _, _) = layer.window
    channels, rows, places = len(layer.weights), y.shape[2], y.shape[3]
    offset = x.offset - top * x.strides[2] - left * x.strides[3]
    clamp = (layer.lo, layer.hi) != (-128, 127)
    paired = channels < BLOCK  # two neighbouring places of eight channels
    advance = 2 if paired else sx
    y_step = y.strides[3] * (2 if paired else 1)
    constants.functions.setdefault("dot_window", depthwise.STRUCT)
    shift = layer.common_shift
    name = depthwise.name(advance, shift, clamp)
    tiles.add(constants.functions, name, depthwise.function(advance, shift, clamp))
    facts = [x.strides[2], x.strides[3], y_step, layer.zero, layer.lo, layer.hi]
    lines = [f"static const @window t = {{{', '.join(map(str, facts))}}};"]
    firsts = [min(first, max(channels - BLOCK, 0)) for first in range(0, channels, BLOCK)]  # the last may overlap
    weights = constants.array(np.concatenate([depthwise_weights(layer, f).ravel() for f in firsts]))
    numbers = constants.array(np.concatenate([depthwise_numbers(layer, f).ravel() for f in firsts]), as_is=True)
    n = len(firsts)
    at = f"{BLOCK} * b" if firsts[-1] == BLOCK * (n - 1) else f"(b == {n - 1} ? {firsts[-1]} : {BLOCK} * b)"
    steps = math.ceil(places / 2) if paired else places
    return [
        *lines,
        f"for (int32_t b = 0; b < {n}; b++) {{",
        f"  for (int32_t r = 0; r < {rows}; r++) {{",
        f"    {name}({base} + {offset} + {at} + r * {x.strides[2] * sy}, {weights} + b * 192, {numbers} + b * 48,",
        f"        y + {y.offset} + {at} + r * {y.strides[2]}, {steps}, &t);",
        "  }",
        "}",
    ]
