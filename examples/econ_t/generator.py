"""Synthetic HGCAL-like events: calibrated charges of the 48 trigger cells of one module.

This is a toy with the right shapes, not a simulation of the detector. An event is a module of one kind:
empty, sparse (1 to 5 cells), a single hot cell, pile-up, electromagnetic (one narrow core), hadronic
(several broad, grainy clusters) or saturated. The charges pass through the chip's front end as published
for it: a 4E3M seven-bit float, decoded to an integer with its midpoint, times an 11-fraction-bit
calibration factor, saturating at 22 bits. The normaliser divides by a power of two, never by the sum
itself.

    python generator.py --design 8x8x1 -n 10000 --seed 7 -o x.npz

writes `x` (encoder input codes, ufixed<8,1>) [N, channels, rows, columns] uint8, `charges` [N, 48] int32 in
the order of the design's input multiplexer, and `kind` [N] uint8.
"""

from __future__ import annotations

import argparse

import numpy as np
from geometry import CELLS, DESIGNS, MULTIPLEXER, POSITIONS, place

KINDS = ("empty", "sparse", "single", "pileup", "electromagnetic", "hadronic", "saturated")
KIND_SHARE = (0.02, 0.17, 0.03, 0.28, 0.28, 0.20, 0.02)
MIPT = 64.0
"""Counts of the front end for one transverse minimum-ionising-particle unit."""
DROP = 3
"""Low bits that the front end drops from a charge (high-density modules)."""
BLOBS = 4
CHARGE_MAX = (1 << 22) - 1
INPUT_MAX = 255


def encode_4e3m(value: np.ndarray) -> np.ndarray:
    """Integer charges to the chip's seven-bit floats (4E3M), truncating and saturating."""
    v = np.minimum(np.maximum(value, 0).astype(np.int64) >> DROP, 15 << 14)
    shift = np.maximum(np.frexp(v.astype(np.float64))[1] - 4, 0)  # frexp's exponent is the bit length
    return np.where(v < 8, v, ((shift + 1) << 3) | ((v >> shift) & 7))


def decode_4e3m(code: np.ndarray) -> np.ndarray:
    """Seven-bit floats to integers: value << DROP plus the midpoint of the interval."""
    exponent, mantissa = code >> 3, code & 7
    shift = np.maximum(exponent - 1, 0)
    value = np.where(exponent > 0, (mantissa | 8) << shift, mantissa)
    return (value << DROP) + (1 << (shift + DROP - 1))


