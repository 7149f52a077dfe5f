"""The op: an immutable, typed node that checks itself when it is built.

An op is a frozen dataclass. A field whose value is an `Op` is an operand, every other field an attribute.
`infer` gives the type from operands and attributes and refuses shapes and formats that do not fit, naming the
source nodes. Ops are compared by identity: the graph is the structure of references.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

from edgec.diagnostics import EdgecError
from edgec.formats import Format, FormatError, TensorType, TupleType

OPS: dict[str, type[Op]] = {}
"""Mnemonic in the text form -> op class; filled as the classes are defined."""


@dataclass(frozen=True, eq=False)
class Op:
    """Base of all ops. `type=None` asks for inference; a given type must equal the inferred one.

    `loc` carries the names of all source nodes that this op stands for, in order.
    """

    type: TensorType | TupleType = field(default=None, kw_only=True)  # type: ignore[assignment]
    loc: tuple[str, ...] = field(default=(), kw_only=True)

    mnemonic: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.mnemonic = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if not cls.__name__.startswith("_"):
            OPS[cls.mnemonic] = cls

    def __post_init__(self) -> None:
        try:
            inferred = self.infer()
        except FormatError as error:
            raise self.error(str(error)) from error
        if self.type is None:
            object.__setattr__(self, "type", inferred)
        elif self.type != inferred:
            raise self.error(f"stated type {self.type}, but the operands give {inferred}")

    def infer(self) -> TensorType | TupleType:
        """The type of the result; raises `FormatError` for operands that do not fit."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def error(self, what: str) -> EdgecError:
        """An E0102 diagnostic that names this op, its source nodes and its operand types."""
        operands = ", ".join(str(o.type) for o in self.operands)
        return EdgecError(
            "E0102",
            what,
            layer=self.label,
            op=self.mnemonic,
            why=f"operands: {operands}" if operands else None,
        )

    @property
    def label(self) -> str:
        """Source names for people: `/conv0, /bn0`; falls back to the first named operand."""
        if self.loc:
            return ", ".join(self.loc)
        named = next((o.label for o in self.operands if o.loc), "")
        return f"after {named}" if named else "(unnamed)"

    @cached_property
    def operands(self) -> tuple[Op, ...]:
        """Operands in field order; absent optional operands are left out."""
        return tuple(v for _, v in self.fields() if isinstance(v, Op)) + tuple(
            o for _, v in self.fields() if _is_op_tuple(v) for o in v
        )

    def fields(self) -> Iterable[tuple[str, Any]]:
        """Names and values of all fields but `type` and `loc`."""
        for f in dataclasses.fields(self):
            if f.name not in ("type", "loc"):
                yield f.name, getattr(self, f.name)

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes`; the type is inferred again unless it is among them."""
        changes.setdefault("type", None)
        return dataclasses.replace(self, **changes)

    def with_operands(self, operands: Iterable[Op]) -> Self:
        """A copy whose operands (in the order of `operands`) are replaced; self when nothing changes."""
        new = iter(operands)
        changes: dict[str, Any] = {}
        plain = [(k, v) for k, v in self.fields() if isinstance(v, Op)]
        tuples = [(k, v) for k, v in self.fields() if _is_op_tuple(v)]
        for name, old in plain:
            if (operand := next(new)) is not old:
                changes[name] = operand
        for name, old in tuples:
            fresh = tuple(next(new) for _ in old)
            if any(a is not b for a, b in zip(fresh, old, strict=True)):
                changes[name] = fresh
        return self.replace(**changes) if changes else self

    @property
    def tensor(self) -> TensorType:
        """The result type of an op with one result."""
        if not isinstance(self.type, TensorType):
            raise self.error("has several results; take one with get")
        return self.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def format(self) -> Format:
        return self.tensor.format

    def __repr__(self) -> str:
        return f"<{self.mnemonic} {self.type} {self.label}>"


def _is_op_tuple(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(v, Op) for v in value)


def merge_loc(*ops: Op | None) -> tuple[str, ...]:
    """Source names of several ops in order, each once: the `loc` of what a pass builds from them."""
    return tuple(dict.fromkeys(name for op in ops if op is not None for name in op.loc))


def require(ok: bool, message: str) -> None:
    """Raise `FormatError(message)` unless `ok`; for use inside `infer`."""
    if not ok:
        raise FormatError(message)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The numpy broadcast of `shapes`."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    result = []
    for dims in zip(*padded, strict=True):
        big = {d for d in dims if d != 1}
        require(len(big) <= 1, f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast")
        result.append(big.pop() if big else 1)
    return tuple(result)


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` in 0..rank-1."""
    require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions")
    return axis % rank


def same_float(*ops: Op) -> Format:
    """The common float format of `ops`."""
    first = ops[0].format
    require(first.is_float, f"needs float operands, has {first}")
    require(
        all(o.format == first for o in ops), "operands of different formats: " + ", ".join(str(o.format) for o in ops)
    )
    return first


def plain_integers(fmt: Format) -> bool:
    """Whether codes are integers of unit 1 without zero point."""
    return not fmt.is_float and fmt.frac == 0 and not fmt.zero_point_array.any()
