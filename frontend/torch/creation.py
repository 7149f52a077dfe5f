"""Tensors that are made from numbers."""

from __future__ import annotations

import numpy as np

from edgec.frontend.torch.node import Node, Value
from edgec.frontend.torch.registry import imports


def _filled(node: Node, shape: tuple[int, ...], value: float) -> np.ndarray:
    node.ignore("dtype")  # the file states the type of the result
    node.limit(*shape)
    return np.full(shape, value, node.dtype())


@imports("zeros.default", "ones.default", "new_zeros.default", "new_ones.default")
@imports("empty.memory_format", "empty_permuted.default")
def constant_fill(node: Node) -> np.ndarray:
    """Zeros also for memory that is not filled, which decomposed operators hand on or write over."""
    node.ignore("self", "physical_layout")  # they say how the result is stored
    return _filled(node, node.ints("size"), float("ones" in node.operator))


@imports("full.default", "new_full.default")
def full(node: Node) -> np.ndarray:
    node.ignore("self")
    return _filled(node, node.ints("size"), node.number("fill_value"))


@imports("zeros_like.default", "ones_like.default", "full_like.default", "empty_like.default")
def like(node: Node) -> np.ndarray:
    value = node.number("fill_value") if "full" in node.operator else float("ones" in node.operator)
    return _filled(node, node.value("self").shape, value)


@imports("scalar_tensor.default")
def scalar(node: Node) -> np.ndarray:
    return _filled(node, (), node.number("s"))


@imports("arange.default", "arange.start", "arange.start_step")
def arange(node: Node) -> np.ndarray:
    node.ignore("dtype")
    start, end, step = node.finite("start", 0.0), node.finite("end"), node.finite("step", 1.0)
    node.require(step != 0, "steps of 0")
    count = max(int(np.ceil((end - start) / step)), 0)
    node.limit(count)
    return (start + np.arange(count) * step).astype(node.dtype())


@imports("eye.default", "eye.m")
def eye(node: Node) -> np.ndarray:
    node.ignore("dtype")
    n, m = node.integer("n"), node.integer("m") if node.has("m") else node.integer("n")
    node.limit(n, m)
    return np.eye(n, m, dtype=node.dtype())


@imports("tril.default", "triu.default")
def triangle(node: Node) -> Value:
    """The lower or upper triangle of a known matrix, as masks are made."""
    cut = np.tril if "tril" in node.operator else np.triu
    return cut(node.known("self", "matrix"), node.integer("diagonal", 0))
