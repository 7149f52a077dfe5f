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


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that decide how a model is lowered."""
    options = (
        click.option(
            "--weights", type=click.Choice(["fixed", "loaded"]), help="Constants, or a register bank. [fixed]"
        ),
        click.option("--numerics", help="Numeric profile: exact, econ-t. [exact]"),
        click.option(
            "--quantize", metavar="OPTIONS", help="Post-training quantisation: bits=8,format=affine,method=mse"
        ),
        click.option("--calibration", metavar="FILE", help="Real input values (.npz, .npy) for quantisation."),
        click.option("--input-format", metavar="FORMAT", help="Format of float inputs that the model leaves open."),
        click.option("--strip-softmax", is_flag=True, default=None, help="Leave out a final softmax."),
        click.option("--cut-float-tail", is_flag=True, default=None, help="Leave a floating-point end to the host."),
        click.option("--passes", metavar="PIPELINE", help="Replace the whole pipeline."),
        click.option("--batch", type=int, help="Fix a dynamic batch dimension."),
        click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="Fix a symbolic dimension."),
        click.option("--clock-mhz", type=float, help="Clock for energy and timing. [the target's]"),
        click.option("--max-area", "max_area_kge", type=float, metavar="KGE", help="Refuse above this area."),
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
    if "accuracy" in result.get("tables", {}):
        console.say("\nwhat quantisation costs (signal to noise in dB against the float network)")
        console.table(result["tables"]["accuracy"])
    console.finish(result, fail=result["errors"])


@cli.command()
@click.argument("model")
@click.option("--target", "-t", help="Target name or TOML file.")
@model_options
@common
@guarded
def estimate(console: Console, model: str, target: str | None, **flags: Any) -> None:
    """Cycles, energy and area per layer; no toolchain needed."""
    from edgec import api

    options, data = settings(flags)
    compiled = api.compile_model(model, required_target(target, data), options, calibration=data.get("calibration"))
    console.diagnostics(compiled.diagnostics)
    from edgec.inspection import price

    result = price(compiled)
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
    console.table(estimate_table(manifest["estimates"]))
    console.say(f"artefact: {out}")
    keys = ("name", "target", "network_id", "estimates", "plan_digest", "passes")
    console.finish({"artefact": out, **{k: manifest[k] for k in keys}})


@cli.command()
@click.argument("artefact")
@click.option("--on", default="verilator", show_default=True, help="Comma separated: verilator, icarus, onnxruntime.")
@click.option("--vectors", "-n", type=int, help="Random frames besides the golden ones.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random frames.")
@click.option("--frames", metavar="FILE", help="Real input values (.npz, .npy) instead of random frames.")
@click.option("--self-test", is_flag=True, help="Plant mutants and check that every one is caught.")
@click.option(
    "--mutants", type=click.IntRange(1), default=200, show_default=True, help="Number of mutants of the self-test."
)
@click.option("--timeout", type=float, default=1800.0, show_default=True, help="Seconds for each external tool.")
@common
@guarded
def verify(
    console: Console,
    artefact: str,
    on: str,
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
    parties = tuple(p for p in on.split(",") if p)
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
@click.option("--timeout", type=float, default=1800.0, show_default=True, help="Seconds for each external tool.")
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


@cli.command()
@common
@guarded
def doctor(console: Console) -> None:
    """Which external tools are there, and how to get those that are not."""
    from edgec.hw.tools.doctor import doctor as examine

    rows = [t.as_dict() for t in examine()]
    console.table(rows, ["name", "status", "version", "source", "remedy"])
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
    if pairs:
        merged["dims"] = {**merged.get("dims", {}), **pairs}
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
