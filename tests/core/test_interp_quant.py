"""Format changes, requantisation, thresholds and tables against scalar references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from core_support import (
    affines,
    codes,
    fixeds,
    formats,
    inp,
    integers,
    overflow_exact,
    overflows,
    quantize_exact,
    quantizers,
    round_exact,
    roundings,
)
from hypothesis import example, given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, F64, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Pow2, Sparse, Ternary
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    Cast,
    Constant,
    Dequantize,
    Lut,
    MultiThreshold,
    Op,
    Quantize,
    Requantize,
    RequantizeFloat,
    constant,
)
from edgec.ops import integers as integer_constant

seeds = st.integers(0, 2**32 - 1)


def output(op: Op, frames: np.ndarray) -> np.ndarray:
    x = op.operands[0]
    found = run(Graph("g", (x,), (("y", op),)), {x.name: frames})["y"]  # type: ignore[arg-type, attr-defined]
    assert found.dtype == op.format.dtype
    op.format.check(found)
    return found


@given(fixeds(), quantizers(1, 24), seeds)
def test_cast(source: Fixed, quantizer: Quantizer, seed: int) -> None:
    x = inp(source, 8)
    frames = codes(np.random.default_rng(seed), source, 1, 8)
    found = output(Cast(x, quantizer), frames)
    wanted = [quantize_exact(Fraction(float(v)), quantizer) for v in source.decode(frames[0])]
    assert found[0].tolist() == wanted


@pytest.mark.parametrize("overflow", ["saturate", "wrap", "saturate_symmetric"])
def test_cast_to_a_unit_far_away(overflow: str) -> None:
    """Shifts by more than a machine word, in both directions."""
    x = inp(Fixed(8, 8), 3)
    frames = np.array([[-128, 1, 127]], np.int8)
    for target in (Fixed(8, -60), Fixed(60, -10), Fixed(8, 90), Fixed(64, 0)):
        quantizer = Quantizer(target, "half_even", overflow)  # type: ignore[arg-type]
        found = output(Cast(x, quantizer), frames)
        assert found[0].tolist() == [quantize_exact(Fraction(v), quantizer) for v in (-128, 1, 127)]


def ordinary(value: float) -> bool:
    """No number so small that its quotient by a scale vanishes in binary32."""
    return value == 0 or abs(value) > 1e-30


four = st.lists(st.floats(-1e4, 1e4, width=32).filter(ordinary), min_size=4, max_size=4)


@given(four, fixeds(1, 20), roundings, overflows)
def test_quantize_to_fixed_is_exact(values: list[float], fmt: Fixed, rounding: str, overflow: str) -> None:
    quantizer = Quantizer(fmt, rounding, overflow)  # type: ignore[arg-type]
    found = output(Quantize(inp(F32, 4), quantizer), np.array([values], np.float32))
    assert found[0].tolist() == [quantize_exact(Fraction(float(np.float32(v))), quantizer) for v in values]


@given(st.data(), roundings, seeds)
def test_quantize_per_channel_in_binary32(data: st.DataObject, rounding: str, seed: int) -> None:
    """round(x / scale) + zero_point with the quotient rounded to binary32, as onnxruntime computes it."""
    fmt = data.draw(affines(channels=3, axis=1).filter(lambda f: isinstance(f.base, Integer)))
    x = inp(F32, 2, 3)
    step = np.broadcast_to(fmt.scale_array, 3)
    zero = np.broadcast_to(fmt.zero_point_array, 3)
    frames = (np.random.default_rng(seed).uniform(-40, 40, (2, 2, 3)) * step).astype(np.float32)
    found = output(Quantize(x, Quantizer(fmt, rounding)), frames)  # type: ignore[arg-type]
    for f, i, c in np.ndindex(2, 2, 3):
        quotient = float(frames[f, i, c] / np.float32(step[c]))
        level = round_exact(Fraction(quotient), rounding) + int(zero[c])
        assert found[f, i, c] == overflow_exact(level, *fmt.level_range, "saturate")


@given(formats, seeds)
def test_dequantize_then_quantize_keeps_every_code(fmt: Format, seed: int) -> None:
    frames = fmt.encode(fmt.decode(codes(np.random.default_rng(seed), fmt, 2, 8)))
    x = inp(fmt, 8)
    wide = Dequantize(x, F64)
    values = output(wide, frames)
    assert np.array_equal(values, fmt.decode(frames))
    graph = Graph("g", (x,), (("y", Quantize(wide, Quantizer(fmt))),))
    if not isinstance(fmt, Sparse):  # pruning depends on the neighbours
        assert np.array_equal(fmt.decode(run(graph, {"x": frames})["y"]), values)


def test_sign() -> None:
    """BipolarQuant: zero counts as +1, however small the number is, with scales per tensor and per channel."""
    values = np.array([[-1e-9, 0.0, -0.0, 0.3, -0.7, 5.0]], np.float32)
    wanted = [0, 1, 1, 1, 0, 1]
    per_channel = Affine(Binary(), (0.5, 1.0, 2.0, 0.1, 0.2, 9.0), (0,), 0)
    for fmt in (Binary(), Affine(Binary(), (0.25,)), per_channel):
        assert output(Quantize(inp(F32, 6), Quantizer(fmt)), values)[0].tolist() == wanted


def test_shift_weights_have_no_zero() -> None:
    fmt = Affine(Pow2(3), (0.5,))
    values = np.array([[0.1, -0.1, 0.74, 0.76, -1.4, 9.0]], np.float32)
    found = output(Quantize(inp(F32, 6), Quantizer(fmt)), values)
    assert fmt.decode(found)[0].tolist() == [0.5, -0.5, 0.5, 1.0, -1.0, 4.0]


def test_integers_to_formats_with_gaps() -> None:
    """First rounded to the unit, then the nearest value: a sign needs `floor` to stay what it is."""
    x = inp(Fixed(6, 4), 6)  # a quarter is one level
    frames = np.array([[-1, 0, 1, -4, 6, 31]], np.int8)
    for fmt, rounding, wanted in (
        (Binary(), "floor", [-1, 1, 1, -1, 1, 1]),
        (Binary(), "half_even", [1, 1, 1, -1, 1, 1]),
        (Pow2(3), "half_even", [1, 1, 1, -1, 2, 8]),
        (Pow2(3, True), "floor", [-1, 0, 0, -1, 1, 4]),
    ):
        found = output(Cast(x, Quantizer(fmt, rounding)), frames)  # type: ignore[arg-type]
        assert fmt.decode(found)[0].tolist() == wanted, (fmt, rounding)


parameters = st.lists(st.integers(-(1 << 30), 1 << 30), min_size=3, max_size=3)


@given(
    st.data(),
    parameters,
    st.lists(st.integers(-4, 50), min_size=3, max_size=3),
    st.one_of(st.none(), parameters),
    st.integers(2, 12),
    roundings,
    overflows,
    seeds,
)
@example(None, [2**30] * 3, [70, 0, -40], None, 8, "half_even", "saturate", 0)
def test_requantize(
    data: st.DataObject | None,
    multiplier: list[int],
    shift: list[int],
    offset: list[int] | None,
    bits: int,
    rounding: str,
    overflow: str,
    seed: int,
) -> None:
    single = data.draw(st.booleans()) if data else False
    source = data.draw(st.one_of(affines(), integers(2, 32))) if data else Integer(32)
    if single:
        multiplier, shift, offset = multiplier[:1], shift[:1], offset and offset[:1]
    fmt = Affine(Integer(bits), (0.1,), (data.draw(st.integers(-2, 1)) if data else 1,))
    x = inp(source, 2, 3)
    b = integer_constant(offset) if offset is not None else None
    quantizer = Quantizer(fmt, rounding, overflow)  # type: ignore[arg-type]
    op = Requantize(x, integer_constant(multiplier), integer_constant(shift), b, quantizer, -1)
    frames = codes(np.random.default_rng(seed), source, 2, 2, 3)
    found = output(op, frames)
    levels = source.levels(frames) - source.zero_point_array
    for f, i, c in np.ndindex(2, 2, 3):
        k = 0 if single else c
        exact = Fraction(int(levels[f, i, c]) * multiplier[k] + (offset[k] if offset else 0)) / Fraction(2) ** shift[k]
        level = round_exact(exact, rounding) + fmt.zero_point[0]
        assert found[f, i, c] == overflow_exact(level, *fmt.level_range, overflow)


@given(st.lists(st.floats(2.0**-12, 1, width=32), min_size=1, max_size=3).filter(lambda s: len(s) != 2), seeds)
def test_requantize_in_binary32(scale: list[float], seed: int) -> None:
    source, fmt = Affine(Integer(20), (0.5,), (7,)), Affine(Integer(8, False), (0.1,), (3,))
    x = inp(source, 3, 2)
    frames = codes(np.random.default_rng(seed), source, 2, 3, 2)
    found = output(RequantizeFloat(x, constant(scale), Quantizer(fmt), 0), frames)
    for f, c, i in np.ndindex(2, 3, 2):
        factor = np.float32(scale[c % len(scale)])
        product = np.float32(int(frames[f, c, i]) - 7) * factor
        level = round_exact(Fraction(float(product)), "half_even") + 3
        assert found[f, c, i] == min(max(level, 0), 255)


@given(st.sampled_from([Integer(2), Integer(2, False), Ternary(), Binary(), Fixed(3, 1)]), st.booleans(), seeds)
def test_thresholds(to: Format, per_channel: bool, seed: int) -> None:
    g = np.random.default_rng(seed)
    source, channels = Affine(Integer(9), (0.5,), (4,)), 3
    rows = channels if per_channel else 1
    lo, hi = to.code_range
    table = np.sort(g.integers(-200, 200, (rows, hi - lo)), axis=1)
    sign = g.choice([-1, 1], rows)
    x = inp(source, 2, channels)
    op = MultiThreshold(x, integer_constant(table), integer_constant(sign), to)
    frames = codes(g, source, 3, 2, channels)
    found = output(op, frames)
    for f, i, c in np.ndindex(3, 2, channels):
        row = c if per_channel else 0
        signed = int(sign[row]) * (int(frames[f, i, c]) - 4)
        assert found[f, i, c] == lo + sum(signed >= int(t) for t in table[row])


def test_thresholds_are_a_batch_norm_and_a_quantiser() -> None:
    """FINN's identity: round(clip(a * x + b)) to an unsigned format, as counts of thresholds."""
    a, b = Fraction(3, 7), Fraction(-2)
    levels = range(-20, 21)
    thresholds = [next(x for x in levels if a * x + b >= Fraction(2 * k - 1, 2)) for k in (1, 2, 3)]
    x = inp(Integer(6), len(levels))
    op = MultiThreshold(x, integer_constant([thresholds]), integer_constant([1]), Integer(2, False), 0)
    found = output(op, np.array([list(levels)], np.int8))
    assert found[0].tolist() == [min(max(round_exact(a * v + b, "half_up"), 0), 3) for v in levels]


