"""Which function lowers which op, and what it is told about the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edgec.backends.rtl.circuit.arith import add
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, concat
from edgec.formats import Affine, Fixed, Format
from edgec.formats_compressed import Binary
from edgec.ops import Add, Constant, Conv, Dense, Lut, Mul, MultiThreshold, Op, Requantize, Sub

Wires = np.ndarray
"""Object array of `Wire` in the shape of the op."""


@dataclass
class Layer:
    """The module under construction: its name, and the loaded parameters (constant -> wires of the bank).

    `sharing` says what outputs of constant weights share (`edgec.options.SHARING`)."""

    name: str
    parameters: dict[Constant, Wires] = field(default_factory=dict)
    circuits: dict[object, Circuit] = field(default_factory=dict)
    networks: dict[object, Circuit | None] = field(default_factory=dict)
    sharing: str = "auto"
    macs: int = 0

    def loaded(self, op: Op | None) -> bool:
        return isinstance(op, Constant) and op in self.parameters


Lowering = Callable[..., Wires]
LOWERINGS: dict[type[Op], Lowering] = {}


def lowers(*classes: type[Op]) -> Callable[[Lowering], Lowering]:
    """Register `function(layer, op, *operand_wires) -> wires`; a constant operand that is not loaded is None."""

    def register(function: Lowering) -> Lowering:
        for cls in classes:
            LOWERINGS[cls] = function
        return function

    return register


def lower(layer: Layer, op: Op, operands: list[Wires | None]) -> Wires:
    """The wires of `op` from those of its operands; None is a constant that is not loaded."""
    wires = [
        constant_wires(o) if w is None and isinstance(o, Constant) and is_data(op, i) else w
        for i, (o, w) in enumerate(zip(op.operands, operands, strict=True))
    ]
    return LOWERINGS[type(op)](layer, op, *wires)


def is_data(op: Op, position: int) -> bool:
    """Whether an operand is data that a lowering wants as wires even where it is constant: no parameter."""
    if isinstance(op, Add | Sub | Mul):
        return False
    return position == 0 or not isinstance(op, Conv | Dense | Requantize | MultiThreshold | Lut)


def constant_wires(constant: Constant) -> Wires:
    """The codes of a constant as wires."""
    frac = unit(constant.format)
    return each(lambda v: Const(int(v), unit=frac), constant.data.astype(object))


def format_interval(fmt: Format) -> Interval:
    """The interval of a wire that carries any code of `fmt`."""
    return Interval(*fmt.code_range, fmt.frac if isinstance(fmt, Fixed) else 0)


def unit(fmt: Format) -> int:
    """Fraction bits of the wires of `fmt`."""
    return fmt.frac if isinstance(fmt, Fixed) else 0


def full(shape: tuple[int, ...], wire: Wire) -> Wires:
    """An array of one wire."""
    array = np.empty(shape, object)
    array[...] = wire
    return array


def each(function: Callable[..., Wire], *arrays: Wires) -> Wires:
    """`function` applied element by element with numpy broadcasting."""
    arrays = tuple(np.broadcast_arrays(*arrays))
    result = np.empty(arrays[0].shape, object)
    for index in np.ndindex(*result.shape):
        result[index] = function(*(a[index] for a in arrays))
    return result


def per_channel(values: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    """Parameters [1] or [C] broadcast over `shape` along `axis`."""
    view = [1] * len(shape)
    if values.size > 1:
        view[axis % len(shape)] = values.size
    return np.broadcast_to(values.reshape(view), shape)


def base_of(fmt: Format) -> Format:
    """The format of the codes: what an affine format scales."""
    return fmt.base if isinstance(fmt, Affine) else fmt


def is_binary(fmt: Format) -> bool:
    """Whether wires carry one bit that means -1 or +1."""
    return isinstance(base_of(fmt), Binary)


def centered(wires: Wires, fmt: Format) -> Wires:
    """Levels minus zero point; for `binary` the levels -1 and +1."""
    if is_binary(fmt):
        wires = each(sign_of_bit, wires)
    if not fmt.zero_point_array.any():
        return wires
    return each(lambda w, zero: add(w, Const(-int(zero), unit=w.frac)), wires, zero_points(fmt, wires.shape))


def zero_points(fmt: Format, shape: tuple[int, ...]) -> np.ndarray:
    """The zero point of every element of a tensor, int64."""
    return per_channel(fmt.zero_point_array, fmt.axis or 0, shape)


def sign_of_bit(code: Wire) -> Wire:
    """A binary code as a number: 0 is -1, 1 is +1."""
    if isinstance(code, Const):
        return Const(2 * code.value - 1)
    from edgec.backends.rtl.circuit.logic import invert

    return cast(concat([Const(1, 1), invert(bits(code, 0, 1))]), Interval(-1, 1))
