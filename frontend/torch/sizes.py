"""Numbers of shapes, known when compiling, and assertions that compute nothing."""

from __future__ import annotations

from collections.abc import Callable

from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports


@imports("sym_size.int")
def size(node: Node) -> int:
    x = node.value("self")
    return int(x.shape[node.axis("dim", len(x.shape))])


_SIZES: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
}


@imports(*_SIZES, domain="_operator")
def arithmetic_of_sizes(node: Node) -> int:
    """Of numbers that are known when compiling."""
    result = _SIZES[node.operator.removeprefix("_operator.")](node.integer("a"), node.integer("b"))
    node.require(abs(result) < 1 << 62, f"a size of {result}")
    return result


@imports("eq", "ne", "lt", "le", "gt", "ge", domain="_operator")
def comparison_of_sizes(node: Node) -> bool:
    node.ignore("a", "b")  # it feeds assertions, which the shapes of the import make once more
    return True


@imports(
    "_assert_tensor_metadata.default",
    "_assert_scalar.default",
    "_assert_async.msg",
    "sym_constrain_range_for_size.default",
    "sym_constrain_range.default",
)
def assertion(node: Node) -> tuple[()]:
    """Computes nothing: the import holds every type and shape to what the file states."""
    node.ignore(*node.values)
    return ()
