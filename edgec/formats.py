"""Number formats: what a code in memory or on a wire means.

A tensor holds *codes* (integers, or IEEE numbers for the float formats); `Format.decode` is the only way
from codes back to real values. Every quantised format factors its values as

    value = (level(code) - zero_point) * scale

with an integer `level`, so that integer arithmetic is defined on levels alone. `docs/numerics.md` has the
table of formats, rounding and overflow modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from edgec.format_base import Format as Format
from edgec.format_base import FormatError as FormatError
from edgec.format_base import require as require
from edgec.rounding import OVERFLOWS, ROUNDINGS, Overflow, Rounding


@dataclass(frozen=True)
class Float(Format):
    """IEEE 754 binary16, binary32 or binary64; codes are the numbers themselves."""

    width: int = 32

    def __post_init__(self) -> None:
        require(self.width in (16, 32, 64), f"no float of {self.width} bits; 16, 32 or 64")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def is_float(self) -> bool:
        return True

    @property
    def signed(self) -> bool:
        return True

    @property
    def frac(self) -> int | None:
        return None

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"float{self.width}")

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.asarray(codes, np.float64)

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        return np.asarray(values).astype(self.dtype)

    def encodes(self, value: float) -> bool:
        return float(self.dtype.type(value)) == value

    def check(self, codes: np.ndarray) -> None:
        pass

    def __str__(self) -> str:
        return f"f{self.width}"


@dataclass(frozen=True)
class Integer(Format):
    """Plain two's complement or unsigned integer. `narrow` leaves out the most negative code."""

    width: int
    signed_: bool = True
    narrow: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.width <= 64, f"integer width {self.width} outside 1..64")
        require(self.signed_ or self.width < 64, "unsigned integers have at most 63 bits")
        require(not self.narrow or self.signed_, "narrow range needs a signed format")
        require(not self.narrow or self.width > 1, "a narrow range needs at least 2 bits")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def code_range(self) -> tuple[int, int]:
        if not self.signed_:
            return 0, (1 << self.width) - 1
        return -(1 << (self.width - 1)) + self.narrow, (1 << (self.width - 1)) - 1

    def __str__(self) -> str:
        return f"{'int' if self.signed_ else 'uint'}<{self.width}{', narrow' if self.narrow else ''}>"


@dataclass(frozen=True)
class Fixed(Format):
    """Binary fixed point as in `ap_fixed<bits, integer_bits>`: value = code * 2**-(bits - integer_bits).

    The sign bit counts as an integer bit. `integer_bits` may be negative or exceed `width`.
    """

    width: int
    integer_bits: int
    signed_: bool = True
    narrow: bool = False

    def __post_init__(self) -> None:
        Integer(self.width, self.signed_, self.narrow)
        require(abs(self.width - self.integer_bits) <= 256, f"{self.width - self.integer_bits} fraction bits")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def code_range(self) -> tuple[int, int]:
        return Integer(self.width, self.signed_, self.narrow).code_range

    @property
    def frac(self) -> int:
        return self.width - self.integer_bits

    @property
    def scale_array(self) -> np.ndarray:
        return np.array([math.ldexp(1.0, -self.frac)])

    def __str__(self) -> str:
        tail = ", narrow" if self.narrow else ""
        return f"{'fixed' if self.signed_ else 'ufixed'}<{self.width}, {self.integer_bits}{tail}>"


