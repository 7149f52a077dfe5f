"""Vector code for 16-bit activations on 64-bit Arm cores against the interpreter, bit for bit, under QEMU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp, need

from edgec import api
from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames
from edgec.ops import Add, Clip, Constant, Conv, Dense, Op, Relu, Requantize, Transpose, integers
from edgec.options import Options
from edgec.target import load_target

DOT, NEON = "cortex-a76", "cortex-a53"


def word(zero: int) -> Affine:
    return Affine(Integer(16), (0.01,), (zero,))


def rescaled(rng: np.random.Generator, y: Conv | Dense, own: bool, clamp: str) -> Op:
    """Sums as words, some of them beyond the range."""
    assert isinstance(y.w, Constant)
    spread = 20000 * float(np.sqrt((y.w.data.astype(float) ** 2).mean() * y.terms))
    axis = 1 if isinstance(y, Conv) else len(y.shape) - 1
    multiplier = rng.integers(1 << 29, 1 << 30, y.shape[axis])
    shift = np.full(y.shape[axis], max(round(float(np.log2(spread / 16000)) + 29.5), 30))
    if own:
        shift += rng.integers(0, 3, len(shift))
        multiplier[rng.integers(len(multiplier))] = 0
    out = Quantizer(word(int(rng.integers(-9000, 9000))), "half_up", "saturate")
    z = Requantize(y, integers(multiplier), integers(shift), None, out, axis)
    return Relu(z) if clamp == "relu" else Clip(z, -20.0, 31.5) if clamp == "clip" else z


def layer(
    rng: np.random.Generator, x: Op, outputs: int, kernel: Sequence[int] = (), *, bits: int = 8, clamp: str = "",
    own: bool = False, **options: Any,
) -> Op:  # fmt: skip
    """A convolution, or a dense layer, whose sums fit 32 bits."""
    shape = (outputs, x.shape[1] // options.get("groups", 1), *kernel) if kernel else (outputs, x.shape[-1])
    terms = int(np.prod(shape[1:]))
    most = min((1 << (bits - 1)) - 1, (1 << 31) // (65536 * terms) - 1)
    assert most > 5
    w = const(Affine(Integer(bits), (0.1,), (0,)), rng.integers(-most, most + 1, shape))
    b = integers(rng.integers(-(1 << 24), 1 << 24, outputs), bits=32)
    y = Conv(x, w, b, **options) if kernel else Dense(x, w, b)
    return rescaled(rng, y, own, clamp)


def last(op: Op) -> Op:
    """Channels last, as results lie in memory."""
    return Transpose(op, (0, 2, 3, 1))


def verify(graph: Graph, core: str, compiler: str = "gcc", **options: Any) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t", "threads": options.pop("threads", 1)})
    frames = {name: codes.copy() for name, codes in random_frames(graph, 5, 7).items()}
    for codes in frames.values():
        codes[1] = np.where(codes[1] >= 0, 32767, -32768)
        codes[2], codes[3] = -32768, 32767
    result = run_plan(made, frames, core=core, compiler=compiler, **options)
    found = first_difference(reference(graph, frames), result.layers, result.outputs)
    assert found is None, found
    return made


def layers() -> Graph:
    """Every form; zero points whose code is no byte repeated stand around images."""
    rng = np.random.default_rng(5)
    image, wide = inp(word(-32768), 1, 3, 11, 13, name="image"), inp(word(77), 1, 20, 10, 9, name="wide")
    row, rows = inp(word(-5), 1, 70, name="row"), inp(word(4000), 1, 6, 33, name="rows")
    first = layer(rng, image, 24, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), clamp="relu")
    depthwise = layer(rng, wide, 20, (3, 3), groups=20, pads=(1, 1, 1, 1), own=True)
    outputs = [
        first,
        layer(rng, first, 18, (3, 3), pads=(1, 1, 1, 1), own=True, bits=16),
        layer(rng, wide, 13, (1, 1), clamp="clip"),
        layer(rng, wide, 19, (3, 2), dilations=(2, 2), bits=16),
        depthwise,
        layer(rng, depthwise, 20, (3, 5), groups=20, strides=(2, 1), pads=(1, 2, 1, 2), clamp="relu", bits=16),
        layer(rng, image, 3, (2, 2), groups=3, dilations=(2, 1), clamp="clip"),
    ]
    dense = [layer(rng, row, 37, clamp="relu", bits=16), layer(rng, row, 6, own=True), layer(rng, rows, 21)]
    return graph_of(*map(last, outputs), *dense, layer(rng, wide, 5, (2, 2)))


@pytest.mark.parametrize("core", [DOT, NEON])
def test_every_form(core: str) -> None:
    text = verify(layers(), core).files["src/t.c"].decode()
    bodies = re.findall(r"^static void t_s\d+_(?:conv|dense)\(.*?^}", text, re.M | re.S)
    assert len(bodies) == 11 and all("#if T_NEON" in body for body in bodies)
    assert {"t_word", "t_word_taps"} <= set(re.findall(r"\b(t_word(?:_taps)?)_\d", text))


def test_clang_the_portable_code_and_pieces() -> None:
    verify(layers(), NEON, "zig", threads=3)
    verify(layers(), NEON, flags=("-DT_PORTABLE",))


def test_sums_in_64_bits() -> None:
    """As many products as the weights allow are added in 32 bits, -32768 times -32768 among them."""
    rng = np.random.default_rng(6)
    row, image = inp(word(-32768), 1, 603, name="row"), inp(word(77), 1, 13, 9, 8, name="image")
    outputs: list[Op] = []
    for most, terms in ((100, 20), (8000, 24), (15000, 20), (30000, 10), (32768, 12)):
        data = rng.integers(-most, min(most, 32767) + 1, (terms, 603))
        data[0, :9] = -most
        w = const(Affine(Integer(16), (0.1,), (0,)), data)
        b = integers(rng.integers(-(1 << 35), 1 << 35, terms), bits=40)
        multiplier, shift = rng.integers(1 << 20, 1 << 21, terms), rng.integers(0, 3, terms)
        multiplier[1], multiplier[2] = 0, -multiplier[2]
        shift += round(float(np.log2(most * 19000 * 603**0.5 / 16000)) + 20.5)
        y = Requantize(
            Dense(row, w, b), integers(multiplier), integers(shift), None, Quantizer(word(3), "half_up", "saturate"), 1
        )
        outputs.append(Relu(y) if most == 8000 else y)
    w = const(Affine(Integer(16), (0.1,), (0,)), rng.integers(-9000, 9001, (21, 13, 3, 3)))
    y = Requantize(
        Conv(image, w, pads=(1, 1, 1, 1)), integers([1 << 20]), integers([35]), None,
        Quantizer(word(-70), "half_up", "saturate"),
    )  # fmt: skip
    for core, options in ((NEON, {}), (DOT, {"threads": 3}), (NEON, {"compiler": "zig"})):
        text = verify(graph_of(*outputs, last(y)), core, **options).files["src/t.c"].decode()
        assert {f"_g{n}_" for n in (1, 2, 4, 8)} <= set(re.findall(r"t_wide\w+?(_g\d_)", text))


def test_wide_depthwise_sums_are_plain_code() -> None:
    rng = np.random.default_rng(8)
    x = inp(word(0), 1, 8, 6, 6, name="x")
    w = const(Affine(Integer(16), (0.1,), (0,)), rng.integers(-32767, 32768, (8, 1, 3, 3)))
    out = Quantizer(word(3), "half_up", "saturate")
    y = Requantize(Conv(x, w, groups=8), integers([1 << 20]), integers([37]), None, out)
    assert "#if T_NEON" not in verify(graph_of(y), NEON).files["src/t.c"].decode()


def test_a_quantised_network() -> None:
    """Unsigned codes behind Relu become signed ones, whose zero is the least code."""
    rng = np.random.default_rng(7)
    from edgec.formats import F32

    x = inp(F32, 1, 3, 12, 12)
    y: Op = x
    for outputs in (16, 16):
        w = const(F32, rng.normal(0, 0.2, (outputs, y.shape[1], 3, 3)))
        y = Relu(Conv(y, w, const(F32, rng.normal(size=outputs)), pads=(1, 1, 1, 1)))
    y = Add(y, Relu(Conv(y, const(F32, rng.normal(0, 0.2, (16, 16, 1, 1))))))
    options = Options(name="t", quantize="bits=8,activation_bits=16,format=affine")
    compiled = api.compile_model(graph_of(Conv(y, const(F32, rng.normal(0, 0.3, (8, 16, 3, 3))))), NEON, options)
    made = verify(compiled.graph, NEON)
    assert made.files["src/t.c"].decode().count("#if T_NEON") >= 3
