"""What the layers compute, before they are folded: the array of each, and the circuit of one lane behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, bits, cast
from edgec.backends.rtl.folded.arrays import Array, leaf, make_array
from edgec.backends.rtl.folded.lanes import Lane, input_wire
from edgec.backends.rtl.folded.layers import WINDOWED, Layer
from edgec.backends.rtl.folded.network import has_lanes
from edgec.ops import AvgPool, Conv, Dense


@dataclass(eq=False)
class Core:
    """A layer's arithmetic. `lane` has the ports x0 (and x1), then p0, p1, ..., one for each of `numbers`."""

    layer: Layer
    name: str
    array: Array | None = None
    lane: Circuit | None = None
    numbers: list[np.ndarray] = field(default_factory=list)
    number_ports: list[Input] = field(default_factory=list)
    elements: dict[int, Circuit] = field(default_factory=dict)

    def element(self, simd: int) -> Circuit:
        """The processing element for `simd` products."""
        assert self.array is not None
        if simd not in self.elements:
            self.elements[simd] = leaf(self.array, simd, f"{self.name}_pe{simd}")
        return self.elements[simd]

    @property
    def number_bits(self) -> int:
        """Bits of the numbers of one channel."""
        return sum(p.width for p in self.number_ports)


def build_cores(layers: Sequence[Layer], prefix: str) -> dict[Layer, Core]:
    """The cores in order; each sets the interval that its output stream carries."""
    cores = {}
    for layer in layers:
        core = cores[layer] = Core(layer, f"{prefix}_l{layer.index}")
        if isinstance(layer.main, WINDOWED):
            core.array = make_array(layer)
        if has_lanes(layer):
            build_lane(core)
        else:
            assert core.array is not None
            layer.output.carries = core.array.sum_interval
    return cores


def build_lane(core: Core) -> None:
    """The circuit of one lane: everything element by element behind the array, or of the inputs of a join."""
    layer, array = core.layer, core.array
    lane = Lane(layer.output, f"{core.name}_lane")
    inputs: list[Input] = []
    if array is not None:
        register = array.register
        inputs.append(Input("x0", register))
        wire = cast(bits(inputs[0], 0, register.width), array.sum_interval)
        op = layer.main
        if isinstance(op, Conv | Dense):
            wire = lane.finish_sum(op, wire, array.low, array.high)
        elif isinstance(op, AvgPool):
            wire = lane.mean(op, wire, array.taps)
    elif len(layer.inputs) == 1:
        inputs.append(input_wire("x0", layer.inputs[0], layer.inputs[0].op.format))
        wire = inputs[0]
    else:
        wires = []
        for k, (stream, ops) in enumerate(zip(layer.inputs, layer.before, strict=True)):
            lane.low = lane.high = None
            inputs.append(input_wire(f"x{k}", stream, stream.op.format))
            value: Wire = inputs[-1]
            for op in ops:
                value = lane.light(op, value)
            wires.append(value)
        wire = lane.two(layer.main, *wires)  # type: ignore[arg-type]
    for op in layer.after:
        wire = lane.light(op, wire)
    interval = wire.interval
    if isinstance(wire, Const):
        wire = Const(wire.value & ((1 << interval.width) - 1), interval.width)
    layer.output.carries = Interval(interval.lo, interval.hi, interval.frac)
    core.number_ports, core.numbers = lane.ports, lane.values
    core.lane = Circuit(f"{core.name}_lane", {"y": wire}, [*inputs, *lane.ports])
