"""The formats of compressed weights: binary, ternary, powers of two, codebooks, small floats, N:M sparse.

Sources: DenseShift arXiv 2208.09708 (pow2), BitNet b1.58 arXiv 2407.09527 (ternary), OCP 8-bit floating
point (minifloat, here without infinities and NaN).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgec.formats import Format, FormatError, require
from edgec.rounding import Overflow, Rounding


@dataclass(frozen=True)
class Binary(Format):
    """One bit: code 0 is -1, code 1 is +1. There is no zero."""

    @property
    def bits(self) -> int:
        return 1

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, 1

    @property
    def level_range(self) -> tuple[int, int]:
        return -1, 1

    def levels(self, codes: np.ndarray) -> np.ndarray:
        return 2 * np.asarray(codes).astype(np.int64) - 1

    def codes_of_levels(self, levels: np.ndarray) -> np.ndarray:
        return (np.asarray(levels) > 0).astype(np.uint8)

    def clip_levels(self, levels: np.ndarray, overflow: Overflow) -> np.ndarray:
        return np.where(np.asarray(levels) >= 0, 1, -1)

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        """Sign of `values`; zero counts as +1 (QONNX BipolarQuant)."""
        return (np.asarray(values) >= 0).astype(np.uint8)

    def __str__(self) -> str:
        return "binary"


@dataclass(frozen=True)
class Ternary(Format):
    """-1, 0, +1; the code is the value, two bits of two's complement without -2."""

    @property
    def bits(self) -> int:
        return 2

    @property
    def code_range(self) -> tuple[int, int]:
        return -1, 1

    def __str__(self) -> str:
        return "ternary"


@dataclass(frozen=True)
class _Table(Format):
    """Formats whose levels are a table indexed by the code."""

    @cached_property
    def table(self) -> np.ndarray:
        raise TypeError

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, len(self.table) - 1

    @property
    def level_range(self) -> tuple[int, int]:
        return int(self.table.min()), int(self.table.max())

    def levels(self, codes: np.ndarray) -> np.ndarray:
        return self.table[np.asarray(codes).astype(np.int64)]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.table, kind="stable")
        return order, self.table[order]

    def codes_of_levels(self, levels: np.ndarray) -> np.ndarray:
        order, ascending = self._sorted
        position = np.clip(np.searchsorted(ascending, levels), 0, len(ascending) - 1)
        if not np.array_equal(ascending[position], np.asarray(levels)):
            raise FormatError(f"a level is not a value of {self}")
        return order[position].astype(self.dtype)

    def clip_levels(self, levels: np.ndarray, overflow: Overflow) -> np.ndarray:
        return self._nearest(np.asarray(levels, np.float64))

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        """Codes of the nearest table values; ties go to the value of smaller magnitude, at zero to +."""
        values = np.asarray(values, np.float64)
        scaled = values / self._along(self.scale_array, values.ndim)
        return self.codes_of_levels(self._nearest(scaled))

    def _nearest(self, values: np.ndarray) -> np.ndarray:
        ascending = self._sorted[1]
        right = np.clip(np.searchsorted(ascending, values), 1, len(ascending) - 1)
        below, above = ascending[right - 1], ascending[right]
        d_below, d_above = values - below, above - values
        take_above = (d_above < d_below) | ((d_above == d_below) & (np.abs(above) <= np.abs(below)))
        return np.where(take_above, above, below)


@dataclass(frozen=True)
class Pow2(_Table):
    """Signed powers of two, sign bit on top: (-1)**sign * 2**s.

    Without `zero` (DenseShift, arXiv 2208.09708) the exponents are 0 .. 2**(width-1)-1 and no code is zero;
    with `zero` the magnitude field 0 means zero and m > 0 means 2**(m-1).
    """

    width: int
    zero: bool = False

    def __post_init__(self) -> None:
        require(2 <= self.width <= 6, f"pow2 of {self.width} bits; 2 to 6")

    @property
    def bits(self) -> int:
        return self.width

    @cached_property
    def table(self) -> np.ndarray:
        magnitude = np.arange(1 << (self.width - 1))
        level = np.where(magnitude == 0, 0, 1 << np.maximum(magnitude - 1, 0)) if self.zero else 1 << magnitude
        return np.concatenate([level, -level]).astype(np.int64)

    def __str__(self) -> str:
        return f"pow2{'z' if self.zero else ''}<{self.width}>"


