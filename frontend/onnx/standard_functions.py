"""Operators without an importer of their own that the ONNX standard defines by other operators.

The standard carries these definitions (function bodies) with its operator schemas; some depend on the types of the
operands. The body's nodes are imported in the operator's place, under its layer name.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, TypeProto

from edgec.formats import FormatError
from edgec.frontend.onnx.node import Value
from edgec.frontend.onnx.structure import MAX_NODES, Item, bound, malformed, text
from edgec.frontend.onnx.types import FORMATS, plain

_NAMES = {fmt: name for name, fmt in FORMATS.items()}
MAX_DEPTH = 8


def has_body(schema: onnx.defs.OpSchema | None) -> bool:
    """Whether the standard defines the operator by others."""
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def body_of(item: Item, schema: onnx.defs.OpSchema, values: list[Value | None]) -> list[Item] | None:
    """The nodes that stand for `item`; None when the standard has no body for these operands."""
    node = NodeProto()
    node.CopyFrom(item.proto)
    present = {text(a.name) for a in node.attribute}
    for name, attribute in sorted(schema.attributes.items()):
        if name not in present and attribute.default_value.type != AttributeProto.UNDEFINED:
            node.attribute.append(attribute.default_value)
    function = _function(item, schema, node, values)
    if function is None:
        return None
    if len(function.node) > MAX_NODES or item.name.count("/") > MAX_DEPTH + item.name.count("//"):
        raise malformed(f"{item.op_type} expands without end", layer=item.name, op=item.op_type)
    prefix = f"{item.name}/"
    names = dict(zip(map(text, function.input), (*item.inputs, *("",) * len(function.input)), strict=False))
    names |= {f: o for f, o in zip(map(text, function.output), item.outputs, strict=False) if o}
    opset = next((e.version for e in function.opset_import if text(e.domain) in ("", "ai.onnx")), item.opset)
    attributes = {text(a.name): a for a in node.attribute}
    items = []
    for index, inner in enumerate(function.node):
        proto = bound(inner, attributes)
        inputs, outputs = (
            tuple(names.get(n, prefix + n) if n else "" for n in map(text, side))
            for side in (proto.input, proto.output)
        )
        domain = text(proto.domain)
        label = f"{prefix}{proto.op_type}.{index}"
        items.append(Item(proto, proto.op_type, "" if domain == "ai.onnx" else domain, inputs, outputs, label, opset))
    return items


def _function(
    item: Item, schema: onnx.defs.OpSchema, node: NodeProto, values: list[Value | None]
) -> FunctionProto | None:
    """The body for the newest opset that is not newer than the model's."""
    if schema.has_context_dependent_function:
        versions, types = schema.context_dependent_function_opset_versions, [_type(v) for v in values]
        if any(t is None for t in types):
            return None
        data = schema.get_context_dependent_function_with_opset_version(
            _newest(versions, item.opset), node.SerializeToString(), types
        )
    else:
        data = schema.get_function_with_opset_version(_newest(schema.function_opset_versions, item.opset))
    if not data:
        return None
    function = FunctionProto()
    function.ParseFromString(data)
    return function


def _newest(versions: list[int], opset: int) -> int:
    return max((v for v in versions if v <= opset), default=min(versions))


def _type(value: Value | None) -> bytes | None:
    """The serialised type of an operand; an absent one has an empty type."""
    proto = TypeProto()
    if value is None:
        return proto.SerializeToString()
    if isinstance(value, np.ndarray):
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    else:
        try:
            name = _NAMES[plain(value).format]
        except (KeyError, FormatError):
            return None
        kind = getattr(TensorProto, {"float32": "FLOAT", "float64": "DOUBLE"}.get(name, name.upper()))
    proto.tensor_type.elem_type = kind
    proto.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=n) for n in value.shape)
    return proto.SerializeToString()
