"""A figure with its error bar, and how bars combine.

Factors are taken as independent: their relative deviations add in quadrature, on a logarithmic scale, each side for
itself. Terms of a sum are taken as fully dependent (one library prices them all): their bars add linearly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from edgec.target import Quantity

Basis = Literal["exact", "simulated", "calibrated", "analytic"]


@dataclass(frozen=True)
class Figure:
    """low <= nominal <= high in `unit`, what it rests on, and the constants or measurement it comes from."""

    low: float
    nominal: float
    high: float
    unit: str
    basis: Basis
    source: str

    @property
    def exact(self) -> bool:
        return self.low == self.nominal == self.high

    def contains(self, value: float) -> bool:
        """Whether `value` lies within the bar."""
        return self.low <= value <= self.high

    def scaled(self, factor: float, unit: str | None = None) -> Figure:
        """The figure times an exact positive `factor`."""
        return Figure(
            self.low * factor, self.nominal * factor, self.high * factor, unit or self.unit, self.basis, self.source
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "low": self.low,
            "nominal": self.nominal,
            "high": self.high,
            "unit": self.unit,
            "basis": self.basis,
            "source": self.source,
        }


def exact(value: float, unit: str, source: str, basis: Basis = "exact") -> Figure:
    """A figure without a bar."""
    return Figure(value, value, value, unit, basis, source)


def product(*factors: Quantity | Figure | float) -> Quantity:
    """The product of independent factors; a factor of 0 on the low side makes the low end 0."""
    nominal = math.prod(f if isinstance(f, int | float) else f.nominal for f in factors)
    if nominal == 0:
        return Quantity(0.0, 0.0, 0.0, "")
    bars = [f for f in factors if not isinstance(f, int | float)]
    up = math.sqrt(sum(math.log(f.high / f.nominal) ** 2 for f in bars))
    if any(f.low == 0 for f in bars):
        return Quantity(0.0, nominal, nominal * math.exp(up), "")
    down = math.sqrt(sum(math.log(f.nominal / f.low) ** 2 for f in bars))
    return Quantity(nominal * math.exp(-down), nominal, nominal * math.exp(up), "")


def inverse(quantity: Quantity | Figure) -> Quantity:
    """1 / quantity, the ends exchanged; the quantity must be positive."""
    return Quantity(1 / quantity.high, 1 / quantity.nominal, 1 / quantity.low, "")


def total(terms: Iterable[Quantity]) -> Quantity:
    """The sum of fully dependent terms."""
    low = nominal = high = 0.0
    for term in terms:
        low, nominal, high = low + term.low, nominal + term.nominal, high + term.high
    return Quantity(low, nominal, high, "")


def figure(quantity: Quantity, unit: str, basis: Basis, source: str) -> Figure:
    """A quantity as a result."""
    return Figure(quantity.low, quantity.nominal, quantity.high, unit, basis, source)
