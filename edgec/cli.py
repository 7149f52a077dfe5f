"""The command line: a thin, lazy layer over `edgec.api`.

Results go to stdout, progress and diagnostics to stderr. `--json` prints one object with a schema version. No
module of numpy's or onnx's size is imported before a command runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from edgec import __version__
from edgec.console import Console, guarded

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Lists commands in the order of use, and answers an unknown one with the nearest name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from edgec.diagnostics import nearest

            raise click.UsageError(f"{error.message} {nearest(args[0], self.commands)}", ctx) from None


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, no notes."),
        click.option("--verbose", "-v", is_flag=True, help="Every note, and tracebacks of internal errors."),
    ):
        command = option(command)
    return command


def positive(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """`value`, which is no number unless it is more than zero."""
    if not value > 0:  # nan neither
        raise click.BadParameter(f"{value:g} is not positive.")
    return value


timeout_option = click.option(
    "--timeout",
    type=float,
    default=1800.0,
    show_default=True,
    callback=positive,
    help="Seconds for each external tool.",
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that decide how a model is lowered."""
    options = (
        click.option(
            "--mode",
            type=click.Choice(["spatial", "folded"]),
            help="A frame every cycle, or hardware shared over many cycles. [spatial]",
        ),
        click.option("--fps", type=float, help="Folded: frames a second at the clock. [all that --max-area allows]"),
        click.option(
            "--fold", "folding", multiple=True, metavar="LAYER=PExSIMD", help="Folded: override layers; globs allowed."
        ),
        click.option(
            "--weights", type=click.Choice(["fixed", "loaded"]), help="Constants, or a register bank. [fixed]"
        ),
        click.option("--numerics", help="Numeric profile: exact, econ-t. [exact]"),
        click.option(
            "--quantize", metavar="OPTIONS", help="Post-training quantisation: bits=8,format=affine,method=mse"
        ),
        click.option(
            "--weights-format", metavar="FORMAT", help="Compressed weights: pow2:4, pow2z:3, ternary, binary, int:6."
        ),
        click.option("--prune", type=float, metavar="SHARE", help="Set this share of all weights to zero."),
        click.option("--compress", metavar="FILE", help="Recipe of weight formats per layer (TOML)."),
        click.option("--calibration", metavar="FILE", help="Real input values (.npz, .npy) for quantisation."),
        click.option("--input-format", metavar="FORMAT", help="Format of float inputs that the model leaves open."),
        click.option("--strip-softmax", is_flag=True, default=None, help="Leave out a final softmax."),
        click.option("--cut-float-tail", is_flag=True, default=None, help="Leave a floating-point end to the host."),
        click.option("--passes", metavar="PIPELINE", help="Replace the whole pipeline."),
        click.option("--batch", type=int, help="Fix a dynamic batch dimension."),
        click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="Fix a symbolic dimension."),
        click.option(
            "--constant-sharing",
            type=click.Choice(["auto", "none", "shared", "mst"]),
            help="What outputs of constant weights share: nothing, terms, a spanning tree. [auto: the cheapest]",
        ),
        click.option("--clock-mhz", type=float, help="Clock for energy and timing. [the target's]"),
        click.option("--max-area", "max_area_kge", type=float, metavar="KGE", help="Refuse above this area."),
        click.option("--harden", metavar="SPEC", help="Triplicated registers: full, or weight=full-tmr-scrub,data=..."),
        click.option("--ranking", metavar="FILE", help="Ranking of weight bits for --harden ...,budget=20%."),
        click.option("--name", help="Prefix of modules and symbols. [the model's name]"),
        click.option("--seed", type=int, help="Seed of everything random. [0]"),
        click.option("--config", metavar="FILE", help="TOML file with a [build] table; flags win."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="edgec")
def cli() -> None:
    """The hardware-aware edge deployment compiler: the same numbers from model to silicon, with the cost known
    beforehand.

    Exit status: 0 ok, 1 internal error, 2 usage, 3 model not importable or unsupported, 4 gate not met,
    5 verification mismatch, 6 external tool, 7 integrity, 8 device unreachable, 130 interrupted.
    """


@cli.command()
@click.argument("model")
@click.option("--target", "-t", help="Target name or TOML file; without it, the import alone is checked.")
@model_options
@common
@guarded
def inspect(console: Console, model: str, target: str | None, **flags: Any) -> None:
    """List every unsupported operator at once, and the layers as they would be built."""
    from edgec import api

    options, data = settings(flags)
    result = api.inspect(model, target or data.get("target"), options, calibration=data.get("calibration"))
    console.diagnostics(result.pop("diagnostics"))
    console.table(result["layers"], ["name", "op", "shape", "format", "macs", "parameters"])
    if "compression" in result.get("tables", {}):
        console.say("\nwhat became of the weights (signal to noise in dB against the weights that the pass read)")
        console.table(result["tables"]["compression"])
    if "accuracy" in result.get("tables", {}):
        console.say("\nwhat quantisation costs (signal to noise in dB against the float network)")
        console.table(result["tables"]["accuracy"])
    console.finish(result, fail=result["errors"])


