"""What follows an array in every lane: requantisation, activation, tables, as one circuit with the channel's numbers.

Numbers that differ from channel to channel (multipliers, shifts, thresholds) become ports, fed from a small read-only
memory; those that do not are constants of the circuit.
"""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.circuit.arith import add
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.matrix import Matrix
from edgec.backends.rtl.circuit.multiply import multiply
from edgec.backends.rtl.circuit.rounding import overflow_to, round_to
from edgec.backends.rtl.circuit.select import shift_left_by
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, narrow, with_frac
from edgec.backends.rtl.folded.streams import Stream
from edgec.backends.rtl.lower import Layer as Lowering
from edgec.backends.rtl.lower import format_interval, lower
from edgec.backends.rtl.lower.elementwise import bring
from edgec.backends.rtl.lower.pool import divide
from edgec.backends.rtl.lower.registry import sign_of_bit, unit
from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Format, Quantizer, TensorType
from edgec.formats_compressed import Binary
from edgec.ops import Add, AvgPool, Constant, Conv, Dense, Mul, MultiThreshold, Op, Requantize, Sub
from edgec.ops import Input as GraphInput
from edgec.rounding import shift_round


def one_format(fmt: Format) -> Format:
    """`fmt` for a single element: without a scale per channel, which integer ops do not look at."""
    if isinstance(fmt, Affine) and fmt.axis is not None and not fmt.zero_point_array.any():
        return fmt.base
    return fmt


