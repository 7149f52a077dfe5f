"""What the vector code of steps does, tile by tile, as counts of kinds of work (`work.py`)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from edgec.backends.c.dot.coded import coded_tile
from edgec.backends.c.dot.tiles import DotTile
from edgec.backends.c.fp16.long import LongTile as HalfTile
from edgec.backends.c.fp16.match import HalfLayer
from edgec.backends.c.fp32 import matmul, recurrent, transposed
from edgec.backends.c.fp32.depthwise import FloatWindow
from edgec.backends.c.fp32.match import FloatLayer, clamp_of
from edgec.backends.c.fp32.tile import FloatTile, TapTile
from edgec.backends.c.functions import TRANSCENDENTAL
from edgec.backends.c.i8mm.tile import MatrixTile
from edgec.backends.c.int8 import sums as int8_sums
from edgec.backends.c.int8.depthwise import ByteWindow
from edgec.backends.c.int8.match import EXACT, ByteLayer
from edgec.backends.c.int8.taps import TapTile as ByteTaps
from edgec.backends.c.int16 import steps as int16
from edgec.backends.c.int16.match import WordLayer
from edgec.backends.c.int16.wide import WideTile
from edgec.backends.c.lowbit import steps as bits
from edgec.backends.c.lowbit.binary import BitLayer
from edgec.backends.c.lowbit.decode import decoded_vectors
from edgec.backends.c.mcu import work as mcu
from edgec.backends.c.neon import steps as neon
from edgec.backends.c.neon.depthwise import NeonWindow
from edgec.backends.c.neon.lane import LaneTile
from edgec.backends.c.neon.long import LongTile
from edgec.backends.c.neon.pair import PairTile
from edgec.backends.c.schedule import Schedule, Step
from edgec.backends.c.single import CALLS
from edgec.backends.c.vector.dense import geometry
from edgec.backends.c.vector.depthwise import Window, firsts
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import runs
from edgec.backends.c.vector.runs import run_of
from edgec.backends.c.vector.tile import LANES, Block, split
from edgec.backends.c.view import View
from edgec.formats import F32
from edgec.ops import (
    ConvTranspose,
    Gru,
    Lstm,
    MatMul,
    Op,
    Rnn,
)

CHAINS = 4
"""Sums of bytes' products that have to be under way at the same time to keep the multipliers busy."""
SUMS = 8
"""As many sums of binary32: two multiply-adds begin in a cycle, and each takes four."""
FREE = 8
"""Sums of a tile of pairs that stay in registers around a loop, beside what is multiplied."""


def vectors(found: defaultdict[str, float], schedule: Schedule, step: Step, layer: Layer) -> None:
    """Vector code: the loops of vector/, with the tiles of the family."""
    x, y = schedule.views[layer.op.x], layer.image(schedule.views[step.result])
    if step.copy is not None:
        found["copy"] += x.size
        found["clear"] += step.copy.buffer.bytes if any(step.copy.buffer.halo) else 0
        x = step.copy
    else:
        x = layer.image(x)
    assert x is not None and y is not None
    assert step.family is not None
    if isinstance(layer, FloatLayer):
        _floats(found, schedule, layer, x, y, step.family.guard == "FML")
        return
    if isinstance(layer, BitLayer):
        _bits(found, layer, x, y)
        return
    if isinstance(layer, WordLayer):
        _words(found, layer, x, y)
        return
    assert isinstance(layer, ByteLayer)
    dot = step.family.guard == "DOT"
    if step.family.guard == "I8MM":
        _matrices(found, layer, x, y)
    elif step.family.guard == "DSP":
        mcu.dsp(found, layer, x, y)
    elif step.family.guard == "MVE":
        mcu.mve(found, layer, x, y)
    elif layer.depthwise and ByteWindow.can(layer, y):
        _windows(found, schedule, layer, y, "dot" if dot else "neon")
    elif layer.depthwise:
        _byte_taps(found, layer, x, y, dot)
    elif dot:
        _tiles(found, layer, x, y)
    else:
        _neon(found, layer, x, y)