@cli.command()
@click.argument("model")
@click.option("--target", "-t", help="Target name or TOML file.")
@click.option("--trace", is_flag=True, help="Arm cores: cycles of what runs under QEMU, by LLVM's pipeline model.")
@model_options
@common
@guarded
def estimate(console: Console, model: str, target: str | None, trace: bool, **flags: Any) -> None:
    """Cycles, energy and area per layer; no toolchain needed without --trace."""
    from edgec import api

    options, data = settings(flags)
    compiled = api.compile_model(model, required_target(target, data), options, calibration=data.get("calibration"))
    console.diagnostics(compiled.diagnostics)
    from edgec.inspection import price

    result = price(compiled, trace)
    console.table(result.table())
    console.finish(result.as_dict())


@cli.command()
@click.argument("model")
@click.option("--target", "-t", help="Target name or TOML file.")
@click.option("--out", "-o", required=True, help="Folder of the artefact.")
@click.option("--golden", type=int, help="Number of golden frames. [64]")
@click.option("--golden-frames", metavar="FILE", help="Real input values (.npz, .npy) for the golden frames.")
@click.option("--dump-after", metavar="PASS", help="Write the graph after this pass (or 'all') to OUT-stages/.")
@model_options
@common
@guarded
def build(console: Console, model: str, target: str | None, out: str, dump_after: str | None, **flags: Any) -> None:
    """Compile a model into an artefact: sources, weights, golden vectors, report, manifest."""
    from pathlib import Path

    from edgec import api
    from edgec.driver import write_build
    from edgec.inspection import dump_stages

    options, data = settings(flags)
    console.progress(f"importing {model}")
    compiled = api.compile_model(
        model,
        required_target(target, data),
        options,
        calibration=data.get("calibration"),
        keep_stages=dump_after is not None,
    )
    console.diagnostics(compiled.diagnostics)
    if dump_after is not None:
        dump_stages(compiled, dump_after, Path(f"{out.rstrip('/')}-stages"))
    console.progress("generating")
    artefact = write_build(compiled, Path(out), data.get("golden_frames"))
    from edgec.inspection import estimate_table

    manifest = artefact.manifest
    if "compression" in manifest["tables"]:
        console.table(manifest["tables"]["compression"])
    console.table(estimate_table(manifest["estimates"]))
    console.say(f"artefact: {out}")
    keys = ("name", "target", "network_id", "estimates", "plan_digest", "passes")
    console.finish({"artefact": out, **{k: manifest[k] for k in keys}})


@cli.command()
@click.argument("artefact")
@click.option(
    "--on",
    help="Comma separated: verilator, icarus, c, qemu-aarch64, qemu-m, onnxruntime. [verilator for RTL, c for C]",
)
@click.option("--vectors", "-n", type=int, help="Random frames besides the golden ones.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random frames.")
@click.option("--frames", metavar="FILE", help="Real input values (.npz, .npy) instead of random frames.")
@click.option("--self-test", is_flag=True, help="Plant mutants and check that every one is caught.")
@click.option(
    "--mutants", type=click.IntRange(1), default=200, show_default=True, help="Number of mutants of the self-test."
)
@timeout_option
@common
@guarded
def verify(
    console: Console,
    artefact: str,
    on: str | None,
    vectors: int | None,
    seed: int,
    frames: str | None,
    self_test: bool,
    mutants: int,
    timeout: float,
) -> None:
    """Bit-exact check of an artefact against the reference; names the first differing layer and element."""
    from edgec import api
    from edgec.artefact import Artefact

    opened = Artefact.open(artefact)
    parties = tuple(p for p in on.split(",") if p) if on is not None else None
    if self_test:
        from edgec.selftest import self_test as run_self_test

        result = run_self_test(opened, mutants=mutants, seed=seed, timeout=timeout, progress=console.progress)
    else:
        result = api.verify(opened, on=parties, vectors=vectors, seed=seed, frames=frames, timeout=timeout)
    for line in result["summary"]:
        console.say(line)
    console.finish(result)


