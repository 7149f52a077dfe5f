"""The ONNX element type of every tensor, beside its number format.

Formats are exact and often narrower (an index among ten is `uint<4>`, in ONNX an int64), but ONNX integer arithmetic
wraps at the element type, and the standard's definitions of operators depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from edgec.formats import Format, FormatError
from edgec.frontend.onnx.node import Value
from edgec.frontend.onnx.structure import Item
from edgec.frontend.onnx.types import FORMATS, plain

Kind = int | None
"""A TensorProto.DataType, None where it is not known."""

_ALIAS = {"float32": "FLOAT", "float64": "DOUBLE", "float": "FLOAT", "double": "DOUBLE", "float4_e2m1fn": "FLOAT4E2M1"}
_BY_FORMAT: dict[Format, int] = {
    fmt: getattr(TensorProto, _ALIAS.get(name, name.upper())) for name, fmt in FORMATS.items()
}


def kind_of(value: Value) -> Kind:
    """The element type that a value has by itself: that of an array, or of an op in a format of ONNX."""
    if isinstance(value, np.ndarray):
        return onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    try:
        return _BY_FORMAT.get(plain(value).format)
    except FormatError:
        return None


def output_kind(item: Item, schema: onnx.defs.OpSchema | None, index: int, kinds: Sequence[Kind], value: Value) -> Kind:
    """The element type of output `index` of a node whose operands have `kinds`."""
    if isinstance(value, np.ndarray) or value.format.is_float or schema is None or not schema.outputs:
        return kind_of(value)
    wanted = schema.outputs[min(index, len(schema.outputs) - 1)].type_str
    attributes = {a.name: a.i for a in item.proto.attribute}
    if item.op_type == "Cast":
        return attributes.get("to")
    if item.op_type == "QuantizeLinear":
        return (kinds[2] if len(kinds) > 2 else None) or attributes.get("output_dtype") or TensorProto.UINT8
    if wanted.startswith("tensor("):
        return _named(wanted)
    for place, kind in enumerate(kinds):
        if kind is not None and schema.inputs[min(place, len(schema.inputs) - 1)].type_str == wanted:
            return kind
    allowed = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == wanted), [])
    return _named(allowed[0]) if len(allowed) == 1 else kind_of(value)


def _named(type_str: str) -> Kind:
    """The element type of `tensor(int64)` and the like."""
    name = type_str.removeprefix("tensor(").removesuffix(")")
    return getattr(TensorProto, _ALIAS.get(name, name.upper()), None)
