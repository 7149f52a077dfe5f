"""Weights of few bits: packed codes in plain C and in vector code, and the choice between these and bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_c_arm as arm
from c_support import const, graph_of, inp

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import Affine, Fixed, Format, Integer
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.formats_compressed import Codebook as CodebookFormat
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.ops import Conv, Dense, Op, Reshape
from edgec.target import load_target

NF4 = (-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127)
"""Quantiles of a normal distribution in 127ths."""
FORMATS: dict[str, Format] = {
    "int4": Affine(Integer(4), (0.1,), (0,)),
    "pow2": Pow2(4),
    "pow2z": Pow2(4, zero=True),
    "nf4": CodebookFormat(4, Fixed(8, 1), NF4),
    "means": CodebookFormat(4, Fixed(8, 1), (-128, -71, -30, -9, 2, 3, 17, 44, 90, 127)),
    "two": CodebookFormat(2, Fixed(8, 1), (-100, -3, 8, 77)),
    "ternary": Ternary(),
    "binary": Binary(),
}
SANITIZE = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def weights(rng: np.random.Generator, fmt: Format, *shape: int) -> Any:
    """Drawn codes, all of which occur; the largest negative and positive ones in one channel."""
    lo, hi = fmt.code_range
    codes = rng.integers(lo, hi + 1, shape)
    if isinstance(fmt, CodebookFormat):
        codes %= len(fmt.entries)
    codes.reshape(-1)[: hi - lo + 1] = np.arange(lo, hi + 1)[: codes.size]
    return const(fmt, codes)


def conv(rng: np.random.Generator, x: Op, fmt: Format, outputs: int, kernel: tuple[int, ...], **options: Any) -> Op:
    own, clamp = options.pop("own", False), options.pop("clamp", "")
    w = weights(rng, fmt, outputs, x.shape[1] // options.get("groups", 1), *kernel)
    return arm.rescaled(rng, Conv(x, w, None, **options), own, clamp)


def dense(rng: np.random.Generator, x: Op, fmt: Format, outputs: int, own: bool = False) -> Op:
    return arm.rescaled(rng, Dense(x, weights(rng, fmt, outputs, x.shape[-1])), own, "")


def layers(fmt: Format, seed: int = 4) -> Graph:
    """Runs that fill vectors and that do not, taps visited one by one, blocks that are not full, padding, dense layers."""
    rng = np.random.default_rng(seed)
    image, wide = inp(arm.byte(-128), 1, 3, 11, 13, name="image"), inp(arm.byte(3), 1, 32, 9, 7, name="wide")
    row = inp(arm.byte(17), 1, 70, name="row")
    first = conv(rng, image, fmt, 24, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu")
    outputs = [
        first,
        conv(rng, first, fmt, 16, (1, 1), own=True),
        conv(rng, wide, fmt, 7, (1, 1)),
        conv(rng, wide, fmt, 20, (3, 3), pads=(1, 1, 1, 1), clamp="clip"),
        conv(rng, wide, fmt, 9, (3, 2), dilations=(2, 2), own=True),
        dense(rng, row, fmt, 37),
        dense(rng, Reshape(wide, (1, 32 * 63)), fmt, 5, own=True),
    ]
    return graph_of(*map(arm.channels_last, outputs))


def verify(graph: Graph, core: str, want: str = "size", compiler: str = "gcc", **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    arm.need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t", "low_bits": want})
    frames = arm.frames_of(graph, 7)
    result = run_plan(made, frames, core=core, compiler=compiler, **options)
    found = first_difference(reference(graph, frames), result.layers, result.outputs)
    assert found is None, found
    return made


def stored(made: BuildPlan) -> list[str]:
    return [str(row["weights"]) for row in made.tables.get("low bits", [])]


@pytest.mark.parametrize("core", [arm.DOT, arm.NEON])
@pytest.mark.parametrize("name", FORMATS)
def test_vector_code(core: str, name: str) -> None:
    made = verify(layers(FORMATS[name]), core)
    assert arm.steps(made)[1] >= 6
    bits = {"ternary": 2, "two": 2, "binary": 1}.get(name, 4)
    assert stored(made).count(f"{bits}-bit codes") >= 4
    assert f"t_decode_{bits}" in made.files["src/t.c"].decode()
