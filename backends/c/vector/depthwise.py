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
from edgec.backends.c.view import View

STRUCT = """\
/* Distances from row to row, from column to column and from result to result%s. */
typedef struct {
  int32_t row_step, column_step, y_step;
%s} @%s;
"""


@dataclass(frozen=True)
class Window:
    """The inner loop: a result in a row behind the other, each `advance` columns further; `clamp` as the layer names
    it."""

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
    clamp: str

    @classmethod
    def of(cls, layer: Any, advance: int) -> Window:
        """The window of a layer."""
        raise NotImplementedError

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
        """Names of the vectors of a column of x; those of its weights begin with w, not c."""
        raise NotImplementedError

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
        return f"@{self.FAMILY}_{self.advance}" + self.special() + f"_{self.clamp}" * bool(self.clamp)

    def function(self) -> str:
        kind, load, fill = self.VECTOR
        n = range(self.columns)
        struct = self.FACTS[0]
        lines = [
            f"NOINLINE_ static void {self.name}(",
            f"    const {self.ELEMENT} *x, const {self.ELEMENT} *w, const {self.NUMBER} *numbers,",
            f"    {self.ELEMENT} *y, int32_t places, const @{struct} *t) {{",
        ]
        at = 0
        for column in n:
            made = []
            for register in self.registers(column):
                made.append(f"w{register[1:]} = {load}(w + {at})")
                at += self.BLOCK
            lines.append(f"  const {kind} {', '.join(made)};")
        lines.append(f"  const {kind} none = {fill}(0);")
        lines += self.held()
        lines.append("  const ptrdiff_t row_step = t->row_step, column_step = t->column_step, y_step = t->y_step;")
        for column in n:
            lines.append(f"  {kind} " + ", ".join(f"{c} = none" for c in self.registers(column)) + ";")
        for column in range(self.columns - self.advance):
            lines += ["  " + line for line in self.column(column)]
        lines.append("  for (;;) {")
        order = list(n)
        for _ in range(self.columns // math.gcd(self.columns, self.advance)):  # then they are in their old registers
            lines.append("    if (places-- == 0) { return; }")
            for k in range(self.columns - self.advance, self.columns):
                lines += ["    " + line for line in self.column(order[k])]
            lines += ["    {", *("      " + line for line in self.place(order)), "      y += y_step;", "    }"]
            order = order[self.advance :] + order[: self.advance]
        lines += ["  }", "}"]
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
    window = family.of(layer, 2 if paired else sx)
    add(constants, window.name, window.function())
    facts = [x.strides[2], x.strides[3], y_step, *family.facts(layer)]
    lines = [f"static const @{name} t = {{{', '.join(map(str, facts))}}};"]
    starts = firsts(channels, block)
    chosen = [np.arange(first, first + block) % max(channels, 1) for first in starts]
    packed = [window.packed(layer.weights[c, :, :, 0]).ravel() for c in chosen]
    table = [family.numbers(layer, c).ravel() for c in chosen]
    weights = constants.array(np.concatenate(packed), as_is=True)
    numbers = constants.array(np.concatenate(table), as_is=True)
    n, last = len(chosen), starts[-1]
    at = f"{block} * b" if last == block * (n - 1) else f"(b == {n - 1} ? {last} : {block} * b)"
    steps = math.ceil(places / 2) if paired else places
    w_at = f"{weights} + b * {packed[0].size}"
    return [
        *lines,
        f"for (int32_t b = 0; b < {n}; b++) {{",
        f"  for (int32_t r = 0; r < {rows}; r++) {{",
        f"    {window.name}({base} + {offset} + {at} + r * {x.strides[2] * sy}, {w_at}, {numbers} + b * {table[0].size},",
        f"        y + {y.offset} + {at} + r * {y.strides[2]}, {steps}, &t);",
        "  }",
        "}",
    ]
