"""Folding, refusals, costs and the cycle model of folded designs; nothing is simulated."""

from __future__ import annotations

from pathlib import Path

import folded_nets
import numpy as np
import pytest
from folded_support import folded

from edgec import api
from edgec.backends.rtl.folded.design import Designer, make_plan
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hw.estimate import estimate
from edgec.hw.estimate.dataflow import queue_depths, schedule, simulate
from edgec.interp import run
from edgec.ops import ArgMax, Conv, Dense, Input, Relu, Slice
from edgec.ops.source import integers
from edgec.options import Options
from edgec.target import load_target

TARGET = load_target("asic65nm")
RESIDUAL = folded_nets.residual_net()


def plan(graph: Graph = RESIDUAL, **options: object):
    return make_plan(graph, TARGET, {"mode": "folded", "clock_mhz": 100.0, "name": "net", **options})


def test_throughput_decides_the_folding() -> None:
    """Every rate is met, faster designs are larger, and one that is too fast is refused with the best there is."""
    areas, intervals = [], []
    for fps in (5e3, 2e4, 1e5):
        made = plan(fps=fps)
        intervals.append(made.interface["initiation_interval"])
        assert 1e8 / intervals[-1] >= fps
        areas.append(estimate(made, TARGET, clock_mhz=100).totals["area_kge"].nominal)
    assert areas == sorted(areas) and intervals == sorted(intervals, reverse=True)
    with pytest.raises(EdgecError) as caught:
        plan(fps=1e8)
    assert caught.value.code == "E0315" and "fastest folding" in str(caught.value)


def test_area_decides_the_folding() -> None:
    small, large = plan(max_area_kge=90.0), plan(max_area_kge=200.0)
    assert large.interface["initiation_interval"] < small.interface["initiation_interval"]
    for made, limit in ((small, 90.0), (large, 200.0)):
        assert estimate(made, TARGET, clock_mhz=100).totals["area_kge"].nominal <= limit
    for options in ({"max_area_kge": 10.0}, {"max_area_kge": 90.0, "fps": 1e5}):
        with pytest.raises(EdgecError) as caught:
            plan(**options)
        assert caught.value.code == "E0312"


def test_overrides() -> None:
    made = plan(fps=1e4, folding={"/conv*": "2x1", "/dense*": "5x6", "l3": "4"})
    for row in made.interface["folding"]:
        wanted = {"conv": (2, 1), "dense": (5, 6)}.get(row["op"])
        assert wanted is None or (row["pe"], row["simd"]) == wanted
    assert made.interface["folding"][3]["lanes"] == 4
    for table in ({"/nothing": "1x1"}, {"/conv1": "3x1"}, {"/conv1": "2"}, {"/conv1": "axb"}, {"/conv1": "0x1"}):
        with pytest.raises(EdgecError) as caught:
            plan(folding=table)
        assert caught.value.code == "E0204"


def test_same_input_same_bytes() -> None:
    first, second = plan(fps=2e4), plan(fps=2e4)
    assert first.digest == second.digest and first.network_id == second.network_id
    assert plan(fps=1e5).network_id != first.network_id


def test_what_cannot_be_folded_is_listed_at_once() -> None:
    fmt = Fixed(8, 4)
    x = Input("x", type=TensorType(fmt, (1, 4, 8, 8)))
    kernel = integers(np.ones((4, 2, 3, 3), np.int64), bits=3)
    grouped = Conv(x, kernel, groups=2, loc=("/grouped",))
    dilated = Conv(
        Relu(grouped), integers(np.ones((1, 4, 2, 2), np.int64), bits=3), dilations=(2, 2), loc=("/dilated",)
    )
    part = Slice(dilated, (0, 0, 0, 0), (1, 1, 2, 2), (1, 1, 1, 1), loc=("/slice",))
    graph = Graph("g", (x,), (("y", part), ("z", ArgMax(dilated, 1, loc=("/argmax",)))))
    with pytest.raises(EdgecError) as caught:
        plan(graph)
    found = {d.layer: d for d in caught.value.diagnostics}
    assert {"/grouped", "/dilated", "/slice", "/argmax", None} <= set(found)
    assert all(d.code == "E0310" and d.why for d in found.values())
    result = api.inspect(graph, "asic65nm", Options(mode="folded", passes=""))
    assert [d.layer for d in result["errors"]] == [d.layer for d in caught.value.diagnostics]


def test_folded_mode_is_recommended_for_large_networks() -> None:
    with pytest.raises(EdgecError) as caught:
        api.plan(api.compile_model(RESIDUAL, "asic65nm", Options(passes="", max_area_kge=100.0)))
    assert caught.value.code == "E0312" and "--mode folded" in str(caught.value)


def test_options_of_the_folded_mode_need_it() -> None:
    for wrong in ({"fps": 10.0}, {"folding": {"a": "1x1"}}, {"mode": "unfolded"}, {"mode": "folded", "fps": -1.0}):
        with pytest.raises(EdgecError) as caught:
            Options(**wrong)
        assert caught.value.code == "E0204"


@pytest.mark.parametrize("option", [{"weights": "loaded"}, {"harden": "data=tmr"}, {"constant_sharing": "mst"}])
def test_options_of_the_spatial_mode_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(EdgecError) as caught:
        plan(**option)
    assert caught.value.code == "E0310" and caught.value.diagnostics[0].remedy


