"""Arithmetic, comparison and choice. What is known is computed at once, in PyTorch's element types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgec.formats import Quantizer
from edgec.frontend.onnx.types import dtype_format
from edgec.frontend.torch.node import Node, Value
from edgec.frontend.torch.registry import imports
from edgec.ops import BOOL, Add, Binary, Cast, Mul, Op, Sub, Unary, Where

_KNOWN: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "max": np.maximum,
    "min": np.minimum,
    "mod": np.fmod,
    "pow": np.power,
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}
_COMPARISONS = {
    "eq": "equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}


def combine(node: Node, function: str, x: Value, y: Value) -> Value:
    """`function` of two tensors in the element type of the result; at once where both are known."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        node.limit(*np.broadcast_shapes(x.shape, y.shape))
        with np.errstate(all="ignore"):
            return np.asarray(_KNOWN[function](x, y)).astype(node.dtype())
    a, b = _operands(node, function, x, y)
    simple = {"add": Add, "sub": Sub, "mul": Mul}.get(function)
    return simple(a, b, loc=node.loc) if simple else Binary(a, b, function, loc=node.loc)


def _operands(node: Node, function: str, x: Value, y: Value) -> tuple[Op, Op]:
    """Both as ops of one format: floats if one of them is float, as PyTorch converts them."""
    wanted = dtype_format(node.dtype())
    if function in ("equal", "less", "less_equal", "greater", "greater_equal"):
        floats = [v.format for v in (x, y) if isinstance(v, Op) and v.format.is_float]
        wanted = max(floats, key=lambda f: f.bits) if floats else None
    ops = [node.lifted(v) for v in (x, y)]
    if wanted is not None and wanted.is_float:
        ops = [node.as_float(o, wanted) for o in ops]
    return ops[0], ops[1]


def _scaled(node: Node, value: Value, name: str) -> Value:
    """`value` times the scalar argument `name`, which is nearly always 1."""
    factor = node.number(name, 1.0)
    if factor == 1.0:
        return value
    if isinstance(value, np.ndarray):
        return (value * np.asarray(factor, node.dtype())).astype(node.dtype())
    fmt = dtype_format(node.dtype())
    node.require(fmt is not None and fmt.is_float, f"{name} = {factor} for integers")
    assert fmt is not None
    return Mul(node.as_float(value, fmt), node.constant(factor, fmt), loc=node.loc)


@imports("add.Tensor", "add.Scalar", "sub.Tensor", "sub.Scalar")
def add(node: Node) -> Value:
    function = node.operator.split(".")[1]
    return combine(node, function, node.value("self"), _scaled(node, node.value("other"), "alpha"))


@imports("rsub.Scalar", "rsub.Tensor")
def rsub(node: Node) -> Value:
    return combine(node, "sub", node.value("other"), _scaled(node, node.value("self"), "alpha"))


@imports("mul.Tensor", "mul.Scalar")
def mul(node: Node) -> Value:
    return combine(node, "mul", node.value("self"), node.value("other"))


@imports("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode", "floor_divide.default")
def div(node: Node) -> Value:
    """The quotient; with a rounding mode its floor."""
    mode = node.raw("rounding_mode") if "mode" in node.operator else None
    mode = "floor" if "floor_divide" in node.operator else mode
    node.require(mode in (None, "floor"), f"rounding_mode = {mode!r}", why="supported: floor")
    x, y = node.value("self"), node.value("other")
    if mode is None:
        return combine(node, "div", x, y)
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        with np.errstate(all="ignore"):
            return np.asarray(np.floor_divide(x, y)).astype(node.dtype())
    quotient = combine(node, "div", x, y)
    assert isinstance(quotient, Op)
    node.require(quotient.format.is_float, "a rounded quotient of integers")
    return Unary(quotient, "floor", loc=node.loc)


@imports("maximum.default", "minimum.default", "max.other", "min.other")
def extremum(node: Node) -> Value:
    function = node.operator.split(".")[1][:3]
    return combine(node, function, node.value("self"), node.value("other"))


@imports("fmod.Tensor", "fmod.Scalar")
def fmod(node: Node) -> Value:
    return combine(node, "mod", node.value("self"), node.value("other"))


