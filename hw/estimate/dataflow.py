"""Exact cycles of a streaming design: when every word crosses every stream, computed from the units alone.

A folded design is a network of units joined by streams; a word crosses a stream in a cycle in which it is offered and
taken. Each unit says when it offers word n at the earliest, and when it can take word m at the earliest, in terms of
earlier crossings; all such bounds are maxima of sums. The crossing times are the smallest numbers that satisfy all of
them, found by raising them until nothing changes. No data is computed, and the inner cycles of a unit (the products
of a window) need no event of their own, so that a frame of millions of products takes milliseconds.

Cycle 0 is the first one after reset. `docs/folded.md` describes the units; the tests hold the times of every output
word to the simulated RTL, with and without stalls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.hw.estimate.dataflow_units import UNITS, Channel, Unit

Network = Sequence[Mapping[str, Any]]
"""Units in the order of the data: `kind`, `name`, `ins` and `outs` (names of streams), and the unit's parameters."""

SWEEPS = 20_000
FRAMES = (3, 5, 10, 20, 40)
"""How many frames are tried until the rate is steady."""


@dataclass(frozen=True)
class Times:
    """Crossing times by stream, int64 [frames, words a frame], and the source's and the sink's names.

    Frame f is determined by the `reach` frames before it: so many frames fit into the largest buffer.
    """

    streams: Mapping[str, np.ndarray]
    source: str
    sink: str
    reach: int

    @property
    def inputs(self) -> np.ndarray:
        return self.streams[self.source]

    @property
    def outputs(self) -> np.ndarray:
        return self.streams[self.sink]

    def gaps(self) -> dict[str, int] | None:
        """Cycles from frame to frame by stream, if the last `reach` of them are alike on every stream, else None."""
        if len(self.outputs) <= 2 * self.reach:  # the first frames meet empty buffers
            return None
        found = {n: np.unique(np.diff(t[-self.reach - 1 :], axis=0)) for n, t in self.streams.items()}
        return {n: int(g[0]) for n, g in found.items()} if all(len(g) == 1 for g in found.values()) else None

    @property
    def period(self) -> int | None:
        """The cycles in which everything repeats, if that is known, else None."""
        gaps = set((self.gaps() or {}).values())
        return gaps.pop() if len(gaps) == 1 else None

    @property
    def interval(self) -> int | None:
        """The initiation interval, if the frames show it, else None.

        Streams in front of the slowest unit may still run ahead of it, until the buffers between are full. That delays
        nothing: the slowest unit already finds its words before it needs them, and the frame just seen, repeated at
        the slowest unit's pace, keeps to all buffers.
        """
        gaps = self.gaps()
        return max(gaps.values()) if gaps is not None and gaps[self.sink] == max(gaps.values()) else None


@dataclass(frozen=True)
class Schedule:
    """What a design does without stalls; cycles. `latency` is from the first word taken to the last one given."""

    first_output: int
    latency: int
    initiation_interval: int
    times: Times


def simulate(
    network: Network,
    frames: int,
    *,
    offered: np.ndarray | None = None,
    taken: np.ndarray | None = None,
) -> Times:
    """Crossing times of `frames` frames that come back to back.

    `offered`: cycles (ascending) in which the source may begin to offer a word; `taken`: cycles in which the sink takes
    one. Both must reach far enough. Raises E0101 when the network comes to no end (a deadlock, or too few cycles).
    """
    channels: dict[str, Channel] = {}
    units: list[Unit] = []
    for facts in network:
        unit = UNITS[facts["kind"]](facts, frames)
        if facts["kind"] == "source":
            unit.cycles = offered
        if facts["kind"] == "sink":
            unit.cycles = taken
        unit.join(channels)
        units.append(unit)
    try:
        _settle(units)
    except IndexError:
        raise EdgecError("E0101", "the words cross later than the given cycles reach") from None
    streams = {name: c.times.reshape(frames, -1) for name, c in channels.items()}
    ends = {u.kind: u for u in units if u.kind in ("source", "sink")}
    return Times(streams, ends["source"].outs[0].name, ends["sink"].ins[0].name, max(u.reach() for u in units))


def _settle(units: Sequence[Unit]) -> None:
    """Raise the times until every bound holds."""
    dirty = set(range(len(units)))
    touching: dict[str, set[int]] = {}
    for i, unit in enumerate(units):
        for channel in (*unit.ins, *unit.outs):
            touching.setdefault(channel.name, set()).add(i)
    order = list(range(len(units)))
    streams = [c for u in units for c in u.outs]
    # More than all words one after the other, the cycles of the source and the sink besides, takes no live network.
    ends = sum(int(u.cycles[-1]) for u in units if u.cycles is not None)
    longest = 2 * sum(c.gap * len(c.times) for c in streams) + ends + 1000
    for sweep in range(SWEEPS):
        if not dirty:
            return
        if max(int(c.times[-1]) for c in streams) > longest:
            break
        for i in order if sweep % 2 == 0 else reversed(order):
            if i not in dirty:
                continue
            dirty.discard(i)
            for channel in units[i].update():
                dirty |= touching[channel.name]
    raise EdgecError("E0101", "the streams of the design come to no end", why="a queue or a buffer is too small")


def schedule(network: Network) -> Schedule:
    """Latency and initiation interval without stalls; enough frames are computed that the rate is steady."""
    for frames in FRAMES:
        times = simulate(network, frames)
        interval = times.interval
        if interval is not None:
            break
    else:
        raise EdgecError("E0101", f"the design finds no steady rate in {FRAMES[-1]} frames")
    start = int(times.inputs[0, 0])
    first, last = int(times.outputs[0, 0]) - start, int(times.outputs[0, -1]) - start
    return Schedule(first, last, interval, times)


def queue_depths(network: Network, times: Times) -> dict[str, int]:
    """The smallest depth of every queue (unit name -> words) that delays nothing, from times with endless queues."""
    depths = {}
    for facts in network:
        if facts["kind"] == "queue":
            puts = times.streams[facts["ins"][0]].ravel()
            outs = times.streams[facts["outs"][0]].ravel()
            gets = np.maximum(puts + 1, np.concatenate([[-1], outs[:-1]]))
            done = np.searchsorted(gets, puts - 1, "right")
            depths[facts["name"]] = max(int((np.arange(len(puts)) - done).max()) + 1, 2)
    return depths
