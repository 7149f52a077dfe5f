"""Exact intervals: the type of every wire.

A wire holds an integer `lo..hi` in units of `2**-frac`. Width and sign follow from the interval, so that no adder
is wider than the numbers that can occur.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """`range<lo,hi,frac>`: all integers lo..hi, each meaning `integer * 2**-frac`."""

    lo: int
    hi: int
    frac: int = 0

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError(f"empty interval {self.lo}..{self.hi}")

    @classmethod
    def of_bits(cls, width: int, signed: bool = False, frac: int = 0) -> Interval:
        """Everything that `width` bits can hold."""
        half = 1 << (width - 1)
        return cls(-half, half - 1, frac) if signed else cls(0, 2 * half - 1, frac)

    @classmethod
    def hull(cls, intervals: Iterable[Interval]) -> Interval:
        """The smallest interval that contains all of `intervals`, which share one unit."""
        items = list(intervals)
        if len({i.frac for i in items}) != 1:
            raise ValueError("intervals of different units")
        return cls(min(i.lo for i in items), max(i.hi for i in items), items[0].frac)

    @property
    def signed(self) -> bool:
        return self.lo < 0

    @property
    def width(self) -> int:
        """Bits on the wire: two's complement if `signed`, else plain binary; at least 1."""
        if self.lo >= 0:
            return max(self.hi.bit_length(), 1)
        return max((-self.lo - 1).bit_length(), max(self.hi, 0).bit_length()) + 1

    def contains(self, other: Interval) -> bool:
        return self.frac == other.frac and self.lo <= other.lo and other.hi <= self.hi

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.lo + other.lo, self.hi + other.hi, self.frac)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.lo - other.hi, self.hi - other.lo, self.frac)

    def __mul__(self, other: Interval) -> Interval:
        corners = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Interval(min(corners), max(corners), self.frac + other.frac)

    def __str__(self) -> str:
        return f"range<{self.lo},{self.hi},{self.frac}>"
