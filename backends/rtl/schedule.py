"""The schedule of a spatial pipeline: which op works in which stage, and in which module.

Every computing op (convolution, dense, pooling, addition, ...) opens a pipeline stage and a module; light ops
(activation, requantisation, element moves) behind it share both. A register stands at the end of every stage, so a
network of L computing layers in a row has a latency of L cycles and accepts a frame every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgec.formats import Affine
from edgec.formats_compressed import Binary
from edgec.graph import Graph
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Constant,
    Conv,
    DecodeFloat,
    Dense,
    EncodeFloat,
    Expand,
    Gather,
    Get,
    Input,
    Lut,
    MaxPool,
    Mul,
    MultiThreshold,
    NormalizePow2,
    Op,
    PackBits,
    Pad,
    Reduce,
    Relu,
    Requantize,
    Reshape,
    Slice,
    Split,
    Sub,
    Transpose,
)

HEAVY = (Conv, Dense, Add, Sub, Mul, MaxPool, AvgPool, Reduce, ArgMax, NormalizePow2)
"""Ops that open a stage."""
MOVES = (Reshape, Transpose, Concat, Slice, Pad, Gather, Expand, Split, Get)
"""Ops that are wiring."""
LIGHT = (Relu, Clip, Cast, Requantize, MultiThreshold, Lut, DecodeFloat, EncodeFloat, PackBits)
"""Ops that compute little and share the stage of what feeds them."""


def is_wiring(op: Op) -> bool:
    """Whether `op` costs nothing: a move of elements, or a cast that changes no number."""
    if not isinstance(op, Cast):
        return isinstance(op, MOVES)
    if isinstance(op.x.format, Affine) or isinstance(op.format, Affine | Binary) or isinstance(op.x.format, Binary):
        return False
    (lo, hi), (low, high) = op.x.format.level_range, op.format.level_range
    return op.x.format.frac == op.format.frac and low <= lo and hi <= high


@dataclass
class Group:
    """The ops of one module, in order; `stage` counts from 1."""

    index: int
    stage: int
    ops: list[Op] = field(default_factory=list)

    @property
    def main(self) -> Op:
        """The op the module is named after: its first computing op."""
        return next((op for op in self.ops if not is_wiring(op)), self.ops[0])


@dataclass(frozen=True)
class Schedule:
    """Stages and groups of all computing ops. `depth` is the number of stages, which is the latency in cycles."""

    stage: dict[Op, int]
    group: dict[Op, Group]
    groups: tuple[Group, ...]
    depth: int


def schedule(graph: Graph) -> Schedule:
    """Assign every op of an integer `graph` to a stage and a group."""
    stage: dict[Op, int] = {}
    group: dict[Op, Group] = {}
    groups: list[Group] = []
    outputs = {op for _, op in graph.outputs}
    for op in graph.ops:
        if isinstance(op, Input):
            stage[op] = 0
            continue
        if isinstance(op, Constant):
            continue
        sources = [o for o in op.operands if not isinstance(o, Constant)]
        latest = max((stage[o] for o in sources), default=0)
        if isinstance(op, HEAVY) or (latest == 0 and (not is_wiring(op) or op in outputs)):
            stage[op] = latest + 1
        else:
            stage[op] = latest
        if stage[op] == 0:
            continue  # wiring of an input: done where it is read
        feeding = {group[o].index for o in sources if o in group and stage[o] == stage[op]}
        if not isinstance(op, HEAVY) and len(feeding) == 1:
            home = groups[feeding.pop()]
        else:
            home = Group(len(groups), stage[op])
            groups.append(home)
        home.ops.append(op)
        group[op] = home
    depth = max(1, max((stage.get(o, 0) for _, o in graph.outputs), default=0))
    return Schedule(stage, group, tuple(groups), depth)
