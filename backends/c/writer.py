"""Writes the C function of one step: arguments, loops, and the elementwise ops on every finished element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c.constants import Constants
from edgec.backends.c.element import element
from edgec.backends.c.loops import INDENT, Nest, affine, nest
from edgec.backends.c.scalar import FLOATS, Body, Kind, Scalar, integer, number
from edgec.backends.c.view import View, dense
from edgec.ops import Constant, Op

if TYPE_CHECKING:
    from edgec.backends.c.schedule import Schedule, Step


class Writer:
    """One function. Positions in tensors are written as marks, which `nest` or the axes' loops then resolve."""

    def __init__(self, schedule: Schedule, step: Step, constants: Constants) -> None:
        self.views, self.step, self.constants = schedule.views, step, constants
        self.single = schedule.single
        self.shape = step.result.shape
        self.result = schedule.views[step.result]
        self.arguments: dict[object, str] = {}
        for op in step.reads:
            self.arguments.setdefault(self.views[op].buffer, f"x{len(self.arguments)}")
        self.results = [f"y{i}" if i else "y" for i in range(len(step.results))]
        self.accesses: list[tuple[tuple[int, ...], int]] = []

    @property
    def names(self) -> list[str]:
        """All parameters but scratch memory."""
        return [*self.arguments.values(), *self.results]

    def source(self, op: Op) -> tuple[str, tuple[int, ...], int]:
        """Name, strides and offset of an operand, computed or constant."""
        if isinstance(op, Constant):
            return self.constants.array(op.data, as_is=True), dense(op.shape), 0
        view = self.views[op]
        return self.arguments[view.buffer], view.strides, view.offset

    def at(self, strides: Sequence[int], offset: int = 0) -> str:
        """A mark for the element at these strides along the axes of the result."""
        access = (tuple(strides), offset)
        if access not in self.accesses:
            self.accesses.append(access)
        return f"@I{self.accesses.index(access)}@"

    def spread(self, shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
        """Strides of a tensor of lower rank or with axes of size 1 along the axes of the result."""
        missing = len(self.shape) - len(shape)
        return (0,) * missing + tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))

    def element_of(self, op: Op, index: str) -> str:
        """The C expression of an element of a computed tensor."""
        return f"{self.arguments[self.views[op].buffer]}[{index}]"

    def read(self, body: Body, op: Op) -> Scalar:
        """The level or number of an operand at the element of the result, broadcast as numpy does."""
        if isinstance(op, Constant):
            values = op.data if op.format.is_float else codes.levels_of(op)
            return self.constant(body, values, self.spread(op.shape, dense(op.shape)))
        view = self.views[op]
        index = self.at(self.spread(view.shape, view.strides), view.offset)
        return codes.load(body, op.format, self.element_of(op, index), self.constants)

    def along(self, body: Body, values: np.ndarray, axis: int) -> Scalar:
        """An array [1] or [channels] along an axis of the result."""
        strides = [0] * len(self.shape)
        if self.shape:
            strides[axis % len(self.shape)] = 1
        return self.constant(body, values.ravel(), tuple(strides))

    def constant(self, body: Body, values: np.ndarray, strides: tuple[int, ...]) -> Scalar:
        """One of constant `values` (levels or floats), read with `strides`; a literal where all are the same."""
        flat = values.ravel()
        is_float = values.dtype.kind == "f"
        kind: Kind = FLOATS[values.dtype.name] if is_float else "int"  # type: ignore[assignment]
        same = flat.size == 1 or bool((flat == flat[0]).all() and not (is_float and np.isnan(flat).any()))
        if same and flat.size:
            if is_float:
                return Scalar(number(float(flat[0]), kind), kind)
            return Scalar(integer(int(flat[0])), "int", int(flat[0]), int(flat[0]))
        name = self.constants.array(flat)
        index = self.at(strides)
        if is_float:
            value = f"@from_half({name}[{index}])" if kind == "half" else f"{name}[{index}]"
            return body.let_number(value, kind)
        made = body.let(f"{name}[{index}]", int(flat.min()), int(flat.max()))
        body.lines[-1] = body.lines[-1].replace("= ", f"= ({made.ctype})", 1)
        return made

    def epilogue(self, body: Body, value: Scalar | None) -> list[str]:
        """Statements that compute the elementwise ops behind the anchor's `value` and store the last one."""
        values: dict[Op, Scalar] = {}
        if self.step.anchor is not None:
            assert value is not None
            values[self.step.anchor] = value

        def along(array: np.ndarray, axis: int) -> Scalar:
            return self.along(body, array, axis)

        for op in self.step.chain:
            operands = op.operands

            def operand(i: int, operands: tuple[Op, ...] = operands) -> Scalar:
                x = operands[i]
                if x not in values:
                    values[x] = self.read(body, x)
                return values[x]

            body.single = op in self.single
            values[op] = element(op, body, operand, along, self.constants.array)
        last = values[self.step.result]
        index = self.at(self.result.strides, self.result.offset)
        return [*body.lines, f"y[{index}] = {codes.store(self.step.result.format, last)};"]

    def by_axes(self, lines: Sequence[str], depth: int = 1) -> list[str]:
        """`lines` with marks resolved for loops i0, i1, ... over the axes of the result."""
        names = [f"i{a}" for a in range(len(self.shape))]
        places = [affine([(n, s) for n, s in zip(names, strides, strict=True) if s], o) for strides, o in self.accesses]
        return [INDENT * depth + line for line in _resolved(lines, places)]

    def over_axes(self, body: Sequence[str], order: Sequence[int] | None = None) -> list[str]:
        """`body`, marks resolved, inside one loop an axis of the result (in the order of memory)."""
        order = order if order is not None else self.result.order
        loops = Nest(tuple((f"i{a}", self.shape[a]) for a in order), ())
        return loops.write(self.by_axes(body, 0))

    def elementwise(self) -> list[str]:
        """The body of a step without an anchor."""
        lines = self.epilogue(Body(), None)
        loops = nest(self.shape, [s for s, _ in self.accesses], self.result.order)
        places = [loops.index(k, offset) for k, (_, offset) in enumerate(self.accesses)]
        return loops.write(_resolved(lines, places))

    def signature(self, name: str, scratch: bool = False) -> str:
        """The function's head. Arguments in the order of `arguments`, then the results, then scratch memory."""
        parts = [f"const {codes.ctype(b.format)} *{n}" for b, n in self.arguments.items()]  # type: ignore[attr-defined]
        for made, op in zip(self.results, self.step.results, strict=True):
            parts.append(f"{codes.ctype(op.format)} *{made}")
        if scratch and self.step.scratch is not None:
            parts.append(f"{codes.ctype(self.step.scratch.format)} *scratch")
        return f"static void {name}({', '.join(parts)})"

    @property
    def buffers(self) -> list[object]:
        """What is passed, in the order of the arguments; the results come last and are not among them."""
        return list(self.arguments)


def _resolved(lines: Sequence[str], places: Sequence[str]) -> list[str]:
    text = "\n".join(lines)
    for k, place in enumerate(places):
        text = text.replace(f"@I{k}@", place)
    return text.split("\n")


def copied(source: View, target: View) -> list[str]:
    """Statements that copy tensor `from_` to `to_`, both of one shape."""
    loops = nest(target.shape, [source.strides, target.strides], target.order)
    return loops.copy("to_", target.offset, "from_", source.offset, source.buffer.format.dtype.itemsize)
