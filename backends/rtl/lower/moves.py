"""Ops that are wiring."""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.circuit.wire import Const
from edgec.backends.rtl.lower.registry import Layer, Wires, full, lowers, unit
from edgec.ops import Concat, Expand, Gather, Get, Op, Pad, Reshape, Slice, Split, Transpose


def zero_code(op: Op, value: float = 0.0) -> Const:
    """The wire of a constant real value."""
    fmt = op.format
    return Const(int(fmt.encode(np.array([value]))[0]), unit=unit(fmt))


@lowers(Reshape)
def reshape(layer: Layer, op: Reshape, x: Wires) -> Wires:
    return x.reshape(op.shape)


@lowers(Transpose)
def transpose(layer: Layer, op: Transpose, x: Wires) -> Wires:
    return x.transpose(op.perm)


@lowers(Concat)
def concat(layer: Layer, op: Concat, *xs: Wires) -> Wires:
    return np.concatenate(xs, axis=op.axis)


@lowers(Slice)
def slice_(layer: Layer, op: Slice, x: Wires) -> Wires:
    return x[(*op.slices(), ...)]  # of a scalar too an array


@lowers(Pad)
def pad(layer: Layer, op: Pad, x: Wires) -> Wires:
    rank = len(op.x.shape)
    if op.mode == "constant":
        result = full(op.shape, zero_code(op, op.value))
        inner, outer = [], []
        for i, n in enumerate(op.x.shape):
            begin, end = op.pads[i], op.pads[i + rank]
            inner.append(slice(max(-begin, 0), n - max(-end, 0)))
            outer.append(slice(max(begin, 0), op.shape[i] - max(end, 0)))
        result[tuple(outer)] = x[tuple(inner)]
        return result
    places = np.arange(x.size).reshape(x.shape)
    grown = np.pad(places, [(op.pads[i], op.pads[i + rank]) for i in range(rank)], mode=op.mode)  # type: ignore[call-overload]
    return x.ravel()[grown]


@lowers(Gather)
def gather(layer: Layer, op: Gather, x: Wires) -> Wires:
    axis = op.axis % len(op.x.shape)
    indices = np.array(op.indices)
    result = np.take(x, np.maximum(indices, 0), axis=axis)
    if (indices < 0).any():
        result[(slice(None),) * axis + (np.flatnonzero(indices < 0),)] = zero_code(op)
    return result


@lowers(Expand)
def expand(layer: Layer, op: Expand, x: Wires) -> Wires:
    return np.broadcast_to(x, op.shape)


@lowers(Split)
def split(layer: Layer, op: Split, x: Wires) -> Wires:
    return tuple(np.split(x, np.cumsum(op.sizes)[:-1], axis=op.axis))  # type: ignore[return-value]


@lowers(Get)
def get(layer: Layer, op: Get, x: Wires) -> Wires:
    return x[op.index]
