"""Constant networks beside da4ml's: area, energy, delay and time to solve, from one run.

    python -m venv VENV && VENV/bin/pip install da4ml==0.6.0
    OPENBLAS_NUM_THREADS=1 python bench/constants.py [--da4ml VENV/bin/python] [--kinds int6 pow2 ternary] [--seeds 0 1]

Both networks multiply the same random matrix, are mapped by the same commands onto the same library, with full
and half adder cells in both (da4ml's additions as ripple chains of them), stand between the same registers, and are
simulated on the same frames at gate level with glitches. Their outputs are compared with numpy's. Without `--da4ml`
edgec's network stands alone. `--sharing 3,16`: terms in three levels that save 16 full adders at least.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from constants_flow import RIPPLE, Figures, Side, measure

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.emit import emit, library
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import input_array
from edgec.backends.rtl.constants.choose import choose_network, separate_trees
from edgec.backends.rtl.constants.polarity import settle_signs
from edgec.backends.rtl.constants.realize import realize
from edgec.backends.rtl.constants.shared import shared_terms

HERE = Path(__file__).resolve().parent


def matrix(kind: str, outputs: int, inputs: int, seed: int) -> np.ndarray:
    """Random weights int64 [outputs, inputs]."""
    r = np.random.default_rng(seed)
    shape = (outputs, inputs)
    sign = r.choice([-1, 1], shape)
    match kind:
        case "int8":
            return np.clip(np.round(r.laplace(0, 24, shape)), -127, 127).astype(np.int64)
        case "int6":  # as the weights of a trained layer: Laplace
            return np.clip(np.round(r.laplace(0, 6, shape)), -31, 31).astype(np.int64)
        case "int6-uniform":
            return r.integers(-31, 32, shape)
        case "pow2":  # a sign and one of seven shifts, no zeros
            return sign << r.integers(0, 7, shape)
        case "pow2-normal":
            return sign << np.clip(np.round(np.log2(np.abs(r.normal(0, 32, shape)) + 0.5)), 0, 6).astype(np.int64)
        case "ternary":
            return r.choice([-1, 0, 1], shape, p=[0.3, 0.4, 0.3])
        case "ternary-uniform":
            return r.integers(-1, 2, shape)
        case "binary":
            return sign
    raise SystemExit(f"no such weights: {kind}")


def frames_of(kind: str, count: int, inputs: int, bits: int, seed: int) -> np.ndarray:
    """Frames int64 [count, inputs]: uniform, or `sparse` with 60 % zeros and small values more often."""
    r = np.random.default_rng([seed, 1])
    if kind == "uniform":
        return r.integers(0, 1 << bits, (count, inputs))
    values = np.clip(r.exponential((1 << bits) / 8, (count, inputs)), 0, (1 << bits) - 1).astype(np.int64)
    return np.where(r.random((count, inputs)) < 0.6, 0, values)


def ours(weights: np.ndarray, bits: int, sharing: str) -> tuple[Side, float]:
    """edgec's network and the seconds it took to find."""
    start = time.process_time()
    ranges = [(1 << bits) - 1] * weights.shape[1]
    if "," in sharing:
        depth, overhead = sharing.split(",")
        network = settle_signs(shared_terms(weights, ranges, depth=int(depth), overhead=float(overhead)), ranges)
    else:
        network = choose_network(weights, ranges, sharing) or separate_trees(weights)
    seconds = time.process_time() - start
    x = input_array("x", weights.shape[1], Interval(0, (1 << bits) - 1))
    y = realize(network, x)
    sources = {"cells": library()["edgec_cells.sv"]} | emit(Circuit("network", {"y": y}, [x]))
    signed = [w.signed for w in y]
    return Side(sources, "network", "x", "y", [w.width for w in y], signed, [0] * len(y)), seconds


def da4ml(python: str, weights: np.ndarray, bits: int) -> tuple[Side, float]:
    """da4ml's network and the seconds it took to find."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "matrix.npy", weights.T)
        command = [python, str(HERE / "constants_da4ml.py"), str(folder / "matrix.npy"), str(bits), str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        result = json.loads((folder / "result.json").read_text())
        sources = {"network": (folder / "src/network.v").read_text(), "adder": RIPPLE}
        sources["negative"] = (folder / "src/static/negative.v").read_text()
    places = [-f for f in result["fractions"]]  # low bits that are always zero are no part of da4ml's outputs
    side = Side(sources, "network", "model_inp", "model_out", result["widths"], result["signed"], places)
    return side, result["seconds"]


def line(name: str, seconds: float, figures: Figures) -> str:
    f = figures
    return (
        f"  {name:8s} {seconds:8.2f} s {f.kge:8.2f} kGE {f.pj:8.1f} pJ {f.pj_registered:8.1f} pJ with registers"
        f" {f.delay_ns:6.2f} ns glitch {f.glitch:5.2f} {'right' if f.right else 'WRONG'}"
    )


def relations(a: Figures, b: Figures) -> dict[str, float]:
    """The figures of one network over those of another."""
    return {
        "area": a.kge / b.kge,
        "energy": a.pj / b.pj,
        "registered_area": a.kge_registered / b.kge_registered,
        "registered_energy": a.pj_registered / b.pj_registered,
        "delay": a.delay_ns / b.delay_ns,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--da4ml", help="a Python interpreter that has da4ml; without it there are no ratios")
    parser.add_argument("--kinds", nargs="+", default=["int6", "pow2", "ternary"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--inputs", type=int, default=128)
    parser.add_argument("--outputs", type=int, default=16)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--sharing", default="auto")
    parser.add_argument("--liberty", default="osu018")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--activity", nargs="+", default=["uniform", "sparse"])
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    rows = []
    for kind in options.kinds:
        for seed in options.seeds:
            weights = matrix(kind, options.outputs, options.inputs, seed)
            sides = {"edgec": ours(weights, options.bits, options.sharing)}
            if options.da4ml:
                sides["da4ml"] = da4ml(options.da4ml, weights, options.bits)
            for activity in options.activity:
                frames = frames_of(activity, options.frames, options.inputs, options.bits, seed)
                print(f"{options.inputs}x{options.outputs} {kind}, seed {seed}, {activity} frames, {options.liberty}")
                found = {}
                for name, (side, seconds) in sides.items():
                    found[name] = measure(side, options.liberty, frames, options.bits, frames @ weights.T)
                    print(line(name, seconds, found[name]), flush=True)
                row = {"kind": kind, "seed": seed, "activity": activity}
                if options.da4ml:
                    row["ratios"] = ratios = relations(found["edgec"], found["da4ml"])
                    print("  ratio    " + ", ".join(f"{k} {v:.3f}" for k, v in ratios.items()), flush=True)
                rows.append(row | {n: vars(f) | {"seconds": sides[n][1]} for n, f in found.items()})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("all right" if all(r[n]["right"] for r in rows for n in ("edgec", "da4ml") if n in r) else "WRONG RESULTS")


if __name__ == "__main__":
    main()
