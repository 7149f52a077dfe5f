"""Every block in simulation: many drawn graphs side by side in few designs, every output and probed layer compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blocks_support import TARGET, check_simulated, draw_graphs, frames_of, retrained
from test_blocks_modules import EXAMPLES
from test_support import require_tool

from edgec.backends.rtl.design import make_plan
from edgec.comparison import first_difference, reference
from edgec.graph import Graph
from edgec.weight_image import read_image

SAMPLES = {
    "sums": (("dense", 8), ("conv", 8), ("wide", 3)),
    "elementwise": (("activation", 12), ("arithmetic", 12), ("requantize", 10), ("threshold", 8), ("table", 4)),
    "rest": (("pool", 12), ("reduce", 8), ("moves", 14), ("detector", 12), ("network", 3)),
    "loaded": (
        ("dense loaded", 7), ("conv loaded", 6), ("threshold loaded", 5), ("network loaded", 2), ("wide loaded", 2),
    ),
}  # fmt: skip


def sample(name: str, key: int = 11) -> list[Graph]:
    return [g for block, n in SAMPLES[name] for g in draw_graphs(EXAMPLES[block][0], n, key, EXAMPLES[block][1])]


@pytest.mark.parametrize("name", ["sums", "elementwise", "rest"])
def test_simulation_equals_the_interpreter(name: str, tmp_path: Path) -> None:
    require_tool("verilator")
    check_simulated(sample(name), "fixed", tmp_path).close()


def test_weights_of_other_trainings_in_the_same_hardware(tmp_path: Path) -> None:
    """The design's own weights, then those of other trainings through their images: always that network's words."""
    require_tool("verilator")
    design = check_simulated(sample("loaded"), "loaded", tmp_path)
    frames = frames_of(design.graph, 100, 5)
    for key in (1, 2):
        other = retrained(design.graph, key)
        plan = make_plan(other, TARGET, {"name": "dut", "weights": "loaded"})
        assert plan.network_id == design.plan.network_id
        assert {n: d for n, d in plan.files.items() if n != "rtl/weights.img"} == {
            n: d for n, d in design.plan.files.items() if n != "rtl/weights.img"
        }
        words = read_image(plan.files["rtl/weights.img"], plan.network_id, plan.interface["register_words"])
        design.simulation.write_registers(range(len(words)), words.tolist())
        assert first_difference(reference(other, frames), *design.run(frames)) is None
    assert first_difference(reference(design.graph, frames), *design.run(frames)) is not None
    assert design.difference(frames) is None
    design.close()


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("key", range(20, 26))
def test_more_simulation_equals_the_interpreter(name: str, key: int, tmp_path: Path) -> None:
    require_tool("verilator")
    check_simulated(sample(name, key), "loaded" if name == "loaded" else "fixed", tmp_path).close()


def test_a_wrong_branch_is_named(tmp_path: Path) -> None:
    """What the other tests rely on: a wrong operator in one branch is seen, and that branch is blamed."""
    require_tool("verilator")
    from blocks_draws import graph_of, source

    from edgec.backends.rtl.lower import LOWERINGS
    from edgec.formats import Integer
    from edgec.ops import Add, Relu, Sub

    x, y = source(Integer(4), 3), source(Integer(4), 3, name="y")
    branches = [graph_of(y=Relu(x)), graph_of(y=Sub(x, y)), graph_of(y=Add(x, y))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LOWERINGS, Sub, lambda layer, op, a, b: LOWERINGS[Add](layer, op, a, np.roll(b, 1)))
        with pytest.raises(AssertionError, match="branch 1: Difference"):
            check_simulated(branches, "fixed", tmp_path)
