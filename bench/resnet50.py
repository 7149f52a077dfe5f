"""A network of the size of ResNet-50 (arXiv 1512.03385, table 1): 25.6 M random weights of int8, a test of scale."""

from __future__ import annotations

import numpy as np

from edgec.formats import Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Add, AvgPool, Constant, Conv, Dense, Input, MaxPool, Op, Relu, Requantize, Reshape, integers

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels of the narrow convolutions and blocks of every stage; the wide ones have four times the channels."""
ACTIVATION = Affine(Integer(8), (0.05,), (0,))


class _Builder:
    def __init__(self, seed: int) -> None:
        self.random, self.count = np.random.default_rng(seed), 0

    def constant(self, fmt: Affine, *shape: int) -> Constant:
        codes = self.random.integers(-127, 128, shape).astype(fmt.dtype)
        return Constant(codes, type=TensorType(fmt, shape))

    def to_int8(self, x: Op, gain: float, name: str) -> Op:
        shift = 30 - int(np.floor(np.log2(gain)))
        multiplier = integers([round(gain * 2**shift) >> 8])
        return Requantize(x, multiplier, integers([shift - 8]), None, Quantizer(ACTIVATION), 1, loc=(name,))

    def conv(self, x: Op, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> Op:
        self.count += 1
        name = f"conv{self.count}"
        w = self.constant(Affine(Integer(8), (0.01,), (0,)), outputs, x.shape[1], kernel, kernel)
        b = integers(self.random.integers(-999, 1000, outputs), bits=32)
        pads = ((kernel - 1) // 2,) * 4
        y = Conv(x, w, b, (stride, stride), pads, loc=(name,))
        z = self.to_int8(y, 0.6 / np.sqrt(w.data[0].size) / 73, name)
        return Relu(z, loc=(f"{name}_relu",)) if relu else z

    def block(self, x: Op, narrow: int, stride: int) -> Op:
        y = self.conv(self.conv(self.conv(x, narrow, 1), narrow, 3, stride), 4 * narrow, 1, relu=False)
        short = x if x.shape == y.shape else self.conv(x, 4 * narrow, 1, stride, relu=False)
        total = self.to_int8(Add(y, short, loc=(f"add{self.count}",)), 0.7, f"add{self.count}")
        return Relu(total, loc=(f"relu{self.count}",))


def resnet50(seed: int = 0) -> Graph:
    """The network for images [1, 3, 224, 224], with 1000 classes."""
    make = _Builder(seed)
    x = Input("image", type=TensorType(ACTIVATION, (1, 3, 224, 224)))
    y = MaxPool(make.conv(x, 64, 7, 2), (3, 3), (2, 2), (1, 1, 1, 1), loc=("pool",))
    for stage, (narrow, blocks) in enumerate(STAGES):
        for k in range(blocks):
            y = make.block(y, narrow, 2 if stage and not k else 1)
    y = Reshape(AvgPool(y, (7, 7), loc=("mean",)), (1, y.shape[1]), loc=("flatten",))
    logits = Dense(y, make.constant(Affine(Integer(8), (0.01,), (0,)), 1000, y.shape[1]), None, loc=("classes",))
    return Graph("resnet50", (x,), (("logits", make.to_int8(logits, 0.003, "classes")),))
