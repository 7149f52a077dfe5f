"""Write golden.npz: small vectors of both designs and both numerics, computed by reference.py alone.

For every design: `charges_D` [64, 48] (slot order), `x_D` [64, C, H, W], and for every network N of the
design `code_econ_t_N` and `code_exact_N` [64, 16]. The first events are corner cases of the normaliser, the
others come from the generator. `stress_x_D` [32, C, H, W] are input codes that no module can produce (all
of 0..255), which drive activations and outputs into saturation; `stress_econ_t_N` and `stress_exact_N` are
their outputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from generator import CHARGE_MAX, encoder_input, generate, normalize
from geometry import CELLS, DESIGNS, place
from reference import NUMERICS, encode, load_weights

HERE = Path(__file__).resolve().parent
NETWORKS = {"8x8x1": ("8x8x1", "8x8x1_second"), "4x4x3": ("4x4x3",)}
EVENTS, STRESS, SEED = 64, 32, 5


def corner_cases() -> np.ndarray:
    """Charges [8, 48] at the edges of the normaliser: empty, full, powers of two and their neighbours."""
    q = np.zeros((8, CELLS), np.int32)
    q[1] = CHARGE_MAX  # every cell saturated: the largest sum
    q[2, 17] = CHARGE_MAX  # one saturated cell: the largest input code
    q[3, 40] = 1  # the smallest sum
    q[4, 5] = 1 << 12  # a sum of exactly a power of two
    q[5, 6] = (1 << 12) - 1  # and one below it
    q[6, :2] = 1 << 20, 1  # a cell whose code truncates to zero
    q[7] = 1  # a flat module
    return q


def vectors() -> dict[str, np.ndarray]:
    """All arrays of golden.npz by name."""
    events, kind = generate(2000, SEED)
    # As many events of each kind as come first, so that rare kinds are there too.
    pick = np.concatenate([np.flatnonzero(kind == k)[:8] for k in range(7)])
    charges = np.concatenate([corner_cases(), events[np.sort(pick)]])
    rng = np.random.default_rng(SEED)
    stress = rng.integers(0, 256, (STRESS, CELLS)).astype(np.uint8)
    stress[: STRESS // 2] = np.where(stress[: STRESS // 2] & 1, 255, 0)
    stress[0] = 255
    arrays: dict[str, np.ndarray] = {}
    for design in DESIGNS:
        slots, x = encoder_input(charges, design)
        assert (place(normalize(slots), design) == x).all() and len(x) == EVENTS
        arrays |= {f"charges_{design}": slots, f"x_{design}": x, f"stress_x_{design}": place(stress, design)}
        for name in NETWORKS[design]:
            weights = load_weights(HERE / f"econ_t_{name}.onnx")
            for numerics in NUMERICS:
                tag = f"{numerics.replace('-', '_')}_{name}"
                arrays[f"code_{tag}"] = encode(x, weights, numerics).astype(np.int16)
                arrays[f"stress_{tag}"] = encode(place(stress, design), weights, numerics).astype(np.int16)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(HERE / "golden.npz", **vectors())
