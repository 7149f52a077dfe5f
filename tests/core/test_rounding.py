"""Every rounding and overflow mode against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from core_support import integers, overflow_exact, overflows, round_exact, roundings
from hypothesis import example, given
from hypothesis import strategies as st

from edgec.rounding import OVERFLOWS, ROUNDINGS, divide_round, overflow_levels, round_float, shift_round

levels = st.integers(-(1 << 62) + 1, (1 << 62) - 1)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_all_quarters(rounding: str) -> None:
    quarters = np.arange(-24, 25)
    wanted = [round_exact(Fraction(int(q), 4), rounding) for q in quarters]
    assert round_float(quarters / 4, rounding).tolist() == wanted
    assert divide_round(quarters, 4, rounding).tolist() == wanted
    assert shift_round(quarters, 2, rounding).tolist() == wanted


def test_a_row_for_every_mode() -> None:
    """The table of docs/numerics.md."""
    values = np.array([-2.5, -1.5, -1.25, 1.25, 1.5, 2.5])
    table = {
        "floor": [-3, -2, -2, 1, 1, 2],
        "ceil": [-2, -1, -1, 2, 2, 3],
        "trunc": [-2, -1, -1, 1, 1, 2],
        "away": [-3, -2, -2, 2, 2, 3],
        "half_even": [-2, -2, -1, 1, 2, 2],
        "half_up": [-2, -1, -1, 1, 2, 3],
        "half_down": [-3, -2, -1, 1, 1, 2],
        "half_away": [-3, -2, -1, 1, 2, 3],
        "half_zero": [-2, -1, -1, 1, 1, 2],
    }
    assert tuple(table) == ROUNDINGS
    for rounding, wanted in table.items():
        assert round_float(values, rounding).tolist() == wanted, rounding


@given(st.floats(allow_nan=False, allow_infinity=False), roundings)
@example(0.49999999999999994, "half_up")  # adding a half and flooring gives 1
@example(4503599627370497.5, "half_even")
@example(-0.5, "half_up")
def test_float64(value: float, rounding: str) -> None:
    assert round_float(np.array([value]), rounding)[0] == float(round_exact(Fraction(value), rounding))


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), roundings)
@example(0.49999997, "half_away")
def test_float32_stays_float32(value: float, rounding: str) -> None:
    result = round_float(np.array([value], np.float32), rounding)
    assert result.dtype == np.float32
    assert float(result[0]) == float(np.float32(round_exact(Fraction(value), rounding)))


@given(levels, st.integers(1, 1 << 40), roundings)
def test_division(numerator: int, divisor: int, rounding: str) -> None:
    wanted = round_exact(Fraction(numerator, divisor), rounding)
    assert divide_round(np.array([numerator]), divisor, rounding)[0] == wanted
    wide = divide_round(np.array([numerator << 40], object), divisor, rounding)
    assert wide[0] == round_exact(Fraction(numerator << 40, divisor), rounding)


@given(levels, st.integers(0, 90), roundings)
@example(-1, 70, "away")
@example(-1, 63, "floor")
def test_shift_right(level: int, right: int, rounding: str) -> None:
    result = shift_round(np.array([level]), right, rounding)
    assert result[0] == round_exact(Fraction(level, 1 << right), rounding)


@given(levels, st.integers(0, 90), roundings)
@example(1, 63, "floor")
@example(3, 90, "floor")
def test_shift_left_is_exact_however_far(level: int, left: int, rounding: str) -> None:
    assert int(shift_round(np.array([level]), -left, rounding)[0]) == level << left


@given(st.one_of(levels, st.integers(-(1 << 80), 1 << 80)), integers(1, 63), overflows)
def test_overflow_of_integers(level: int, fmt: object, overflow: str) -> None:
    lo, hi = fmt.code_range  # type: ignore[attr-defined]
    array = np.array([level], np.int64 if abs(level) < 1 << 62 else object)
    result = overflow_levels(array, lo, hi, overflow)
    assert result.dtype == np.int64
    assert result[0] == overflow_exact(level, lo, hi, overflow)


@given(st.floats(-1e30, 1e30), integers(1, 63), overflows)
def test_overflow_of_floats(value: float, fmt: object, overflow: str) -> None:
    lo, hi = fmt.code_range  # type: ignore[attr-defined]
    whole = float(np.trunc(value))
    result = overflow_levels(np.array([whole]), lo, hi, overflow)
    assert result.dtype == np.int64
    assert result[0] == overflow_exact(int(whole), lo, hi, overflow)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_64_bits(overflow: str) -> None:
    lo, hi = -(1 << 63), (1 << 63) - 1
    for level in (0, 1, -1, lo, hi, hi + 1, lo - 1, 1 << 64, 5 << 63, -(1 << 70) + 3):
        wanted = overflow_exact(level, lo, hi, overflow)
        assert overflow_levels(np.array([level], object), lo, hi, overflow)[0] == wanted
        if float(level) == level:
            assert overflow_levels(np.array([float(level)]), lo, hi, overflow)[0] == wanted


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_what_is_no_number_becomes_an_end_or_zero(overflow: str) -> None:
    result = overflow_levels(np.array([np.nan, np.inf, -np.inf]), -8, 7, overflow)
    assert result.tolist() == {"saturate": [0, 7, -8], "saturate_symmetric": [0, 7, -7], "wrap": [0, 0, 0]}[overflow]


def test_unknown_modes_are_refused() -> None:
    for function in (lambda r: round_float(np.zeros(1), r), lambda r: divide_round(np.ones(1, np.int64), 2, r)):
        with pytest.raises(ValueError, match="unknown rounding 'nearest'"):
            function("nearest")
