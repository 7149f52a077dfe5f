"""Int8 layers on Cortex-M against the interpreter: the DSP extension and MVE, layer by layer, under QEMU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp, need
from test_c_arm import byte, channels_last, conv, dense, frames_of, small_networks, steps

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.ops import Dense, Requantize, integers
from edgec.target import load_target

M4, M7, M55 = "cortex-m4", "cortex-m7", "cortex-m55"


def verify(graph: Graph, core: str, target: str = "", **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    made = plan(graph, load_target(target or core), {"name": "t", "low_bits": "none"})
    frames = frames_of(graph, 7)
    result = run_plan(made, frames, core=core, **options)
    found = first_difference(reference(graph, frames), result.layers, result.outputs)
    assert found is None, found
    return made


def loops(made: BuildPlan) -> set[str]:
    """The inner loops that are there, without what distinguishes their ends."""
    found = re.findall(r"static void t_((?:dsp|mve)_\w+)\(", made.files["src/t.c"].decode())
    return {re.sub("_own|_wide(?!n)|_clamp", "", name) for name in found}


def layers() -> Graph:
    """Windows of every kind: strides, dilations, padding on one side, runs that end within a word or a vector, odd
    channels, one place, rows of an odd number of places, zero points at both ends."""
    rng = np.random.default_rng(12)
    image, odd = inp(byte(-128), 1, 3, 11, 13, name="image"), inp(byte(127), 1, 7, 9, 8, name="odd")
    wide = inp(byte(3), 1, 32, 9, 7, name="wide")
    row, rows = inp(byte(17), 1, 71, name="row"), inp(byte(-7), 5, 36, name="rows")
    line = inp(byte(11), 1, 10, 19, name="line")
    same: dict[str, Any] = {"pads": (1, 1, 1, 1)}
    outputs = [
        conv(rng, image, 8, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu"),
        conv(rng, image, 7, (2, 4), own=True, kind="any", pads=(1, 2, 0, 1)),
        conv(rng, image, 5, (3, 3), dilations=(2, 3), pads=(2, 0, 1, 3), kind="largest"),
        conv(rng, odd, 9, (3, 3), strides=(1, 2), kind="any", clamp="clip", **same),
        conv(rng, odd, 1, (1, 1), kind="largest", own=True),
        conv(rng, odd, 4, (9, 8)),  # one place
        conv(rng, odd, 7, (3, 3), groups=7, kind="any", own=True, **same),
        conv(rng, odd, 7, (5, 5), groups=7, pads=(2, 3, 2, 1), strides=(2, 1)),
        conv(rng, odd, 7, (3, 3), groups=7, dilations=(1, 2), pads=(1, 2, 1, 2), clamp="clip"),
        conv(rng, odd, 7, (2, 7), groups=7, dilations=(2, 1), pads=(0, 4, 1, 4), kind="small"),
        conv(rng, odd, 7, (3, 1), groups=7, pads=(1, 0, 1, 0), strides=(1, 2), kind="small"),
        conv(rng, wide, 20, (1, 1), kind="small"),
        conv(rng, wide, 13, (1, 1), kind="largest", own=True, clamp="relu", strides=(2, 2)),
        conv(rng, wide, 32, (3, 3), kind="usual", own=True, **same),
        conv(rng, wide, 32, (3, 3), groups=32, kind="largest", strides=(2, 2), **same),
        conv(rng, wide, 32, (3, 3), groups=32, kind="any", pads=(1, 0, 1, 0), clamp="relu"),
        conv(rng, wide, 32, (3, 3), groups=32, kind="small", pads=(0, 1, 2, 1), clamp="clip", own=True),
        conv(rng, line, 6, (3,), pads=(1, 1), own=True),
        conv(rng, line, 10, (3,), groups=10, pads=(2, 0), kind="any"),
        dense(rng, row, 37),
        dense(rng, row, 6, kind="any", own=True, clamp="clip"),
        dense(rng, rows, 11, kind="largest"),
    ]
    y = conv(rng, wide, 16, (1, 1), clamp="relu")  # read with padding and without
    outputs += [conv(rng, y, 16, (3, 3), groups=16, **same), conv(rng, y, 6, (3, 3), **same), conv(rng, y, 4, (1, 1))]
    return graph_of(*map(channels_last, outputs))


DSP = {
    "dsp_widen_1", "dsp_widen_2", "dsp_widen_1_columns", "dsp_widen_2_columns", "dsp_1", "dsp_2", "dsp_place",
    "dsp_rows", "dsp_rows_columns", "dsp_planes", "dsp_plane_three", "dsp_plane_three_apart", "dsp_plane_row",
    "dsp_plane_tap",
}  # fmt: skip
MVE = {
    "mve_copy", "mve_copy_columns", "mve_scaled", "mve_1", "mve_2", "mve_place", "mve_place_copy", "mve_rows",
    "mve_rows_copy", "mve_rows_copy_columns", "mve_depthwise", "mve_depthwise_1", "mve_depthwise_3",
    "mve_depthwise_5",
}  # fmt: skip


@pytest.mark.parametrize("core, wanted", [(M4, DSP), (M55, MVE)])
def test_every_loop(core: str, wanted: set[str]) -> None:
    made = verify(layers(), core)
    assert loops(made) == wanted
    assert steps(made) == (26, 26)


def test_the_same_code_on_other_cores() -> None:
    """An M7 runs that of the M4; an M55 has the DSP extension, too; what has no MVE gets the plain loops."""
    verify(layers(), M7)
    verify(layers(), M55, target=M4)
    verify(layers(), M4, target=M55)


@pytest.mark.parametrize("core", [M4, M55])
def test_small_networks(core: str) -> None:
    made = verify(small_networks(), core)
    found, fast = steps(made)
    assert found == fast > 10


@pytest.mark.parametrize("core", [M4, M55])
def test_largest_sums(core: str) -> None:
    """Sums next to 2^31, at the smallest shift: they saturate and do not wrap."""
    x = inp(byte(0), 1, 64, name="x")
    w = const(Affine(Integer(8), (0.1,), (0,)), np.full((6, 64), 127))
    top = (1 << 31) - 1 - 64 * 127 * 128
    bias = const(Integer(32), np.array([top, -top, top, -top, 0, 5]))
    outputs = []
    for shift in (31, 32, 40):
        multiplier = integers([(1 << 30) - 1, (1 << 30) - 1, 3, 3, 1 << 29, 1 << 20])
        out = Quantizer(byte(-60), "half_up", "saturate")
        outputs.append(Requantize(Dense(x, w, bias), multiplier, integers([shift] * 6), None, out, 1))
    assert steps(verify(graph_of(*outputs), core)) == (3, 3)


@pytest.mark.parametrize("core", [M4, M55])
def test_clang_takes_the_code(core: str) -> None:
    """Without warnings, for a machine without an operating system."""
    need("arm-none-eabi-gcc", "qemu-system-arm", "zig")
    verify(layers(), core, compiler="zig")
    rng = np.random.default_rng(6)
    x = inp(byte(5), 1, 8, 9, 9, name="x")
    spaced = conv(rng, x, 8, (2, 2), groups=8, dilations=(2, 2))
    for y in (spaced, conv(rng, x, 6, (1, 1), own=True)):
        verify(graph_of(channels_last(y)), core, compiler="zig")  # nothing stands there that nobody uses


def test_depthwise_layers_want_no_room_for_padding_with_dsp() -> None:
    rng = np.random.default_rng(2)
    x = inp(byte(3), 1, 16, 12, 12, name="x")
    y = conv(rng, x, 32, (1, 1))
    y = conv(rng, y, 32, (3, 3), groups=32, pads=(1, 1, 1, 1))
    y = conv(rng, y, 4, (1, 1))
    made = [
        plan(graph_of(channels_last(y)), load_target(core), {"name": "t", "low_bits": "none"}) for core in (M4, M55)
    ]
    sizes = [m.interface["memory"]["arena_bytes"] for m in made]
    assert sizes[0] < 2 * 12 * 12 * 32 + 1400 < 14 * 14 * 32 + 12 * 12 * 32 <= sizes[1]
