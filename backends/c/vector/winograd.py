"""3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): 36 products for 16 results of a channel instead of 144.

After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with the points 0, 1, -1, 2, -2 and
infinity. Six by six places of x are transformed, four such patches at a time are multiplied by the transformed weights
of 16 output channels, and sums are transformed to four by four results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.constants import Constants
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.place import corner
from edgec.backends.c.view import View
from edgec.ops import Conv

WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]], np.int64)
"""Transforms a row of three weights, times 24; the last row times 6, which the results make up for."""
SIDE = 4
"""Rows and columns of results of a patch."""
TOGETHER = 4
"""Patches that are multiplied together."""
BLOCK = 16
"""Output channels that are."""
STRUCT = """\
/* Distances between rows and places of x and y%s. */
typedef struct {
  int32_t x_row, x_step, y_row, y_step;
%s} @%s;
"""


@dataclass(frozen=True)
class Arithmetic:
    """The vectors of one type of numbers: how C calls them, the end of the functions that are for them, and whether
    these round products and sums once."""

    vector: str
    end: str
    fused: bool = False

    def __call__(self, function: str, *operands: str) -> str:
        """A call of `sub`, `add`, `mla` or `mls`."""
        name = {"mla": "fma", "mls": "fms"}.get(function, function) if self.fused else function
        return f"v{name}q_{self.end}({', '.join(operands)})"


@dataclass(frozen=True)
class Winograd:
    """What the method needs to know of a type of numbers; `clamp` as the layer names it."""

    FAMILY: ClassVar[str]
    TYPES: ClassVar[tuple[str, str, str]]
    """C types of x and y, of transformed numbers, of sums."""
    NUMBER: ClassVar[str]
    """C type of what is known of every channel."""
    GROUP: ClassVar[int]
    """Channels of a vector of transformed numbers."""
    BYTES: ClassVar[tuple[int, int, int]]
    """Of x, of a transformed number, of a sum."""
    MOST_BYTES: ClassVar[int]
    """Of transformed weights: more would not stay in a cache of the second level."""
    INNER: ClassVar[Arithmetic]
    OUTER: ClassVar[Arithmetic]
    """For activations and for results."""
    FACTS: ClassVar[tuple[str, str, str]]
    """The name of the struct of facts, what they are and their members behind those that all methods have."""

    clamp: str

    @classmethod
    def of(cls, layer: Any) -> Winograd:
        """The method for a layer."""
        raise NotImplementedError

    @classmethod
    def can(cls, layer: Layer, y: View) -> bool:
        """Whether the method can do a layer, and its result is large enough for a patch."""
        if not isinstance(layer.op, Conv) or layer.depthwise:
            return False
        kernel, strides, dilations, _ = layer.window
        outputs, channels = len(layer.weights), layer.weights.shape[3]
        if (kernel, strides, dilations) != ((3, 3), (1, 1), (1, 1)) or channels % cls.GROUP or outputs % BLOCK:
            return False
        return min(y.shape[2:]) >= SIDE and cls.BYTES[1] * 36 * outputs * channels <= cls.MOST_BYTES

    @classmethod
    def workspace(cls, layer: Layer) -> int:
        """Bytes for the transformed activations and the sums of four patches."""
        return 36 * TOGETHER * (cls.BYTES[1] * layer.weights.shape[3] + cls.BYTES[2] * BLOCK)

    @classmethod
    def cost(cls, layer: Layer, y: View, group: float, products: float, patch: float) -> float:
        """Instructions, roughly: those for a `group` of channels of a patch, for the `products` of such a group, 16
        outputs and four patches at one position, and for the results of 16 outputs of a `patch`."""
        down, across = patches(y)
        groups, blocks = layer.weights.shape[3] / cls.GROUP, len(layer.weights) / BLOCK
        four = TOGETHER * group * groups + blocks * (36 * (products * groups + 28) + TOGETHER * patch)
        return -(-down * across // TOGETHER) * four

    @classmethod
    def facts(cls, layer: Any) -> list[str]:
        """The values of the members that `FACTS` adds."""
        raise NotImplementedError

    @classmethod
    def packed(cls, layer: Any) -> NDArray:
        """Transformed weights of `transformed`, in the type that they are multiplied in."""
        raise NotImplementedError

    def numbers(self, layer: Any) -> NDArray:
        """What is known of every channel [blocks, ..., 16]."""
        raise NotImplementedError

    def load(self, pointer: str) -> str:
        """The expression of a group of channels at a place."""
        raise NotImplementedError

    def group(self, first: bool) -> list[str]:
        """The products of a group of channels at `a`, of 16 outputs and four patches; the first make the sums."""
        raise NotImplementedError

    def held(self) -> list[str]:
        """Statements for what stays in registers of the function that makes results, beside `four`."""
        raise NotImplementedError

    def numbers_held(self) -> list[str]:
        """Statements that load what is known of the four channels from n on."""
        raise NotImplementedError

    def finish(self, sums: Sequence[str], stores: Sequence[str]) -> list[str]:
        """Statements that make results of four channels of the sums and store each."""
        raise NotImplementedError

    def special(self) -> str:
        """What distinguishes the function for results from others with the same clamp."""
        return ""

    def activations(self, d: Sequence[str], out: Sequence[str]) -> list[str]:
        """Six values of a row or column transformed: B^T d."""
        o = self.INNER
        return [
            f"{o.vector} {', '.join(out)};",
            "{",
            f"  const {o.vector} a = {o('mls', d[4], d[2], 'four')}, b = {o('mls', d[3], d[1], 'four')};",
            f"  const {o.vector} c = {o('sub', d[4], d[2])}, e = {o('sub', d[3], d[1])}, f = {o('add', 'e', 'e')};",
            f"  {out[0]} = {o('mla', 'c', o('sub', d[0], d[2]), 'four')};",
            f"  {out[1]} = {o('add', 'a', 'b')};",
            f"  {out[2]} = {o('sub', 'a', 'b')};",
            f"  {out[3]} = {o('add', 'c', 'f')};",
            f"  {out[4]} = {o('sub', 'c', 'f')};",
            f"  {out[5]} = {o('mls', o('sub', d[5], d[3]), 'e', 'four')};",
            "}",
        ]

    def results(self, m: Sequence[str], out: Sequence[str]) -> list[str]:
        """Four results from six sums of a row or column: A^T m, the last sum times 4."""
        o = self.OUTER
        return [
            f"{o.vector} {', '.join(out)};",
            "{",
            f"  const {o.vector} a = {o('add', m[1], m[2])}, b = {o('sub', m[1], m[2])};",
            f"  const {o.vector} c = {o('add', m[3], m[4])}, d = {o('sub', m[3], m[4])}, e = {o('add', 'd', 'd')};",
            f"  {out[0]} = {o('add', o('add', m[0], 'a'), 'c')};",
            f"  {out[1]} = {o('add', 'b', 'e')};",
            f"  {out[2]} = {o('mla', 'a', 'c', 'four')};",
            f"  {out[3]} = {o('mla', 'b', o('add', 'e', m[5]), 'four')};",
            "}",
        ]

    def patch_function(self) -> str:
        element, number, _ = self.TYPES
        size = self.GROUP * TOGETHER
        lines = [
            "/* Six by six places of a group of channels at a time, transformed, to v[group][position][patch][]. */",
            f"NOINLINE_ static void @{self.FAMILY}_patch(",
            f"    const {element} *x, {number} *v, int32_t groups, const @{self.FACTS[0]} *t) {{",
            f"  const {self.INNER.vector} four = vdupq_n_{self.INNER.end}(4);",
            "  const ptrdiff_t x_row = t->x_row, x_step = t->x_step;",
            f"  for (int32_t g = 0; g < groups; g++, x += {self.GROUP}, v += 36 * {size}) {{",
            f"    const {element} *row = x;",
        ]
        for i in range(6):
            loads = (f"d{i}{j} = {self.load(f'row + {j} * x_step' if j else 'row')}" for j in range(6))
            lines.append(f"    const {self.INNER.vector} {', '.join(loads)};")
            d, r = ([f"{letter}{i}{j}" for j in range(6)] for letter in "dr")
            lines += ["    " + line for line in self.activations(d, r)]
            if i < 5:
                lines.append("    row += x_row;")
        for j in range(6):
            r, v = ([f"{letter}{i}{j}" for i in range(6)] for letter in "rv")
            lines += ["    " + line for line in self.activations(r, v)]
            lines += [f"    vst1q_{self.INNER.end}(v + {size * (6 * i + j)}, v{i}{j});" for i in range(6)]
        return "\n".join([*lines, "  }", "}"]) + "\n"

    def products_function(self) -> str:
        _, number, total = self.TYPES
        size = self.GROUP * TOGETHER
        lines = [
            "/* Sums over all channels for 16 outputs of four patches, to m[position][patch][16]. */",
            f"NOINLINE_ static void @{self.FAMILY}_products(",
            f"    const {number} *v, const {number} *w, {total} *m, int32_t groups) {{",
            f"  for (int32_t p = 0; p < 36; p++, v += {size}, m += {BLOCK * TOGETHER}) {{",
            f"    const {number} *a = v;",
            f"    {self.OUTER.vector} {', '.join(f's{i}{n}' for i in range(TOGETHER) for n in range(4))};",
            *("    " + line for line in self.group(True)),
            "    for (int32_t g = 1; g < groups; g++) {",
            f"      a += 36 * {size};",
            *("      " + line for line in self.group(False)),
            "    }",
            *(
                f"    vst1q_{self.OUTER.end}(m + {BLOCK * i + 4 * n}, s{i}{n});"
                for i in range(TOGETHER)
                for n in range(4)
            ),
            "  }",
            "}",
        ]
        return "\n".join(lines) + "\n"

    @property
    def results_name(self) -> str:
        return f"@{self.FAMILY}_results" + self.special() + f"_{self.clamp}" * bool(self.clamp)

    def results_function(self) -> str:
        element, _, total = self.TYPES
        lines = [
            f"NOINLINE_ static void {self.results_name}(",
            f"    const {total} *m, const {self.NUMBER} *numbers, {element} *y, const @{self.FACTS[0]} *t) {{",
            "  const ptrdiff_t y_row = t->y_row, y_step = t->y_step;",
            f"  const {self.OUTER.vector} four = vdupq_n_{self.OUTER.end}(4);",
            *("  " + line for line in self.held()),
            f"  for (int32_t n = 0; n < {BLOCK}; n += 4) {{",
        ]
        for j in range(6):
            size = BLOCK * TOGETHER
            loads = (f"m{i}{j} = vld1q_{self.OUTER.end}(m + {size * (6 * i + j)} + n)" for i in range(6))
            lines.append(f"    const {self.OUTER.vector} {', '.join(loads)};")
            sums, out = [f"m{i}{j}" for i in range(6)], [f"r{i}{j}" for i in range(4)]
            lines += ["    " + line for line in self.results(sums, out)]
        lines += ["    " + line for line in self.numbers_held()]
        lines.append(f"    {element} *to = y + n;")
        for i in range(4):
            sums, out = [f"r{i}{j}" for j in range(6)], [f"y{i}{j}" for j in range(4)]
            lines += ["    " + line for line in self.results(sums, out)]
            stores = [f"to + {j} * y_step" if j else "to" for j in range(4)]
            lines += ["    " + line for line in self.finish(out, stores)]
            if i < 3:
                lines.append("    to += y_row;")
        return "\n".join([*lines, "  }", "}"]) + "\n"


def transformed(weights: NDArray) -> NDArray:
    """Weights [O, 3, 3, C] transformed, times 24 in each direction: [blocks, 36 positions, channels, 16 outputs]."""
    w = np.einsum("ai,oijc,bj->oabc", WEIGHTS, weights, WEIGHTS)
    outputs, _, _, channels = w.shape
    return w.reshape(outputs // BLOCK, BLOCK, 36, channels).transpose(0, 2, 3, 1)


def patches(y: View) -> tuple[int, int]:
    """Patches below each other and beside each other; the last ones may overlap those before."""
    return -(-y.shape[2] // SIDE), -(-y.shape[3] // SIDE)


def body(method: Winograd, layer: Layer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`, with memory in `scratch` from byte `work` on."""
    outputs, channels = len(layer.weights), layer.weights.shape[3]
    down, across = patches(y)
    groups, blocks, most = channels // method.GROUP, outputs // BLOCK, down * across
    name, what, members = method.FACTS
    constants.function(name, STRUCT % (what, members, name))
    add(constants, f"{method.FAMILY}_patch", method.patch_function())
    add(constants, f"{method.FAMILY}_products", method.products_function())
    add(constants, method.results_name, method.results_function())
    weights = constants.array(method.packed(layer), as_is=True)
    known = method.numbers(layer)
    table = constants.array(known, as_is=True)
    facts = [x.strides[2], x.strides[3], y.strides[2], y.strides[3], *method.facts(layer)]
    rows, columns = (
        _first(f"t{axis}", n, size) for axis, n, size in (("y", down, y.shape[2]), ("x", across, y.shape[3]))
    )
    _, number, total = method.TYPES
    wide = method.BYTES[1]
    begin, sums = (at // method.BYTES[0] for at in (work, work + wide * 36 * TOGETHER * channels))
    return [
        f"static const @{name} t = {{{', '.join(map(str, facts))}}};",
        f"{number} *v = ({number} *)(void *)(scratch + {begin});",
        f"{total} *m = ({total} *)(void *)(scratch + {sums});",
        f"for (int32_t k = 0; k < {most}; k += {TOGETHER}) {{",
        f"  int32_t to[{TOGETHER}];",
        f"  for (int32_t i = 0; i < {TOGETHER}; i++) {{ /* behind the last patch comes the last again */",
        f"    const int32_t n = k + i < {most} ? k + i : {most - 1}, ty = n / {across}, tx = n % {across};",
        f"    const int32_t row = {rows}, column = {columns};",
        f"    @{method.FAMILY}_patch({base} + {corner(layer, x)} + row * {x.strides[2]} + column * {x.strides[3]},",
        f"        v + {method.GROUP} * i, {groups}, &t);",
        f"    to[i] = {y.offset} + row * {y.strides[2]} + column * {y.strides[3]};",
        "  }",
        f"  for (int32_t b = 0; b < {blocks}; b++) {{",
        f"    @{method.FAMILY}_products(v, {weights} + b * {36 * channels * BLOCK}, m, {groups});",
        f"    for (int32_t i = 0; i < {TOGETHER}; i++) {{",
        f"      {method.results_name}(m + {BLOCK} * i, {table} + b * {known[0].size}, y + to[i] + b * {BLOCK}, &t);",
        "    }",
        "  }",
        "}",
    ]


def _first(index: str, count: int, size: int) -> str:
    """The first row or column of a patch, as an expression."""
    if size % SIDE == 0:
        return f"{SIDE} * {index}"
    return f"({index} < {count - 1} ? {SIDE} * {index} : {size - SIDE})"
