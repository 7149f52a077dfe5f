"""Vector code for 64-bit Arm cores against the interpreter: all families of instructions, layer by layer, under QEMU.

A program has many layers, each of which is an output too: one compiler run and one emulated program for all of them.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.backends.c.neon import winograd
from edgec.backends.c.vector.order import Order
from edgec.comparison import first_difference, reference
from edgec.formats import Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames
from edgec.ops import Add, AvgPool, Clip, Constant, Conv, Dense, Op, Relu, Requantize, Reshape, Transpose, integers
from edgec.target import load_target

sys.path.insert(0, str(Path(__file__).parents[1] / "hw"))
from hw_support import need

DOT, NEON, I8MM = "cortex-a76", "cortex-a53", "cortex-a710"
KERNELS = {
    DOT: {"dot", "depthwise"},
    NEON: {"pair", "deep", "lane", "winograd", "depthwise"},
    I8MM: {"matrix", "dot", "depthwise"},
}
"""The inner loops of a family."""


def byte(zero: int) -> Affine:
    return Affine(Integer(8), (0.5,), (zero,))


def weights(rng: np.random.Generator, shape: Sequence[int], kind: str) -> np.ndarray:
    """`any` bytes, which include -128 beside -128; the `largest` that are symmetric; `usual` ones, `small` ones."""
    if kind == "any":
        drawn = rng.integers(-128, 128, shape)
        drawn.reshape(len(drawn), -1)[:, -2:] = -128
        drawn[:, 0] = -128
        return drawn
    if kind == "largest":
        return rng.choice([-127, 127], shape)
    deviation = {"usual": 35, "small": 12}[kind]
    return np.clip(np.round(rng.normal(0, deviation, shape)), -63 if kind == "small" else -127, 127)


def rescaled(rng: np.random.Generator, y: Conv | Dense, own: bool, clamp: str) -> Op:
    """Sums as bytes, most of them inside their range: with a shift for each channel or one that they share; clamped."""
    assert isinstance(y.w, Constant)
    activation = float(np.hypot(74 if y.x.format.bits > 1 else 1, y.x.format.zero_point_array[0]))
    spread = activation * float(np.sqrt((y.w.levels.astype(float) ** 2).mean() * y.terms))
    axis = 1 if isinstance(y, Conv) else len(y.shape) - 1
    channels = y.shape[axis]
    bits = 30 if own else 22
    multiplier = rng.integers(1 << (bits - 1), 1 << bits, channels) | 1
    if rng.random() < 0.3:
        multiplier[rng.integers(channels)] = 0
    shift = np.full(channels, round(float(np.log2(spread / 50)) + bits - 0.5))
    if own:
        shift += rng.integers(0, 3, channels)
    out = Quantizer(byte(int(rng.integers(-60, 61))), "half_up", "saturate")
    y = Requantize(y, integers(multiplier), integers(shift), None, out, axis)
    return Relu(y) if clamp == "relu" else Clip(y, -20.0, 31.5) if clamp == "clip" else y


def conv(
    rng: np.random.Generator, x: Op, outputs: int, kernel: Sequence[int], *, kind: str = "usual", own: bool = False,
    clamp: str = "", bias: bool = True, **options: Any,
) -> Op:  # fmt: skip
    """A convolution with drawn weights and rescaling."""
    groups = options.get("groups", 1)
    w = weights(rng, (outputs, x.shape[1] // groups, *kernel), kind)
    b = integers(rng.integers(-20000, 20000, outputs), bits=32) if bias else None
    y = Conv(x, const(Affine(Integer(8), (0.1,), (0,)), w), b, **options)
    return rescaled(rng, y, own, clamp)


def dense(rng: np.random.Generator, x: Op, outputs: int, **options: Any) -> Op:
    w = weights(rng, (outputs, x.shape[-1]), options.pop("kind", "usual"))
    b = integers(rng.integers(-20000, 20000, outputs), bits=32)
    y = Dense(x, const(Affine(Integer(8), (0.1,), (0,)), w), b)
    return rescaled(rng, y, options.get("own", False), options.get("clamp", ""))


def channels_last(op: Op) -> Op:
    """As it lies in memory, so that the layer itself is not an output with channels first."""
    return Transpose(op, (0, 2, 3, 1)) if len(op.shape) == 4 else op


def frames_of(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Random codes, codes of both ends at random, and nothing but either end."""
    frames = {name: codes.copy() for name, codes in random_frames(graph, 5, seed).items()}
    for name, codes in frames.items():
        lo, hi = next(x.format.code_range for x in graph.inputs if x.name == name)
        codes[1] = np.where(codes[1] > (lo + hi) // 2, hi, lo)
        codes[2], codes[3] = lo, hi
    return frames


def verify(graph: Graph, core: str, compiler: str = "gcc", policy: str = "auto", **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t", "low_bits": "none", "winograd": policy})
    frames = frames_of(graph, 7)
    result = run_plan(made, frames, core=core, compiler=compiler, **options)
    found = first_difference(reference(graph, frames), result.layers, result.outputs)
    assert found is None, found
    return made


def kernels(made: BuildPlan) -> set[str]:
    """The inner loops that steps call."""
    text = made.files["src/t.c"].decode()
    return set(re.findall(r"\bt_(matrix|dot|pair|deep|lane|winograd|depthwise)_[a-z0-9_]+\(", text))


def steps(made: BuildPlan) -> tuple[int, int]:
    """Steps with convolutions or dense layers, and how many of them have vector code."""
    bodies = re.findall(r"^static void t_s\d+_(?:conv|dense)\(.*?^}", made.files["src/t.c"].decode(), re.M | re.S)
    return len(bodies), sum("#if T_" in body for body in bodies)


def drawn_layers(seed: int, count: int) -> Graph:
    """Layers of all kinds on three inputs and, by chance, behind each other."""
    rng = np.random.default_rng(seed)
    sizes = [(int(rng.integers(1, 41)), 2 * int(rng.integers(3, 7)) + 1, 2 * int(rng.integers(3, 7)) + 1) for _ in "ab"]
    sizes.append((int(rng.choice([8, 16, 24, 48])), 7, 10))
    images: list[Op] = [inp(byte(int(rng.integers(-128, 128))), 1, *s, name=f"x{k}") for k, s in enumerate(sizes)]
    row: Op = inp(byte(-5), 1, int(rng.integers(1, 150)), name="row")
    outputs: list[Op] = []
    for _ in range(count):
        options: dict[str, Any] = {
            "kind": str(rng.choice(["any", "largest", "usual", "small"])),
            "own": bool(rng.random() < 0.4),
            "clamp": str(rng.choice(["", "", "relu", "clip"])),
        }
        form = rng.choice(["dense", "depthwise", "conv", "conv", "conv"])
        if form == "dense":
            outputs.append(dense(rng, row, int(rng.integers(1, 41)), **options))
            continue
        x = images[int(rng.integers(len(images)))]
        if form == "depthwise":
            suitable = [o for o in images if o.shape[1] in (8, 16, 24, 48)]
            x = suitable[int(rng.integers(len(suitable)))]
        options["pads"] = tuple(map(int, rng.integers(0, 3, 4)))
        if form == "depthwise":
            strides = (1, 1) if x.shape[1] == 8 else tuple(map(int, rng.integers(1, 3, 2)))
            y = conv(rng, x, x.shape[1], (3, 3), groups=x.shape[1], strides=strides, **options)
        else:
            kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 5)))
            options |= {n: tuple(map(int, rng.integers(1, 3, 2))) for n in ("strides", "dilations")}
            y = conv(rng, x, int(rng.integers(1, 41)), kernel, bias=bool(rng.random() < 0.8), **options)
        outputs.append(channels_last(y))
        if min(y.shape[2:]) >= 7:  # as the largest window
            images.append(y)
    return graph_of(*outputs)


