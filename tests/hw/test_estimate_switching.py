"""Energy and delay from the netlists of a plan: drawn frames, measured ones, registers, loads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimate_support import U8, design_b, weights

from edgec.backends.rtl.design import make_plan
from edgec.formats import TensorType
from edgec.graph import Graph
from edgec.hw.estimate import activity, estimate
from edgec.hw.estimate.logic import LogicModel, from_ports
from edgec.hw.estimate.switching import drawn_frames, switching
from edgec.hw.estimate.toggling import toggles
from edgec.ops import Add, Dense, Input
from edgec.target import load_target

TARGET = load_target("asic180nm")


def dense(outputs: int, inputs: int = 16) -> Graph:
    x = Input("x", type=TensorType(U8, (1, inputs)))
    return Graph("one", (x,), (("y", Dense(x, weights((outputs, inputs)), loc=("dense",))),))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.236, 0.5])
def test_drawn_frames_toggle_at_the_rate(rate: float) -> None:
    x = Input("x", type=TensorType(U8, (1, 400)))
    frames = drawn_frames(Graph("g", (x,), (("y", x),)), rate)["x"]
    assert frames.shape == (65, 1, 400)
    assert toggles(frames, 8) / (64 * 400 * 8) == pytest.approx(rate, abs=0.01)


def test_still_frames_cost_nothing_but_the_clock() -> None:
    graph = design_b()
    plan = make_plan(graph, TARGET, {"name": "net", "weights": "loaded"})
    still = activity(graph, {"x": np.zeros((10, 1, 1, 8, 8), np.uint8)})
    totals = estimate(plan, TARGET, activity=still).totals
    assert totals["switching_pj"].nominal == 0 < totals["clock_pj"].nominal
    assert totals["energy_pj"].basis == "calibrated" and totals["critical_path_ns"].basis == "calibrated"


def test_activity_of_one_instance_of_a_graph_serves_another() -> None:
    rng = np.random.default_rng(2)
    frames = {"x": rng.integers(0, 256, (70, 1, 1, 8, 8)).astype(np.uint8)}
    options = {"name": "net", "weights": "fixed"}
    first, second = design_b(), design_b()
    same = estimate(make_plan(first, TARGET, options), TARGET, activity=activity(first, frames)).totals
    other = estimate(make_plan(first, TARGET, options), TARGET, activity=activity(second, frames)).totals
    assert same["energy_pj"] == other["energy_pj"]


def test_few_frames_are_gone_through_again() -> None:
    graph = dense(4)
    codes = np.random.default_rng(1).integers(0, 256, (3, 1, 16)).astype(np.uint8)
    found = activity(graph, {"x": codes})
    assert found.codes[graph.inputs[0]].shape == (65, 1, 16)
    assert np.array_equal(found.codes[graph.inputs[0]][3:6], codes)


def test_a_plan_without_netlists_is_priced_by_the_formula() -> None:
    plan = make_plan(dense(8), TARGET, {"name": "net"})
    bare = replace(plan, kernels=tuple(replace(k, logic=None) for k in plan.kernels))
    with_netlist, without = estimate(plan, TARGET).totals, estimate(bare, TARGET).totals
    assert without["energy_pj"].nominal > 0 and without["energy_pj"].nominal != with_netlist["energy_pj"].nominal
    assert without["area_kge"] == with_netlist["area_kge"]


def test_more_readers_load_a_net_and_lengthen_its_path() -> None:
    model = LogicModel(TARGET)
    paths, loads = [], []
    for outputs in (2, 32):
        plan = make_plan(dense(outputs), TARGET, {"name": "net", "weights": "loaded"})
        (kernel,) = [k for k in plan.kernels if k.logic is not None]
        paths.append(model.path(kernel))
        assert kernel.logic is not None
        loads.append(model.input_loads(kernel.logic.gates())[from_ports(kernel)].mean())
    assert loads[1] == pytest.approx(16 * loads[0], rel=0.05)
    assert paths[1] >= paths[0]


def test_a_tensor_that_waits_is_held_in_registers_of_every_stage() -> None:
    """x is added in stage 2 to what stage 1 makes of it: a register of its own stands behind stage 1."""
    x = Input("x", type=TensorType(U8, (1, 8)))
    total = Add(Dense(x, weights((8, 8)), loc=("dense",)), Dense(x, weights((8, 8), 9), loc=("other",)), loc=("sum",))
    late = Add(total, x, loc=("late",))
    graph = Graph("g", (x,), (("y", late),))
    plan = make_plan(graph, TARGET, {"name": "net"})
    found = switching(plan, LogicModel(TARGET), activity(graph, drawn_frames(graph, 0.5)))
    assert [name for name in found.registers if found.registers[name].held > 0] == [
        "stage_1_registers",
        "stage_2_registers",
        "stage_3_registers",
    ]
    flips = 8 * 8 * 0.5
    assert found.registers["stage_2_registers"].held > flips
    assert set(found.counts) == set(found.ports) == {k.name for k in plan.kernels if k.logic is not None}


@pytest.mark.parametrize("style, copies", [("data=register-tmr", 3), ("data=full-tmr-scrub", 3)])
def test_copies_of_registers_toggle_with_what_they_hold(style: str, copies: int) -> None:
    graph = dense(4)
    frames = activity(graph, drawn_frames(graph, 0.5))
    plain, hard = (
        estimate(make_plan(graph, TARGET, {"name": "net", "harden": harden}), TARGET, activity=frames)
        for harden in (None, style)
    )

    def register(result: object, figure: str) -> float:
        return sum(r.figures[figure].nominal for r in result.rows if r.kernel.op == "register")  # type: ignore[attr-defined]

    assert (
        register(plain, "switching_pj")
        < register(hard, "switching_pj")
        < (copies + 3) * register(plain, "switching_pj")
    )
