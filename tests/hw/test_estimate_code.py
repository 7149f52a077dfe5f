"""Estimates of C code without tools: constants, published latencies and energies, and the formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hw.estimate import estimate
from edgec.hw.estimate.traced import estimate_traced
from edgec.ops import Constant, Conv, Input, Op, Relu, Requantize, Softmax, Transpose
from edgec.target import Target, load_target

DATA = Path(__file__).parent / "data"
LATENCY: dict[str, Any] = json.loads((DATA / "arm_latency.json").read_text())
KERNELS: dict[str, list[dict[str, Any]]] = json.loads((DATA / "arm_kernels.json").read_text())
A76 = load_target("cortex-a76")
CODES = Affine(Integer(8), (0.05,), (0,))
# MLPerf Tiny, closed division, measured: inferences per second and microjoules of each (mlcommons/tiny_results_v0.7,
# v1.0, v1.1). STM32L4R5 at 120 MHz: microTVM, microTVM with CMSIS-NN, Skymizer, X-CUBE-AI thrice. STM32H7A3 at 280 MHz.
L4R5 = [
    (2.57, 21342), (6.94, 7951), (2.97, 17132), (85.3, 634), (2.57, 20236), (10.02, 5230), (3.32, 15531), (116.2, 443),
    (3.35, 12684), (12.2, 3455), (5.81, 7478), (123.9, 335), (3.96, 12298), (10.2, 4636), (3.93, 12293), (103, 431),
    (4.41, 10682), (13.3, 3372), (4.34, 10067), (132, 323), (4.67, 7019), (15.9, 2833), (8.43, 5618), (146, 294),
]  # fmt: skip
H7A3 = [(19.25, 6311), (65.1, 1869), (33.75, 3699), (550, 221)]


def _scaled(board: dict[str, Any], network: str) -> float:
    """Estimated over published time."""
    cycles = LATENCY["traces"][board["core"]][network]["cycles"]
    scale = load_target(board["core"]).constant("cycles.trace_scale").nominal
    return scale * cycles / (1e3 * board["clock_mhz"]) / board["latency_ms"][network]


def _entries(calibration: bool) -> list[tuple[dict[str, Any], str]]:
    boards = [b for b in LATENCY["boards"] if "apart" not in b]
    return [(b, n) for b in boards for n in b["latency_ms"] if (n in b["calibration"]) == calibration]


def test_published_latencies_that_took_no_part_in_the_calibration() -> None:
    errors = [abs(_scaled(board, network) - 1) for board, network in _entries(False)]
    assert len(errors) >= 70
    assert np.mean(errors) < 0.11 and max(errors) < 0.35


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_the_scale_is_that_of_the_calibration_entries(core: str) -> None:
    ratios = [math.log(_scaled(board, network)) for board, network in _entries(True) if board["core"] == core]
    assert len(ratios) == 3
    assert abs(np.mean(ratios)) < 0.01


MEANS = {
    "cortex-a53": 0.075, "cortex-a55": 0.065, "cortex-a72": 0.06, "cortex-a76": 0.055, "cortex-a78": 0.055,
    "cortex-x1": 0.065, "cortex-a510": 0.075, "cortex-a710": 0.06,
    "cortex-m4": 0.07, "cortex-m7": 0.06, "cortex-m55": 0.05,
}  # fmt: skip
BEYOND = {"cortex-a710": {("kws_ref_model_float32", "s11_softmax"), ("pretrainedResnet", "s14_softmax")}}
"""Kernels that are not within 20 %, of which docs/estimates-arm.md says why."""


@pytest.mark.parametrize("core", MEANS)
def test_prices_of_work_against_traces_of_networks_that_were_not_fitted(core: str) -> None:
    """Kernels of ResNet8, DS-CNN, MobileNetV1-0.25 and the autoencoder of MLPerf Tiny, in int8 and on A cores in
    binary32, are within 20 % of their traces. Of those below 100 cycles the marks of the trace are a good part."""
    target, errors = load_target(core), {}
    for row in KERNELS[core]:
        cycles = sum(target.constant(f"cycles.{kind}").nominal * count for kind, count in row["work"].items())
        if row["cycles"] >= 100:
            errors[row["network"], row["kernel"]] = abs(cycles / row["cycles"] - 1)
    assert len({network for network, _ in errors}) == (4 if core.startswith("cortex-m") else 8)
    assert len(errors) >= (64 if core.startswith("cortex-m") else 125)
    assert np.mean(list(errors.values())) < MEANS[core]
    assert {kernel for kernel, error in errors.items() if error > 0.2} == BEYOND.get(core, set())


@pytest.mark.parametrize("core", MEANS)
def test_prices_of_work_against_traces_of_whole_networks(core: str) -> None:
    target = load_target(core)
    for network in {row["network"] for row in KERNELS[core]}:
        rows = [row for row in KERNELS[core] if row["network"] == network]
        cycles = sum(target.constant(f"cycles.{k}").nominal * n for row in rows for k, n in row["work"].items())
        assert cycles == pytest.approx(sum(row["cycles"] for row in rows), rel=0.15), network


@pytest.mark.parametrize(("core", "results"), [("cortex-m4", L4R5), ("cortex-m7", H7A3)])
def test_published_energies_have_the_power_of_the_target(core: str, results: list[tuple[float, float]]) -> None:
    power = load_target(core).constant("power.active_mw")
    measured = [throughput * energy * 1e-3 for throughput, energy in results]
    assert all(power.low * 0.99 <= p <= power.high * 1.01 for p in measured)
    assert np.median(measured) == pytest.approx(power.nominal, rel=0.05)


CONSTANTS = {"pretrainedResnet_quant": 80111, "kws_ref_model": 26659, "vww_96_int8": 229991, "ad01_int8": 270917}
"""Bytes of what the steps of MLPerf Tiny's networks read from flash memory."""