@pytest.mark.parametrize("core", [DOT, NEON, I8MM])
@pytest.mark.parametrize("seed", range(3))
def test_drawn_layers(core: str, seed: int) -> None:
    made = verify(drawn_layers(seed, 16), core)
    found, fast = steps(made)
    assert found == fast == 16


def every_kernel() -> Graph:
    """Layers that each inner loop does, in the forms that MLPerf Tiny's networks do not have."""
    rng = np.random.default_rng(11)
    image, wide = inp(byte(-128), 1, 3, 11, 13, name="image"), inp(byte(3), 1, 32, 9, 7, name="wide")
    row = inp(byte(17), 1, 70, name="row")
    outputs = [
        conv(rng, image, 24, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu"),  # lane
        conv(rng, image, 7, (2, 4), own=True, kind="any"),
        conv(rng, wide, 20, (1, 1), kind="small"),  # deep
        conv(rng, wide, 13, (1, 1), kind="largest", own=True),  # pair
        conv(rng, wide, 9, (3, 2), dilations=(2, 2), kind="small", own=True),
        conv(rng, wide, 16, (3, 3), pads=(1, 1, 1, 1), kind="any", clamp="clip"),  # winograd
        conv(rng, wide, 32, (3, 3), pads=(0, 2, 1, 1), kind="usual", own=True),
        conv(rng, wide, 32, (3, 3), pads=(1, 1, 1, 1), groups=32, kind="small"),  # depthwise, depths of 3, 2 and 1
        conv(rng, wide, 32, (3, 3), pads=(1, 1, 1, 1), strides=(2, 2), groups=32, kind="largest"),
        conv(rng, wide, 32, (3, 3), pads=(1, 0, 1, 0), groups=32, kind="any", own=True, clamp="relu"),
        dense(rng, row, 37),
        dense(rng, row, 6, kind="any", own=True),
        dense(rng, row, 16, kind="small", clamp="relu"),
    ]
    return graph_of(*map(channels_last, outputs))


@pytest.mark.parametrize("core", [DOT, NEON, I8MM])
def test_every_kernel(core: str) -> None:
    made = verify(every_kernel(), core)
    assert kernels(made) == KERNELS[core]
    assert steps(made) == (13, 13)
    text = made.files["src/t.c"].decode()
    if core == NEON:
        assert {"t_depthwise_1x3_", "t_depthwise_2x2_", "t_depthwise_1x1_"} <= set(
            re.findall(r"t_depthwise_\dx\d_", text)
        )


def test_clang_and_the_portable_code_say_the_same() -> None:
    verify(every_kernel(), NEON, "zig", linker="gcc")
    verify(every_kernel(), NEON, flags=("-DT_PORTABLE",))
    verify(every_kernel(), I8MM, "zig", linker="gcc")


def of_any_size() -> Graph:
    """Patches that overlap, groups of four that are not full, and sums as large as they may become."""
    rng = np.random.default_rng(8)
    outputs: list[Op] = []
    for k, (height, width) in enumerate([(4, 4), (5, 7), (9, 4), (6, 13), (11, 8)]):
        x = inp(byte(int(rng.integers(-128, 128))), 1, int(rng.choice([8, 16, 24])), height, width, name=f"x{k}")
        kind = ("usual", "any", "largest", "small", "any")[k]
        y = conv(
            rng, x, 16 * (1 + k % 2), (3, 3), pads=(1, 1, 1, 1), kind=kind, own=k % 2 == 0, clamp="relu" * (k == 3)
        )
        outputs += [y, conv(rng, y, 16, (3, 3), pads=(2, 1, 0, 2))]
    images = [inp(byte(0), 1, channels, 4, 4, name=f"c{channels}") for channels in (224, 240)]
    for x in images:
        w = const(Affine(Integer(8), (0.1,), (0,)), np.full((16, x.shape[1], 3, 3), 127))
        outputs.append(rescaled(rng, Conv(x, w, None, pads=(1, 1, 1, 1)), True, ""))
    return graph_of(*map(channels_last, outputs))


@pytest.mark.parametrize("order", ["stored", "kept", "again", "kept parts", "again parts"])
def test_winograd_of_any_size(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    """In every order that there is."""

    def candidates(cls: type[winograd.ByteWinograd], layer: Any, others: float) -> tuple[Order, ...]:
        if order == "stored":
            return tuple(o for o in found(layer, math.inf) if o.stored)
        monkeypatch.setattr(cls, "MOST_SCRATCH", 1 << 30)
        orders = cls.size_of(layer).computed(cls.PRICES)
        orders = [o for o in orders if o.kept == ("kept" in order)]
        return (min(orders, key=lambda o: o.channels) if "parts" in order else max(orders, key=lambda o: o.channels),)

    found = winograd.ByteWinograd.orders
    monkeypatch.setattr(winograd.ByteWinograd, "orders", classmethod(candidates))
    made = verify(of_any_size(), NEON, policy="stored" if order == "stored" else "computed")
    bodies = re.findall(r"^static void t_s\d+_conv\(.*?^}", made.files["src/t.c"].decode(), re.M | re.S)
    fast = ["t_winograd_patch(" in body for body in bodies]
    assert fast.count(False) == 1 and len(fast) == 12  # the sums of 240 channels could pass 2^25
    assert sum("t_winograd_weights(" in body for body in bodies) == (0 if order == "stored" else 11)
    assert ("t_winograd_more(" in made.files["src/t.c"].decode()) == ("parts" in order)


def small_networks() -> Graph:
    """A residual network, a separable one and an autoencoder, as MLPerf Tiny has them, but smaller."""
    rng = np.random.default_rng(5)
    same: Mapping[str, Any] = {"pads": (1, 1, 1, 1)}
    x = conv(rng, inp(byte(-128), 1, 3, 16, 16, name="image"), 16, (3, 3), clamp="relu", **same)
    y = conv(rng, x, 16, (3, 3), clamp="relu", **same)
    y = conv(rng, y, 16, (3, 3), **same)
    sixteen = Quantizer(Integer(16), "half_up", "saturate")
    both = [Requantize(o, integers([1 << 20]), integers([12]), None, sixteen) for o in (x, y)]
    x = Relu(
        Requantize(Add(*both), integers([3 << 20]), integers([31]), None, Quantizer(byte(-9), "half_up", "saturate"))
    )
    y = conv(rng, x, 32, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu", own=True)
    short = conv(rng, x, 32, (1, 1), strides=(2, 2))
    y = conv(rng, y, 32, (3, 3), kind="any", **same)
    residual = (y, short)

    x = conv(rng, inp(byte(1), 1, 1, 13, 9, name="sound"), 16, (5, 4), strides=(2, 2), pads=(2, 1, 2, 2), clamp="relu")
    for outputs in (24, 8):
        x = conv(rng, x, x.shape[1], (3, 3), groups=x.shape[1], clamp="relu", **same)
        x = conv(rng, x, outputs, (1, 1), clamp="relu", own=outputs == 8)
    x = AvgPool(x, x.shape[2:])
    x = Requantize(x, integers([1 << 20]), integers([20]), None, Quantizer(byte(-4), "half_up", "saturate"))
    separable = dense(rng, Reshape(x, (1, x.shape[1])), 10)

    x = inp(byte(90), 1, 160, name="spectrum")
    for outputs in (32, 32, 8, 32, 160):
        x = dense(rng, x, outputs, clamp="relu" if outputs < 160 else "")
    return graph_of(*map(channels_last, residual), separable, x)


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a72", "cortex-a76", "cortex-a510"])
def test_small_networks(core: str) -> None:
    made = verify(small_networks(), core)
    found, fast = steps(made)
    assert found == fast > 10


def test_matrix_products_of_every_width() -> None:
    """Tiles of all sizes: rows of one to fourteen places, one to sixteen channels, runs of five to 40 bytes."""
    rng = np.random.default_rng(21)
    outputs: list[Op] = []
    for width in range(2, 15):
        channels, depth = int(rng.integers(1, 17)), int(rng.integers(5, 41))
        x = inp(byte(int(rng.integers(-128, 128))), 1, depth, 2, width, name=f"x{width}")
        kind, own = str(rng.choice(["any", "largest", "usual"])), bool(width % 2)
        # a kernel of two columns leaves gaps between rows of results
        outputs.append(conv(rng, x, channels, (1, 1 + width % 2), kind=kind, own=own, clamp="clip" * (width % 3 == 0)))
    made = verify(graph_of(*map(channels_last, outputs)), I8MM)
    assert kernels(made) == {"matrix"} and steps(made) == (13, 13)
