"""Vector code of bytes for depthwise convolutions with any window, and for convolutions in groups, under QEMU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from c_support import graph_of, inp
from test_c_arm import DOT, NEON, byte, channels_last, conv, steps, verify

from edgec.graph import Graph
from edgec.ops import Conv, Op


def drawn_windows(seed: int, count: int) -> Graph:
    """Depthwise layers: windows of all shapes, gaps and strides, on images and sequences."""
    rng = np.random.default_rng(seed)
    outputs: list[Op] = []
    for n in range(count):
        channels = int(rng.choice([1, 3, 8, 16, 17, 24, 37, 48]))
        options: dict[str, Any] = {
            "kind": str(rng.choice(["any", "largest", "usual", "small"])),
            "own": bool(rng.random() < 0.4),
            "clamp": str(rng.choice(["", "", "relu", "clip"])),
            "groups": channels,
        }
        rank = 1 if n % 5 == 4 else 2
        kernel = [int(rng.choice([1, 2, 3, 4, 5, 7, 9])) for _ in range(rank)]
        options["dilations"] = tuple(map(int, rng.integers(1, 3, rank)))
        options["strides"] = tuple(map(int, rng.integers(1, 4, rank)))
        options["pads"] = tuple(map(int, rng.integers(0, 3, 2 * rank)))
        size = [(k - 1) * d + 1 + int(rng.integers(0, 9)) for k, d in zip(kernel, options["dilations"], strict=True)]
        x = inp(byte(int(rng.integers(-128, 128))), 1, channels, *size, name=f"x{n}")
        outputs.append(channels_last(conv(rng, x, channels, kernel, **options)))
    return graph_of(*outputs)


def groups() -> Graph:
    """Groups of one to many channels, of one to many results each; on sequences, too; one layer behind another."""
    rng = np.random.default_rng(3)
    outputs: list[Op] = []
    shapes = [
        (2, 16, 16, 3),
        (4, 8, 20, 3),
        (8, 32, 32, 1),
        (8, 32, 32, 3),
        (3, 9, 6, 2),
        (5, 5, 15, 3),
        (2, 64, 40, 3),
    ]
    for n, (count, channels, results, kernel) in enumerate(shapes):
        x = inp(byte(int(rng.integers(-128, 128))), 1, channels, 7, 6, name=f"x{n}")
        kind, pad = ("any", "usual", "small", "largest")[n % 4], kernel // 2
        y = conv(
            rng, x, results, (kernel, kernel), groups=count, kind=kind, own=n % 2 == 0, clamp="relu" * (n % 3 == 0),
            pads=(pad,) * 4, strides=(1 + n % 2, 1), dilations=(1, 1 + (n == 3)),
        )  # fmt: skip
        outputs += [y, conv(rng, y, results, (1, 3), groups=count, pads=(0, 1, 0, 1))]
    x = inp(byte(-20), 1, 12, 30, name="sequence")
    outputs.append(conv(rng, x, 24, (5,), groups=3, pads=(2, 2), own=True))
    return graph_of(*map(channels_last, outputs))


@pytest.mark.parametrize("core", [DOT, NEON])
@pytest.mark.parametrize("seed", [0, 2])
def test_drawn_windows(core: str, seed: int) -> None:
    graph = drawn_windows(seed, 24)
    made = verify(graph, core)
    assert steps(made) == (24, 24)
    text = made.files["src/t.c"].decode()
    assert {f"d{n}" for n in range(1, 5)} <= set(re.findall(r"t_taps_[a-z0-9_]*?_(d\d)", text))


@pytest.mark.parametrize("core", [DOT, NEON])
def test_groups(core: str) -> None:
    graph = groups()
    made = verify(graph, core)
    layers = sum(isinstance(op, Conv) for op in graph.ops)
    assert steps(made) == (layers, layers) and layers == 15


def test_clang_and_the_portable_code_say_the_same() -> None:
    verify(drawn_windows(4, 10), NEON, "zig", linker="gcc")
    verify(groups(), DOT, flags=("-DT_PORTABLE",))