def test_costs() -> None:
    """Products, memories and energy do not depend on the folding where they must not."""
    slow, fast = plan(fps=5e3), plan(fps=1e5)
    for made in (slow, fast):
        weights = sum(k.memory.get("rom", 0) for k in made.kernels if k.name.endswith("_array"))
        designer = Designer(RESIDUAL, "net", {})
        arrays = [c.array for c in designer.cores.values() if c.array is not None and c.array.weights is not None]
        assert weights >= sum(a.weights.size * a.weight_interval.width for a in arrays)
        for kernel in made.kernels:
            if kernel.name.endswith("_array") and kernel.macs:
                row = made.interface["folding"][kernel.stage - 1]
                assert kernel.activations * row["pe"] * row["simd"] == kernel.macs
    assert sum(k.macs for k in slow.kernels) == sum(k.macs for k in fast.kernels)
    priced = [estimate(p, TARGET, clock_mhz=100) for p in (slow, fast)]
    assert priced[0].totals["flip_flops"].nominal < priced[1].totals["flip_flops"].nominal
    assert priced[0].totals["latency_cycles"].nominal == slow.interface["latency"]


def test_cycles_of_a_dense_layer() -> None:
    """Two passes of four products: eight cycles a frame, whatever the queue behind."""
    units = [
        {"kind": "source", "name": "a", "ins": [], "outs": ["a"], "words": 4},
        {"kind": "window", "name": "b", "ins": ["a"], "outs": ["b"], "size": [1, 1], "groups": 4, "kernel": [1, 1]}
        | {"strides": [1, 1], "out_size": [1, 1], "passes": 2, "steps": 4, "pixels": 2},
        {"kind": "queue", "name": "q", "ins": ["b"], "outs": ["q"], "depth": 2},
        {"kind": "sink", "name": "s", "ins": ["q"], "outs": []},
    ]
    found = schedule(units)
    assert (found.first_output, found.latency, found.initiation_interval) == (4 + 4 + 2, 4 + 8 + 2, 8)
    first = schedule([units[0], units[2] | {"ins": ["a"]}, units[3]])  # a queue at the input takes a word at once
    assert first.times.inputs[0, 0] == 0 and first.latency == 3 + 2
    late = simulate(units, 3, taken=np.arange(0, 10_000, 10))
    assert (np.diff(late.outputs.ravel()) == 10).all()
    idle = simulate(units, 3, offered=np.arange(0, 10_000, 3))
    assert idle.inputs.ravel().tolist() == [3 * k for k in range(12)]
    with pytest.raises(EdgecError) as caught:
        simulate(units, 3, offered=np.arange(0, 12, 3))
    assert caught.value.code == "E0101"


def test_a_queue_that_is_too_small_costs_time() -> None:
    """The depth found for a residual branch is enough; a much smaller one slows the design down or stops it."""
    n = folded_nets.Nets(4)
    x, y = n.image(2, 5, 4)
    made = plan(folded_nets.graph(x, n.add(y, n.conv(y, 2, pads=(1, 1, 1, 1)))), fps=1e5)
    units = made.interface["dataflow"]
    depths = {u["name"]: u["depth"] for u in units if u["kind"] == "queue"}
    endless = [u | {"depth": None} if u["kind"] == "queue" else u for u in units]
    free = schedule(endless)
    assert queue_depths(endless, free.times) == depths
    assert free.initiation_interval == made.interface["initiation_interval"]
    short = [u | {"depth": 2} if u["kind"] == "queue" else u for u in units]
    with pytest.raises(EdgecError):
        assert schedule(short).initiation_interval <= free.initiation_interval
        raise EdgecError("E0101", "as fast with a short queue")


def test_an_onnx_like_stage_builds(tmp_path: Path) -> None:
    """Power-of-two formats, products rounded one by one, light ops in several places, an output that is reshaped."""
    rng = np.random.default_rng(3)
    x = Input("x", type=TensorType(Fixed(6, 2), (1, 3, 6)))
    w = Fixed(4, 1)
    kernel = integers(rng.integers(-7, 8, (4, 3, 3)), bits=4).replace(type=TensorType(w, (4, 3, 3)))
    out = Quantizer(Fixed(6, 3), "half_up", "saturate")
    conv = Conv(x, kernel, pads=(1, 1), out=out, product=Quantizer(Fixed(8, 5), "floor", "saturate"), loc=("/c",))
    dense_w = integers(rng.integers(-7, 8, (5, 24)), bits=4).replace(type=TensorType(w, (5, 24)))
    from edgec.ops import Reshape

    flat = Reshape(Relu(conv, loc=("/r",)), (1, 24))
    graph = Graph("g", (x,), (("y", Reshape(Dense(flat, dense_w, loc=("/d",)), (1, 5, 1))),))
    artefact = folded(graph, tmp_path / "out", max_area_kge=60.0)
    assert artefact.manifest["interface"]["outputs"][0]["shape"] == [1, 5, 1]
    frames = {"x": rng.integers(-32, 32, (2, 1, 3, 6))}
    assert run(graph, frames)["y"].shape == (2, 1, 5, 1)


def test_many_residual_blocks_take_no_longer_each() -> None:
    """The branches of every block join again: there are 2**24 ways through this network."""
    n = folded_nets.Nets(5)
    x, y = n.image(2, 3, 3)
    for _ in range(24):
        y = n.add(n.conv(y, 2, (1, 1)), n.conv(y, 2, (1, 1)))
    made = plan(folded_nets.graph(x, y), fps=1e5)
    queues = [u for u in made.interface["dataflow"] if u["kind"] == "queue"]
    assert len(queues) >= 24