@cli.command()
@click.argument("artefact")
@click.option("--frames", metavar="FILE", help="Real input values (.npz, .npy).")
@click.option("--vectors", "-n", type=int, help="Random frames when no file is given. [256]")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random frames and stalls.")
@click.option(
    "--stalls", type=click.FloatRange(0, 0.95), default=0.0, show_default=True, help="Share of stalled cycles."
)
@click.option("--weights", metavar="IMAGE", help="Weight image to load instead of the artefact's own.")
@click.option("--waves", metavar="FILE", help="Write a VCD trace.")
@click.option("--outputs", metavar="FILE", help="Write output codes to this .npz.")
@timeout_option
@common
@guarded
def cosim(console: Console, artefact: str, outputs: str | None, **arguments: Any) -> None:
    """Drive the RTL with frames, with stalls; cycles are compared with the estimate."""
    from pathlib import Path

    from edgec import api
    from edgec.artefact import write_aside
    from edgec.driver import npz

    result = api.cosim(artefact, **arguments)
    values = result.pop("outputs")
    if outputs:
        write_aside(Path(outputs), npz(values))
    for line in result["summary"]:
        console.say(line)
    console.finish(result)


@cli.command()
@click.argument("artefact")
@click.option("--liberty", metavar="FILE", help="Cell library: .lib, .lib.gz, osu018, gate-equivalents.")
@click.option("--check", is_flag=True, help="Prove or simulate that the mapped netlist computes what the RTL does.")
@timeout_option
@common
@guarded
def synth(console: Console, artefact: str, liberty: str | None, check: bool, timeout: float) -> None:
    """Map the RTL onto a cell library with yosys: cells and area per layer, the estimate beside them."""
    from edgec import api

    result = api.synth(artefact, liberty, check=check, timeout=timeout)
    console.table(result.table())
    for line in result.summary():
        console.say(line)
    console.finish({"folder": str(result.folder), "seconds": round(result.seconds, 1), "report": result.report})


@cli.command()
@click.argument("artefact")
@click.option("--liberty", metavar="FILE", help="Cell library: .lib, .lib.gz, osu018, gate-equivalents.")
@click.option("--frames", metavar="FILE", help="Real input values (.npz, .npy).")
@click.option("--vectors", "-n", type=click.IntRange(2), help="Random frames when no file is given. [100]")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random frames.")
@click.option("--clock-mhz", type=float, help="Clock of the simulation. [the artefact's]")
@click.option("--wire-ff", type=float, help="Wire capacitance of every gate input, fF. [from the library]")
@timeout_option
@common
@guarded
def power(console: Console, artefact: str, liberty: str | None, **arguments: Any) -> None:
    """Energy of an inference by gate-level simulation: per layer, with glitches, clock and leakage."""
    from edgec import api

    result = api.power(artefact, liberty, **arguments)
    console.table(result.table())
    for line in result.summary():
        console.say(line)
    console.finish({"folder": str(result.folder), "report": result.report})


@cli.command()
@click.argument("artefact")
@click.option("--samples", "-n", type=int, help="Flips in the simulated RTL. [2000]")
@click.option("--exhaustive", is_flag=True, help="Flip every flip-flop once instead.")
@click.option("--classes", default="weight,data,control", show_default=True, help="Classes of flip-flops.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of sites, moments and frames.")
@click.option("--frames", metavar="FILE", help="Real input values (.npz, .npy), with labels if it has them. [golden]")
@click.option("--weight-bits", type=int, help="At most so many weight bits in the interpreter. [all]")
@click.option("--rank", metavar="FILE", help="Write the ranking of weight bits that build --ranking takes.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted campaign.")
@click.option("--jobs", "-j", type=int, default=1, show_default=True, help="Simulations side by side.")
@timeout_option
@common
@guarded
def faults(console: Console, artefact: str, classes: str, **arguments: Any) -> None:
    """Flip flip-flops of the RTL and bits of the weights: masked, wrong, lost; rank the weight bits."""
    from edgec import api
    from edgec.hw.faults.report import table

    chosen = [c.strip() for c in classes.split(",") if c.strip()]
    result = api.faults(artefact, classes=chosen, progress=console.progress, **arguments)
    console.table(table(result))
    for line in result["summary"]:
        console.say(line)
    console.finish(result)


