"""Questions that several passes ask about ops: is this a constant, is it per channel, does it repeat one value."""

from __future__ import annotations

import numpy as np

from edgec.ops import Constant, Conv, ConvTranspose, Dense, Dequantize, Op

MacOp = Conv | ConvTranspose | Dense
"""Ops with weights and an optional bias, `w` and `b`."""


def float_constant(op: Op | None) -> Constant | None:
    """`op` when it is a constant of floats."""
    return op if isinstance(op, Constant) and op.format.is_float else None


def quantized_constant(op: Op | None) -> Constant | None:
    """The codes of `Dequantize(Constant)`, which is how quantised parameters are written."""
    return op.x if isinstance(op, Dequantize) and isinstance(op.x, Constant) else None


def is_parameter(op: Op | None) -> bool:
    """Whether `op` is known at compile time: a constant, or the dequantised codes of one."""
    return isinstance(op, Constant) or quantized_constant(op) is not None


def channel_axis(op: Op) -> int:
    """The axis of the output channels of a multiply-accumulate op, counted from the front."""
    return len(op.shape) - 1 if isinstance(op, Dense) else 1


def per_channel(data: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray | None:
    """`data`, which broadcasts to `shape`, as one element per index of `axis`; None when it varies elsewhere too."""
    if data.ndim > len(shape):
        return None
    full = data.reshape((1,) * (len(shape) - data.ndim) + data.shape)
    if any(n != 1 for i, n in enumerate(full.shape) if i != axis) or full.shape[axis] not in (1, shape[axis]):
        return None
    return np.ascontiguousarray(np.broadcast_to(full.reshape(-1), (shape[axis],)))


def only_value(op: Op | None) -> float | None:
    """The value that every element of a float constant has, or None."""
    constant = float_constant(op)
    if constant is None or not constant.data.size:
        return None
    first = constant.data.flat[0]
    return float(first) if bool((constant.data == first).all()) else None
