"""The loops of 3 x 3 depthwise convolutions: 16 channels at a time along a row, or two neighbouring places of eight.

Columns of the window stay in registers until it has passed them. A family says how it loads a column and how it
multiplies and adds the three of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.int8.finish import add, finished
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.place import BLOCK, corner
from edgec.backends.c.view import View

STRUCT = """\
/* Distances from row to row, from column to column and from result to result, the zero point and the clamp. */
typedef struct {
  int32_t row_step, column_step, y_step;
  int16_t zero;
  int8_t lo, hi;
} @window;
"""


@dataclass(frozen=True)
class Window:
    """The inner loop: a result in a row behind the other, each `advance` columns further; `shift` and `clamp` as in
    `tile.Tile`."""

    advance: int
    shift: int
    clamp: bool

    def registers(self, column: int) -> list[str]:
        """Names of the vectors of a column of x; those of its weights begin with w, not c."""
        raise NotImplementedError

    def column(self, column: int) -> list[str]:
        """Statements that load the column at x and go on to the next."""
        raise NotImplementedError

    def multiplied(self, order: list[int]) -> list[str]:
        """Statements that add the products of the columns, which lie in registers in this order, to s0 .. s3."""
        raise NotImplementedError

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.int8]:
        """Weights [16 channels, 3 rows, 3 columns] in the order of columns and registers."""
        raise NotImplementedError

    def kind(self) -> str:
        """What distinguishes this function from others of the family with the same fields."""
        return ""

    @property
    def name(self) -> str:
        return f"@depthwise_{self.advance}" + self.kind() + f"_s{self.shift}" * (self.shift > 0) + "_clamp" * self.clamp

    def function(self) -> str:
        lines = [
            f"NOINLINE_ static void {self.name}(",
            "    const int8_t *x, const int8_t *w, const int32_t *numbers, int8_t *y, int32_t places,",
            "    const @window *t) {",
        ]
        at = 0
        for column in range(3):
            made = []
            for register in self.registers(column):
                made.append(f"w{register[1:]} = vld1q_s8(w + {at})")
                at += BLOCK
            lines.append(f"  const int8x16_t {', '.join(made)};")
        lines.append("  const int8x16_t none = vdupq_n_s8(0);")
        lines.append("  const int16x8_t zero = vdupq_n_s16(t->zero);")
        if self.clamp:
            lines.append("  const int8x16_t low = vdupq_n_s8(t->lo), high = vdupq_n_s8(t->hi);")
        lines.append("  const ptrdiff_t row_step = t->row_step, column_step = t->column_step, y_step = t->y_step;")
        for column in range(3):
            lines.append("  int8x16_t " + ", ".join(f"{c} = none" for c in self.registers(column)) + ";")
        for column in range(3 - self.advance):
            lines += ["  " + line for line in self.column(column)]
        lines.append("  for (;;) {")
        order = [0, 1, 2]
        for _ in range(3):  # after three places the columns are in their old registers
            lines.append("    if (places-- == 0) { return; }")
            lines += ["    " + line for line in self._place(order)]
            order = order[self.advance :] + order[: self.advance]
        lines += ["  }", "}"]
        return "\n".join(lines) + "\n"

    def _place(self, order: list[int]) -> list[str]:
        lines = []
        for k in range(3 - self.advance, 3):
            lines += self.column(order[k])
        lines.append("{")
        for n in range(4):
            lines.append(f"  int32x4_t s{n} = vld1q_s32(numbers + {4 * n});")
        lines += ["  " + line for line in self.multiplied(order)]
        m, r = ([f"vld1q_s32(numbers + {base + 4 * n})" for n in range(4)] for base in (16, 32))
        done = finished([f"s{n}" for n in range(4)], m, r, self.shift, self.clamp, [("y", 16)])
        return [*lines, *("  " + line for line in done), "  y += y_step;", "}"]


def channels_of(layer: ByteLayer, first: int) -> NDArray[np.int64]:
    """The channels of 16 lanes; 8 channels count twice."""
    return np.arange(first, first + BLOCK) % max(len(layer.weights), 1)


def firsts(layer: ByteLayer) -> list[int]:
    """First channels of the blocks of 16; the last may overlap the one before."""
    channels = len(layer.weights)
    return [min(first, max(channels - BLOCK, 0)) for first in range(0, channels, BLOCK)]


def depthwise(
    layer: ByteLayer, x: View, y: View, constants: Constants, base: str, family: Callable[[int, int, bool], Window]
) -> list[str]:
    """Statements that compute a layer from x at `base`, with the loop that `family` makes of the fields of Window."""
    _, (sy, sx), _, _ = layer.window
    rows, places = y.shape[2], y.shape[3]
    offset = corner(layer, x)
    clamp = (layer.lo, layer.hi) != (-128, 127)
    paired = len(layer.weights) < BLOCK
    y_step = y.strides[3] * (2 if paired else 1)
    constants.functions.setdefault("window", STRUCT)
    window = family(2 if paired else sx, layer.common_shift, clamp)
    add(constants.functions, window.name, window.function())
    facts = [x.strides[2], x.strides[3], y_step, layer.zero, layer.lo, layer.hi]
    lines = [f"static const @window t = {{{', '.join(map(str, facts))}}};"]
    chosen = [channels_of(layer, first) for first in firsts(layer)]
    packed = [window.packed(layer.weights[c, :, :, 0]).ravel() for c in chosen]
    table = np.stack([layer.bias, layer.shared, -layer.shift]).astype(np.int32)
    weights = constants.array(np.concatenate(packed), as_is=True)
    numbers = constants.array(np.concatenate([table[:, c].ravel() for c in chosen]), as_is=True)
    n, last = len(chosen), firsts(layer)[-1]
    at = f" + {BLOCK} * b" if last == BLOCK * (n - 1) else f" + (b == {n - 1} ? {last} : {BLOCK} * b)"
    calls = [(0, places)]
    if paired:  # the last of an odd number again, with the one before
        calls = [(0, places // 2), *([(places - 2, 1)] * (places % 2))]
    lines += [f"for (int32_t b = 0; b < {n}; b++) {{", f"  for (int32_t r = 0; r < {rows}; r++) {{"]
    for first, count in calls:
        x_at = f"{base} + {offset + first * x.strides[3]}{at} + r * {x.strides[2] * sy}"
        y_at = f"y + {y.offset + first * y.strides[3]}{at} + r * {y.strides[2]}"
        lines.append(f"    {window.name}({x_at}, {weights} + b * {packed[0].size}, {numbers} + b * 48,")
        lines.append(f"        {y_at}, {count}, &t);")
    return [*lines, "  }", "}"]
