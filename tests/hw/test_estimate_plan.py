"""The estimators on plans of the RTL backend: the flagship network from its emitted cell counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from estimate_support import design_a, design_b

from edgec.backend import BuildPlan
from edgec.backends.rtl.design import make_plan
from edgec.graph import Graph
from edgec.hw.estimate import activity, apriori, estimate
from edgec.target import load_target


@cache
def emitted_plan(design: Callable[[], Graph], weights: str, harden: str | None = None) -> BuildPlan:
    options = {"name": "encoder", "weights": weights, "harden": harden}
    return make_plan(design(), load_target("asic65nm"), options)


@pytest.fixture(params=[design_a, design_b], ids=["4x4x3", "8x8x1"])
def design(request: pytest.FixtureRequest) -> Callable[[], Graph]:
    return request.param


@pytest.mark.parametrize("weights, harden", [("loaded", None), ("fixed", None), ("loaded", "full"), ("loaded", "tmr")])
def test_apriori_agrees_with_the_emitted_plan(design: Callable[[], Graph], weights: str, harden: str | None) -> None:
    graph, target, plan = design(), load_target("asic65nm"), emitted_plan(design, weights, harden)
    emitted, guessed = estimate(plan, target).totals, apriori(graph, target, weights=weights, harden=harden).totals
    for name, tolerance in (("area_kge", 0.15), ("energy_pj", 0.3), ("critical_path_ns", 0.3)):
        error = guessed[name].nominal / emitted[name].nominal - 1
        print(
            f"{weights} {name}: a priori {guessed[name].nominal:.4g}, emitted {emitted[name].nominal:.4g}, {error:+.1%}"
        )
        assert abs(error) < tolerance, name
        assert guessed[name].contains(emitted[name].nominal), name
    assert emitted["latency_cycles"].nominal == guessed["latency_cycles"].nominal == 2
    assert emitted["latency_cycles"].basis == "exact" and emitted["initiation_interval"].nominal == 1
    if weights == "loaded":
        bits = sum(c.tensor.bits for c in graph.ops if hasattr(c, "data"))
        assert emitted["flip_flops"].nominal >= (1 if harden is None else 3) * bits


def test_loaded_weights_cost_more_than_fixed(design: Callable[[], Graph]) -> None:
    target = load_target("gate-equivalents")
    fixed, loaded = (estimate(emitted_plan(design, w), target).totals["area_kge"] for w in ("fixed", "loaded"))
    assert fixed.high < loaded.low


@pytest.mark.parametrize("harden", ["full", "weight=register-tmr", "weight=full-tmr-scrub,data=register-tmr"])
def test_the_published_chip_from_the_emitted_plan(harden: str) -> None:
    """Design A with the chip's protection (self-correcting weights, voted data), and with less: the published
    simulation figures lie within the bars; the nominal error is bounded here so that it cannot drift unseen."""
    target = load_target("asic65nm")
    published = target.anchors["econ_t"]
    plan = emitted_plan(design_a, "loaded", harden)
    totals = estimate(plan, target, clock_mhz=published["clock_mhz"]).totals
    for name, value, bound in (
        ("area_mm2", published["area_mm2"], 0.15),
        ("power_mw", published["power_mw"], 0.40),
        ("energy_pj", 1e3 * published["energy_nj"], 0.40),
    ):
        error = totals[name].nominal / value - 1
        print(f"ECON-T {harden} {name}: {totals[name].nominal:.4g}, published {value:.4g}, {error:+.1%}")
        assert totals[name].contains(value) and abs(error) < bound, name
    assert totals["latency_ns"].nominal == published["latency_ns"]


def test_measured_activity_orders_sparse_before_random_frames() -> None:
    graph, target = design_b(), load_target("asic65nm")
    plan = emitted_plan(design_b, "loaded")
    rng = np.random.default_rng(1)
    random = rng.integers(0, 256, (64, 1, 1, 8, 8)).astype(np.uint8)
    sparse = np.where(rng.random(random.shape) < 0.6, 0, np.minimum(rng.exponential(40, random.shape), 255))
    spent = {
        name: estimate(plan, target, activity=activity(graph, {"x": frames.astype(np.uint8)})).totals["switching_pj"]
        for name, frames in (("random", random), ("sparse", sparse), ("still", np.zeros_like(random)))
    }
    assert spent["still"].nominal < spent["sparse"].nominal < spent["random"].nominal
    assert estimate(plan, target).totals["switching_pj"].contains(spent["sparse"].nominal)
