"""Targets: listed, shown, fitted to a cell library."""

from __future__ import annotations

from typing import Any

import click

from edgec.cli.common import CONTEXT, Commands, common
from edgec.console import Console, guarded


class Targets(Commands):
    """`edgec targets` and `edgec targets NAME` show; a name of a command runs it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in CONTEXT["help_option_names"]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("targets", cls=Targets)
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