def _floats(
    found: defaultdict[str, float], schedule: Schedule, layer: FloatLayer, x: View, y: View, long: bool
) -> None:
    """Multiply-adds of binary32, and what loads and stores around them; conversions of halves, which `long` products do
    without, count as loads and stores."""
    twice = 2 if isinstance(layer, HalfLayer) else 1
    if layer.depthwise and FloatWindow.can(layer, y):
        window = FloatWindow.of(layer, layer.window[1][1], 1)
        taps = window.rows * window.columns
        alone = 2 if _one_width(schedule, layer, y, FloatWindow) else 1
        blocks = len(firsts(len(layer.weights), FloatWindow.BLOCK))
        places = y.shape[3]
        for together, count in split(y.shape[2], FloatWindow.most_rows(layer)):
            done, rows = blocks * count, window.rows + window.down * (together - 1)
            found["float_window"] += done * places * taps * together
            found["float_chain"] += done * places * taps * max(SUMS - together * alone, 0)
            if window.rows > 1 and window.columns - window.advance > 1:
                found["float_kept"] += done * places * taps * max(CHAINS - together * alone, 0)
            found["float_column"] += twice * done * rows * (window.advance * places + window.columns - window.advance)
            found["float_result"] += twice * done * places * together
            found["float_row"] += done
            found["float_call"] += blocks
    elif layer.winograd is not None:
        found["float_winograd"] += round(layer.winograd.instructions)
    else:
        if layer.multiples is not None:
            found["float"] += layer.weights.size // 2
            found["float_load"] += layer.weights.size // 8
            found["float_store"] += layer.weights.size // 4
        _float_layer(found, layer, x, y, long)


def _one_width(schedule: Schedule, layer: Layer, y: View, family: type[Window]) -> bool:
    """Whether the function of a depthwise window has rows of as many places in every call: compilers know where its
    loop ends then, and places overlap."""

    def name(of: Layer) -> str:
        return family.of(of, 2 if len(of.weights) < family.BLOCK else of.window[1][1], 1).name

    def same(of: Layer | None, result: View) -> bool:
        if of is None or type(of) is not type(layer) or not of.depthwise:
            return False
        image = of.image(result)
        return image is not None and family.can(of, image) and name(of) == name(layer)

    results = ((step.layer, schedule.views[step.result]) for step in schedule.steps)
    widths = {result.shape[-1] for of, result in results if same(of, result)}
    return widths == {y.shape[3]}


