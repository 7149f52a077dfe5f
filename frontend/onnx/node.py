"""What an operator's importer sees: operands, checked attributes, and the ways to refuse.

Every attribute that is present must be read (or named in `ignore` with a reason in the code); what is left over
after the operator's importer has run is an error, so that no attribute is ever dropped in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import AttributeProto

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import Format, FormatError
from edgec.frontend.onnx.budget import afford
from edgec.frontend.onnx.read import MAX_ELEMENTS, tensor_array, text
from edgec.frontend.onnx.structure import Item
from edgec.frontend.onnx.types import constant_op, dtype_format, element_format
from edgec.ops import Constant, Op

Value = Op | np.ndarray
"""A tensor at import: computed (an op), or known (an array in its ONNX element type)."""

_FIELDS = {
    AttributeProto.FLOAT: ("f", float),
    AttributeProto.INT: ("i", int),
    AttributeProto.STRING: ("s", bytes),
    AttributeProto.TENSOR: ("t", None),
    AttributeProto.FLOATS: ("floats", list),
    AttributeProto.INTS: ("ints", list),
    AttributeProto.STRINGS: ("strings", list),
}


class Unknown:
    """A tensor that an operator already refused would have produced; readers of it are checked less deeply."""


@cache
def schema_of(op_type: str, opset: int, domain: str) -> onnx.defs.OpSchema | None:
    """The standard's description of an operator, None when the opset has none of this name."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


