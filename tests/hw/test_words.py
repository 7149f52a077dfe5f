"""Packing integers into port words and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.hw.sim.words import Field, pack_fields, pack_words, unpack_fields, unpack_words


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray, int, bool]:
    bits = draw(st.integers(1, 64))
    signed = draw(st.booleans())
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    elements = draw(st.integers(1, 40))
    rows = st.lists(st.integers(low, high), min_size=elements, max_size=elements)
    values = draw(st.lists(rows, min_size=3, max_size=3))
    return np.array(values, dtype=np.int64 if signed else np.uint64), bits, signed


def by_hand(fields: list[tuple[np.ndarray, int, bool]], frame: int) -> int:
    """The port as one big integer."""
    port, at = 0, 0
    for values, bits, _ in fields:
        for value in values[frame]:
            port |= (int(value) & ((1 << bits) - 1)) << at
            at += bits
    return port


@given(st.lists(tensors(), min_size=1, max_size=3))
def test_fields_match_big_integers_and_round_trip(fields: list[tuple[np.ndarray, int, bool]]) -> None:
    words = pack_fields([(values, bits) for values, bits, _ in fields])
    assert words.dtype == np.uint32
    for frame in range(3):
        port = sum(int(w) << (32 * i) for i, w in enumerate(words[frame]))
        assert port == by_hand(fields, frame)
    back = unpack_fields(words, [Field(v.shape[1], bits, signed) for v, bits, signed in fields])
    for (values, _, _), got in zip(fields, back, strict=True):
        np.testing.assert_array_equal(got, values)


def test_one_tensor() -> None:
    words = pack_words(np.array([[1, -1, 3]]), 12)
    assert words.tolist() == [[0x03FFF001, 0x0]]
    assert unpack_words(words, 3, 12, signed=True).tolist() == [[1, -1, 3]]
    assert unpack_words(words, 3, 12, signed=False).tolist() == [[1, 0xFFF, 3]]


@pytest.mark.parametrize(("value", "bits"), [(8, 3), (-5, 3), (2, 1), (-2, 1)])
def test_values_that_do_not_fit(value: int, bits: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack_words(np.array([[value]]), bits)


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="integers"):
        pack_words(np.zeros((2, 2)), 8)
    with pytest.raises(ValueError, match="do not hold"):
        unpack_words(np.zeros((1, 2), np.uint32), 3, 8, signed=False)
    with pytest.raises(ValueError, match="1 to 64"):
        pack_words(np.zeros((1, 1), np.int64), 65)
