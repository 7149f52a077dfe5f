"""Sums of many terms in one compressor tree, signs handled without sign extension.

A bit of negative weight -2**c is inverted and becomes ~b * 2**c - 2**c; all such constants of a sum merge into one.
"""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.circuit.compress import Compressor
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import bitwise
from edgec.backends.rtl.circuit.wire import Const, Wire, bits, cast, require


class Matrix:
    """A sum under construction, in the unit 2**-frac.

    `lo` and `hi` bound the terms added so far; a caller who knows better may narrow them before `total`."""

    def __init__(self, frac: int = 0) -> None:
        self.frac = frac
        self.constant = 0
        self.lo = self.hi = 0
        self.stages = 0
        self._vectors: list[tuple[Wire, int, bool]] = []

    def add(self, x: Wire, shift: int = 0, negate: bool = False, *, ranged: bool = True) -> None:
        """+-x * 2**shift, x taken as an integer. `ranged=False` leaves `lo` and `hi` to the caller."""
        if ranged:
            low, high = x.interval.lo << shift, x.interval.hi << shift
            self.lo += -high if negate else low
            self.hi += -low if negate else high
        if isinstance(x, Const):
            self.constant += (-x.value if negate else x.value) << shift
            return
        mask = (1 << (x.width - 1) if x.signed else 0) ^ ((1 << x.width) - 1 if negate else 0)
        row = bitwise("xor", bits(x, 0, x.width), Const(mask, x.width)) if mask else bits(x, 0, x.width)
        self.constant -= mask << shift
        self._vectors.append((row, shift, True))

    def add_constant(self, value: int) -> None:
        """An integer in the unit of the sum."""
        self.constant += value
        self.lo += value
        self.hi += value

    def add_aligned(self, x: Wire) -> None:
        """x at its own unit, which must not be finer than the sum's."""
        require(x.frac <= self.frac, f"{x.interval} is finer than 2**-{self.frac}")
        self.add(x, self.frac - x.frac)

    def add_scaled(self, x: Wire, factor: int, shift: int = 0) -> None:
        """x * factor * 2**shift by the fewest shifted rows (canonical signed digits)."""
        for place, digit in enumerate(csd_digits(np.array([factor]))[0]):
            if digit:
                self.add(x, place + shift, bool(digit < 0), ranged=False)
        ends = (x.interval.lo * factor << shift, x.interval.hi * factor << shift)
        self.lo += min(ends)
        self.hi += max(ends)

    def add_bits(self, x: Wire, column: int = 0, row: bool = False) -> None:
        """Bits of weight 2**column each (`row`: 2**column, 2**(column+1), ...); `lo` and `hi` are the caller's."""
        self._vectors.append((x, column, row))

    def count(self, x: Wire) -> None:
        """The number of ones in x."""
        self.add_bits(x)
        self.hi += x.width

    def total(self, wrap: Interval | None = None) -> Wire:
        """The sum: exact, or modulo 2**width into the full range `wrap`."""
        interval = wrap or Interval(self.lo, self.hi, self.frac)
        if interval.lo == interval.hi:
            return Const(interval.lo, unit=self.frac)
        width = interval.width
        tree = Compressor(width, self.constant & ((1 << width) - 1))
        for wire, column, row in self._vectors:
            if column < width:
                (tree.add_row if row else tree.add_lanes)(wire, column)
        result = tree.total()
        self.stages = tree.stages
        if isinstance(result, Const):
            value = result.value - (1 << width) * (interval.signed and result.value >> (width - 1))
            return Const(value, unit=self.frac)
        return cast(result, interval)


def csd_digits(values: np.ndarray) -> np.ndarray:
    """Canonical signed digits, lowest first: int8 [..., places], no two neighbours both non-zero."""
    x = np.asarray(values, np.int64)
    # 3x and x differ where the non-adjacent form of x has a digit one place lower (Prodinger 2000).
    triple = 3 * np.abs(x)
    single = np.abs(x)
    places = max(int(triple.max(initial=0)).bit_length(), 1)
    at = np.arange(places)
    digits = ((triple[..., None] >> (at + 1)) & 1) - ((single[..., None] >> (at + 1)) & 1)
    return (digits * np.sign(x)[..., None]).astype(np.int8)


def popcount(x: Wire) -> Wire:
    """The number of ones in x."""
    matrix = Matrix()
    matrix.count(x)
    return matrix.total()


def scale(x: Wire, factor: int, frac: int = 0) -> Wire:
    """x * factor, where the factor is in the unit 2**-frac."""
    matrix = Matrix(x.frac + frac)
    matrix.add_scaled(x, factor)
    return matrix.total()
