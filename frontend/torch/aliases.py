"""Writes in place, which programs hold that were not decomposed: `relu_(x)` changes what later readers of x see.

A write is imported as a new value under the name of the tensor and of all that are the same tensor. Where another
tensor is a view of it (a slice, a reshaped form), the write would change that too: refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import handler_for

_SAME = frozenset(["alias", "detach", "contiguous", "dropout", "to", "lift_fresh_copy", "feature_dropout"])
"""Operators whose result may be their operand itself."""
_VIEWS = frozenset(
    [
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "permute",
        "transpose",
        "t",
        "movedim",
        "swapaxes",
        "swapdims",
        "broadcast_to",
        "expand",
        "expand_as",
        "split",
        "split_with_sizes",
        "chunk",
        "unbind",
        "narrow",
        "select",
        "slice",
        "numpy_T",
    ]
)
"""Operators whose result may share the memory of their operand."""


def functional(operator: str) -> str:
    """`aten.relu.default` for `aten.relu_.default`, where that is imported; else the name as it is."""
    domain, _, rest = operator.partition(".")
    name, _, overload = rest.partition(".")
    if name.endswith("_") and not name.startswith("_"):
        pure = f"{domain}.{name[:-1]}.{overload}"
        return pure if handler_for(pure) is not None else operator
    return operator


class Aliases:
    """Which names stand for one tensor, and which tensors are views of another."""

    def __init__(self) -> None:
        self._same: dict[str, set[str]] = {}
        self._viewed: set[str] = set()

    def same(self, name: str) -> set[str]:
        """All names of the tensor `name`."""
        return self._same.get(name, {name})

    def record(self, operator: str, sources: list[str], names: list[str]) -> None:
        """Note what the results of a call share with its first operand."""
        if not sources or not names:
            return
        name = operator.split(".")[1]
        if name in _VIEWS:
            self._viewed.update(sources[:1], names)
        elif name in _SAME or functional(operator) != operator:
            group = self.same(sources[0]) | {sources[0], names[0]}
            for member in group:
                self._same[member] = group

    def check_write(self, node: Node, target: list[str], kept: Mapping[str, str]) -> None:
        """Refuse a write to a parameter or buffer, or to a tensor that has views."""
        if not target:
            node.malformed("a write in place without a tensor")
        names = self.same(target[0])
        stored = sorted(n for n in names if n in kept)
        if stored:
            node.unsupported(
                f"the program writes the {kept[stored[0]]} {stored[0]!r}",
                why="a layer in training mode, or a state that lives from one call to the next",
                remedy="call model.eval(), or make the state an input and an output",
            )
        if names & self._viewed:
            node.unsupported(
                "a write in place to a tensor that another one is a view of",
                remedy="program.run_decompositions() before saving, or edgec.from_torch(program)",
            )
