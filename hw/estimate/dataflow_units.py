"""The units of a streaming design as bounds on the cycles in which words cross their streams.

A stream has one producer and one or more consumers, who all take a word in the same cycle. `offer[n]` is the cycle from
which word n is offered, given the crossings so far; `ready` has for each consumer the cycle from which it can take the
word; `times[n]` is the crossing. Every class here stands for one module in `backends/rtl/folded/lib`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np


class Channel:
    """A stream of `words` words; at least `gap` cycles lie between two crossings (a consequence of its ends)."""

    def __init__(self, name: str, words: int) -> None:
        self.name = name
        self.index = np.arange(words, dtype=np.int64)
        self.gap = 1
        self.offer = np.zeros(words, np.int64)
        self.ready: dict[int, np.ndarray] = {}
        self.times = self.index.copy()
        self.sink_cycles: np.ndarray | None = None

    def cross(self) -> bool:
        """Compute the crossings again; whether any changed."""
        bound = self.offer
        for ready in self.ready.values():
            bound = np.maximum(bound, ready)
        if self.sink_cycles is not None:
            rank = np.searchsorted(self.sink_cycles, bound)
            rank = np.maximum.accumulate(rank - self.index) + self.index
            times = self.sink_cycles[rank]
        else:
            steps = self.gap * self.index
            times = np.maximum.accumulate(bound - steps) + steps
        changed = not np.array_equal(times, self.times)
        self.times = times
        return changed

    def after(self, distance: int, before: int = -1) -> np.ndarray:
        """times[n - distance], and `before` for the first words, which follow nothing."""
        return np.concatenate([np.full(min(distance, len(self.times)), before), self.times[:-distance]])


class Unit:
    """A unit with its streams; `facts` are its parameters."""

    kind: ClassVar[str]

    def __init__(self, facts: Mapping[str, Any], frames: int) -> None:
        self.facts, self.frames = facts, frames
        self.ins: list[Channel] = []
        self.outs: list[Channel] = []
        self.cycles: np.ndarray | None = None

    def join(self, channels: dict[str, Channel]) -> None:
        """Take the input streams from `channels`, and add the output streams."""
        for name in self.facts["ins"]:
            channel = channels[name]
            self.ins.append(channel)
            channel.ready[id(self)] = np.zeros_like(channel.times)
        for name in self.facts["outs"]:
            channels[name] = Channel(name, self.frames * self.words())
            self.outs.append(channels[name])
        self.start()

    def words(self) -> int:
        """Words of the output stream in a frame."""
        return len(self.ins[0].times) // self.frames

    def start(self) -> None:
        """Prepare what does not change."""

    def reach(self) -> int:
        """How many frames back a crossing can depend on."""
        return 1

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Offers of the outputs and readiness for the inputs, from the present crossings."""
        raise NotImplementedError

    def update(self) -> list[Channel]:
        """Bring the bounds up to date; the streams on which anything changed."""
        offers, readies = self.bounds()
        changed = []
        for channel, offer in zip(self.outs, offers, strict=True):
            moved = not np.array_equal(offer, channel.offer)
            channel.offer = offer
            if channel.cross() or moved:
                changed.append(channel)
        for channel, ready in zip(self.ins, readies, strict=True):
            channel.ready[id(self)] = ready
            if channel.cross():
                changed.append(channel)
        return changed


class Source(Unit):
    """Offers a word a cycle, or begins to offer one only in the cycles `cycles`."""

    kind = "source"

    def words(self) -> int:
        return self.facts["words"]

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (out,) = self.outs
        if self.cycles is None:
            return [out.after(1) + 1], []
        ready = np.zeros_like(out.times)
        for bound in out.ready.values():
            ready = np.maximum(ready, bound)
        offer, at = [], -1
        following = np.searchsorted(self.cycles, np.arange(int(self.cycles[-1]) + 2))
        begins = self.cycles.tolist()
        places = following.tolist()
        for earliest in ready.tolist():
            begin = begins[places[at + 1]]
            offer.append(begin)
            at = max(begin, earliest, at + out.gap if at >= 0 else 0)  # the crossing
        return [np.array(offer, np.int64)], []


class Sink(Unit):
    """Takes a word a cycle, or only in the cycles `cycles`."""

    kind = "sink"

    def start(self) -> None:
        self.ins[0].sink_cycles = self.cycles

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [], [np.zeros_like(self.ins[0].times)]


class Register(Unit):
    """One word late; of two inputs, both words are taken together."""

    kind = "register"

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (out,) = self.outs
        free = out.after(1)
        taken = self.ins[0].times
        for other in self.ins[1:]:
            taken = np.maximum(taken, other.times)
        readies = []
        for i in range(len(self.ins)):
            ready = free
            for j, other in enumerate(self.ins):
                if j != i:
                    ready = np.maximum(ready, np.maximum(other.offer, other.times))
            readies.append(ready)
        return [taken + 1], readies


