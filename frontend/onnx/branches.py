"""`If` whose condition is known when importing: the nodes of the branch that is taken, in the place of the node."""

from __future__ import annotations

from onnx import AttributeProto, GraphProto, TensorProto

from edgec.frontend.onnx.read import text
from edgec.frontend.onnx.structure import Item, malformed


def branch_of(item: Item, taken: bool) -> GraphProto:
    """The subgraph for a condition that is `taken`."""
    wanted = "then_branch" if taken else "else_branch"
    for attribute in item.proto.attribute:
        if text(attribute.name) == wanted and attribute.type == AttributeProto.GRAPH:
            if len(attribute.g.output) != len(item.outputs) or attribute.g.input:
                raise malformed(f"{wanted} does not fit the node's outputs", layer=item.name, op=item.op_type)
            return attribute.g
    raise malformed(f"{wanted} is missing", layer=item.name, op=item.op_type)


def branch_items(item: Item, graph: GraphProto) -> tuple[list[Item], dict[str, str], dict[str, TensorProto]]:
    """The branch's nodes, its names as they are known outside, and its constants.

    A name that the branch makes itself goes behind the node's name."""
    prefix = f"{item.name}/"
    made = [text(o) for node in graph.node for o in node.output if o]
    constants = {text(t.name): t for t in graph.initializer}
    if len(set(made)) != len(made) or set(made) & set(constants):
        raise malformed("a branch makes a tensor twice", layer=item.name, op=item.op_type)
    names = {**item.scope, **{n: prefix + n for n in (*made, *constants)}}
    items = []
    for index, node in enumerate(graph.node):
        domain = text(node.domain)
        inputs, outputs = (tuple(names.get(n, n) if n else "" for n in map(text, s)) for s in (node.input, node.output))
        kind = text(node.op_type)
        label = prefix + (text(node.name) or f"{kind}.{index}")
        domain = "" if domain == "ai.onnx" else domain
        items.append(Item(node, kind, domain, inputs, outputs, label, item.opset, names))
    return items, names, {prefix + n: t for n, t in constants.items()}
