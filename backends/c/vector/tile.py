"""What the inner loops of convolutions and dense layers have in common: some places in a row times some channels.

A run of elements (the columns of the window times the channels) lies in memory without gaps, so that a window of any
width is one run a row. A tile says what it does with one piece of a run, how it packs weights for that, how its sums
become one vector for each place and four channels, and how these become results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import runs
from edgec.backends.c.view import View

LANES = 4
"""Output channels of one vector of sums."""
STRUCT = """\
/* What a tile needs to know: rows and columns of taps that are visited one by one with the distance to the next,
   distances between places and between rows of them%s. */
typedef struct {
  int32_t rows, row_step, columns, column_step, x_step, y_step, x_row, y_row;
%s} @%s;
"""


def split(places: int, most: int) -> list[tuple[int, int]]:
    """(places, tiles) that cover a row, of nearly equal size."""
    count = -(-places // most)
    small, more = divmod(places, count)
    return [(p, n) for p, n in ((small + 1, more), (small, count - more)) if n]


@dataclass(frozen=True, eq=False)
class Block:
    """Output channels from `first` on, `count` of them in `vectors` vectors: weights as the tile reads them, and
    `numbers` that it needs for every channel. A run is visited in so many `parts`.

    `twice`: weights that a byte cannot hold are the sum of two, which are multiplied one after the other: every run
    is done with the first ones, then with the second ones."""

    first: int
    count: int
    vectors: int
    weights: NDArray
    numbers: NDArray
    tile: type[Tile]
    parts: int = 1
    twice: bool = False
    x: int = 0
    """The first channel of x that it takes, where these come in groups."""


@dataclass(frozen=True)
class Tile:
    """`places` times `vectors` vectors of sums, of which `count` channels are stored, with a `clamp` as the layer
    names it.

    `whole`: pieces of a run that one turn of the loop does (0: runs are shorter), `loop`: there are more turns than
    one; `rest`: what of a piece lies behind them, as the tile counts it; `columns`: the taps of a row are visited one
    by one; `single`: there is one run in all."""

    FAMILY: ClassVar[str]
    TWICE: ClassVar[bool] = False
    """Whether Clang has registers for two turns of a loop as one."""
    PIECE: ClassVar[int]
    """Elements of a run that are done together."""
    ELEMENT: ClassVar[str]
    WEIGHT: ClassVar[str]
    NUMBER: ClassVar[str]
    """C types of x and y, of weights and of what is known of every channel."""
    FULL: ClassVar[bool] = False
    """Whether blocks have all vectors, also where fewer channels are left."""
    RESULT: ClassVar[str] = ""
    """The type of y, where it is another one."""
    FACTS: ClassVar[tuple[str, str, str]]
    """The name of the struct of facts, what they are and their members behind those that all tiles have."""

    places: int
    vectors: int
    count: int
    clamp: str
    whole: int
    loop: bool
    rest: int
    columns: bool
    single: bool

    @classmethod
    def struct(cls) -> str:
        name, what, members = cls.FACTS
        return STRUCT % (what, members, name)

    @classmethod
    def facts(cls, layer: Any) -> list[str]:
        """The values of the members that `FACTS` adds."""
        raise NotImplementedError

    @classmethod
    def kind(cls, layer: Any) -> dict[str, Any]:
        """Fields of a tile that depend on nothing but the layer."""
        return {"clamp": layer.clamp}

    @classmethod
    def numbers(cls, layer: Any, first: int, count: int) -> NDArray:
        """What is known of the channels from `first` on, zero beyond the last: [..., count]."""
        raise NotImplementedError

    @classmethod
    def walk(cls, layer: Layer, x: View) -> tuple[int, int, int, int, int]:
        """Rows and columns of taps that are visited one by one, each with the distance to the next, and the run."""
        rows, columns, run = runs(layer)
        _, _, (dy, dx), _ = layer.window
        row_step = x.strides[2] * dy if rows > 1 else 0
        return rows, row_step, columns, x.strides[3] * dx if columns > 1 else 0, run

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
    def split(cls, places: int, run: int, vectors: int) -> list[tuple[int, int]]:
        """(places, tiles) that cover a row."""
        return split(places, cls.most_places(run, vectors))

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        """How many pieces of a run are done in one turn of the loop."""
        raise NotImplementedError

    @classmethod
    def refined(cls, w: NDArray) -> type[Tile]:
        """The tile for a block with weights [channels, rows, columns, run]."""
        return cls

    @classmethod
    def packed(cls, w: NDArray) -> NDArray:
        """Weights [channels, rows, columns, run] in the order in which they are read."""
        raise NotImplementedError

    def held(self) -> list[str]:
        """Statements for what stays in registers beside the steps."""
        raise NotImplementedError

    def begun(self) -> list[str]:
        """Statements that begin the sums."""
        raise NotImplementedError

    def piece(self, offset: int) -> list[str]:
        """Statements for the piece of a run at `offset`."""
        raise NotImplementedError

    def remainder(self) -> list[str]:
        """Statements for the rest of a run."""
        raise NotImplementedError

    def finish(self) -> list[str]:
        """Statements that make results of the sums and store them."""
        raise NotImplementedError

    @classmethod
    def blocks(cls, layer: Layer, vectors: int) -> list[Block]:
        """All output channels, group by group, `vectors` vectors at a time; the rest in as few as it needs."""
        groups = 1 if layer.depthwise else layer.groups
        outputs, block = len(layer.weights) // groups, LANES * vectors
        rows, columns, run = runs(layer)
        run = 1 if layer.depthwise else run
        w = np.zeros((groups, -(-outputs // block) * block, rows, columns, run), layer.weights.dtype)
        w[:, :outputs] = layer.weights.reshape(groups, outputs, rows, columns, run)
        made = []
        for group in range(groups):
            for start in range(0, outputs, block):
                count = min(block, outputs - start)
                n, first = vectors if cls.FULL else -(-count // LANES), group * outputs + start
                chosen = cls.parts(w[group, start : start + n * LANES])
                tile = cls.refined(chosen)
                numbers = cls.numbers(layer, first, n * LANES)
                parts, twice = chosen.shape[2] // columns, chosen[0].size > rows * columns * run
                x = group * layer.weights.shape[3]
                made.append(Block(first, count, n, tile.packed(chosen), numbers, tile, parts, twice, x))
        return made

    @classmethod
    def parts(cls, w: NDArray) -> NDArray:
        """Weights [channels, rows, columns, run] that the tile can multiply: where one is too large for it, two
        columns in place of one, with what the sum of both is; where a run is too long, columns that are parts of it."""
        return w

    @property
    def short(self) -> bool:
        """Whether a compiler would load all weights of a run ahead of the places, more than registers hold."""
        return False

    def special(self) -> list[str]:
        """What distinguishes this function from others of the tile with the same fields."""
        return []

    @property
    def name(self) -> str:
        parts = [
            f"@{self.FAMILY}_{self.places}x{self.vectors}",
            f"{'l' if self.loop else 'v'}{self.whole}" * (self.whole > 0) + f"w{self.rest}" * (self.rest > 0),
        ]
        parts += [f"n{self.count}"] if self.count != LANES * self.vectors else []
        form = "columns" * self.columns or "single" * self.single
        return "_".join(filter(None, [*parts, *self.special(), form, self.clamp]))

    def function(self) -> str:
        """`lines` rows of `tiles` times `places` neighbouring results."""
        result = self.RESULT or self.ELEMENT
        lines = [
            f"NOINLINE_ static void {self.name}(",
            f"    const {self.ELEMENT} *from, const {self.WEIGHT} *weights, const {self.NUMBER} *numbers,",
            f"    {result} *to, int32_t lines, int32_t tiles, int32_t turns, const @{self.FACTS[0]} *t) {{",
            *(["  (void)turns;"] * (not self.loop)),
            "  /* in registers: a store of results might change the struct, as far as a compiler knows */",
            "  const ptrdiff_t x_step = t->x_step, y_step = t->y_step, x_row = t->x_row, y_row = t->y_row;",
            *(["  const ptrdiff_t row_step = t->row_step;", "  const int32_t rows = t->rows;"] * (not self.single)),
            *(
                ["  const ptrdiff_t column_step = t->column_step;", "  const int32_t columns = t->columns;"]
                * self.columns
            ),
            *self.held(),
            "  for (int32_t line = 0; line < lines; line++, from += x_row, to += y_row) {",
            f"    const {self.ELEMENT} *x = from;",
            f"    {result} *y = to;",
            "    for (int32_t k = 0; k < tiles; k++) {",
            f"      const {self.WEIGHT} *w = weights;",
            *(["      UNKNOWN_(w);"] * self.short),
            f"      const {self.ELEMENT} *row = x;",
            *("      " + line for line in self.begun()),
        ]
        inner = self._run()
        if self.columns:
            head = "for (int32_t j = 0; j < columns; j++, column += column_step) {"
            inner = [f"const {self.ELEMENT} *column = row;", head, *("  " + line for line in inner), "}"]
        lines.append("      {" if self.single else "      for (int32_t i = 0; i < rows; i++, row += row_step) {")
        lines += [*("        " + line for line in inner), "      }", *("      " + line for line in self.finish())]
        lines += [f"      x += {self.places} * x_step;", f"      y += {self.places} * y_step;", "    }", "  }", "}"]
        return "\n".join(lines) + "\n"

    def _run(self) -> list[str]:
        """One run of every place."""
        p = range(self.places)
        step = self.PIECE * self.whole
        lines = [f"const {self.ELEMENT} *x0 = {'column' if self.columns else 'row'};"]
        lines += [f"const {self.ELEMENT} *x{i} = x{i - 1} + x_step;" for i in p[1:]]
        if self.whole:
            lines += ["TWICE_"] if self.loop and self.TWICE and self.whole > 1 else []
            lines.append("for (int32_t c = 0; c < turns; c++) {" if self.loop else "{")
            for offset in range(0, step, self.PIECE):
                lines += ["  {", *("    " + line for line in self.piece(offset)), "  }"]
            on = self.loop or self.rest
            lines += [*(["  " + " ".join(f"x{i} += {step};" for i in p)] if on else []), "}"]
        return lines + (["{", *("  " + line for line in self.remainder()), "}"] if self.rest else [])
