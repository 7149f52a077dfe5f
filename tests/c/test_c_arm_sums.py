"""Elementwise sums in vector code: residual connections of bytes and of floats."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import test_c_arm as bytewise
import test_c_arm_float as floats
from c_support import check, graph_of, inp

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, Rounding
from edgec.graph import Graph
from edgec.ops import Add, Cast, Clip, Mul, Op, Relu, Requantize, Slice, Sub, Transpose, integers
from edgec.target import load_target

SHAPES = ((1, 16, 6, 5), (1, 23, 3, 4), (1, 8, 5, 9), (3, 41), (2, 16))


def byte(rng: np.random.Generator, bits: int = 8) -> Affine:
    return Affine(Integer(bits), (0.1,), (int(rng.integers(-(1 << (bits - 1)), 1 << (bits - 1))),))


def scaled(x: Op, multiplier: int) -> Op:
    """An exact product."""
    return Requantize(x, integers([multiplier]), integers([0]), None, Quantizer(Integer(32), "floor", "saturate"))


def ended(rng: np.random.Generator, x: Op, shift: int, fmt: Format) -> Op:
    rounding: Rounding = "half_up" if rng.random() < 0.5 else "floor"
    offset = integers([int(rng.integers(-(1 << shift), 1 << shift))], bits=32) if rng.random() < 0.3 else None
    y: Op = Requantize(x, integers([1]), integers([shift]), offset, Quantizer(fmt, rounding, "saturate"))
    clamp = rng.random()
    if clamp < 0.3:
        return Relu(y)
    return Clip(y, -3.0, 4.0) if clamp < 0.5 else y


def drawn_sums(seed: int) -> Graph:
    """Two and three operands, their own zero points, multipliers and shifts; sums of sums; parts of tensors, also such
    that lie side by side in rows only; results of few bits."""
    rng = np.random.default_rng(seed)
    outputs: list[Op] = []
    for k, shape in enumerate(SHAPES):
        a, b, c = (image(inp(byte(rng), *stored(shape), name=f"x{k}{n}")) for n in "abc")
        shift = int(rng.choice([3, 12, 17, 20, 23]))
        most = min(1 << (shift + 1), 1 << 21)
        m = [int(v) * int(rng.choice([-1, 1])) for v in rng.integers(1, most, 3)]
        one = Add(scaled(a, m[0]), scaled(b, m[1]))
        first = ended(rng, one, shift, byte(rng))
        kind = Sub if rng.random() < 0.5 else Add
        second = ended(rng, kind(scaled(first, m[1]), scaled(a, m[2])), shift, byte(rng, int(rng.choice([5, 8]))))
        third = ended(rng, Add(Add(scaled(a, m[0]), scaled(b, m[1])), scaled(c, m[2])), shift, byte(rng))
        outputs += [last(first), last(second), last(third)]
    wide, narrow = inp(byte(rng), 4, 48, name="wide"), inp(byte(rng), 4, 33, name="narrow")
    parts = [Slice(wide, (0, 0), (4, 33), (1, 1)), Slice(wide, (0, 7), (4, 40), (1, 1)), narrow]
    outputs.append(ended(rng, Add(scaled(parts[0], 70001), scaled(parts[1], -81003)), 16, byte(rng)))
    outputs.append(ended(rng, Sub(scaled(parts[2], 70001), scaled(parts[1], 81003)), 18, byte(rng)))
    return graph_of(*outputs)


def fixed_sums() -> Graph:
    """Fixed point numbers with other fractions, rounded by the sum or by a cast behind it."""
    x, y = inp(Fixed(8, 4), 2, 50, name="x"), inp(Fixed(8, 6), 2, 50, name="y")
    z = inp(Fixed(8, 4), 2, 50, name="z")
    out = Quantizer(Fixed(8, 3), "half_up", "saturate_symmetric"), Quantizer(Fixed(8, 5), "floor", "saturate")
    return graph_of(Add(x, y, out[0]), Sub(x, y, out[1]), Cast(Add(x, y), out[0]), Relu(Add(x, z, out[1])))


def stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Images lie channels last outside, too."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def image(x: Op) -> Op:
    return Transpose(x, (0, 3, 1, 2)) if len(x.shape) == 4 else x


def last(x: Op) -> Op:
    return Transpose(x, (0, 2, 3, 1)) if len(x.shape) == 4 else x


def sums(made: BuildPlan) -> tuple[int, int]:
    """Steps, and how many of them have vector code for sums."""
    bodies = re.findall(r"^static void t_s\d+_\w+\(.*?^}", made.files["src/t.c"].decode(), re.M | re.S)
    return len(bodies), sum(bool(re.search(r"\bt_(sums|add|sub|mul)_\w+\(", body)) for body in bodies)


def residual(kind: Any, fmt: Format, rescaled: bool) -> Graph:
    """A convolution whose result, without the padding of another reader, is added to what has padding; the sum has
    padding again, or takes over the memory of an operand."""
    rng = np.random.default_rng(6)
    x = inp(fmt, 1, 8, 9, 10)
    first = kind.conv(rng, x, 24, (3, 3), pads=(1, 1, 1, 1), clamp="relu")
    second = kind.conv(rng, first, 24, (3, 3), pads=(1, 1, 1, 1))

    def added(a: Op, b: Op) -> Op:
        if not rescaled:
            return Relu(Add(a, b))
        total = Add(scaled(a, 700_000), scaled(b, -400_000))
        return Relu(Requantize(total, integers([1]), integers([20]), None, Quantizer(fmt, "half_up", "saturate")))

    third = added(first, second)
    fourth, fifth = (kind.conv(rng, third, 24, (1, 1)) for _ in range(2))
    padded = kind.conv(rng, third, 24, (3, 3), pads=(1, 1, 1, 1))
    return graph_of(last(padded), last(kind.conv(rng, added(fourth, fifth), 9, (1, 1))))


def drawn_floats(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    outputs: list[Op] = []
    for k, shape in enumerate(SHAPES):
        a, b = (image(inp(F32, *stored(shape), name=f"x{k}{n}")) for n in "ab")
        for op in (Add(a, b), Sub(a, b), Mul(a, b)):
            clamp = rng.random()
            outputs.append(last(Relu(op) if clamp < 0.4 else Clip(op, -0.5, 1.25) if clamp < 0.7 else op))
    return graph_of(*outputs)


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("core", [bytewise.DOT, bytewise.NEON])
def test_drawn_sums_of_bytes(core: str, compiler: str) -> None:
    made = bytewise.verify(drawn_sums(11), core, compiler)
    assert sums(made) == (17, 17)


def test_sums_of_fixed_point_numbers() -> None:
    made = bytewise.verify(fixed_sums(), bytewise.NEON)
    assert sums(made) == (4, 4)


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_drawn_sums_of_floats(compiler: str) -> None:
    made = floats.verify(drawn_floats(3), floats.NEON, compiler)
    assert sums(made) == (15, 15)


@pytest.mark.parametrize("core", [bytewise.DOT, bytewise.NEON])
def test_sums_of_tensors_with_padding(core: str) -> None:
    made = bytewise.verify(residual(bytewise, bytewise.byte(-3), True), core)
    assert sums(made)[1] == 2


def test_sums_of_floats_with_padding() -> None:
    made = floats.verify(residual(floats, F32, False), floats.DOT)
    assert sums(made)[1] == 2


@pytest.mark.parametrize("seed", range(3))
def test_the_portable_body_of_sums(seed: int) -> None:
    check(drawn_sums(seed))
    check(drawn_floats(seed))


def test_what_vectors_cannot_do_exactly_stays_plain_c() -> None:
    """Sums beyond 32 bits, halves to even, operands that are broadcast, short runs."""
    rng = np.random.default_rng(2)
    fmt = byte(rng)
    x, y, row = (inp(fmt, *shape, name=n) for shape, n in (((4, 40), "x"), ((4, 40), "y"), ((1, 40), "row")))
    few = [inp(fmt, 2, 5, name=n) for n in ("few", "fewer")]
    even = Requantize(Add(x, y), integers([1]), integers([4]), None, Quantizer(fmt, "half_even", "saturate"))
    outputs = [ended(rng, Add(scaled(a, m), scaled(b, m)), 20, fmt) for a, b, m in
               ((x, y, 1 << 23), (x, row, 1 << 20), (*few, 1 << 20))]  # fmt: skip
    made = bytewise.verify(graph_of(even, *outputs), bytewise.DOT)
    assert sums(made)[1] == 0


def test_threads_share_large_sums() -> None:
    """In plain C: a piece is a share of a loop."""
    fmt = bytewise.byte(5)
    x, y = inp(fmt, 64, 400, name="x"), inp(fmt, 64, 400, name="y")
    graph = graph_of(ended(np.random.default_rng(1), Add(scaled(x, 9000), scaled(y, 8000)), 15, fmt))
    assert sums(plan(graph, load_target(bytewise.DOT), {"name": "t"}))[1] == 1
    threads = plan(graph, load_target(bytewise.DOT), {"name": "t", "threads": 2})
    assert sums(threads)[1] == 0 and "t_pieces(threads, 2," in threads.files["src/t.c"].decode()
