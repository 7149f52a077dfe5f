"""Radiation on the ECON-T encoder: what flips do without protection, with it, and with only the worst bits protected.

    python bench/faults.py [design] [flips]

Designs are 8x8x1 (default) and 4x4x3, in the chip's arithmetic with loaded weights; flips in the simulated RTL of each
variant are 10,000 by default. Weight bits are ranked on one set of synthetic events and judged on another: by the
change of the outputs, by the telescope loss of the decoded image, and by its earth mover's distance (EMD; a seeded
sample of the bits). Needs scipy for the EMD, and yosys with a library for the areas.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import edgec
from edgec.artefact import Artefact
from edgec.cosimulation import load_graph
from edgec.frames import encode_frames
from edgec.hw.faults.weights import WeightFlips
from edgec.options import Options
from edgec.ranking import read_ranking

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "econ_t"
sys.path.insert(0, str(EXAMPLE))

from generator import encoder_input, generate  # noqa: E402
from metrics import decode, earth_movers_distance, shares, telescope_loss  # noqa: E402

FRAMES, RANKED_ON, JUDGED_ON = 64, 11, 12
EMD_BITS, EMD_FRAMES = 240, 16
SHARES = (0, 1, 2, 5, 10, 20, 30, 50, 75, 100)
INPUT_UNIT = 1 / 128


def events(design: str, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Real input frames [F, ...] by name, and the true charges [F, 48]; modules without charge are left out."""
    charges, _ = generate(4 * FRAMES, seed)
    charges = charges[charges.sum(axis=1) > 0][:FRAMES]
    return {"x": encoder_input(charges, design)[1] * INPUT_UNIT}, charges


