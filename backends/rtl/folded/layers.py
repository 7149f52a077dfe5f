"""From a graph to layers: what one unit of hardware does, and the streams between them.

A layer is a convolution, dense, pooling or elementwise op of two tensors with the light ops behind it (requantisation,
activation, tables), which work on every element by itself. Light ops in front of an elementwise op of two tensors join
it where they would widen the stream: a residual branch waits in its queue in 8 bits, not in 34.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.folded.streams import MOVES, Stream, canonical, geometry, move
from edgec.backends.rtl.lower import format_interval
from edgec.diagnostics import EdgecError
from edgec.formats_compressed import Binary
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Cast,
    Clip,
    Constant,
    Conv,
    DecodeFloat,
    Dense,
    EncodeFloat,
    Input,
    Lut,
    MaxPool,
    Mul,
    MultiThreshold,
    Op,
    Relu,
    Requantize,
    Sub,
)

WINDOWED = (Conv, Dense, MaxPool, AvgPool)
ELEMENTWISE = (Add, Sub, Mul)
LIGHT = (Relu, Clip, Cast, Requantize, MultiThreshold, Lut, DecodeFloat, EncodeFloat)


def is_join(op: Op) -> bool:
    """Whether `op` combines two computed tensors."""
    return isinstance(op, ELEMENTWISE) and not any(isinstance(o, Constant) for o in op.operands)


def is_light(op: Op) -> bool:
    """Whether `op` works on every element of one tensor by itself."""
    return isinstance(op, LIGHT) or (isinstance(op, ELEMENTWISE) and not is_join(op))


def data_operand(op: Op) -> Op:
    """The computed operand of a light op."""
    return next(o for o in op.operands if not isinstance(o, Constant))


@dataclass(eq=False)
class Layer:
    """One unit: `main` opens it, `after` follows element by element; `before` are light ops of each input of a join."""

    index: int
    main: Op
    inputs: list[Stream]
    before: list[list[Op]] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)
    output: Stream = field(default=None)  # type: ignore[assignment]

    @property
    def ops(self) -> list[Op]:
        opening = [] if self.after[:1] == [self.main] else [self.main]
        return [op for ops in self.before for op in ops] + opening + self.after

    @property
    def result(self) -> Op:
        return self.after[-1] if self.after else self.main

    @property
    def label(self) -> str:
        """The source name that overrides of the folding match."""
        return self.main.loc[-1] if self.main.loc else self.main.mnemonic


class Planner:
    """Finds the layers of a graph that `support.unsupported` has nothing against."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[Layer] = []
        self.streams: dict[Op, Stream] = {}
        self.absorbed: set[Op] = set()
        self.outputs = {op for _, op in graph.outputs}
        for op in graph.ops:
            if op in self.absorbed or isinstance(op, Constant):
                continue
            if isinstance(op, Input):
                self.streams[op] = self.input(op)
            elif isinstance(op, MOVES):
                self.streams[op] = self.streams[op.x].moved(op)
            elif is_join(op):
                self.join(op)
            elif isinstance(op, WINDOWED):
                self.add(Layer(len(self.layers), op, [self.canonical(op, op.x)], after=self.followers(op)))
            elif not self.leads_to_join(op):
                source = self.streams[data_operand(op)]
                self.add(Layer(len(self.layers), op, [source], after=[op, *self.followers(op)]))
        if not self.layers:
            raise EdgecError("E0310", "the network computes nothing", why="its outputs are moved inputs")

    def input(self, op: Input) -> Stream:
        """The stream of a graph input, in the order in which its readers want it."""
        found: dict[bytes, Stream] = {}
        stack: list[tuple[Op, np.ndarray]] = [(op, np.arange(op.tensor.size).reshape(op.shape))]
        while stack:
            seen, numbers = stack.pop()
            for user in self.graph.users.get(seen, ()):
                if isinstance(user, MOVES):
                    stack.append((user, move(user, numbers)))
                    continue
                size, channels = geometry(seen)
                order = numbers.ravel()[canonical(seen)]
                stream = Stream(op, size, channels, order, format_interval(op.format))
                found[repr((size, channels)).encode() + order.tobytes()] = stream
        if len(found) != 1:
            why = "a folded design reads every element once, in one order"
            raise EdgecError("E0310", f"input {op.name!r} is read in {len(found)} orders", layer=op.name, why=why)
        return next(iter(found.values()))

    def canonical(self, op: Op, operand: Op) -> Stream:
        """The stream of `operand`, whose pixels `op` must find where they are."""
        stream = self.streams[operand]
        if isinstance(op, Dense) or stream.is_canonical:
            return stream
        raise EdgecError(
            "E0310",
            f"{op.mnemonic} reads a tensor whose elements were moved",
            layer=op.label,
            op=op.mnemonic,
            why="a stream carries pixel after pixel, channels innermost",
            remedy="--mode spatial builds it",
        )

    def users(self, op: Op) -> list[Op]:
        return list(self.graph.users.get(op, ()))

    def only_user(self, op: Op) -> Op | None:
        """The op that reads `op`, if nothing else does."""
        return self.users(op)[0] if self.graph.use_count(op) == 1 and op not in self.outputs else None

    def followers(self, op: Op) -> list[Op]:
        """The light ops that belong to the layer of `op`: up to where the tensor is read elsewhere, and before a
        join only as long as the elements become narrower."""
        chain: list[Op] = []
        last = op
        while (user := self.only_user(last)) is not None and is_light(user):
            chain.append(user)
            last = user
        user = self.only_user(last)
        if user is not None and is_join(user):
            widths = [op.format.bits, *(o.format.bits for o in chain)]
            narrowest = min(range(len(widths)), key=lambda i: (widths[i], -i))
            del chain[narrowest:]
        return chain

    def leads_to_join(self, op: Op) -> bool:
        """Whether nothing but light ops lie between `op` and a join, which takes them over."""
        while (user := self.only_user(op)) is not None:
            if is_join(user):
                return True
            if not is_light(user):
                return False
            op = user
        return False

    def join(self, op: Op) -> None:
        inputs, before = [], []
        for operand in op.operands:
            chain: list[Op] = []
            while operand not in self.streams:
                chain.insert(0, operand)
                operand = data_operand(operand)
            inputs.append(self.streams[operand])
            before.append(chain)
            self.absorbed.update(chain)
        a, b = inputs
        if (a.size, a.channels) != (b.size, b.channels) or not np.array_equal(a.order, b.order):
            why = f"the streams carry {a.op.shape} and {b.op.shape}"
            raise EdgecError(
                "E0310", f"{op.mnemonic} of tensors in different orders", layer=op.label, op=op.mnemonic, why=why
            )
        self.add(Layer(len(self.layers), op, inputs, before, self.followers(op)))

    def add(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.absorbed.update(layer.after)
        result, source = layer.result, layer.inputs[0]
        if isinstance(layer.main, WINDOWED):
            size, channels = geometry(layer.main)
            order = canonical(layer.main)
        else:
            size, channels, order = source.size, source.channels, source.order
        layer.output = self.streams[result] = Stream(result, size, channels, order, format_interval(result.format))


def pad_code(op: Op) -> int | None:
    """The code that stands for nothing at the border of a window of `op`'s input; None when there is none."""
    fmt = op.x.format  # type: ignore[attr-defined]
    if isinstance(op, MaxPool):
        return fmt.code_range[0]
    if isinstance(fmt, Binary):
        return None
    zero = int(fmt.zero_point_array[0])
    lo, hi = fmt.code_range
    return zero if lo <= zero <= hi else None


def with_code(interval: Interval, code: int) -> Interval:
    """The hull of `interval` and `code`."""
    return Interval(min(interval.lo, code), max(interval.hi, code), interval.frac)
