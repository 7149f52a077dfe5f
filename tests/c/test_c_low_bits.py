"""Weights of few bits: packed codes in plain C and in vector code, and the choice between these and bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_c_arm as arm
from c_support import HOST, const, graph_of, inp

import edgec
from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.backends.c.lowbit.choose import Form, decided
from edgec.backends.c.lowbit.codebook import Codebook
from edgec.comparison import first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Fixed, Format, Integer
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.formats_compressed import Codebook as CodebookFormat
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.ops import Clip, Constant, Conv, Dense, MultiThreshold, Op, Relu, Requantize, Reshape, Transpose, integers
from edgec.options import Options
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
BITS = {"ternary": 2, "two": 2, "binary": 1}
"""Of a code, where they are not 4."""
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
    """Runs that fill vectors and others, taps visited one by one, blocks that are not full, padding, dense layers."""
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


def verify(
    graph: Graph, core: str, want: str = "size", compiler: str = "gcc", threads: int = 1, **options: Any
) -> BuildPlan:
    """Every layer and output must be what the interpreter computes."""
    arm.need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    made = plan(graph, load_target(core), {"name": "t", "low_bits": want, "threads": threads})
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
    bits = BITS.get(name, 4)
    assert stored(made).count(f"{bits}-bit codes") >= 4
    text = made.files["src/t.c"].decode()
    assert f"t_decode_{bits}" in text
    if core == arm.DOT and name not in ("pow2", "binary"):  # few places: looked up in registers
        assert f"_codes{bits}" in text
    if core == arm.NEON:  # sums of whole runs in 16 bits, of the long one in parts where weights are above 1
        assert ("t_long_" in text) == (name in ("int4", "ternary", "binary"))
        assert bool(re.search(r"t_long_1x\w*_columns", text)) == (name == "int4")


def test_cores_with_matrix_products_and_pieces() -> None:
    """Codes are those of the family with dot products, and every piece decodes for itself."""
    for core, threads in (("cortex-a710", 1), (arm.NEON, 3), (arm.DOT, 3)):
        made = verify(layers(FORMATS["int4"]), core, threads=threads)
        assert arm.steps(made)[1] >= 6 and stored(made).count("4-bit codes") >= 4


def with_offset(rng: np.random.Generator, y: Op) -> Op:
    """The rescaling with an offset a channel, as a batch norm behind compressed weights leaves it."""
    assert isinstance(y, Requantize) and isinstance(y.multiplier, Constant)
    reach = 40 << int(y.shift.data.max())  # type: ignore[attr-defined]
    return y.replace(offset=integers(rng.integers(-reach, reach, y.multiplier.data.size), bits=64))


@pytest.mark.parametrize("core", [arm.DOT, arm.NEON])
def test_rescaling_with_an_offset(core: str) -> None:
    rng = np.random.default_rng(9)
    fmt = FORMATS["ternary"]
    wide, row = inp(arm.byte(3), 1, 32, 9, 7, name="wide"), inp(arm.byte(17), 1, 70, name="row")
    first = Relu(with_offset(rng, conv(rng, wide, fmt, 16, (3, 3), pads=(1, 1, 1, 1))))
    same: dict[str, Any] = {"pads": (1, 1, 1, 1), "groups": 16}
    outputs = [
        first,
        with_offset(rng, conv(rng, first, fmt, 21, (1, 1), own=True)),
        Clip(with_offset(rng, conv(rng, first, fmt, 16, (3, 3), **same)), -20.0, 31.5),
        with_offset(rng, conv(rng, first, FORMATS["int4"], 16, (3, 3), own=True, **same)),
        with_offset(rng, dense(rng, row, fmt, 6)),
    ]
    made = verify(graph_of(*map(arm.channels_last, outputs)), core)
    assert arm.steps(made) == (5, 5)
    assert made.files["src/t.c"].decode().count("t_with_offset(") > 5
    verify(graph_of(*map(arm.channels_last, outputs)), core, "none", compiler="zig", linker="gcc")


@pytest.mark.parametrize("name", FORMATS)
def test_plain_code(name: str) -> None:
    """On this machine under sanitizers, and sizes: codes are what is stored."""
    graph = layers(FORMATS[name], 5)
    frames = arm.frames_of(graph, 8)
    sizes = []
    for want in ("none", "size"):
        made = plan(graph, HOST, {"name": "t", "low_bits": want})
        if want == "size":
            result = run_plan(made, frames, flags=SANITIZE)
            found = first_difference(reference(graph, frames), result.layers, result.outputs)
            assert found is None, found
        sizes.append(made.interface["memory"]["constant_bytes"])
    bits = (16 if name == "pow2" else 8) - BITS.get(name, 4)  # +128 needs two bytes
    assert abs(sizes[0] - sizes[1] - bits * sum(op.w.tensor.size for op in macs(graph)) // 8) <= 16 * len(graph.outputs)


def macs(graph: Graph) -> list[Any]:
    return [op for op in graph.ops if isinstance(op, Conv | Dense)]


def test_clang_and_the_portable_half() -> None:
    for name in ("pow2", "binary"):
        verify(layers(FORMATS[name]), arm.DOT, compiler="zig", linker="gcc")
        verify(layers(FORMATS[name]), arm.NEON, flags=("-DT_PORTABLE",))


def test_codes_and_what_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    for count, width in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4)):
        values = rng.permutation(np.arange(-128, 129))[:count]
        drawn = rng.choice(values, (3, 37))
        drawn[0, :count] = values
        book = Codebook.of(drawn)
        assert book is not None and book.width == width
        packed = book.packed(drawn)
        assert packed.nbytes == -(-3 * 37 * width // 8)
        bits = np.unpackbits(packed, bitorder="little").reshape(-1, width)
        codes = (bits << np.arange(width)).sum(axis=1)[: drawn.size]
        np.testing.assert_array_equal(book.table[codes], drawn.ravel())
    assert Codebook.of(np.arange(17)) is None
    assert Codebook.of(np.arange(1, 17)) is not None
    assert Codebook.of(np.arange(1, 17), zero=True) is None


def test_the_choice() -> None:
    assert decided(Form(1000, 10.0), Form(600, 10.9), "auto")[0]
    take, why = decided(Form(1000, 10.0), Form(600, 11.1), "auto")
    assert not take and "11.0% more cycles" in why and "400 B" in why
    assert decided(Form(1000, 10.0), Form(600, 99.0), "size")[0]
    assert decided(Form(1000, 10.0), Form(600, 9.0), "speed")[0]
    assert not decided(Form(1000, 10.0), Form(600, 10.1), "speed")[0]
    assert not decided(Form(1000, None), Form(600, None), "auto")[0]
    assert not decided(Form(600, 10.0), Form(580, 1.0), "size")[0]


def test_the_table_says_why(tmp_path: Path) -> None:
    """Many places pay for decoding, a matrix times one vector does not; the model's other layers are named too."""
    rng = np.random.default_rng(2)
    fmt = FORMATS["nf4"]
    image, row = inp(arm.byte(3), 1, 32, 16, 16, name="image"), inp(arm.byte(1), 1, 256, name="row")
    outputs = [conv(rng, image, fmt, 32, (3, 3)), dense(rng, row, fmt, 64), arm.dense(rng, row, 20)]
    graph = graph_of(*map(arm.channels_last, outputs))
    first, second, third = plan(graph, load_target("cortex-a76"), {"name": "t"}).tables["low bits"]
    assert first["weights"] == "4-bit codes" and second["weights"] == third["weights"] == "bytes"
    assert "more cycles" in str(second["why"]) and "16 different weights" in str(third["why"])
    assert int(str(first["B as codes"])) < int(str(first["B as bytes"])) - 32 * 32 * 9 // 2 + 100
    kernels = plan(graph, load_target("cortex-a76"), {"name": "t"}).kernels
    bits = [k.weight_bits for k in kernels if k.macs]
    assert 4 * 32 * 32 * 9 <= bits[0] - 8 * 16 < 4 * 32 * 32 * 9 + 3000 and bits[1] >= 8 * 64 * 256
    alike = graph_of(arm.dense(rng, row, 20))
    assert not plan(alike, load_target("cortex-a76"), {"name": "t"}).tables
    artefact = edgec.build(graph, "cortex-a76", tmp_path / "out", Options(low_bits="size", golden=2))
    assert [r["weights"] for r in artefact.manifest["tables"]["low bits"]] == ["4-bit codes"] * 2 + ["bytes"]
    assert "low bits" in (tmp_path / "out" / "reports" / "index.html").read_text()
    with pytest.raises(EdgecError, match="low_bits"):
        Options(low_bits="most")