def metric(charges: np.ndarray, decoder: Mapping[str, np.ndarray]) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """The telescope loss of the decoded images of real outputs [N * F, 1, 16]."""
    true = shares(charges)

    def telescope(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        (code,) = outputs.values()
        images = decode(code.reshape(len(code), -1), decoder)
        return telescope_loss(np.tile(true, (len(code) // len(true), 1)), images)

    return telescope


def emd_changes(
    artefact: Artefact, frames: Mapping[str, np.ndarray], charges: np.ndarray, decoder: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions of sampled weight bits, the change of the EMD by a flip of each, and the EMD without."""
    graph = load_graph(artefact)
    codes = encode_frames(graph, {n: a[:EMD_FRAMES] for n, a in frames.items()})
    flips = WeightFlips(graph, artefact.manifest["interface"]["registers"], codes)
    chosen = np.random.default_rng(3).choice(flips.positions, EMD_BITS, replace=False)
    true = shares(charges[:EMD_FRAMES])
    ((name, op),) = graph.outputs

    def distance(values: np.ndarray) -> float:
        return float(
            earth_movers_distance(true, decode(op.format.decode(values).reshape(EMD_FRAMES, -1), decoder)).mean()
        )

    clean = distance(flips.clean[name])
    change = np.zeros(EMD_BITS)
    for index, found in flips.outputs(chosen):
        for k, i in enumerate(index):
            changed = found[name][k]
            change[i] = 0.0 if np.array_equal(changed, flips.clean[name]) else distance(changed) - clean
    return chosen, change, clean


def weight_table(artefact: Artefact) -> dict[str, np.ndarray]:
    with (artefact.path / "faults.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {c: np.array([float(r[c]) for r in rows]) for c in ("position", "mean_change", "metric_change")}


def protected_shares(design: str, plain: Artefact, ranking: Path) -> None:
    """How much damage a random flip of a weight bit does on unseen events, by the share of bits that are protected."""
    frames, charges = events(design, JUDGED_ON)
    decoder = dict(np.load(EXAMPLE / f"decoder_{design}.npz"))
    edgec.faults(plain, samples=100, frames=frames, metric=metric(charges, decoder))
    table = weight_table(plain)
    change, loss = (dict(zip(table["position"].astype(int).tolist(), table[c], strict=True)) for c in list(table)[1:])
    order = read_ranking(ranking).positions
    sampled, emd, clean = emd_changes(plain, frames, charges, decoder)
    print(
        f"\nprotected weight bits, {order.size} in all; mean over single flips of a random weight bit, on events that "
        f"the ranking has not seen\n(EMD without a flip {clean:.3f}; its change from {EMD_BITS} sampled bits and "
        f"{EMD_FRAMES} events)\nshare   output change   telescope loss   EMD      left of the damage   if bits were "
        "chosen at random"
    )
    whole = sum(loss.values())
    for share in SHARES:
        kept = order[order.size * share // 100 :]
        hard = set(order[: order.size * share // 100].tolist())
        distance = np.where([p in hard for p in sampled.tolist()], 0.0, emd).mean()
        left = sum(loss[p] for p in kept.tolist())
        print(
            f"{share:4d} %  {sum(change[p] for p in kept.tolist()) / order.size:.5f}         {left / order.size:+.5f}"
            f"         {distance:+.4f}  {left / whole:6.1%}              {1 - share / 100:6.1%}"
        )


def simulated(name: str, artefact: Artefact, flips: int) -> dict[str, Any]:
    start = time.perf_counter()
    report = edgec.faults(artefact, samples=flips, weight_bits=0)["simulation"]
    seconds = time.perf_counter() - start
    for row in report["classes"]:
        failed = row["failed"]
        print(
            f"{name:22s} {row['class']:8s} {row['style']:15s} {row['flip_flops']:6d} {row['injections']:6d} "
            f"{row['masked']:6d} {row['wrong']:6d} {row['lost_or_invented']:6d} {row['persistent']:6d}   "
            f"{failed['rate']:7.2%} ({failed['low']:.2%}..{failed['high']:.2%})"
        )
    print(f"{name:22s} {flips} flips in {seconds:.0f} s with the building of the simulator", flush=True)
    return report


def area(artefact: Artefact) -> str:
    """Flip-flops and kGE after synthesis, the estimate beside them."""
    try:
        totals = edgec.synth(artefact, "osu018").report["totals"]
    except edgec.EdgecError as error:
        return f"not synthesised: {error.diagnostics[0].what}"
    found = totals["flip_flops_by_class"]
    return (
        f"osu018 {totals['ge'] / 1000:.0f} kGE (estimated {totals['estimated_kge']:.0f}, "
        f"{totals['estimate_error']:+.1%}); flip-flops {found}"
    )


def main() -> None:
    design = sys.argv[1] if len(sys.argv) > 1 else "8x8x1"
    flips = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        place, ranking = Path(folder), Path(folder) / "ranking.json"

        def build(name: str, harden: str | None) -> Artefact:
            chosen = str(ranking) if "budget" in (harden or "") else None
            options = Options(weights="loaded", numerics="econ-t", harden=harden, ranking=chosen)
            return edgec.build(EXAMPLE / f"econ_t_{design}.onnx", "asic180nm", place / name, options)

        plain = build("plain", None)
        frames, charges = events(design, RANKED_ON)
        decoder = dict(np.load(EXAMPLE / f"decoder_{design}.npz"))
        start = time.perf_counter()
        edgec.faults(plain, samples=100, frames=frames, metric=metric(charges, decoder), rank=ranking)
        bits = read_ranking(ranking).positions.size
        print(f"{bits} weight bits ranked on {FRAMES} events in {time.perf_counter() - start:.0f} s")
        protected_shares(design, plain, ranking)
        print("\nflips in the simulated RTL")
        print(
            f"{'design':22s} {'class':8s} {'style':15s} {'flops':>6s} {'flips':>6s} {'masked':>6s} {'wrong':>6s} "
            f"{'lost':>6s} {'stay':>6s}   failed (95 % interval)"
        )
        variants = {
            "plain": plain,
            "register-tmr": build("tmr", "register-tmr"),
            "full": build("full", "full"),
            "full, worst 20 %": build("some", "full,budget=20%"),
        }
        for name, artefact in variants.items():
            simulated(name, artefact, flips)
        print()
        for name, artefact in variants.items():
            print(f"{name:22s} {area(artefact)}", flush=True)


if __name__ == "__main__":
    main()
