"""Ops that move or order elements by computed indices, and running totals.

An index counts from the end when it is negative. No index reaches outside a tensor: `Take` keeps it inside, and
`Scatter` leaves its update out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgec.formats import Integer, Quantizer, TensorType, TupleType
from edgec.ops.base import Op, normalize_axis, plain_integers, require
from edgec.ops.elementwise import exact_format
from edgec.ops.mac import centered_range, quantized

SCATTERS = ("none", "add", "mul", "max", "min")


@dataclass(frozen=True, eq=False)
class Take(Op):
    """Elements of x along `axis` at computed `indices` of any shape, which takes the place of that axis.

    An index that is still outside after counting from the end is that of the nearest element."""

    x: Op
    indices: Op
    axis: int = 0

    def infer(self) -> TensorType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        require(plain_integers(self.indices.format), f"indices are integers, not {self.indices.format}")
        require(self.x.shape[axis] >= 1 or self.indices.tensor.size == 0, "taking from nothing")
        require(self.x.format.axis is None, "take needs one scale per tensor")
        return TensorType(self.x.format, (*self.x.shape[:axis], *self.indices.shape, *self.x.shape[axis + 1 :]))


@dataclass(frozen=True, eq=False)
class Scatter(Op):
    """x [n, *rest] with row indices[i] replaced by (or combined with) updates[i]; indices [m], updates [m, *rest].

    `reduction` none (the last of several updates wins), add (integers wrap), mul (floats), max or min. Updates at an
    index outside x are left out."""

    x: Op
    indices: Op
    updates: Op
    reduction: str = "none"

    def infer(self) -> TensorType:
        require(self.reduction in SCATTERS, f"unknown reduction {self.reduction!r}")
        require(plain_integers(self.indices.format), f"indices are integers, not {self.indices.format}")
        fmt = self.x.format
        require(fmt == self.updates.format, f"operands of different formats: {fmt} and {self.updates.format}")
        require(fmt.axis is None, "scatter needs one scale per tensor")
        require(fmt.is_float or self.reduction != "mul", f"products of {fmt}")
        require(fmt.is_float or self.reduction != "add" or plain_integers(fmt), f"sums of {fmt}")
        require(len(self.x.shape) >= 1 and len(self.indices.shape) == 1, "scatter needs [n, ...] and indices [m]")
        wanted = (*self.indices.shape, *self.x.shape[1:])
        require(self.updates.shape == wanted, f"updates {list(self.updates.shape)}, needs {list(wanted)}")
        return self.x.tensor


@dataclass(frozen=True, eq=False)
class TopK(Op):
    """The `k` largest (or smallest) elements along `axis`, in order, and their indices; of equals the first."""

    x: Op
    k: int
    axis: int = -1
    largest: bool = True

    def infer(self) -> TupleType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        n = self.x.shape[axis]
        require(0 <= self.k <= n, f"the {self.k} largest of {n}")
        require(self.x.format.axis is None, "top_k needs one scale per tensor")
        shape = (*self.x.shape[:axis], self.k, *self.x.shape[axis + 1 :])
        index = Integer(max((n - 1).bit_length(), 1), signed_=False)
        return TupleType((TensorType(self.x.format, shape), TensorType(index, shape)))


@dataclass(frozen=True, eq=False)
class Cumulate(Op):
    """Running sum or product along `axis`; `exclusive` leaves each element out of its own total, `reverse` starts at
    the end. Integers are exact; `out` then brings them into another format."""

    x: Op
    axis: int
    function: str = "sum"
    exclusive: bool = False
    reverse: bool = False
    out: Quantizer | None = None

    def infer(self) -> TensorType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        require(self.function in ("sum", "prod"), f"unknown running total {self.function!r}")
        fmt = self.x.format
        if fmt.is_float:
            require(self.out is None, "quantizers need integer operands")
            return self.x.tensor
        require(plain_integers(fmt), f"running totals of {fmt}")
        lo, hi = centered_range(fmt)
        n = max(self.x.shape[axis], 1)
        if self.function == "sum":
            exact = exact_format("sum", n * min(lo, 0), n * max(hi, 0), 0, self.out)
        else:
            require(n * math.log2(max(-lo, hi, 2)) < 4096, "the product is too long")
            top = max(-lo, hi, 1) ** n
            exact = exact_format("product", -top if lo < 0 else 0, top, 0, self.out)
        return TensorType(quantized(exact, self.out), self.x.shape)
