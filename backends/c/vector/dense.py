"""The loops around tiles: convolutions and dense layers whose channels all take part in every result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.lowbit.decode import decoded
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import corner
from edgec.backends.c.vector.tile import Block, Tile
from edgec.backends.c.view import View


def geometry(layer: Layer, x: View, y: View) -> tuple[int, int, int, int, int, int]:
    """(rows, places, x row, x place, y row, y place): rows of results that follow each other in memory are one."""
    _, (sy, sx), _, _ = layer.window
    rows, places = y.shape[2], y.shape[3]
    row, place = x.strides[2] * sy, x.strides[3] * sx
    if rows > 1 and row == places * place and y.strides[2] == places * y.strides[3]:
        rows, places = 1, rows * places
    return rows, places, row, place, y.strides[2], y.strides[3]


def dense(
    layer: Layer,
    x: View,
    y: View,
    constants: Constants,
    base: str,
    family: type[Tile],
    to: str = "y",
    numbers: str = "",
    room: str = "",
    stored: Callable[[NDArray], str] | None = None,
) -> list[str]:
    """Statements that compute a layer from x at `base`, with the tiles of a family, and store at `to`. What is known of
    every channel is a constant, unless `numbers` says where one number for each lies. Weights in the order of a family
    are constants, too, unless `stored` says where they lie; those that are stored as codes are decoded to `room`, a
    block of channels at a time."""
    rows, places, row, place, y_row, y_place = geometry(layer, x, y)
    tap_rows, row_step, columns, column_step, run = family.walk(layer, x)
    constants.function(family.FACTS[0], family.struct())
    groups: dict[tuple[int, type[Tile], int, bool], list[Block]] = {}
    for block in family.blocks(layer, family.block(places)):
        groups.setdefault((block.count, block.tile, block.parts, block.twice), []).append(block)
    steps = [place, y_place, row, y_row, *family.facts(layer)]
    lines, known_facts = [], {}
    for (_, tiles, parts, twice), group in groups.items():
        visits, length = columns * parts, run if twice else run // parts
        on = column_step if parts == 1 else 0 if twice else length
        facts = ", ".join(map(str, [tap_rows, row_step, visits, on, *steps]))
        if facts not in known_facts:
            known_facts[facts] = f"t{len(known_facts) or ''}"
            lines.append(f"static const @{family.FACTS[0]} {known_facts[facts]} = {{{facts}}};")
        kind = {**family.kind(layer), "columns": visits > 1, "single": tap_rows * visits == 1}
        one = group[0]
        decoding = None
        if layer.codes is not None:
            weights, size, decoding = decoded(layer.codes, group, tap_rows, constants, room)
        else:
            ordered = np.concatenate([b.weights.ravel() for b in group])
            weights = constants.array(ordered, as_is=True) if stored is None else stored(ordered)
            size = one.weights.size
        known = numbers or constants.array(np.concatenate([b.numbers.ravel() for b in group]), as_is=True)
        pieces, rest = tiles.pieces(length)
        x_at, y_at = f"{base} + {corner(layer, x)}", f"{to} + {y.offset}"
        first, w_at, n_at = f" + {one.first}" * (one.first > 0), weights, known
        x_first = f" + {one.x}" * (one.x > 0)
        if len(group) > 1:
            w_at, n_at = f"{weights} + b * {size}", f"{known} + b * {one.numbers.size}"
            first = _firsts([b.first for b in group], constants)
            x_first = _firsts([b.x for b in group], constants)
        if numbers:
            n_at = numbers + first
        x_at += first if layer.depthwise else x_first  # a channel of results needs that of x, or those of its group
        calls = []
        if decoding is not None:
            calls, w_at = decoding(w_at)
        done = 0
        for count, n in tiles.split(places, length, one.vectors):
            whole = tiles.turn(pieces, count * one.vectors)
            tile = tiles(count, one.vectors, one.count, whole=whole, loop=pieces > whole, rest=rest, **kind)
            add(constants, tile.name, tile.function())
            xs, ys = (f" + {done * s}" if done * s else "" for s in (place, y_place))
            turns = f"{rows}, {n}, {pieces // whole if whole else 0}"
            calls.append(f"{tile.name}({x_at}{xs}, {w_at}, {n_at}, {y_at}{first}{ys}, {turns}, &{known_facts[facts]});")
            done += count * n
        if len(group) > 1:
            calls = [f"for (int32_t b = 0; b < {len(group)}; b++) {{", *("  " + c for c in calls), "}"]
        lines += calls
    return lines


def _firsts(firsts: list[int], constants: Constants) -> str:
    """The first channel of block b, to be added: blocks of one kind need not follow each other."""
    step = firsts[1] - firsts[0]
    if firsts != [firsts[0] + step * b for b in range(len(firsts))]:
        return f" + {constants.array(np.array(firsts))}[b]"
    return f" + b * {step}" * (step > 0) + f" + {firsts[0]}" * (firsts[0] > 0)