class Split(Unit):
    """Each word leaves as `ratio` words."""

    kind = "split"

    def words(self) -> int:
        return super().words() * self.facts["ratio"]

    def start(self) -> None:
        self.ins[0].gap = max(self.ins[0].gap, self.facts["ratio"])

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,), n = self.ins, self.outs, self.facts["ratio"]
        last = out.times[n - 1 :: n]
        offer = np.maximum(np.repeat(x.times + 1, n), out.after(1) + 1)
        return [offer], [np.concatenate([[-1], last[:-1]])]


class Merge(Unit):
    """`ratio` words leave as one."""

    kind = "merge"

    def words(self) -> int:
        return super().words() // self.facts["ratio"]

    def start(self) -> None:
        self.outs[0].gap = self.facts["ratio"]

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,), n = self.ins, self.outs, self.facts["ratio"]
        ready = np.zeros_like(x.times)
        ready[::n] = out.after(1)
        return [x.times[n - 1 :: n] + 1], [ready]


class Pad(Unit):
    """A border of pixels that need no input; the others pass in the cycle in which they come."""

    kind = "pad"

    def words(self) -> int:
        height, width = self.facts["size"]
        top, left, bottom, right = self.facts["pads"]
        return (top + height + bottom) * (left + width + right) * self.facts["groups"]

    def start(self) -> None:
        height, width = self.facts["size"]
        top, left, bottom, right = self.facts["pads"]
        inner = np.zeros((top + height + bottom, left + width + right, self.facts["groups"]), bool)
        inner[top : top + height, left : left + width] = True
        self.inner = np.flatnonzero(np.tile(inner.ravel(), self.frames))

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,) = self.ins, self.outs
        offer = out.after(1) + 1
        offer[self.inner] = np.maximum(offer[self.inner], x.times)
        return [offer], [out.times[self.inner]]


class Queue(Unit):
    """A queue of `depth` words (None: endless) in a memory, and one in its output register."""

    kind = "queue"

    def reach(self) -> int:
        return -(-(self.facts["depth"] or 0) // super().words()) + 1

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,), depth = self.ins, self.outs, self.facts["depth"]
        offer = np.maximum(x.times + 2, out.after(1) + 1)
        if depth is None:
            return [offer], [np.zeros_like(x.times)]
        return [offer], [np.maximum(x.after(depth, before=-2) + 2, out.after(depth + 1) + 1)]


class Window(Unit):
    """A line buffer and the accumulators behind it: `passes` results a window, each after `steps` cycles."""

    kind = "window"

    def words(self) -> int:
        rows, columns = self.facts["out_size"]
        return rows * columns * self.facts["passes"]

    def start(self) -> None:
        f = self.facts
        (height, width), (rows, columns) = f["size"], f["out_size"]
        (kernel_height, kernel_width), (stride_height, stride_width) = f["kernel"], f["strides"]
        at = np.arange(rows)[:, None] * stride_height * width + np.arange(columns) * stride_width
        frame = height * width
        # First pixel of every window of all frames, and the one after the last: there the next frame begins.
        origin = (np.arange(self.frames)[:, None] * frame + at.ravel()).ravel()
        needed = origin + (kernel_height - 1) * width + kernel_width
        self.last_word = needed * f["groups"] - 1
        pixels = np.arange(self.frames * frame)
        # A pixel finds a place when the origin has moved on far enough: while window number `user` is worked on.
        user = np.searchsorted(origin, pixels - f["pixels"] + 1)
        self.waits = np.flatnonzero(user > 0)
        self.freed_by = user[self.waits] * f["passes"] - 1
        self.outs[0].gap = f["steps"]

    def reach(self) -> int:
        height, width = self.facts["size"]
        return -(-self.facts["pixels"] // (height * width))

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,), f = self.ins, self.outs, self.facts
        there = np.repeat(x.times[self.last_word] + 1, f["passes"])
        offer = np.maximum(there, out.after(1)) + f["steps"]
        ready = np.zeros((len(x.times) // f["groups"], f["groups"]), np.int64)
        ready[self.waits] = offer[self.freed_by][:, None]
        return [offer], [ready.ravel()]


class Collect(Unit):
    """Global pooling: the words of the last pixel of a frame each give a result."""

    kind = "collect"

    def words(self) -> int:
        return super().words() // self.facts["size"]

    def bounds(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        (x,), (out,) = self.ins, self.outs
        shape = (self.frames, self.facts["size"], -1)
        ready = np.zeros_like(x.times).reshape(shape)
        ready[:, -1] = out.after(1).reshape(self.frames, -1)
        return [x.times.reshape(shape)[:, -1].ravel() + 1], [ready.ravel()]


UNITS: dict[str, type[Unit]] = {u.kind: u for u in (Source, Sink, Register, Split, Merge, Pad, Queue, Window, Collect)}
