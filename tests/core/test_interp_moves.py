"""Ops that move values, against numpy on real values; per-channel formats follow their channels."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import affines, codes, fixeds, inp
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Format, Integer
from edgec.formats_compressed import Binary, Codebook
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Concat, Expand, Gather, Get, Op, Pad, Reshape, Resize, Slice, Split, Transpose

PER_CHANNEL = Affine(Integer(8), (0.1, 0.2, 0.4), (1, 2, 3), 1)
moved_formats: st.SearchStrategy[Format] = st.one_of(fixeds(2, 8), affines(channels=3, axis=1), st.just(Binary()))
seeds = st.integers(0, 2**32 - 1)


def values(op: Op, frames: np.ndarray) -> np.ndarray:
    """Real values of the result for one frame."""
    x = op.operands[0]
    found = run(Graph("g", (x,), (("y", op),)), {"x": frames})["y"]  # type: ignore[arg-type]
    op.format.check(found)
    return op.format.decode(found[0])


@given(moved_formats, st.permutations(range(3)), seeds)
def test_transpose(fmt: Format, perm: list[int], seed: int) -> None:
    x = inp(fmt, 2, 3, 4)
    frames = codes(np.random.default_rng(seed), fmt, 1, 2, 3, 4)
    assert np.array_equal(values(Transpose(x, tuple(perm)), frames), fmt.decode(frames[0]).transpose(perm))


@given(moved_formats, st.sampled_from([(2, 3, 2, 2), (1, 2, 3, 4), (2, 3, 4, 1)]), seeds)
def test_reshape(fmt: Format, to: tuple[int, ...], seed: int) -> None:
    x = inp(fmt, 2, 3, 4)
    frames = codes(np.random.default_rng(seed), fmt, 1, 2, 3, 4)
    assert np.array_equal(values(Reshape(x, to), frames), fmt.decode(frames[0]).reshape(to))


@given(moved_formats, st.data(), seeds)
def test_slice(fmt: Format, data: st.DataObject, seed: int) -> None:
    x = inp(fmt, 2, 3, 4)
    steps = (data.draw(st.sampled_from([1, -1])), 1, data.draw(st.sampled_from([1, 2, -1, -2])))
    starts = tuple(n - 1 if s < 0 else 0 for n, s in zip((2, 3, 4), steps, strict=True))
    stops = tuple(-1 if s < 0 else n for n, s in zip((2, 3, 4), steps, strict=True))
    frames = codes(np.random.default_rng(seed), fmt, 1, 2, 3, 4)
    wanted = fmt.decode(frames[0])[:: steps[0], :, :: steps[2]]
    assert np.array_equal(values(Slice(x, starts, stops, steps), frames), wanted)


@given(
    moved_formats, st.lists(st.integers(-1, 3), min_size=3, max_size=3), st.sampled_from(["edge", "constant"]), seeds
)
def test_pad_and_crop(fmt: Format, amounts: list[int], mode: str, seed: int) -> None:
    x = inp(fmt, 2, 3, 4)
    pads = (max(amounts[0], 0), 0, amounts[1], 0, 0, amounts[2])
    grows = any(p > 0 for p in pads)
    uniform = len(set(fmt.zero_point_array.tolist())) == 1
    if mode == "constant" and grows and not (fmt.has_zero and (fmt.axis is None or uniform)):
        with pytest.raises(EdgecError, match=r"zero|padding value"):
            Pad(x, pads, mode)
        return
    frames = codes(np.random.default_rng(seed), fmt, 1, 2, 3, 4)
    real = fmt.decode(frames[0])[..., max(-pads[2], 0) : 4 - max(-pads[5], 0)]
    grow = [(max(pads[i], 0), max(pads[i + 3], 0)) for i in range(3)]
    assert np.array_equal(values(Pad(x, pads, mode), frames), np.pad(real, grow, mode))  # type: ignore[call-overload]


def test_pad_with_a_value_and_by_reflection() -> None:
    x = inp(Fixed(4, 3), 3)
    frame = np.array([[1, 2, 3]], np.int8)
    assert values(Pad(x, (1, 2), value=-1.5), frame).tolist() == [-1.5, 0.5, 1.0, 1.5, -1.5, -1.5]
    assert values(Pad(x, (2, 1), "reflect"), frame).tolist() == [1.5, 1.0, 0.5, 1.0, 1.5, 1.0]
    book = inp(Codebook(1, Integer(4), (5, 0)), 1)
    assert values(Pad(book, (1, 0)), np.array([[0]], np.uint8)).tolist() == [0, 5]


@given(affines(channels=3, axis=1), seeds)
def test_zero_written_into_quantised_channels(fmt: Affine, seed: int) -> None:
    """A hole in a cell map is the value zero in every channel, whatever the zero points are."""
    x = inp(fmt, 2, 3, 2)
    uniform = len(set(fmt.zero_point_array.tolist())) == 1
    if not fmt.has_zero or (fmt.axis is not None and not uniform):
        with pytest.raises(EdgecError, match="zero"):
            Gather(x, (0, -1), 2)
        return
    frames = codes(np.random.default_rng(seed), fmt, 1, 2, 3, 2)
    found = values(Gather(x, (1, -1), 2), frames)
    assert np.array_equal(found[..., 0], fmt.decode(frames[0])[..., 1]) and not found[..., 1].any()


@given(fixeds(1, 8), st.integers(0, 2), seeds)
def test_concat_undoes_split(fmt: Fixed, axis: int, seed: int) -> None:
    shape = [2, 2, 2]
    shape[axis] = 5
    x = inp(fmt, *shape)
    parts = Split(x, (1, 0, 4), axis - 3)
    joined = Concat(tuple(Get(parts, i) for i in range(3)), axis)
    frames = codes(np.random.default_rng(seed), fmt, 3, *shape)
    assert np.array_equal(run(Graph("g", (x,), (("y", joined),)), {"x": frames})["y"], frames)


def test_expand() -> None:
    x = inp(PER_CHANNEL, 2, 3, 1)
    frame = codes(np.random.default_rng(0), PER_CHANNEL, 1, 2, 3, 1)
    wanted = np.broadcast_to(PER_CHANNEL.decode(frame[0]), (4, 2, 3, 5))
    assert np.array_equal(values(Expand(x, (4, 2, 3, 5)), frame), wanted)


def test_resize_nearest_by_hand() -> None:
    x = inp(Integer(8), 1, 1, 4)
    frame = np.array([[[[10, 20, 30, 40]]]], np.int8)
    for coordinates, rule, wanted in (
        ("asymmetric", "floor", [10, 10, 20, 20, 30, 30, 40, 40]),
        ("half_pixel", "round_prefer_floor", [10, 10, 20, 20, 30, 30, 40, 40]),
        ("asymmetric", "ceil", [10, 20, 20, 30, 30, 40, 40, 40]),
        ("align_corners", "round_prefer_ceil", [10, 10, 20, 20, 30, 30, 40, 40]),
    ):
        op = Resize(x, (8,), (2.0,), "nearest", coordinates, rule)
        assert values(op, frame).ravel().tolist() == wanted, (coordinates, rule)


def test_resize_linear_by_hand() -> None:
    x = inp(F32, 1, 1, 2)
    frame = np.array([[[[0.0, 4.0]]]], np.float32)
    for coordinates, wanted in (
        ("half_pixel", [0, 1, 3, 4]),
        ("asymmetric", [0, 2, 4, 4]),
        ("align_corners", [0, 4 / 3, 8 / 3, 4]),
    ):
        op = Resize(x, (4,), (2.0,), "linear", coordinates)
        np.testing.assert_allclose(values(op, frame).ravel(), wanted, rtol=1e-6)


def test_refusals() -> None:
    x = inp(PER_CHANNEL, 2, 3, 4)
    y = inp(F32, 2, 3)
    for build, message in (
        (lambda: Reshape(x, (6, 4)), "do not survive"),
        (lambda: Reshape(y, (7,)), r"\[2, 3\] reshaped to \[7\]"),
        (lambda: Transpose(y, (0, 0)), "perm"),
        (lambda: Concat((x, x), 0), "one scale"),
        (lambda: Concat((), 0), "nothing"),
        (lambda: Concat((y, inp(F32, 2, 4, name="z")), 0), "differ off axis 0"),
        (lambda: Concat((y, inp(Integer(8), 2, 3, name="z")), 0), "different formats"),
        (lambda: Slice(x, (0, 2, 0), (2, -1, 4), (1, -1, 1)), "quantised channels"),
        (lambda: Slice(x, (0, 0, 0), (2, 2, 4), (1, 1, 1)), "quantised channels"),
        (lambda: Slice(y, (0, 0), (2, 3), (1, 0)), "step of 0"),
        (lambda: Pad(y, (1, 2)), "2 pads for 2 axes"),
        (lambda: Pad(y, (1,) * 4, "wrap"), "unknown mode"),
        (lambda: Pad(y, (0, -4, 0, 0)), "more is cropped"),
        (lambda: Pad(y, (2, 0, 0, 0), "reflect"), "reflection longer"),
        (lambda: Pad(inp(Binary(), 3), (1, 0)), "cannot write"),
        (lambda: Gather(y, (2,), 0), "index outside"),
        (lambda: Gather(x, (0,), 1), "quantised channels"),
        (lambda: Gather(inp(Binary(), 3), (-1,), 0), "cannot write the zero"),
        (lambda: Split(y, (1, 1), 1), r"parts \[1, 1\] of 3"),
        (lambda: Split(x, (1, 1), 0), "one scale"),
        (lambda: Get(y, 0), "several results"),
        (lambda: Get(Split(y, (1, 2), 1), 2), "result 2 of 2"),
        (lambda: Expand(y, (3, 3)), "do not broadcast"),
        (lambda: Resize(y, (), ()), "rank|spatial|dimensions"),
        (lambda: Resize(inp(Integer(8), 1, 1, 4), (8,), (2.0,), "linear"), "needs floats"),
    ):
        with pytest.raises(EdgecError, match=message):
            build()
    with pytest.raises(EdgecError, match="several results"):
        _ = Split(y, (1, 2), 1).shape
