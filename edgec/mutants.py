"""Mutants: small faults planted in weights, golden words and operators, to test the verification itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Format, FormatError, Quantizer
from edgec.graph import Graph
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
    """A graph with one fault; `what` says which in words.

    `became` maps the names of the original's ops to what stands for them now: an op that is left out became its
    operand, and the names that the text form would give to the mutant's ops may be others.
    """

    kind: str
    what: str
    graph: Graph
    became: Mapping[str, Op]


def substitute(graph: Graph, old: Op, new: Op, names: Mapping[Op, str]) -> tuple[Graph, dict[str, Op]]:
    """`graph` with `new` in the place of `old`, and what every named op became."""
    became: dict[Op, Op] = {}
    for op in graph.ops:
        became[op] = new if op is old else op.with_operands(became[o] for o in op.operands)
    outputs = tuple((name, became[op]) for name, op in graph.outputs)
    return dataclasses.replace(graph, outputs=outputs), {names[op]: b for op, b in became.items()}


def with_element(graph: Graph, constant: Constant, place: tuple[int, ...], code: int) -> tuple[Graph, dict[str, Op]]:
    """`graph` with the legal `code` at `place` of `constant`; see `substitute`."""
    data = constant.data.copy()
    data[place] = code
    return substitute(graph, constant, Constant(data, type=constant.type, loc=constant.loc), Printer(graph).names)


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
        flipped = sign_extend(code ^ (1 << bit), op.format.bits, op.format.code_range[0] < 0)
        if not is_legal(flipped, op.format):
            continue
        where = f"{names[op]}[{', '.join(map(str, place))}]"
        what = f"{where}: bit {bit} flipped, {code} -> {flipped}"
        yield Mutant("weight", what, *with_element(graph, op, place, flipped))


def sign_extend(code: int, bits: int, signed: bool) -> int:
    """The low `bits` bits of `code`, in two's complement if `signed`."""
    code &= (1 << bits) - 1
    return code - (1 << bits) if signed and code >> (bits - 1) else code


def is_legal(code: int, fmt: Format) -> bool:
    """Whether `fmt` has this code (narrow and ternary formats leave some out)."""
    lo, hi = fmt.code_range
    return lo <= code <= hi


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
                mutants.append(Mutant("operator", f"{names[op]}: {what}", *substitute(graph, op, changed, names)))
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