def _blobs(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Lateral shower profiles [N, 48] in MIPT for the electromagnetic, hadronic and saturated events."""
    n = len(kind)
    hadronic = KINDS.index("hadronic")
    is_hadronic = kind == hadronic
    centre = rng.uniform(-4.4, 4.4, (n, BLOBS, 2))
    # Hadronic clusters belong together: gather them round the first one.
    centre[:, 1:] = np.where(
        is_hadronic[:, None, None], centre[:, :1] + rng.normal(0.0, 1.6, (n, BLOBS - 1, 2)), centre[:, 1:]
    )
    width = np.where(is_hadronic[:, None], rng.uniform(0.4, 1.4, (n, BLOBS)), rng.uniform(0.22, 0.45, (n, BLOBS)))
    energy = np.exp(rng.uniform(np.log(6.0), np.log(1500.0), (n, BLOBS)))
    energy[:, 1:] *= np.where(is_hadronic[:, None], 0.7, 0.15)
    wanted = np.where(is_hadronic, rng.integers(1, BLOBS + 1, n), rng.integers(1, 3, n))
    energy *= np.arange(BLOBS) < wanted[:, None]
    energy *= (kind >= KINDS.index("electromagnetic"))[:, None]
    square = ((centre[:, :, None, :] - POSITIONS[None, None]) ** 2).sum(axis=-1)
    profile = np.exp(-np.sqrt(square + 0.04) / width[:, :, None])
    profile /= profile.sum(axis=2, keepdims=True)
    charge = (profile * energy[:, :, None]).sum(axis=1)
    grain = rng.gamma(np.where(is_hadronic, 1.2, 12.0)[:, None], size=(n, CELLS))
    return charge * grain / np.where(is_hadronic, 1.2, 12.0)[:, None]


def _sparse(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Charges [N, 48] in MIPT: one to five cells in the sparse events, one in the single-cell events."""
    n = len(kind)
    cells = np.where(kind == KINDS.index("sparse"), rng.integers(1, 6, n), 1)
    rank = rng.random((n, CELLS)).argsort(axis=1).argsort(axis=1)
    charge = np.exp(rng.uniform(np.log(1.2), np.log(30.0), (n, CELLS)))
    charge *= np.where(kind == KINDS.index("single"), 20.0, 1.0)[:, None]
    wanted = (kind == KINDS.index("sparse")) | (kind == KINDS.index("single"))
    return charge * (rank < cells[:, None]) * wanted[:, None]


def generate(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `n` events: charges [n, 48] int32 (22 bits, physical cell order), kind [n] uint8 (see KINDS)."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(KINDS), size=n, p=KIND_SHARE).astype(np.uint8)
    crowded = (kind >= KINDS.index("pileup")).astype(np.float64)[:, None]
    mean_hits = np.exp(rng.uniform(np.log(1.0), np.log(30.0), (n, 1))) / CELLS
    hits = rng.poisson(np.broadcast_to(mean_hits, (n, CELLS)))
    charge = crowded * hits * rng.gamma(1.6, 0.9, (n, CELLS))
    charge += _blobs(rng, kind) + _sparse(rng, kind)
    noise = np.maximum(rng.normal(0.0, 0.12, (n, CELLS)), 0.0)
    counts = (charge + noise) * MIPT
    saturated = kind == KINDS.index("saturated")
    counts[saturated] *= 4000.0
    # Calibration: one factor a module (its rapidity and layer), a few per cent from cell to cell; 2048 is
    # 1.0.
    factor = rng.uniform(0.5, 2.0, (n, 1)) * rng.normal(1.0, 0.03, (n, CELLS)) * 2048.0
    factor[saturated] *= 1.5
    calibration = np.clip(np.rint(factor), 0, 4095).astype(np.int64)
    calibration[kind == KINDS.index("empty")] = 0  # a masked module
    front_end = decode_4e3m(encode_4e3m(np.rint(counts).astype(np.int64)))
    # A cell below the front end's threshold sends zero, and zero stays zero.
    front_end[encode_4e3m(np.rint(counts).astype(np.int64)) == 0] = 0
    return np.minimum(front_end * calibration >> 11, CHARGE_MAX).astype(np.int32), kind


def normalize(q: np.ndarray) -> np.ndarray:
    """Charges [N, 48] to 8-bit codes with 7 fraction bits: x = (q << 7) >> floor(log2 S), S their sum.

    The shift truncates. A module without charge gives zeros. Codes saturate at 255.
    """
    q = np.asarray(q, np.int64)
    total = q.sum(axis=1, keepdims=True)
    exponent = np.maximum(np.frexp(total.astype(np.float64))[1] - 1, 0)  # exact: sums stay below 2**53
    return np.where(total > 0, np.minimum((q << 7) >> exponent, INPUT_MAX), 0).astype(np.uint8)


def encoder_input(charges: np.ndarray, design: str) -> tuple[np.ndarray, np.ndarray]:
    """Charges in physical order [N, 48] to charges in the design's slot order [N, 48] and its input codes."""
    slots = charges[:, MULTIPLEXER[design]]
    return slots, place(normalize(slots), design)


def main() -> None:
    parser = argparse.ArgumentParser(description="write synthetic HGCAL-like events for an encoder design")
    parser.add_argument("--design", choices=DESIGNS, default="8x8x1")
    parser.add_argument("-n", type=int, default=10000, help="number of events")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", required=True, help="the .npz file to write")
    args = parser.parse_args()
    charges, kind = generate(args.n, args.seed)
    slots, x = encoder_input(charges, args.design)
    np.savez_compressed(args.output, x=x, charges=slots, kind=kind)


if __name__ == "__main__":
    main()
