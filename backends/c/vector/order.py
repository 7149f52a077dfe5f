"""In which order Winograd's method goes over a layer, and whether its transformed weights are stored.

Transformed weights take 4 to 8 times the memory of weights. They may be stored, or be computed in every inference:
those of 16 output channels and of some or all channels of x at a time, in scratch memory, for all patches. Then
transformed patches are kept, or made again for every 16 output channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from edgec.backends.c.constants import narrowest
from edgec.backends.c.multiples import multiples
from edgec.graph import Graph
from edgec.ops import Constant, Conv, ConvTranspose, Dense, Dequantize, Gru, Lstm, MatMul, Rnn

SHARE, ROOM = 1.3, 60_000
"""A model's code and constants may take this many times its packed weights, and so many bytes besides."""
CODE, STEP = 12_000, 700
"""Bytes of code, at the most usually: of functions that steps share, and of a step."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Order:
    """`stored`: the transformed weights are constants. Else those of `channels` of x and a block of outputs are made
    together, and `kept` says whether transformed patches of the whole image are.

    `instructions` are estimated; `scratch` bytes of working memory, and bytes of constants `beyond` packed weights."""

    stored: bool
    kept: bool
    channels: int
    instructions: float
    scratch: int
    beyond: int = 0


@dataclass(frozen=True)
class Prices:
    """Instructions, roughly: of transforming a `group` of channels of a patch; of the `products` of such a group, 16
    outputs and four patches at one position; of the results of 16 outputs of a `patch`; of transforming the `weights`
    of a group and 16 outputs."""

    group: float
    products: float
    patch: float
    weights: float


@dataclass(frozen=True)
class Size:
    """Of a layer: channels of x in groups of `group`, blocks of outputs, patches in fours; bytes of a transformed
    number and of a sum; how many patches and outputs are done together."""

    channels: int
    group: int
    blocks: int
    fours: int
    number: int
    sum: int
    together: int
    block: int

    def stored(self, prices: Prices, beyond: int) -> Order:
        """Stored weights: four patches at a time, all outputs."""
        order = Order(True, False, self.channels, self._instructions(prices, self.channels, 1), 0, beyond)
        return replace(order, scratch=sum(self.parts_of(order)))

    def computed(self, prices: Prices) -> list[Order]:
        """All orders with weights that are computed."""
        found = []
        groups = self.channels // self.group
        for some in (n for n in range(1, groups + 1) if groups % n == 0):
            channels = self.group * some
            for kept in (True, False):
                instructions = self._instructions(prices, channels, 1 if kept else self.blocks)
                order = Order(False, kept, channels, instructions + groups * self.blocks * prices.weights, 0)
                weights = 36 * self.block * channels * self.number
                found.append(replace(order, scratch=sum(self.parts_of(order)) + weights))
        return found

    def parts_of(self, order: Order) -> tuple[int, int]:
        """Bytes of transformed patches and of sums; weights that are computed lie behind them."""
        places = 36 * self.together
        patches = self.channels * self.fours if order.kept else order.channels
        sums = self.fours if order.channels < self.channels else 1
        return places * self.number * patches, places * self.sum * self.block * sums

    def _instructions(self, prices: Prices, channels: int, again: int) -> float:
        groups, parts = self.channels / self.group, self.channels // channels
        sums = 36 * (prices.products * groups + 28 * parts + 8 * (parts - 1))
        return self.fours * (
            self.together * prices.group * groups * again + self.blocks * (sums + self.together * prices.patch)
        )


def least(orders: Sequence[Order], most_scratch: int) -> Order | None:
    """The order with the fewest instructions, then the least memory, whose working memory is at most `most_scratch`."""
    small = [order for order in orders if order.scratch <= most_scratch]
    return min(small, key=lambda order: (order.instructions, order.scratch), default=None)


def decided(candidates: Mapping[Key, Sequence[Order]], policy: str, room: float) -> dict[Key, Order]:
    """The order of every layer that the method does; `candidates` are the stored one, the best computed one, or both.

    `auto` stores within `room` bytes, first where that saves most instructions a byte."""
    found: dict[Key, Order] = {}
    savings = []
    for key, orders in candidates.items():
        stored = next((order for order in orders if order.stored), None)
        computed = next((order for order in orders if not order.stored), None)
        if policy == "stored" or (policy == "auto" and computed is None):
            first, second = stored, computed
        else:
            first, second = computed, stored if policy == "stored" else None
        choice = first or second
        if policy == "off" or choice is None:
            continue
        if policy == "auto" and choice.stored:
            if choice.beyond > room:
                continue
            room -= choice.beyond
        found[key] = choice
        if policy == "auto" and stored is not None and computed is not None:
            saved = computed.instructions - stored.instructions
            savings.append((saved / max(stored.beyond, 1), len(savings), key, stored))
    for saved, _, key, stored in sorted(savings, key=lambda entry: (-entry[0], entry[1])):
        if saved > 0 and stored.beyond <= room:
            found[key] = stored
            room -= stored.beyond
    return found


def room_of(graph: Graph, steps: int) -> float:
    """Bytes that stored transformed weights may add to the constants of a model whose code has so many `steps`."""
    weights, others = constant_bytes(graph)
    return (SHARE - 1) * weights + ROOM - others - CODE - STEP * steps


def constant_bytes(graph: Graph) -> tuple[int, int]:
    """Bytes of weights, packed: as many bits each as its format has, 8 where floats are multiples of one number by
    bytes. And those that all constants take beyond that as they are stored."""
    readers = [op for op in graph.ops if isinstance(op, Conv | ConvTranspose | Dense)]
    packed = {op.w.x if isinstance(op.w, Dequantize) else op.w for op in readers}
    packed |= {operand for op in graph.ops if isinstance(op, MatMul | Rnn | Gru | Lstm) for operand in op.operands}
    expanded = {op.w.x for op in readers if isinstance(op.w, Dequantize)}
    weights, others = 0, 0
    for op in graph.ops:
        if isinstance(op, Constant):
            size = int(op.data.size)
            width = narrowest(op.data).itemsize if op.data.dtype.kind in "iub" else op.data.dtype.itemsize
            stored = size * (4 if op in expanded else width)
            least = 0
            if op in packed:
                bits = 8 if multiples(op.data) is not None else op.format.bits
                least = min(-(-size * bits // 8), stored)
            weights, others = weights + least, others + stored - least
    return weights, others
