"""What the core tests share: strategies for formats and quantizers, and exact scalar references."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from edgec.formats import Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Codebook, Minifloat, Pow2, Sparse, Ternary
from edgec.ops import Input
from edgec.rounding import OVERFLOWS, ROUNDINGS

roundings = st.sampled_from(ROUNDINGS)
overflows = st.sampled_from(OVERFLOWS)


@st.composite
def integers(draw: st.DrawFn, lo: int = 1, hi: int = 16) -> Integer:
    width = draw(st.integers(lo, hi))
    signed = draw(st.booleans())
    return Integer(width, signed, signed and width > 1 and draw(st.booleans()))


@st.composite
def fixeds(draw: st.DrawFn, lo: int = 1, hi: int = 16) -> Fixed:
    base = draw(integers(lo, hi))
    return Fixed(base.width, draw(st.integers(-4, base.width + 4)), base.signed_, base.narrow)


compressed = st.one_of(
    st.just(Binary()),
    st.just(Ternary()),
    st.builds(Pow2, st.integers(2, 5), st.booleans()),
    st.builds(Minifloat, st.integers(1, 4), st.integers(0, 4)),
    st.lists(st.integers(-8, 7), min_size=1, max_size=8).map(lambda e: Codebook(3, Fixed(4, 2), tuple(e))),
)
scales = st.floats(2.0**-20, 2.0**20)


@st.composite
def affines(draw: st.DrawFn, channels: int | None = None, axis: int = 0) -> Affine:
    """Affine formats; with `channels` possibly one scale and zero point per channel along `axis`."""
    base = draw(st.one_of(integers(2, 10), compressed))
    lo, hi = base.level_range
    n = channels if channels is not None and draw(st.booleans()) else 1
    zeros = st.integers(lo, hi) if isinstance(base, Integer) else st.just(0)
    scale = tuple(draw(st.lists(scales, min_size=n, max_size=n)))
    zero = tuple(draw(st.lists(zeros, min_size=n, max_size=n)))
    return Affine(base, scale, zero, axis if n > 1 else None)


formats: st.SearchStrategy[Format] = st.one_of(
    integers(), fixeds(), compressed, affines(), st.just(Sparse(Fixed(4, 2), 2, 4))
)


@st.composite
def quantizers(draw: st.DrawFn, lo: int = 1, hi: int = 16) -> Quantizer:
    """Quantizers to fixed point."""
    return Quantizer(draw(fixeds(lo, hi)), draw(roundings), draw(overflows))


def round_exact(value: Fraction, rounding: str) -> int:
    """`value` rounded to an integer, written from the definitions in docs/numerics.md."""
    low, high = math.floor(value), math.ceil(value)
    toward_zero, from_zero = (low, high) if value >= 0 else (high, low)
    match rounding:
        case "floor":
            return low
        case "ceil":
            return high
        case "trunc":
            return toward_zero
        case "away":
            return from_zero
    below, above = value - low, high - value
    if below != above:
        return low if below < above else high
    return {
        "half_even": low if low % 2 == 0 else high,
        "half_up": high,
        "half_down": low,
        "half_away": from_zero,
        "half_zero": toward_zero,
    }[rounding]


def overflow_exact(level: int, lo: int, hi: int, overflow: str) -> int:
    """`level` brought into lo..hi, written from the definitions in docs/numerics.md."""
    match overflow:
        case "saturate":
            return min(max(level, lo), hi)
        case "saturate_symmetric":
            return min(max(level, -hi if lo < 0 else lo), hi)
    bits = (hi - lo).bit_length()
    level &= (1 << bits) - 1
    if lo < 0 and level >= 1 << (bits - 1):
        level -= 1 << bits
    return max(level, lo)


def quantize_exact(value: Fraction, quantizer: Quantizer) -> int:
    """The level of a real `value` in the dyadic integer format of `quantizer`."""
    fmt = quantizer.format
    assert fmt.frac is not None
    level = round_exact(value * Fraction(2) ** fmt.frac, quantizer.rounding)
    return overflow_exact(level, *fmt.level_range, quantizer.overflow)


def codes(generator: np.random.Generator, fmt: Format, *shape: int) -> np.ndarray:
    """Random legal codes of `fmt`."""
    lo, hi = fmt.code_range
    return generator.integers(lo, hi, shape, endpoint=True).astype(fmt.dtype)


def inp(fmt: Format, *shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(fmt, shape))
