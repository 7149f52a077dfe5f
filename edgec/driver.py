"""From a compiled model to an artefact: sources, model, golden vectors, estimates, report, manifest."""

from __future__ import annotations

import csv
import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np

import edgec
from edgec.api import Compiled, Frames, plan
from edgec.artefact import Artefact, check_destination, to_json, write_artefact
from edgec.backend import BuildPlan
from edgec.compression import effective_toml, recipe_of
from edgec.frames import encode_frames, read_arrays
from edgec.graph import Graph
from edgec.inspection import add_accuracy
from edgec.interp import random_frames, run
from edgec.layers import Layer, layers
from edgec.ops import Op
from edgec.text import Printer, print_graph, save_arrays

PER_LAYER_FRAMES = 8
PER_LAYER_BYTES = 4 << 20


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """A .npz with the arrays in name order; numpy writes no dates into it."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return stream.getvalue()


def golden_inputs(compiled: Compiled, given: Frames | str | Path | None) -> tuple[Frames, str]:
    """Codes of the golden frames and a sentence on where they come from."""
    if given is None:
        frames = random_frames(compiled.graph, compiled.options.golden, compiled.options.seed)
        return frames, f"uniform random codes, seed {compiled.options.seed}"
    arrays = read_arrays(given) if isinstance(given, str | Path) else given
    frames = {n: a[: compiled.options.golden] for n, a in encode_frames(compiled.graph, arrays).items()}
    return frames, "given frames"


def golden_files(graph: Graph, frames: Frames, outputs: Frames) -> dict[str, bytes]:
    """Inputs, outputs and, for the first frames, every layer's codes, as the interpreter computes them."""
    names = Printer(graph).names
    per_layer: dict[str, np.ndarray] = {}
    room = [PER_LAYER_BYTES]

    def observe(op: Op, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.nbytes <= room[0]:
            room[0] -= value.nbytes
            per_layer[names[op]] = value

    few = {n: a[:PER_LAYER_FRAMES] for n, a in frames.items()}
    run(graph, few, observe=observe)
    return {
        "golden/inputs.npz": npz(dict(frames)),
        "golden/outputs.npz": npz(dict(outputs)),
        "golden/per_layer.npz": npz(per_layer),
    }


def model_files(compiled: Compiled) -> dict[str, bytes]:
    """The graph as text and safetensors, as QONNX, the layer table, and the formats as TOML."""
    from edgec.frontend.onnx_export import to_onnx

    graph = compiled.graph
    text, arrays = print_graph(graph)
    rows = layers(graph)
    tail = compiled.context.tail
    cut = {} if tail is None else {"model/tail.onnx": to_onnx(tail).SerializeToString(deterministic=True)}
    options = compiled.options
    recipe = recipe_of(options.compress, options.weights_format, options.prune)
    if recipe is not None and compiled.uncompressed is not None:
        cut["model/compression.toml"] = effective_toml(recipe, compiled.uncompressed)
    return cut | {
        "model/graph.edge": text.encode(),
        "model/weights.safetensors": save_arrays(arrays),
        "model/graph.onnx": to_onnx(graph).SerializeToString(deterministic=True),
        "model/layers.csv": layer_csv(rows),
        "model/quantisation.toml": quantisation_toml(rows),
    }


def layer_csv(rows: list[Layer]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "op", "source", "shape", "format", "macs", "parameters", "parameter_bits"])
    for row in rows:
        shape = "x".join(map(str, row.shape))
        cells = [row.name, row.op, ", ".join(row.source), shape, row.format, row.macs, row.parameters]
        writer.writerow([*cells, row.parameter_bits])
    return stream.getvalue().encode()


def quantisation_toml(rows: list[Layer]) -> bytes:
    """Formats, roundings and overflows of every layer, readable and diffable."""
    import json

    lines = ["# The number formats of every layer, as built."]
    for row in rows:
        lines += ["", f"[layers.{json.dumps(row.name)}]", f"op = {json.dumps(row.op)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in row.arithmetic.items()]
        lines.append(f"result = {json.dumps(row.format)}")
    return ("\n".join(lines) + "\n").encode()


def io_contract(graph: Graph) -> dict[str, Any]:
    """Names, shapes, formats and ranges of inputs and outputs."""

    def entry(name: str, op: Op) -> dict[str, Any]:
        fmt = op.format
        codes = None if fmt.is_float else list(fmt.code_range)
        scale = None if fmt.is_float else fmt.scale_array.tolist()
        zero = None if fmt.is_float else fmt.zero_point_array.tolist()
        facts = {"name": name, "shape": list(op.shape), "format": str(fmt), "layout": "row-major"}
        return {**facts, "codes": codes, "scale": scale, "zero_point": zero}

    return {
        "inputs": [entry(i.name, i) for i in graph.inputs],
        "outputs": [entry(n, o) for n, o in graph.outputs],
    }


def write_build(compiled: Compiled, out: Path, given: Frames | str | Path | None = None) -> Artefact:
    """Write the artefact of `compiled` to `out`."""
    from edgec.hw.estimate import estimate

    check_destination(out)
    add_accuracy(compiled)
    scheduled: BuildPlan = plan(compiled)
    priced = estimate(scheduled, compiled.target, clock_mhz=compiled.options.clock_mhz)
    frames, origin = golden_inputs(compiled, given)
    outputs = run(compiled.graph, frames)
    interface = dict(scheduled.interface)
    backend = importlib.import_module(f"edgec.backends.{scheduled.backend}")
    simulation, interface["testbench"] = backend.simulation_files(scheduled, frames, outputs)
    config = compiled.options.as_dict()
    manifest = {
        "edgec": edgec.__version__,
        "name": compiled.name,
        "target": compiled.target.name,
        "backend": scheduled.backend,
        "config": config,
        "passes": [str(s) for s in compiled.steps],
        "model": dict(sorted(compiled.source.meta.items())),
        "network_id": scheduled.network_id,
        "plan_digest": scheduled.digest,
        "io": io_contract(compiled.graph),
        "interface": interface,
        "required_tools": list(scheduled.required_tools),
        "estimates": priced.as_dict(),
        "golden": {"frames": len(next(iter(frames.values()), ())), "origin": origin},
        "diagnostics": [d.as_dict() for d in compiled.diagnostics],
        "tables": {**compiled.context.reports, **scheduled.tables},
    }
    files = {**scheduled.files, **simulation, **model_files(compiled)}
    files |= golden_files(compiled.graph, frames, outputs)
    files |= report_files(compiled, scheduled, manifest)
    write_artefact(out, files, manifest)
    return Artefact.open(out)


def report_files(compiled: Compiled, scheduled: BuildPlan, manifest: dict[str, Any]) -> dict[str, bytes]:
    """The report as one self-contained page, the summary as JSON, the layers as CSV."""
    from edgec.report import html_report, per_layer_csv

    rows = layers(compiled.graph)
    summary = {k: manifest[k] for k in ("name", "target", "config", "passes", "network_id", "estimates")}
    return {
        "reports/index.html": html_report(manifest, rows).encode(),
        "reports/summary.json": to_json(summary),
        "reports/per_layer.csv": per_layer_csv(manifest["estimates"]),
    }