@imports("pow.Tensor_Tensor")
def power(node: Node) -> Value:
    return combine(node, "pow", node.value("self"), node.value("exponent"))


@imports("pow.Scalar")
def power_of_scalar(node: Node) -> Value:
    return combine(node, "pow", node.value("self"), node.value("exponent"))


@imports(*(f"{name}.{kind}" for name in ("eq", "ne", "lt", "le", "gt", "ge") for kind in ("Tensor", "Scalar")))
def compare(node: Node) -> Value:
    name = node.operator.split(".")[1]
    result = combine(node, _COMPARISONS.get(name, "equal"), node.value("self"), node.value("other"))
    return _negated(node, result) if name == "ne" else result


def _negated(node: Node, value: Value) -> Value:
    return np.asarray(np.logical_not(value)) if isinstance(value, np.ndarray) else Unary(value, "not", loc=node.loc)


def truth(node: Node, value: Value) -> Value:
    """Truth values of a tensor: what is not zero."""
    if isinstance(value, np.ndarray):
        return np.asarray(value != 0)
    if value.format == BOOL:
        return value
    node.require(value.format.is_float, f"truth values of {value.format}")
    return Unary(Binary(value, node.constant(0.0, value.format), "equal", loc=node.loc), "not", loc=node.loc)


@imports(*(f"logical_{name}.default" for name in ("and", "or", "xor")))
def logical(node: Node) -> Value:
    function = node.operator.removeprefix("aten.logical_").split(".")[0]
    return combine(node, function, truth(node, node.value("self")), truth(node, node.value("other")))


@imports(*(f"bitwise_{name}.Tensor" for name in ("and", "or", "xor")))
def bitwise(node: Node) -> Value:
    function = node.operator.removeprefix("aten.bitwise_").split(".")[0]
    x, y = node.value("self"), node.value("other")
    for value in (x, y):
        plain = value.format == BOOL if isinstance(value, Op) else value.dtype == np.bool_
        node.require(plain, "bits of integers", why="truth values are supported")
    return combine(node, function, x, y)


@imports("logical_not.default", "bitwise_not.default")
def negation(node: Node) -> Value:
    value = node.value("self")
    if "bitwise" in node.operator:
        plain = value.format == BOOL if isinstance(value, Op) else value.dtype == np.bool_
        node.require(plain, "bits of integers", why="truth values are supported")
    return _negated(node, truth(node, value))


@imports("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(node: Node) -> Value:
    return choose(node, truth(node, node.value("condition")), node.value("self"), node.value("other"))


@imports("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(node: Node) -> Value:
    return choose(node, truth(node, node.value("mask")), node.value("value"), node.value("self"))


def choose(node: Node, condition: Value, x: Value, y: Value) -> Value:
    """x where `condition` holds, else y, in the element type of the result."""
    if isinstance(condition, np.ndarray) and isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return np.asarray(np.where(condition, x, y), node.dtype())
    fmt = dtype_format(node.dtype())
    branches = [node.lifted(v) for v in (x, y)]
    if fmt is not None and fmt.is_float:
        branches = [node.as_float(b, fmt) for b in branches]
    return Where(node.lifted(condition), *branches, loc=node.loc)


@imports("to.dtype", "to.dtype_layout", "to.device", "_to_copy.default", "type_as.default", "to.other")
def convert(node: Node) -> Value:
    """Another element type: between floats, and from integers and truth values to floats."""
    node.ignore("dtype", "other")  # the file states the type of the result
    value = node.value("self")
    if isinstance(value, np.ndarray):
        return value.astype(node.dtype())
    kind, fmt = node.dtype(), dtype_format(node.dtype())
    if fmt is None or value.format == fmt:
        return value
    if fmt.is_float:
        return Cast(value, Quantizer(fmt), loc=node.loc) if value.format.is_float else node.as_float(value, fmt)
    if kind == np.bool_:
        return truth(node, value)
    node.require(not value.format.is_float, f"floats to {kind.name}", why="PyTorch truncates; quantise instead")
    lo, hi = value.format.code_range
    want_lo, want_hi = fmt.code_range
    node.require(want_lo <= lo and hi <= want_hi, f"{value.format} to {kind.name}, which is narrower")
    return value  # a smaller integer format holds the same numbers
