"""Signs of shared sums: a sum may be made negated where that leaves fewer values to be inverted.

A value that anything subtracts is needed inverted, one inverter a bit. Negating a sum inverts all its terms and all
its uses, which costs nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgec.backends.rtl.constants.cost import value_widths
from edgec.backends.rtl.constants.network import LinearNetwork, Term

PASSES = 8
"""Sweeps over all sums; one that changes nothing ends it earlier."""
EACH_USE = 0.1
"""What an inverted use costs beside the inverter that it shares with the others: the inverter drives it."""


def settle_signs(network: LinearNetwork, ranges: Sequence[int] | np.ndarray) -> LinearNetwork:
    """The same outputs with sums negated where that saves inverters. Deterministic."""
    inputs, widths = network.inputs, value_widths(network, ranges).tolist()
    signs = [[t.negative for t in terms] for terms in network.sums]
    users: list[list[tuple[int, int]]] = [[] for _ in range(inputs + len(network.sums))]
    plain: Counter[int] = Counter()
    inverted: Counter[int] = Counter()
    for number, terms in enumerate(network.sums):
        for place, t in enumerate(terms):
            users[t.source].append((number, place))
            (inverted if t.negative else plain)[t.source] += 1
    fixed = {t.source for t in network.outputs if t is not None}
    flipped = [False] * len(network.sums)

    def price(plain_uses: int, inverted_uses: int, width: int) -> float:
        return width * ((inverted_uses > 0) + EACH_USE * inverted_uses)

    def change(number: int) -> float:
        at = inputs + number
        delta = price(inverted[at], plain[at], widths[at]) - price(plain[at], inverted[at], widths[at])
        turned: Counter[int] = Counter()
        for t, negative in zip(network.sums[number], signs[number], strict=True):
            turned[t.source] += -1 if negative else 1
        for source, more in turned.items():
            p, n = plain[source], inverted[source]
            delta += price(p - more, n + more, widths[source]) - price(p, n, widths[source])
        return delta

    for _ in range(PASSES):
        moved = False
        for number in range(len(network.sums)):
            at = inputs + number
            if at in fixed or change(number) >= -1e-9:
                continue
            moved = True
            flipped[number] = not flipped[number]
            plain[at], inverted[at] = inverted[at], plain[at]
            for place, t in enumerate(network.sums[number]):
                was = signs[number][place]
                (inverted if was else plain)[t.source] -= 1
                (plain if was else inverted)[t.source] += 1
                signs[number][place] = not was
            for user, place in users[at]:
                signs[user][place] = not signs[user][place]
        if not moved:
            break
    sums = [
        tuple(Term(t.source, t.shift, negative) for t, negative in zip(terms, row, strict=True))
        for terms, row in zip(network.sums, signs, strict=True)
    ]
    return LinearNetwork(inputs, tuple(sums), network.outputs)
