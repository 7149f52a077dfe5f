"""Vector code of half precision for 64-bit Arm cores against the interpreter: sums in binary32, rounded once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp, need
from test_c_arm_float import DOT, NEON, conv, dense, drawn_layers, every_kernel, source, steps

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import reference
from edgec.formats import F16, F32, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames
from edgec.ops import Add, Cast, Mul, Relu, Reshape, Unary
from edgec.target import load_target

FML = "cortex-a710"


def close(have: np.ndarray, want: np.ndarray) -> bool:
    """Whether halves are neighbours at the most, as sums of 1e-5 of the tensor's largest apart round."""
    have, want = have.astype(np.float64), want.astype(np.float64)
    return bool((np.abs(have - want) <= 2.0**-10 * np.abs(want) + 1e-5 * np.abs(want).max(initial=0)).all())


def verify(graph: Graph, core: str, compiler: str = "gcc", threads: int = 1, **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t", "threads": threads})
    frames = random_frames(graph, 3, 7)
    result = run_plan(made, frames, core=core, compiler=compiler, **options)
    wanted = reference(graph, frames, given=result.layers)
    assert {name for name in wanted.outputs if not close(result.outputs[name], wanted.outputs[name])} == set()
    assert {name for name in result.layers if not close(result.layers[name], wanted.layers[name])} == set()
    return made


@pytest.mark.parametrize(("seed", "core"), [(0, NEON), (1, FML), (2, FML)])
def test_drawn_layers(seed: int, core: str) -> None:
    assert steps(verify(drawn_layers(seed, 24, F16), core)) == (24, 24)


@pytest.mark.parametrize("core", [DOT, NEON, FML])
def test_every_kernel(core: str) -> None:
    made = verify(every_kernel(F16), core)
    assert steps(made) == (17, 17)
    found = set(re.findall(r"\bt_(half(?:_depthwise|_taps|_winograd|_long)?)_[0-9][a-z0-9_]+\(", source(made)))
    found |= set(re.findall(r"\bt_(half_winograd)_", source(made)))
    dense = "half_long" if core == FML else "half"
    assert found == {dense, "half_depthwise", "half_taps", "half_winograd"}


def test_conversions_by_the_processor() -> None:
    """Every half; floats at, beside and between the halves; numbers beyond."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    known = np.unique(halves[np.isfinite(halves)].astype(np.float32))
    middles = (known[1:] + known[:-1]) / 2
    floats = [known, middles, np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf))]
    floats.append(np.array([65519.9, 65520, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-8, -1e-40], np.float32))
    frames = {"h": halves[None], "f": np.concatenate(floats)[None]}
    h, f = (inp(fmt, frames[n].size, name=n) for fmt, n in ((F16, "h"), (F32, "f")))
    graph = graph_of(Cast(h, Quantizer(F32)), Cast(f, Quantizer(F16)))
    made = plan(graph, load_target(NEON), {"name": "t"})
    for core, flags in ((NEON, ()), (NEON, ("-DT_PORTABLE",)), ("host", ())):
        found = run_plan(made, frames, core=core, flags=flags, compiler="gcc").outputs
        with np.errstate(over="ignore"):
            assert np.array_equal(found["y0"][0], halves.astype(np.float32), equal_nan=True)
            assert np.array_equal(found["y1"][0], frames["f"][0].astype(np.float16), equal_nan=True)


def network() -> Graph:
    """A residual sum and functions of halves in plain C between vector code, the first convolution's input copied."""
    rng = np.random.default_rng(4)
    x = inp(F16, 1, 5, 18, 19)
    y = conv(rng, x, 24, (3, 3), pads=(1, 1, 1, 1), clamp="relu")
    z = conv(rng, Unary(y, "sigmoid"), 24, (3, 3), pads=(1, 1, 1, 1))
    z = conv(rng, Relu(Add(y, z)), 40, (3, 3), pads=(0, 1, 1, 0), clamp="clip")
    z = Mul(z, const(F16, rng.standard_normal((40, 1, 1))))
    return graph_of(dense(rng, Reshape(z, (1, z.tensor.size)), 21), z)


@pytest.mark.parametrize("core", [NEON, FML])
def test_in_pieces(core: str) -> None:
    """Steps for threads, some of them with a copied operand."""
    made = verify(network(), core, threads=4)
    assert "_piece(" in source(made)


def test_clang_and_the_portable_code() -> None:
    verify(network(), NEON, "zig", threads=3)
    verify(every_kernel(F16), FML, "zig", linker="gcc")
    verify(every_kernel(F16), NEON, flags=("-DT_PORTABLE",))
