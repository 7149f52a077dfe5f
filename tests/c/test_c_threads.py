"""Steps in pieces: the integers of the interpreter in any order and any threads, and no race."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_support import const, graph_of, inp, need

from edgec import api
from edgec.artefact import Artefact
from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.backends.c.pieces import shared
from edgec.comparison import first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.arm.qemu import run_aarch64
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS, WARNINGS, run_plan
from edgec.interp import random_frames
from edgec.ops import Add, Conv, Dense, MaxPool, Op, Relu, Requantize, Reshape, Softmax, integers
from edgec.options import Options
from edgec.target import load_target

EXAMPLE = Path(__file__).parents[2] / "examples" / "c_threads"
BYTE = Affine(Integer(8), (0.5,), (3,))
WEIGHT = Affine(Integer(8), (0.1,), (0,))


def layer(rng: np.random.Generator, x: Op, outputs: int, kernel: int = 1, groups: int = 1, pad: int = 0) -> Op:
    """A convolution or dense layer of bytes, rescaled to bytes."""
    depth = x.shape[1] // groups
    shape = (outputs, depth, kernel, kernel) if len(x.shape) == 4 else (outputs, depth)
    w, b = const(WEIGHT, rng.integers(-127, 128, shape)), integers(rng.integers(-9000, 9000, outputs), bits=32)
    y: Op = Conv(x, w, b, pads=(pad,) * 4, groups=groups) if len(shape) == 4 else Dense(x, w, b)
    shift = 24 + round(float(np.log2(np.prod(shape[1:]))) / 2)
    multiplier = integers(rng.integers(1 << 17, 1 << 18, outputs))
    return Requantize(y, multiplier, integers([shift]), None, Quantizer(BYTE, "half_up", "saturate"), 1)


def network() -> Graph:
    """Convolutions of all kinds, a residual addition, a pooling, a wide dense layer; 30 rows, not a multiple of 4."""
    rng = np.random.default_rng(4)
    image = inp(BYTE, 1, 3, 30, 34, name="image")
    x: Op = Relu(layer(rng, image, 32, 3, pad=1))
    y = layer(rng, x, 32, 3, groups=32, pad=1)
    y = Relu(layer(rng, y, 32, 3, pad=1))
    sixteen = Quantizer(Integer(16), "half_up", "saturate")
    both = [Requantize(o, integers([1 << 20]), integers([12]), None, sixteen) for o in (x, y)]
    out = Quantizer(BYTE, "half_up", "saturate")
    x = Requantize(Add(both[0], both[1]), integers([3 << 20]), integers([31]), None, out)
    x = MaxPool(x, (5, 5), (5, 5))
    x = layer(rng, Reshape(x, (1, x.tensor.size)), 200)
    return Graph("t", (image,), (("scores", layer(rng, x, 10)),))


def floats() -> Graph:
    rng = np.random.default_rng(6)
    x: Op = inp(F32, 1, 16, 24, 24)
    for outputs, kernel in ((32, 3), (24, 1)):
        w = const(F32, rng.normal(0, (16 * kernel**2) ** -0.5, (outputs, x.shape[1], kernel, kernel)))
        x = Relu(Conv(x, w, const(F32, rng.normal(size=outputs)), pads=(kernel // 2,) * 4))
    return graph_of(x, Softmax(x, 1))


def split(made: BuildPlan) -> set[str]:
    """Mnemonics of the steps that are in pieces."""
    text = made.files["src/t.c"].decode()
    return set(re.findall(r"^static void t_s\d+_(\w+)_piece\(", text, re.M))


@pytest.mark.parametrize("core", ["host", "cortex-a53", "cortex-a710"])
@pytest.mark.parametrize("threads", [3, 64])
def test_pieces_backwards(core: str, threads: int) -> None:
    """The test program runs the last piece first."""
    if core != "host":
        need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    graph = network()
    made = plan(graph, load_target(core), {"name": "t", "threads": threads})
    assert split(made) == {"conv", "max_pool", "dense"} | ({"requantize"} if core != "host" else set())
    codes = random_frames(graph, 2, 3)
    result = run_plan(made, codes, core=core, compiler="gcc")
    found = first_difference(reference(graph, codes), result.layers, result.outputs)
    assert found is None, found


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a710"])
def test_rows_and_sequences(core: str) -> None:
    """Their pieces are channels: 37 rows of a dense layer, and a convolution along 90 places."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    rng = np.random.default_rng(8)
    rows, sequence = inp(BYTE, 1, 37, 64, name="rows"), inp(BYTE, 1, 24, 90, name="sequence")
    w, b = const(WEIGHT, rng.integers(-127, 128, (72, 64))), integers(rng.integers(-9000, 9000, 72), bits=32)
    out = Quantizer(BYTE, "half_up", "saturate")
    outputs: list[Op] = [Requantize(Dense(rows, w, b), integers([1 << 17]), integers([27]), None, out)]
    w = const(WEIGHT, rng.integers(-127, 128, (40, 24, 5)))
    y = Conv(sequence, w, integers(rng.integers(-9000, 9000, 40), bits=32), pads=(2, 2))
    outputs.append(Requantize(y, integers([1 << 17]), integers([27]), None, out))
    graph = graph_of(*outputs)
    made = plan(graph, load_target(core), {"name": "t", "threads": 3})
    memory = made.interface["memory"]
    assert split(made) == {"dense", "conv"}
    assert memory["arena_bytes"] <= 1.02 * memory["arena_lower_bound"]
    codes = random_frames(graph, 2, 3)
    result = run_plan(made, codes, core=core, compiler="gcc")
    found = first_difference(reference(graph, codes), result.layers, result.outputs)
    assert found is None, found


