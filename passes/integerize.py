"""Turns float arithmetic between Dequantize and Quantize into integer ops.

Dequantize moves down through everything that commutes with it; multiply-accumulate ops work on codes; what stands
between an integer tensor and the Quantize that reads it is replaced as a whole, by the first of these that fits:

    Cast            power-of-two units on both sides: the same rounding of the same number, exact
    MultiThreshold  at most 16 codes and monotone arithmetic: exactly the float32 executor's codes
    Requantize      sums, scales and clamps: one integer multiplier an operand, rounded once
    Lut             anything on one tensor of at most 12 bits: exactly the float32 executor's codes
    AvgPool, sum    means, rounded once

Exactness. Everything is exact against a float32 executor of the same graph while its sums are (below 2**24 on
power-of-two units). Requantize computes the rational number that a float executor rounds on its way: results can
differ only where that number lies within float32 rounding of the middle between two codes (`edgec.tiecheck`).
With `arithmetic=float32` the multiplication stays in binary32, bit for bit what onnxruntime's integer kernels do.

What has no integer form stays in floats, with a note that names the layer and the reason.
"""

from __future__ import annotations

from typing import Literal

from edgec.diagnostics import EdgecError
from edgec.formats import TensorType
from edgec.graph import Graph, Uses, rewrite
from edgec.ops import (
    Add,
    AvgPool,
    Binary,
    Cast,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Dequantize,
    Expand,
    Gather,
    Get,
    Input,
    MatMul,
    Mul,
    Op,
    Quantize,
    Requantize,
    Reshape,
    Slice,
    Split,
    Sub,
    Transpose,
    integers,
    merge_loc,
)
from edgec.passes._average import dequantized_mean, is_mean, is_sum, quantized_mean, sum_form
from edgec.passes._commute import codes_behind, downwards, folded, upwards
from edgec.passes._cone import Cone, Constants, NoIntegerForm, cone_of
from edgec.passes._integer_mac import fixed_constant, integer_mac
from edgec.passes._linear import linear_form
from edgec.passes._lut import agrees, table, tabulable, to_lut
from edgec.passes._rescale import to_requantize, with_names, without_relu
from edgec.passes._thresholds import narrow, ordered, to_thresholds
from edgec.pipeline import Context

Arithmetic = Literal["integer", "float32"]
FLOAT32_BITS = 25
"""Signed integers that binary32 holds exactly."""
SILENT = (Concat, Constant, Dequantize, Expand, Gather, Get, Input, Reshape, Slice, Split, Transpose)
"""Ops that compute nothing: no note when they move floats."""


def apply(graph: Graph, context: Context, *, arithmetic: Arithmetic = "integer") -> Graph:
    """`graph` with integer ops wherever its quantisers allow them; N0003 notes for what stays in floats.

    `arithmetic=float32` rescales by `RequantizeFloat` (onnxruntime's rule), `integer` by `Requantize`.
    """
    worker = Integerizer(arithmetic)
    graph = rewrite(graph, worker.rule)
    graph = rewrite(graph, worker.fallback)
    context.diagnostics[:] = [d for d in context.diagnostics if d.code != "N0003"]  # an earlier run's
    for op, reason in worker.remaining(graph):
        context.warn("N0003", f"{op.mnemonic} stays in floating point", layer=op.label, op=op.mnemonic, why=reason)
    return Graph(graph.name, graph.inputs, graph.outputs, {**graph.meta, "arithmetic": arithmetic})


