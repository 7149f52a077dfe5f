"""Run the committed QONNX files in the qonnx executor and compare every word with reference.py.

Needs qonnx. Exits with status 1 when a word differs.

    python check_qonnx.py [-n 200]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from generator import encoder_input, generate
from golden import NETWORKS
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from reference import CODE_FRACTION, INPUT_FRACTION, encode, load_weights

HERE = Path(__file__).resolve().parent


def differing_words(name: str, design: str, n: int, seed: int) -> int:
    """Output words of network `name` that differ between the qonnx executor and the `exact` integer model.

    Half of the `n` vectors are generator events, half are random codes 0..255 that reach saturation.
    """
    path = HERE / f"econ_t_{name}.onnx"
    x = encoder_input(generate(n - n // 2, seed)[0], design)[1]
    x = np.concatenate([x, np.random.default_rng(seed).integers(0, 256, (n // 2, *x.shape[1:])).astype(np.uint8)])
    expected = encode(x, load_weights(path), "exact")
    model = ModelWrapper(str(path))
    values = x.astype(np.float32) / (1 << INPUT_FRACTION)
    codes = [execute_onnx(model, {"x": v[None]})["code"][0] * (1 << CODE_FRACTION) for v in values]
    return int((np.array(codes) != expected).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description="compare the QONNX files with the integer model")
    parser.add_argument("-n", type=int, default=200, help="vectors for each network")
    parser.add_argument("--seed", type=int, default=9)
    args = parser.parse_args()
    failed = 0
    for design, names in NETWORKS.items():
        for name in names:
            wrong = differing_words(name, design, args.n, args.seed)
            failed += wrong
            print(f"econ_t_{name}.onnx: {wrong} of {args.n * 16} words differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