def test_floats_do_not_depend_on_threads() -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    graph = floats()
    made = plan(graph, load_target("cortex-a53"), {"name": "t", "threads": 4})
    assert split(made) == {"conv"}
    codes = random_frames(graph, 2, 3)
    result = run_plan(made, codes, core="cortex-a53", compiler="gcc")
    found = first_difference(reference(graph, codes), result.layers, result.outputs, tolerance=1e-5)
    assert found is None, found


def test_without_the_option_nothing_changes() -> None:
    one, none = (plan(network(), load_target("cortex-a53"), {"name": "t", **o}) for o in ({"threads": 1}, {}))
    assert one.files == none.files and not split(none)
    assert b"threads" not in b"".join(none.files.values())
    with pytest.raises(EdgecError, match="threads"):
        Options(threads=0)


def test_what_is_not_one_loop_is_not_shared() -> None:
    loop = ["  for (int32_t i0 = 0; i0 < 8; i0++) {", "    y[i0] = 0;", "  }"]
    assert shared(loop, 2) is not None
    assert shared(["  for (int32_t i1 = 0; i1 < 1; i1++) {", *loop, "  }"], 2) is not None
    assert shared([*loop, *loop], 2) is None
    assert shared([*loop, "  y[0] = 1;"], 2) is None
    assert shared(["  int32_t s = 0;", *loop], 2) is None
    assert shared(["  for (int32_t i1 = 0; i1 < 1; i1++) {", *loop, *loop, "  }"], 2) is None


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    options = Options(name="digits", threads=4, golden=3, passes="")
    return api.build(network(), "cortex-a710", tmp_path_factory.mktemp("threads") / "out", options)


def program(artefact: Artefact, folder: Path, core: str, flags: list[str]) -> Path:
    """The example with another model."""
    files = [artefact.path / f for f in artefact.manifest["interface"]["files"]]
    return compile_c(
        [*files, EXAMPLE / "main.c", EXAMPLE / "pool.c"], folder / "app", core=core, compiler="gcc",
        flags=[*FLAGS, *WARNINGS, "-pthread", *flags], link_flags=["-pthread", *flags],
        include_dirs=[artefact.path / "include", artefact.path / "sim", EXAMPLE],
    )  # fmt: skip


def test_the_example_under_thread_sanitizer(artefact: Artefact, tmp_path: Path) -> None:
    app = program(artefact, tmp_path, "host", ["-fsanitize=thread", "-g"])
    words = ["setarch", "-R", app, "4"]  # older sanitizers do not know every layout of memory
    said = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert (said.returncode, said.stdout, said.stderr) == (0, "3 frames in 4 threads, 0 wrong\n", "")


def test_the_sanitizer_would_see_a_race(artefact: Artefact, tmp_path: Path) -> None:
    """Pieces that all do the whole step."""
    root = tmp_path / "raced"
    for name in ("include/digits.h", "src/digits.c", "src/digits_constants.h", "src/digits_constants.c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        text = artefact.read(name).decode()
        (root / name).write_text(
            re.sub(r"(\w+)_piece\(void \*context, int32_t piece\) \{", r"\g<0>\n  piece = 0;", text)
        )
    files = [root / f for f in artefact.manifest["interface"]["files"]]
    app = compile_c(
        [*files, EXAMPLE / "main.c", EXAMPLE / "pool.c"], tmp_path / "app", core="host",
        flags=[*FLAGS, "-pthread", "-fsanitize=thread"], link_flags=["-pthread", "-fsanitize=thread"],
        include_dirs=[root / "include", artefact.path / "sim", EXAMPLE],
    )  # fmt: skip
    said = subprocess.run(["setarch", "-R", app, "4"], capture_output=True, text=True, timeout=300)
    assert "data race" in said.stderr


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_example_on_a_core(artefact: Artefact, tmp_path: Path, threads: str) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    app = program(artefact, tmp_path, "cortex-a710", [])
    run = run_aarch64(app, cpu="cortex-a710", args=[threads], count=False)
    assert run.stdout == f"3 frames in {threads} threads, 0 wrong\n".encode()


def test_vector_code_of_a_cortex_m_stays_whole() -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    graph = graph_of(layer(np.random.default_rng(4), inp(BYTE, 1, 6, 12, 13), 12, 3, pad=1))
    made = plan(graph, load_target("cortex-m4"), {"name": "t", "threads": 3})
    assert "#if T_DSP" in made.files["src/t.c"].decode() and not split(made)
    codes = random_frames(graph, 2, 3)
    result = run_plan(made, codes, core="cortex-m4", compiler="gcc")
    found = first_difference(reference(graph, codes), result.layers, result.outputs)
    assert found is None, found
