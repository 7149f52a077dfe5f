"""Where post-training quantisation puts its quantisers, and which tensors share a format.

An op is one of four kinds:
  mac        Conv and Dense with constant parameters: quantised weights, own output format
  function   elementwise arithmetic, activations, average pooling: own output format
  same       moves, max pooling, max/min: no rounding, so operands and result share one format
  float      everything without integer arithmetic (Softmax, ConvTranspose, MatMul of two computed tensors, ...)

Batch norms and constants per channel behind a layer, and a Relu or Clip behind arithmetic, are one block with it:
only the last result is quantised. What follows a float op and leads to no further layer (the tail behind a softmax)
stays float as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from edgec.formats import F32, Format, TensorType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Binary,
    Clip,
    Concat,
    Constant,
    Conv,
    Dense,
    Dequantize,
    Expand,
    Gather,
    Get,
    Input,
    MaxPool,
    Mul,
    Op,
    Pad,
    Quantize,
    Reduce,
    Relu,
    Reshape,
    Resize,
    Slice,
    Split,
    Sub,
    Transpose,
    Unary,
)
from edgec.passes._patterns import is_parameter
from edgec.passes._ranges import Kind

SAME = (MaxPool, Reshape, Transpose, Slice, Gather, Expand, Concat, Split, Get)
FUNCTIONS = (Unary, Add, Sub, Mul, Relu, Clip, AvgPool)


@dataclass
class Placement:
    """The decision for one graph."""

    kinds: dict[Op, str] = field(default_factory=dict)
    points: dict[Op, None] = field(default_factory=dict)
    """Tensors (and constants that are data) that get a quantiser of their own, in order."""
    inner: set[Op] = field(default_factory=set)
    """Results inside of a block, which are not quantised."""
    scaled: set[Op] = field(default_factory=set)
    """Results that a layer and constants alone make up."""
    parent: dict[Op, Op] = field(default_factory=dict)

    def group(self, op: Op) -> Op:
        """The representative of the tensors that share a format with `op`."""
        while (up := self.parent.get(op, op)) is not op:
            op = up
        return op

    def share(self, a: Op, b: Op) -> None:
        a, b = self.group(a), self.group(b)
        if a is not b:
            self.parent[b] = a

    def quantized(self, op: Op) -> bool:
        return self.kinds.get(op) in ("mac", "function", "same")

    @property
    def floats(self) -> list[Op]:
        """The computing ops that stay float."""
        return [op for op, kind in self.kinds.items() if kind == "float"]


def place(graph: Graph, kind: Kind, keep_float: tuple[str, ...] = (), share_add: bool = False) -> Placement:
    """Kinds, quantiser points and shared formats of `graph`.

    `keep_float`: glob patterns on source names. `share_add`: the operands of an addition share a format.
    """
    placement = Placement()
    computing = [op for op in graph.ops if not isinstance(op, Input | Constant | Quantize | Dequantize)]
    leads_to_mac = _leads_to_mac(graph, kind)
    for op in computing:
        what = kind_of(op, kind)
        if any(fnmatchcase(name, pattern) for name in op.loc for pattern in keep_float):
            what = "float"
        data = [o for o in data_operands(op) if not is_parameter(o)]
        tail = bool(data) and op not in leads_to_mac and all(placement.kinds.get(o) == "float" for o in data)
        if tail and what in ("same", "function"):
            what = "float"
        placement.kinds[op] = what
    for op in computing:
        if placement.quantized(op):
            _place_op(graph, op, kind, placement, share_add)
    return placement


def _place_op(graph: Graph, op: Op, kind: Kind, placement: Placement, share_add: bool) -> None:
    kinds, points = placement.kinds, placement.points
    block = _fuses(graph, op, placement)
    for operand in data_operands(op):
        if is_factor(op, operand):
            continue
        if block:
            placement.inner.add(operand)
            points.pop(operand, None)
        elif kinds.get(operand) != "same" and operand not in placement.inner:
            points.setdefault(operand)
    if kinds[op] == "same":
        for operand in data_operands(op):
            placement.share(operand, op)
        return
    if share_add and isinstance(op, Add | Sub) and not (is_factor(op, op.x) or is_factor(op, op.y)):
        placement.share(op.x, op.y)
    if kind == "affine" and isinstance(op, AvgPool):
        placement.share(op.x, op)
    quantized_already = all(isinstance(u, Quantize) for u in graph.users[op]) and not _is_output(graph, op)
    if quantized_already:
        placement.inner.add(op)
    else:
        points.setdefault(op)


def is_factor(op: Op, operand: Op) -> bool:
    """Whether `operand` is a constant of one value, or one per channel, in arithmetic: it stays as it is.

    Integer arithmetic takes such constants into the multiplier and offset of the rescaling, without rounding them.
    """
    if isinstance(op, BatchNorm):
        return operand is not op.x
    quotient = isinstance(op, Binary) and op.function == "div" and operand is op.y
    if not (isinstance(op, Add | Sub | Mul) or quotient) or not is_parameter(operand):
        return False
    return sum(n != 1 for n in operand.shape) <= 1


def is_scaling(op: Op) -> bool:
    """Whether `op` only scales and shifts one tensor by constants."""
    return isinstance(op, BatchNorm | Add | Sub | Mul | Binary) and sum(not is_factor(op, o) for o in op.operands) == 1


def _fuses(graph: Graph, op: Op, placement: Placement) -> bool:
    """Whether what `op` reads need not be quantised: it is computed by the same block."""
    if isinstance(op, Relu | Clip):
        source = op.x
        arithmetic = isinstance(source, Conv | Dense | BatchNorm | Add | Sub | Mul | Binary | Relu | Clip)
    elif is_scaling(op):
        source = next(o for o in op.operands if not is_factor(op, o))
        arithmetic = isinstance(source, Conv | Dense) or (is_scaling(source) and source in placement.scaled)
    else:
        return False
    fuses = arithmetic and placement.kinds.get(source) in ("mac", "function") and graph.use_count(source) == 1
    if fuses and is_scaling(op):
        placement.scaled.add(op)
    return fuses


def _is_output(graph: Graph, op: Op) -> bool:
    return any(o is op for _, o in graph.outputs)


def kind_of(op: Op, kind: Kind) -> str:
    """mac, function, same or float; "codes" for what computes on integers already."""
    if not any(_is_float(o) for o in (op, *op.operands)):
        return "codes"
    if not all(_is_float32(o) for o in (op, *op.operands)):
        return "float"
    match op:
        case Conv() | Dense():
            return "mac" if is_parameter(op.w) and (op.b is None or is_parameter(op.b)) else "float"
        case Resize():
            return "same" if op.mode == "nearest" else "float"
        case Pad():
            return "same" if op.mode != "constant" or op.value == 0 or max(op.pads) <= 0 else "float"
        case Binary(function="max" | "min") | Reduce(function="max" | "min"):
            return "same"
        case BatchNorm():
            return "function" if all(is_parameter(p) for p in op.operands[1:]) else "float"
        case Binary(function="div"):
            return "function" if is_factor(op, op.y) else "float"
        case Reduce(function="sum"):
            return "function" if kind == "fixed" else "float"
        case Get() if not isinstance(op.x, Split):  # a recurrent layer or the like, which is float
            return "float"
    if isinstance(op, SAME):
        return "same"
    return "function" if isinstance(op, FUNCTIONS) else "float"


def _formats(op: Op) -> set[Format]:
    return {t.format for t in ((op.type,) if isinstance(op.type, TensorType) else op.type.elements)}


def _is_float(op: Op) -> bool:
    return any(f.is_float for f in _formats(op))


def _is_float32(op: Op) -> bool:
    return _formats(op) == {F32}


def data_operands(op: Op) -> tuple[Op, ...]:
    """The operands of `op` that are tensors rather than weights."""
    return (op.x,) if isinstance(op, Conv | Dense) else op.operands


def _leads_to_mac(graph: Graph, kind: Kind) -> set[Op]:
    """Ops from which some layer with weights can still be reached."""
    found: set[Op] = set()
    for op in reversed(graph.ops):
        if any(u in found or kind_of(u, kind) == "mac" for u in graph.users[op]):
            found.add(op)
    return found
