"""On an artefact of hardware: co-simulation, synthesis, power, faults."""

from __future__ import annotations

from typing import Any

import click

from edgec.cli.common import common, timeout_option
from edgec.console import Console, guarded


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
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
