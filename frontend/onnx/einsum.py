"""Einsum as transposes, reductions and matrix products, operand after operand."""

from __future__ import annotations

import math
import re
from string import ascii_letters

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.layers import product
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.ops import Gather, Op, Reduce, Reshape, Transpose


@imports("Einsum")
def einsum(node: Node) -> Op:
    operands = [node.floating(i) for i in range(len(node.values))]
    terms, result = _labels(node, node.string("equation", ""), [len(o.shape) for o in operands])
    sizes: dict[str, int] = {}
    for term, op in zip(terms, operands, strict=True):
        for label, n in zip(term, op.shape, strict=True):
            if sizes.setdefault(label, n) != n and 1 not in (n, sizes[label]):
                node.malformed(f"label {label!r} stands for {n} and {sizes[label]}")
            sizes[label] = max(n, sizes[label])
    node.limit(*(sizes[c] for c in result))
    parts = [_single(node, op, term, sizes) for op, term in zip(operands, terms, strict=True)]
    op, term = parts[0]
    for index, (other, labels) in enumerate(parts[1:], 1):
        later = set(result).union(*(t for _, t in parts[index + 1 :]))
        op, term = _contracted(node, (op, term), (other, labels), later, sizes)
    op, term = _summed(node, op, term, set(result))
    op = _arranged(node, op, term, "".join(c for c in result if c in term))
    missing = [sizes[c] if c in term else 1 for c in result]  # a size 1 that only broadcasting operands had
    return _shaped(node, op, tuple(missing))


def _labels(node: Node, equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """One letter an axis for every operand and the result; `...` becomes letters that the equation does not use."""
    text = equation.replace(" ", "")
    if not re.fullmatch(r"[A-Za-z.,]*(->[A-Za-z.]*)?", text):
        node.malformed(f"equation {equation!r}")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    spare = [c for c in ascii_letters if c not in text]
    if len(terms) != len(ranks):
        node.malformed(f"equation {equation!r} for {len(ranks)} operands")
    hidden = 0
    expanded = []
    for term, rank in zip(terms, ranks, strict=True):
        extra = rank - len(term.replace("...", ""))
        if term.count("...") > 1 or "." in term.replace("...", "") or extra < 0 or (extra and "..." not in term):
            node.malformed(f"term {term!r} for a tensor with {rank} dimensions")
        if extra > len(spare):
            node.unsupported(f"an ellipsis over {extra} axes")
        hidden = max(hidden, extra)
        expanded.append(term.replace("...", "".join(spare[:extra][::-1])))
    around = "".join(spare[:hidden][::-1])
    if arrow:
        result = right.replace("...", around)
    else:
        once = sorted(c for c in set("".join(terms).replace(".", "")) if left.count(c) == 1)
        result = around + "".join(once)
    if len(set(result)) != len(result) or "." in result or not set(result) <= set("".join(expanded)):
        node.malformed(f"equation {equation!r}: the result")
    return expanded, result


def _shaped(node: Node, op: Op, shape: tuple[int, ...]) -> Op:
    return op if op.shape == shape else moved(Reshape(op, shape, loc=node.loc))


def _single(node: Node, op: Op, term: str, sizes: dict[str, int]) -> tuple[Op, str]:
    """Diagonals taken, and axes of size 1 dropped where another operand has more."""
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            n = op.shape[first]
            if op.shape[second] != n:
                node.malformed(f"a diagonal of {list(op.shape)}")
            order = [i for i in range(len(term)) if i not in (first, second)]
            op = moved(Transpose(op, (first, second, *order), loc=node.loc))
            flat = _shaped(node, op, (n * n, *op.shape[2:]))
            op = moved(Gather(flat, tuple(range(0, n * n, n + 1)), 0, loc=node.loc))
            term = label + "".join(term[i] for i in order)
    kept = [i for i, c in enumerate(term) if op.shape[i] == sizes[c]]
    return _shaped(node, op, tuple(op.shape[i] for i in kept)), "".join(term[i] for i in kept)


def _summed(node: Node, op: Op, term: str, wanted: set[str]) -> tuple[Op, str]:
    axes = tuple(i for i, c in enumerate(term) if c not in wanted)
    if not axes:
        return op, term
    return Reduce(op, "sum", axes, False, loc=node.loc), "".join(c for c in term if c in wanted)


def _arranged(node: Node, op: Op, term: str, order: str) -> Op:
    perm = tuple(term.index(c) for c in order)
    return op if perm == tuple(range(len(term))) else moved(Transpose(op, perm, loc=node.loc))


def _contracted(
    node: Node, left: tuple[Op, str], right: tuple[Op, str], later: set[str], sizes: dict[str, int]
) -> tuple[Op, str]:
    """One matrix product: labels of both that are still needed are its batch, the others of both are summed."""
    (x, a), (y, b) = (_summed(node, op, t, later | set(o)) for (op, t), (_, o) in ((left, right), (right, left)))
    batch = "".join(c for c in a if c in b and c in later)
    inner = "".join(c for c in a if c in b and c not in later)
    rows, columns = "".join(c for c in a if c not in b), "".join(c for c in b if c not in a)

    def size(labels: str) -> int:
        return math.prod(sizes[c] for c in labels)

    lead = (size(batch),) if batch else ()
    x = _shaped(node, _arranged(node, x, a, batch + rows + inner), (*lead, size(rows), size(inner)))
    y = _shaped(node, _arranged(node, y, b, batch + inner + columns), (*lead, size(inner), size(columns)))
    result = batch + rows + columns
    return _shaped(node, product(node, x, y), tuple(sizes[c] for c in result)), result