class Targets(Commands):
    """`edgec targets` and `edgec targets NAME` show; a name of a command runs it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in CONTEXT["help_option_names"]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@cli.group("targets", cls=Targets)
def targets_group() -> None:
    """List the targets, show one with its sources, or fit one to a cell library.

    `edgec targets [NAME] [--json]` is short for `edgec targets show`.
    """


@targets_group.command("show")
@click.argument("name", required=False)
@common
@guarded
def targets(console: Console, name: str | None) -> None:
    """List the targets, or show one with the sources of its constants."""
    from edgec.target import load_target, target_names

    if name is None:
        rows = [
            {"name": t.name, "backend": t.backend, "description": t.description}
            for t in map(load_target, target_names())
        ]
        console.table(rows)
        console.finish({"targets": rows})
        return
    target = load_target(name)
    rows = [{"constant": k, **v.as_dict()} for k, v in sorted(target.constants.items())]
    console.say(f"{target.name}: {target.description}\nbackend {target.backend}; passes {target.passes}")
    console.table(rows)
    console.finish({"name": target.name, "options": dict(target.options), "constants": rows})


@targets_group.command("calibrate")
@click.argument("liberty", required=False)
@click.option("--out", "-o", metavar="FILE", help="Write the target there (.toml). [only show the errors]")
@click.option("--base", metavar="TARGET", help="Density, threshold and memories. [the library's target, or asic130nm]")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the designs' weights and frames.")
@click.option("--timeout", type=float, default=1800.0, show_default=True, help="Seconds for each external tool.")
@common
@guarded
def calibrate(console: Console, liberty: str | None, out: str | None, **arguments: Any) -> None:
    """Fit a target to a cell library: read it, synthesise and simulate small designs, fit the constants."""
    from edgec import api

    result = api.calibrate(liberty, out, progress=console.progress, **arguments)
    console.table(result.table())
    for figure in ("kGE", "pJ", "ns"):
        row = result.worst(figure)
        console.say(f"largest error in {figure}: {row.error:+.1%} ({row.design})")
    if out is not None:
        console.say(f"target: {out}")
    rows = [
        {"design": r.design, "figure": r.figure, "measured": r.measured, "estimated": r.estimated} for r in result.rows
    ]
    console.finish({"name": result.target.name, "library": result.library.title, "rows": rows, "out": out})


@cli.command()
@common
@guarded
def doctor(console: Console) -> None:
    """Which external tools are there, and how to get those that are not."""
    from edgec.hw.tools.doctor import doctor as examine

    rows = [t.as_dict() for t in examine()]
    console.table(rows, ["name", "version", "source", "purpose"])
    for row in rows:
        if not row["usable"]:
            console.say(f"\n{row['name']} cannot be used: {row['problem']}\n  fix: {row['remedy']}")
    console.finish({"tools": rows})


@cli.command()
@click.argument("code", required=False)
@common
@guarded
def explain(console: Console, code: str | None) -> None:
    """Explain a diagnostic code, or list all of them."""
    from edgec.codes import CODES
    from edgec.diagnostics import EdgecError, nearest

    if code is None:
        console.table([{"code": k, "title": v.title} for k, v in CODES.items()])
        console.finish({"codes": {k: v.title for k, v in CODES.items()}})
        return
    entry = CODES.get(code.upper())
    if entry is None:
        raise EdgecError("E0211", f"unknown code {code!r}", remedy=nearest(code.upper(), CODES))
    status = f" (exit status {int(code[1:3])})" if code.upper().startswith("E") else ""
    console.say(f"{code.upper()}: {entry.title}{status}\n\n{entry.explanation}")
    console.finish({"code": code.upper(), "title": entry.title, "explanation": entry.explanation})


def settings(flags: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Options from a configuration file and flags (flags win), and the rest: target, data files."""
    import dataclasses

    from edgec.diagnostics import EdgecError
    from edgec.options import Options, read_config

    config = flags.pop("config", None)
    merged: dict[str, Any] = read_config(config) if config else {}
    pairs = {}
    for item in flags.pop("dims", ()):
        key, _, value = item.partition("=")
        if not key or not value.isdecimal():
            raise EdgecError("E0201", f"--dim {item!r}", remedy="--dim NAME=N")
        pairs[key] = int(value)
    folds = {}
    for item in flags.pop("folding", ()):
        key, found, value = item.rpartition("=")
        if not found or not key or not value:
            raise EdgecError("E0201", f"--fold {item!r}", remedy="--fold LAYER=PExSIMD")
        folds[key] = value
    if folds:
        merged["folding"] = {**merged.get("folding", {}), **folds}
    if pairs:
        merged["dims"] = {**merged.get("dims", {}), **pairs}
    if flags.get("compress") is not None:
        from edgec.compression import read_recipe

        flags["compress"] = read_recipe(flags["compress"])
    merged |= {k: v for k, v in flags.items() if v is not None}
    known = {f.name for f in dataclasses.fields(Options)}
    options = Options(**{k: v for k, v in merged.items() if k in known})
    return options, {k: v for k, v in merged.items() if k not in known}


def required_target(flag: str | None, data: dict[str, Any]) -> str:
    """The target of the flag or the configuration file; E0201 without one."""
    from edgec.diagnostics import EdgecError

    target = flag or data.get("target")
    if not isinstance(target, str):
        raise EdgecError("E0201", "no target", remedy="--target NAME; edgec targets lists them")
    return target


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `edgec` command."""
    # Matrix products here are small: several BLAS threads only burn CPU time, and may sum in another order.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from edgec.console import run_command

    sys.exit(run_command(cli, arguments))
