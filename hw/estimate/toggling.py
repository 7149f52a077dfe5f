"""Measured activity: how many bits of every layer's input toggle from one frame to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgec.backend import Kernel
from edgec.diagnostics import EdgecError
from edgec.formats import TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Constant, Op

KEPT = 65
"""Frames whose codes are kept: 64 pairs."""


def toggles(codes: np.ndarray, bits: int) -> int:
    """Bits of the `bits` low ones of each code that differ between consecutive frames of `codes` [F, ...]."""
    words = np.asarray(codes).astype(np.int64) & ((1 << bits) - 1 if bits < 63 else -1)
    return int(np.unpackbits((words[1:] ^ words[:-1]).reshape(-1).view(np.uint8)).sum())


class Activity(dict[str, float]):
    """Toggle rate of the input bits of every layer, by source name and by `"input"`. `codes` are those of the first
    frames, by op of `graph`, for kernels whose netlist is simulated; `frames` the same of the inputs, by name."""

    graph: Graph
    frames: dict[str, np.ndarray]
    codes: dict[Op, np.ndarray]

    def of(self, graph: Graph) -> Activity:
        """The activity of another instance of the graph."""
        return self if graph is self.graph else activity(graph, self.frames)


class _Counter:
    """Toggles of every op over consecutive chunks of frames; the last frame of a chunk meets the first of the next."""

    def __init__(self) -> None:
        self.toggled: dict[Op, int] = {}
        self.seen: dict[Op, int] = {}
        self.last: dict[Op, np.ndarray] = {}

    def add(self, op: Op, codes: np.ndarray) -> None:
        bits = op.format.bits
        both = np.concatenate([self.last[op], codes]) if op in self.last else codes
        self.toggled[op] = self.toggled.get(op, 0) + toggles(both, bits)
        self.seen[op] = self.seen.get(op, 0) + max(len(both) - 1, 0) * (both[0].size if len(both) else 0) * bits
        self.last[op] = np.array(codes[-1:])

    def rate(self, op: Op) -> float | None:
        return self.toggled[op] / self.seen[op] if self.seen.get(op) else None


def activity(graph: Graph, frames: Mapping[str, np.ndarray]) -> Activity:
    """Toggle rate of the input bits of every layer of an integer `graph`, by source name and by `"input"`.

    `frames`: input name -> codes [F, *shape] with F >= 2, in the order in which the hardware will see them. Where
    several ops carry a name, the one that reads the most bits counts. Raises E0210.
    """
    count = min((len(a) for a in frames.values()), default=0)
    if count < 2:
        raise EdgecError("E0210", "activity needs at least 2 frames", why=f"there are {count}")
    for op in graph.inputs:
        if op.format.is_float:
            raise EdgecError("E0210", f"input {op.name!r} is float", why="activity counts the bits of integer codes")
    counter = _Counter()
    kept: dict[Op, list[np.ndarray]] = {}

    def observe(op: Op, codes: object) -> None:
        if isinstance(codes, np.ndarray) and isinstance(op.type, TensorType) and not op.format.is_float:
            counter.add(op, codes)
            have = kept.setdefault(op, [])
            if sum(map(len, have)) < KEPT:
                have.append(np.array(codes[:KEPT]))

    run(graph, frames, observe=observe)
    for op in graph.inputs:
        counter.add(op, np.asarray(frames[op.name]))
    result = Activity(input=_mean(counter, graph.inputs) or 0.0)
    # few frames are gone through again and again
    result.codes = {op: np.resize(np.concatenate(parts)[:KEPT], (KEPT, *op.shape)) for op, parts in kept.items()}
    result.graph = graph
    result.frames = {op.name: np.resize(np.asarray(frames[op.name])[:KEPT], (KEPT, *op.shape)) for op in graph.inputs}
    result.codes |= {op: result.frames[op.name] for op in graph.inputs}
    size: dict[str, int] = {}
    for op in graph.ops:
        read = [o for o in op.operands if not isinstance(o, Constant) and counter.rate(o) is not None]
        rate, bits = _mean(counter, read), sum(o.tensor.bits for o in read)
        for name in op.loc:
            if rate is not None and bits > size.get(name, 0):
                result[name], size[name] = rate, bits
    return result


def _mean(counter: _Counter, ops: Sequence[Op]) -> float | None:
    """Toggle rate of all bits of `ops` together."""
    bits = [o.tensor.bits for o in ops]
    rates = [counter.rate(o) or 0.0 for o in ops]
    return sum(b * r for b, r in zip(bits, rates, strict=True)) / sum(bits) if sum(bits) else None


def kernel_rate(kernel: Kernel, measured: Mapping[str, float]) -> float | None:
    """The measured rate of a kernel: that of its first layer that was measured."""
    return next((measured[name] for name in kernel.layers if name in measured), None)
