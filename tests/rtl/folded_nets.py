"""Random quantised networks for the folded mode, as the passes leave them: integer convolutions and requantisation."""

from __future__ import annotations

import numpy as np

from edgec.formats import Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Add, AvgPool, Constant, Conv, Dense, Input, MaxPool, Op, Relu, Requantize, Reshape, Transpose
from edgec.ops.source import integers


class Nets:
    """Draws layers; every layer has a name, as if it came from a model file."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def name(self, kind: str) -> tuple[str, ...]:
        self.count += 1
        return (f"/{kind}{self.count}",)

    def format(self, zero: int | None = None) -> Affine:
        zero = int(self.rng.integers(-128, 60)) if zero is None else zero
        return Affine(Integer(8), (float(self.rng.uniform(0.01, 0.1)),), (zero,))

    def image(self, channels: int, rows: int, columns: int, last: bool = False) -> tuple[Input, Op]:
        """An input, and the tensor [1, C, H, W] that it becomes; `last`: it comes with the channels last."""
        shape = (1, rows, columns, channels) if last else (1, channels, rows, columns)
        x = Input("image", type=TensorType(self.format(), shape))
        return x, Transpose(x, (0, 3, 1, 2)) if last else x

    def weights(self, shape: tuple[int, ...]) -> Constant:
        scales = tuple(float(s) for s in self.rng.uniform(0.001, 0.01, shape[0]))
        fmt = Affine(Integer(8), scales, (0,) * shape[0], channel_axis=0)
        return Constant(self.rng.integers(-127, 128, shape), type=TensorType(fmt, shape))

    def requantize(self, x: Op, spread: float, zero: int | None = None, per_tensor: bool = False) -> Requantize:
        """To 8 bits, such that most of the range is used; `spread`: what the numbers of x are like."""
        channels = 1 if per_tensor else x.shape[1]
        wanted = 60 / spread * self.rng.uniform(0.6, 1.6, channels)
        shift = self.rng.integers(24, 27, channels) - np.floor(np.log2(wanted)).astype(int)
        factor = np.maximum(np.round(wanted * 2.0**shift).astype(np.int64), 1)
        out = Quantizer(self.format(zero), str(self.rng.choice(["half_even", "half_even", "half_up"])), "saturate")  # type: ignore[arg-type]
        return Requantize(x, integers(factor), integers(shift), None, out, loc=x.loc)

    def conv(
        self,
        x: Op,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        *,
        depthwise: bool = False,
        zero: int | None = None,
    ) -> Op:
        channels = 1 if depthwise else x.shape[1]
        w = self.weights((outputs, channels, *kernel))
        b = integers(self.rng.integers(-2000, 2000, outputs), bits=32)
        groups = x.shape[1] if depthwise else 1
        y = Conv(x, w, b, strides, pads, groups=groups, loc=self.name("dw" if depthwise else "conv"))
        return self.requantize(y, 5000 * (channels * kernel[0] * kernel[1]) ** 0.5, zero)

    def dense(self, x: Op, outputs: int) -> Op:
        b = integers(self.rng.integers(-2000, 2000, outputs), bits=32)
        y = Dense(x, self.weights((outputs, x.shape[1])), b, loc=self.name("dense"))
        return self.requantize(y, 5000 * x.shape[1] ** 0.5)

    def add(self, a: Op, b: Op) -> Op:
        """A residual addition as `integerize` makes it: both operands into a common unit, the sum back into 8 bits."""
        wide = [
            Requantize(
                x,
                integers([int(self.rng.integers(1 << 23, 1 << 25))]),
                integers([0]),
                None,
                Quantizer(Integer(34), "floor", "saturate"),
                loc=x.loc,
            )
            for x in (a, b)
        ]
        total = Add(wide[0], wide[1], loc=self.name("add"))
        out = Quantizer(self.format(-128), "half_even", "saturate")
        return Requantize(total, integers([1]), integers([24]), None, out, loc=total.loc)

    def relu(self, x: Op) -> Op:
        return Relu(x, loc=self.name("relu"))

    def max_pool(self, x: Op, kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, ...] = ()) -> Op:
        return MaxPool(x, kernel, strides, pads, loc=self.name("max"))

    def avg_pool(self, x: Op, kernel: tuple[int, int], strides: tuple[int, int] = (1, 1)) -> Op:
        return AvgPool(x, kernel, strides, out=Quantizer(x.format, "half_even", "saturate"), loc=self.name("avg"))

    def flatten(self, x: Op) -> Op:
        return Reshape(x, (1, x.tensor.size))


def graph(x: Input, y: Op) -> Graph:
    return Graph("net", (x,), (("y", y),))


def residual_net(seed: int = 1) -> Graph:
    """A small ResNet: two blocks, the second with a strided convolution on the short branch."""
    n = Nets(seed)
    x, y = n.image(3, 9, 8, last=True)
    y = n.conv(y, 4, pads=(1, 1, 1, 1), zero=-128)
    y = n.add(y, n.conv(n.conv(y, 4, pads=(1, 1, 1, 1), zero=-128), 4, pads=(1, 1, 1, 1)))
    short = n.conv(y, 6, (1, 1), (2, 2))
    long = n.conv(n.conv(y, 6, (3, 3), (2, 2), (1, 0, 1, 1), zero=-128), 6, pads=(1, 1, 1, 1))
    y = n.add(short, long)
    y = n.avg_pool(y, (5, 4), (5, 4))
    return graph(x, n.dense(n.flatten(y), 5))


def separable_net(seed: int = 2) -> Graph:
    """A small DS-CNN: an asymmetric first kernel, depthwise and pointwise convolutions, global pooling, dense."""
    n = Nets(seed)
    x, y = n.image(1, 12, 7)
    y = n.conv(y, 6, (5, 3), (2, 2), (2, 1, 2, 1), zero=-128)
    for outputs in (8, 4):
        y = n.conv(y, y.shape[1], pads=(1, 1, 1, 1), depthwise=True, zero=-128)
        y = n.conv(y, outputs, (1, 1), zero=-128)
    y = n.avg_pool(y, y.shape[2:], y.shape[2:])  # type: ignore[arg-type]
    return graph(x, n.dense(n.flatten(y), 3))


def random_net(seed: int, layers: int = 7) -> Graph:
    """A chain of random layers with residual branches, of a few hundred elements."""
    n = Nets(seed)
    pick = n.rng.integers
    x, y = n.image(int(pick(1, 5)), int(pick(6, 11)), int(pick(6, 11)), last=bool(pick(2)))
    for _ in range(layers):
        channels, rows, columns = y.shape[1:]
        room = min(rows, columns)
        kinds = ["conv", "conv", "depthwise", "pointwise", "relu", "residual", "branch"] + ["max", "avg"] * (room >= 4)
        kind = str(n.rng.choice(kinds))
        outputs = int(n.rng.choice([2, 3, 4, 6, 8]))
        kernel = (int(pick(1, min(rows, 3) + 1)), int(pick(1, min(columns, 3) + 1)))
        strides = (int(pick(1, 3)), int(pick(1, 3))) if room >= 5 else (1, 1)
        pads = tuple(int(pick(0, k)) for k in kernel * 2)
        if kind == "conv":
            y = n.conv(y, outputs, kernel, strides, pads)  # type: ignore[arg-type]
        elif kind == "depthwise":
            y = n.conv(y, channels, kernel, strides, pads, depthwise=True)  # type: ignore[arg-type]
        elif kind == "pointwise":
            y = n.conv(y, outputs, (1, 1), strides)
        elif kind == "relu":
            y = n.relu(y)
        elif kind == "residual":
            y = n.add(y, n.conv(y, channels, pads=(1, 1, 1, 1)))
        elif kind == "branch":
            y = n.add(n.conv(y, outputs, (1, 1)), n.conv(n.conv(y, outputs, pads=(1, 1, 1, 1)), outputs, (1, 1)))
        elif kind == "max":
            y = n.max_pool(y, (2, 3), (2, 1), (0, 1, 0, 1))
        else:
            y = n.avg_pool(y, (2, 2), (int(pick(1, 3)), 1))
    if pick(2):
        y = n.avg_pool(y, y.shape[2:], y.shape[2:])  # type: ignore[arg-type]
    return graph(x, n.dense(n.flatten(y), int(pick(1, 6))))
