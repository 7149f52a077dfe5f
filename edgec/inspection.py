"""What `edgec inspect` and `edgec estimate` find out about a model without building it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgec import api
from edgec.artefact import write_aside
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph
from edgec.layers import layers
from edgec.options import Options
from edgec.target import Target, load_target
from edgec.text import print_graph, save_arrays

if TYPE_CHECKING:
    from edgec.hw.estimate import Estimate


def inspect_model(
    model: api.Model,
    target: str | Target | None,
    options: Options,
    calibration: api.Frames | str | Path | None,
) -> dict[str, Any]:
    """Every obstacle at once. `errors` are diagnostics; with none, `layers` shows what would be built."""
    result: dict[str, Any] = {"model": str(model) if not isinstance(model, Graph) else model.name}
    result |= {"errors": [], "diagnostics": [], "layers": []}
    chip = load_target(target) if isinstance(target, str) else target
    try:
        source = api.load(model, batch=options.batch, dims=options.dims)
        result["parameters"] = source.parameters
        result["inputs"] = [{"name": i.name, "type": str(i.type)} for i in source.inputs]
        result["outputs"] = [{"name": n, "type": str(o.type)} for n, o in source.outputs]
        if chip is None:
            result["layers"] = [row.as_dict() for row in layers(source)]
            return result
        compiled = api.compile_model(source, chip, options, calibration=calibration)
        add_accuracy(compiled)
        result["diagnostics"] = list(compiled.diagnostics)
        result["tables"] = compiled.context.reports
        result["layers"] = [row.as_dict() for row in layers(compiled.graph)]
        result["errors"] = unsupported(compiled)
    except EdgecError as error:
        result["errors"] = error.diagnostics
    return result


ACCURACY_FRAMES = 32


def add_accuracy(compiled: api.Compiled) -> None:
    """Leave the table of what post-training quantisation costs per layer in the reports, where there was any."""
    if compiled.quantised is None:
        return
    from edgec.accuracy import layer_table
    from edgec.passes._calibrate import calibration_frames
    from edgec.pipeline import Context

    before, after = compiled.quantised
    data = compiled.context.calibration
    if data is None:
        data = calibration_frames(before, Context(seed=compiled.options.seed), "normal", 4)
    frames = {name: array[:ACCURACY_FRAMES] for name, array in data.items()}
    rows = layer_table(before, after, frames, context=compiled.context)
    compiled.context.reports["accuracy"] = [row.as_dict() for row in rows]


def unsupported(compiled: api.Compiled) -> list[Diagnostic]:
    """Everything the target's backend cannot build of the lowered graph; asked without emitting anything."""
    module = importlib.import_module(f"edgec.backends.{compiled.target.backend}")
    return module.unsupported(compiled.graph, compiled.target, api.backend_options(compiled))


def price(compiled: api.Compiled, trace: bool = False) -> Estimate:
    """The estimate from the schedule; for a network too large to schedule, a warning and the one from the graph. With
    `trace` the cycles are those of a trace (edgec.hw.estimate.traced)."""
    from edgec.hw.estimate import apriori, estimate

    clock = compiled.options.clock_mhz
    if trace:
        from edgec.hw.estimate.traced import estimate_traced

        return estimate_traced(api.plan(compiled), compiled.target, clock)
    try:
        return estimate(api.plan(compiled), compiled.target, clock_mhz=clock)
    except EdgecError as error:
        if error.code != "E0312" or compiled.options.mode == "folded":
            raise
        compiled.context.warn("W0006", error.diagnostics[0].what, why=error.diagnostics[0].why)
        chosen = compiled.options
        return apriori(compiled.graph, compiled.target, weights=chosen.weights, clock_mhz=clock, harden=chosen.harden)


def estimate_table(estimates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a stored estimate for a terminal, the total last."""
    from edgec.hw.estimate import table_rows

    return table_rows(estimates)


def dump_stages(compiled: api.Compiled, which: str, folder: Path) -> None:
    """Write the text form (and arrays) after the pass `which`, or after all of them, into `folder`."""
    names = [name for name, _ in compiled.stages]
    chosen = [s for s in compiled.stages if which == "all" or s[0].partition("-")[2] == which]
    if not chosen:
        ran = ", ".join(n.partition("-")[2] for n in names)
        raise EdgecError("E0207", f"no pass {which!r} ran", remedy=f"one of: all, {ran}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgecError("E0212", f"{folder} cannot be made", why=error.strerror) from None
    for name, graph in chosen:
        text, arrays = print_graph(graph)
        write_aside(folder / f"{name}.edge", text.encode())
        write_aside(folder / f"{name}.safetensors", save_arrays(arrays))
