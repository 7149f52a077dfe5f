"""Vector code of binary32 for 64-bit Arm cores against the interpreter, layer by layer, under QEMU.

A program has many layers, each of which is an output too: one compiler run and one emulated program for all of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import F32, Affine, Format, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames
from edgec.ops import Add, Clip, Conv, Dense, Dequantize, Op, Quantize, Relu, Requantize, Reshape, Transpose, integers
from edgec.target import load_target

sys.path.insert(0, str(Path(__file__).parents[1] / "hw"))
from hw_support import need

DOT, NEON = "cortex-a76", "cortex-a53"
TOLERANCE = 1e-5
"""Of a tensor's largest number."""


def clamped(y: Op, clamp: str) -> Op:
    for name in clamp.split():
        y = Relu(y) if name == "relu" else Clip(y, -0.7, 1.3) if name == "clip" else Clip(y, hi=0.5)
    return y


def conv(
    rng: np.random.Generator, x: Op, outputs: int, kernel: tuple[int, int], *, clamp: str = "", bias: bool = True,
    **options: Any,
) -> Op:  # fmt: skip
    """A convolution with drawn weights; results are about as large as operands."""
    shape = (outputs, x.shape[1] // options.get("groups", 1), *kernel)
    w = rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5
    b = const(x.format, rng.standard_normal(outputs)) if bias else None
    return clamped(Conv(x, const(x.format, w), b, **options), clamp)


def dense(rng: np.random.Generator, x: Op, outputs: int, clamp: str = "") -> Op:
    w = rng.standard_normal((outputs, x.shape[-1])) / x.shape[-1] ** 0.5
    return clamped(Dense(x, const(x.format, w), const(x.format, rng.standard_normal(outputs))), clamp)


def channels_last(op: Op) -> Op:
    """As it lies in memory, so that the layer itself is not an output with channels first."""
    return Transpose(op, (0, 2, 3, 1)) if len(op.shape) == 4 else op


def verify(graph: Graph, core: str, compiler: str = "gcc", **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t"})
    frames = random_frames(graph, 3, 7)
    result = run_plan(made, frames, core=core, compiler=compiler, **options)
    found = first_difference(reference(graph, frames), result.layers, result.outputs, tolerance=TOLERANCE)
    assert found is None, found
    return made


def source(made: BuildPlan) -> str:
    return made.files["src/t.c"].decode()


def steps(made: BuildPlan) -> tuple[int, int]:
    """Steps with convolutions or dense layers, and how many of them have vector code."""
    bodies = re.findall(r"^static void t_s\d+_(?:conv|dense)\(.*?^}", source(made), re.M | re.S)
    return len(bodies), sum("#if T_" in body for body in bodies)


def drawn_layers(seed: int, count: int, fmt: Format = F32) -> Graph:
    """Layers of all kinds on three inputs and, by chance, behind each other."""
    rng = np.random.default_rng(seed)
    images: list[Op] = [
        inp(fmt, 1, int(rng.integers(1, 25)), *map(int, rng.integers(7, 14, 2)), name=f"x{k}") for k in range(3)
    ]
    row: Op = inp(fmt, 1, int(rng.integers(1, 150)), name="row")
    outputs: list[Op] = []
    for _ in range(count):
        clamp = str(rng.choice(["", "relu", "clip", "relu high"]))
        form = rng.choice(["dense", "depthwise", "depthwise", "conv", "conv", "conv"])
        if form == "dense":
            outputs.append(dense(rng, row, int(rng.integers(1, 70)), clamp))
            continue
        x = images[int(rng.integers(len(images)))]
        options: dict[str, Any] = {n: tuple(map(int, rng.integers(1, 3, 2))) for n in ("strides", "dilations")}
        options["pads"] = tuple(map(int, rng.integers(0, 3, 4)))
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 5)))
        if form == "depthwise":
            options["dilations"] = (1, 1) if rng.random() < 0.7 else options["dilations"]
            y = conv(rng, x, x.shape[1], kernel, groups=x.shape[1], clamp=clamp, **options)
        else:
            y = conv(rng, x, int(rng.integers(1, 41)), kernel, bias=bool(rng.random() < 0.8), clamp=clamp, **options)
        outputs.append(channels_last(y))
        if min(y.shape[2:]) >= 7:  # as the largest window
            images.append(y)
    return graph_of(*outputs)


@pytest.mark.parametrize("seed", range(3))
def test_drawn_layers(seed: int) -> None:
    made = verify(drawn_layers(seed, 24), (NEON, DOT)[seed % 2])
    assert steps(made) == (24, 24)


