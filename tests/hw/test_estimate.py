"""Laws that every estimate obeys: order of the bars, monotony, scaling, and refusal of nonsense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from estimate_support import design_b, kernel, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.hw.estimate import apriori_plan, estimate, table_rows
from edgec.hw.estimate.figure import product, total
from edgec.target import Quantity, Target, load_target, target_names
from edgec.target_constants import CELL_KINDS

PHYSICAL = [n for n in target_names() if n.startswith("asic")]
COMBINATIONAL = [k for k in CELL_KINDS if not k.startswith("dff")]


@pytest.fixture(scope="module")
def asic() -> Target:
    return load_target("asic65nm")


counts = st.dictionaries(st.sampled_from(COMBINATIONAL), st.integers(0, 10**6), max_size=6)


def test_cycles_follow_from_the_stages(asic: Target) -> None:
    side_by_side = kernel({"inv": 1}, stage=2, cycles=1, name="b")
    plan = plan_of(kernel({"inv": 1}), side_by_side, kernel({"inv": 1}, stage=2, cycles=1), kernel(stage=3, cycles=2))
    result = estimate(plan, asic)
    cycles = result.totals["latency_cycles"]
    assert (cycles.low, cycles.nominal, cycles.high, cycles.basis) == (4, 4, 4, "exact")
    assert result.totals["latency_ns"].nominal == 100.0
    assert estimate(plan, asic, clock_mhz=100).totals["latency_ns"].nominal == 40.0


def test_a_plan_that_contradicts_itself_is_a_bug_of_the_backend(asic: Target) -> None:
    for plan in (
        plan_of(kernel({"inv": 1}), latency=2),
        plan_of(kernel({"full_ader": 1})),
        plan_of(kernel({"inv": -1})),
        plan_of(kernel({"dff": 3}, state={"data": 4})),
        plan_of(kernel(state={"wieght": 4})),
    ):
        with pytest.raises(EdgecError) as caught:
            estimate(plan, asic)
        assert caught.value.diagnostics[0].code == "E0101"


def test_state_without_flip_flop_cells_is_counted_once(asic: Target) -> None:
    by_class = estimate(plan_of(kernel(state={"weight": 10, "data": 4})), asic)
    as_cells = estimate(plan_of(kernel({"dff_enable": 10, "dff": 4}, state={"weight": 10, "data": 4})), asic)
    assert by_class.totals == as_cells.totals
    assert by_class.totals["flip_flops"].nominal == 14


@given(cells=counts, kind=st.sampled_from(COMBINATIONAL), more=st.integers(1, 10**6))
@settings(max_examples=60)
def test_more_cells_cost_more(cells: dict[str, int], kind: str, more: int) -> None:
    asic = load_target("asic65nm")
    smaller = estimate(plan_of(kernel(cells)), asic).totals
    larger = estimate(plan_of(kernel({**cells, kind: cells.get(kind, 0) + more})), asic).totals
    for name in ("area_kge", "area_mm2", "cell_area_mm2", "energy_pj", "leakage_pj", "power_mw"):
        before, after = smaller[name], larger[name]
        assert before.low < after.low and before.nominal < after.nominal and before.high < after.high, name
        assert after.low <= after.nominal <= after.high


@given(cells=counts, factor=st.integers(2, 9))
@settings(max_examples=40)
def test_area_and_energy_are_linear_in_the_cells(cells: dict[str, int], factor: int) -> None:
    asic = load_target("asic130nm")
    one = estimate(plan_of(kernel(cells)), asic).totals
    many = estimate(plan_of(*[kernel(cells, name=f"k{i}") for i in range(factor)]), asic).totals
    for name in ("area_kge", "area_mm2", "energy_pj"):
        assert many[name].nominal == pytest.approx(factor * one[name].nominal)
        assert many[name].high == pytest.approx(factor * one[name].high)


@given(path=st.dictionaries(st.sampled_from(COMBINATIONAL), st.integers(0, 40), max_size=4), extra=st.integers(1, 9))
@settings(max_examples=40)
def test_longer_paths_are_slower_and_glitch_more(path: dict[str, int], extra: int) -> None:
    asic = load_target("asic65nm")
    cells = {"full_adder": 100}
    longer = {**path, "full_adder": path.get("full_adder", 0) + extra}
    short = estimate(plan_of(kernel(cells, path=path)), asic).totals
    long = estimate(plan_of(kernel(cells, path=longer)), asic).totals
    assert long["critical_path_ns"].nominal > short["critical_path_ns"].nominal
    assert long["max_clock_mhz"].nominal < short["max_clock_mhz"].nominal
    assert long["energy_pj"].nominal >= short["energy_pj"].nominal
    assert long["max_clock_mhz"].nominal * long["critical_path_ns"].nominal == pytest.approx(1000)


def test_the_slowest_stage_decides(asic: Target) -> None:
    fast, slow = kernel({"inv": 1}, path={"inv": 2}, name="fast"), kernel({"inv": 1}, path={"full_adder": 9}, stage=2)
    result = estimate(plan_of(fast, slow), asic)
    assert result.critical_kernel == "k"
    assert result.totals["critical_path_ns"].nominal == estimate(plan_of(slow), asic).totals["critical_path_ns"].nominal


def test_a_path_longer_than_the_clock_period_is_noted(asic: Target) -> None:
    plan = plan_of(kernel({"inv": 1}, path={"full_adder": 20}))
    assert not any("clock period" in n for n in estimate(plan, asic).notes)
    assert any("clock period" in n for n in estimate(plan, asic, clock_mhz=2000).notes)


def test_clock_energy_counts_flip_flops_and_not_the_clock_rate(asic: Target) -> None:
    plan = plan_of(kernel(state={"data": 1000}))
    slow, fast = estimate(plan, asic, clock_mhz=10).totals, estimate(plan, asic, clock_mhz=100).totals
    assert slow["clock_pj"].nominal == fast["clock_pj"].nominal > 0
    assert slow["leakage_pj"].nominal == pytest.approx(10 * fast["leakage_pj"].nominal)
    assert fast["power_mw"].nominal == pytest.approx(fast["energy_pj"].nominal * 0.1)


def test_resting_weights_switch_nothing_but_their_clock(asic: Target) -> None:
    resting = estimate(plan_of(kernel(state={"weight": 1000})), asic).totals
    moving = estimate(plan_of(kernel({"dff_enable": 1000}, state={"data": 1000})), asic).totals
    assert resting["switching_pj"].nominal == 0 < moving["switching_pj"].nominal
    assert resting["clock_pj"].nominal == pytest.approx(moving["clock_pj"].nominal)
    assert resting["clock_pj"].low < 0.1 * moving["clock_pj"].low, "the low end assumes inferred clock gates"


@pytest.mark.parametrize("name", PHYSICAL)
def test_supply(name: str) -> None:
    target = load_target(name)
    volts = target.constant("supply.voltage_v").nominal
    plan = plan_of(kernel({"full_adder": 1000}, path={"full_adder": 10}))
    here, lower = estimate(plan, target).totals, estimate(plan, target, voltage_v=0.9 * volts).totals
    assert estimate(plan, target, voltage_v=volts).totals["energy_pj"] == here["energy_pj"]
    assert lower["switching_pj"].nominal == pytest.approx(0.81 * here["switching_pj"].nominal)
    assert lower["critical_path_ns"].nominal > here["critical_path_ns"].nominal
    assert lower["area_mm2"] == here["area_mm2"]
    for absurd in (0.0, -1.0, 0.1 * volts, 3 * volts, float("nan")):
        with pytest.raises(EdgecError) as caught:
            estimate(plan, target, voltage_v=absurd)
        assert caught.value.diagnostics[0].code == "E0204"


def test_measured_activity_replaces_the_assumed_one(asic: Target) -> None:
    plan = plan_of(kernel({"full_adder": 1000}, layers=("/a", "/b")))
    energies = [estimate(plan, asic, activity={"/b": rate}).totals["switching_pj"] for rate in (0.0, 0.05, 0.2, 0.5)]
    assert energies[0].nominal == 0
    assert energies[0].nominal < energies[1].nominal < energies[2].nominal < energies[3].nominal
    assumed = estimate(plan, asic).totals["switching_pj"]
    assert estimate(plan, asic, activity={"/c": 0.1}).totals["switching_pj"].nominal == assumed.nominal
    assert energies[2].high / energies[2].nominal < assumed.high / assumed.nominal, "measuring narrows the bar"


def test_technology_neutral_target_has_no_physical_figures() -> None:
    result = estimate(apriori_plan(design_b(), weights="loaded"), load_target("gate-equivalents"))
    assert {"area_kge", "energy_ktr", "critical_path_nand2"} <= set(result.totals)
    assert not any(name.endswith(("_mm2", "_pj", "_mw")) or name == "critical_path_ns" for name in result.totals)
    with pytest.raises(EdgecError):
        estimate(apriori_plan(design_b()), load_target("gate-equivalents"), voltage_v=1.0)


def test_bad_clock(asic: Target) -> None:
    for clock in (0.0, -1.0, 1e6, float("nan")):
        with pytest.raises(EdgecError) as caught:
            estimate(plan_of(kernel()), asic, clock_mhz=clock)
        assert caught.value.diagnostics[0].code == "E0204"


def test_a_target_without_a_needed_constant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text('name = "bare"\nbackend = "rtl"\ndescription = ""\npasses = ""\n[options]\nclock_mhz = 40\n')
    with pytest.raises(EdgecError) as caught:
        estimate(plan_of(kernel({"full_adder": 1})), load_target(str(path)))
    assert caught.value.diagnostics[0].code == "E0206"
    assert "ge.full_adder" in caught.value.diagnostics[0].text()


def test_json_and_table(asic: Target) -> None:
    result = estimate(apriori_plan(design_b(), weights="loaded"), asic)
    stored = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert stored["clock_mhz"] == 40.0 and stored["voltage_v"] == 1.2
    assert all(q["source"] for q in stored["constants"].values())
    for figure in [*stored["totals"].values(), *(f for k in stored["kernels"] for f in k["figures"].values())]:
        assert figure["basis"] in ("exact", "simulated", "calibrated", "analytic") and figure["source"]
    rows = table_rows(stored)
    assert rows == result.table()
    assert [r["kernel"] for r in rows][-1] == "total" and len(rows) == len(stored["kernels"]) + 1
    assert rows[-1]["cycles"] == 2 and "50 ns at 40 MHz" in rows[-1]["layers"]
    parts = sum(k["figures"]["area_kge"]["nominal"] for k in stored["kernels"])
    assert stored["totals"]["area_kge"]["nominal"] == pytest.approx(parts)


def test_an_empty_plan(asic: Target) -> None:
    result = estimate(plan_of(), asic)
    assert result.totals["latency_cycles"].nominal == 0
    assert table_rows(result.as_dict())[-1]["MACs"] == 0


bars = st.tuples(*[st.floats(0.01, 100)] * 3).map(sorted).map(lambda v: Quantity(*v, "s"))


@given(st.lists(bars, min_size=1, max_size=5))
def test_bars_combine_between_the_widest_factor_and_the_worst_case(factors: list[Quantity]) -> None:
    combined = product(*factors)
    assert combined.low <= combined.nominal * (1 + 1e-12) and combined.nominal <= combined.high * (1 + 1e-12)
    worst, widest = 1.0, 1.0
    for f in factors:
        worst, widest = worst * f.high / f.nominal, max(widest, f.high / f.nominal)
    assert widest * (1 - 1e-9) <= combined.high / combined.nominal <= worst * (1 + 1e-9)
    summed = total(factors)
    assert summed.low == pytest.approx(sum(f.low for f in factors))