def bits_of(rng: np.random.Generator, y: Conv | Dense) -> Op:
    """Whether sums reach a threshold a channel; every third one falls, one is never reached, one always."""
    channels = y.w.shape[0]
    least = rng.normal(0, np.sqrt(y.terms), (channels, 1)).round().astype(int)
    least[:2, 0] = 5 * y.terms, -5 * y.terms
    sign = np.where(np.arange(channels) % 3, 1, -1)
    axis = 1 if isinstance(y, Conv) else len(y.shape) - 1
    return MultiThreshold(y, integers(least, bits=32), integers(sign), Binary(), axis)


def binary_layers() -> Graph:
    rng = np.random.default_rng(12)
    bit = Binary()
    image, wide = inp(bit, 1, 3, 11, 13, name="image"), inp(bit, 1, 64, 9, 7, name="wide")
    row, rows = inp(bit, 1, 784, name="row"), inp(bit, 5, 72, name="rows")

    def layer(x: Op, outputs: int, *kernel: int, bias: bool = False, **options: Any) -> Any:
        b = integers(rng.integers(-9, 9, outputs)) if bias else None
        w = weights(rng, bit, outputs, x.shape[1], *kernel)
        return Conv(x, w, b, **options) if kernel else Dense(x, w, b)

    first = bits_of(rng, layer(image, 21, 3, 3, bias=True))
    second = bits_of(rng, layer(first, 64, 2, 4, strides=(2, 1)))
    third = bits_of(rng, layer(wide, 40, 3, 3))
    outputs = [
        third,
        bits_of(rng, layer(third, 16, 1, 1)),
        bits_of(rng, layer(wide, 130, 3, 2, dilations=(2, 2), bias=True)),
        arm.rescaled(rng, layer(second, 10, 3, 3), True, "relu"),
        with_offset(rng, arm.rescaled(rng, layer(wide, 24, 1, 1), False, "")),
        arm.rescaled(rng, layer(wide, 7, 9, 7), False, "clip"),
        bits_of(rng, layer(wide, 20, 3, 3, pads=(1, 1, 1, 1))),
        bits_of(rng, layer(first, 33, 5, 3, pads=(0, 2, 3, 1), strides=(1, 2), bias=True)),
        arm.rescaled(rng, layer(wide, 9, 3, 3, pads=(2, 2, 2, 2), dilations=(2, 2)), True, ""),
        bits_of(rng, layer(row, 37)),
        bits_of(rng, layer(bits_of(rng, layer(row, 64)), 64)),
        arm.rescaled(rng, layer(row, 10, bias=True), False, ""),
        bits_of(rng, layer(rows, 5)),
        bits_of(rng, layer(Transpose(inp(bit, 72, 3, name="turned"), (1, 0)), 8)),
    ]
    return graph_of(*map(arm.channels_last, outputs))


@pytest.mark.parametrize("core", [arm.DOT, arm.NEON])
def test_single_bits(core: str) -> None:
    graph = binary_layers()
    made = verify(graph, core, "auto")
    assert arm.steps(made) == (len(macs(graph)),) * 2
    text = made.files["src/t.c"].decode()
    assert "t_bit_4x1" in text and "t_xnor_4x1" in text and "t_bit_1x4" in text
    assert set(stored(made)) == {"single bits"} and "count" in str(made.tables["low bits"][0]["why"])
    assert all(set(k.work) >= {"xnor", "xnor_load", "xnor_finish", "xnor_pack"} for k in made.kernels)
    verify(graph, core, "auto", compiler="zig", linker="gcc")


def test_single_bits_in_plain_code() -> None:
    graph = binary_layers()
    frames = arm.frames_of(graph, 8)
    result = run_plan(plan(graph, HOST, {"name": "t", "low_bits": "size"}), frames, flags=SANITIZE)
    found = first_difference(reference(graph, frames), result.layers, result.outputs)
    assert found is None, found
