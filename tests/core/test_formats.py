"""Float, integer, fixed and affine formats: ranges, names, encoding and decoding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from core_support import affines, codes, fixeds, formats, integers, overflow_exact, overflows, round_exact, roundings
from hypothesis import given
from hypothesis import strategies as st

from edgec.formats import (
    F16,
    F32,
    F64,
    Affine,
    Fixed,
    Float,
    Format,
    FormatError,
    Integer,
    Quantizer,
    TensorType,
    TupleType,
    smallest_fixed,
)
from edgec.formats_compressed import Codebook, Pow2, Sparse
from edgec.text_parser import parse_format


def test_ranges() -> None:
    assert Integer(8).code_range == (-128, 127)
    assert Integer(8, narrow=True).code_range == (-127, 127)
    assert Integer(8, signed_=False).code_range == (0, 255)
    assert Integer(1).code_range == (-1, 0)
    assert Integer(64).code_range == (-(1 << 63), (1 << 63) - 1)
    assert [Integer(w).dtype.name for w in (1, 8, 9, 16, 17, 32, 33, 64)] == [
        *("int8", "int8", "int16", "int16", "int32", "int32", "int64", "int64")
    ]
    assert [Integer(w, False).dtype.name for w in (8, 9, 32, 33)] == ["uint8", "uint16", "uint32", "int64"]


def test_ap_fixed_names() -> None:
    """`fixed<W, I>` means what `ap_fixed<W, I>` means: I bits left of the point, the sign bit among them."""
    for width, integer_bits, low, high, step in (
        (8, 3, -4.0, 3.96875, 0.03125),
        (6, 1, -1.0, 0.96875, 0.03125),
        (4, 0, -0.5, 0.4375, 0.0625),
        (4, -2, -0.125, 0.109375, 0.015625),
        (4, 6, -32.0, 28.0, 4.0),
    ):
        fmt = Fixed(width, integer_bits)
        assert str(fmt) == f"fixed<{width}, {integer_bits}>"
        lo, hi = fmt.code_range
        assert fmt.decode(np.array([lo, hi, 1])).tolist() == [low, high, step]
    unsigned = Fixed(9, 1, signed_=False)
    assert str(unsigned) == "ufixed<9, 1>" and unsigned.decode(np.array([511]))[0] == 2 - 2.0**-8


@given(fixeds(), st.fractions(-300, 300), roundings, overflows)
def test_encode_is_exact(fmt: Fixed, value: Fraction, rounding: str, overflow: str) -> None:
    real = float(value)
    level = round_exact(Fraction(real) * Fraction(2) ** fmt.frac, rounding)
    assert int(fmt.encode(np.array([real]), rounding, overflow)[0]) == overflow_exact(level, *fmt.code_range, overflow)


@given(formats, st.integers(0, 2**32 - 1))
def test_decode_then_encode_is_the_identity(fmt: Format, seed: int) -> None:
    drawn = codes(np.random.default_rng(seed), fmt, 64)
    if isinstance(fmt, Sparse):
        drawn = fmt.encode(fmt.decode(drawn))
    values = fmt.decode(drawn)
    again = fmt.encode(values)
    assert again.dtype == fmt.dtype
    fmt.check(again)
    assert np.array_equal(fmt.decode(again), values)
    assert np.array_equal(fmt.codes_of_levels(fmt.levels(again)), again)
    if not isinstance(fmt, Sparse) and len(set(fmt.decode(np.arange(fmt.code_range[0], fmt.code_range[1] + 1)))) == (
        fmt.code_range[1] - fmt.code_range[0] + 1
    ):
        assert np.array_equal(again, drawn)  # no value has two codes


@given(formats)
def test_text_round_trip(fmt: Format) -> None:
    assert parse_format(str(fmt)) == fmt


@given(st.data(), st.sampled_from([0, 1, 2, -1, -2]))
def test_channels_lie_along_their_axis(data: st.DataObject, axis: int) -> None:
    fmt = data.draw(affines(channels=3, axis=axis))
    shape = [2, 2, 2]
    shape[axis] = 3
    TensorType(fmt, tuple(shape))
    drawn = codes(np.random.default_rng(0), fmt, *shape)
    values = fmt.decode(drawn)
    scale = np.broadcast_to(fmt.scale_array, 3)
    zero = np.broadcast_to(fmt.zero_point_array, 3)
    for c in range(3):
        part = (slice(None),) * (axis % 3) + (c,)
        wanted = (fmt.levels(drawn[part]) - zero[c if fmt.axis is not None else 0]) * scale[
            c if fmt.axis is not None else 0
        ]
        assert np.array_equal(values[part], wanted)
    assert np.array_equal(fmt.decode(fmt.encode(values)), values)
    assert isinstance(fmt.has_zero, bool)


def test_zero_points() -> None:
    fmt = Affine(Integer(8, False), (0.5,), (10,))
    assert fmt.decode(np.array([0, 10, 255], np.uint8)).tolist() == [-5.0, 0.0, 122.5]
    assert fmt.encode(np.array([0.0, -100.0, 1e9])).tolist() == [10, 0, 255]
    assert fmt.has_zero and not Affine(Integer(8), (0.1,), (300,)).has_zero
    assert Affine(Integer(8), (0.25, 0.25), (0, 3), 1).frac == 2
    assert Affine(Integer(8), (0.25, 0.5), (0,), 1).frac is None
    assert Affine(Integer(8), (0.1,)).frac is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Integer(0), "width 0"),
        (lambda: Integer(65), "width 65"),
        (lambda: Integer(64, signed_=False), "63 bits"),
        (lambda: Integer(8, False, narrow=True), "signed"),
        (lambda: Integer(1, True, narrow=True), "2 bits"),
        (lambda: Fixed(8, 600), "fraction bits"),
        (lambda: Fixed(0, 0), "width 0"),
        (lambda: Float(8), "no float of 8 bits"),
        (lambda: Affine(F32, (1.0,)), "integer base"),
        (lambda: Affine(Fixed(8, 3), (1.0,)), "affine over fixed"),
        (lambda: Affine(Integer(8), ()), "needs a scale"),
        (lambda: Affine(Integer(8), (0.0,)), "positive"),
        (lambda: Affine(Integer(8), (math.nan,)), "positive"),
        (lambda: Affine(Integer(8), (math.inf,)), "positive"),
        (lambda: Affine(Integer(8), (1.0, 2.0)), "axis"),
        (lambda: Affine(Integer(8), (1.0, 2.0), (1, 2, 3), 0), "zero point"),
        (lambda: Quantizer(Integer(8), "nearest"), "unknown rounding"),  # type: ignore[arg-type]
        (lambda: Quantizer(Integer(8), "floor", "clip"), "unknown overflow"),  # type: ignore[arg-type]
        (lambda: TensorType(F32, (2, -1)), "negative dimension"),
        (lambda: TensorType(Affine(Integer(8), (1.0, 2.0), (0,), 1), (2,)), "outside the shape"),
        (lambda: TensorType(Affine(Integer(8), (1.0, 2.0), (0,), 0), (3, 2)), "2 scales on an axis of 3"),
    ],
)
def test_formats_without_meaning_are_refused(build: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    "fmt", [Integer(4), Fixed(4, 1), Affine(Integer(4), (0.1,)), Pow2(4), Sparse(Fixed(4, 1), 2, 4)]
)
def test_check_finds_illegal_codes(fmt: Format) -> None:
    lo, hi = fmt.code_range
    fmt.check(np.array([hi, 0, 0, 0]))
    for bad in (lo - 1, hi + 1):
        with pytest.raises(FormatError, match="outside"):
            fmt.check(np.array([bad, 0, 0, 0]))


def test_floats_hold_themselves() -> None:
    for fmt in (F16, F32, F64):
        values = np.array([0.1, -2.0], fmt.dtype)
        assert np.array_equal(fmt.encode(values), values) and fmt.decode(values).dtype == np.float64
        assert fmt.frac is None and fmt.is_float and fmt.bits == fmt.width
    assert F16.encodes(0.5) and not F16.encodes(0.1)
    with pytest.raises(FormatError):
        _ = F32.code_range


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-(1 << 40), 1 << 40), st.integers(-8, 40))
def test_smallest_fixed_is_the_smallest(a: int, b: int, frac: int) -> None:
    lo, hi = min(a, b), max(a, b)
    fmt = smallest_fixed(lo, hi, frac)
    assert fmt.frac == frac and fmt.signed == (lo < 0)
    low, high = fmt.code_range
    assert low <= lo and hi <= high
    if fmt.width > 1:
        low, high = Integer(fmt.width - 1, fmt.signed_).code_range
        assert lo < low or high < hi


def test_types_know_their_size() -> None:
    t = TensorType(Fixed(6, 1), (8, 1, 3, 3))
    assert (t.size, t.bits, str(t)) == (72, 432, "fixed<6, 1>[8, 1, 3, 3]")
    assert str(TupleType((t, t))) == f"({t}, {t})"
    assert TensorType(F32).size == 1


@given(integers(), overflows)
def test_encoding_what_is_no_number(fmt: Integer, overflow: str) -> None:
    fmt.check(fmt.encode(np.array([np.nan, np.inf, -np.inf]), overflow=overflow))


def test_scaled_codebooks_measure_in_levels() -> None:
    element = Affine(Integer(8), (0.5,), (3,))
    book = Codebook(2, element, (3, 5, 127, -128))
    assert book.decode(np.arange(4)).tolist() == [0.0, 1.0, 62.0, -65.5]
    assert book.has_zero
