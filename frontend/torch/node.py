"""What an operator's importer sees: checked arguments, and the ways to refuse.

Every argument that is given must be read (or be one that changes no number, see `IGNORED`); what is left over
after the operator's importer has run is an error, so that no argument is ever dropped in silence.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import numpy as np

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import F32, Format, Quantizer
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.onnx.types import constant_op, dtype_format
from edgec.ops import Cast, Constant, Dequantize, Op

Value = Op | np.ndarray
"""A tensor at import: computed (an op), or known (an array in its PyTorch element type)."""

IGNORED = frozenset(["device", "layout", "pin_memory", "memory_format", "non_blocking", "cudnn_enabled", "copy"])
"""Arguments about where and how a tensor is stored."""


class Missing(NamedTuple):
    """A result that is not computed; an operator that reads it is refused."""

    what: str


class Result(NamedTuple):
    """What the file states about a result: element type (None if it has no format) and sizes (None: dynamic)."""

    dtype: np.dtype | None
    shape: tuple[int | None, ...]


class Node:
    """One call. `values` are the arguments by name, `labels` the names of the tensors among them in the module."""

    def __init__(
        self,
        operator: str,
        layer: str,
        values: dict[str, Any],
        labels: dict[str, Any],
        results: list[Result],
    ) -> None:
        self.operator, self.layer, self.values, self.labels, self.results = operator, layer, values, labels, results
        self.loc = (layer,)
        self.unread = {n for n, v in values.items() if v is not None and n not in IGNORED}
        self.warnings: list[Diagnostic] = []

    # --- refusals ---------------------------------------------------------------------------------------------

    def unsupported(self, what: str, *, why: str | None = None, remedy: str | None = None) -> NoReturn:
        raise EdgecError("E0304", what, layer=self.layer, op=self.operator, why=why, remedy=remedy)

    def malformed(self, what: str, *, why: str | None = None) -> NoReturn:
        raise EdgecError("E0302", what, layer=self.layer, op=self.operator, why=why)

    def require(self, ok: bool, what: str, *, why: str | None = None, remedy: str | None = None) -> None:
        """Refuse the call (E0304) unless `ok`."""
        if not ok:
            self.unsupported(what, why=why, remedy=remedy)

    def in_training(self) -> NoReturn:
        """Refuse a layer that was exported while it trained."""
        self.unsupported(
            "the layer is in training mode",
            why="it draws random numbers or uses the statistics of the batch",
            remedy="call model.eval() before the export",
        )

    def not_training(self, training: bool) -> None:
        """Refuse the layer if `training`."""
        if training:
            self.in_training()

    def not_constant(self, what: str, why: str) -> NoReturn:
        """E0307: something that must be known when compiling is not."""
        raise EdgecError(
            "E0307",
            f"the {what} of {self.operator} is computed from the model's inputs",
            layer=self.layer,
            op=self.operator,
            why=why,
            remedy="make it a constant of the module",
        )

    def limit(self, *sizes: int) -> None:
        """Refuse tensors that no memory holds."""
        if any(s < 0 for s in sizes):
            self.malformed(f"the result has a negative dimension in {list(sizes)}")
        if math.prod(sizes) > MAX_ELEMENTS:
            self.unsupported(f"the result has {math.prod(sizes)} elements", why=f"the limit is {MAX_ELEMENTS}")

    def finish(self) -> None:
        """Refuse arguments that nobody read."""
        if self.unread:
            name = min(self.unread)
            self.unsupported(f"argument {name!r} is not supported", why=f"{self.operator} is imported without it")

    # --- plain arguments --------------------------------------------------------------------------------------

    def raw(self, name: str) -> Any:
        """Argument `name` as it is, None when it is absent."""
        self.unread.discard(name)
        value = self.values.get(name)
        if isinstance(value, Missing):
            self.unsupported(f"{value.what} is read, which is not computed")
        return value

    def has(self, name: str) -> bool:
        return self.raw(name) is not None

    def ignore(self, *names: str) -> None:
        """Arguments that change nothing here; the caller says why."""
        self.unread.difference_update(names)

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.raw(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool):
            self.malformed(f"argument {name!r} is {_shown(value)}, not an integer")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.raw(name)
        value = default if value is None else value
        if not isinstance(value, bool):
            self.malformed(f"argument {name!r} is {_shown(value)}, not true or false")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.raw(name)
        value = default if value is None else value
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if isinstance(value, Op):
            self.not_constant(f"argument {name!r}", "it is laid out when compiling")
        if not isinstance(value, int | float):
            self.malformed(f"argument {name!r} is {_shown(value)}, not a number")
        return float(value)

    def finite(self, name: str, default: float | None = None) -> float:
        value = self.number(name, default)
        if not math.isfinite(value):
            self.unsupported(f"argument {name!r} is {value}")
        return value

    def string(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.raw(name)
        value = default if value is None else value
        if value not in allowed:
            self.unsupported(f"argument {name} = {_shown(value)}", why=f"supported: {', '.join(allowed)}")
        return value

    def ints(self, name: str, count: int | None = None, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A list of integers; a single one stands for `count` equal ones."""
        value = self.raw(name)
        value = list(default) if value is None else [value] if isinstance(value, int) else value
        if not isinstance(value, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            self.malformed(f"argument {name!r} is {_shown(value)}, not a list of integers")
        if count is not None and len(value) == 1:
            value = value * count
        if count is not None and len(value) != count:
            self.malformed(f"argument {name!r} has {len(value)} elements, needs {count}")
        return tuple(value)

    def axis(self, name: str, rank: int, default: int | None = None) -> int:
        axis = self.integer(name, default)
        rank = max(rank, 1)
        if not -rank <= axis < rank:
            self.malformed(f"axis {axis} of a tensor with {rank} dimensions")
        return axis % rank

    def axes(self, name: str, rank: int) -> tuple[int, ...]:
        """A list of axes in 0..rank-1, each once; all of them when the argument is absent or empty."""
        value = self.ints(name) or tuple(range(rank))
        if any(not -rank <= a < rank for a in value):
            self.malformed(f"axes {list(value)} of a tensor with {rank} dimensions")
        result = tuple(a % rank for a in value)
        if len(set(result)) != len(result):
            self.malformed(f"an axis is named twice in {list(value)}")
        return result

    # --- tensors ----------------------------------------------------------------------------------------------

    def value(self, name: str) -> Value:
        """Argument `name`, which must be a tensor."""
        return self._as_tensor(self.raw(name), name)

    def op(self, name: str) -> Op:
        """Argument `name` as an op; a known tensor becomes a constant with the tensor's name in the module."""
        return self._as_op(self.raw(name), self.labels.get(name), name)

    def ops(self, name: str) -> list[Op]:
        """Argument `name`, a list of tensors, as ops."""
        value = self.raw(name)
        if not isinstance(value, list):
            self.malformed(f"argument {name!r} is {_shown(value)}, not a list of tensors")
        labels = self.labels.get(name) or [None] * len(value)
        return [self._as_op(v, label, name) for v, label in zip(value, labels, strict=True)]

    def floating(self, name: str) -> Op:
        """Argument `name`, which must be a tensor of floats."""
        op = self.op(name)
        if not op.format.is_float:
            self.unsupported(f"{self.operator} of {op.format} operands", why="only float tensors are supported")
        return op

    def optional(self, name: str) -> Op | None:
        """Argument `name` as a tensor of floats, None when it is absent."""
        return self.floating(name) if self.has(name) else None

    def known(self, name: str, what: str) -> np.ndarray:
        """Argument `name`, which must not depend on the model's inputs; E0307 otherwise."""
        value = self.value(name)
        if isinstance(value, Constant) and not hasattr(value.format, "base"):
            return value.data
        if isinstance(value, Op):
            self.not_constant(what, "it decides shapes or number formats, which are fixed when compiling")
        return value

    def weights(self, op: Op) -> Op:
        """`op`, which must be constant weights, plain or dequantised."""
        if not is_constant(op):
            self.not_constant("weight tensor", "weights are laid out when compiling")
        return op

    def constant(self, value: object, fmt: Format = F32) -> Constant:
        """A constant of real `value` in the float format `fmt`, named after the layer."""
        return constant_op(np.asarray(value, fmt.dtype), self.loc)

    def _as_tensor(self, value: object, name: str) -> Value:
        if isinstance(value, bool | int | float):
            kind = np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float32
            return np.asarray(value, kind)
        if not isinstance(value, Op | np.ndarray):
            self.malformed(f"argument {name!r} is {_shown(value)}, not a tensor")
        return value

    def _as_op(self, value: object, label: object, name: str) -> Op:
        tensor = self._as_tensor(value, name)
        if isinstance(tensor, Op):
            return tensor
        if dtype_format(tensor.dtype) is None:
            self.unsupported(f"elements of type {tensor.dtype}")
        return constant_op(tensor, (label,) if isinstance(label, str) else self.loc)

    def lifted(self, value: Value) -> Op:
        """`value` as an op, named as the argument that it is, else after the layer."""
        label = next((self.labels.get(n) for n, v in self.values.items() if v is value), None)
        return self._as_op(value, label, "self")

    # --- element types ----------------------------------------------------------------------------------------

    def dtype(self, index: int = 0) -> np.dtype:
        """The element type of result `index`, as the file states it."""
        found = self.results[index].dtype if index < len(self.results) else None
        if found is None:
            self.unsupported("a result of this element type")
        return found

    def format(self) -> Format:
        """The number format of the first result."""
        found = dtype_format(self.dtype())
        if found is None:
            self.unsupported(f"a result of type {self.dtype()}")
        return found

    def as_float(self, op: Op, fmt: Format) -> Op:
        """`op` in the float format `fmt`, as PyTorch converts operands of different types."""
        if op.format == fmt:
            return op
        if isinstance(op, Constant) and not hasattr(op.format, "base"):
            return constant_op(op.data.astype(fmt.dtype), op.loc)
        if op.format.is_float:
            return Cast(op, Quantizer(fmt), loc=self.loc)
        return Dequantize(op, fmt, loc=self.loc)


def is_constant(op: Op) -> bool:
    """A constant, plain or dequantised."""
    return isinstance(op, Constant) or (isinstance(op, Dequantize) and isinstance(op.x, Constant))


def _shown(value: object) -> str:
    if value is None:
        return "absent"
    return "a tensor" if isinstance(value, Op | np.ndarray) else repr(value)[:60]
