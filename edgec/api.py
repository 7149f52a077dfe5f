"""The verbs as Python functions; the command line is a thin layer over this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.artefact import Artefact
from edgec.backend import BuildPlan, load_backend
from edgec.compression import COMPRESSION, recipe_of
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import FormatError
from edgec.frames import encode_frames, match_inputs, read_arrays
from edgec.graph import Graph
from edgec.keywords import KEYWORDS
from edgec.options import Options
from edgec.pipeline import Context, Step, make_step, parse_pipeline, run_pipeline
from edgec.target import Target, load_target
from edgec.text_parser import parse_format

if TYPE_CHECKING:
    from edgec.hw.calibrate import Calibration
    from edgec.hw.estimate import Estimate
    from edgec.hw.synth import Synthesis
    from edgec.hw.toggle.power import Power

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
    """The graphs before and after compression and post-training quantisation, where that was asked for."""
    uncompressed: Graph | None = None
    """The graph before the passes of the recipe, where there is one."""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return self.context.diagnostics

    @property
    def name(self) -> str:
        """A C and Verilog identifier for the network."""
        return identifier(self.options.name or self.source.name)


def identifier(name: str) -> str:
    """`name` as a lower-case identifier that is no keyword of a generated language."""
    text = "".join(c.lower() if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "net"
    return text if text[0].isalpha() and text not in KEYWORDS else f"n{text}"


def load(model: Model, *, batch: int | None = None, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of a model file (or the graph itself). Dynamic dimensions are fixed by `batch` and `dims`."""
    if isinstance(model, Graph):
        return model
    from edgec import frontend

    return frontend.load(Path(model), batch=batch, dims=dict(dims or {}))


def from_torch(
    source: Any,
    example_inputs: Any = None,
    *,
    name: str | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    batch: int | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of a torch.nn.Module in evaluation mode, or of a torch.export.ExportedProgram (docs/pytorch.md).

    `example_inputs` is the tuple of tensors (or the one tensor) that `forward` takes; a program needs none.
    `batch` and `dims` fix its dynamic dimensions."""
    from edgec.frontend.torch.capture import from_torch as capture

    names = {"name": name, "input_names": input_names, "output_names": output_names}
    return capture(source, example_inputs, batch=batch, dims=dims, **names)


def pipeline(target: Target, options: Options) -> tuple[Step, ...]:
    """The passes of a build: the target's pipeline with those that the options ask for, or `options.passes`."""
    if options.passes is not None:
        return parse_pipeline(options.passes)
    steps = list(parse_pipeline(target.passes))
    names = [s.name for s in steps]
    extra: list[Step] = []
    if options.strip_softmax:
        extra.append(make_step("strip-softmax", {}))
    recipe = recipe_of(options.compress, options.weights_format, options.prune)
    if options.quantize is not None or recipe is not None:
        extra += parse_pipeline("quantize" + (f"{{{options.quantize}}}" if options.quantize else ""))
    where = names.index("integerize") if "integerize" in names else len(steps)
    steps[where:where] = extra
    if recipe is not None:  # in front of batch-norm folding, which leaves compressed weights alone
        before = names.index("fold-batch-norm") if "fold-batch-norm" in names else where
        steps[before:before] = recipe.steps()
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
    if options.precision == "fp16":
        steps.append(make_step("to-half", {}))
    if options.numerics != "exact":
        at = next((i for i, s in enumerate(steps) if s.name == "signed-bytes"), len(steps))  # which changes formats
        steps.insert(at, make_step("numerics", {"profile": options.numerics}))
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
    recipe = recipe_of(options.compress, options.weights_format, options.prune)
    first = next((s for s in steps if s.name in COMPRESSION or s.name == "quantize"), None)

    def after(index: int, step: Step, graph: Graph) -> None:
        if keep_stages:
            compiled.stages.append((f"{index + 1:02d}-{step.name}", graph))
        if step is first and (recipe is not None or step.name in COMPRESSION):
            compiled.uncompressed = compiled.graph
        if step.name == "quantize":
            compiled.quantised = (compiled.uncompressed or compiled.graph, graph)
        compiled.graph = graph

    run_pipeline(source, steps, context, after=after)
    return compiled


def backend_options(compiled: Compiled) -> dict[str, Any]:
    """What the backend is told besides graph and target: the target's options under those of the build."""
    told = (
        "mode", "fps", "folding", "weights", "constant_sharing", "low_bits", "clock_mhz", "max_area_kge", "harden",
        "functions", "winograd", "threads",
    )  # fmt: skip
    chosen = {k: v for k, v in compiled.options.as_dict().items() if k in told}
    if compiled.options.ranking is not None:
        from edgec.ranking import read_ranking

        chosen["ranking"] = read_ranking(compiled.options.ranking)
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
    trace: bool = False,
) -> Estimate:
    """Cycles, area and energy per layer, without any tool; with `trace`, for Arm cores, from what QEMU executes."""
    from edgec.inspection import price

    return price(compile_model(model, target, options, calibration=calibration), trace)


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
    on: Sequence[str] | None = None,
    vectors: int | None = None,
    seed: int = 1,
    frames: Frames | str | Path | None = None,
    timeout: float = 1800.0,
) -> dict[str, Any]:
    """Check an artefact bit for bit against the interpreter; raises E05xx at the first difference.

    `on` names the parties: verilator (the default for RTL), icarus; c (the default for C code), qemu-aarch64, qemu-m;
    onnxruntime."""
    from edgec.verification import verify_artefact

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    return verify_artefact(opened, on=on, vectors=vectors, seed=seed, frames=frames, timeout=timeout)


