"""Operators without an importer of their own that the ONNX standard defines by other operators.

The standard carries these definitions (function bodies) with its operator schemas; some depend on the types of the
operands. The body's nodes are imported in the operator's place, under its layer name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto

from edgec.frontend.onnx.node import Value
from edgec.frontend.onnx.read import text
from edgec.frontend.onnx.structure import Item, bound


def has_body(schema: Any) -> bool:
    """Whether the standard defines the operator by others."""
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def body_of(item: Item, schema: Any, values: Sequence[Value | None], kinds: Sequence[int | None]) -> list[Item] | None:
    """The nodes that stand for `item`; None when the standard has no body for these operands."""
    node = NodeProto()
    node.CopyFrom(item.proto)
    present = {text(a.name) for a in node.attribute}
    for name, attribute in sorted(schema.attributes.items()):
        if name not in present and attribute.default_value.type != AttributeProto.UNDEFINED:
            node.attribute.append(attribute.default_value)
    types = [_type(v, k) for v, k in zip(values, kinds, strict=True)]
    function = _function(item, schema, node, types)
    if function is None:
        return None
    prefix = f"{item.name}/"
    names = dict(zip(map(text, function.input), (*item.inputs, *("",) * len(function.input)), strict=False))
    names |= {f: o for f, o in zip(map(text, function.output), item.outputs, strict=False) if o}
    names |= {n: prefix + n for inner in function.node for n in map(text, inner.output) if n and n not in names}
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
        domain = "" if domain == "ai.onnx" else domain
        items.append(Item(proto, text(proto.op_type), domain, inputs, outputs, label, opset, names))
    return items


def _function(item: Item, schema: Any, node: NodeProto, types: list[bytes | None]) -> FunctionProto | None:
    """The body for the newest opset that is not newer than the model's."""
    if schema.has_context_dependent_function:
        versions = schema.context_dependent_function_opset_versions
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


def _type(value: Value | None, kind: int | None) -> bytes | None:
    """The serialised type of an operand; an absent one has an empty type."""
    proto = TypeProto()
    if value is None:
        return proto.SerializeToString()
    if kind is None:
        return None
    proto.tensor_type.elem_type = kind
    proto.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=n) for n in value.shape)
    return proto.SerializeToString()