def every_kernel(fmt: Format = F32) -> Graph:
    """Layers that each inner loop does."""
    rng = np.random.default_rng(11)
    image, wide = inp(fmt, 1, 3, 11, 13, name="image"), inp(fmt, 1, 32, 10, 9, name="wide")
    row, narrow = inp(fmt, 1, 70, name="row"), inp(fmt, 1, 6, 9, 8, name="narrow")
    same: dict[str, Any] = {"pads": (1, 1, 1, 1)}
    outputs = [
        conv(rng, image, 24, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu"),
        conv(rng, wide, 13, (1, 1)),
        conv(rng, wide, 19, (3, 2), dilations=(2, 2), clamp="clip"),
        conv(rng, wide, 16, (3, 3), **same),  # winograd, with patches that overlap
        conv(rng, wide, 32, (3, 3), pads=(0, 2, 1, 1), clamp="clip"),
        conv(rng, wide, 32, (3, 3), groups=32, clamp="relu", **same),  # windows in registers
        conv(rng, wide, 32, (3, 3), groups=32, strides=(2, 2), **same),
        conv(rng, wide, 32, (3, 3), groups=32, strides=(2, 1), clamp="high", **same),
        conv(rng, narrow, 6, (1, 5), groups=6, pads=(0, 2, 0, 2)),
        conv(rng, narrow, 6, (2, 2), groups=6, strides=(1, 2)),
        conv(rng, narrow, 6, (5, 5), groups=6, pads=(2, 2, 2, 2), clamp="relu"),  # taps one by one
        conv(rng, image, 3, (3, 3), groups=3, dilations=(2, 1)),
        conv(rng, wide, 24, (3, 3), groups=4, clamp="relu", **same),  # groups of several
        conv(rng, narrow, 4, (2, 3), groups=2, strides=(1, 2)),
        dense(rng, row, 37, "relu"),
        dense(rng, row, 6),
    ]
    first = conv(rng, image, 5, (2, 2))  # an output with channels first is copied behind the layer
    return graph_of(first, *map(channels_last, outputs))


@pytest.mark.parametrize("core", [DOT, NEON])
def test_every_kernel(core: str) -> None:
    made = verify(every_kernel(), core)
    assert steps(made) == (17, 17)
    found = set(re.findall(r"\bt_(float(?:_depthwise|_taps|_winograd)?)_[a-z0-9_]+\(", source(made)))
    assert found == {"float", "float_depthwise", "float_taps", "float_winograd"}
    for window in ("1_3x3_d1_r3", "2_3x3_d2_r2", "1_3x3_d2_r2", "1_1x5_d1_r3", "2_2x2_d1_r3"):
        assert f"t_float_depthwise_{window}" in source(made)


def test_clang_and_the_portable_code() -> None:
    verify(every_kernel(), NEON, "zig")
    verify(every_kernel(), NEON, flags=("-DT_PORTABLE",))


def mixed() -> Graph:
    """Floats, then bytes, then floats, with a residual sum of floats that is not part of a convolution's step."""
    rng = np.random.default_rng(3)
    same: dict[str, Any] = {"pads": (1, 1, 1, 1)}
    x = conv(rng, inp(F32, 1, 3, 12, 10), 16, (3, 3), clamp="relu", **same)
    y = conv(rng, x, 16, (3, 3), clamp="relu", **same)
    x = Relu(Add(x, conv(rng, y, 16, (3, 3), **same)))
    byte = Affine(Integer(8), (0.05,), (-3,))
    q = Quantize(x, Quantizer(byte, "half_even", "saturate"))
    w = const(Affine(Integer(8), (0.1,), (0,)), rng.integers(-127, 128, (16, 16, 1, 1)))
    sums = Conv(q, w, integers(rng.integers(-2000, 2000, 16), bits=32))
    out = Quantizer(byte, "half_up", "saturate")
    q = Requantize(sums, integers([1 << 21]), integers([29]), None, out, 1)
    x = conv(rng, Dequantize(q), 16, (3, 3), groups=16, clamp="relu", **same)
    return graph_of(dense(rng, Reshape(x, (1, x.tensor.size)), 11))


@pytest.mark.parametrize(("core", "guards"), [(DOT, {"T_NEON", "T_DOT"}), (NEON, {"T_NEON"})])
def test_each_layer_has_its_own_family(core: str, guards: set[str]) -> None:
    made = verify(mixed(), core)
    assert set(re.findall(r"#if (T_[A-Z]+)$", source(made), re.M)) == guards
    assert steps(made) == (6, 6)
    portable = int(re.findall(r"CONSTANT_BYTES (\d+)", made.files["include/t.h"].decode())[0])
    assert portable == made.interface["memory"]["constant_bytes"]


def test_what_is_not_a_number_stays() -> None:
    """NaN comes out of a clamp as NaN, and an infinity as what it is clamped to."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    rng = np.random.default_rng(2)
    x = inp(F32, 1, 8, 2, 3)
    graph = graph_of(channels_last(conv(rng, x, 8, (1, 1), clamp="clip")))
    frames = {"x": np.ones((2, 1, 8, 2, 3), np.float32)}
    frames["x"][0, 0, 3, 1, 1], frames["x"][1, 0, 2, 0, 2] = np.nan, np.inf
    result = run_plan(plan(graph, load_target(NEON), {"name": "t"}), frames, core=NEON)
    expected = reference(graph, frames).outputs["y0"]
    assert (
        np.isnan(expected[0, 0, 1, 1]).all() and np.isin(expected[1, 0, 0, 2], np.array([-0.7, 1.3], np.float32)).all()
    )
    np.testing.assert_allclose(result.outputs["y0"], expected, rtol=1e-5, atol=1e-6)
