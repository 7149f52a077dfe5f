"""Linear forms: float arithmetic that adds, scales and clamps, as `clip(sum of coefficient * integer + offset)`.

Coefficients are float64 products of float32 constants, per tensor or per channel; the rescaling that is built from
them states its own precision (`_rescale.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgec.formats import Integer, Quantizer, smallest_fixed
from edgec.ops import (
    Add,
    BatchNorm,
    Binary,
    Clip,
    Dequantize,
    Mul,
    Op,
    Relu,
    Requantize,
    Sub,
    Unary,
    centered_range,
    integers,
)
from edgec.passes._cone import Cone, NoIntegerForm


@dataclass(frozen=True)
class Term:
    """Centred levels of `x` times scale * factor / count; `scale` and `factor` are float64 [1] or [C].

    `scale` holds the float32 scale(s) of what is dequantised, `count` the divisor of a mean.
    """

    x: Op
    scale: np.ndarray
    factor: np.ndarray
    count: int = 1

    @property
    def coefficient(self) -> np.ndarray:
        """What one level counts for, float64 [1] or [C]."""
        return self.scale * self.factor / self.count

    @property
    def pure(self) -> bool:
        """Whether only the scale stands in front, or its negative."""
        return bool((np.abs(self.factor) == 1).all())


@dataclass(frozen=True)
class Linear:
    """clip(sum of terms + offset, lo, hi); arrays float64 [1] or [C]."""

    terms: tuple[Term, ...] = ()
    offset: np.ndarray = field(default_factory=lambda: np.zeros(1))
    lo: np.ndarray = field(default_factory=lambda: np.full(1, -np.inf))
    hi: np.ndarray = field(default_factory=lambda: np.full(1, np.inf))

    @property
    def clamped(self) -> bool:
        return bool(np.isfinite(self.lo).any() or np.isfinite(self.hi).any())

    def plus(self, other: Linear) -> Linear:
        if (self.clamped and other.terms) or (other.clamped and self.terms):
            raise NoIntegerForm("a clamped value is added to another one")
        if self.terms or not other.terms:
            moved = other.offset
            return Linear(self.terms + other.terms, self.offset + moved, self.lo + moved, self.hi + moved)
        return other.plus(self)

    def times(self, factor: np.ndarray) -> Linear:
        with np.errstate(invalid="ignore"):  # infinity times zero
            a, b = self.lo * factor, self.hi * factor
        terms = tuple(replace(t, factor=t.factor * factor) for t in self.terms)
        lo = np.where(factor == 0, -np.inf, np.minimum(a, b))  # what is zero needs no clamp
        hi = np.where(factor == 0, np.inf, np.maximum(a, b))
        return Linear(terms, self.offset * factor, lo, hi)

    def clip(self, lo: float, hi: float) -> Linear:
        return replace(self, lo=np.clip(self.lo, lo, hi), hi=np.clip(self.hi, lo, hi))


def linear_form(cone: Cone) -> Linear:
    """The linear form of a cone; raises `NoIntegerForm` naming the first op that is not linear."""
    known: dict[Op, Linear] = {}

    def constant(op: Op) -> np.ndarray | None:
        if op not in cone.parameters:
            return None
        return cone.parameters[op].astype(np.float64).reshape(-1)

    def form(op: Op) -> Linear:
        value = constant(op)
        if value is not None:
            return Linear(offset=value)
        if isinstance(op, Dequantize):
            return Linear((leaf_term(op.x),))
        return known[op]

    for op in cone.ops:
        known[op] = _step(op, form, constant)
    return form(cone.root)


def _step(op: Op, form, constant) -> Linear:  # type: ignore[no-untyped-def]
    match op:
        case Add(x=x, y=y):
            return form(x).plus(form(y))
        case Sub(x=x, y=y):
            return form(x).plus(form(y).times(np.full(1, -1.0)))
        case Mul(x=x, y=y):
            if (factor := constant(y)) is not None:
                return form(x).times(factor)
            if (factor := constant(x)) is not None:
                return form(y).times(factor)
            return _product(form(x), form(y))
        case Binary(x=x, y=y, function="div") if (divisor := constant(y)) is not None and (divisor != 0).all():
            return form(x).times(1 / divisor)
        case Binary(x=x, y=y, function="max" | "min" as which) if (
            bound := constant(y)
        ) is not None and bound.size == 1:
            return form(x).clip(*((bound[0], np.inf) if which == "max" else (-np.inf, bound[0])))
        case Relu(x=x):
            return form(x).clip(0.0, np.inf)
        case Clip(x=x, lo=lo, hi=hi):
            return form(x).clip(float(np.float32(lo)), float(np.float32(hi)))
        case BatchNorm(x=x):
            scale, bias, mean, var = (constant(p) for p in op.operands[1:])
            if scale is not None and bias is not None and mean is not None and var is not None:
                factor = scale / np.sqrt(var + op.epsilon)
                return form(x).plus(Linear(offset=-mean)).times(factor).plus(Linear(offset=bias))
        case Unary(x=x, function="neg"):
            return form(x).times(np.full(1, -1.0))
    raise NoIntegerForm(f"{op.mnemonic} ({op.label}) is not linear")


def leaf_term(x: Op, count: int = 1) -> Term:
    """The dequantised values of `x` (their mean over `count` when x is a sum)."""
    return Term(x, x.format.scale_array.astype(np.float32).astype(np.float64), np.ones(1), count)


def _product(a: Linear, b: Linear) -> Linear:
    """The product of two dequantised tensors as one term over their integer product."""
    for side in (a, b):
        plain = len(side.terms) == 1 and not side.clamped and not side.offset.any() and side.terms[0].scale.size == 1
        if not plain or side.terms[0].factor.size > 1:
            raise NoIntegerForm("a product of two computed tensors needs one scale each")
    left, right = a.terms[0], b.terms[0]
    product = Mul(plain_integers(left.x), plain_integers(right.x))
    return Linear((Term(product, left.scale * right.scale, left.factor * right.factor),))


def plain_integers(x: Op) -> Op:
    """The centred levels of `x` as plain integers with unit 1: a subtraction of the zero point, or nothing."""
    if isinstance(x.format, Integer):
        return x
    lo, hi = centered_range(x.format)
    exact = smallest_fixed(lo, hi, 0)
    fmt = Integer(exact.width, exact.signed_)
    return Requantize(x, integers([1]), integers([0]), None, Quantizer(fmt, "floor"))
