"""What the commands share: the group that lists them in order of use, options, and reading of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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
        click.option(
            "--precision", type=click.Choice(["fp16"]), help="Turn binary32 into half precision. [the model's]"
        ),
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
        click.option(
            "--low-bits",
            type=click.Choice(["auto", "size", "speed", "none"]),
            help="C code: what decides whether weights of few values become packed codes; none: they do not. [auto]",
        ),
        click.option(
            "--winograd",
            type=click.Choice(["auto", "stored", "computed", "off"]),
            help="C code: transformed weights of 3 x 3 convolutions. [auto: stored where the model stays small]",
        ),
        click.option("--clock-mhz", type=float, help="Clock for energy and timing. [the target's]"),
        click.option("--max-area", "max_area_kge", type=float, metavar="KGE", help="Refuse above this area."),
        click.option("--harden", metavar="SPEC", help="Triplicated registers: full, or weight=full-tmr-scrub,data=..."),
        click.option("--ranking", metavar="FILE", help="Ranking of weight bits for --harden ...,budget=20%."),
        click.option(
            "--functions",
            type=click.Choice(["single", "double"]),
            help="C code: precision of exp, tanh and the like where no integer depends on them. [single]",
        ),
        click.option("--threads", type=int, help="C code: large steps in pieces for this many threads. [1]"),
        click.option("--name", help="Prefix of modules and symbols. [the model's name]"),
        click.option("--seed", type=int, help="Seed of everything random. [0]"),
        click.option("--config", metavar="FILE", help="TOML file with a [build] table; flags win."),
    )
    for option in reversed(options):
        command = option(command)
    return command


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
