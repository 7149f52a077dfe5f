"""The arena: which bytes a tensor has, from the step that makes it to the last that reads it.

Offsets are found by first fit in several orders (largest first, longest first, seeded shuffles of these) until the
total equals the lower bound, the largest sum of tensors that are alive at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ALIGNMENT = 16
"""Bytes; every tensor begins at a multiple, as vector loads like it."""
TRIES = 400


@dataclass(eq=False)
class Allocation:
    """`bytes` that are alive from step `start` to step `end`, both included, at `offset`."""

    name: str
    bytes: int
    start: int
    end: int
    offset: int = 0

    @property
    def room(self) -> int:
        return -(-self.bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """`allocation` of every buffer; `arena` bytes in all, of which `bound` would be needed at the least."""

    allocation: Mapping[Any, Allocation]
    arena: int
    bound: int

    def rows(self) -> list[dict[str, Any]]:
        """The memory map over time: one row an allocation."""
        unique = {id(a): a for a in self.allocation.values()}.values()
        return [
            {"name": a.name, "offset": a.offset, "bytes": a.bytes, "first_step": a.start, "last_step": a.end}
            for a in unique
        ]


def pack(allocation: Mapping[Any, Allocation]) -> MemoryPlan:
    """Offsets for all allocations, written into them."""
    unique = list({id(a): a for a in allocation.values()}.values())
    if not unique:
        return MemoryPlan(allocation, 0, 0)
    starts, ends = np.array([a.start for a in unique]), np.array([a.end for a in unique])
    rooms = np.array([a.room for a in unique])
    alive = (starts[:, None] <= starts[None, :]) & (ends[:, None] >= starts[None, :])
    bound = int((rooms[:, None] * alive).sum(axis=0).max())
    clash = (starts[:, None] <= ends[None, :]) & (ends[:, None] >= starts[None, :])
    orders = [
        np.lexsort((starts, -rooms)),
        np.lexsort((-rooms, -(ends - starts))),
        np.lexsort((-rooms, starts)),
        np.lexsort((starts, -rooms * (ends - starts + 1))),
    ]
    random = np.random.default_rng(0)
    best: tuple[int, np.ndarray] | None = None
    for attempt in range(TRIES):
        if attempt < len(orders):
            order = orders[attempt]
        else:  # the largest come first, not quite in order
            order = np.argsort(-rooms * random.uniform(0.5, 1.0, len(rooms)), kind="stable")
        offsets = _first_fit(order, rooms, clash)
        total = int((offsets + rooms).max())
        if best is None or total < best[0]:
            best = total, offsets
        if best[0] == bound or (attempt >= len(orders) and len(unique) > 500):
            break
    assert best is not None
    for a, offset in zip(unique, best[1], strict=True):
        a.offset = int(offset)
    return MemoryPlan(allocation, best[0], bound)


def _first_fit(order: Sequence[int] | np.ndarray, rooms: np.ndarray, clash: np.ndarray) -> np.ndarray:
    """Every allocation at the lowest place that is free while it is alive."""
    offsets = np.zeros(len(rooms), np.int64)
    placed: list[int] = []
    for i in order:
        others = sorted((offsets[k], offsets[k] + rooms[k]) for k in placed if clash[i, k])
        at = 0
        for start, end in others:
            if start - at >= rooms[i]:
                break
            at = max(at, end)
        offsets[i] = at
        placed.append(int(i))
    return offsets
