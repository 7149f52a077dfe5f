"""From a model: what is in the way, what it costs, the artefact."""

from __future__ import annotations

from typing import Any

import click

from edgec.cli.common import common, model_options, required_target, settings
from edgec.console import Console, guarded


@click.command()
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


@click.command()
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


@click.command()
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
    if "low bits" in manifest["tables"]:
        console.say("\nhow the weights of few bits are stored")
        rows = manifest["tables"]["low bits"]
        console.table(rows, ["layer", "weights", *(k for k in rows[0] if k not in ("layer", "weights", "why")), "why"])
    console.table(estimate_table(manifest["estimates"]))
    console.say(f"artefact: {out}")
    keys = ("name", "target", "network_id", "estimates", "plan_digest", "passes")
    console.finish({"artefact": out, **{k: manifest[k] for k in keys}})
