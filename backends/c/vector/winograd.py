"""3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): 36 products for 16 results of a channel instead of 144.

After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), with the points 0, 1, -1, 2, -2 and
infinity. Six by six places of x are transformed, four such patches at a time are multiplied by the transformed weights
of 16 output channels, and sums are transformed to four by four results. `order.py` says
in which order, `patches.py` writes the loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.order import Order, Prices, Size, least
from edgec.ops import Conv

SIDE = 4
"""Rows and columns of results of a patch."""
TOGETHER = 4
"""Patches that are multiplied together."""
BLOCK = 16
"""Output channels that are."""


@dataclass(frozen=True)
class Arithmetic:
    """The vectors of one type of numbers: how C calls them, the end of the functions that are for them, and whether
    these round products and sums once."""

    vector: str
    end: str
    fused: bool = False

    def __call__(self, function: str, *operands: str) -> str:
        """A call of `sub`, `add`, `mul`, `mla` or `mls`."""
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
    MOST_STORED: ClassVar[int]
    """Bytes of transformed weights: more would not stay in a cache of the second level."""
    MOST_SCRATCH: ClassVar[int]
    """Bytes of working memory where weights are transformed in every inference."""
    PRICES: ClassVar[Prices]
    WEIGHTS: ClassVar[NDArray]
    """Transforms a row of three weights; what its rows lack, `results` makes up for."""
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
    def can(cls, layer: Layer) -> bool:
        """Whether the method can do a layer, and its result is large enough for a patch."""
        if not isinstance(layer.op, Conv) or layer.groups > 1:
            return False
        kernel, strides, dilations, _ = layer.window
        outputs, channels = len(layer.weights), layer.weights.shape[3]
        if (kernel, strides, dilations) != ((3, 3), (1, 1), (1, 1)) or channels % cls.GROUP or outputs % BLOCK:
            return False
        return min(layer.op.shape[2:]) >= SIDE

    @classmethod
    def orders(cls, layer: Layer, others: float) -> tuple[Order, ...]:
        """With stored weights and with computed ones, the best of each, where these take fewer instructions than
        `others`: those of other loops."""
        if not cls.can(layer):
            return ()
        size = cls.size_of(layer)
        stored = cls.BYTES[1] * 4 * math.prod(layer.weights.shape)
        found = [least(size.computed(cls.PRICES), cls.MOST_SCRATCH)]
        if stored <= cls.MOST_STORED:
            found.append(size.stored(cls.PRICES, stored - layer.weights.nbytes))
        return tuple(order for order in found if order is not None and order.instructions < others)

    @classmethod
    def size_of(cls, layer: Layer) -> Size:
        """What decides over orders."""
        fours = -(-math.prod(patches(layer.op.shape)) // TOGETHER)
        blocks = len(layer.weights) // BLOCK
        return Size(layer.weights.shape[3], cls.GROUP, blocks, fours, *cls.BYTES[1:], TOGETHER, BLOCK)

    @classmethod
    def facts(cls, layer: Any) -> list[str]:
        """The values of the members that `FACTS` adds."""
        raise NotImplementedError

    @classmethod
    def stored(cls, layer: Any) -> NDArray:
        """Transformed weights [blocks, groups, 36 positions, channels of a group, 16 outputs], in the type that they
        are multiplied in."""
        raise NotImplementedError

    @classmethod
    def packed(cls, layer: Any) -> NDArray:
        """Weights [blocks, channels, vectors, 9, outputs of a vector] as `load` reads them."""
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
        """Statements for what stays in registers of the function that makes results."""
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
        """Four results from six sums of a row or column: A^T m with the factors that `WEIGHTS` lacks."""
        raise NotImplementedError

    def weights_held(self) -> list[str]:
        """Statements for what stays in registers of the function that transforms weights."""
        raise NotImplementedError

    def weights(self, g: Sequence[str], out: Sequence[str]) -> list[str]:
        """Three weights of a row or column transformed: `WEIGHTS` g."""
        raise NotImplementedError

    def load_weights(self, pointer: str) -> str:
        """The expression of a group of weights at a place."""
        return self.load(pointer)

    def weights_function(self) -> str:
        element, number, _ = self.TYPES
        lanes, size = self.GROUP, self.GROUP * BLOCK
        lines = [
            f"/* Weights [channel][{BLOCK // lanes}][3][3][{lanes}] made u[group][position][channel][16]. */",
            f"NOINLINE_ static void @{self.FAMILY}_weights(const {element} *w, {number} *u, int32_t groups) {{",
            *("  " + line for line in self.weights_held()),
            f"  for (int32_t g = 0; g < groups; g++, u += {35 * size}) {{",
            f"    for (int32_t n = 0; n < {size}; n += {lanes}, w += {9 * lanes}, u += {lanes}) {{",
        ]
        for j in range(3):
            g, r = [f"g{i}{j}" for i in range(3)], [f"r{i}{j}" for i in range(6)]
            loads = (f"{g[i]} = {self.load_weights(f'w + {lanes * (3 * i + j)}')}" for i in range(3))
            lines.append(f"      const {self.INNER.vector} {', '.join(loads)};")
            lines += ["      " + line for line in self.weights(g, r)]
        for i in range(6):
            r, v = [f"r{i}{j}" for j in range(3)], [f"v{i}{j}" for j in range(6)]
            lines += ["      " + line for line in self.weights(r, v)]
            lines += [f"      vst1q_{self.INNER.end}(u + {size * (6 * i + j)}, v{i}{j});" for j in range(6)]
        return "\n".join([*lines, "    }", "  }", "}"]) + "\n"

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

    def products_function(self, more: bool) -> str:
        _, number, total = self.TYPES
        size, weights = self.GROUP * TOGETHER, self.GROUP * BLOCK
        sums = [(f"s{i}{n}", BLOCK * i + 4 * n) for i in range(TOGETHER) for n in range(4)]
        about = "Sums over all channels for 16 outputs of four patches"
        if more:
            about = "The same for further channels, added"
            start = [f"{', '.join(f'{s} = vld1q_{self.OUTER.end}(m + {at})' for s, at in sums)};"]
        else:
            start = [f"{', '.join(s for s, _ in sums)};"]
        lines = [
            f"/* {about}, to m[position][patch][16]. */",
            f"NOINLINE_ static void @{self.FAMILY}_{'more' if more else 'products'}(",
            f"    const {number} *v, const {number} *u, {total} *m, int32_t groups) {{",
            f"  for (int32_t p = 0; p < 36; p++, v += {size}, u += {weights}, m += {BLOCK * TOGETHER}) {{",
            f"    const {number} *a = v, *w = u;",
            f"    {self.OUTER.vector} {start[0]}",
            *([] if more else ["    " + line for line in self.group(True)]),
            f"    for (int32_t g = {0 if more else 1}; g < groups; g++) {{",
            *([] if more else [f"      a += {36 * size};", f"      w += {35 * weights};"]),
            *("      " + line for line in self.group(False)),
            *([f"      a += {36 * size};", f"      w += {35 * weights};"] if more else []),
            "    }",
            *(f"    vst1q_{self.OUTER.end}(m + {at}, {s});" for s, at in sums),
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


def blocks_of(weights: NDArray, group: int) -> NDArray:
    """[O, positions, C] as [blocks, groups, positions, channels of a group, 16 outputs]."""
    outputs, positions, channels = weights.shape
    w = weights.reshape(outputs // BLOCK, BLOCK, positions, channels // group, group)
    return w.transpose(0, 3, 2, 4, 1)


def transformed(matrix: NDArray, weights: NDArray) -> NDArray:
    """Weights [O, 3, 3, C] transformed by `WEIGHTS` in both directions: [O, 36, C]."""
    w = np.einsum("ai,oijc,bj->oabc", matrix, weights, matrix)
    return w.reshape(len(w), 36, -1)


def vectors(weights: NDArray, lanes: int) -> NDArray:
    """Weights [O, 3, 3, C] as [blocks, channels, vectors, 9, lanes]."""
    outputs, _, _, channels = weights.shape
    w = weights.reshape(outputs // BLOCK, BLOCK // lanes, lanes, 9, channels)
    return w.transpose(0, 4, 1, 3, 2)


def patches(shape: Sequence[int]) -> tuple[int, int]:
    """Patches below each other and beside each other of a result; the last ones may overlap those before."""
    return -(-shape[2] // SIDE), -(-shape[3] // SIDE)