def _float_tiles(
    found: defaultdict[str, float],
    tile: type[FloatTile],
    rows: int,
    n: int,
    taps: int,
    run: int,
    count: int,
    vectors: int,
) -> int:
    """`rows` rows of `n` tiles of `count` places and so many vectors, with `taps` runs each; the turns of a run."""
    tiles, sums = rows * n, count * vectors
    pieces = tile.pieces(run)[0]
    turn = max(tile.turn(pieces, sums), 1)
    turns = -(-pieces // turn // 2) if tile.TWICE and turn > 1 else pieces // turn
    found["float"] += tiles * taps * run * sums
    found["float_idle"] += tiles * taps * run * max(SUMS - sums, 0)
    if issubclass(tile, TapTile):
        found["float_load"] += tiles * taps * (1 + count)
    else:
        found["float_four"] += tiles * taps * run * (vectors // 4)
        found["float_weight"] += tiles * taps * run * (vectors % 4)
        found["float_load"] += tiles * taps * count * -(-run // 4)
    found["float_number"] += tiles * taps * run
    found["float_turn"] += tiles * taps * turns
    found["float_store"] += tiles * sums
    found["float_run"] += tiles * taps
    found["float_tile"] += tiles
    found["float_line"] += rows
    return turns


def _float_layer(found: defaultdict[str, float], layer: FloatLayer, x: View, y: View, long: bool = False) -> None:
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    tile: type[FloatTile] = TapTile if layer.depthwise else HalfTile if long else FloatTile
    run, taps = (1 if layer.depthwise else run), tap_rows * columns
    for block in tile.blocks(layer, tile.block(places)):
        for count, n in split(places, tile.most_places(run, block.vectors)):
            _float_tiles(found, tile, rows, n, taps, run, count, block.vectors)
            found["float_call"] += 1
            if isinstance(layer, HalfLayer):
                widened = 0 if long else block.vectors + count / 4
                found["float_load"] += round(rows * n * taps * run * widened)
                found["float_store"] += rows * n * count * block.vectors


def _words(found: defaultdict[str, float], layer: WordLayer, x: View, y: View) -> None:
    """SMLAL multiplies and adds four numbers of 16 bits, as FMLA does of binary32, and is counted as such."""
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    tile = int16.tile_of(layer)
    numbers = tap_rows * columns * (1 if layer.depthwise else run)
    for block in tile.blocks(layer, tile.block(places)):
        for count, n in split(places, tile.most_places(run, block.vectors)):
            tiles = rows * n
            of_x = count if layer.depthwise else -(-count // 8)
            wider = 2 / block.tile.TOGETHER if issubclass(block.tile, WideTile) else 0  # additions in 64 bits
            found["float"] += round(tiles * numbers * count * block.vectors * (1 + wider))
            found["float_load"] += tiles * numbers * (-(-block.vectors // 2) + of_x)
            found["float_store"] += tiles * count * block.vectors * ((7 if layer.clamp else 5) + (8 if wider else 0))
            found["float_call"] += 1
            found["float_run"] += tiles * tap_rows * columns
            found["float_tile"] += tiles
            found["float_line"] += rows


def others(found: defaultdict[str, float], schedule: Schedule, step: Step) -> None:
    op = step.ops[0]
    if isinstance(op, MatMul):
        _matmul(found, op, schedule.views)
    elif isinstance(op, ConvTranspose):
        if step.scratch is not None:
            found["copy"] += op.x.tensor.size
            found["clear"] += step.scratch.bytes
        for layer, x, y in transposed.parts(step.ops, schedule.views):
            _float_layer(found, layer, x, y)
    elif step.anchor is None:
        _sums(found, schedule, step)
    else:
        _recurrent(found, op, op in schedule.single)


def _sums(found: defaultdict[str, float], schedule: Schedule, step: Step) -> None:
    """Elementwise sums: vectors of every operand, those of a rest included."""
    sums = int8_sums.matched(step.ops)
    if sums is not None:
        operands, kind, lanes, bounds = tuple(sums.linear.terms), "sum_byte", 16, 2 * sums.clamp
    else:
        clamp = clamp_of(step.ops)
        assert clamp is not None
        operands, kind, lanes, bounds = step.ops[0].operands, "sum_number", LANES, sum(map(math.isfinite, clamp))
    run = run_of(operands, step.result, schedule.views)
    count = step.result.tensor.size // run
    done = count * -(-run // lanes)
    found["sum_run"] += count
    found[kind] += done * len(operands)
    found["sum_clamp"] += done * bounds


def _matmul(found: defaultdict[str, float], op: MatMul, views: Mapping[Op, View]) -> None:
    rows, terms = op.shape[-2], op.x.shape[-1]
    batch = math.prod(op.shape[:-2])
    if not matmul.reads_as_it_is(op, views):
        found["copy"] += batch * rows * terms
    for _, count, vectors in matmul.blocks(op):
        packed = count // LANES if 1 in views[op.y].strides[-2:] else 0
        found["copy"] += batch * terms * (LANES * vectors - LANES * packed)
        found["float_load"] += batch * terms * packed
        found["float_store"] += batch * terms * packed
        for places, n in split(rows, FloatTile.most_places(terms, vectors)):
            _float_tiles(found, FloatTile, batch, n, 1, terms, places, vectors)
            found["float_call"] += batch


def _recurrent(found: defaultdict[str, float], op: Op, single: bool) -> None:
    """Vectors times matrices by the tiles of dense layers; then functions, unit by unit."""
    assert isinstance(op, Rnn | Gru | Lstm)
    times, units = op.x.shape[0] * op.x.shape[1], op.h.shape[1]
    for outputs, inputs in recurrent.products(op):
        vectors, most = -(-outputs // LANES), FloatTile.block(1)
        for n, count in ((most, vectors // most), (vectors % most, 1)):
            for _ in range(count if n else 0):
                _float_tiles(found, FloatTile, times, 1, 1, inputs, 1, n)
                found["float_call"] += times
    found["unit"] += times * (op.x.shape[2] + 2 * units)
    gates(found, op, single)


def gates(found: defaultdict[str, float], op: Rnn | Gru | Lstm, single: bool) -> None:
    """The functions of the gates of all steps."""
    calls = {Rnn: (1,), Gru: (2, 1), Lstm: (3, 1, 1)}[type(op)]
    for name, count in zip(op.activations, calls, strict=True):
        if name in TRANSCENDENTAL:
            size = op.x.shape[0] * op.x.shape[1] * op.h.shape[1]
            function(found, name, size * count, single and op.h.format == F32)


def function(found: defaultdict[str, float], name: str, count: int, single: bool) -> None:
    found[f"single_{name}" if single and name in CALLS else "double"] += count


def _windows(found: defaultdict[str, float], schedule: Schedule, layer: ByteLayer, y: View, family: str) -> None:
    rows, places = y.shape[2], y.shape[3]
    paired = len(layer.weights) < ByteWindow.BLOCK
    advance = 2 if paired else layer.window[1][1]
    steps = -(-places // 2) if paired else places
    done = len(firsts(len(layer.weights), ByteWindow.BLOCK)) * rows
    if family == "dot":
        found["dot"] += done * steps * 3 * LANES
        found["dot_apart"] += done * steps * advance * (not _one_width(schedule, layer, y, ByteWindow))
    else:  # products of bytes, and additions of as many as fit into 16 bits
        chains = 2 * -(-9 // NeonWindow.depth_of(layer.weights))
        found["neon_window"] += done * steps * chains
        found["neon_window_more"] += done * steps * (2 * 9 - chains)
        found["neon_kept"] += done * steps * max(3 - advance - _one_width(schedule, layer, y, NeonWindow), 0)
    found[f"{family}_column"] += done * (steps * advance + 3 - advance)
    found[f"{family}_result"] += done * steps * _rescaling(layer, LANES)
    found[f"{family}_row"] += done


def _byte_taps(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View, dot: bool) -> None:
    """Depthwise windows tap by tap, in vector instructions."""
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, _, _, _, taps = ByteTaps.walk(layer, x)
    for block in ByteTaps.blocks(layer, ByteTaps.block(places)):
        assert issubclass(block.tile, ByteTaps)
        pieces = tap_rows * -(-taps // block.tile.DEPTH)
        sums = tap_rows * taps * -(-block.vectors // 2) + pieces * block.vectors
        for count, n in split(places, ByteTaps.most_places(taps, block.vectors)):
            tiles, family = rows * n, "dot" if dot else "neon"
            found["taps"] += tiles * count * sums
            found["taps_load"] += tiles * tap_rows * taps * (count + 1)
            found["taps_run"] += tiles * tap_rows
            found["taps_tile"] += tiles
            found[f"{family}_rescale"] += tiles * count * _rescaling(layer, block.vectors)
            found[f"{family}_line"] += rows
            found[f"{family}_call"] += 1


def _neon(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    if layer.winograd is not None:
        found["neon_winograd"] += round(layer.winograd.instructions)
        return
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    taps, kind = tap_rows * columns, neon.tile_of(layer, places)
    blocks = kind.blocks(layer, kind.block(places))
    if layer.codes is not None:
        found["decode"] += decoded_vectors(blocks)
    for block in blocks:
        tile, channels = block.tile, LANES * block.vectors
        pieces, rest = tile.pieces(run)
        for count, n in split(places, tile.most_places(run, block.vectors)):
            tiles = rows * n
            if issubclass(tile, PairTile):
                parts = taps * (pieces + (rest > 0))  # that are added in 16 bits
                if issubclass(tile, LongTile):
                    parts = tap_rows * LongTile.parts(layer.weights.reshape(-1, tap_rows, columns, run)).shape[2]
                chains = parts * channels  # for each place
                found["neon_pair"] += tiles * count * chains
                more = "neon_long" if issubclass(tile, LongTile) else "neon_more"
                found[more] += tiles * count * (taps * (pieces * tile.DEPTH + rest) * channels - chains)
                if more == "neon_long":  # few sums wait for themselves
                    steps = taps * (pieces * tile.DEPTH + rest)
                    found["neon_idle"] += tiles * steps * max(CHAINS * LANES - count * channels, 0)
                else:
                    found["neon_idle"] += tiles * chains * max(CHAINS - count, 0)
                vectors = pieces * -(-tile.DEPTH // 2) + -(-rest // 2)
                found["neon_load"] += tiles * taps * (channels + count) * vectors
                found["neon_rescale"] += tiles * count * block.vectors * LANES  # pairwise additions
            elif issubclass(tile, LaneTile):
                found["neon_lane"] += tiles * taps * run * count * block.vectors
                found["neon_load"] += tiles * taps * (run * -(-block.vectors // 2) + 2 * count * -(-run // 8))
            else:
                found["neon_lane"] += round(tiles * count * block.vectors * neon.costs(layer, places)[kind])
            if pieces > max(tile.turn(pieces, count * block.vectors), 1):  # a loop, in which registers are scarce
                found["neon_spilled"] += tiles * taps * pieces * max(count * channels - FREE, 0)
            found["neon_rescale"] += tiles * count * _rescaling(layer, block.vectors)
            found["neon_run"] += tiles * taps
            found["neon_tile"] += tiles
            found["neon_call"] += 1
            found["neon_line"] += rows


def _bits(found: defaultdict[str, float], layer: BitLayer, x: View, y: View) -> None:
    """Packing, then vectors of 128 products."""
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    found["xnor_pack"] += height * width * -(-channels // 16)
    tap_rows, columns, run = runs(layer)
    vectors = tap_rows * columns * -(-run // 16)
    tile = bits.tile_for(layer, y)
    made = 3 if layer.threshold else _rescaling(layer, 1)
    blocks = tile.blocks(layer, tile.block(y.shape[3]))
    for _, source, target in bits.parts(layer, y):
        rows, places, *_ = geometry(layer, source, target)
        for block in blocks:
            for count, n in split(places, tile.most_places(run, block.vectors)):
                tiles, outputs = rows * n, LANES * block.vectors
                found["xnor"] += tiles * vectors * count * outputs
                found["xnor_load"] += tiles * vectors * (count + outputs)
                found["xnor_finish"] += tiles * count * block.vectors * (LANES + 2 + made)


def _tiles(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    quads, loads = -(-run // 4), -(-run // 16)
    tile = coded_tile(layer, y) or DotTile
    blocks = tile.blocks(layer, tile.block(places))
    if layer.codes is not None:
        found["decode" if tile is DotTile else "dot_code"] += decoded_vectors(
            DotTile.blocks(layer, DotTile.block(places))
        )
    for block in blocks:
        taps = tap_rows * columns * (2 if block.twice else 1)
        for count, n in split(places, tile.most_places(run, block.vectors)):
            tiles = rows * n
            found["dot_call"] += 1
            found["dot_line"] += rows
            found["dot"] += tiles * taps * quads * count * block.vectors
            found["dot_idle"] += tiles * taps * quads * max(CHAINS - count * block.vectors, 0)
            found["dot_load"] += tiles * taps * (quads * block.vectors + loads * count)
            found["dot_word"] += tiles * taps * quads
            found["dot_rescale"] += tiles * count * _rescaling(layer, block.vectors)
            turns = run // 16 // max(DotTile.turn(run // 16, count * block.vectors), 1)
            found["dot_turn"] += tiles * taps * turns
            if run >= 16 and _held(blocks, block, taps, turns):
                found["dot_held"] += tiles * quads * block.vectors
            found["dot_run"] += tiles * taps
            found["dot_tile"] += tiles


def _held(blocks: Sequence[Block], block: Block, taps: int, turns: int) -> bool:
    """Whether a compiler knows the weights of a block and what is done with them: it loads them once for all places,
    and those that registers do not hold lie on the stack. Tiles that are `short` keep it from that."""
    return taps * max(turns, 1) == 1 and sum(b.count == block.count for b in blocks) == 1


def _matrices(found: defaultdict[str, float], layer: ByteLayer, x: View, y: View) -> None:
    rows, places, *_ = geometry(layer, x, y)
    tap_rows, columns, run = runs(layer)
    taps, words = tap_rows * columns, -(-run // 8)
    for block in MatrixTile.blocks(layer, MatrixTile.block(places)):
        for count, n in MatrixTile.split(places, run, block.vectors):
            tiles, pairs = rows * n, -(-count // 2)
            found["matrix"] += tiles * taps * words * pairs * 2 * block.vectors
            found["matrix_load"] += tiles * taps * words * (2 * pairs + 2 * block.vectors)
            found["matrix_rescale"] += tiles * pairs * (2 * _rescaling(layer, block.vectors) + 2)
            found["matrix_run"] += tiles * taps
            found["matrix_tile"] += tiles
            found["dot_call"] += 1


def _rescaling(layer: ByteLayer, vectors: int) -> int:
    """Vector instructions of `tiles.finished` for one place."""
    clamp = 2 if (layer.lo, layer.hi) != (-128, 127) else 0
    each = 6 if layer.even else {0: 3, EXACT: 10}.get(layer.common_shift, 2)
    return vectors * each + -(-vectors // 2) * 2 + clamp + 1
