"""Mutants: small faults planted in weights, golden words and operators, to test the verification itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import FormatError, Quantizer
from edgec.graph import Graph, rewrite
from edgec.ops import (
    Add,
    AvgPool,
    Cast,
    Clip,
    Constant,
    Conv,
    Dense,
    Gather,
    Input,
    MaxPool,
    Op,
    Relu,
    Requantize,
    Sub,
    Transpose,
)
from edgec.rounding import OVERFLOWS, ROUNDINGS
from edgec.text import Printer


@dataclass(frozen=True)
class Mutant:
    """A graph with one fault; `what` says which in words, `layer` is the text-form name of the changed op."""

    kind: str
    what: str
    layer: str
    graph: Graph


def substitute(graph: Graph, old: Op, new: Op) -> Graph:
    """`graph` with `new` in the place of `old`."""
    return rewrite(graph, lambda op, uses: new if op is old else None)


def weight_mutants(graph: Graph, generator: np.random.Generator) -> Iterator[Mutant]:
    """Endless: one bit of one constant's code flipped, within the format's legal codes."""
    names = Printer(graph).names
    constants = [op for op in graph.ops if isinstance(op, Constant) and op.data.size and not op.format.is_float]
    if not constants:
        return
    sizes = np.array([op.data.size for op in constants], float)
    while True:
        op = constants[generator.choice(len(constants), p=sizes / sizes.sum())]
        place = tuple(int(generator.integers(n)) for n in op.shape)
        bit = int(generator.integers(op.format.bits))
        code = int(op.data[place])
        flipped = _sign_extend(code ^ (1 << bit), op.format.bits, op.format.code_range[0] < 0)
        lo, hi = op.format.code_range
        if not lo <= flipped <= hi:
            continue
        data = op.data.copy()
        data[place] = flipped
        new = Constant(data, type=op.type, loc=op.loc)
        where = f"{names[op]}[{', '.join(map(str, place))}]"
        yield Mutant(
            "weight", f"{where}: bit {bit} flipped, {code} -> {flipped}", names[op], substitute(graph, op, new)
        )


def _sign_extend(code: int, bits: int, signed: bool) -> int:
    code &= (1 << bits) - 1
    return code - (1 << bits) if signed and code >> (bits - 1) else code


def operator_mutants(graph: Graph, generator: np.random.Generator) -> list[Mutant]:
    """Every operator fault that the rules below can plant in `graph`, in random order."""
    names = Printer(graph).names
    mutants = []
    for op in graph.ops:
        for what, new in _operator_faults(op):
            try:
                changed = new()
                if changed.type != op.type:
                    continue  # another type would be refused, not miscompiled
                mutants.append(Mutant("operator", f"{names[op]}: {what}", names[op], substitute(graph, op, changed)))
            except (EdgecError, FormatError):
                continue
    return [mutants[i] for i in generator.permutation(len(mutants))]


def _operator_faults(op: Op) -> Iterator[tuple[str, Callable[[], Op]]]:
    for name, value in op.fields():
        if isinstance(value, Quantizer):
            for rounding in ROUNDINGS:
                if rounding != value.rounding:
                    changed = dataclasses.replace(value, rounding=rounding)  # type: ignore[arg-type]
                    yield f"{name} rounds {rounding}", _with(op, name, changed)
            for overflow in OVERFLOWS:
                if overflow != value.overflow:
                    changed = dataclasses.replace(value, overflow=overflow)  # type: ignore[arg-type]
                    yield f"{name} overflows with {overflow}", _with(op, name, changed)
    match op:
        case Conv():
            rank = len(op.x.shape) - 2
            ends = op.pads[rank:] + op.pads[:rank]
            if ends != op.pads:
                yield "pads at the other end", _with(op, "pads", ends)
            if isinstance(op.w, Constant):
                for axis in range(2, len(op.w.shape)):
                    if op.w.shape[axis] > 1:
                        yield f"kernel flipped along axis {axis}", _with(op, "w", _flipped(op.w, axis))
                yield from _channel_faults(op, op.w)
            if op.b is not None:
                yield "bias left out", lambda: op.replace(b=None)
        case Dense():
            if isinstance(op.w, Constant):
                yield from _channel_faults(op, op.w)
            if op.b is not None:
                yield "bias left out", lambda: op.replace(b=None)
        case Relu():
            yield "left out", lambda: op.x
        case Clip():
            yield "left out", lambda: op.x
        case Add():
            yield "subtracts", lambda: Sub(op.x, op.y, op.out, loc=op.loc)
            yield "second operand left out", lambda: op.x
        case MaxPool():
            yield (
                "averages",
                lambda: AvgPool(op.x, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode, loc=op.loc),
            )
        case AvgPool():
            yield (
                "takes the maximum",
                lambda: MaxPool(op.x, op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode, loc=op.loc),
            )
        case Transpose():
            inverse = tuple(int(i) for i in np.argsort(op.perm))
            yield "permutes the other way", _with(op, "perm", inverse)
        case Gather():
            yield "first two places exchanged", _with(op, "indices", (op.indices[1::-1] + op.indices[2:]))
        case Cast() | Requantize():
            pass
        case Input():
            pass


def _with(op: Op, name: str, value: object) -> Callable[[], Op]:
    return lambda: op.replace(**{name: value})


def _flipped(w: Constant, axis: int) -> Constant:
    return Constant(np.flip(w.data, axis), type=w.type, loc=w.loc)


def _channel_faults(op: Conv | Dense, w: Constant) -> Iterator[tuple[str, Callable[[], Op]]]:
    for k in range(min(w.shape[0] - 1, 8)):
        order = np.arange(w.shape[0])
        order[[k, k + 1]] = order[[k + 1, k]]
        swapped = Constant(w.data[order], type=w.type, loc=w.loc)
        if w.format.axis is None:
            yield f"output channels {k} and {k + 1} exchanged", _with(op, "w", swapped)
