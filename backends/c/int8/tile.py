"""What the inner loops of convolutions and dense layers have in common: some places in a row times some channels.

A run of bytes (the columns of the window times the channels) lies in memory without gaps, so that a window of any width
is one run a row. A family says what it does with one piece of a run, how it packs weights for that, and how its sums
become one vector for each place and four channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.finish import finished
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.place import runs

LANES = 4
"""Output channels of one vector of sums."""
STRUCT = """\
/* What a tile needs to know: rows and columns of taps that are visited one by one with the distance to the next,
   distances between places, the zero point and the clamp. */
typedef struct {
  int32_t rows, row_step, columns, column_step, x_step, y_step;
  int16_t zero;
  int8_t lo, hi;
} @tile;
"""


@dataclass(frozen=True, eq=False)
class Block:
    """Output channels from `first` on, `count` of them in `vectors` vectors: weights as the tile reads them, and
    `numbers`: bias, multiplier, minus shift, by channel."""

    first: int
    count: int
    vectors: int
    weights: NDArray[np.integer]
    numbers: NDArray[np.int32]
    tile: type[Tile]


def numbers(layer: ByteLayer, first: int, count: int) -> NDArray[np.int32]:
    """Bias, multiplier, minus shift [3, count] of channels from `first` on; zero beyond the last."""
    table = np.stack([layer.bias, layer.shared, -layer.shift])[:, first : first + count]
    return np.pad(table, ((0, 0), (0, count - table.shape[1]))).astype(np.int32)


@dataclass(frozen=True)
class Tile:
    """`places` times `vectors` vectors of sums, of which `count` channels are stored, rescaled with a `shift` that all
    channels share (0: each has its own) and clamped or not.

    `whole`: pieces of a run that one turn of the loop does (0: runs are shorter), `loop`: there are more turns than
    one; `rest`: what of a piece lies behind them, as the family counts it; `columns`: the taps of a row are visited one
    by one; `single`: there is one run in all."""

    FAMILY: ClassVar[str]
    PIECE: ClassVar[int] = 16
    """Bytes of a run that are done together."""
    WEIGHT: ClassVar[str] = "int8_t"

    places: int
    vectors: int
    count: int
    clamp: bool
    shift: int
    whole: int
    loop: bool
    rest: int
    columns: bool
    single: bool

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        """How many whole pieces a run has, and the rest."""
        raise NotImplementedError

    @classmethod
    def block(cls, places: int) -> int:
        """Vectors of channels that are computed together where a row has `places`."""
        raise NotImplementedError

    @classmethod
    def most_places(cls, run: int, vectors: int) -> int:
        """Places that are computed together, as many as registers hold sums of."""
        raise NotImplementedError

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        """How many pieces of a run are done in one turn of the loop."""
        raise NotImplementedError

    @classmethod
    def refined(cls, w: NDArray[np.int8]) -> type[Tile]:
        """The tile for a block with weights [channels, rows, columns, run]."""
        return cls

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """Weights [channels, rows, columns, run] in the order in which they are read."""
        raise NotImplementedError

    def piece(self, offset: int) -> list[str]:
        """Statements for the piece of a run at `offset`."""
        raise NotImplementedError

    def remainder(self) -> list[str]:
        """Statements for the rest of a run."""
        raise NotImplementedError

    def begun(self) -> list[str]:
        """Statements that begin the sums."""
        raise NotImplementedError

    def summed(self) -> list[str]:
        """Statements that leave the sums of place i and vector n in `s{i}{n}`."""
        return []

    @classmethod
    def blocks(cls, layer: ByteLayer, vectors: int) -> list[Block]:
        """All output channels, `vectors` vectors at a time; the rest in as few as it needs."""
        outputs, block = len(layer.weights), LANES * vectors
        rows, columns, run = runs(layer)
        w = np.zeros((-(-outputs // block) * block, rows, columns, run), np.int8)
        w[:outputs] = layer.weights.reshape(outputs, rows, columns, run)
        made = []
        for first in range(0, outputs, block):
            count = min(block, outputs - first)
            n = -(-count // LANES)
            chosen = w[first : first + n * LANES]
            tile = cls.refined(chosen)
            made.append(Block(first, count, n, tile.packed(chosen), numbers(layer, first, n * LANES), tile))
        return made

    @property
    def name(self) -> str:
        parts = [
            f"@{self.FAMILY}_{self.places}x{self.vectors}",
            f"{'l' if self.loop else 'v'}{self.whole}" * (self.whole > 0) + f"w{self.rest}" * (self.rest > 0),
        ]
        parts += [f"n{self.count}"] if self.count != LANES * self.vectors else []
        parts += [f"s{self.shift}"] if self.shift else []
        form = "columns" * self.columns or "single" * self.single
        return "_".join(filter(None, [*parts, form, "clamp" * self.clamp]))

    def function(self) -> str:
        """`tiles` times `places` neighbouring results."""
        p, v = range(self.places), range(self.vectors)
        lines = [
            f"NOINLINE_ static void {self.name}(",
            f"    const int8_t *x, const {self.WEIGHT} *weights, const int32_t *numbers, int8_t *y, int32_t tiles,",
            "    int32_t turns, const @tile *t) {",
            *(["  (void)turns;"] * (not self.loop)),
            "  /* in registers: a store of codes might change the struct, as far as a compiler knows */",
            "  const ptrdiff_t x_step = t->x_step, y_step = t->y_step;",
            *(["  const ptrdiff_t row_step = t->row_step;", "  const int32_t rows = t->rows;"] * (not self.single)),
            *(
                ["  const ptrdiff_t column_step = t->column_step;", "  const int32_t columns = t->columns;"]
                * self.columns
            ),
            "  const int16x8_t zero = vdupq_n_s16(t->zero);",
            *(["  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);"] if self.clamp else []),
            "  for (int32_t k = 0; k < tiles; k++) {",
            f"    const {self.WEIGHT} *w = weights;",
            "    const int8_t *row = x;",
            *("    " + line for line in self.begun()),
        ]
        inner = self._run()
        if self.columns:
            head = "for (int32_t j = 0; j < columns; j++, column += column_step) {"
            inner = ["const int8_t *column = row;", head, *("  " + line for line in inner), "}"]
        lines.append("    {" if self.single else "    for (int32_t i = 0; i < rows; i++, row += row_step) {")
        lines += [*("      " + line for line in inner), "    }", *("    " + line for line in self.summed())]
        for n in v:
            lines.append(f"    const int32x4_t m{n} = vld1q_s32(numbers + {LANES * (self.vectors + n)});")
            if not self.shift:
                lines.append(f"    const int32x4_t r{n} = vld1q_s32(numbers + {LANES * (2 * self.vectors + n)});")
        together = max(1, LANES // self.vectors)
        for first in range(0, self.places, together):
            lines += ["    " + line for line in self._finished(p[first : first + together])]
        lines += [f"    x += {self.places} * x_step;", f"    y += {self.places} * y_step;", "  }", "}"]
        return "\n".join(lines) + "\n"

    def _finished(self, places: Sequence[int]) -> list[str]:
        """Statements that store the codes of some places, 16 at the most."""
        v = range(self.vectors)
        stores = [(f"y + {i} * y_step" if i else "y", self.count) for i in places]
        sums = [f"s{i}{n}" for i in places for n in v]
        m, r = ([f"{letter}{n}" for _ in places for n in v] for letter in "mr")
        return finished(sums, m, r, self.shift, self.clamp, stores)

    def _run(self) -> list[str]:
        """One run of bytes of every place."""
        p = range(self.places)
        step = self.PIECE * self.whole
        lines = [f"const int8_t *x0 = {'column' if self.columns else 'row'};"]
        lines += [f"const int8_t *x{i} = x{i - 1} + x_step;" for i in p[1:]]
        if self.whole:
            lines.append("for (int32_t c = 0; c < turns; c++) {" if self.loop else "{")
            for offset in range(0, step, self.PIECE):
                lines += ["  {", *("    " + line for line in self.piece(offset)), "  }"]
            on = self.loop or self.rest
            lines += [*(["  " + " ".join(f"x{i} += {step};" for i in p)] if on else []), "}"]
        return lines + (["{", *("  " + line for line in self.remainder()), "}"] if self.rest else [])
