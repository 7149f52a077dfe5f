"""On an artefact of any backend: whether it computes what the reference does, and how fast code is."""

from __future__ import annotations

from typing import Any

import click

from edgec.cli.common import common, timeout_option
from edgec.console import Console, guarded


@click.command()
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


@click.command()
@click.argument("artefact")
@click.option("--core", "cores", metavar="NAMES", help="Comma separated: cortex-a76, ..., host. [its own core, host]")
@click.option("--compiler", type=click.Choice(["zig", "gcc"]), help="Compiler for 64-bit Arm cores. [zig if there]")
@click.option("--steps", is_flag=True, help="Instructions of every step as well.")
@timeout_option
@common
@guarded
def bench(console: Console, artefact: str, cores: str | None, **arguments: Any) -> None:
    """What C code costs: instructions per inference on Arm cores under QEMU, time on this machine, code size."""
    from edgec import api
    from edgec.hw.sim.c_bench import step_table, table

    chosen = [c.strip() for c in cores.split(",") if c.strip()] if cores is not None else None
    result = api.bench(artefact, cores=chosen, progress=console.progress, **arguments)
    console.table(table(result))
    for row in result["cores"]:
        if "steps" in row:
            console.say(f"\n{row['core']}, step by step")
            console.table(step_table(row))
    for line in result["summary"]:
        console.say(line)
    console.finish(result)