class Lane:
    """A circuit under construction for one lane; `stream` says which channel is where."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.stream, self.layer = stream, Lowering(name)
        self.ports: list[Input] = []
        self.values: list[np.ndarray] = []
        self.low: np.ndarray | None = None
        self.high: np.ndarray | None = None

    def number(self, values: np.ndarray, frac: int = 0) -> Wire:
        """`values` [channels], as a constant if they are all alike, else as a port."""
        values = np.asarray(values, np.int64)
        if (values == values[0]).all():
            return Const(int(values[0]), unit=frac)
        port = Input("p" + str(len(self.ports)), Interval(int(values.min()), int(values.max()), frac))
        self.ports.append(port)
        self.values.append(values)
        return port

    def per_channel(self, op: Op, values: np.ndarray, axis: int) -> np.ndarray:
        """Parameters [1] or [channels along `axis`] as [channels of the stream]."""
        channels = self.stream.channels
        if values.size == 1:
            return np.full(channels, int(values.ravel()[0]))
        at = self.stream.channel_of(axis)
        if at is None:
            why = "its channels were moved between the pixels"
            raise EdgecError(
                "E0310", f"{op.mnemonic} with numbers per channel", layer=op.label, op=op.mnemonic, why=why
            )
        return values.ravel()[at]

    def finish_sum(self, op: Conv | Dense, wire: Wire, low: np.ndarray, high: np.ndarray) -> Wire:
        """The finished sum in the accumulator's and the output's format of `op`."""
        self.low, self.high = low, high
        for quantizer in (op.acc, op.out):
            if quantizer is not None:
                self.low = self.high = None
                fmt = quantizer.format
                wire = with_frac(bring(wire, quantizer), fmt.frac or 0)
                if isinstance(fmt, Binary) and quantizer is not op.out and op.out is not None:
                    wire = sign_of_bit(wire)
        return with_frac(wire, unit(op.format))

    def mean(self, op: AvgPool, wire: Wire, taps: int) -> Wire:
        """The centred sum of a window as the mean, in the output's format."""
        quantizer = op.out or Quantizer(op.format)
        target = quantizer.format
        dyadic = op.x.format.frac is not None and target.frac is not None
        frac = (target.frac or 0) if dyadic else 0
        value = divide(wire if dyadic else with_frac(wire, 0), taps, frac, quantizer.rounding)
        zero = int(target.zero_point_array[0])
        moved = add(value, Const(zero, unit=frac)) if zero else value
        return with_frac(overflow_to(moved, *target.level_range, quantizer.overflow), unit(target))

    def light(self, op: Op, wire: Wire) -> Wire:
        """`op` of the element `wire`."""
        if isinstance(op, Requantize):
            return self.requantize(op, wire)
        self.low = self.high = None
        if isinstance(op, MultiThreshold):
            return self.thresholds(op, wire)
        if isinstance(op, Add | Sub | Mul):
            wires = [self.constant(op, o) if isinstance(o, Constant) else wire for o in (op.x, op.y)]
            return self.two(op, wires[0], wires[1])
        x: Op = op.x  # type: ignore[attr-defined]
        return self.single(op.replace(x=element("x", x.format)), [wire])

    def two(self, op: Add | Sub | Mul, a: Wire, b: Wire) -> Wire:
        """An elementwise op of two elements."""
        self.low = self.high = None
        return self.single(op.replace(x=element("x", op.x.format), y=element("y", op.y.format)), [a, b])

    def single(self, op: Op, wires: list[Wire]) -> Wire:
        arrays = []
        for wire in wires:
            array = np.empty((1, 1), object)
            array[0, 0] = wire
            arrays.append(array)
        operands = [*arrays, *([None] * (len(op.operands) - len(arrays)))]
        return lower(self.layer, op, operands)[0, 0]

    def constant(self, op: Op, constant: Constant) -> Wire:
        """A constant operand of an elementwise op, one number or one a channel."""
        frac = unit(constant.format)
        values = constant.data.astype(np.int64)
        if values.size > 1:
            full = np.broadcast_to(values, op.shape).ravel()[self.stream.order].reshape(self.stream.pixels, -1)
            if not (full == full[0]).all():
                why = "its constant has another value at every pixel"
                raise EdgecError("E0310", f"{op.mnemonic} of a map", layer=op.label, op=op.mnemonic, why=why)
            values = full[0]
        return self.number(np.broadcast_to(values.ravel(), self.stream.channels), frac)

    def thresholds(self, op: MultiThreshold, wire: Wire) -> Wire:
        assert isinstance(op.thresholds, Constant) and isinstance(op.sign, Constant)
        sign = np.unique(op.sign.data)
        table = op.thresholds.data.astype(np.int64)
        columns = np.empty((1, table.shape[1]), object)
        for k in range(table.shape[1]):
            columns[0, k] = self.number(self.per_channel(op, table[:, k], op.axis))
        one = op.replace(
            x=element("x", op.x.format),
            thresholds=Constant(table[:1], type=TensorType(op.thresholds.format, (1, table.shape[1]))),
            sign=Constant(sign, type=TensorType(op.sign.format, (1,))),
        )
        array = np.empty((1, 1), object)
        array[0, 0] = wire
        return lower(self.layer, one, [array, columns, None])[0, 0]

    def requantize(self, op: Requantize, wire: Wire) -> Wire:
        """round((x * multiplier + offset) * 2**-shift) + zero point, brought into range.

        Different shifts of the channels become a shift to the left by what is missing to the largest one.
        """

        def numbers(constant: Op | None) -> np.ndarray:
            if constant is None:
                return np.zeros(self.stream.channels, np.int64)
            assert isinstance(constant, Constant)
            return self.per_channel(op, constant.data.astype(np.int64), op.axis)

        factor, places, offset = numbers(op.multiplier), numbers(op.shift), numbers(op.offset)
        start = int(one_format(op.x.format).zero_point_array[0])
        x = with_frac(wire, 0)
        low = self.low if self.low is not None else np.full(len(factor), x.interval.lo)
        high = self.high if self.high is not None else np.full(len(factor), x.interval.hi)
        if start:
            x, low, high = add(x, Const(-start)), low - start, high - start
        multiplier = self.number(factor)
        if isinstance(multiplier, Const):
            matrix = Matrix()
            matrix.add_scaled(x, multiplier.value)
            product = matrix.total()
        else:
            product = multiply(x, multiplier)
        product = add(product, self.number(offset)) if offset.any() else product
        most = int(places.max())
        if int(places.min()) != most:
            product = shift_left_by(product, self.number(most - places))
        ends = np.stack([low * factor + offset, high * factor + offset]).astype(object) << (most - places)
        ends = shift_round(ends, most, op.out.rounding)
        low, high = ends.min(axis=0).astype(np.int64), ends.max(axis=0).astype(np.int64)
        rounded = round_to(with_frac(product, most), 0, op.out.rounding)
        rounded = narrow(rounded, Interval(int(low.min()), int(high.max())))
        fmt = op.format
        zero = int(fmt.zero_point_array[0])
        moved = add(rounded, Const(zero)) if zero else rounded
        bounds = fmt.level_range
        self.low = np.clip(low + zero, *bounds) if op.out.overflow == "saturate" else None
        self.high = np.clip(high + zero, *bounds) if op.out.overflow == "saturate" else None
        return with_frac(overflow_to(moved, *bounds, op.out.overflow), unit(fmt))


def element(name: str, fmt: Format) -> GraphInput:
    """A graph input of one element in the format of a tensor."""
    return GraphInput(name, type=TensorType(one_format(fmt), (1, 1)))


def input_wire(name: str, stream: Stream, fmt: Format) -> Input:
    """The wire on which an element of `stream` comes."""
    return Input(name, Interval(stream.interval.lo, stream.interval.hi, format_interval(fmt).frac))
