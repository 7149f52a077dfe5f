"""The encoder and its decoder in PyTorch, with the chip's integer arithmetic in the forward pass.

Quantisation-aware training uses straight-through gradients: the forward pass computes exactly what the chip
computes (each product floored before it is added), the backward pass sees the plain layer.
"""

from __future__ import annotations

import numpy as np
import torch
from reference import (
    CODE_FRACTION,
    CODE_MAX,
    HIDDEN_FRACTION,
    HIDDEN_MAX,
    STRIDE_AND_PADS,
    WEIGHT_FRACTION,
    WEIGHT_MAX,
    WEIGHT_MIN,
    WEIGHT_NAMES,
)
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUTS = 16
DECODER_WIDTH = 128


def _through(exact: Tensor, smooth: Tensor) -> Tensor:
    """The value of `exact` with the gradient of `smooth`."""
    return smooth + (exact - smooth).detach()


def quantize_weight(w: Tensor) -> Tensor:
    """Round to signed 6 bits with 5 fraction bits, -1 .. 31/32; straight-through inside the range."""
    unit = float(1 << WEIGHT_FRACTION)
    clamped = w.clamp(WEIGHT_MIN / unit, WEIGHT_MAX / unit)
    return _through(torch.round(clamped * unit) / unit, clamped)


def _floored_sum(values: Tensor, weight: Tensor, fraction: int) -> Tensor:
    """Sum over K of values [M, K] * weight [F, K], each floored to `fraction` bits; [M, F], no gradient.

    Products carry at most 14 bits and sums at most 21, so float32 holds them exactly.
    """
    unit = float(1 << fraction)
    with torch.no_grad():
        products = values.detach()[:, None, :] * (weight.detach() * unit)[None]
        return products.floor_().sum(dim=2) / unit


class Encoder(nn.Module):
    """Convolution, ReLU, dense, ReLU: [N, C, H, W] in units of 1/128 to 16 outputs.

    `quantized=False` is the plain float network of the same shape.
    """

    def __init__(self, channels: int, quantized: bool) -> None:
        super().__init__()
        self.quantized = quantized
        self.stride, (top, left, bottom, right) = STRIDE_AND_PADS[channels]
        self.padding = (left, right, top, bottom)
        self.conv = nn.Conv2d(channels, 8, 3, stride=self.stride)
        self.dense = nn.Linear(128, OUTPUTS)
        with torch.no_grad():  # small positive start: dead outputs would never wake up
            self.conv.bias.abs_()
            self.dense.bias.fill_(0.25)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, self.padding)
        if not self.quantized:
            h = F.relu(F.conv2d(padded, self.conv.weight, self.conv.bias, self.stride))
            return F.relu(self.dense(h.permute(0, 2, 3, 1).flatten(1)))
        kernel, bias = quantize_weight(self.conv.weight), quantize_weight(self.conv.bias)
        smooth = F.conv2d(padded, kernel, bias, self.stride)
        columns = F.unfold(padded, 3, stride=self.stride)
        rows = columns.transpose(1, 2).reshape(-1, columns.shape[1])
        exact = _floored_sum(rows, kernel.flatten(1), HIDDEN_FRACTION) + bias.detach()
        exact = exact.reshape(len(x), -1, 8).transpose(1, 2).reshape(smooth.shape)
        h = _through(exact, smooth).clamp(0.0, HIDDEN_MAX / (1 << HIDDEN_FRACTION))
        h = h.permute(0, 2, 3, 1).flatten(1)
        weight, bias = quantize_weight(self.dense.weight), quantize_weight(self.dense.bias)
        exact = _floored_sum(h, weight, CODE_FRACTION) + bias.detach()
        smooth = F.linear(h, weight, bias)
        return _through(exact, smooth).clamp(0.0, CODE_MAX / (1 << CODE_FRACTION))

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights by name as float32; on the 6-bit grid when the network is quantised."""
        parameters = (self.conv.weight, self.conv.bias, self.dense.weight, self.dense.bias)
        if self.quantized:
            parameters = tuple(quantize_weight(p) for p in parameters)
        return {name: p.detach().numpy().copy() for name, p in zip(WEIGHT_NAMES, parameters, strict=True)}


class Decoder(nn.Module):
    """Three dense layers and a softmax: 16 outputs to the share of the charge in each of 48 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(OUTPUTS, DECODER_WIDTH),
                nn.Linear(DECODER_WIDTH, DECODER_WIDTH),
                nn.Linear(DECODER_WIDTH, 48),
            ]
        )

    def forward(self, code: Tensor) -> Tensor:
        h = F.relu(self.layers[0](code))
        h = F.relu(self.layers[1](h))
        return F.softmax(self.layers[2](h), dim=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights and biases by name, float16 (what `decode` reads)."""
        return {
            f"{kind}{i}": getattr(layer, kind).detach().numpy().astype(np.float16)
            for i, layer in enumerate(self.layers)
            for kind in ("weight", "bias")
        }