@dataclass(frozen=True)
class Affine(Format):
    """Scaled integers: value = (level(code) - zero_point) * scale, per tensor or along `channel_axis`.

    `base` gives the codes and their levels (`int<8>`, `binary`, ...). Scales are positive and finite.
    """

    base: Format
    scale: tuple[float, ...]
    zero_point: tuple[int, ...] = (0,)
    channel_axis: int | None = None

    def __post_init__(self) -> None:
        require(not self.base.is_float, "affine needs an integer base")
        require(not isinstance(self.base, Affine | Fixed), f"affine over {self.base}")
        require(len(self.scale) >= 1, "affine needs a scale")
        require(all(math.isfinite(s) and s > 0 for s in self.scale), "affine scales must be positive and finite")
        require(len(self.zero_point) in (1, len(self.scale)), "one zero point per scale, or one for all")
        require(
            (self.channel_axis is not None) == (len(self.scale) > 1) or self.channel_axis is not None,
            "several scales need an axis",
        )

    @property
    def bits(self) -> int:
        return self.base.bits

    @property
    def code_range(self) -> tuple[int, int]:
        return self.base.code_range

    @property
    def level_range(self) -> tuple[int, int]:
        return self.base.level_range

    @property
    def frac(self) -> int | None:
        mantissa, exponent = math.frexp(self.scale[0])
        if mantissa != 0.5 or any(s != self.scale[0] for s in self.scale):
            return None
        return 1 - exponent

    @cached_property
    def _scales(self) -> np.ndarray:
        return np.array(self.scale)

    @cached_property
    def _zero_points(self) -> np.ndarray:
        return np.array(self.zero_point, np.int64)

    @property
    def scale_array(self) -> np.ndarray:
        return self._scales

    @property
    def zero_point_array(self) -> np.ndarray:
        return self._zero_points

    @property
    def axis(self) -> int | None:
        return self.channel_axis

    @property
    def symmetric(self) -> bool:
        return not any(self.zero_point)

    @property
    def dtype(self) -> np.dtype:
        return self.base.dtype

    def levels(self, codes: np.ndarray) -> np.ndarray:
        return self.base.levels(codes)

    def codes_of_levels(self, levels: np.ndarray) -> np.ndarray:
        return self.base.codes_of_levels(levels)

    def clip_levels(self, levels: np.ndarray, overflow: Overflow) -> np.ndarray:
        return self.base.clip_levels(levels, overflow)

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        """As every format; where the codes are no levels (binary, tables) the base picks the nearest value."""
        if self.base.code_range == self.base.level_range:
            return super().encode(values, rounding, overflow)
        values = np.asarray(values, np.float64)
        levels = values / self._along(self.scale_array, values.ndim) + self._along(self.zero_point_array, values.ndim)
        return self.base.codes_of_levels(self.base.clip_levels(levels, overflow))

    def check(self, codes: np.ndarray) -> None:
        self.base.check(codes)

    def __str__(self) -> str:
        def show(values: tuple[Any, ...]) -> str:
            return repr(values[0]) if len(values) == 1 else "[" + ", ".join(map(repr, values)) + "]"

        axis = "" if self.channel_axis is None else f", axis={self.channel_axis}"
        return f"affine<{self.base}, {show(self.scale)}, {show(self.zero_point)}{axis}>"


F16, F32, F64 = Float(16), Float(32), Float(64)


@dataclass(frozen=True)
class Quantizer:
    """A target format with the rounding and overflow that bring a number there."""

    format: Format
    rounding: Rounding = "half_even"
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        require(self.rounding in ROUNDINGS, f"unknown rounding {self.rounding!r}; one of {', '.join(ROUNDINGS)}")
        require(self.overflow in OVERFLOWS, f"unknown overflow {self.overflow!r}; one of {', '.join(OVERFLOWS)}")

    def __str__(self) -> str:
        return f"{self.format}:{self.rounding}:{self.overflow}"


@dataclass(frozen=True)
class TensorType:
    """A number format and a static shape."""

    format: Format
    shape: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        require(all(d >= 0 for d in self.shape), f"negative dimension in {list(self.shape)}")
        axis, scales = self.format.axis, self.format.scale_array
        if axis is not None:
            require(-len(self.shape) <= axis < len(self.shape), f"axis {axis} of {self.format} outside the shape")
            require(
                scales.size in (1, self.shape[axis]),
                f"{scales.size} scales on an axis of {self.shape[axis]} channels",
            )

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        return self.size * self.format.bits

    def __str__(self) -> str:
        return f"{self.format}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class TupleType:
    """The type of an op with several results; `Get` takes one of them."""

    elements: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.elements))})"


def smallest_fixed(lo: Fraction | int, hi: Fraction | int, frac: int) -> Fixed:
    """The narrowest `Fixed` with `frac` fraction bits that holds every level from `lo` to `hi` (levels)."""
    lo_i, hi_i = math.floor(lo), math.ceil(hi)
    if lo_i >= 0:
        width = max(hi_i.bit_length(), 1)
        return Fixed(width, width - frac, signed_=False)
    width = max((-lo_i - 1).bit_length(), max(hi_i, 0).bit_length()) + 1
    return Fixed(width, width - frac)