@pytest.mark.parametrize(("core", "others", "judged"), [("cortex-m4", L4R5[:-4], L4R5[-4:]), ("cortex-m7", H7A3, H7A3)])
def test_energy_against_published_results(
    core: str, others: list[tuple[float, float]], judged: list[tuple[float, float]]
) -> None:
    """X-CUBE-AI v1.1, whose kernels are of the kind of ours: cycles of our traces and of the flash memory, times the
    power of the same chip in results other than the one that is judged."""
    target = load_target(core)
    scale, clock = target.constant("cycles.trace_scale").nominal, target.options["clock_mhz"]
    for k, (network, size) in enumerate(CONSTANTS.items()):
        power = np.median([throughput * energy * 1e-3 for throughput, energy in set(others) - {judged[k]}])
        cycles = scale * sum(row["cycles"] for row in KERNELS[core] if row["network"] == network)
        cycles += size * target.constant("flash.cycles_byte").nominal
        assert cycles / clock * power * 1e-3 == pytest.approx(judged[k][1], rel=0.3), network


def _network(
    channels: int = 16, filters: int = 32, size: int = 10, kernel: int = 1, groups: int = 1, name: str = "x"
) -> Graph:
    """A convolution between memories that lie channels last."""
    rng = np.random.default_rng(1)
    x = Input(name, type=TensorType(CODES, (1, size, size, channels)))
    y: Op = Relu(Transpose(x, (0, 3, 1, 2)), loc=("first",))
    shape = (filters, channels // groups, kernel, kernel)
    fmt = Affine(Integer(8), (0.01,), (0,))
    w = Constant(rng.integers(-127, 128, shape).astype(np.int8), type=TensorType(fmt, shape))
    y = Conv(y, w, pads=(kernel // 2,) * 4, groups=groups, loc=("conv",))
    multiplier, shift = (Constant(np.array([n]), type=TensorType(Integer(64), (1,))) for n in (9_000_000, 32))
    y = Requantize(y, multiplier, shift, None, Quantizer(CODES, "half_up", "saturate"), loc=("conv",))
    return Graph("t", (x,), (("y", Transpose(y, (0, 2, 3, 1))),))


def _plan(graph: Graph, target: Target = A76) -> BuildPlan:
    return plan(graph, target, {"name": "t"})


def test_work_of_dot_product_code_is_counted_as_it_is_written() -> None:
    found = _plan(_network()).kernels[1].work
    # two blocks of 16 channels; 100 places in a row, five at a time; four words of four bytes
    assert found["dot"] == 2 * 100 * 4 * 4 == 16 * 32 * 100 / 16
    assert found["dot_tile"] == 2 * 20 and found["dot_call"] == 2
    assert found["dot_rescale"] == 2 * 100 * (4 * 2 + 4 + 1)


def _floats(channels: int, filters: int, size: int, kernel: int, groups: int, name: str = "x") -> Graph:
    rng = np.random.default_rng(1)
    x = Input(name, type=TensorType(F32, (1, size, size, channels)))
    y: Op = Relu(Transpose(x, (0, 3, 1, 2)), loc=("first",))
    shape = (filters, channels // groups, kernel, kernel)
    w = Constant(rng.standard_normal(shape).astype(np.float32), type=TensorType(F32, shape))
    y = Conv(y, w, pads=(kernel // 2,) * 4, groups=groups, loc=("conv",))
    return Graph("t", (x,), (("y", Transpose(y, (0, 2, 3, 1))),))


def test_work_of_vector_code_of_floats_is_counted_as_it_is_written() -> None:
    found = _plan(_floats(16, 32, 10, 1, 1)).kernels[1].work
    # two blocks of 16 channels; 100 places in a row, five at a time; four numbers a piece, four pieces a turn
    assert found["float"] == 2 * 20 * 16 * 5 * 4 == 16 * 32 * 100 / 4
    assert found["float_four"] == 2 * 20 * 16 and found["float_load"] == 2 * 20 * 5 * 4
    assert found["float_turn"] == 2 * 20 and found["float_call"] == 2 and "float_idle" not in found
    # two vectors of channels, eight places at a time
    found = _plan(_floats(16, 8, 10, 1, 1)).kernels[1].work
    assert found["float_weight"] == 13 * 16 * 2 and found["float_load"] == 100 * 4 and not found.get("float_four")
    one, other = _floats(8, 8, 12, 3, 8), _floats(8, 8, 9, 3, 8, "other")
    both = Graph("t", (*one.inputs, *other.inputs), (one.outputs[0], ("z", other.outputs[0][1])))
    found = max((dict(k.work) for k in _plan(both).kernels), key=lambda work: work.get("float_window", 0))
    # two blocks of four channels; three rows at a time, which have five rows of x
    assert found["float_window"] == 2 * 12 * 12 * 9 and found["float_chain"] == 2 * 4 * 12 * 9 * (8 - 3)
    assert found["float_column"] == 2 * 4 * 5 * (12 + 2)
    # one width of rows: compilers know where they end, and two places overlap
    assert _plan(one).kernels[1].work["float_chain"] == 2 * 4 * 12 * 9 * (8 - 2 * 3)
    found = _plan(_floats(8, 8, 5, 3, 8)).kernels[1].work
    assert found["float_chain"] == 2 * 5 * 9 * ((8 - 2 * 3) + (8 - 2 * 2))


def test_columns_of_windows_are_counted_apart_where_rows_have_several_widths() -> None:
    one, other = _network(16, 16, 10, 3, 16), _network(16, 16, 8, 3, 16, "other")
    assert "dot_column" in _plan(one).kernels[1].work and "dot_apart" not in _plan(one).kernels[1].work
    both = Graph("t", (*one.inputs, *other.inputs), (one.outputs[0], ("z", other.outputs[0][1])))
    assert sum(kernel.work.get("dot_apart", 0) for kernel in _plan(both).kernels) == 10 * 10 + 8 * 8


def test_weights_that_compilers_hold_are_counted() -> None:
    assert _plan(_network(16, 16)).kernels[1].work["dot_held"] == 20 * 4 * 4
    assert "dot_held" not in _plan(_network(16, 32)).kernels[1].work  # two blocks: a function with other weights


def test_work_of_portable_code_leaves_out_taps_beyond_the_margin() -> None:
    found = _plan(_network(kernel=3), load_target("host")).kernels[1].work
    places = (3 * 10 - 2) ** 2
    assert found["tap"] == 32 * places and found["mac_i8"] == 16 * 32 * places
    assert "dot" not in found


def test_cycles_time_and_energy_follow_from_the_constants() -> None:
    made = _plan(_network())
    result = estimate(made, A76)
    nominal = sum(A76.constant(f"cycles.{kind}").nominal * n for k in made.kernels for kind, n in k.work.items())
    nominal *= A76.constant("cycles.trace_scale").nominal
    cycles, time, energy = (result.totals[n] for n in ("cycles", "latency_us", "energy_uj"))
    assert cycles.nominal == pytest.approx(nominal) and cycles.low < nominal < cycles.high
    assert time.nominal == pytest.approx(nominal / 2400)
    assert energy.nominal == pytest.approx(time.nominal * A76.constant("power.active_mw").nominal * 1e-3)
    slow = estimate(made, A76, clock_mhz=1200)
    assert slow.totals["latency_us"].nominal == pytest.approx(2 * time.nominal)
    assert slow.totals["energy_uj"].nominal == pytest.approx(energy.nominal)  # half the power, twice as long


def test_constants_that_no_cache_holds_come_from_memory() -> None:
    made = _plan(_network(256, 512, 4, 3))  # 1.2 MB
    inside = estimate(made, A76)
    outside = estimate(made, Target("t", "c", "", "", A76.constants, {**A76.options, "cache_kib": 512}))
    moved = made.interface["memory"]["constant_bytes"] * A76.constant("dram.pj_byte").nominal * 1e-6
    assert moved > 1e-6 * 80e6
    extra = outside.totals["energy_uj"].nominal - inside.totals["energy_uj"].nominal
    assert extra == pytest.approx(moved)
    assert "dram.pj_byte" in outside.totals["energy_uj"].source


def test_constants_in_flash_memory_take_time_once() -> None:
    m4 = load_target("cortex-m4")
    made = _plan(_network(), m4)
    rest = {k: v for k, v in m4.constants.items() if k != "flash.cycles_byte"}
    slow, quick = estimate(made, m4), estimate(made, Target("t", "c", "", "", rest, m4.options))
    assert sum(k.weight_bits for k in made.kernels) > 8 * 16 * 32
    for step, there, here in zip(made.kernels, slow.rows, quick.rows, strict=True):
        waited = step.weight_bits / 8 * m4.constant("flash.cycles_byte").nominal
        assert there.figures["cycles"].nominal == pytest.approx(here.figures["cycles"].nominal + waited)
    assert slow.totals["cycles"].low == pytest.approx(quick.totals["cycles"].low)  # constants in RAM
    assert "flash.cycles_byte" in slow.totals["cycles"].source
    assert "flash.cycles_byte" not in quick.totals["cycles"].source


def test_a_kind_of_work_without_a_price_is_named() -> None:
    x = Input("x", type=TensorType(F32, (1, 8)))
    made = _plan(Graph("t", (x,), (("y", Softmax(x)),)), load_target("host"))
    result = estimate(made, load_target("host"))
    assert "cycles" not in result.totals and "cycles" not in result.rows[0].figures
    assert len(result.notes) == 1 and "softmax_few" in result.notes[0]


def test_what_is_no_core_is_not_traced() -> None:
    with pytest.raises(EdgecError) as caught:
        estimate_traced(_plan(_network(), load_target("host")), load_target("host"))
    assert caught.value.code == "E0204" and "cortex-a76" in str(caught.value)
