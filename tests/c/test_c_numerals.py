"""Initialisers read back as the array that they were written from."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgec.backends.c.numerals import CHUNK, PER_LINE, initialisers


def read_back(text: str, dtype: np.dtype) -> np.ndarray:
    special = {"NAN": "nan", "INFINITY": "inf", "-INFINITY": "-inf"}
    words = [w.strip() for w in text.replace("\n", " ").split(",") if w.strip()]
    if dtype.kind == "f":
        plain = [special.get(w, w).removesuffix("f") if w not in special else special[w] for w in words]
        return np.array([float.fromhex(w) for w in plain]).astype(dtype)
    ends = {"(-2147483647 - 1)": -(1 << 31), "(-INT64_C(9223372036854775807) - 1)": -(1 << 63)}
    values = [ends[w] if w in ends else int(re.sub(r"INT64_C\((-?\d+)\)|u$", r"\1", w)) for w in words]
    return np.array(values, dtype)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("count", [1, PER_LINE, PER_LINE + 1, 3000])
def test_integers(kind: str, count: int) -> None:
    info, rng = np.iinfo(kind), np.random.default_rng(count)
    for lo, hi in ((info.min, info.max), (max(info.min, -9), 12), (0, 0)):
        values = rng.integers(lo, hi, count, dtype=kind, endpoint=True)
        text = initialisers(values)
        assert np.array_equal(read_back(text, values.dtype), values)
        assert all(line.startswith("  ") and line.endswith(",") for line in text.split("\n"))
    for end in (info.min, info.max):
        assert read_back(initialisers(np.array([end, 10, 100, 0], kind)), np.dtype(kind)).tolist() == [end, 10, 100, 0]


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_floats_bit_for_bit(kind: str) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 5000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    values = np.concatenate([bits[np.isfinite(bits)], np.array([0, -0.0, 1, -1.5, 1e-45, -1e-40, 3.4e38, 0.1])])
    for part in (values, np.array([np.inf, -np.inf, 2.0])):
        part = part.astype(kind)
        back = read_back(initialisers(part), part.dtype)
        assert np.array_equal(back.view(np.uint8), part.view(np.uint8))


def test_nan_and_nothing() -> None:
    assert initialisers(np.array([np.nan], np.float32)) == "  NAN,"
    assert initialisers(np.zeros(0, np.int8)) == "  0"


def test_chunks_join() -> None:
    values = np.arange(CHUNK + 5, dtype=np.int64).astype(np.int8)
    text = initialisers(values)
    assert np.array_equal(read_back(text, values.dtype), values)
    assert "\n\n" not in text
