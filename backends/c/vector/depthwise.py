"""The loops of depthwise convolutions: a vector of channels at a time along a row.

Columns of the window stay in registers until it has passed them. A window says how it loads a column and how it
multiplies and adds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import corner
from edgec.backends.c.vector.tile import split
from edgec.backends.c.view import View

STRUCT = """\
/* Distances from row to row, from column to column, from result to result and to that below%s. */
typedef struct {
  int32_t row_step, column_step, y_step, y_row;
%s} @%s;
"""


@dataclass(frozen=True)
class Window:
    """The inner loops: results in a row one behind the other, each `advance` columns further, `together` rows at a
    time, each `down` rows of x further; `clamp` as the layer names it."""

    BLOCK: ClassVar[int]
    """Channels of a vector."""
    FAMILY: ClassVar[str]
    ELEMENT: ClassVar[str]
    NUMBER: ClassVar[str]
    """C types of x, y and weights, and of what is known of every channel."""
    VECTOR: ClassVar[tuple[str, str, str]]
    """Type of a vector, and the functions that load one and fill it with a number."""
    FACTS: ClassVar[tuple[str, str, str]]
    """The name of the struct of facts, what they are and their members behind those that all windows have."""

    columns: int
    advance: int
    down: int
    together: int
    clamp: str

    @classmethod
    def can(cls, layer: Any, y: View) -> bool:
        """Whether a layer has such windows; y is its result as an image."""
        raise NotImplementedError

    @classmethod
    def of(cls, layer: Any, advance: int, together: int) -> Window:
        """The window of a layer."""
        raise NotImplementedError

    @classmethod
    def most_rows(cls, layer: Any) -> int:
        """Rows of results that are computed together."""
        return 1

    @classmethod
    def facts(cls, layer: Any) -> list[str]:
        """The values of the members that `FACTS` adds."""
        raise NotImplementedError

    @classmethod
    def numbers(cls, layer: Any, channels: NDArray) -> NDArray:
        """What is known of some channels: [..., channels]."""
        raise NotImplementedError

    @classmethod
    def packed(cls, w: NDArray) -> NDArray:
        """Weights [channels, rows, columns] in the order of columns and registers."""
        raise NotImplementedError

    def registers(self, column: int) -> list[str]:
        """Names of the vectors of a column of x."""
        raise NotImplementedError

    def weights(self, column: int) -> list[str]:
        """Names of the vectors of a column of weights."""
        return [f"w{register[1:]}" for register in self.registers(column)]

    def column(self, column: int) -> list[str]:
        """Statements that load the column at x and go on to the next."""
        raise NotImplementedError

    def held(self) -> list[str]:
        """Statements for what stays in registers beside the weights and the steps."""
        raise NotImplementedError

    def place(self, order: list[int]) -> list[str]:
        """Statements that make the results at y of the columns, which lie in registers in this order."""
        raise NotImplementedError

    def special(self) -> str:
        """What distinguishes this function from others of the family with the same fields."""
        return ""

    @property
    def name(self) -> str:
        rows = f"_d{self.down}" + f"_r{self.together}" * (self.together > 1)
        return f"@{self.FAMILY}_{self.advance}" + self.special() + rows + f"_{self.clamp}" * bool(self.clamp)

    def function(self) -> str:
        """`rows` times `together` rows of `places`."""
        kind, load, fill = self.VECTOR
        n = range(self.columns)
        lines = [
            f"NOINLINE_ static void {self.name}(",
            f"    const {self.ELEMENT} *from, const {self.ELEMENT} *w, const {self.NUMBER} *numbers,",
            f"    {self.ELEMENT} *to, int32_t rows, int32_t places, const @{self.FACTS[0]} *t) {{",
        ]
        at = 0
        for column in n:
            made = []
            for weight in self.weights(column):
                made.append(f"{weight} = {load}(w + {at})")
                at += self.BLOCK
            lines.append(f"  const {kind} {', '.join(made)};")
        lines.append(f"  const {kind} none = {fill}(0);")
        lines += self.held()
        lines.append("  const ptrdiff_t row_step = t->row_step, column_step = t->column_step;")
        lines.append("  const ptrdiff_t y_step = t->y_step, y_row = t->y_row;")
        lines.append("  for (int32_t r = 0; r < rows; r++) {")
        lines.append(f"    const {self.ELEMENT} *x = from;")
        lines.append(f"    {self.ELEMENT} *y = to;")
        lines.append("    int32_t left = places;")
        for column in n:
            lines.append(f"    {kind} " + ", ".join(f"{c} = none" for c in self.registers(column)) + ";")
        for column in range(self.columns - self.advance):
            lines += ["    " + line for line in self.column(column)]
        lines.append("    for (;;) {")
        order = list(n)
        for _ in range(self.columns // math.gcd(self.columns, self.advance)):  # then they are in their old registers
            lines.append("      if (left-- == 0) { break; }")
            for k in range(self.columns - self.advance, self.columns):
                lines += ["      " + line for line in self.column(order[k])]
            lines += ["      {", *("        " + line for line in self.place(order)), "        y += y_step;", "      }"]
            order = order[self.advance :] + order[: self.advance]
        lines += ["    }", f"    from += {self.down * self.together} * row_step;"]
        lines += [f"    to += {self.together} * y_row;", "  }", "}"]
        return "\n".join(lines) + "\n"


def firsts(channels: int, block: int) -> list[int]:
    """First channels of the blocks; the last may overlap the one before."""
    return [min(first, max(channels - block, 0)) for first in range(0, channels, block)]


def depthwise(layer: Layer, x: View, y: View, constants: Constants, base: str, family: type[Window]) -> list[str]:
    """Statements that compute a layer from x at `base`. A block that is larger than the channels is two places."""
    _, (sy, sx), _, _ = layer.window
    rows, places, channels, block = y.shape[2], y.shape[3], len(layer.weights), family.BLOCK
    offset = corner(layer, x)
    paired = channels < block
    y_step = y.strides[3] * (2 if paired else 1)
    name, what, members = family.FACTS
    constants.function(name, STRUCT % (what, members, name))
    facts = [x.strides[2], x.strides[3], y_step, y.strides[2], *family.facts(layer)]
    lines = [f"static const @{name} t = {{{', '.join(map(str, facts))}}};"]
    starts = firsts(channels, block)
    chosen = [np.arange(first, first + block) % max(channels, 1) for first in starts]
    packed = [family.packed(layer.weights[c, :, :, 0]).ravel() for c in chosen]
    table = [family.numbers(layer, c).ravel() for c in chosen]
    weights = constants.array(np.concatenate(packed), as_is=True)
    numbers = constants.array(np.concatenate(table), as_is=True)
    n, last = len(chosen), starts[-1]
    at = f"{block} * b" if last == block * (n - 1) else f"(b == {n - 1} ? {last} : {block} * b)"
    spans = [(0, places)]
    if paired:  # the last of an odd number again, with the one before
        spans = [(0, places // 2), *([(places - 2, 1)] * (places % 2))]
    calls = []
    done = 0
    for together, count in split(rows, family.most_rows(layer)):
        window = family.of(layer, 2 if paired else sx, together)
        add(constants, window.name, window.function())
        for first, steps in spans:
            x_at = offset + done * x.strides[2] * sy + first * x.strides[3]
            y_at = y.offset + done * y.strides[2] + first * y.strides[3]
            calls += [
                f"  {window.name}({base} + {x_at} + {at}, {weights} + b * {packed[0].size},",
                f"      {numbers} + b * {table[0].size}, y + {y_at} + {at}, {count}, {steps}, &t);",
            ]
        done += together * count
    return [*lines, f"for (int32_t b = 0; b < {n}; b++) {{", *calls, "}"]
