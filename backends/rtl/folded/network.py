"""The units of a folded design and the streams between them, as plain data: what is simulated, emitted and priced.

Each unit is a dictionary: `kind`, `name`, `layer`, `ins` and `outs` (names of streams) and the parameters of its module
in `lib/`; `edgec.hw.estimate.dataflow` computes cycles from it, `emit` writes it as SystemVerilog.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgec.backends.rtl.folded.arrays import Array
from edgec.backends.rtl.folded.layers import WINDOWED, Layer
from edgec.ops import MaxPool

Facts = dict[str, Any]


@dataclass(frozen=True)
class Fold:
    """How a layer is folded: `pe` outputs at a time, `simd` products each; `lanes` elements behind them a cycle."""

    pe: int
    simd: int
    lanes: int


@dataclass(frozen=True)
class Wires:
    """A stream as hardware: `lanes` elements of `bits` bits a word, `words` words a frame."""

    lanes: int
    bits: int
    words: int

    @property
    def width(self) -> int:
        return self.lanes * self.bits


class Network:
    """Units in the order of the data, and the wires of every stream by name."""

    def __init__(self) -> None:
        self.units: list[Facts] = []
        self.wires: dict[str, Wires] = {}

    def add(self, kind: str, layer: int, ins: Sequence[str], wires: Wires, **facts: Any) -> str:
        """A unit with one output; the name of its stream."""
        name = f"{'top' if layer < 0 else f'l{layer}'}_{kind}{len(self.units)}"
        self.wires[name] = wires
        self.units.append({"kind": kind, "name": name, "layer": layer, "ins": list(ins), "outs": [name], **facts})
        return name

    def resize(self, stream: str, lanes: int, layer: int) -> str:
        """The stream with `lanes` elements a word; through their greatest common divisor if neither divides."""
        old = self.wires[stream]
        common = math.gcd(old.lanes, lanes)
        if old.lanes != common:
            wires = Wires(common, old.bits, old.words * old.lanes // common)
            stream = self.add("split", layer, [stream], wires, ratio=old.lanes // common)
        if lanes != common:
            old = self.wires[stream]
            wires = Wires(lanes, old.bits, old.words * common // lanes)
            stream = self.add("merge", layer, [stream], wires, ratio=lanes // common)
        return stream

    def without(self, names: set[str]) -> list[Facts]:
        """The units as the cycle model takes them."""
        return [{k: v for k, v in u.items() if k not in names} for u in self.units]


def build_network(
    layers: Sequence[Layer],
    arrays: Mapping[Layer, Array],
    folds: Mapping[Layer, Fold],
    input_lanes: int,
    depths: Mapping[str, int] | None = None,
) -> Network:
    """The network of `layers`; `depths` of its queues by name, endless ones without."""
    net = Network()
    source = layers[0].inputs[0].origin
    first = Wires(input_lanes, source.interval.width, source.elements // input_lanes)
    made = {source: net.add("source", -1, [], first, words=first.words)}
    readers: dict[object, int] = {}
    for layer in layers:
        for stream in layer.inputs:
            readers[stream.origin] = readers.get(stream.origin, 0) + 1
    for layer in layers:
        ins = [made[s.origin] for s in layer.inputs]
        fold = folds[layer]
        if isinstance(layer.main, WINDOWED):
            made[layer.output] = array_units(net, layer, arrays[layer], fold, ins[0])
        elif len(ins) == 1:
            out = net.resize(ins[0], fold.lanes, layer.index)
            made[layer.output] = lanes_unit(net, layer, [out])
        else:
            ready = [net.resize(i, fold.lanes, layer.index) for i in ins]
            shared = [readers[s.origin] > 1 for s in layer.inputs]
            waits = waiting(layer, layers, shared)
            for k, wait in enumerate(waits):
                if wait:
                    name = f"l{layer.index}_queue{len(net.units)}"
                    depth = None if depths is None else depths[name]
                    ready[k] = net.add("queue", layer.index, [ready[k]], net.wires[ready[k]], depth=depth)
            made[layer.output] = lanes_unit(net, layer, ready)
    last = made[layers[-1].output]
    net.units.append({"kind": "sink", "name": "top_sink", "layer": -1, "ins": [last], "outs": []})
    return net


def waiting(layer: Layer, layers: Sequence[Layer], shared: Sequence[bool]) -> list[bool]:
    """Which inputs of a join get a queue: those that come earlier, and those that others read as well."""
    found: dict[object, int] = {}  # of every stream, as `layers` stand in the order of the data
    for other in layers[: layer.index]:
        before = max(found.get(s.origin, 0) for s in other.inputs)
        found[other.output] = before + isinstance(other.main, WINDOWED)

    depths = [found.get(s.origin, 0) for s in layer.inputs]
    earlier = [d < max(depths) for d in depths]
    if not any(earlier):
        earlier[0] = True
    return [e or s for e, s in zip(earlier, shared, strict=True)]


def lanes_unit(net: Network, layer: Layer, ins: Sequence[str]) -> str:
    """The register behind the element-by-element part of a layer."""
    before = net.wires[ins[0]]
    wires = Wires(before.lanes, layer.output.interval.width, before.words)
    return net.add("register", layer.index, ins, wires, leaf=True)


def has_lanes(layer: Layer) -> bool:
    """Whether anything is computed behind the array."""
    return not (isinstance(layer.main, MaxPool) and not layer.after)


def array_units(net: Network, layer: Layer, array: Array, fold: Fold, stream: str) -> str:
    """The units of a windowed layer: width, border, window with array, serialisation, elementwise part."""
    at = layer.index
    word = fold.pe if array.by_channel else fold.simd
    stream = net.resize(stream, word, at)
    groups = array.channels // word
    passes = array.outputs // fold.pe
    sums = Wires(fold.pe, array.register.width, passes * array.out_size[0] * array.out_size[1])
    if array.collects:
        stream = net.add("collect", at, [stream], sums, size=array.size[0] * array.size[1], groups=groups)
    else:
        size = array.size
        if any(array.pads):
            top, left, bottom, right = array.pads
            size = (top + size[0] + bottom, left + size[1] + right)
            # A border can be needed in more bits than the stream has.
            wires = Wires(word, array.x.width, size[0] * size[1] * groups)
            facts = {"size": list(array.size), "pads": list(array.pads), "groups": groups}
            stream = net.add("pad", at, [stream], wires, **facts)
        steps = array.taps * (1 if array.by_channel else groups)
        stream = net.add(
            "window",
            at,
            [stream],
            sums,
            size=list(size),
            groups=groups,
            kernel=list(array.kernel),
            strides=list(array.strides),
            out_size=list(array.out_size),
            passes=passes,
            steps=steps,
            by_group=array.by_channel,
            pixels=ring(size, array),
        )
    ratio = fold.pe // fold.lanes
    narrow = Wires(fold.lanes, sums.bits, sums.words * ratio)
    if ratio > 1:
        stream = net.add("split", at, [stream], narrow, ratio=ratio)
    else:
        stream = net.add("register", at, [stream], narrow, leaf=False)
    return lanes_unit(net, layer, [stream]) if has_lanes(layer) else stream


def ring(size: Sequence[int], array: Array) -> int:
    """Pixels that a line buffer holds: a window, what the next one needs besides, and one more to write into."""
    (rows, columns), (kernel_rows, kernel_columns) = array.out_size, array.kernel
    (stride_rows, stride_columns), width = array.strides, size[1]
    span = (kernel_rows - 1) * width + kernel_columns
    back = (columns - 1) * stride_columns
    moves = [stride_columns] if columns > 1 else []
    moves += [stride_rows * width - back] if rows > 1 else []
    moves.append(size[0] * width - (rows - 1) * stride_rows * width - back)
    return min(span + max(moves) + (rows * columns > 1), span + size[0] * width)
