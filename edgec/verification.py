"""`edgec verify`: integrity, golden words, and every named party against the reference interpreter, bit for bit."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import RESULTS, Artefact, remove, sha256, to_json, write_aside
from edgec.comparison import Reference, first_difference, reference
from edgec.cosimulation import (
    RtlRun,
    RtlSimulation,
    check_cycles,
    choose_frames,
    image_words,
    load_graph,
    rtl_simulation,
)
from edgec.diagnostics import EdgecError, nearest
from edgec.graph import Graph
from edgec.weight_image import parameter_words

Frames = Mapping[str, np.ndarray]

STALLED, STALLS = 1000, 0.3
"""How many frames are simulated once more with gaps in the stream, and the share of cycles without a frame."""


def read_npz(artefact: Artefact, name: str) -> dict[str, np.ndarray]:
    """The arrays of a .npz file of the artefact; E0701 when it is none."""
    try:
        with np.load(io.BytesIO(artefact.read(name)), allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgecError("E0701", f"{artefact.path / name} is no .npz file", why=str(error)) from None


def verify_artefact(
    artefact: Artefact,
    *,
    on: Sequence[str] | None,
    vectors: int | None,
    seed: int,
    frames: Frames | str | Path | None,
    timeout: float,
) -> dict[str, Any]:
    """Check `artefact` on every party in `on`; raises at the first difference, else returns what was compared.

    The golden frames are checked always; `frames` or `vectors` random ones come on top. Without `on` the default party
    of the artefact's backend runs.
    """
    on = on if on is not None else (DEFAULT_PARTY.get(str(artefact.manifest.get("backend")), "verilator"),)
    for party in on:
        if party not in PARTIES:
            raise EdgecError("E0201", f"unknown party {party!r}", remedy=nearest(party, PARTIES))
        if BACKENDS.get(party, artefact.manifest.get("backend")) != artefact.manifest.get("backend"):
            made = artefact.manifest.get("backend")
            fitting = ", ".join(p for p in PARTIES if BACKENDS.get(p, made) == made)
            raise EdgecError("E0201", f"{party} cannot run an artefact of the {made} backend", remedy=f"--on {fitting}")
    remove(artefact.path / RESULTS)  # what an earlier run found must not outlive a failure of this one
    artefact.check()
    graph = load_graph(artefact)
    golden = read_npz(artefact, "golden/inputs.npz")
    check_golden(artefact, graph, golden)
    check_weights(artefact, graph)
    every = golden
    if frames is not None or vectors:
        extra = choose_frames(graph, frames, vectors or 0, seed)
        every = {name: np.concatenate([golden[name], extra[name]]) for name in golden}
    count = len(next(iter(every.values())))
    results, summary = [], [f"reference: {len(next(iter(golden.values())))} golden frames reproduced"]
    for party in on:
        result = {"party": party, "frames": count, **PARTIES[party](artefact, graph, every, timeout)}
        remark = result.pop("remark", "")
        summary.append(f"{party}: {result['frames']} frames, {result['words']} words, 0 wrong{remark}")
        results.append(result)
    outcome = {"ok": True, "frames": count, "parties": results}
    record = {**outcome, "manifest_sha256": sha256(artefact.read("manifest.json")), "seed": seed}
    write_aside(artefact.path / RESULTS, to_json(record))
    return {**outcome, "summary": summary}


def check_golden(artefact: Artefact, graph: Graph, inputs: Frames) -> None:
    """The stored golden words must be what the interpreter computes from the stored model; E0501 otherwise."""
    stored_layers = read_npz(artefact, "golden/per_layer.npz")
    few = {n: a[: len(next(iter(stored_layers.values()), ()))] for n, a in inputs.items()}
    layered = reference(graph, few, list(stored_layers))
    full = reference(graph, inputs, [])
    expected = Reference(layered.layers, full.outputs, full.sources, full.output_layer)
    unknown = sorted(set(stored_layers) - set(expected.layers))
    if unknown:
        raise EdgecError("E0501", f"golden/per_layer.npz has words of {unknown[0]!r}, which is no layer of the model")
    difference = first_difference(expected, stored_layers, read_npz(artefact, "golden/outputs.npz"))
    if difference is not None:
        raise difference.error("golden words")


def check_weights(artefact: Artefact, graph: Graph) -> None:
    """The weight image must hold the model's weights; E0702 otherwise."""
    words = image_words(artefact, None)
    if words is not None:
        wanted = parameter_words(graph, artefact.manifest["interface"]["registers"])
        wrong = np.flatnonzero(words != wanted)
        if wrong.size:
            raise EdgecError("E0702", f"the weight image differs from the model at word {wrong[0]}")


