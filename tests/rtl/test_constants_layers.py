"""Layers of constant weights whatever their outputs share: the same numbers, fewer cells, one module a tap pattern."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_support import require_tool

from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.circuit.emit import emit, library
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.design import build_modules
from edgec.cli import cli
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Format, Quantizer, TensorType
from edgec.formats_compressed import Binary
from edgec.graph import Graph
from edgec.hw.sim import verilator_bench
from edgec.interp import random_frames, run
from edgec.ops import Constant, Conv, Dense, Input
from edgec.options import SHARING, Options


def constant_of(data: np.ndarray, fmt: Format) -> Constant:
    return Constant(data, type=TensorType(fmt, data.shape))


def dense(inputs: int, outputs: int, seed: int, binary: bool = False, product: Quantizer | None = None) -> Graph:
    rng = np.random.default_rng(seed)
    x = Input(name="x", type=TensorType(Binary() if binary else Fixed(8, 0, False), (inputs,)))
    if binary:
        w = constant_of(rng.integers(0, 2, (outputs, inputs)), Binary())
        b = None
    else:
        w = constant_of(rng.integers(-31, 32, (outputs, inputs)), Fixed(6, 1))
        b = constant_of(rng.integers(-31, 32, outputs), Fixed(6, 1))
    return Graph("net", (x,), (("y", Dense(x, w, b, product)),))


def conv(seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    x = Input(name="x", type=TensorType(Fixed(4, 0, False), (1, 2, 5, 5)))
    w = constant_of(rng.integers(-7, 8, (6, 2, 3, 3)), Fixed(4, 0))
    return Graph("net", (x,), (("y", Conv(x, w, strides=(1, 1), pads=(1, 1, 1, 1))),))


def outputs_of(graph: Graph, sharing: str, frames: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """What the one layer of `graph` computes, and its gate equivalents."""
    builder, _ = build_modules(graph, "dut", False, sharing)
    (module,) = builder.modules
    data = {port: frames[signal.op.name].reshape(len(frames["x"]), -1) for port, signal in module.reads.items()}
    (found,) = evaluate(module.circuit, {p: d.astype(np.int64) for p, d in data.items()}, check=True).values()
    return found, gate_equivalents(module.circuit.cells)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("name", ["dense", "binary", "conv"])
def test_layers_equal_the_interpreter(name: str, sharing: str) -> None:
    graph = {"dense": dense(20, 7, 1), "binary": dense(40, 12, 2, binary=True), "conv": conv(3)}[name]
    frames = random_frames(graph, 30, 5)
    expected = run(graph, frames)["y"].reshape(30, -1)
    found, cost = outputs_of(graph, sharing, frames)
    np.testing.assert_array_equal(found, expected)
    separate = outputs_of(graph, "none", frames)[1]
    if sharing == "auto" or sharing == ("mst" if name == "binary" else "shared"):
        assert cost < 0.9 * separate


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99), st.booleans())
def test_small_layers(inputs: int, outputs: int, seed: int, binary: bool) -> None:
    graph = dense(inputs, outputs, seed, binary)
    frames = random_frames(graph, 12, seed)
    np.testing.assert_array_equal(
        outputs_of(graph, "shared", frames)[0].reshape(12, -1), run(graph, frames)["y"].reshape(12, -1)
    )


def test_rounded_products_stay_separate() -> None:
    """They are not linear: sharing a sum of inputs would round another number."""
    graph = dense(12, 4, 0, product=Quantizer(Fixed(12, 4), "floor", "wrap"))
    frames = random_frames(graph, 40, 1)
    found, cost = outputs_of(graph, "shared", frames)
    np.testing.assert_array_equal(found, run(graph, frames)["y"].reshape(40, -1))
    assert cost == outputs_of(graph, "none", frames)[1]


def test_one_module_a_tap_pattern() -> None:
    builder, _ = build_modules(conv(3), "dut", False, "shared")
    (module,) = builder.modules
    instances = module.circuit.instances
    assert len(instances) == 25
    assert len({id(i.circuit) for i in instances}) == 9  # the inside, four edges, four corners


def test_no_warnings(tmp_path: Path) -> None:
    require_tool("verilator")
    builder, _ = build_modules(dense(20, 7, 1), "dut", False, "shared")
    circuit = builder.modules[0].circuit
    for name, text in (files := emit(circuit) | library()).items():
        (tmp_path / name).write_text(text)
    for defines in ((), ("EDGEC_CELLS",)):
        paths = [tmp_path / name for name in files]
        assert verilator_bench.lint(paths, circuit.name, defines=defines) == []


def test_the_option() -> None:
    assert Options().as_dict()["constant_sharing"] == "auto"
    with pytest.raises(EdgecError, match="constant_sharing"):
        Options(constant_sharing="most")
    assert "--constant-sharing" in CliRunner().invoke(cli, ["build", "--help"]).output
