"""Layer names: the path of the module that made the call, so that a user finds it in `print(model)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgec.frontend.torch.schema import NodeRecord


def layer_names(nodes: Sequence[NodeRecord]) -> list[str]:
    """A unique name for every call: `features.0.conv` where a module of torch.nn makes one call, else the path of the
    module and the name of the call in the exported graph: `block1.add_3`.

    The stack of modules is text, innermost last: `key,path,class;key,path,class`.
    """
    places = [_innermost(node) for node in nodes]
    calls = Counter(path for node, (path, _) in zip(nodes, places, strict=True) if _reads_tensors(node))
    names: list[str] = []
    taken: set[str] = set()
    for index, (node, (path, kind)) in enumerate(zip(nodes, places, strict=True)):
        own = node.name or _first_output(node) or f"call_{index}"
        alone = bool(path) and calls[path] == 1 and kind.startswith("torch.nn.") and _reads_tensors(node)
        name = path if alone else f"{path}.{own}" if path else own
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return names


def _reads_tensors(node: NodeRecord) -> bool:
    """Whether a call computes something, rather than making a constant such as the first state of an LSTM."""
    return any(not a.arg.keys().isdisjoint(("as_tensor", "as_tensors", "as_optional_tensors")) for a in node.inputs)


def _innermost(node: NodeRecord) -> tuple[str, str]:
    """Path and class of the module around a call, both empty at the top."""
    stack = node.metadata.get("nn_module_stack")
    last = stack.rpartition(";")[2] if isinstance(stack, str) else ""
    parts = last.split(",")
    return (parts[1], parts[2]) if len(parts) >= 3 else ("", "")


def _first_output(node: NodeRecord) -> str | None:
    for output in node.outputs:
        named = output.get("as_tensor")
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            return named["name"]
    return None
