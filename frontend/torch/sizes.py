"""Numbers of shapes, known when compiling, and assertions that compute nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable

from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports


@imports("sym_size.int")
def size(node: Node) -> int:
    x = node.value("self")
    return int(x.shape[node.axis("dim", len(x.shape))])


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


@imports(*_ARITHMETIC, domain="_operator")
def arithmetic(node: Node) -> int:
    result = _ARITHMETIC[node.operator.removeprefix("_operator.")](node.integer("a"), node.integer("b"))
    node.require(abs(result) < 1 << 62, f"a size of {result}")
    return result


@imports(*_COMPARISONS, domain="_operator")
def comparison(node: Node) -> bool:
    return _COMPARISONS[node.operator.removeprefix("_operator.")](node.integer("a"), node.integer("b"))


@imports("_assert_scalar.default")
def assertion_of_sizes(node: Node) -> tuple[()]:
    """A condition on sizes that the program was exported under."""
    message = str(node.raw("assert_msg") or "")
    node.require(bool(node.number("self")), "the sizes do not fit the program", why=message[:200] or None)
    return ()


@imports(
    "_assert_tensor_metadata.default",
    "_assert_async.msg",
    "sym_constrain_range_for_size.default",
    "sym_constrain_range.default",
)
def assertion(node: Node) -> tuple[()]:
    """Computes nothing: the import holds every type and shape to what the file states."""
    node.ignore(*node.values)
    return ()
