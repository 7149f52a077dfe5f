"""Compressed networks to the last wire: RTL with fixed and with loaded weights, and QONNX, against the interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from blocks_support import Design, check_modules, frames_of
from test_support import require_tool

import edgec
from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.design import build_modules
from edgec.formats import Affine, Format, Integer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Input
from edgec.options import Options

sys.path.append(str(Path(__file__).parents[1] / "passes"))
from compress_nets import AFTER, compressed, frames, net

RECIPES = {
    "pow2": "pow2{bits=3,keep_first=false}",
    "pow2z": "pow2{bits=4,zero=true,keep_first=false,keep_last=false}",
    "shift only": "pow2{scale=pow2,per_channel=false}",
    "ternary": "prune{sparsity=0.4},ternary{keep_last=false}",
    "binary weights": "binary{keep_last=false}",
    "binary": "ternary{layers=conv0},binary{activations=binary,keep_last=false}",
    "compensated": "prune{compensate=full},ternary{compensate=full,keep_first=false}",
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("loaded", [False, True], ids=["fixed", "loaded"])
def test_every_module_equals_the_interpreter(name: str, loaded: bool) -> None:
    graph, _ = compressed(RECIPES[name], net(3, pads=int(name == "pow2")), AFTER)
    check_modules(graph, loaded)


@pytest.mark.parametrize("name", RECIPES)
def test_simulation_and_onnxruntime_equal_the_interpreter(name: str, tmp_path: Path) -> None:
    """An artefact of the whole flow; the weights come through the register bank's image."""
    require_tool("iverilog")
    model = net(3, pads=int(name == "pow2"))
    options = Options(
        weights="loaded", passes=f"fold-constants,fuse,{RECIPES[name]},{AFTER}", max_area_kge=1e6, golden=16
    )
    artefact = edgec.build(model, "gate-equivalents", tmp_path / "out", options, calibration=frames(model))
    assert edgec.verify(artefact, on=("icarus", "onnxruntime"), vectors=24)["ok"]


def test_fixed_weights_in_simulation(tmp_path: Path) -> None:
    require_tool("verilator")
    graph, _ = compressed(RECIPES["binary"], net(4), AFTER)
    design = Design(graph, "fixed", tmp_path)
    assert design.difference(frames_of(graph, 200)) is None
    design.close()


def layer(fmt: Format, terms: int = 16, x: Format | None = None, outputs: int = 2) -> Graph:
    """One dense layer of 8-bit activations (or `x`) and random weights of `fmt`."""
    source = Input("x", type=TensorType(x or Integer(8, False), (1, terms)))
    low, high = fmt.code_range
    codes = np.random.default_rng(1).integers(low, high, (outputs, terms), endpoint=True)
    return Graph("layer", (source,), (("y", Dense(source, Constant(codes, type=TensorType(fmt, codes.shape)))),))


def gates(fmt: Format, loaded: bool, x: Format | None = None) -> float:
    """NAND2 equivalents of the arithmetic (no registers)."""
    builder, _ = build_modules(layer(fmt, x=x), "dut", loaded)
    return sum(gate_equivalents(m.circuit.cells) for m in builder.modules)


def test_loaded_shifts_and_signs_are_smaller_than_multipliers() -> None:
    eight = gates(Integer(8), True)
    assert gates(Pow2(4), True) < 0.7 * eight
    assert gates(Pow2(3), True) < 0.55 * eight
    assert gates(Pow2(3), True) < gates(Pow2(4), True) < gates(Pow2(5), True)
    assert gates(Ternary(), True) < gates(Integer(2), True) < 0.5 * eight
    assert gates(Binary(), True) < gates(Ternary(), True)


def test_binary_activations_cost_a_gate_a_product() -> None:
    """XNOR and popcount: 16 products of two binary numbers are a fifth of those with 8-bit activations."""
    scaled = Affine(Binary(), (0.1,))
    for loaded in (False, True):
        assert gates(scaled, loaded, scaled) < 0.2 * gates(scaled, loaded)


@pytest.mark.parametrize("base", [Binary(), Ternary(), Pow2(2), Pow2(5), Pow2(4, zero=True)], ids=str)
@pytest.mark.parametrize(
    "x", [Integer(5), Integer(4, False), Integer(1, False), Binary(), Affine(Binary(), (0.3,))], ids=str
)
def test_extreme_weights_and_activations(base: Format, x: Format) -> None:
    """All codes of the weights in one layer, each end of the activations; padding sees no weight at all."""
    codes = np.arange(base.code_range[0], base.code_range[1] + 1)
    codes = np.resize(codes, (3, 2 * len(codes)))
    source = Input("x", type=TensorType(x, (1, codes.shape[1])))
    weights = Constant(codes, type=TensorType(Affine(base, (0.7,)), codes.shape))
    check_modules(Graph("extreme", (source,), (("y", Dense(source, weights)),)), True)
    kernel = Constant(np.resize(codes, (2, 1, 3, 3)), type=TensorType(base, (2, 1, 3, 3)))
    image = Input("x", type=TensorType(x, (1, 1, 4, 4)))
    check_modules(Graph("padded", (image,), (("y", Conv(image, kernel, pads=(1, 1, 1, 1))),)), True)
