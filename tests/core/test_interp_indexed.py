"""Computed indices, ordering, running totals and integer functions, against Python's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from core_support import inp

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Integer, Quantizer
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Add, Binary, Cumulate, Get, Input, Mul, Op, Scatter, Sub, Take, TopK, constant, integers
from edgec.ops.elementwise import INTEGER_FUNCTIONS


def values(op: Op, **frames: np.ndarray) -> np.ndarray:
    inputs = tuple(o for o in dict.fromkeys(_inputs(op)))
    return run(Graph("g", inputs, (("y", op),)), frames)["y"]


def _inputs(op: Op) -> list[Input]:
    return [op] if isinstance(op, Input) else [i for o in op.operands for i in _inputs(o)]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_counts_from_the_end_and_stays_inside(axis: int) -> None:
    g = np.random.default_rng(0)
    x, index = inp(F32, 3, 4, 5, name="x"), inp(Integer(8), 2, 3, name="i")
    data = g.normal(0, 1, (6, 3, 4, 5)).astype(np.float32)
    where = g.integers(-128, 128, (6, 2, 3)).astype(np.int8)
    where[:3] //= 32  # mostly inside
    got = values(Take(x, index, axis), x=data, i=where)
    n = (3, 4, 5)[axis]
    for f in range(6):
        wanted = np.empty((2, 3), object)
        for p in np.ndindex(2, 3):
            k = int(where[f][p])
            k = k + n if k < 0 else k
            wanted[p] = np.take(data[f], max(0, min(k, n - 1)), axis=axis)
        stacked = np.stack([np.stack(list(row)) for row in wanted])  # [2, 3, rest]
        np.testing.assert_array_equal(got[f], np.moveaxis(stacked, (0, 1), (axis % 3, axis % 3 + 1)))


def test_take_of_a_table_in_any_format() -> None:
    table = constant(np.linspace(-2, 2, 12).reshape(4, 3), Affine(Integer(8), (0.1,), (3,)))
    got = values(Take(table, inp(Integer(2, False), 5, name="i"), 0), i=np.array([[3, 0, 1, 1, 2]], np.uint8))
    np.testing.assert_array_equal(got[0], table.data[[3, 0, 1, 1, 2]])


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("fmt", [F32, Integer(8), Fixed(8, 3)], ids=str)
def test_scatter_row_by_row(reduction: str, fmt) -> None:
    def build() -> Op:
        return Scatter(inp(fmt, 4, 2, name="x"), inp(Integer(8), 7, name="i"), inp(fmt, 7, 2, name="u"), reduction)

    if not fmt.is_float and (reduction == "mul" or (reduction == "add" and isinstance(fmt, Fixed))):
        with pytest.raises(EdgecError):
            build()
        return
    g = np.random.default_rng(1)
    draw = (lambda *s: g.normal(0, 1, s).astype(np.float32)) if fmt.is_float else (lambda *s: g.integers(-128, 128, s))
    x, updates, where = draw(3, 4, 2), draw(3, 7, 2), g.integers(-6, 7, (3, 7))
    got = values(build(), x=x, i=where, u=updates)
    for f in range(3):
        wanted = [[v.item() for v in row] for row in x[f]]
        for k, place in enumerate(where[f].tolist()):
            place = place + 4 if place < 0 else place
            if 0 <= place < 4:
                for c in range(2):
                    old, new = wanted[place][c], updates[f, k, c].item()
                    match reduction:
                        case "none":
                            new = new
                        case "add":
                            new = old + new if fmt.is_float else (old + new + 128) % 256 - 128
                        case "mul":
                            new = old * new
                        case _:
                            new = max(old, new) if reduction == "max" else min(old, new)
                    wanted[place][c] = new
        np.testing.assert_allclose(got[f], wanted, rtol=1e-6)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("fmt", [F32, Integer(8, False), Fixed(4, 2)], ids=str)
def test_top_k_takes_the_first_of_equals(largest: bool, fmt) -> None:
    g = np.random.default_rng(2)
    lo, hi = (-3, 4) if fmt.is_float else fmt.code_range
    x = g.integers(lo, hi + 1, (5, 3, 6)).astype(fmt.dtype)
    top = TopK(inp(fmt, 3, 6, name="x"), 4, 1, largest)
    found, places = values(Get(top, 0), x=x), values(Get(top, 1), x=x)
    assert top.type.elements[1].format == Integer(3, False)  # type: ignore[union-attr]
    for f in range(5):
        for r in range(3):
            row = x[f, r].tolist()
            order = sorted(range(6), key=lambda i: (-row[i] if largest else row[i], i))[:4]
            assert places[f, r].tolist() == order and found[f, r].tolist() == [row[i] for i in order]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("function", ["sum", "prod"])
@pytest.mark.parametrize("out", [None, Quantizer(Integer(8), "floor", "wrap")])
def test_running_totals_of_integers(exclusive: bool, reverse: bool, function: str, out) -> None:
    g = np.random.default_rng(3)
    x = g.integers(-8, 8, (4, 5, 3)).astype(np.int8)
    op = Cumulate(inp(Integer(4), 5, 3, name="x"), 0, function, exclusive, reverse, out)
    got = values(op, x=x)
    for f, c in np.ndindex(4, 3):
        column = x[f, :, c].tolist()
        column = column[::-1] if reverse else column
        combine = sum if function == "sum" else math.prod
        totals = [combine(column[: i if exclusive else i + 1]) for i in range(5)]
        totals = totals[::-1] if reverse else totals
        wanted = totals if out is None else [(t + 128) % 256 - 128 for t in totals]
        assert got[f, :, c].tolist() == wanted


def test_running_totals_of_floats() -> None:
    x = np.random.default_rng(4).normal(0, 1, (2, 7)).astype(np.float32)
    np.testing.assert_array_equal(values(Cumulate(inp(F32, 7, name="x"), 0), x=x), np.cumsum(x, axis=1))
    wanted = np.cumprod(np.concatenate([np.ones((2, 1), np.float32), x[:, :0:-1]], axis=1), axis=1)[:, ::-1]
    np.testing.assert_array_equal(values(Cumulate(inp(F32, 7, name="x"), -1, "prod", True, True), x=x), wanted)


def _python(name: str, a: int, b: int, bits: int) -> int:
    match name:
        case "bit_and":
            return a & b
        case "bit_or":
            return a | b
        case "bit_xor":
            return a ^ b
        case "shift_left":
            return a << b if 0 <= b < bits else 0
        case "shift_right":
            return a >> b if 0 <= b < bits else min(a, 0) // max(-a, 1)
    if b == 0:
        return 0
    if name == "floor_mod":
        return a - b * math.floor(a / b)
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if name == "div" else a - b * quotient


@pytest.mark.parametrize("fmt", [Integer(5), Integer(8), Integer(5, False), Integer(8, False)], ids=str)
@pytest.mark.parametrize("name", INTEGER_FUNCTIONS)
def test_integer_functions_on_all_pairs(name: str, fmt: Integer) -> None:
    x, y = inp(fmt, 1, name="x"), inp(fmt, 1, name="y")
    lo, hi = fmt.code_range
    pairs = [(a, b) for a in range(lo, hi + 1) for b in range(lo, hi + 1)]
    a, b = (np.array(v, np.int64).reshape(-1, 1) for v in zip(*pairs, strict=True))
    got = values(Binary(x, y, name), x=a, y=b).ravel()
    span = 1 << fmt.bits
    wanted = [(_python(name, p, q, fmt.bits) - lo) % span + lo for p, q in pairs]
    np.testing.assert_array_equal(got, wanted)


def test_floats_have_a_floor_mod_and_no_bits() -> None:
    x, y = inp(F32, 1, name="x"), inp(F32, 1, name="y")
    g = np.random.default_rng(5)
    a, b = g.normal(0, 5, (50, 1)).astype(np.float32), g.normal(0, 2, (50, 1)).astype(np.float32)
    np.testing.assert_array_equal(values(Binary(x, y, "floor_mod"), x=a, y=b), np.mod(a, b))
    np.testing.assert_array_equal(values(Binary(x, y, "mod"), x=a, y=b), np.fmod(a, b))
    for name in ("bit_and", "shift_left"):
        with pytest.raises(EdgecError):
            Binary(x, y, name)


@pytest.mark.parametrize(("cls", "python"), [(Add, int.__add__), (Sub, int.__sub__), (Mul, int.__mul__)])
def test_integers_wrap_at_64_bits(cls, python) -> None:
    x, y = inp(Integer(64), 1, name="x"), inp(Integer(64), 1, name="y")
    with pytest.raises(EdgecError, match="bits"):
        cls(x, y)
    with pytest.raises(EdgecError, match="bits"):
        cls(x, y, Quantizer(Integer(64)))  # saturating needs the exact result
    g = np.random.default_rng(6)
    a, b = (g.integers(-(1 << 63), 1 << 63, (40, 1), dtype=np.int64) for _ in range(2))
    for width in (64, 32, 7):
        got = values(cls(x, y, Quantizer(Integer(width), "floor", "wrap")), x=a, y=b).ravel().tolist()
        half = 1 << (width - 1)
        exact = [python(int(p), int(q)) for p, q in zip(a.ravel(), b.ravel(), strict=True)]
        assert got == [(v + half) % (2 * half) - half for v in exact]


def test_what_does_not_fit_is_refused() -> None:
    x, i = inp(F32, 4, 2), inp(Integer(4), 3, name="i")
    for bad in (
        lambda: Take(x, x),
        lambda: Take(x, inp(Fixed(4, 2), 3)),
        lambda: Take(x, i, 2),
        lambda: Scatter(x, i, inp(F32, 2, 2)),
        lambda: Scatter(x, i, inp(Integer(4), 3, 2)),
        lambda: Scatter(x, i, inp(F32, 3, 2), "or"),
        lambda: TopK(x, 3, 1),
        lambda: Cumulate(x, 0, "max"),
        lambda: Cumulate(inp(Fixed(8, 3), 4), 0),
        lambda: Cumulate(inp(Integer(32), 40), 0, "prod"),
        lambda: Binary(integers([1]), integers([300]), "div"),
    ):
        with pytest.raises(EdgecError) as caught:
            bad()
        assert caught.value.diagnostics[0].code == "E0102"
