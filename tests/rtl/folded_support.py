"""What the tests of folded designs share: artefacts that are built and simulated once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgec import api
from edgec.artefact import Artefact
from edgec.backends.rtl.folded.design import Designer
from edgec.backends.rtl.folded.folding import divisors
from edgec.comparison import first_difference, reference
from edgec.cosimulation import load_graph
from edgec.graph import Graph
from edgec.interp import random_frames
from edgec.options import Options
from edgec.streaming import StreamSimulation, check_stream_cycles


def folded(graph: Graph, out: Path, **options: object) -> Artefact:
    """The artefact of an integer graph, in the folded mode at 100 MHz."""
    chosen = {"mode": "folded", "passes": "", "golden": 4, "clock_mhz": 100.0, **options}
    return api.build(graph, "asic65nm", out, Options(**chosen))  # type: ignore[arg-type]


def random_folding(graph: Graph, seed: int) -> dict[str, str]:
    """A random folding of every layer."""
    rng = np.random.default_rng(seed)
    designer = Designer(graph, "net", {})
    table = {}
    for layer in designer.layers:
        array = designer.cores[layer].array
        if array is None:
            limits = [layer.output.channels]
        else:
            limits = [array.outputs] if array.by_channel else [array.outputs, array.channels]
        table[f"l{layer.index}"] = "x".join(str(rng.choice(divisors(n))) for n in limits)
    return table


def check(artefact: Artefact, simulation: StreamSimulation, frames: int, stalls: float = 0.0, seed: int = 1) -> None:
    """Every word of every layer and of the output, and the cycle of every word in and out."""
    graph = load_graph(artefact)
    codes = random_frames(graph, frames, seed)
    result = simulation.run(codes, stalls=stalls, seed=seed)
    expected = reference(graph, codes, [p["layer"] for p in simulation.probes])
    assert len(expected.layers) == len(simulation.probes)
    difference = first_difference(expected, result.layers, result.outputs)
    assert difference is None, difference
    check_stream_cycles(artefact, result)
    if not stalls and frames > 3:
        assert result.initiation_interval == artefact.manifest["interface"]["initiation_interval"]
        assert result.latency == artefact.manifest["interface"]["latency"]
