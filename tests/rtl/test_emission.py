"""The emitted SystemVerilog: equal to the evaluation in each simulator, as expressions and as cells; no warnings."""

from __future__ import annotations

import importlib.util
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rtl_support import Dut, RandomCircuit, planes_of, run_bench
from test_sums import S6, U8, neuron
from test_support import require_tool

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.emit import emit, library
from edgec.backends.rtl.circuit.evaluate import evaluate, simulate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.matrix import Matrix
from edgec.backends.rtl.circuit.multiply import Lanes, add_products, products
from edgec.backends.rtl.circuit.rounding import quantize
from edgec.backends.rtl.circuit.state import Register, instantiate
from edgec.backends.rtl.circuit.wire import Const, Input, Wire, cast, input_array, with_frac
from edgec.hw.sim import iverilog, verilator_bench
from edgec.hw.sim.bench import BenchResult

SAMPLES = 50
SIMULATORS: dict[str, Callable[..., BenchResult]] = {
    "verilator": verilator_bench.run_testbench,
    "iverilog": iverilog.run_testbench,
}


def trees() -> list[Dut]:
    """Neurons in both forms, with each kind of rounding."""
    duts = []
    for i, (form, drop, rounding) in enumerate(
        [("and", 0, "floor"), ("and", 4, "floor"), ("booth", 0, "floor"), ("booth", 5, "half_even"), ("and", 3, "away")]
    ):
        made = neuron(13, U8, S6, form, drop, rounding)
        circuit = Circuit(f"neuron{i}", made.output_ports, made.inputs)  # type: ignore[arg-type]
        rng = np.random.default_rng(i)
        x, w, b = (rng.integers(lo, hi, (SAMPLES, 13)) for lo, hi in ((0, 256), (-32, 32), (-32, 32)))
        data = {"x": planes_of(x, 8), "w": planes_of(w, 6), "b": b[:, 0]}
        duts.append(Dut(circuit, data, evaluate(circuit, data)))
    return duts


@pytest.mark.parametrize(
    ("simulator", "defines", "circuits"),
    [
        ("verilator", (), 30),  # cells in Verilator would take minutes to compile
        ("iverilog", (), 80),
        ("iverilog", ("EDGEC_CELLS",), 80),
    ],
)
def test_simulation_equals_evaluation(simulator: str, defines: tuple[str, ...], circuits: int, tmp_path: Path) -> None:
    require_tool(simulator)
    made = [RandomCircuit(seed, samples=SAMPLES) for seed in range(circuits)]
    duts = [Dut(m.circuit, m.inputs, m.outputs) for m in made if not m.circuit.sequential]
    assert len(duts) > circuits // 4
    result = run_bench([*duts, *trees()], tmp_path, SIMULATORS[simulator], defines)
    assert result.passed, result.output


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_registers_in_simulation(simulator: str, tmp_path: Path) -> None:
    require_tool(simulator)
    x, en = Input("x", S6), Input("en", Interval(0, 1))
    inner = Circuit("stage", {"q": Register(x, en)}, [x, en])
    held = instantiate(inner, "hold", x=Register(x), en=en)["q"][0]
    circuit = Circuit("clocked", {"q": held}, [x, en])
    rng = np.random.default_rng(0)
    data = {"x": rng.integers(-32, 32, SAMPLES), "en": np.r_[1, 1, 1, rng.integers(0, 2, SAMPLES - 3)]}
    outputs = simulate(circuit, data)
    result = run_bench([Dut(circuit, data, outputs)], tmp_path, SIMULATORS[simulator])
    # Before the first edges a simulated register holds anything.
    wrong = [line for line in result.output.splitlines() if " sample " in line]
    assert all(int(line.split("sample ")[1].split(":")[0]) < 2 for line in wrong), result.output
    assert (len(wrong) <= 2 and "errors" in result.output) or result.passed


def test_a_wrong_word_fails_the_bench(tmp_path: Path) -> None:
    require_tool("iverilog")
    dut = trees()[0]
    dut.outputs["y"][7] ^= 1  # type: ignore[index]
    result = run_bench([dut], tmp_path, iverilog.run_testbench)
    assert not result.passed and "sample 7" in result.output


