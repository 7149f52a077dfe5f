"""The detector ops against a scalar reference written from the chip's description (arXiv 2105.01683)."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import codes, inp
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Integer
from edgec.graph import Graph
from edgec.interp import run
from edgec.interp.quant import bit_length
from edgec.ops import DecodeFloat, EncodeFloat, Gather, NormalizePow2, Op, PackBits


def output(op: Op, frames: np.ndarray) -> np.ndarray:
    found = run(Graph("g", (op.x,), (("y", op),)), {"x": frames})["y"]  # type: ignore[attr-defined]
    op.format.check(found)
    return found


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 3))
def test_decode_every_code(exponent_bits: int, mantissa_bits: int, drop: int) -> None:
    n = 1 << (exponent_bits + mantissa_bits)
    x = inp(Integer(exponent_bits + mantissa_bits, False), n)
    found = output(DecodeFloat(x, exponent_bits, mantissa_bits, drop), np.arange(n, dtype=x.format.dtype)[None])[0]
    for v in range(n):
        e, m = v >> mantissa_bits, v & ((1 << mantissa_bits) - 1)
        value = (m | 1 << mantissa_bits) << (e - 1) if e > 0 else m
        if drop:
            value = (value << drop) + (1 << (max(e - 1, 0) + drop - 1))
        assert int(found[v]) == value
    assert int(found.max()).bit_length() == DecodeFloat(x, exponent_bits, mantissa_bits, drop).format.bits


@given(st.integers(1, 5), st.integers(0, 5), st.lists(st.integers(0, (1 << 22) - 1), min_size=6, max_size=6))
def test_encode(exponent_bits: int, mantissa_bits: int, values: list[int]) -> None:
    found = output(EncodeFloat(inp(Integer(22, False), 6), exponent_bits, mantissa_bits), np.array([values]))[0]
    for value, code in zip(values, found.tolist(), strict=True):
        if value < 1 << mantissa_bits:
            wanted = value
        else:
            e = value.bit_length() - mantissa_bits
            wanted = (e << mantissa_bits) | ((value >> (e - 1)) & ((1 << mantissa_bits) - 1))
        assert code == min(wanted, (1 << (exponent_bits + mantissa_bits)) - 1)


@given(st.integers(1, 4), st.integers(0, 4))
def test_encode_undoes_decode(exponent_bits: int, mantissa_bits: int) -> None:
    n = 1 << (exponent_bits + mantissa_bits)
    x = inp(Integer(exponent_bits + mantissa_bits, False), n)
    back = EncodeFloat(DecodeFloat(x, exponent_bits, mantissa_bits), exponent_bits, mantissa_bits)
    frames = np.arange(n, dtype=x.format.dtype)[None]
    assert np.array_equal(run(Graph("g", (x,), (("y", back),)), {"x": frames})["y"], frames)


@given(
    st.lists(st.lists(st.integers(0, (1 << 22) - 1), min_size=5, max_size=5), min_size=2, max_size=2),
    st.integers(1, 10),
    st.integers(0, 9),
)
def test_normalize(rows: list[list[int]], width: int, frac_bits: int) -> None:
    op = NormalizePow2(inp(Integer(22, False), 2, 5), width, frac_bits)
    assert op.format == Fixed(width, width - frac_bits, signed_=False)
    found = output(op, np.array([rows], np.uint32))[0]
    for row, got in zip(rows, found.tolist(), strict=True):
        shift = max(sum(row).bit_length() - 1, 0)
        assert got == [min((q << frac_bits) >> shift, (1 << width) - 1) for q in row]


def test_an_empty_module_normalises_to_zeros() -> None:
    op = NormalizePow2(inp(Integer(22, False), 1, 48), 8, 7)
    assert not output(op, np.zeros((1, 1, 48), np.uint32)).any()


def test_a_single_full_cell_is_one() -> None:
    op = NormalizePow2(inp(Integer(22, False), 48), 8, 7)
    frame = np.zeros((1, 48), np.uint32)
    frame[0, 5] = 1 << 13
    assert output(op, frame)[0, 5] == 128  # 1.0 with 7 fraction bits


@given(st.integers(1, 9), st.integers(1, 5), st.data())
def test_pack(width: int, n: int, data: st.DataObject) -> None:
    frames = codes(np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), Integer(width, False), 2, n)
    x = inp(Integer(width, False), n)
    keep = data.draw(st.integers(1, width))
    found = output(PackBits(x, keep), frames)
    mask = tuple(data.draw(st.lists(st.integers(0, 1), min_size=n * width, max_size=n * width).filter(any)))
    chosen = output(PackBits(x, mask=mask), frames)
    for f in range(2):
        word = sum(int(v) >> (width - keep) << (keep * i) for i, v in enumerate(frames[f]))
        assert sum(int(b) << i for i, b in enumerate(found[f])) == word
        stream = [(int(v) >> b) & 1 for v in frames[f] for b in range(width)]
        assert chosen[f].tolist() == [bit for bit, m in zip(stream, mask, strict=True) if m]


def test_a_cell_map_with_holes() -> None:
    x = inp(Integer(4, False), 1, 4)
    found = output(Gather(x, (3, -1, 0, 0), 1), np.array([[[5, 6, 7, 8]]], np.uint8))
    assert found.tolist() == [[[8, 0, 5, 5]]]


@given(st.lists(st.integers(0, (1 << 63) - 1), min_size=1, max_size=20))
def test_bit_length(values: list[int]) -> None:
    assert bit_length(np.array(values)).tolist() == [v.bit_length() for v in values]


def test_refusals() -> None:
    signed, floating = inp(Integer(8), 4), inp(Fixed(8, 4, signed_=False), 4)
    unsigned = inp(Integer(8, False), 4)
    for build, message in (
        (lambda: DecodeFloat(signed, 4, 4), "must be uint<8>"),
        (lambda: DecodeFloat(unsigned, 4, 3), "must be uint<7>"),
        (lambda: DecodeFloat(unsigned, 6, 2), "at most 48"),
        (lambda: EncodeFloat(signed, 4, 3), "unsigned integers"),
        (lambda: EncodeFloat(floating, 4, 3), "unsigned integers"),
        (lambda: NormalizePow2(signed, 8, 7), "unsigned integers"),
        (lambda: NormalizePow2(unsigned, 40, 7), "result format"),
        (lambda: NormalizePow2(inp(Integer(61, False), 64), 8, 0), "sum"),
        (lambda: PackBits(signed, 4), "unsigned codes"),
        (lambda: PackBits(unsigned, 9), "keep 9 of 8"),
        (lambda: PackBits(unsigned), "either keep or mask"),
        (lambda: PackBits(unsigned, 2, (1,) * 32), "either keep or mask"),
        (lambda: PackBits(unsigned, mask=(1,) * 31), "31 flags for 32 bits"),
        (lambda: PackBits(unsigned, mask=(0,) * 32), "keeps nothing"),
        (lambda: PackBits(unsigned, mask=(2,) * 32), "0 or 1"),
    ):
        with pytest.raises(EdgecError, match=message):
            build()
