"""The command line: a thin, lazy layer over `edgec.api`.

Results go to stdout, progress and diagnostics to stderr. `--json` prints one object with a schema version. No
module of numpy's or onnx's size is imported before a command runs. Every file here has a group of commands.
"""

from __future__ import annotations

import os
import sys

import click

from edgec import __version__
from edgec.cli import about, checks, models, silicon, targets
from edgec.cli.common import CONTEXT, Commands


def show_cmake_dir(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the folder of the CMake package and end."""
    if value and not context.resilient_parsing:
        from pathlib import Path

        click.echo(Path(__file__).parents[1] / "cmake")
        context.exit()


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="edgec")
@click.option(
    "--cmake-dir", is_flag=True, expose_value=False, is_eager=True, callback=show_cmake_dir,
    help="Show the folder of the CMake package (edgec_DIR) and exit.",
)  # fmt: skip
def cli() -> None:
    """The hardware-aware edge deployment compiler: the same numbers from model to silicon, with the cost known
    beforehand.

    Exit status: 0 ok, 1 internal error, 2 usage, 3 model not importable or unsupported, 4 gate not met,
    5 verification mismatch, 6 external tool, 7 integrity, 8 device unreachable, 130 interrupted.
    """


for command in (
    models.inspect, models.estimate, models.build,
    checks.verify, checks.bench, silicon.cosim, silicon.synth, silicon.power, silicon.faults,
    targets.targets_group, about.doctor, about.explain,
):  # fmt: skip
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `edgec` command."""
    # Matrix products here are small: several BLAS threads only burn CPU time, and may sum in another order.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from edgec.console import run_command

    sys.exit(run_command(cli, arguments))
