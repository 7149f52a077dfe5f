"""The verbs as Python functions; the command line is a thin layer over this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.artefact import Artefact
from edgec.backend import BuildPlan, load_backend
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import FormatError
from edgec.frames import encode_frames, match_inputs, read_arrays
from edgec.graph import Graph
from edgec.options import Options
from edgec.pipeline import Context, Step, make_step, parse_pipeline, run_pipeline
from edgec.target import Target, load_target
from edgec.text_parser import parse_format

if TYPE_CHECKING:
    from edgec.hw.estimate import Estimate

Model = str | Path | Graph
Frames = Mapping[str, np.ndarray]


@dataclass
class Compiled:
    """A model lowered for a target: the imported graph, every stage after it, and what the passes reported."""

    source: Graph
    graph: Graph
    target: Target
    options: Options
    steps: tuple[Step, ...]
    context: Context
    stages: list[tuple[str, Graph]] = field(default_factory=list)
    quantised: tuple[Graph, Graph] | None = None
    """The graphs before and after post-training quantisation, where that was asked for."""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return self.context.diagnostics

    @property
    def name(self) -> str:
        """A C and Verilog identifier for the network."""
        return identifier(self.options.name or self.source.name)


def identifier(name: str) -> str:
    """`name` as a lower-case identifier."""
    text = "".join(c.lower() if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "net"
    return text if text[0].isalpha() else f"n{text}"


def load(model: Model, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of a model file (or the graph itself). Dynamic dimensions are fixed by `batch` and `dims`."""
    if isinstance(model, Graph):
        return model
    from edgec import frontend

    return frontend.load(Path(model), batch=batch, dims=dict(dims or {}))


def pipeline(target: Target, options: Options) -> tuple[Step, ...]:
    """The passes of a build: the target's pipeline with those that the options ask for, or `options.passes`."""
    if options.passes is not None:
        return parse_pipeline(options.passes)
    steps = list(parse_pipeline(target.passes))
    names = [s.name for s in steps]
    extra: list[Step] = []
    if options.strip_softmax:
        extra.append(make_step("strip-softmax", {}))
    if options.quantize is not None:
        extra += parse_pipeline("quantize" + (f"{{{options.quantize}}}" if options.quantize else ""))
    where = names.index("integerize") if "integerize" in names else len(steps)
    steps[where:where] = extra
    if options.input_format is not None:
        try:
            fmt = parse_format(options.input_format)
        except FormatError as error:
            raise EdgecError("E0204", f"--input-format {options.input_format}", why=str(error)) from None
        if "integer-io" not in names:
            raise EdgecError("E0204", "--input-format needs a pipeline with integer-io", why=target.passes)
        at = [s.name for s in steps].index("integer-io")
        steps[at] = Step("integer-io", (*steps[at].options, ("input_format", fmt)))
    if options.cut_float_tail:
        if "integer-io" not in names:
            raise EdgecError("E0204", "--cut-float-tail needs a pipeline with integer-io", why=target.passes)
        at = [s.name for s in steps].index("integer-io")
        steps.insert(at + 1, make_step("cut-float-tail", {}))
    if options.numerics != "exact":
        steps.append(make_step("numerics", {"profile": options.numerics}))
    return tuple(steps)


def compile_model(
    model: Model,
    target: str | Target,
    options: Options | None = None,
    *,
    calibration: Frames | str | Path | None = None,
    keep_stages: bool = False,
) -> Compiled:
    """Import and lower `model` for `target`."""
    options = options or Options()
    chip = target if isinstance(target, Target) else load_target(target)
    steps = pipeline(chip, options)
    source = load(model, batch=options.batch, dims=options.dims)
    if isinstance(calibration, str | Path):
        calibration = read_arrays(calibration)
    data = match_inputs(calibration, source) if calibration is not None else None
    context = Context(calibration=data, seed=options.seed)
    compiled = Compiled(source, source, chip, options, steps, context)

    def after(index: int, step: Step, graph: Graph) -> None:
        if keep_stages:
            compiled.stages.append((f"{index + 1:02d}-{step.name}", graph))
        if step.name == "quantize":
            compiled.quantised = (compiled.graph, graph)
        compiled.graph = graph

    run_pipeline(source, steps, context, after=after)
    return compiled


def backend_options(compiled: Compiled) -> dict[str, Any]:
    """What the backend is told besides graph and target: the target's options under those of the build."""
    chosen = {k: v for k, v in compiled.options.as_dict().items() if k in ("weights", "clock_mhz", "max_area_kge")}
    return {**compiled.target.options, **chosen, "name": compiled.name}


def plan(compiled: Compiled) -> BuildPlan:
    """What the target's backend makes of a compiled model, in memory."""
    return load_backend(compiled.target.backend)(compiled.graph, compiled.target, backend_options(compiled))


def estimate(
    model: Model,
    target: str | Target,
    options: Options | None = None,
    *,
    calibration: Frames | str | Path | None = None,
) -> Estimate:
    """Cycles, area and energy per layer, without any tool."""
    from edgec.inspection import price

    return price(compile_model(model, target, options, calibration=calibration))


def inspect(
    model: Model,
    target: str | Target | None = None,
    options: Options | None = None,
    *,
    calibration: Frames | str | Path | None = None,
) -> dict[str, Any]:
    """All that stands between `model` and `target`, at once, and the layers as they would be built."""
    from edgec.inspection import inspect_model

    return inspect_model(model, target, options or Options(), calibration)


def build(
    model: Model,
    target: str | Target,
    out: str | Path,
    options: Options | None = None,
    *,
    calibration: Frames | str | Path | None = None,
    golden_frames: Frames | str | Path | None = None,
) -> Artefact:
    """Compile `model` for `target` and write the artefact to the folder `out`, whole or not at all."""
    from edgec.driver import write_build

    compiled = compile_model(model, target, options, calibration=calibration)
    return write_build(compiled, Path(out), golden_frames)


def verify(
    artefact: str | Path | Artefact,
    *,
    on: Sequence[str] = ("verilator",),
    vectors: int | None = None,
    seed: int = 1,
    frames: Frames | str | Path | None = None,
    timeout: float = 1800.0,
) -> dict[str, Any]:
    """Check an artefact bit for bit against the interpreter; raises E05xx at the first difference."""
    from edgec.verification import verify_artefact

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    return verify_artefact(opened, on=on, vectors=vectors, seed=seed, frames=frames, timeout=timeout)


def cosim(
    artefact: str | Path | Artefact,
    frames: Frames | str | Path | None = None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    stalls: float = 0.0,
    weights: str | Path | None = None,
    waves: str | Path | None = None,
    timeout: float = 1800.0,
) -> dict[str, Any]:
    """Drive the RTL of an artefact; outputs, and the cycles beside the estimate."""
    from edgec.cosimulation import cosimulate

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    return cosimulate(
        opened, frames, vectors=vectors, seed=seed, stalls=stalls, weights=weights, waves=waves, timeout=timeout
    )


__all__ = [
    "Compiled",
    "build",
    "compile_model",
    "cosim",
    "encode_frames",
    "estimate",
    "inspect",
    "load",
    "pipeline",
    "plan",
    "verify",
]
