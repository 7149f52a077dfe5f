"""The graph's skeleton: nodes in order, functions inlined, every name checked.

Own checks instead of `onnx.checker`: they report the layer, run on hostile files without leaving Python, and
accept what real exporters write (unordered nodes, initializers listed among the inputs or not).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from onnx import AttributeProto, FunctionProto, NodeProto

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.read import Model, text

MAX_NODES = 50_000
OWN_DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas", "edgec")
"""Domains whose operators the importer knows itself: their local functions are for other tools."""


class Item(NamedTuple):
    """One node: the protobuf, its tensor names, a unique layer name, and the opset it was written for.

    `scope` says under which names the tensors around it are known, for its subgraphs; others keep their own."""

    proto: NodeProto
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    opset: int
    scope: Mapping[str, str] = {}


def malformed(what: str, **rest: str | None) -> EdgecError:
    return EdgecError("E0302", what, **rest)  # type: ignore[arg-type]


def items_of(model: Model, given: Iterable[str]) -> list[Item]:
    """All nodes in an order in which operands come first; `given` are the names of inputs and initializers."""
    functions = _functions(model)
    flat: list[Item] = []
    taken: set[str] = set()
    for proto in model.proto.graph.node:
        _expand(proto, model.opset, functions, {}, "", flat, taken, ())
    return _ordered(flat, set(given), [text(o.name) for o in model.proto.graph.output])


def _functions(model: Model) -> dict[tuple[str, str, str], tuple[FunctionProto, int]]:
    found: dict[tuple[str, str, str], tuple[FunctionProto, int]] = {}
    for function in model.proto.functions:
        domain = text(function.domain)
        if domain in OWN_DOMAINS:
            continue
        key = (domain, text(function.name), text(function.overload))
        if key in found:
            raise malformed(f"function {domain}.{key[1]} is defined twice")
        opset = next((e.version for e in function.opset_import if text(e.domain) in ("", "ai.onnx")), model.opset)
        found[key] = (function, opset)
    return found


def _expand(
    proto: NodeProto,
    opset: int,
    functions: dict[tuple[str, str, str], tuple[FunctionProto, int]],
    names: dict[str, str],
    prefix: str,
    flat: list[Item],
    taken: set[str],
    stack: tuple[tuple[str, str, str], ...],
) -> None:
    """Append `proto` (tensor names through `names`, layer names behind `prefix`), functions expanded."""
    domain = text(proto.domain)
    domain = "" if domain == "ai.onnx" else domain
    inputs = tuple(names.get(i, prefix + i) if i and prefix else i for i in map(text, proto.input))
    outputs = tuple(names.get(o, prefix + o) if o and prefix else o for o in map(text, proto.output))
    key = (domain, text(proto.op_type), text(proto.overload))
    label = _unique(prefix + text(proto.name) if proto.name else next((o for o in outputs if o), key[1]), taken)
    if key not in functions:
        if len(flat) >= MAX_NODES:
            raise malformed(f"more than {MAX_NODES} nodes after inlining functions")
        flat.append(Item(proto, key[1], domain, inputs, outputs, label, opset, names))
        return
    if key in stack or len(stack) > 32:
        raise malformed(f"function {key[1]!r} calls itself", layer=label)
    function, inner_opset = functions[key]
    if len(inputs) > len(function.input) or len(outputs) > len(function.output):
        raise malformed(f"function {key[1]!r} is called with too many tensors", layer=label)
    inner = f"{label}/"
    inside = dict(zip(map(text, function.input), inputs + ("",) * len(function.input), strict=False))
    inside |= {f: o for f, o in zip(map(text, function.output), outputs, strict=False) if o}
    inside |= {n: inner + n for node in function.node for n in map(text, node.output) if n and n not in inside}
    attributes = {text(a.name): a for a in function.attribute_proto} | {text(a.name): a for a in proto.attribute}
    for node in function.node:
        body = bound(node, attributes)
        if body.name == "":
            body.name = body.op_type
        _expand(body, inner_opset, functions, inside, inner, flat, taken, (*stack, key))


def bound(node: NodeProto, attributes: dict[str, AttributeProto]) -> NodeProto:
    """A copy with attributes that refer to the function's own replaced by their values; absent ones are left out."""
    body = NodeProto()
    body.CopyFrom(node)
    given = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            given.append(attribute)
        elif (value := attributes.get(text(attribute.ref_attr_name))) is not None:
            copy = AttributeProto()
            copy.CopyFrom(value)
            copy.name = attribute.name
            given.append(copy)
    del body.attribute[:]
    body.attribute.extend(given)
    return body


def _unique(name: str, taken: set[str]) -> str:
    unique, n = name, 1
    while unique in taken:
        n += 1
        unique = f"{name}#{n}"
    taken.add(unique)
    return unique


def _ordered(items: list[Item], given: set[str], wanted: list[str]) -> list[Item]:
    """Stable topological order; E0302 for names without a source, with two sources, or on a cycle."""
    producer: dict[str, int] = {}
    for index, item in enumerate(items):
        for output in item.outputs:
            if output and (output in producer or output in given):
                raise malformed(f"tensor {output!r} is produced twice", layer=item.name, op=item.op_type)
            if output:
                producer[output] = index
    missing = [w for w in wanted if w not in producer and w not in given]
    if missing:
        raise malformed(f"the graph output {missing[0]!r} is produced by no node")
    waiting = [0] * len(items)
    readers: list[list[int]] = [[] for _ in items]
    in_order = True
    for index, item in enumerate(items):
        for name in dict.fromkeys(item.inputs):
            if not name or name in given:
                continue
            source = producer.get(name)
            if source is None:
                raise malformed(f"tensor {name!r} comes from nowhere", layer=item.name, op=item.op_type)
            in_order &= source < index
            waiting[index] += 1
            readers[source].append(index)
    if in_order:
        return items
    ready = deque(i for i, n in enumerate(waiting) if n == 0)
    order = []
    while ready:
        index = ready.popleft()
        order.append(items[index])
        for reader in readers[index]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(order) < len(items):
        stuck = next(items[i] for i, n in enumerate(waiting) if n)
        raise malformed("the graph has a cycle", layer=stuck.name, op=stuck.op_type)
    return order
