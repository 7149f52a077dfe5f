"""Binary, ternary, power-of-two, codebook, small-float and sparse formats."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import compressed, scales
from hypothesis import given
from hypothesis import strategies as st

from edgec.formats import F32, Affine, Fixed, Format, FormatError, Integer
from edgec.formats_compressed import Binary, Codebook, Minifloat, Pow2, Sparse, Ternary


def all_codes(fmt: Format) -> np.ndarray:
    return np.arange(fmt.code_range[0], fmt.code_range[1] + 1)


def test_the_values_of_every_format() -> None:
    assert Binary().decode(all_codes(Binary())).tolist() == [-1, 1]
    assert Ternary().decode(all_codes(Ternary())).tolist() == [-1, 0, 1]
    assert Pow2(3).decode(all_codes(Pow2(3))).tolist() == [1, 2, 4, 8, -1, -2, -4, -8]
    assert Pow2(3, zero=True).decode(np.arange(8)).tolist() == [0, 1, 2, 4, 0, -1, -2, -4]
    book = Codebook(2, Fixed(4, 2), (-8, -1, 0, 7))
    assert book.decode(np.arange(4)).tolist() == [-2.0, -0.25, 0.0, 1.75]


def test_small_floats() -> None:
    """E2M1 of the OCP specification, and E4M3 up to the codes that the specification gives to NaN."""
    e2m1 = Minifloat(2, 1)
    assert e2m1.decode(np.arange(8)).tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert e2m1.decode(np.arange(8, 16)).tolist() == [0, -0.5, -1, -1.5, -2, -3, -4, -6]
    e4m3 = Minifloat(4, 3)
    assert e4m3.bits == 8 and e4m3.decode(np.array([1, 8, 0x7E])).tolist() == [2.0**-9, 2.0**-6, 448.0]


@given(compressed, st.floats(-40, 40))
def test_encode_gives_the_nearest_value(fmt: Format, value: float) -> None:
    table = fmt.decode(all_codes(fmt))
    found = float(fmt.decode(fmt.encode(np.array([value])))[0])
    distance = np.abs(table - value)
    assert found in table
    if isinstance(fmt, Binary):
        assert found == (1 if value >= 0 else -1)
    elif isinstance(fmt, Ternary):  # an integer format: ties to even, saturating
        assert found == min(max(round(value), -1), 1)
    else:
        assert abs(found - value) == distance.min()
        ties = table[distance == distance.min()]
        assert abs(found) == np.abs(ties).min()


@given(compressed, scales, st.floats(-40, 40))
def test_scaling_a_format_scales_its_values(base: Format, scale: float, value: float) -> None:
    fmt = Affine(base, (scale,))
    levels = base.levels(all_codes(base))
    assert np.array_equal(fmt.decode(all_codes(base)), levels * scale)
    found = float(fmt.decode(fmt.encode(np.array([value * scale])))[0])
    if isinstance(base, Binary):
        assert found == (scale if value * scale >= 0 else -scale)
    else:
        nearest = np.abs(levels - value * scale / scale).min()
        assert abs(found / scale - value * scale / scale) <= nearest * (1 + 1e-12) + 1e-12


@given(st.sampled_from([Sparse(Fixed(6, 2), 2, 4), Sparse(Integer(4), 1, 2), Sparse(Pow2(4, True), 3, 8)]), st.data())
def test_sparse_keeps_the_largest(fmt: Sparse, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(st.integers(-7, 7), min_size=8, max_size=8)), np.float64)
    found = fmt.encode(values)
    fmt.check(found)
    dense = fmt.element.decode(fmt.element.encode(values))
    kept = fmt.decode(found)
    for group in range(0, 8, fmt.group):
        part, whole = kept[group : group + fmt.group], np.abs(values[group : group + fmt.group])
        order = sorted(range(fmt.group), key=lambda i: (-whole[i], i))[: fmt.nonzero]
        for i in range(fmt.group):
            assert part[i] == (dense[group + i] if i in order else 0)


def test_sparse_refuses_too_many() -> None:
    fmt = Sparse(Integer(4), 2, 4)
    with pytest.raises(FormatError, match="breaks"):
        fmt.check(np.array([1, 1, 1, 0]))
    with pytest.raises(FormatError, match="groups"):
        fmt.check(np.array([1, 0, 0]))
    with pytest.raises(FormatError, match="groups"):
        fmt.encode(np.ones(3))


def test_which_formats_have_a_zero() -> None:
    assert [f.has_zero for f in (Binary(), Pow2(4), Codebook(1, Integer(4), (-1, 1)))] == [False] * 3
    for fmt in (Ternary(), Pow2(4, zero=True), Minifloat(3, 2), Codebook(1, Integer(4), (0, 1)), Integer(4)):
        assert fmt.has_zero and Sparse(fmt, 1, 4).has_zero
        assert Affine(fmt, (0.3, 0.7), (0,), 1).has_zero
    assert not Affine(Binary(), (0.3, 0.7), (0,), 1).has_zero


def test_levels_that_are_no_value() -> None:
    with pytest.raises(FormatError, match="not a value of pow2<3>"):
        Pow2(3).codes_of_levels(np.array([0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Pow2(1), "2 to 6"),
        (lambda: Pow2(7), "2 to 6"),
        (lambda: Codebook(0, Integer(4), (1,)), "1 to 8"),
        (lambda: Codebook(1, Integer(4), (1, 2, 3)), "more codebook entries"),
        (lambda: Codebook(1, Integer(4), (100,)), "outside"),
        (lambda: Codebook(1, F32, (1,)), "integer codes"),
        (lambda: Minifloat(6, 1), "out of range"),
        (lambda: Minifloat(5, 7), "12 bits"),
        (lambda: Sparse(Integer(4), 4, 4), "no sparsity"),
        (lambda: Sparse(Integer(4), 0, 4), "no sparsity"),
        (lambda: Sparse(Binary(), 2, 4), "needs a zero"),
        (lambda: Sparse(Pow2(4), 2, 4), "needs a zero"),
    ],
)
def test_refusals(build: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        build()  # type: ignore[operator]
