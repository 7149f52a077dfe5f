"""Products of two computed matrices in binary32 by the tiles of dense layers.

The second matrix is packed in scratch memory, a block of columns at a time, as constant weights would lie; rows of the
first that no vector can read where they lie are copied behind that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgec.backends.c.fp32.tile import FloatTile
from edgec.backends.c.loops import affine
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.tile import LANES, split
from edgec.backends.c.view import SLACK, View
from edgec.backends.c.writer import Writer
from edgec.formats import F32
from edgec.ops import MatMul, Op

PACK_ROWS = """\
/* Columns of a matrix as a tile reads weights: 4 * vectors numbers of each row, of which quads * 4 are there. */
NOINLINE_ static void @pack_rows(const float *from, float *to, int32_t rows, ptrdiff_t step, int32_t quads,
                                 int32_t vectors) {
  for (int32_t k = 0; k < rows; k++, from += step, to += LANES * vectors) {
    for (int32_t q = 0; q < quads; q++) { vst1q_f32(to + LANES * q, vld1q_f32(from + LANES * q)); }
  }
}
""".replace("LANES", str(LANES))
PACK_COLUMNS = """\
/* The same of a matrix whose columns lie in a row of memory each, `step` apart. */
NOINLINE_ static void @pack_columns(const float *from, float *to, int32_t rows, ptrdiff_t step, int32_t quads,
                                    int32_t vectors) {
  const ptrdiff_t next = LANES * vectors;
  for (int32_t q = 0; q < quads; q++, from += LANES * step) {
    float *w = to + LANES * q;
    int32_t k = 0;
    for (; k + LANES <= rows; k += LANES, w += LANES * next) {
      const float32x4x4_t v = {{vld1q_f32(from + k), vld1q_f32(from + step + k), vld1q_f32(from + 2 * step + k),
                                vld1q_f32(from + 3 * step + k)}};
      vst4q_lane_f32(w, v, 0);
      vst4q_lane_f32(w + next, v, 1);
      vst4q_lane_f32(w + 2 * next, v, 2);
      vst4q_lane_f32(w + 3 * next, v, 3);
    }
    for (; k < rows; k++, w += next) {
      for (int32_t i = 0; i < LANES; i++) { w[i] = from[i * step + k]; }
    }
  }
}
""".replace("LANES", str(LANES))


def can(ops: Sequence[Op]) -> bool:
    """Whether everything is binary32, no op is behind the product, and vectors have something to do."""
    op = ops[0]
    if len(ops) > 1 or not isinstance(op, MatMul) or op.format != F32 or op.x.format != F32:
        return False
    return bool(op.tensor.size) and op.x.shape[-1] > 0 and op.shape[-1] >= LANES


def suits(ops: Sequence[Op], views: Mapping[Op, View]) -> bool:
    """Whether the columns of the result lie side by side."""
    return views[ops[-1]].strides[-1] == 1


def room(ops: Sequence[Op], views: Mapping[Op, View]) -> int:
    """Elements of scratch memory."""
    op = ops[0]
    assert isinstance(op, MatMul)
    packed = _packed(op)
    return packed + (0 if reads_as_it_is(op, views) else op.x.shape[-2] * op.x.shape[-1] + SLACK)


def reads_as_it_is(op: MatMul, views: Mapping[Op, View]) -> bool:
    """Whether vectors can be read of the rows of x: numbers side by side, in memory that goes on behind the last."""
    x, terms = views[op.x], op.x.shape[-1]
    return (x.strides[-1] == 1 or terms == 1) and (terms % LANES == 0 or x.buffer.place == "arena")


def blocks(op: MatMul) -> list[tuple[int, int, int]]:
    """(first column, columns, vectors) of every block."""
    width = LANES * FloatTile.block(op.shape[-2])
    columns = op.shape[-1]
    found = [(first, min(width, columns - first)) for first in range(0, columns, width)]
    return [(first, count, -(-count // LANES)) for first, count in found]


def _packed(op: MatMul) -> int:
    return op.x.shape[-1] * LANES * blocks(op)[0][2]


def body(w: Writer) -> list[str]:
    """Statements of a step with the operands of `w` and `scratch`."""
    op = w.step.ops[0]
    assert isinstance(op, MatMul)
    rows, terms = op.shape[-2], op.x.shape[-1]
    x, y = w.views[op.x], w.views[op.y]
    batch = op.shape[:-2]
    x_at, y_at = _base(w, op.x, batch), _base(w, op.y, batch)
    result = w.result
    to = f"y + {affine(_along(batch, result.strides[:-2]), result.offset)}"
    row = x.strides[-2]
    lines = []
    if not reads_as_it_is(op, w.views):
        index = affine([("m", x.strides[-2]), ("k", x.strides[-1])])
        lines += [
            f"float *rows = scratch + {_packed(op)};",
            f"for (int32_t m = 0; m < {rows}; m++) {{",
            f"  for (int32_t k = 0; k < {terms}; k++) {{ rows[m * {terms} + k] = ({x_at})[{index}]; }}",
            "}",
        ]
        x_at, row = "rows", terms
    name = FloatTile.FACTS[0]
    w.constants.function(name, FloatTile.struct())
    facts = [1, 0, 1, 0, row, result.strides[-2], 0, 0, "0.0f", "0.0f"]
    zeros = w.constants.array(np.zeros(LANES * blocks(op)[0][2], np.float32), as_is=True)
    head = f"static const @{name} t = {{{', '.join(map(str, facts))}}};"
    whole = [b for b in blocks(op) if b[1:] == blocks(op)[0][1:]]
    for group in (whole, blocks(op)[len(whole) :]):
        if not group:
            continue
        first, count, vectors = group[0]
        at = f"b * {count}" if len(group) > 1 else str(first)
        inner = _pack(w, y, f"({y_at})", at, terms, count, vectors)
        inner += _multiplied(w, rows, terms, count, vectors, (x_at, zeros, f"{to} + {at}"), (row, result.strides[-2]))
        if len(group) > 1:
            inner = [f"for (int32_t b = 0; b < {len(group)}; b++) {{", *("  " + line for line in inner), "}"]
        lines += inner
    for axis in reversed(range(len(batch))):
        if batch[axis] > 1:
            loop = f"for (int32_t i{axis} = 0; i{axis} < {batch[axis]}; i{axis}++) {{"
            lines = [loop, *("  " + line for line in lines), "}"]
    return [head, *lines]


def _along(batch: tuple[int, ...], strides: tuple[int, ...]) -> list[tuple[str, int]]:
    return [(f"i{a}", s) for a, (n, s) in enumerate(zip(batch, strides, strict=True)) if s and n > 1]


def _base(w: Writer, operand: Op, batch: tuple[int, ...]) -> str:
    """Where the matrix of an operand begins: batch axes broadcast."""
    name, strides, offset = w.source(operand)
    missing = len(batch) - (len(operand.shape) - 2)
    kept = [0 if n == 1 else s for n, s in zip(operand.shape[:-2], strides[:-2], strict=True)]
    return f"{name} + {affine(_along(batch, (*(0,) * missing, *kept)), offset)}"


def _pack(w: Writer, y: View, base: str, at: str, terms: int, count: int, vectors: int) -> list[str]:
    """Statements that pack `count` columns from `at` on."""
    down, across = y.strides[-2:]
    from_ = f"{base} + ({at}) * {across}"
    quads, rest = divmod(count, LANES)
    lines = []
    if quads and across == 1:
        add(w.constants, "pack_rows", PACK_ROWS)
        lines.append(f"@pack_rows({from_}, scratch, {terms}, {down}, {quads}, {vectors});")
    elif quads and (down == 1 or terms == 1):
        add(w.constants, "pack_columns", PACK_COLUMNS)
        lines.append(f"@pack_columns({from_}, scratch, {terms}, {across}, {quads}, {vectors});")
    else:
        rest = count
        quads = 0
    if rest:
        width, done = LANES * vectors, quads * LANES
        element = f"({from_})[{affine([('k', down), ('j', across)])}]"
        lines += [
            f"for (int32_t k = 0; k < {terms}; k++) {{",
            f"  for (int32_t j = {done}; j < {done + rest}; j++) {{ scratch[k * {width} + j] = {element}; }}",
            *([f"  for (int32_t j = {count}; j < {width}; j++) {{ scratch[k * {width} + j] = 0; }}"]
              if count < width else []),
            "}",
        ]  # fmt: skip
    return lines


def _multiplied(
    w: Writer, rows: int, terms: int, count: int, vectors: int, where: tuple[str, str, str], steps: tuple[int, int]
) -> list[str]:
    """Calls of the tiles for all rows of x and one block."""
    pieces, rest = FloatTile.pieces(terms)
    x_at, zeros, to = where
    lines, done = [], 0
    for places, n in split(rows, FloatTile.most_places(terms, vectors)):
        whole = FloatTile.turn(pieces, places * vectors)
        loop = pieces > whole
        tile = FloatTile(places, vectors, count, "", whole, loop, rest, columns=False, single=True)
        add(w.constants, tile.name, tile.function())
        xs, ys = (f" + {done * s}" if done * s else "" for s in steps)
        turns = pieces // whole if whole else 0
        lines.append(f"{tile.name}({x_at}{xs}, scratch, {zeros}, {to}{ys}, 1, {n}, {turns}, &t);")
        done += places * n
    return lines
