"""Rates with their confidence intervals."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


def wilson(hits: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a rate (J. Am. Stat. Assoc. 22, 1927): never outside 0..1, right for 0 hits too."""
    if trials == 0:
        return 0.0, 1.0
    rate = hits / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half) if hits else 0.0, min(1.0, middle + half) if hits < trials else 1.0


def rate(hits: int, trials: int) -> dict[str, float | int]:
    """For a report: hits, trials, the rate and its 95 % interval, to nine digits."""
    low, high = wilson(hits, trials)
    value = hits / trials if trials else 0.0
    return {"hits": hits, "trials": trials, "rate": rounded(value), "low": rounded(low), "high": rounded(high)}


def rounded(value: float) -> float:
    """Nine significant digits: sums in another order must not change a report."""
    return float(f"{value:.9g}")
