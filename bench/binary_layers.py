"""Layers of -1 and 1 weights: separate trees, spanning tree, shared terms, Steiner tree, beside da4ml, from one run.

    python -m venv VENV && VENV/bin/pip install da4ml==0.6.0
    OPENBLAS_NUM_THREADS=1 python bench/binary_layers.py [--da4ml VENV/bin/python] [--kinds random correlated conv]

Inputs are single bits (`--bits` for wider ones), outputs the whole sums. `random` and `correlated` (signs of a matrix
of rank 6) have 256 inputs and 64 outputs, `conv` is one pixel of a 3x3 convolution of 64 by 64 channels. All networks
go through the flow of `constants.py`: the same commands, library, registers and frames, results compared with numpy's.
`solve` is processor time; as the command line, this wants one BLAS thread, since idle ones spin and count as well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from constants import da4ml
from constants_flow import Figures, Side, measure

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.emit import emit, library
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.wire import input_array
from edgec.backends.rtl.constants.binary import mst, steiner
from edgec.backends.rtl.constants.choose import choose_network, separate_trees
from edgec.backends.rtl.constants.network import LinearNetwork
from edgec.backends.rtl.constants.realize import realize
from edgec.backends.rtl.constants.shared import shared_terms

Solver = Callable[[np.ndarray, np.ndarray], LinearNetwork]


def automatic(weights: np.ndarray, ranges: np.ndarray) -> LinearNetwork:
    return choose_network(weights, ranges.tolist(), "auto") or separate_trees(weights)


METHODS: dict[str, Solver] = {
    "separate": lambda weights, _: separate_trees(weights),
    "mst": mst,
    "mst, depth 6": partial(mst, max_depth=6),
    "shared": lambda weights, ranges: shared_terms(weights, ranges),
    "steiner": steiner,
    "steiner, any depth": partial(steiner, max_depth=0),
    "auto": automatic,
}


def matrix(kind: str, seed: int) -> np.ndarray:
    """Weights int64 [outputs, inputs] of -1 and 1."""
    r = np.random.default_rng(seed)
    match kind:
        case "random":
            return r.choice([-1, 1], (64, 256))
        case "correlated":
            return np.where(r.normal(size=(64, 6)) @ r.normal(size=(6, 256)) < 0, -1, 1)
        case "conv":
            return r.choice([-1, 1], (64, 576))
    raise SystemExit(f"no such weights: {kind}")


def ours(solver: Solver, weights: np.ndarray, bits: int) -> tuple[Side, float, int]:
    """edgec's network, the seconds it took to find, and its depth."""
    ranges = np.full(weights.shape[1], (1 << bits) - 1)
    start = time.process_time()
    network = solver(weights, ranges)
    seconds = time.process_time() - start
    x = input_array("x", weights.shape[1], Interval(0, (1 << bits) - 1))
    y = realize(network, x)
    sources = {"cells": library()["edgec_cells.sv"]} | emit(Circuit("network", {"y": y}, [x]))
    side = Side(sources, "network", "x", "y", [w.width for w in y], [w.signed for w in y], [0] * len(y))
    return side, seconds, network.depth


def line(name: str, seconds: float, depth: int, figures: Figures, peer: tuple[float, Figures] | None) -> str:
    f = figures
    full, half = (sum(n for cell, n in f.cells.items() if cell.upper().startswith(kind)) for kind in ("FA", "HA"))
    text = f"  {name:18s} {full:6d} {half:6d} {f.kge:7.2f} {f.pj:8.1f} {f.glitch:6.2f} {f.delay_ns:6.2f}"
    text += f" {depth or '-':>5} {seconds:8.3f}  {'right' if f.right else 'WRONG'}"
    if peer is not None:
        text += f" {f.kge / peer[1].kge:7.3f} {f.pj / peer[1].pj:7.3f} {peer[0] / seconds:8.1f}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--da4ml", help="a Python interpreter that has da4ml; without it there are no ratios")
    parser.add_argument("--kinds", nargs="+", default=["random", "correlated"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--bits", type=int, default=1)
    parser.add_argument("--liberty", default="osu018")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    rows = []
    for kind in options.kinds:
        for seed in options.seeds:
            weights = matrix(kind, seed)
            frames = np.random.default_rng([seed, 1]).integers(0, 1 << options.bits, (options.frames, weights.shape[1]))
            figures = partial(measure, liberty=options.liberty, frames=frames, bits=options.bits)
            expected = frames @ weights.T
            print(f"{weights.shape[1]}x{len(weights)} {kind}, seed {seed}, {options.bits} bit, {options.liberty}")
            columns = f"  {'':18s} {'FA':>6} {'HA':>6} {'kGE':>7} {'pJ':>8} {'glitch':>6} {'ns':>6} {'depth':>5}"
            peers = "        of da4ml: area, energy; times faster" if options.da4ml else ""
            print(f"{columns} {'solve s':>8}{peers}", flush=True)
            peer = None
            if options.da4ml:
                side, seconds = da4ml(options.da4ml, weights, options.bits)
                peer = seconds, figures(side, expected=expected)
                print(line("da4ml", seconds, 0, peer[1], None), flush=True)
                rows.append({"kind": kind, "seed": seed, "method": "da4ml", "seconds": seconds} | vars(peer[1]))
            for method in options.methods:
                side, seconds, depth = ours(METHODS[method], weights, options.bits)
                found = figures(side, expected=expected)
                print(line(method, seconds, depth, found, peer), flush=True)
                rows.append({"kind": kind, "seed": seed, "method": method, "seconds": seconds} | vars(found))
    right = all(row["right"] for row in rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("all right" if right else "WRONG RESULTS")


if __name__ == "__main__":
    main()