def two_layers() -> Circuit:
    """A convolution 8x8 -> 4x4x8 and a dense layer 128 -> 16, the weights in registers."""

    def block(name: str, count: int, drop: int, bias_shift: int, width: int) -> Circuit:
        x, w, b = Lanes.input("x", count, U8), Lanes.input("w", count, S6), Input("b", S6)
        matrix = Matrix(8)
        add_products(matrix, products(x, w, drop, form="and"))
        matrix.add(b, bias_shift)
        out = Interval.of_bits(width, frac=8)
        return Circuit(name, {"y": cast(quantize(matrix.total(), out), out)}, [x.planes, w.planes, b])  # type: ignore[list-item]

    def loaded(port: str, count: int, taps: int) -> tuple[list[Input], list[list[Wire]]]:
        plane = Interval.of_bits(taps)
        inputs = input_array(port, 6 * count, plane)
        registers = [Register(i, write) for i in inputs]
        return inputs, [registers[6 * k : 6 * k + 6] for k in range(count)]  # type: ignore[misc]

    write = Input("write", Interval(0, 1))
    pixel, unit = block("pixel", 9, 5, 2, 8), block("neuron", 128, 4, 3, 9)
    image = input_array("x", 64, U8)
    conv_in, conv = loaded("conv", 8, 9)
    dense_in, dense = loaded("dense", 16, 128)
    held: list[Wire] = [Register(i) for i in image]
    zero = Const(0)
    activations = []
    for r, c in np.ndindex(4, 4):
        taps = [
            held[8 * (2 * r + i) + 2 * c + j] if 2 * r + i < 8 and 2 * c + j < 8 else zero
            for i in range(3)
            for j in range(3)
        ]
        planes = [cast(p, Interval.of_bits(9)) for p in Lanes.of(taps).planes]
        for f in range(8):
            y = instantiate(pixel, f"p{r}{c}{f}", x=planes, w=conv[f], b=zero)["y"][0]
            activations.append(Register(with_frac(y, 0)))
    planes = list(Lanes.of(activations).planes)
    outs = [Register(instantiate(unit, f"d{o}", x=planes, w=dense[o], b=zero)["y"][0]) for o in range(16)]
    return Circuit("encoder", {"y": outs}, [image, conv_in, dense_in, write])


def inputs_of(circuit: Circuit, images: np.ndarray, conv: np.ndarray, dense: np.ndarray) -> dict[str, np.ndarray]:
    """Stimuli: the same weights in every cycle, [8, 9] and [16, 128]; images [cycles, 64]."""
    cycles = len(images)
    weights = {
        name: np.concatenate([planes_of(row[None], 6)[0] for row in w])
        for name, w in (("conv", conv), ("dense", dense))
    }
    return {"x": images, "write": np.ones(cycles, int)} | {k: np.tile(v, (cycles, 1)) for k, v in weights.items()}


@pytest.fixture(scope="module")
def encoder() -> Dut:
    circuit = two_layers()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 64)) * (rng.random((30, 64)) < 0.5)
    data = inputs_of(circuit, images, rng.integers(-32, 32, (8, 9)), rng.integers(-32, 32, (16, 128)))
    conv, dense = rng.integers(-32, 32, (8, 9)), rng.integers(-32, 32, (16, 128))
    data = inputs_of(circuit, images, conv, dense)
    padded = np.zeros((30, 9, 9), int)
    padded[:, :8, :8] = images.reshape(-1, 8, 8)
    patches = np.stack([padded[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].reshape(-1, 9) for r, c in np.ndindex(4, 4)], 1)
    hidden = np.clip((patches[:, :, None] * conv >> 5).sum(3), 0, 255).reshape(30, 128)
    return Dut(circuit, data, {"y": np.clip((hidden[:, None] * dense >> 4).sum(2), 0, 511)})


def test_two_layers_equal_numpy(encoder: Dut) -> None:
    np.testing.assert_array_equal(evaluate(encoder.circuit, encoder.inputs)["y"], encoder.outputs["y"])


def test_generating_two_layers_takes_little_time() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    emit(two_layers())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 5


@pytest.mark.long
def test_two_layers_build_in_verilator_within_a_minute(encoder: Dut, tmp_path: Path) -> None:
    """Measured: 25 s of CPU; instances compiled one by one would take minutes."""
    require_tool("verilator")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    late = {"y": np.concatenate([np.zeros((3, 16), int), encoder.outputs["y"][:-3]])}
    held = simulate(encoder.circuit, encoder.inputs)
    np.testing.assert_array_equal(held["y"][3:], late["y"][3:])
    result = run_bench([Dut(encoder.circuit, encoder.inputs, late)], tmp_path, verilator_bench.run_testbench)
    wrong = [line for line in result.output.splitlines() if "sample" in line]
    # The first cycles show registers as they came up.
    assert all(int(line.split("sample ")[1].split(":")[0]) < 3 for line in wrong), result.output
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60


@pytest.mark.parametrize("defines", [(), ("EDGEC_CELLS",)], ids=["words", "cells"])
def test_no_warnings(defines: tuple[str, ...], tmp_path: Path) -> None:
    require_tool("verilator")
    made = [RandomCircuit(seed).circuit for seed in range(12)]
    neurons = [dut.circuit for dut in trees()]
    for circuit in [*made, *neurons]:
        files = emit(circuit) | library()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        warnings = verilator_bench.lint([tmp_path / name for name in files], circuit.name, defines=defines)
        assert warnings == []


def test_emission_is_deterministic(encoder: Dut) -> None:
    assert emit(two_layers()) == emit(encoder.circuit)


def test_yosys_reads_the_design(encoder: Dut, tmp_path: Path) -> None:
    if importlib.util.find_spec("pyosys") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("pyosys is not installed")
        pytest.skip("pyosys is not installed")
    from pyosys import libyosys

    files = emit(encoder.circuit) | library()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for defines in ("", "-DEDGEC_CELLS"):
        design = libyosys.Design()
        names = " ".join(str(tmp_path / name) for name in files)
        libyosys.run_pass(f"read_verilog -sv {defines} {names}", design)
        libyosys.run_pass("hierarchy -check -top encoder", design)
        libyosys.run_pass("proc", design)
        libyosys.run_pass("check -assert", design)
