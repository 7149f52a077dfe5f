"""Folded designs in Verilator: every word of every layer against the interpreter, every cycle against the model."""

from __future__ import annotations

from pathlib import Path

import folded_nets
import numpy as np
import pytest
from folded_support import check, folded, random_folding
from test_support import require_tool

from edgec import api
from edgec.comparison import Mismatch, reference
from edgec.cosimulation import load_graph
from edgec.graph import Graph
from edgec.hw.sim.verilator_bench import lint
from edgec.interp import random_frames
from edgec.streaming import StreamSimulation
from edgec.verification import check_simulation

NETS = {"residual": (folded_nets.residual_net, 60_000.0), "separable": (folded_nets.separable_net, 150_000.0)}


@pytest.mark.parametrize("name", sorted(NETS))
def test_words_and_cycles(name: str, tmp_path: Path) -> None:
    """Back to back and with stalls at both ends; a second design of other folding is only built and linted."""
    require_tool("verilator")
    make, fps = NETS[name]
    artefact = folded(make(), tmp_path / "out", fps=fps)
    interface = artefact.manifest["interface"]
    assert 1e8 / interface["initiation_interval"] >= fps
    assert artefact.manifest["estimates"]["totals"]["inferences_per_s"]["nominal"] >= fps
    simulation = StreamSimulation(artefact, workdir=tmp_path)
    check(artefact, simulation, 6)
    for seed, stalls in enumerate((0.05, 0.3, 0.6, 0.9)):
        check(artefact, simulation, 4, stalls, seed + 2)
    sources = [artefact.path / f for f in interface["files"]]
    assert not [w for w in lint(sources, "net") if "DECLFILENAME" not in w]
    assert not [w for w in lint(sources, "net", defines=["EDGEC_CELLS"]) if "DECLFILENAME" not in w]


def test_verify_and_the_layer_that_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole `edgec verify`, the test bench in Icarus, and a wrong weight in the middle of the network."""
    require_tool("verilator")
    require_tool("iverilog")
    monkeypatch.setenv("EDGEC_CACHE", str(tmp_path / "cache"))
    n = folded_nets.Nets(5)
    x, y = n.image(2, 5, 4)
    y = n.conv(n.max_pool(y, (2, 2), (1, 1)), 3, (2, 2), zero=0)
    graph = folded_nets.graph(x, n.dense(n.flatten(y), 2))
    artefact = folded(graph, tmp_path / "out", folding={"/conv*": "3x1", "l0": "2"})
    rows = {r["layer"]: (r["pe"], r["simd"]) for r in artefact.manifest["interface"]["folding"]}
    assert rows["l0"] == (2, 1) and rows["l1"] == (3, 1)
    outcome = api.verify(artefact, on=("verilator", "icarus"), vectors=3)
    assert outcome["parties"][0]["layers"] and outcome["ok"]
    result = api.cosim(artefact, vectors=5, stalls=0.2)
    assert result["outputs"]["y"].shape == (5, 1, 2)

    name = "rtl/net_l1_weights.sv"
    lines = artefact.read(name).decode().splitlines()
    at = next(i for i, line in enumerate(lines) if "q <=" in line)
    value = int(lines[at].rpartition("'h")[2].rstrip(";"), 16)
    lines[at] = lines[at].rpartition("'h")[0] + f"'h{value ^ 0x40:x};"
    broken = StreamSimulation(artefact, overlay={name: "\n".join(lines).encode()}, workdir=tmp_path)
    frames = random_frames(load_graph(artefact), 4, 1)
    expected = reference(load_graph(artefact), frames, [p["layer"] for p in broken.probes])
    with pytest.raises(Mismatch) as caught:
        check_simulation(artefact, broken, frames, expected)
    assert caught.value.difference.source[0] == "/conv2"


def random_case(seed: int, folder: Path) -> None:
    graph: Graph = folded_nets.random_net(seed)
    artefact = folded(graph, folder / str(seed), folding=random_folding(graph, seed))
    simulation = StreamSimulation(artefact, workdir=folder)
    check(artefact, simulation, 6)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        check(artefact, simulation, 4, float(rng.uniform(0.05, 0.9)), int(rng.integers(1, 1000)))


def test_random_network(tmp_path: Path) -> None:
    require_tool("verilator")
    random_case(7, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 40))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    require_tool("verilator")
    random_case(seed, tmp_path)
