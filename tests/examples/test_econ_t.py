"""The flagship example against its independent integer model, in the interpreter and in simulated RTL."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from test_support import require_tool

import edgec
from edgec.api import compile_model
from edgec.interp import run
from edgec.options import Options

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "econ_t"
NETWORKS = [("8x8x1", "8x8x1"), ("8x8x1", "8x8x1_second"), ("4x4x3", "4x4x3")]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(EXAMPLE / "golden.npz") as data:
        return dict(data)


@pytest.mark.parametrize("numerics", ["econ-t", "exact"])
@pytest.mark.parametrize(("design", "network"), NETWORKS)
def test_interpreter_equals_the_independent_model(golden, design: str, network: str, numerics: str) -> None:
    options = Options(numerics=numerics)
    compiled = compile_model(EXAMPLE / f"econ_t_{network}.onnx", "asic65nm", options)
    tag = f"{numerics.replace('-', '_')}_{network}"
    for kind, wanted in (("x", f"code_{tag}"), ("stress_x", f"stress_{tag}")):
        x = golden[f"{kind}_{design}"][:, None]
        (codes,) = run(compiled.graph, {"x": x}).values()
        assert np.array_equal(codes.reshape(len(x), 16), golden[wanted])


def test_the_profiles_differ_on_real_events(golden) -> None:
    """A compiler that ignored the per-product rounding would pass one profile only."""
    assert not np.array_equal(golden["code_econ_t_8x8x1"], golden["code_exact_8x8x1"])


@pytest.mark.parametrize("weights", ["loaded", "fixed"])
def test_rtl_equals_the_reference(tmp_path: Path, golden, weights: str) -> None:
    """Latency 2, initiation interval 1, 0 wrong words; with loaded weights a second network fits the hardware."""
    require_tool("verilator")
    options = Options(weights=weights, numerics="econ-t", name="encoder")
    out = tmp_path / "out"
    artefact = edgec.build(EXAMPLE / "econ_t_8x8x1.onnx", "asic65nm", out, options)
    result = edgec.verify(artefact, vectors=2000, on=("verilator", "icarus"))
    assert result["ok"]
    verilator = result["parties"][0]
    assert (verilator["latency"], verilator["initiation_interval"]) == (2, 1)
    assert artefact.manifest["interface"]["latency"] == 2
    if weights == "fixed":
        return
    second = edgec.build(EXAMPLE / "econ_t_8x8x1_second.onnx", "asic65nm", tmp_path / "second", options)
    assert (second.path / "rtl/encoder.sv").read_bytes() == (out / "rtl/encoder.sv").read_bytes()
    x = golden["x_8x8x1"].astype(np.float64) / 128
    outputs = edgec.cosim(artefact, {"x": x}, weights=second.path / "rtl/weights.img")["outputs"]
    (codes,) = outputs.values()
    assert np.array_equal(codes.reshape(-1, 16), golden["code_econ_t_8x8x1_second"])


def test_full_chain_equals_the_independent_model(tmp_path: Path, monkeypatch, golden) -> None:
    """Normaliser, cell map, encoder and output packing as one design."""
    require_tool("verilator")
    target = tmp_path / "full.onnx"
    monkeypatch.setattr("sys.argv", ["full_chain.py", str(EXAMPLE / "econ_t_8x8x1.onnx"), str(target), "--keep", "5"])
    runpy.run_path(str(EXAMPLE / "full_chain.py"), run_name="__main__")
    options = Options(weights="loaded", numerics="econ-t")
    artefact = edgec.build(target, "asic65nm", tmp_path / "out", options)
    assert edgec.verify(artefact, vectors=500)["ok"]
    outputs = edgec.cosim(artefact, {"charges": golden["charges_8x8x1"].astype(np.float64)})["outputs"]
    bits = outputs["frame"].reshape(-1, 16, 5)
    packed = (bits << np.arange(5)).sum(-1)
    assert np.array_equal(packed, golden["code_econ_t_8x8x1"] >> 4)
    total = golden["charges_8x8x1"].astype(np.int64).sum(1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(total, 1))).astype(int) - 3, 0)
    mantissa = np.where(exponent > 0, (total >> np.maximum(exponent - 1, 0)) & 15, total)
    assert np.array_equal(outputs["sum"].ravel(), exponent << 4 | mantissa)