@dataclass(frozen=True)
class Codebook(_Table):
    """An index of `width` bits into a table of codes of the format `element`."""

    width: int
    element: Format
    entries: tuple[int, ...]

    def __post_init__(self) -> None:
        require(1 <= self.width <= 8, f"codebook of {self.width} bits; 1 to 8")
        require(1 <= len(self.entries) <= 1 << self.width, "more codebook entries than indices")
        require(not self.element.is_float, "codebook entries are integer codes")
        require(self.element.axis is None, "codebook entries need one scale")
        self.element.check(np.array(self.entries))

    @property
    def bits(self) -> int:
        return self.width

    @property
    def frac(self) -> int | None:
        return self.element.frac

    @property
    def scale_array(self) -> np.ndarray:
        return self.element.scale_array

    @cached_property
    def table(self) -> np.ndarray:
        """Levels of the entries, the element's zero point subtracted."""
        return self.element.levels(np.array(self.entries)) - self.element.zero_point_array

    def __str__(self) -> str:
        return f"codebook<{self.width}, {self.element}, [{', '.join(map(str, self.entries))}]>"


@dataclass(frozen=True)
class Minifloat(_Table):
    """Small floating point: sign, `exponent` bits, `mantissa` bits, subnormals, no infinities or NaN.

    Bias 2**(exponent-1)-1. Levels are in units of the smallest subnormal, so that sums stay integer.
    """

    exponent: int
    mantissa: int

    def __post_init__(self) -> None:
        require(1 <= self.exponent <= 5 and 0 <= self.mantissa <= 10, f"{self} is out of range")
        require(self.exponent + self.mantissa <= 11, f"{self} is wider than 12 bits")

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def frac(self) -> int:
        return (1 << (self.exponent - 1)) - 2 + self.mantissa

    @property
    def scale_array(self) -> np.ndarray:
        return np.array([math.ldexp(1.0, -self.frac)])

    @cached_property
    def table(self) -> np.ndarray:
        field_e, field_m = np.divmod(np.arange(1 << (self.exponent + self.mantissa)), 1 << self.mantissa)
        level = np.where(field_e == 0, field_m, ((1 << self.mantissa) + field_m) << np.maximum(field_e - 1, 0))
        return np.concatenate([level, -level]).astype(np.int64)

    def __str__(self) -> str:
        return f"minifloat<{self.exponent}, {self.mantissa}>"


@dataclass(frozen=True)
class Sparse(Format):
    """`element` with at most `nonzero` values other than zero in each group of `group` along the last axis."""

    element: Format
    nonzero: int
    group: int

    def __post_init__(self) -> None:
        require(0 < self.nonzero < self.group, f"{self.nonzero} of {self.group} is no sparsity")
        require(self.element.has_zero, f"sparse needs a zero, which {self.element} cannot write")

    @property
    def bits(self) -> int:
        return self.element.bits

    @property
    def code_range(self) -> tuple[int, int]:
        return self.element.code_range

    @property
    def level_range(self) -> tuple[int, int]:
        return self.element.level_range

    @property
    def frac(self) -> int | None:
        return self.element.frac

    @property
    def scale_array(self) -> np.ndarray:
        return self.element.scale_array

    @property
    def zero_point_array(self) -> np.ndarray:
        return self.element.zero_point_array

    @property
    def axis(self) -> int | None:
        return self.element.axis

    @property
    def has_zero(self) -> bool:
        return True  # its element has one

    def encodes(self, value: float) -> bool:
        return self.element.encodes(value)

    def levels(self, codes: np.ndarray) -> np.ndarray:
        return self.element.levels(codes)

    def codes_of_levels(self, levels: np.ndarray) -> np.ndarray:
        return self.element.codes_of_levels(levels)

    def clip_levels(self, levels: np.ndarray, overflow: Overflow) -> np.ndarray:
        return self.element.clip_levels(levels, overflow)

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        """Codes of `values`, the smallest magnitudes of each group set to zero (ties keep the earlier)."""
        values = np.asarray(values, np.float64)
        require(values.shape[-1] % self.group == 0, f"last axis {values.shape[-1]} not in groups of {self.group}")
        groups = values.reshape(*values.shape[:-1], -1, self.group)
        order = np.argsort(-np.abs(groups), axis=-1, kind="stable")
        kept = groups.copy()
        np.put_along_axis(kept, order[..., self.nonzero :], 0.0, axis=-1)
        return self.element.encode(kept.reshape(values.shape), rounding, overflow)

    def check(self, codes: np.ndarray) -> None:
        self.element.check(codes)
        levels = self.levels(codes)
        live = levels - self._along(self.zero_point_array, levels.ndim) != 0
        require(live.shape[-1] % self.group == 0, f"last axis {live.shape[-1]} not in groups of {self.group}")
        count = live.reshape(*live.shape[:-1], -1, self.group).sum(-1)
        require(count.size == 0 or int(count.max()) <= self.nonzero, f"a group breaks {self}")

    def __str__(self) -> str:
        return f"sparse<{self.element}, {self.nonzero}, {self.group}>"