def bench(
    artefact: str | Path | Artefact,
    *,
    cores: Sequence[str] | None = None,
    compiler: str | None = None,
    steps: bool = False,
    timeout: float = 1800.0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """What the C code of an artefact costs: executed instructions per inference on Arm cores under QEMU, time on this
    machine, bytes of code and constants.

    `cores` names Arm cores or `host`; without it, the core that the code was built for, and `host`. `compiler` is `zig`
    or `gcc`, `steps` adds every step. Raises E0501 when the code computes something else than the golden outputs."""
    from edgec.hw.sim.c_bench import bench as measure

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    chosen = {"cores": cores, "compiler": compiler, "steps": steps, "timeout": timeout, "progress": progress}
    return measure(opened, **chosen)


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


def synth(
    artefact: str | Path | Artefact,
    liberty: str | Path | None = None,
    *,
    check: bool = False,
    timeout: float = 1800.0,
) -> Synthesis:
    """Map the RTL of an artefact onto a cell library with yosys; the result stands in the artefact's `synth/`.

    `liberty` is a .lib or .lib.gz file, `osu018` or `gate-equivalents`; without it osu018 where Debian's package is
    installed, else gate-equivalents. `check` compares the mapped netlist with the RTL (E0504)."""
    from edgec.hw.synth import synthesise

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    return synthesise(opened, liberty, check=check, timeout=timeout)


def calibrate(
    liberty: str | Path | None = None,
    out: str | Path | None = None,
    *,
    name: str | None = None,
    base: str | None = None,
    seed: int = 1,
    timeout: float = 1800.0,
    progress: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Fit a target to a cell library on synthesised and simulated designs; written to the target file `out`.

    `liberty` as for `synth`; `base` is the target that has what no library says, such as the placement density."""
    from edgec.hw.calibrate import calibrate as fit
    from edgec.hw.calibrate import check_destination, write_target

    where = Path(out) if out is not None else None
    if where is not None:
        check_destination(where)
        name = name or where.stem
    result = fit(liberty, name=name, base=base, seed=seed, timeout=timeout, progress=progress)
    if where is not None:
        write_target(result, where)
    return result


def power(
    artefact: str | Path | Artefact,
    liberty: str | Path | None = None,
    *,
    frames: Frames | str | Path | None = None,
    vectors: int | None = None,
    seed: int = 1,
    clock_mhz: float | None = None,
    wire_ff: float | None = None,
    timeout: float = 1800.0,
) -> Power:
    """Energy of an inference by gate-level simulation of the mapped netlist, by layer and kind, glitches included.

    The netlist is that of `synth` (mapped now if there is none); `frames` are real values, else `vectors` random ones.
    Raises E0501 when the gates compute something else than the interpreter. `wire_ff`: see docs/power.md."""
    from edgec.hw.timing import Conditions
    from edgec.hw.toggle.power import measure

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    assumed = Conditions(wire_ff=wire_ff)
    chosen = {"frames": frames, "vectors": vectors, "seed": seed, "clock_mhz": clock_mhz, "timeout": timeout}
    return measure(opened, liberty, conditions=assumed, **chosen)


def faults(
    artefact: str | Path | Artefact,
    *,
    samples: int | None = None,
    exhaustive: bool = False,
    classes: Sequence[str] = ("weight", "data", "control"),
    seed: int = 0,
    frames: Frames | str | Path | None = None,
    labels: np.ndarray | None = None,
    metric: Callable[[Frames], np.ndarray] | None = None,
    weight_bits: int | None = None,
    rank: str | Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    timeout: float = 1800.0,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Flip flip-flops in the simulated RTL and weight bits in the interpreter; the report, also in `faults.json`.

    `samples` flips (2000), or every flip-flop once if `exhaustive`. `frames` are real input values (the golden frames
    if none); `labels` [F] or `metric` (real outputs by name [N, *shape] -> loss of every frame [N]) say what a change
    costs. `weight_bits` limits the weight bits that are interpreted (all). `rank` is a file for the ranking of all
    weight bits, which `Options.ranking` takes. `resume` goes on with an interrupted campaign of the same options.
    Raises E0505, after the report was written, when a protected flip-flop fails.
    """
    from edgec.hw.faults import Settings, run_campaign

    opened = artefact if isinstance(artefact, Artefact) else Artefact.open(artefact)
    settings = Settings(samples, exhaustive, tuple(classes), seed, weight_bits, jobs, timeout)
    return run_campaign(
        opened, settings, frames=frames, labels=labels, metric=metric, resume=resume, rank=rank, progress=progress
    )


__all__ = [
    "Compiled",
    "bench",
    "build",
    "compile_model",
    "cosim",
    "encode_frames",
    "estimate",
    "faults",
    "from_torch",
    "inspect",
    "load",
    "pipeline",
    "plan",
    "power",
    "synth",
    "verify",
]