class Integerizer:
    """The rules with what they share in one run: constants, common results, and reasons for the notes."""

    def __init__(self, arithmetic: str) -> None:
        self.arithmetic = arithmetic
        self.constants = Constants()
        self.splits: dict[tuple[Op, tuple[int, ...], int], Split] = {}
        self.quantized: dict[tuple[Op, object], Op] = {}
        self.reasons: dict[Op, str] = {}

    def rule(self, op: Op, uses: Uses) -> Op | None:
        """What replaces `op`, or None."""
        try:
            match op:
                case Quantize():
                    return self.quantize(op)
                case Dense() | Conv():
                    return integer_mac(op, self.constants)
                case Add() | Sub() | Mul() | Binary():
                    return self.dyadic(op)
            return downwards(op, self.splits)
        except NoIntegerForm as reason:
            self.reasons[op] = str(reason)
            return None

    def fallback(self, op: Op, uses: Uses) -> Op | None:
        """Rules for what no Quantize has absorbed: they give up a little precision or need wider integers."""
        try:
            if (is_mean(op) or is_sum(op)) and op.format.is_float:
                return dequantized_mean(op)
            if isinstance(op, Add | Sub | Mul) and (new := self.with_constant(op)) is not None:
                return new
        except NoIntegerForm as reason:
            self.reasons[op] = str(reason)
            return None
        return self.rule(op, uses)

    def dyadic(self, op: Add | Sub | Mul | Binary) -> Op | None:
        """Sums and products of two dequantised tensors with power-of-two units (sums also with one common unit)."""
        x, y = codes_behind(op.x), codes_behind(op.y)
        if x is None or y is None:
            return None
        if isinstance(op, Binary):
            if op.function not in ("max", "min") or x.format != y.format or not ordered(x.format):
                return None
        elif x.format.frac is None or y.format.frac is None:
            same = x.format.scale_array.tolist() == y.format.scale_array.tolist() and x.format.axis == y.format.axis
            if isinstance(op, Mul) or not same:
                return None
        try:
            return folded(op.replace(x=x, y=y), op)
        except EdgecError as error:
            raise NoIntegerForm(error.diagnostics[0].what) from None

    def with_constant(self, op: Add | Sub | Mul) -> Op | None:
        """A sum or product with a constant that has few enough bits for float32 to be exact as well."""
        operands = []
        for side in (op.x, op.y):
            value = self.constants.value(side)
            codes = codes_behind(side) if value is None else fixed_constant(value, side.loc)
            if codes is None or codes.format.frac is None:
                return None
            operands.append(codes)
        try:
            new = op.replace(x=operands[0], y=operands[1])
        except EdgecError as error:
            raise NoIntegerForm(error.diagnostics[0].what) from None
        return Dequantize(new) if new.format.bits <= FLOAT32_BITS else None

    def quantize(self, op: Quantize) -> Op | None:
        """The integer form of Quantize and all the float arithmetic it reads."""
        key = (op.x, op.out)
        if key not in self.quantized:
            new = self._quantize(op)
            if new is None:
                return None
            self.quantized[key] = new
        return self.quantized[key]

    def _quantize(self, op: Quantize) -> Op | None:
        if isinstance(op.x, Input):
            return None
        codes = codes_behind(op.x, wide=True)
        if codes is not None and (new := _cast(codes, op)) is not None:
            return new
        if codes is None:
            moved = upwards(op, lambda x: self._quantized(x, op))
            if moved is not None:
                return moved
        if is_mean(op.x) and (new := quantized_mean(op)) is not None:
            return new
        if (is_mean(op.x) or is_sum(op.x)) and (form := sum_form(op.x)) is not None:
            return to_requantize(form, op, _axis(op), self.arithmetic, merge_loc(op.x, op))
        cone = cone_of(op.x, self.constants)
        if not cone.leaves:
            data = self.constants.value(op)
            return None if data is None else Constant(data, type=op.tensor, loc=op.loc)
        return self._absorb(cone, op)

    def _quantized(self, x: Op, like: Quantize) -> Op:
        op = Quantize(x, like.out, loc=like.loc)
        try:
            return self.quantize(op) or op
        except NoIntegerForm as reason:
            self.reasons[op] = str(reason)
            return op

    def _absorb(self, cone: Cone, op: Quantize) -> Op:
        reasons = []
        loc = merge_loc(*cone.ops, op)
        axis = cone.axis if cone.axis is not None else _axis(op)
        if len(cone.leaves) == 1 and narrow(op):
            try:
                return to_thresholds(cone, op)
            except NoIntegerForm as reason:
                reasons.append(str(reason))
        entries = table(cone, op) if tabulable(cone) and op.format.axis is None else None
        try:
            new = to_requantize(linear_form(cone), op, axis, self.arithmetic, loc)
            if entries is None or agrees(new, cone.leaves[0].x, entries):
                return new
        except NoIntegerForm as reason:
            reasons.append(str(reason))
        if entries is not None:
            return to_lut(cone, op, entries)
        raise NoIntegerForm("; ".join(dict.fromkeys(reasons)))

    def remaining(self, graph: Graph) -> list[tuple[Op, str]]:
        """Float ops that compute something, with the reason: their own, or that of the quantiser they lead to."""
        reasons: dict[Op, str] = {}
        left = []
        for op in reversed(graph.ops):
            later = (reasons[user] for user in graph.users[op] if user in reasons)
            reason = self.reasons.get(op) or next(later, None)
            if reason is not None:
                reasons[op] = reason
            if self._computes_floats(op):
                left.append((op, reason or _default_reason(op)))
        return left[::-1]

    def _computes_floats(self, op: Op) -> bool:
        if isinstance(op, SILENT) or self.constants.value(op) is not None:
            return False
        if isinstance(op, Quantize):
            return op in self.reasons and isinstance(op.x, Dequantize)
        computed = (o for o in op.operands if not isinstance(o, Constant))
        return any(not isinstance(o.type, TensorType) or o.format.is_float for o in computed)


def _default_reason(op: Op) -> str:
    if isinstance(op, MatMul):
        return "a product of two computed tensors"
    if isinstance(op, ConvTranspose):
        return "transposed convolution has no integer form"
    if any(isinstance(o, Input) for o in op.operands):
        return "its input is not quantised"
    return "no quantiser follows" if not isinstance(op, AvgPool) else "its windows or scales have no integer form"


def _axis(op: Op) -> int:
    return 1 if len(op.shape) > 1 else 0


def _cast(codes: Op, op: Quantize) -> Op | None:
    """Codes to codes when no multiplier is needed: nothing, a shift, or a shift and a zero point."""
    source, target, out = codes.format, op.format, op.out
    if source == target and (out.overflow != "saturate_symmetric" or getattr(target, "narrow", False)):
        return codes
    if source.frac is None or target.frac is None or not ordered(target) or target.code_range != target.level_range:
        return None
    if source.axis is not None and source.scale_array.size > 1:
        return None
    bare = without_relu(codes, out)
    loc = op.loc if bare is codes else with_names(codes, op.loc)
    if not target.zero_point_array.any():
        return Cast(bare, out, loc=loc)
    shift = source.frac - target.frac
    multiplier, right = (1, shift) if shift >= 0 else (1 << -shift, 0)
    return Requantize(bare, integers([multiplier]), integers([right]), None, out, _axis(codes), loc=loc)