def on_verilator(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """Simulate the RTL; compare every probed layer and all outputs, and the cycles with the estimate."""
    simulation = rtl_simulation(artefact, timeout=timeout)
    words = image_words(artefact, None)
    if words is not None:
        simulation.load_weights(words)
    expected = reference(graph, frames, [p["layer"] for p in simulation.probes])
    result = check_simulation(artefact, simulation, frames, expected)
    return {
        "words": sum(a.size for a in result.outputs.values()),
        "layers": sorted(result.layers),
        "latency": result.latency,
        "initiation_interval": result.initiation_interval,
        "remark": f"; latency {result.latency}, initiation interval {result.initiation_interval}, "
        f"{len(result.layers)} inner layers compared, unchanged under stalls",
    }


def check_simulation(
    artefact: Artefact, simulation: RtlSimulation, frames: Frames, expected: Reference, *, fault: int = 0
) -> RtlRun:
    """Simulate `frames` without and (the first ones) with stalls; E0501 for wrong words, E0502 for wrong cycles."""
    result = simulation.run(frames, fault=fault)
    difference = first_difference(expected, result.layers, result.outputs)
    if difference is not None:
        raise difference.error("verilator")
    check_cycles(artefact, result, stalled=False)
    few = min(STALLED, simulation.stalled_frames)
    stalled = simulation.run({n: a[:few] for n, a in frames.items()}, stalls=STALLS, fault=fault)
    difference = first_difference(expected.head(few), stalled.layers, stalled.outputs)
    if difference is not None:
        raise difference.error("verilator, when the input stalls")
    check_cycles(artefact, stalled, stalled=True)
    return result


def on_icarus(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """Run the artefact's self-checking test bench (a part of the golden frames) in Icarus Verilog."""
    from edgec.hw.sim.iverilog import run_testbench

    interface = artefact.manifest["interface"]
    bench = interface["testbench"]
    files = [artefact.path / f for f in [*interface["files"], bench["file"]]]
    result = run_testbench(files, bench["top"], cwd=artefact.path / "sim", timeout=timeout)
    if not result.passed:
        raise EdgecError("E0501", "icarus: the test bench failed", why=result.output[-2000:])
    return {"frames": bench["frames"], "words": bench["words"], "remark": "; self-checking test bench"}


def on_onnxruntime(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """Run model/graph.onnx in onnxruntime and compare the codes of all outputs."""
    try:
        import onnxruntime
    except ImportError:
        raise EdgecError("E0601", "onnxruntime is not installed", remedy="pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        artefact.read("model/graph.onnx"), options, providers=["CPUExecutionProvider"]
    )
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
    types = {i.name: kinds.get(i.type, np.float32) for i in session.get_inputs()}
    count = len(next(iter(frames.values())))
    expected = reference(graph, frames, [])
    found: dict[str, list[np.ndarray]] = {n: [] for n, _ in graph.outputs}
    for k in range(count):
        feed = {i.name: i.format.decode(frames[i.name][k]).astype(types[i.name]) for i in graph.inputs}
        for (name, op), value in zip(graph.outputs, session.run([n for n, _ in graph.outputs], feed), strict=True):
            fmt = op.format
            found[name].append(np.asarray(value) if fmt.is_float else fmt.encode(np.asarray(value, np.float64)))
    difference = first_difference(expected, {}, {n: np.stack(v) for n, v in found.items()})
    if difference is not None:
        raise difference.error("onnxruntime")
    return {"words": sum(a.size for a in expected.outputs.values())}


FLOAT_TOLERANCE = 1e-5
"""What a step of floats may differ by in C, times the largest of its tensor: sums are added in another order there.

Every step is compared with what the interpreter computes from the program's own operands of that step, so that a
logarithm of a difference of nearly equal numbers is not blamed for the rounding in front of it."""


def on_c(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """Compile the C sources for this machine and compare every step."""
    return check_program(artefact, graph, frames, timeout, "host", "c")


def on_qemu_aarch64(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """The same for the target's core under QEMU; code for no certain core runs as on a Cortex-A53."""
    return check_program(artefact, graph, frames, timeout, _core(artefact, "cortex-a53"), "qemu-aarch64")


def on_qemu_m(artefact: Artefact, graph: Graph, frames: Frames, timeout: float) -> dict[str, Any]:
    """The same on a Cortex-M under QEMU; code for no certain core runs on a Cortex-M4."""
    return check_program(artefact, graph, frames, timeout, _core(artefact, "cortex-m4"), "qemu-m")


def _core(artefact: Artefact, default: str) -> str:
    core = str(artefact.manifest["interface"].get("core") or default)
    if core.startswith("cortex-m") != default.startswith("cortex-m"):
        raise EdgecError("E0201", f"the code was built for {core}", remedy=f"build it for {default} or for host")
    return core


def check_program(
    artefact: Artefact, graph: Graph, frames: Frames, timeout: float, core: str, party: str
) -> dict[str, Any]:
    """Run the C program on `core`; E0501 names the first layer that differs. Integers must be equal."""
    from edgec.hw.sim.c_program import run_program

    result = run_program(artefact, frames, core=core, timeout=timeout)
    expected = reference(graph, frames, [p["layer"] for p in artefact.manifest["interface"]["probes"]], result.layers)
    difference = first_difference(expected, result.layers, result.outputs, tolerance=FLOAT_TOLERANCE)
    if difference is not None:
        raise difference.error(party)
    return {
        "words": sum(a.size for a in result.outputs.values()),
        "layers": sorted(result.layers),
        "core": core,
        "remark": f"; {len(result.layers)} steps compared",
    }


PARTIES: dict[str, Callable[[Artefact, Graph, Frames, float], dict[str, Any]]] = {
    "verilator": on_verilator,
    "icarus": on_icarus,
    "onnxruntime": on_onnxruntime,
    "c": on_c,
    "qemu-aarch64": on_qemu_aarch64,
    "qemu-m": on_qemu_m,
}
BACKENDS = {"verilator": "rtl", "icarus": "rtl", "c": "c", "qemu-aarch64": "c", "qemu-m": "c"}
"""The backend whose artefacts a party can run."""
DEFAULT_PARTY = {"rtl": "verilator", "c": "c"}