@given(st.one_of(integers(1, 6), fixeds(1, 6), affines().filter(lambda f: f.bits <= 8), st.just(Ternary())), seeds)
def test_lut(source: Format, seed: int) -> None:
    g = np.random.default_rng(seed)
    lo, hi = source.code_range
    fmt = Fixed(7, 2)
    table = Constant(codes(g, fmt, hi - lo + 1), type=TensorType(fmt, (hi - lo + 1,)))
    frames = codes(g, source, 2, 5)
    found = output(Lut(inp(source, 5), table), frames)
    assert found.tolist() == [[int(table.data[int(c) - lo]) for c in frame] for frame in frames]


def test_float_casts() -> None:
    x = inp(F32, 2)
    assert output(Cast(x, Quantizer(F16)), np.array([[0.1, 70000.0]], np.float32)).tolist() == [
        [float(np.float16(0.1)), float("inf")]
    ]


def test_refusals() -> None:
    x, y = inp(F32, 2, 3), inp(Integer(8), 2, 3)
    one, three = integer_constant([1]), integer_constant([1, 2])
    to = Quantizer(Integer(8))
    for build, message in (
        (lambda: Quantize(y, to), "quantize takes floats"),
        (lambda: Quantize(x, Quantizer(F16)), "codes, not floats"),
        (lambda: Dequantize(x), "float already"),
        (lambda: Dequantize(y, Integer(8)), "no float format"),
        (lambda: Cast(x, to), "quantize to leave"),
        (lambda: Cast(y, Quantizer(F32)), "dequantize to reach"),
        (lambda: Cast(y, Quantizer(Affine(Integer(8), (0.1,)))), "use requantize"),
        (lambda: Cast(inp(Affine(Integer(8), (0.1,)), 2), to), "use requantize"),
        (lambda: Cast(y, Quantizer(Affine(Integer(8), (0.5,), (3,)))), "zero point 0"),
        (lambda: Requantize(x, one, one, None, to), "takes integers"),
        (lambda: Requantize(y, three, one, None, to), "for 3 channels"),
        (lambda: Requantize(y, constant([1.0]), one, None, to), "parameters are integers"),
        (lambda: Requantize(y, one, one, None, Quantizer(Binary())), "requantize to binary"),
        (lambda: RequantizeFloat(y, one, to), "scale is f32"),
        (lambda: MultiThreshold(y, integer_constant([[1, 2]]), one, Integer(2)), "2 thresholds for the 4 codes"),
        (lambda: MultiThreshold(y, integer_constant([1, 2, 3]), one, Integer(2)), "for 3 channels"),
        (lambda: Lut(y, integer_constant(np.zeros(255))), r"table \[255\] for 256 codes"),
        (lambda: Lut(inp(Integer(17), 1), integer_constant([0])), "too large"),
    ):
        with pytest.raises(EdgecError, match=message):
            build()