class Node:
    """One node with its operands (None where an optional one is absent)."""

    def __init__(
        self,
        item: Item,
        values: list[Value | None],
        folder: Path | None,
        aliases: Mapping[str, str] | None = None,
        kinds: Sequence[int | None] = (),
    ) -> None:
        self.item, self.values, self.folder, self.aliases = item, values, folder, aliases or {}
        self.kinds = kinds
        self.warnings: list[Diagnostic] = []
        self.op_type, self.opset = item.op_type, item.opset
        self.loc = (item.name,)
        self.attributes = {text(a.name): a for a in item.proto.attribute}
        self.unread = set(self.attributes)
        if len(self.attributes) < len(item.proto.attribute):
            self.malformed("an attribute is given twice")
        for attribute in self.attributes.values():
            if attribute.ref_attr_name:
                self.malformed(f"attribute {attribute.name!r} refers to a function's attribute outside a function")

    # --- refusals ---------------------------------------------------------------------------------------------

    def unsupported(self, what: str, *, why: str | None = None, remedy: str | None = None) -> NoReturn:
        raise EdgecError("E0304", what, layer=self.item.name, op=self.op_type, why=why, remedy=remedy)

    def malformed(self, what: str, *, why: str | None = None) -> NoReturn:
        raise EdgecError("E0302", what, layer=self.item.name, op=self.op_type, why=why)

    def warn(self, code: str, what: str, *, why: str | None = None, remedy: str | None = None) -> None:
        self.warnings.append(Diagnostic(code, what, self.item.name, self.op_type, why, remedy))

    def require(self, ok: bool, what: str, *, remedy: str | None = None) -> None:
        """Refuse the node (E0304) unless `ok`."""
        if not ok:
            self.unsupported(what, remedy=remedy)

    # --- attributes -------------------------------------------------------------------------------------------

    def _attribute(self, name: str, kind: AttributeProto.AttributeType) -> Any:
        self.unread.discard(name)
        attribute = self.attributes.get(name)
        if attribute is None:
            return None
        if attribute.type != kind:
            self.malformed(
                f"attribute {name!r} has the wrong type", why=f"needs {AttributeProto.AttributeType.Name(kind)}"
            )
        return getattr(attribute, _FIELDS[kind][0])

    def integer(self, name: str, default: int = 0) -> int:
        value = self._attribute(name, AttributeProto.INT)
        return default if value is None else int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.integer(name, int(default))
        if value not in (0, 1):
            self.malformed(f"attribute {name!r} is {value}, not 0 or 1")
        return bool(value)

    def number(self, name: str, default: float = 0.0) -> float:
        value = self._attribute(name, AttributeProto.FLOAT)
        value = default if value is None else float(np.float32(value))
        if not math.isfinite(value):
            self.unsupported(f"attribute {name!r} is {value}")
        return value

    def string(self, name: str, default: str, allowed: tuple[str, ...] = ()) -> str:
        value = self._attribute(name, AttributeProto.STRING)
        try:
            result = default if value is None else value.decode()
        except UnicodeDecodeError:
            self.malformed(f"attribute {name!r} is not UTF-8")
        if allowed and result not in allowed:
            self.unsupported(f"attribute {name} = {result!r}", why=f"supported: {', '.join(allowed)}")
        return result

    def ints(self, name: str) -> tuple[int, ...] | None:
        value = self._attribute(name, AttributeProto.INTS)
        return None if value is None else tuple(value)

    def floats(self, name: str) -> tuple[float, ...] | None:
        value = self._attribute(name, AttributeProto.FLOATS)
        return None if value is None else tuple(value)

    def strings(self, name: str) -> tuple[str, ...] | None:
        values = self._attribute(name, AttributeProto.STRINGS)
        try:
            return None if values is None else tuple(v.decode() for v in values)
        except UnicodeDecodeError:
            self.malformed(f"attribute {name!r} is not UTF-8")

    def array(self, name: str) -> np.ndarray | None:
        value = self._attribute(name, AttributeProto.TENSOR)
        return None if value is None else tensor_array(value, self.folder)

    def ignore(self, *names: str) -> None:
        """Attributes that are present and change nothing here; the caller says why."""
        self.unread.difference_update(names)

    def finish(self) -> None:
        """Refuse attributes that nobody read."""
        if self.unread:
            name = min(self.unread)
            self.unsupported(
                f"attribute {name!r} is not supported",
                why=f"{self.op_type} of opset {self.opset} is imported without it",
            )

    # --- operands ---------------------------------------------------------------------------------------------

    def has(self, index: int) -> bool:
        return index < len(self.values) and self.values[index] is not None

    def value(self, index: int) -> Value:
        if not self.has(index):
            self.malformed(f"operand {index} is missing")
        return self.values[index]  # type: ignore[return-value]

    def input_name(self, index: int) -> str:
        """The name of an operand; of a constant that was only moved since, the name in the file."""
        return self.aliases.get(self.item.inputs[index], self.item.inputs[index])

    def op(self, index: int) -> Op:
        """Operand `index` as an op; known tensors become constants that carry the tensor's name."""
        value = self.value(index)
        return self.constant(value, self.input_name(index)) if isinstance(value, np.ndarray) else value

    def constant(self, array: np.ndarray, name: str | None = None) -> Constant:
        """A constant op of `array` in the format of its element type."""
        if dtype_format(array.dtype) is None:
            self.unsupported(f"elements of type {array.dtype}")
        return constant_op(array, (name,) if name else self.loc)

    def floating(self, index: int) -> Op:
        """Operand `index`, which must be a float tensor."""
        op = self.op(index)
        if not op.format.is_float:
            self.unsupported(f"{self.op_type} of {op.format} operands", why="only float tensors are supported")
        return op

    def element(self, index: int) -> Format | None:
        """The format of the ONNX element type of operand `index`, which can be wider than that of the op."""
        kind = self.kinds[index] if index < len(self.kinds) else None
        return None if kind is None else element_format(kind)

    def known(self, index: int, what: str) -> np.ndarray:
        """Operand `index`, which must not depend on the model's inputs; E0307 otherwise."""
        value = self.value(index)
        if isinstance(value, Constant) and not hasattr(value.format, "base"):
            return value.data
        if not isinstance(value, np.ndarray):
            self.not_constant(what, "it decides shapes or number formats, which are fixed when compiling")
        return value

    def not_constant(self, what: str, why: str) -> NoReturn:
        """E0307: something that must be known when compiling is not."""
        raise EdgecError(
            "E0307",
            f"the {what} of {self.op_type} is computed from the model's inputs",
            layer=self.item.name,
            op=self.op_type,
            why=why,
            remedy="export the model with fixed shapes, or make it a constant",
        )

    def weights(self, ok: bool) -> None:
        """Refuse weights that are not constant (`ok` says whether they are)."""
        if not ok:
            self.not_constant("weight tensor", "weights are laid out when compiling")

    def known_ints(self, index: int, what: str) -> tuple[int, ...]:
        array = self.known(index, what)
        if array.dtype.kind not in "iu":
            self.malformed(f"the {what} holds {array.dtype}, not integers")
        return tuple(int(v) for v in array.ravel().tolist())

    def known_scalar(self, index: int, what: str) -> float:
        array = self.known(index, what)
        if array.size != 1:
            self.malformed(f"the {what} has shape {list(array.shape)}, not one value")
        return array.ravel().astype(np.float64)[0].item()

    def ints_at(self, attribute: str, index: int, since: int, what: str) -> tuple[int, ...] | None:
        """A list that is an attribute before opset `since` and operand `index` from then on."""
        if self.opset < since:
            return self.ints(attribute)
        return self.known_ints(index, what) if self.has(index) else None

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        axis = self.integer(name, default)
        if not -rank <= axis < rank:
            self.malformed(f"axis {axis} of a tensor with {rank} dimensions")
        return axis % rank

    def axes(self, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """`axes` in 0..rank-1, each once."""
        for axis in axes:
            if not -rank <= axis < rank:
                self.malformed(f"axis {axis} of a tensor with {rank} dimensions")
        result = tuple(a % rank for a in axes)
        if len(set(result)) != len(result):
            self.malformed(f"an axis is named twice in {list(axes)}")
        return result

    def limit(self, *sizes: int, what: str = "the result", made: bool = False) -> None:
        """Refuse tensors that no memory holds, and constants, unless they are `made`, that the import cannot afford."""
        size = math.prod(sizes)
        if any(s < 0 for s in sizes):
            self.malformed(f"{what} has a negative dimension in {list(sizes)}")
        if size > MAX_ELEMENTS:
            self.unsupported(f"{what} has {size} elements", why=f"the limit is {MAX_ELEMENTS}")
        known = all(v is None or isinstance(v, np.ndarray) for v in self.values) and self.op_type != "Constant"
        if known and not made:
            try:
                afford(size)
            except FormatError as error:
                self.unsupported(str(error))

    def output_used(self, index: int) -> bool:
        """Whether the node names its output `index`."""
        return index < len(self.item.outputs) and bool(self.item.outputs[index])
