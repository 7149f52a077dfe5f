"""Train the encoders with the chip's arithmetic in the loop and write every trained file of this example.

Needs PyTorch, scipy and onnx (versions in README.md). With the same versions and one thread the files come
out the same. All events are synthetic (generator.py).

    python train.py                     # all networks
    python train.py --only 4x4x3        # one of them
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from generator import MIPT, encoder_input, generate
from metrics import (
    GROUP_WEIGHTS,
    GROUPS,
    RHOMBI,
    baselines,
    decode,
    earth_movers_distance,
    shares,
    telescope_loss,
)
from network import Decoder, Encoder
from qonnx_files import save_encoder
from reference import CODE_FRACTION, INPUT_FRACTION, WEIGHT_FRACTION, encode
from torch import Tensor

HERE = Path(__file__).resolve().parent
NETWORKS = {  # name: design, seed of the initial weights and of the batches
    "8x8x1": ("8x8x1", 11),
    "8x8x1_second": ("8x8x1", 29),
    "4x4x3": ("4x4x3", 31),
}
TRAIN_EVENTS, TRAIN_SEED = 100_000, 1
TEST_EVENTS, TEST_SEED = 2_000, 2
BATCH = 500
EPOCHS = 40
LEARNING_RATE = 3e-3
OCCUPANCY = (0, 1, 3, 6, 11, 21, 49)
"""Edges of the occupancy bins: cells above 1 MIPT."""


def loss(true: Tensor, decoded: Tensor) -> Tensor:
    """The telescope loss of metrics.py [N], in torch."""
    y, d = 48.0 * true, 48.0 * decoded
    total = torch.zeros(len(y))
    for matrix, weight, factor in TELESCOPE:
        a, b = y @ matrix, d @ matrix
        total = total + factor * ((a - b) ** 2 * torch.maximum(a, b) * weight).mean(dim=1)
    return total


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)


TELESCOPE = (
    (torch.eye(48), torch.ones(48), 4.0),
    (_tensor(GROUPS.T / 4.0), _tensor(GROUP_WEIGHTS), 2.0),
    (_tensor(RHOMBI.T / 16.0), torch.ones(3), 1.0),
)


def train(design: str, seed: int, quantized: bool, epochs: int) -> tuple[Encoder, Decoder]:
    """One network from seeded random weights; `epochs` passes over the training events."""
    torch.manual_seed(seed)
    charges, _ = generate(TRAIN_EVENTS, TRAIN_SEED)
    charges = charges[charges.sum(axis=1) > 0]  # nothing to learn from a module without charge
    x = _tensor(encoder_input(charges, design)[1] / (1 << INPUT_FRACTION))
    y = _tensor(shares(charges))
    encoder, decoder = Encoder(x.shape[1], quantized), Decoder()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=LEARNING_RATE)
    steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for epoch in range(epochs):
        order = torch.randperm(len(x))
        total = 0.0
        for i in range(len(x) // BATCH):
            pick = order[i * BATCH : (i + 1) * BATCH]
            optimizer.zero_grad()
            batch_loss = loss(y[pick], decoder(encoder(x[pick]))).mean()
            batch_loss.backward()
            optimizer.step()
            schedule.step()
            total += batch_loss.item()
        mean = total / (len(x) // BATCH)
        print(
            f"{design} seed {seed} {'6-bit' if quantized else 'float'} epoch {epoch + 1}: loss {mean:.3f}",
            flush=True,
        )
    return encoder.eval(), decoder.eval()


def score(charges: np.ndarray, decoded: np.ndarray) -> dict[str, object]:
    """Telescope loss and earth mover's distance of decoded images, over all events and by occupancy."""
    true = shares(charges)
    distance = earth_movers_distance(true, decoded)
    bins = np.digitize((charges > MIPT).sum(axis=1), OCCUPANCY) - 1
    return {
        "telescope_loss_mean": _round(telescope_loss(true, decoded).mean()),
        "telescope_loss_median": _round(np.median(telescope_loss(true, decoded))),
        "emd_mean": _round(distance.mean()),
        "emd_median": _round(np.median(distance)),
        "emd_mean_by_occupancy": [_round(distance[bins == b].mean()) for b in range(len(OCCUPANCY) - 1)],
    }


def _round(value: float) -> float:
    return round(float(value), 3)


def evaluate(name: str, encoder: Encoder, decoder: Decoder, rival: tuple[Encoder, Decoder]) -> dict[str, object]:
    """Scores on the test events: chip arithmetic, exact arithmetic, and the float rival."""
    charges, _ = generate(TEST_EVENTS, TEST_SEED)
    charges = charges[charges.sum(axis=1) > 0]
    x = encoder_input(charges, NETWORKS[name][0])[1]
    weights = {key: np.rint(w * (1 << WEIGHT_FRACTION)).astype(np.int64) for key, w in encoder.arrays().items()}
    result = {}
    for numerics in ("econ-t", "exact"):
        code = encode(x, weights, numerics)
        result[numerics] = score(charges, decode(code / (1 << CODE_FRACTION), decoder.arrays()))
        result[numerics]["largest_code"] = int(code.max())
    with torch.no_grad():
        code = rival[0](_tensor(x / (1 << INPUT_FRACTION))).numpy()
    result["float"] = score(charges, decode(code, rival[1].arrays()))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="train the encoders of this example")
    parser.add_argument("--only", choices=tuple(NETWORKS), help="train one network; the others' files stay")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    report_file = HERE / "training.json"
    report = json.loads(report_file.read_text()) if args.only and report_file.exists() else {}
    rivals: dict[str, tuple[Encoder, Decoder]] = {}
    for name in [args.only] if args.only else NETWORKS:
        design, seed = NETWORKS[name]
        if design not in rivals:  # the float rival has the seed of the design's first network
            rivals[design] = train(design, NETWORKS[design][1], False, args.epochs)
        encoder, decoder = train(design, seed, True, args.epochs)
        save_encoder(HERE / f"econ_t_{name}.onnx", design, encoder.arrays())
        np.savez_compressed(HERE / f"decoder_{name}.npz", **decoder.arrays())
        if name == "8x8x1":
            save_encoder(HERE / "econ_t_8x8x1_float.onnx", design, rivals[design][0].arrays(), quantized=False)
        report[name] = evaluate(name, encoder, decoder, rivals[design])
        print(name, json.dumps(report[name], indent=1), flush=True)
    charges, _ = generate(TEST_EVENTS, TEST_SEED)
    charges = charges[charges.sum(axis=1) > 0]
    report["baselines"] = {name: score(charges, image) for name, image in baselines(charges).items()}
    report["occupancy_edges"] = list(OCCUPANCY)
    report_file.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
