"""Winograd's method: which weights are stored transformed, what that costs, and floats in every order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_support import const, graph_of, inp

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.backends.c.fp32.winograd import FloatWinograd
from edgec.backends.c.vector.order import Order, Size, constant_bytes, decided, least
from edgec.comparison import first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.hw.arm.size import loaded_bytes
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS, run_plan
from edgec.interp import random_frames
from edgec.ops import Conv, Op, Relu, Requantize, Transpose, integers
from edgec.options import Options
from edgec.target import load_target

sys.path.insert(0, str(Path(__file__).parents[1] / "hw"))
from hw_support import need

NEON = "cortex-a72"


def floats(widths: list[int], size: int) -> Graph:
    """3 x 3 convolutions of binary32 behind each other."""
    rng = np.random.default_rng(4)
    x: Op = inp(F32, 1, widths[0], size, size - 1)
    for outputs in widths[1:]:
        w = rng.standard_normal((outputs, x.shape[1], 3, 3)) / (9 * x.shape[1]) ** 0.5
        b = const(F32, rng.standard_normal(outputs))
        x = Relu(Conv(x, const(F32, w), b, pads=(1, 1, 1, 1)))
    return graph_of(Transpose(x, (0, 2, 3, 1)))


def integers_of(widths: list[int], size: int) -> Graph:
    """3 x 3 convolutions of bytes behind each other."""
    rng = np.random.default_rng(4)
    byte, narrow = Affine(Integer(8), (0.5,), (3,)), Affine(Integer(8), (0.1,), (0,))
    x: Op = inp(byte, 1, widths[0], size, size)
    for outputs in widths[1:]:
        w = const(narrow, np.clip(np.round(rng.normal(0, 30, (outputs, x.shape[1], 3, 3))), -127, 127))
        sums = Conv(x, w, integers(rng.integers(-9999, 9999, outputs), bits=32), pads=(1, 1, 1, 1))
        scale = round(2**30 * 0.02 / x.shape[1] ** 0.5)
        x = Relu(Requantize(sums, integers([scale]), integers([30]), None, Quantizer(byte, "half_up", "saturate"), 1))
    return graph_of(Transpose(x, (0, 2, 3, 1)))


def made(graph: Graph, policy: str) -> BuildPlan:
    return plan(graph, load_target(NEON), {"name": "t", "winograd": policy})


def source(built: BuildPlan) -> str:
    return built.files["src/t.c"].decode()


def size_of(built: BuildPlan, folder: Path, compiler: str = "gcc") -> tuple[int, list[Path]]:
    """Bytes of the model's objects."""
    for name, data in built.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    objects = []
    for name in built.interface["files"]:
        out = folder / f"{Path(name).stem}.o"
        places = [folder / "include", folder / "src"]
        objects.append(
            compile_c([folder / name], out, core=NEON, compiler=compiler, link=False, flags=FLAGS, include_dirs=places)
        )
    return loaded_bytes(objects), objects


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("kind", ["int8", "float"])
def test_a_model_stays_within_its_packed_weights(kind: str, compiler: str, tmp_path: Path) -> None:
    """1.3 times these and 60 kB: with stored transformed weights of all layers it would not."""
    need("aarch64-linux-gnu-gcc", *(["zig"] if compiler == "zig" else []))
    graph = (integers_of if kind == "int8" else floats)([16, 16, 32, 32, 64, 64], 16)
    auto = made(graph, "auto")
    packed, _ = constant_bytes(auto.graph or graph)
    assert packed == (1 if kind == "int8" else 4) * 9 * (16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    limit = 1.3 * packed + 60_000
    whole, _ = size_of(auto, tmp_path, compiler)
    assert whole <= limit
    assert size_of(made(graph, "stored"), tmp_path, compiler)[0] > limit
    # what fits is stored, so that the room is used
    assert whole > size_of(made(graph, "computed"), tmp_path, compiler)[0]
    memory = auto.interface["memory"]
    assert memory["arena_bytes"] <= 1.02 * memory["arena_lower_bound"]


def test_sizes_are_those_of_binutils(tmp_path: Path) -> None:
    need("aarch64-linux-gnu-gcc")
    total, objects = size_of(made(integers_of([16, 16], 8), "auto"), tmp_path)
    lines = subprocess.run(
        ["aarch64-linux-gnu-size", *objects], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    rows = [list(map(int, line.split()[:3])) for line in lines[1:]]
    assert total == sum(map(sum, rows))
    (tmp_path / "short.o").write_bytes(objects[0].read_bytes()[:40])
    (tmp_path / "text.o").write_text("no object")
    for name in ("short.o", "text.o", "missing.o"):
        with pytest.raises(EdgecError, match="E0202"):
            loaded_bytes([tmp_path / name])


@pytest.mark.parametrize("policy", ["auto", "stored", "computed", "off"])
def test_policies(policy: str) -> None:
    graph = integers_of([16, 16, 16, 64, 64], 12)
    text = source(made(graph, policy))
    assert ("t_winograd_patch(" in text) == (policy != "off")
    assert ("t_winograd_weights(" in text) == (policy in ("auto", "computed"))
    assert Options(winograd=policy).as_dict()["winograd"] == policy
    with pytest.raises(EdgecError, match="winograd"):
        Options(winograd="sometimes")


def test_room_goes_to_the_layers_that_gain_most() -> None:
    def pair(saved: float, beyond: int) -> list[Order]:
        return [Order(False, True, 8, 1000 + saved, 500), Order(True, False, 8, 1000, 100, beyond)]

    layers = {"a": pair(50, 100), "b": pair(90, 100), "c": pair(10, 10), "d": pair(900, 5000)}
    layers["e"] = pair(5, 20)[1:]  # no order with computed weights

    def stored(policy: str, room: float) -> str:
        return "".join(sorted(key for key, order in decided(layers, policy, room).items() if order.stored))

    assert stored("auto", 0) == ""
    assert set(decided(layers, "auto", 0)) == set("abcd")
    assert stored("auto", 130) == "bce"
    assert stored("auto", 250) == "abce"
    assert stored("stored", 0) == "abcde"
    assert stored("computed", 1e9) == ""
    assert decided(layers, "off", 1e9) == {}


def test_memory_against_instructions() -> None:
    size = Size(64, 8, 4, 9, 2, 4, 4, 16)
    orders = size.computed(FloatWinograd.PRICES)
    best, small = least(orders, 1 << 30), least(orders, 110_000)
    assert best is not None and best.kept and best.channels == 64
    assert small is not None and small.scratch <= 110_000 < best.scratch and small.instructions > best.instructions
    assert least(orders, 1000) is None


@pytest.mark.parametrize("order", ["kept", "again", "kept parts", "again parts"])
def test_floats_in_every_order(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")

    def candidates(cls: type[FloatWinograd], layer: Any, others: float) -> tuple[Order, ...]:
        orders = [o for o in cls.size_of(layer).computed(cls.PRICES) if o.kept == ("kept" in order)]
        return (min(orders, key=lambda o: o.channels * (1 if "parts" in order else -1)),)

    monkeypatch.setattr(FloatWinograd, "orders", classmethod(candidates))
    graph = floats([12, 32, 16, 32], 13)
    built = made(graph, "computed")
    assert source(built).count("t_float_winograd_weights(t_k") == 3
    assert ("t_float_winograd_more(" in source(built)) == ("parts" in order)
    frames = random_frames(graph, 2, 7)
    result = run_plan(built, frames, core=NEON, compiler="gcc")
    found = first_difference(reference(graph, frames), result.layers, result.outputs, tolerance=1e-5)
    assert found is None, found
