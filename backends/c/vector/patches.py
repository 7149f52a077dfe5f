"""The loops over patches, blocks of outputs and channels of Winograd's method, in the order that a layer has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgec.backends.c.constants import Constants
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.order import Order
from edgec.backends.c.vector.place import corner
from edgec.backends.c.vector.winograd import BLOCK, SIDE, TOGETHER, Winograd, patches
from edgec.backends.c.view import View

STRUCT = """\
/* Distances between rows and places of x and y%s. */
typedef struct {
  int32_t x_row, x_step, y_row, y_step;
%s} @%s;
"""


@dataclass(frozen=True, eq=False)
class _Loops:
    """`base` of x, the `weights` and the `table` of what is known of outputs are names; `known` numbers of it are of a
    block."""

    method: Winograd
    layer: Layer
    order: Order
    x: View
    y: View
    base: str
    weights: str
    table: str
    known: int

    def each(self, statements: Sequence[str]) -> list[str]:
        """For the patches k to k + 3; behind the last comes the last again."""
        return block(f"for (int32_t i = 0; i < {TOGETHER}; i++) {{", [*_place(self.y), *statements])

    def fours(self, statements: Sequence[str]) -> list[str]:
        return block(f"for (int32_t k = 0; k < {math.prod(patches(self.y.shape))}; k += {TOGETHER}) {{", statements)

    def blocks(self, statements: Sequence[str]) -> list[str]:
        return block(f"for (int32_t b = 0; b < {len(self.layer.weights) // BLOCK}; b++) {{", statements)

    def transform(self, to: str, channels: int, first: str = "") -> list[str]:
        """Patches transformed, of some channels from `first` on."""
        x, group = self.x, self.method.GROUP
        place = f"{self.base} + {corner(self.layer, x)} + row * {x.strides[2]} + column * {x.strides[3]}{first}"
        call = f"@{self.method.FAMILY}_patch({place},"
        return self.each([call, f"    {to} + {group} * i, {channels // group}, &t);"])

    def results(self, sums: str) -> list[str]:
        y = self.y
        to = f"y + {y.offset} + row * {y.strides[2]} + column * {y.strides[3]} + b * {BLOCK}"
        call = f"{self.method.results_name}({sums} + {BLOCK} * i, {self.table} + b * {self.known},"
        return self.each([call, f"    {to}, &t);"])

    def stored(self) -> list[str]:
        channels, family = self.order.channels, self.method.FAMILY
        weights = f"{self.weights} + b * {36 * channels * BLOCK}"
        products = f"@{family}_products(v, {weights}, m, {channels // self.method.GROUP});"
        return self.fours([*self.transform("v", channels), *self.blocks([products, *self.results("m")])])

    def computed(self) -> list[str]:
        """Weights of a block and some channels at a time: `u`."""
        channels, some, family = self.layer.weights.shape[3], self.order.channels, self.method.FAMILY
        groups, parts = some // self.method.GROUP, channels // some
        kept = f"v + k * {36 * channels}"
        v, m, u = kept if self.order.kept else "v", "m", f"{self.weights} + b * {9 * channels * BLOCK}"
        if parts == 1:
            before = [] if self.order.kept else self.transform(v, some)
            inside = [*before, f"@{family}_products({v}, u, m, {groups});", *self.results(m)]
            lines = [f"@{family}_weights({u}, u, {groups});", *self.fours(inside)]
        else:
            before = [] if self.order.kept else self.transform(v, some, f" + c * {some}")
            v += f" + c * {36 * TOGETHER * some}" * self.order.kept
            m, u = f"m + k * {36 * BLOCK}", f"{u} + c * {9 * some * BLOCK}"
            first, more = (f"  @{family}_{which}({v}, u, {m}, {groups});" for which in ("products", "more"))
            inside = self.fours([*before, "if (c == 0) {", first, "} else {", more, "}"])
            lines = block(
                f"for (int32_t c = 0; c < {parts}; c++) {{", [f"@{family}_weights({u}, u, {groups});", *inside]
            )
            lines += self.fours(self.results(m))
        return [*(self.fours(self.transform(kept, channels)) if self.order.kept else []), *self.blocks(lines)]


def by_patches(
    method: Winograd, layer: Layer, x: View, y: View, constants: Constants, base: str, work: int
) -> list[str]:
    """Statements for x at `base` and y at `y`, with memory in `scratch` from byte `work` on."""
    order = layer.winograd
    assert order is not None
    family, (name, what, members) = method.FAMILY, method.FACTS
    constants.function(name, STRUCT % (what, members, name))
    if not order.stored:
        add(constants, f"{family}_weights", method.weights_function())
    add(constants, f"{family}_patch", method.patch_function())
    add(constants, f"{family}_products", method.products_function(False))
    if order.channels < layer.weights.shape[3]:
        add(constants, f"{family}_more", method.products_function(True))
    add(constants, method.results_name, method.results_function())
    weights = constants.array(method.stored(layer) if order.stored else method.packed(layer), as_is=True)
    known = method.numbers(layer)
    table = constants.array(known, as_is=True)
    loops = _Loops(method, layer, order, x, y, base, weights, table, known[0].size)
    facts = [x.strides[2], x.strides[3], y.strides[2], y.strides[3], *method.facts(layer)]
    return [
        f"static const @{name} t = {{{', '.join(map(str, facts))}}};",
        *_memory(method, layer, order, work),
        *(loops.stored() if order.stored else loops.computed()),
    ]


def _memory(method: Winograd, layer: Layer, order: Order, work: int) -> list[str]:
    """Statements that say where transformed patches, sums and weights lie in `scratch`, from byte `work` on."""
    size = method.size_of(layer)
    patch_bytes, sum_bytes = size.parts_of(order)
    _, number, total = method.TYPES
    at = [offset // method.BYTES[0] for offset in (work, work + patch_bytes, work + patch_bytes + sum_bytes)]
    lines = [
        f"{number} *v = ({number} *)(void *)(scratch + {at[0]});",
        f"{total} *m = ({total} *)(void *)(scratch + {at[1]});",
    ]
    return lines if order.stored else [*lines, f"{number} *u = ({number} *)(void *)(scratch + {at[2]});"]


def block(head: str, statements: Sequence[str]) -> list[str]:
    """A loop around statements."""
    return [head, *("  " + line for line in statements), "}"]


def _place(y: View) -> list[str]:
    """Statements that say where the patch k + i begins."""
    down, across = patches(y.shape)
    rows, columns = (
        _first(f"n {sign} {across}", n, size) for sign, n, size in (("/", down, y.shape[2]), ("%", across, y.shape[3]))
    )
    most = down * across
    last = f"k + i < {most} ? k + i : {most - 1}" if most % TOGETHER else "k + i"
    return [f"const int32_t n = {last}, row = {rows}, column = {columns};"]


def _first(index: str, count: int, size: int) -> str:
    """The first row or column of a patch, as an expression."""
    if size % SIDE == 0:
        return f"{SIDE} * ({index})"
    return f"({index} < {count - 1} ? {SIDE} * ({index}) : {size - SIDE})"
