"""`edgec synth --check`: the mapped netlist computes what the reference interpreter computes.

Two checks that do not share their weak points. The whole netlist, registers and register bank included, is evaluated
cell by cell on the golden frames and random ones, against the interpreter; the first layer that differs is named. And
every combinational module without others inside is proved equal to its RTL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.comparison import Reference, first_difference, reference
from edgec.cosimulation import choose_frames, image_words, load_graph
from edgec.diagnostics import EdgecError
from edgec.hw.netlist import flatten
from edgec.hw.synth.drive import run_frames
from edgec.hw.synth.formal import DIFFERENT, PROVED, prove
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.mapping import Mapped

RANDOM_FRAMES = 960
"""Random frames besides the golden ones."""


def check_equivalence(
    artefact: Artefact,
    sources: Mapping[str, bytes],
    mapped: Mapped,
    library: SynthesisLibrary,
    *,
    timeout: float,
    seed: int,
) -> dict[str, Any]:
    """The `equivalence` entry of a report; E0504 at the first module that differs."""
    proofs = prove(sources, mapped, library, timeout=timeout)
    wrong = [module for module, result in proofs.items() if result == DIFFERENT]
    if wrong:
        raise EdgecError(
            "E0504",
            f"the mapped netlist differs from the RTL in module {wrong[0]}",
            op=wrong[0],
            why="the formal check found inputs for which they disagree" + _others(wrong),
            remedy="keep the artefact and the library: this is an error of the synthesis tool or of the library",
        )
    proved = sum(result == PROVED for result in proofs.values())
    summary = f"equivalence: {proved} of {len(mapped.netlist.modules)} modules proved; "
    simulated, rest = None, "unchecked"
    if artefact.manifest["interface"].get("mode") == "folded":
        summary += "the others were not checked: netlists of folded designs are not simulated"
    else:
        simulated, rest = simulate(artefact, mapped, library, seed), "simulated"
        summary += f"whole netlist simulated on {simulated['frames']} frames, "
        summary += f"{simulated['words']} words against the reference, 0 wrong"
    modules = {name: PROVED if proofs.get(name) == PROVED else rest for name in mapped.netlist.modules}
    return {"modules": modules, "simulation": simulated, "summary": [summary]}


def simulate(artefact: Artefact, mapped: Mapped, library: SynthesisLibrary, seed: int) -> dict[str, Any]:
    """Evaluate the netlist on golden and random frames; E0504 for the first wrong word."""
    from edgec.verification import read_npz

    graph = load_graph(artefact)
    golden = read_npz(artefact, "golden/inputs.npz")
    extra = choose_frames(graph, None, RANDOM_FRAMES, seed)
    frames = {name: np.concatenate([golden[name], extra[name]]) for name in golden}
    interface = artefact.manifest["interface"]
    probes = list(interface.get("probes", ()))
    expected = reference(graph, frames, [p["layer"] for p in probes])
    netlist = flatten(json.loads(mapped.json), library.cells, mapped.netlist.top)
    found = run_frames(netlist, interface, frames, image_words(artefact, None))
    _compare(expected, found, mapped)
    return {
        "frames": len(next(iter(frames.values()))),
        "words": sum(a.size for a in found.outputs.values()),
        "cycles": found.cycles,
        "bank_bits": found.bank_bits,
        "seed": seed,
    }


def _compare(expected: Reference, found: Any, mapped: Mapped) -> None:
    if found.wrong_bank is not None:
        raise EdgecError(
            "E0504",
            "the mapped netlist does not keep its weights",
            op=found.wrong_bank,
            why=f"after loading, the register bank {found.wrong_bank} does not hold the words that were written",
        )
    difference = first_difference(expected, found.layers, found.outputs)
    if difference is not None:
        error = difference.error("the mapped netlist")
        first = error.diagnostics[0]
        raise EdgecError("E0504", first.what, layer=first.layer, op=mapped.netlist.top, why=first.why)


def _others(names: list[str]) -> str:
    return f"; also in {', '.join(names[1:])}" if len(names) > 1 else ""
