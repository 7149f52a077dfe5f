"""An independent integer model of the encoder in plain numpy: the yardstick for the compiler's own.

Every number is an integer code. Input codes have 7 fraction bits, weights and biases 5, convolution
activations 7 (ufixed<8,1>), outputs 8 (ufixed<9,1>). Two arithmetics are written out:

- `econ-t`, the fabricated chip's: each convolution product (12 fraction bits) is floored to 7 fraction bits
  and each dense product (12 fraction bits) to 8 before it is added.
- `exact`, QONNX's: products are added at full precision and the sum is floored once.

Both saturate the activations. Nothing here uses the compiler.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

INPUT_FRACTION, WEIGHT_FRACTION, HIDDEN_FRACTION, CODE_FRACTION = 7, 5, 7, 8
WEIGHT_MIN, WEIGHT_MAX = -32, 31
HIDDEN_MAX, CODE_MAX = 255, 511
NUMERICS = ("econ-t", "exact")
WEIGHT_NAMES = ("conv_weight", "conv_bias", "dense_weight", "dense_bias")
# The 8x8x1 design has one channel, stride 2 and TensorFlow's "same" padding (a zero row below, a zero column
# to the right); the 4x4x3 design has three channels, stride 1 and a ring of zeros. (top, left, bottom,
# right).
STRIDE_AND_PADS = {1: (2, (0, 0, 1, 1)), 3: (1, (1, 1, 1, 1))}


def _patches(x: np.ndarray) -> np.ndarray:
    """Input codes [N, C, H, W] to patches [N, rows, columns, C * 9], ordered as the kernel [F, C, 3, 3]."""
    stride, (top, left, bottom, right) = STRIDE_AND_PADS[x.shape[1]]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(x), *windows.shape[2:4], -1)


def _multiply_add(
    values: np.ndarray, weight: np.ndarray, bias: np.ndarray, numerics: str, fraction: tuple[int, int]
) -> np.ndarray:
    """Codes [..., K] times weights [F, K] plus biases [F], floored to `fraction[1]` fraction bits."""
    product_fraction, result_fraction = fraction[0] + WEIGHT_FRACTION, fraction[1]
    if numerics == "exact":
        total = values @ weight.T + (bias << (product_fraction - WEIGHT_FRACTION))
        return total >> (product_fraction - result_fraction)
    total = np.zeros((*values.shape[:-1], len(weight)), np.int64)
    for k in range(values.shape[-1]):  # one product at a time keeps the memory small
        total += (values[..., k, None] * weight[:, k]) >> (product_fraction - result_fraction)
    return total + (bias << (result_fraction - WEIGHT_FRACTION))


def hidden(x_codes: np.ndarray, weights: dict[str, np.ndarray], numerics: str = "econ-t") -> np.ndarray:
    """Convolution activations [N, 128] in (row, column, channel) order; arguments as for `encode`."""
    if numerics not in NUMERICS:
        raise ValueError(f"numerics {numerics!r}: expected one of {', '.join(NUMERICS)}")
    x = np.asarray(x_codes, np.int64)
    kernel = np.asarray(weights["conv_weight"], np.int64)
    bias = np.asarray(weights["conv_bias"], np.int64)
    total = _multiply_add(
        _patches(x), kernel.reshape(len(kernel), -1), bias, numerics, (INPUT_FRACTION, HIDDEN_FRACTION)
    )
    return np.clip(total, 0, HIDDEN_MAX).reshape(len(x), -1)


def encode(x_codes: np.ndarray, weights: dict[str, np.ndarray], numerics: str = "econ-t") -> np.ndarray:
    """Input codes [N, C, H, W] (0..255) to output codes [N, 16] (0..511).

    `weights` holds integer codes (-32..31): conv_weight [8, C, 3, 3], conv_bias [8], dense_weight [16, 128],
    dense_bias [16].
    """
    weight = np.asarray(weights["dense_weight"], np.int64)
    bias = np.asarray(weights["dense_bias"], np.int64)
    activations = hidden(x_codes, weights, numerics)
    total = _multiply_add(activations, weight, bias, numerics, (HIDDEN_FRACTION, CODE_FRACTION))
    return np.clip(total, 0, CODE_MAX)


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Read the weight codes from one of the QONNX files beside this script; ValueError off the 6-bit grid."""
    import onnx
    from onnx import numpy_helper

    arrays = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    weights = {}
    for name in WEIGHT_NAMES:
        codes = arrays[name].astype(np.float64) * (1 << WEIGHT_FRACTION)
        if (codes != np.rint(codes)).any() or codes.min() < WEIGHT_MIN or codes.max() > WEIGHT_MAX:
            raise ValueError(f"{path}: {name} is not on the signed 6-bit grid with 5 fraction bits")
        weights[name] = codes.astype(np.int64)
    return weights
