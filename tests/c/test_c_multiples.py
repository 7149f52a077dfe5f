"""Weights of bytes in layers of binary32: found by their values, stored as bytes where a model gets too large."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from c_support import const, graph_of, inp

from edgec.backends.c import plan
from edgec.backends.c.multiples import multiples
from edgec.backends.c.vector.order import ROOM, SHARE, constant_bytes
from edgec.comparison import first_difference, reference
from edgec.formats import F32, Affine, Integer
from edgec.graph import Graph
from edgec.hw.arm.size import loaded_bytes
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS, run_plan
from edgec.interp import random_frames
from edgec.ops import Conv, Dequantize, Op, Relu, Reshape
from edgec.ops import Dense as DenseOp
from edgec.target import load_target

sys.path.insert(0, str(Path(__file__).parents[1] / "hw"))
from hw_support import need


@pytest.mark.parametrize("seed", range(20))
def test_codes_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = int(rng.integers(1, 128))
    codes = rng.integers(-most, most + 1, (7, 5)).astype(np.int8)
    unit = np.float32(np.exp(rng.uniform(-12, 3)))
    values = codes.astype(np.float32) * unit
    found = multiples(values)
    assert (found is None) == (not codes.any())
    if found is not None:
        assert found.codes.dtype == np.int8 and found.codes.shape == values.shape
        assert (found.codes.astype(np.float32) * found.unit == values).all()


def test_other_numbers_are_not() -> None:
    rng = np.random.default_rng(0)
    assert multiples(rng.standard_normal((16, 3)).astype(np.float32)) is None
    assert multiples(np.arange(-300, 300, dtype=np.float32)) is None
    assert multiples(np.array([3, 131, 255], np.float32)) is None  # bytes with a zero point
    for bad in (np.nan, np.inf):
        assert multiples(np.array([1, bad], np.float32)) is None
    assert multiples(np.zeros(3, np.float32)) is None
    assert multiples(np.zeros(0, np.float32)) is None
    assert multiples(np.array([1e-40, 2e-40], np.float32)) is None
    assert multiples(np.arange(4.0)) is None


def network(layers: int) -> Graph:
    """Layers of bytes in floats: 3 x 3, pointwise, a dense one whose outputs fill no vector."""
    rng = np.random.default_rng(9)

    def bytes_of(*shape: int) -> Op:
        scale = float(np.float32(1 / 127 / np.sqrt(np.prod(shape[1:]))))
        return Dequantize(const(Affine(Integer(8), (scale,), (0,)), rng.integers(-127, 128, shape)))

    x: Op = inp(F32, 1, 3, 6, 7)
    y: Op = Relu(Conv(x, bytes_of(72, 3, 3, 3), const(F32, rng.standard_normal(72)), (2, 1), (1, 1, 1, 1)))
    for _ in range(layers):
        y = Relu(Conv(y, bytes_of(72, 72, 1, 1), const(F32, rng.standard_normal(72))))
    flat = Reshape(y, (1, y.tensor.size))
    return graph_of(DenseOp(flat, bytes_of(3, flat.shape[1]), const(F32, rng.standard_normal(3))))


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_a_model_stays_within_its_packed_weights(compiler: str, tmp_path: Path) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", *(["zig"] if compiler == "zig" else []))
    graph = network(6)
    packed, _ = constant_bytes(graph)
    assert packed == 72 * 27 + 6 * 72 * 72 + 3 * 72 * 21
    built = plan(graph, load_target("cortex-a72"), {"name": "t"})
    assert built.files["src/t.c"].decode().count("t_float_expand(t_k") > 1
    for name, data in built.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    objects = []
    for name in built.interface["files"]:
        objects.append(tmp_path / f"{Path(name).stem}.o")
        compile_c(
            [tmp_path / name], objects[-1], core="cortex-a72", compiler=compiler, link=False, flags=FLAGS,
            include_dirs=[tmp_path / "include", tmp_path / "src"],
        )  # fmt: skip
    assert 0.6 * (SHARE * packed + ROOM) < loaded_bytes(objects) <= SHARE * packed + ROOM
    frames = random_frames(graph, 2, 3)
    result = run_plan(built, frames, core="cortex-a72", compiler=compiler)
    found = first_difference(reference(graph, frames), result.layers, result.outputs, tolerance=1e-5)
    assert found is None, found


def test_small_models_keep_floats() -> None:
    built = plan(network(1), load_target("cortex-a72"), {"name": "t"})
    assert "t_float_expand(" not in built.files["src/t.c"].decode()
