"""C functions that decode a block of weights with TBL into memory that the tiles read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.lowbit.codebook import VECTOR, Codebook
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import runs
from edgec.backends.c.vector.tile import Block, Tile

OVER = 2 * VECTOR * 8
"""Bytes that the last turn may write behind a block, at most (codes of one bit, weights of 16)."""


def book_of(layer: Layer) -> Codebook | None:
    """The codebook of the weights as the tiles read them. Behind a run that fills no vector they read zeros."""
    return Codebook.of(layer.weights, zero=runs(layer)[2] % 8 > 0)


def tables(book: Codebook, parts: int, wide: bool) -> NDArray[np.uint8]:
    """For each part 16 bytes, of `wide` weights 16 low and 16 high ones.

    Two parts are those of `DotTile.parts`: what a byte holds of a value, and the rest."""
    values = np.pad(book.table, (0, VECTOR - len(book.table)))
    split = [values] if parts == 1 else [np.minimum(values, 127), values - np.minimum(values, 127)]
    return np.stack([(v >> shift) & 255 for v in split for shift in ((0, 8) if wide else (0,))]).astype(np.uint8)


def decoder(width: int, wide: bool) -> tuple[str, str]:
    """Name and text of the function for codes of `width` bits and weights of 8 or 16 bits.

    `rows` times: `turns` vectors of codes, decoded once for each part; a decoded row has `size` weights."""
    name = f"@decode_{width}{'_wide' * wide}"
    codes = [code_vector(width, k, "c") for k in range(8 // width)]
    kind, step = ("int16_t", 2) if wide else ("int8_t", 1)
    body = []
    for k, code in enumerate(codes):
        if wide:
            both = f"{{{{vqtbl1q_u8(low, {code}), vqtbl1q_u8(high, {code})}}}}"
            body += [f"const uint8x16x2_t v{k} = {both};", f"vst2q_u8(q + {2 * VECTOR * k}, v{k});"]
        else:
            body.append(f"vst1q_u8(q + {VECTOR * k}, vqtbl1q_u8(low, {code}));")
    held = ["      const uint8x16_t low = vld1q_u8(table);"]
    held += ["      const uint8x16_t high = vld1q_u8(table + 16);"] if wide else []
    lines = [
        f"NOINLINE_ static void {name}(",
        f"    const uint8_t *from, {kind} *to, const uint8_t *tables, int32_t rows, int32_t turns, int32_t parts,",
        "    int32_t size) {",
        f"  const uint8x16_t mask = vdupq_n_u8({(1 << width) - 1});",
        f"  for (int32_t r = 0; r < rows; r++, from += {VECTOR} * turns) {{",
        "    const uint8_t *table = tables;",
        f"    for (int32_t part = 0; part < parts; part++, table += {VECTOR * step}, to += size) {{",
        *held,
        "      const uint8_t *p = from;",
        "      uint8_t *q = (uint8_t *)to;",
        f"      for (int32_t k = 0; k < turns; k++, p += {VECTOR}, q += {VECTOR * (8 // width) * step}) {{",
        "        const uint8x16_t c = vld1q_u8(p);",
        *("        " + line for line in body),
        "      }",
        "    }",
        "  }",
        "}",
    ]
    return name, "\n".join(lines) + "\n"


def code_vector(width: int, k: int, name: str) -> str:
    """The k-th codes of the bytes in a vector."""
    if k == 0:
        return f"vandq_u8({name}, mask)"
    shifted = f"vshrq_n_u8({name}, {width * k})"
    return shifted if width * (k + 1) == 8 else f"vandq_u8({shifted}, mask)"


def rows_of(weights: NDArray[np.integer], rows: int, parts: int) -> NDArray[np.integer]:
    """A block's values as rows that are decoded part by part, in the order in which its tile reads them."""
    if parts == 1:
        return weights.reshape(1, -1)
    return weights.reshape(rows, parts, -1).astype(np.int64).sum(axis=1)


def decoded(
    book: Codebook, group: Sequence[Block], rows: int, constants: Constants, room: str
) -> tuple[str, int, Callable[[str], tuple[list[str], str]]]:
    """The array with the codes of a group's weights, its bytes for each block, and what gives, for the expression of a
    block's codes, the statement that decodes them and the expression of the decoded weights."""
    one = group[0]
    parts, wide = (2 if one.twice else 1), one.tile.WEIGHT == "int16_t"
    rows = rows if one.twice else 1
    packed = [book.packed_vectors(rows_of(b.weights, rows, parts)) for b in group]
    weights = constants.array(np.concatenate([p.ravel() for p in packed]), as_is=True)
    name, text = decoder(book.width, wide)
    add(constants, name, text)
    table = constants.array(tables(book, parts, wide), as_is=True)
    turns, size = packed[0].shape[1] // VECTOR, one.weights.size // (rows * parts)
    to = f"(int16_t *)(void *)({room})" if wide else room

    def statement(codes: str) -> tuple[list[str], str]:
        return [f"{name}({codes}, {to}, {table}, {rows}, {turns}, {parts}, {size});"], to

    return weights, packed[0].size, statement


def workspace(layer: Layer, tiles: Sequence[type[Tile]], places: int) -> int:
    """Bytes for a block of decoded weights, whichever of `tiles` it is for, where a row has `places` at least."""
    if layer.codes is None:
        return 0
    blocks = [b for tile in tiles for b in tile.blocks(layer, tile.block(places))]
    return max(b.weights.nbytes for b in blocks) + OVER


def decoded_vectors(blocks: Sequence[Block]) -> int:
    """Vectors of weights that are decoded for the blocks of a layer."""
    return sum(-(-b.weights.nbytes // VECTOR) for b in blocks)
