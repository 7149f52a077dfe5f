"""Layers whose traces the constants of Arm cores are fitted to: drawn shapes, several layers a graph.

Every layer reads an elementwise step, so that its operand lies in the arena as it does inside a network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgec.formats import F32, Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import (
    Add,
    AvgPool,
    Concat,
    Constant,
    Conv,
    Dense,
    Dequantize,
    Get,
    Gru,
    Input,
    Lstm,
    MaxPool,
    Mul,
    Op,
    Pad,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    Reshape,
    Resize,
    Rnn,
    Softmax,
    Transpose,
    Unary,
)  # fmt: skip

CODES = Affine(Integer(8), (0.05,), (-3,))
POSITIVE = Affine(Integer(8), (0.05,), (-128,))
"""As behind ReLU in trained networks."""
OUT = Quantizer(CODES, "half_up", "saturate")
S8 = Integer(8)
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Images lie channels last outside, too."""
Layer = Callable[[np.random.Generator, str], Op]


def _input(shape: tuple[int, ...], name: str, fmt: Affine | None = CODES) -> Op:
    stored = tuple(shape[a] for a in LAST) if len(shape) == 4 else shape
    x: Op = Input(name, type=TensorType(fmt if fmt is not None else F32, stored))
    return Relu(Transpose(x, FIRST) if len(shape) == 4 else x, loc=(f"{name}_in",))


def _codes(rng: np.random.Generator, *shape: int, small: float = 0) -> Constant:
    codes = rng.integers(-127, 128, shape)
    if small:
        codes = np.clip(np.round(rng.normal(0, 30 * small, shape)), -127, 127)
    return Constant(codes.astype(np.int8), type=TensorType(Affine(S8, (0.01,), (0,)), shape))


def _floats(rng: np.random.Generator, *shape: int) -> Constant:
    return Constant(rng.standard_normal(shape).astype(np.float32), type=TensorType(F32, shape))


def _numbers(*values: int) -> Constant:
    return Constant(np.array(values, np.int64), type=TensorType(Integer(64), (len(values),)))


def _rescaled(rng: np.random.Generator, x: Op, name: str, relu: bool) -> Op:
    y: Op = Requantize(x, _numbers(int(rng.integers(1 << 22, 1 << 24))), _numbers(32), None, OUT, 1, loc=(name,))
    return Relu(y, loc=(name,)) if relu else y


def conv(
    inputs: int,
    outputs: int,
    height: int,
    width: int,
    kernel: int,
    stride: int = 1,
    relu: bool = True,
    first: bool = False,
    small: float = 0,
) -> Layer:
    """`first`: it reads the input itself, which dot-product code copies, as layers of few channels do. `small`: weights
    as trained ones are, few of them large; 0.2: none."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, inputs, height, width), name)
        x = x.operands[0] if first or inputs < 4 else x
        pad = kernel // 2
        w = _codes(rng, outputs, inputs, kernel, kernel, small=small)
        y = Conv(x, w, strides=(stride, stride), pads=(pad,) * 4, loc=(name,))
        return _rescaled(rng, y, name, relu)

    return make


def depthwise(channels: int, height: int, width: int, stride: int = 1, relu: bool = True, small: float = 0) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, height, width), name)
        w = _codes(rng, channels, 1, 3, 3, small=small)
        y = Conv(x, w, strides=(stride, stride), pads=(1, 1, 1, 1), groups=channels, loc=(name,))
        return _rescaled(rng, y, name, relu)

    return make


def chain(channels: int, outputs: int, height: int, width: int, small: float = 0) -> Layer:
    """Pointwise, depthwise, pointwise, window: results with the margins that the next one reads. `small`: as in trained
    networks, where the zero point is the smallest code and saturation makes ReLU."""

    def make(rng: np.random.Generator, name: str) -> Op:
        y = _input((1, channels, height, width), name)
        for k, (o, kernel, groups) in enumerate(
            [(outputs, 1, 1), (outputs, 3, outputs), (outputs, 1, 1), (channels, 3, 1)]
        ):
            inputs = y.shape[1]
            w, label = _codes(rng, o, inputs // groups, kernel, kernel, small=small), f"{name}_{k}"
            y = Conv(y, w, pads=(kernel // 2,) * 4, groups=groups, loc=(label,))
            y = _rescaled(rng, y, label, not small)
        return y

    return make


def grouped(channels: int, size: int, kernel: int, groups: int, batch: int = 1) -> Layer:
    """A convolution in groups; of a batch, only portable code does it."""

    def make(rng: np.random.Generator, name: str) -> Op:
        w = _codes(rng, channels, channels // groups, kernel, kernel)
        x = _input((batch, channels, size, size), name)
        y = Conv(x, w, pads=(kernel // 2,) * 4, groups=groups, loc=(name,))
        return _rescaled(rng, y, name, True)

    return make


def dense(inputs: int, outputs: int, relu: bool = True, small: float = 0) -> Layer:
    """Few inputs are the outputs of another layer: an elementwise step of so few is a loop of its own kind."""

    def make(rng: np.random.Generator, name: str) -> Op:
        y = _input((1, max(inputs, 64)), name)
        if inputs < 64:
            y = Dense(y, _codes(rng, inputs, 64, small=small), loc=(f"{name}_before",))
            y = _rescaled(rng, y, f"{name}_before", True)
        y = Dense(y, _codes(rng, outputs, inputs, small=small), loc=(name,))
        return _rescaled(rng, y, name, relu)

    return make


def residual(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        one, other = (_input((1, channels, size, size), f"{name}{k}").operands[0] for k in "ab")
        wide = Quantizer(Integer(32), "floor")
        scaled = [
            Requantize(v, _numbers(m), _numbers(0), None, wide, loc=(name,))
            for v, m in ((one, 810_808), (other, 2_144_566))
        ]
        return Requantize(Add(scaled[0], scaled[1], loc=(name,)), _numbers(1), _numbers(21), None, OUT, loc=(name,))

    return make


def average(channels: int, height: int, width: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return AvgPool(_input((1, channels, height, width), name, POSITIVE), (height, width), out=OUT, loc=(name,))

    return make


def largest(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return MaxPool(_input((1, channels, size, size), name), (2, 2), (2, 2), loc=(name,))

    return make


def pooled(
    kind: type[AvgPool | MaxPool],
    channels: int,
    size: int,
    kernel: int,
    stride: int,
    pad: int = 0,
    fmt: Affine | None = CODES,
) -> Layer:
    """A pooling window: of an image whose channels come last if they are eight or more."""

    def make(rng: np.random.Generator, name: str) -> Op:
        shape = (1, channels, size, size)
        x = _input(shape, name, fmt) if channels >= 8 else _before(shape, name, fmt)
        window: tuple = ((kernel, kernel), (stride, stride), (pad,) * 4)
        if kind is MaxPool:
            return MaxPool(x, *window, loc=(name,))
        return AvgPool(x, *window, out=None if fmt is None else OUT, loc=(name,))

    return make


def _before(shape: tuple[int, ...], name: str, fmt: Affine | None) -> Op:
    """A step whose result lies as its axes say."""
    return Relu(Input(name, type=TensorType(fmt if fmt is not None else F32, shape)), loc=(f"{name}_in",))


def flattened(channels: int, size: int, fmt: Affine | None = CODES) -> Layer:
    """Channels come last, and first in what is read as one row: elements are copied one by one."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, size, size), name, fmt)
        return Relu(Reshape(x, (1, channels * size * size), loc=(name,)), loc=(name,))

    return make


def joined(shapes: list[tuple[int, ...]], axis: int, fmt: Affine | None = CODES) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        xs = tuple(_input(shape, f"{name}{k}", fmt) for k, shape in enumerate(shapes))
        return Concat(xs, axis, loc=(name,))

    return make


def padded(channels: int, size: int, pad: int, mode: str = "constant", fmt: Affine | None = CODES) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, size, size), name, fmt)
        return Pad(x, (0, 0, pad, pad, 0, 0, pad, pad), mode, loc=(name,))

    return make


def resized(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, size, size), name, None)
        sizes, scales = (2 * size, 2 * size), (2.0, 2.0)
        return Resize(x, sizes, scales, "nearest", "asymmetric", "floor", loc=(name,))

    return make


def reduced(function: str, shape: tuple[int, ...], axis: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return Reduce(_before(shape, name, None), function, (axis,), loc=(name,))

    return make


def rows(shape: tuple[int, ...]) -> Layer:
    """Softmax of many short rows."""

    def make(rng: np.random.Generator, name: str) -> Op:
        return Softmax(_before(shape, name, None).operands[0], loc=(name,))

    return make


def ends(size: int) -> Layer:
    """Codes to numbers, softmax, numbers to codes."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = Dequantize(_input((1, size), name).operands[0], loc=(f"{name}_out",))
        probabilities = Softmax(x, loc=(name,))
        return Quantize(probabilities, Quantizer(Affine(S8, (1 / 256,), (-128,)), "half_even", "saturate"), loc=(name,))

    return make


def float_conv(
    inputs: int,
    outputs: int,
    height: int,
    width: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    relu: bool = True,
    groups: int = 1,
    dilation: int = 1,
    batch: int = 1,
    inside: bool = False,
) -> Layer:
    """`inside`: without padding. Of a batch, only portable code does it."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((batch, inputs, height, width), name, None)
        x = x.operands[0] if inputs < 4 else x
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        pads = tuple(0 if inside else dilation * (k // 2) for k in sides) * 2
        w = _floats(rng, outputs, inputs // groups, *sides)
        y = Conv(x, w, _floats(rng, outputs), (stride,) * 2, pads, (dilation,) * 2, groups, loc=(name,))
        return Relu(y, loc=(name,)) if relu else y

    return make


def float_chain(channels: int, outputs: int, height: int, width: int) -> Layer:
    """Pointwise, depthwise, pointwise, window, as `chain`."""

    def make(rng: np.random.Generator, name: str) -> Op:
        y = _input((1, channels, height, width), name, None)
        for k, (o, kernel, groups) in enumerate(
            [(outputs, 1, 1), (outputs, 3, outputs), (outputs, 1, 1), (channels, 3, 1)]
        ):
            w, label = _floats(rng, o, y.shape[1] // groups, kernel, kernel), f"{name}_{k}"
            y = Conv(y, w, _floats(rng, o), pads=(kernel // 2,) * 4, groups=groups, loc=(label,))
            y = Relu(y, loc=(label,))
        return y

    return make


def float_row(inputs: int, outputs: int, length: int, kernel: int, stride: int = 1, groups: int = 1) -> Layer:
    """A one-dimensional convolution."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = Input(name, type=TensorType(F32, (1, length, inputs)))
        y = Relu(Transpose(x, (0, 2, 1)), loc=(f"{name}_in",))
        w = _floats(rng, outputs, inputs // groups, kernel)
        y = Conv(y, w, _floats(rng, outputs), (stride,), (kernel // 2,) * 2, groups=groups, loc=(name,))
        return Relu(y, loc=(name,))

    return make


def float_dense(inputs: int, outputs: int, rows: int = 1, relu: bool = True) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((rows, inputs), name, None)
        y = Dense(x, _floats(rng, outputs, inputs), _floats(rng, outputs), loc=(name,))
        return Relu(y, loc=(name,)) if relu else y

    return make


def recurrent(kind: type[Rnn | Gru | Lstm], inputs: int, units: int, steps: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((steps, 1, inputs), name, None)
        gates = {Rnn: 1, Gru: 3, Lstm: 4}[kind] * units
        w, r = (
            Constant(c.data * np.float32(0.1), type=c.type) for c in (_floats(rng, gates, n) for n in (inputs, units))
        )
        b, h = _floats(rng, gates), _floats(rng, 1, units)
        op = Lstm(x, w, r, b, h, h, loc=(name,)) if kind is Lstm else kind(x, w, r, b, h, loc=(name,))
        return Get(op, 0)

    return make


def scaled(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        one, other = (_input((1, channels, size, size), f"{name}{k}", None).operands[0] for k in "ab")
        return Mul(one, other, loc=(name,))

    return make


def float_residual(channels: int, size: int) -> Layer:
    """The sum of two images, and a convolution of it."""

    def make(rng: np.random.Generator, name: str) -> Op:
        one, other = (_input((1, channels, size, size), f"{name}{k}", None).operands[0] for k in "ab")
        y = Relu(Add(one, other, loc=(name,)), loc=(name,))
        w = _floats(rng, channels, channels, 3, 3)
        return Conv(y, w, _floats(rng, channels), pads=(1, 1, 1, 1), loc=(f"{name}_conv",))

    return make


def float_average(channels: int, height: int, width: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, height, width), name, None)
        return AvgPool(x, (height, width), loc=(name,))

    return make


def float_largest(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return MaxPool(_input((1, channels, size, size), name, None), (2, 2), (2, 2), loc=(name,))

    return make


def float_end(size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return Softmax(_input((1, size), name, None).operands[0], loc=(name,))

    return make


def function(name: str, size: int) -> Layer:
    """A function of numbers, or softmax."""

    def make(rng: np.random.Generator, label: str) -> Op:
        x = _input((4, size), label, None)
        return Softmax(x, loc=(label,)) if name == "softmax" else Unary(x, name, loc=(label,))

    return make


POOLS = [
    (16, 16, 3, 2, 0), (32, 9, 2, 1, 0), (64, 8, 3, 2, 1), (24, 14, 3, 1, 1), (48, 8, 2, 2, 0),
    (1, 28, 2, 2, 0), (3, 20, 2, 2, 0), (1, 20, 3, 2, 1), (6, 12, 3, 3, 0),
    (128, 5, 3, 2, 0), (80, 6, 2, 2, 0), (256, 3, 3, 1, 0), (64, 9, 9, 1, 0), (48, 12, 6, 3, 0), (32, 7, 3, 1, 1),
]  # fmt: skip
"""Channels, size, kernel, stride and padding of windows; those of less than eight channels lie as their axes say."""

GRAPHS: dict[str, list[Layer]] = {
    "pointwise": [
        conv(8, 24, 40, 40, 1), conv(16, 32, 20, 24, 1), conv(24, 48, 18, 18, 1), conv(48, 48, 13, 5, 1),
        conv(64, 64, 24, 6, 1, relu=False), conv(96, 96, 7, 7, 1), conv(128, 144, 5, 5, 1),
        conv(160, 192, 4, 4, 1, relu=False), conv(256, 240, 3, 3, 1), conv(32, 64, 16, 16, 1, 2),
        conv(16, 48, 24, 24, 1, 2, relu=False),
    ],
    "windows": [
        conv(3, 16, 40, 40, 3, 2), conv(3, 16, 28, 28, 3), conv(1, 32, 40, 12, 5, 2), conv(16, 16, 24, 24, 3),
        conv(16, 32, 28, 28, 3, 2), conv(32, 32, 14, 14, 3), conv(32, 48, 12, 12, 3, 2, relu=False),
        conv(64, 64, 7, 7, 3), conv(48, 64, 10, 10, 3), conv(8, 8, 20, 20, 3), conv(1, 16, 30, 21, 3),
        conv(1, 48, 32, 8, 7),
    ],
    "strided": [
        conv(32, 40, 16, 16, 3, 2), conv(64, 48, 8, 8, 3, 2, relu=False), conv(40, 48, 8, 16, 3, 2),
        conv(32, 32, 10, 16, 3, 2, small=1),
    ],
    "chains": [chain(16, 32, 20, 20), chain(48, 48, 9, 13), chain(64, 64, 30, 5), chain(32, 96, 6, 6)],
    "short_chains": [chain(8, 16, 30, 30), chain(8, 24, 13, 17), chain(4, 20, 12, 12)],
    "inputs": [
        conv(3, 8, 48, 48, 3, 2, first=True), conv(3, 16, 24, 24, 3, first=True), conv(1, 16, 30, 21, 5, 2, first=True),
        conv(1, 48, 40, 8, 3, first=True), conv(4, 16, 18, 18, 1, first=True), conv(3, 24, 33, 33, 5, 2, first=True),
    ],
    "depthwise": [
        depthwise(8, 40, 40), depthwise(16, 40, 40, 2), depthwise(24, 22, 22), depthwise(32, 20, 12, relu=False),
        depthwise(48, 20, 20, 2), depthwise(64, 22, 6), depthwise(96, 10, 10), depthwise(128, 7, 7, 2),
        depthwise(128, 6, 6, relu=False), depthwise(240, 4, 4), depthwise(160, 6, 6, 2), depthwise(64, 12, 12, 2),
        depthwise(80, 3, 3), depthwise(32, 30, 30, 2, relu=False),
    ],
    "portable": [
        grouped(16, 8, 3, 1, 2), grouped(24, 6, 5, 3, 2), grouped(40, 6, 1, 1, 2), grouped(32, 7, 3, 32, 2),
        grouped(8, 12, 3, 1, 2), float_conv(16, 24, 7, 7, 3, batch=2), float_conv(40, 32, 6, 6, 1, batch=2),
        float_conv(24, 24, 6, 8, 5, groups=3, batch=2), float_conv(8, 16, 10, 10, 3, 2, batch=2),
        float_conv(8, 16, 10, 10, 3, batch=2, inside=True), float_conv(16, 8, 9, 9, 5, batch=2, inside=True),
        float_conv(1, 12, 14, 14, 3, batch=2), float_conv(1, 12, 14, 14, 3, batch=2, inside=True),
        float_conv(1, 8, 1, 200, (1, 64), 16, batch=2, inside=True), float_conv(20, 20, 8, 8, 3, groups=20, batch=2),
    ],
    "taps": [
        grouped(16, 12, 5, 16), grouped(48, 8, 5, 48), grouped(32, 10, 7, 32), grouped(64, 6, 5, 64),
        grouped(8, 20, 5, 8),
    ],
    "dense": [
        dense(512, 96), dense(160, 128), dense(128, 96), dense(96, 8), dense(8, 96), dense(144, 512, relu=False),
        dense(48, 10, relu=False), dense(200, 2, relu=False), dense(64, 16),
    ],
    "others": [
        grouped(32, 12, 3, 2), grouped(64, 6, 1, 4), grouped(24, 8, 5, 3), grouped(48, 7, 3, 4),
        residual(16, 28), residual(48, 10), residual(64, 6),
        average(48, 20, 6), average(96, 6, 6), average(240, 4, 4), average(64, 10, 8), average(128, 7, 7),
        average(64, 5, 5), average(32, 8, 12), average(192, 3, 3), largest(16, 24), largest(48, 8),
        ends(4), ends(16), ends(40),
    ],
    "small": [
        conv(8, 24, 40, 40, 1, small=1), conv(24, 48, 18, 18, 1, small=1), conv(64, 64, 24, 6, 1, small=1),
        conv(96, 96, 7, 7, 1, small=1), conv(160, 192, 4, 4, 1, relu=False, small=1),
        conv(256, 240, 3, 3, 1, small=1), conv(16, 32, 28, 28, 3, 2, small=1),
        conv(32, 48, 12, 12, 3, 2, relu=False, small=1), conv(32, 64, 16, 16, 1, 2, small=1),
        conv(48, 64, 7, 7, 3, 2, small=1),
    ],
    "small_sums": [
        dense(128, 96, relu=False, small=0.2), dense(256, 64, small=0.2), dense(640, 48, small=0.2),
        conv(64, 64, 6, 6, 1, small=0.2), conv(128, 64, 7, 6, 1, relu=False, small=0.2),
    ],
    "small_chains": [
        chain(16, 32, 20, 20, small=1), chain(48, 48, 9, 13, small=1), chain(64, 64, 30, 5, small=1),
        chain(32, 96, 6, 6, small=1),
    ],
    "small_depthwise": [
        depthwise(n, h, w, stride, relu=False, small=1) for n, h, w, stride in (
            (8, 30, 30, 1), (16, 30, 30, 1), (32, 20, 20, 2), (64, 20, 5, 1), (96, 10, 10, 2), (128, 6, 6, 1),
            (128, 6, 6, 2), (240, 3, 3, 1),
        )
    ],
    "small_dense": [
        dense(512, 96, small=1), dense(160, 128, small=1), dense(128, 96, small=1), dense(96, 8, small=1),
        dense(144, 512, relu=False, small=1), dense(48, 10, relu=False, small=1),
        dense(200, 2, relu=False, small=1), dense(64, 16, small=1), dense(8, 160), dense(16, 64), dense(24, 40),
        dense(320, 4, relu=False), dense(56, 12, relu=False), dense(80, 20),
    ],
    "float_sums": [
        scaled(16, 20), scaled(48, 9), float_residual(16, 24), float_residual(48, 10), float_residual(32, 7),
    ],
    "floats": [
        float_average(48, 20, 6), float_average(96, 6, 6), float_average(240, 4, 4), float_average(64, 10, 8),
        float_average(160, 3, 3), float_average(128, 7, 7), float_average(64, 5, 5), float_average(32, 8, 12),
        float_average(64, 8, 8), float_largest(16, 24), float_largest(48, 8),
        float_end(3), float_end(16), float_end(40),
        float_conv(16, 32, 8, 8, 3, groups=4), float_conv(32, 32, 7, 7, 3, groups=2),
        float_conv(24, 24, 6, 6, 1, groups=3),
    ],
    "float_pointwise": [
        float_conv(8, 24, 20, 20, 1), float_conv(16, 32, 20, 12, 1), float_conv(48, 48, 13, 5, 1),
        float_conv(32, 48, 10, 10, 1), float_conv(64, 64, 12, 6, 1, relu=False), float_conv(96, 96, 7, 7, 1),
        float_conv(128, 144, 5, 5, 1), float_conv(160, 192, 4, 4, 1), float_conv(256, 240, 3, 3, 1),
        float_conv(32, 64, 16, 16, 1, 2), float_conv(20, 20, 9, 11, 1, relu=False), float_conv(40, 10, 6, 9, 1),
    ],
    "float_windows": [
        float_conv(3, 8, 32, 32, 3, 2), float_conv(3, 16, 24, 24, 3), float_conv(1, 32, 40, 12, 5, 2),
        float_conv(16, 32, 20, 20, 3, 2), float_conv(32, 48, 12, 12, 3, 2, relu=False), float_conv(8, 8, 16, 16, 3),
        float_conv(1, 48, 32, 8, (9, 3), 2), float_conv(24, 20, 10, 10, 3), float_conv(144, 32, 5, 5, 3),
        float_conv(12, 16, 14, 14, 5), float_conv(16, 24, 12, 12, 3, dilation=2),
    ],
    "float_patches": [
        float_conv(16, 16, 24, 24, 3), float_conv(32, 32, 14, 14, 3), float_conv(48, 64, 10, 10, 3),
        float_conv(64, 64, 7, 7, 3), float_conv(16, 48, 9, 21, 3, relu=False), float_conv(96, 32, 8, 6, 3),
    ],
    "float_chains": [
        float_chain(16, 32, 20, 20), float_chain(48, 48, 9, 13), float_chain(64, 64, 20, 5), float_chain(32, 96, 6, 6),
    ],
    "float_short_chains": [
        float_chain(8, 16, 24, 24), float_chain(8, 24, 13, 17), float_chain(4, 20, 12, 12),
    ],
    "float_depthwise": [
        float_conv(n, n, h, w, k, s, groups=n, dilation=d) for n, h, w, k, s, d in (
            (8, 24, 24, 3, 1, 1), (16, 24, 24, 3, 2, 1), (24, 22, 22, 3, 1, 1), (48, 20, 20, 3, 2, 1),
            (64, 12, 6, 3, 1, 1), (96, 10, 10, 3, 1, 1), (128, 7, 7, 3, 2, 1), (240, 4, 4, 3, 1, 1),
            (32, 12, 12, 5, 1, 1), (48, 9, 9, 5, 2, 1), (16, 14, 14, 3, 1, 2), (256, 3, 3, 3, 1, 1),
        )
    ],
    "float_alone": [float_conv(48, 48, 14, 5, 3, groups=48)],
    "float_alone_8": [float_conv(32, 32, 8, 8, 3, groups=32)],
    "float_alone_14": [float_conv(24, 24, 14, 14, 3, groups=24)],
    "float_rows": [
        float_row(16, 32, 64, 3), float_row(1, 16, 200, 9, 2), float_row(32, 32, 50, 5), float_row(64, 24, 24, 1),
        float_row(40, 64, 49, 3, 2), float_row(32, 32, 60, 5, groups=32), float_row(48, 48, 31, 3, groups=48),
    ],
    "float_dense": [
        float_dense(640, 96), float_dense(160, 128), float_dense(144, 512, relu=False), float_dense(256, 64),
    ],
    "float_dense_small": [
        float_dense(128, 128), float_dense(128, 8), float_dense(8, 128), float_dense(64, 12, relu=False),
        float_dense(200, 2, relu=False), float_dense(32, 64, 10), float_dense(64, 48, 7), float_dense(96, 32, 2),
        float_dense(50, 30),
    ],
    "few_outputs": [
        dense(320, 3, relu=False), dense(512, 2), dense(448, 4), dense(384, 8), dense(640, 7, relu=False),
        dense(512, 12),
    ],
    "float_few_outputs": [
        float_dense(320, 3, relu=False), float_dense(512, 4), float_dense(160, 8), float_dense(384, 7, relu=False),
        float_dense(256, 12),
    ],
    "recurrent": [
        recurrent(Rnn, 16, 32, 8), recurrent(Rnn, 40, 64, 5), recurrent(Gru, 10, 20, 6), recurrent(Gru, 40, 64, 4),
        recurrent(Lstm, 12, 16, 8), recurrent(Lstm, 40, 64, 4), recurrent(Lstm, 64, 33, 4),
    ],
    "largest": [pooled(MaxPool, *shape) for shape in POOLS],
    "averages": [pooled(AvgPool, *shape, fmt) for fmt in (CODES, POSITIVE) for shape in POOLS],
    "float_largest": [pooled(MaxPool, *shape, fmt=None) for shape in POOLS],
    "float_averages": [pooled(AvgPool, *shape, fmt=None) for shape in POOLS],
    "moves": [
        *(flattened(c, n, fmt) for c, n in ((8, 4), (32, 6), (16, 12), (3, 20)) for fmt in (CODES, None)),
        *(joined([(1, c, n, n), (1, d, n, n)], 1, fmt) for c, d, n in ((16, 16, 8), (24, 8, 10), (64, 32, 4), (3, 5, 9))
          for fmt in (CODES, None)),
        joined([(1, 400, 4), (1, 100, 4)], 1, None), joined([(1, 300, 2), (1, 100, 2), (1, 9, 2)], 1, None),
        joined([(1, 300), (1, 200)], 1), joined([(1, 64), (1, 64)], 1, None),
        *(padded(c, n, p, mode, fmt) for c, n, p, mode in ((3, 16, 1, "constant"), (16, 8, 1, "constant"),
          (8, 9, 2, "reflect"), (16, 7, 1, "edge")) for fmt in (CODES, None)),
        resized(16, 6), resized(4, 10),
    ],
    "rows": [
        *(rows(shape) for shape in ((1, 2), (1, 3), (1, 400, 2), (1, 60, 3), (1, 50, 10), (4, 21), (2, 4, 24, 24))),
        *(reduced(f, shape, axis) for f, shape, axis in (
            ("mean", (1, 64, 40), 2), ("sum", (1, 30, 24), 1), ("max", (1, 40, 30), 2), ("mean", (8, 100), 1))),
    ],
    "functions": [
        *(function(name, size) for name in ("exp", "sigmoid", "tanh", "erf", "gelu", "gelu_tanh")
          for size in (24, 100)),
        *(function("softmax", size) for size in (5, 24, 100)),
    ],
}  # fmt: skip


def graph(name: str, seed: int = 1) -> Graph:
    """One of GRAPHS, its layers side by side."""
    rng = np.random.default_rng(seed)
    made = [layer(rng, f"l{k}") for k, layer in enumerate(GRAPHS[name])]
    outputs = [(f"y{k}", Transpose(y, LAST) if len(y.shape) == 4 else y) for k, y in enumerate(made)]
    inputs: dict[Op, None] = {}

    def visit(op: Op) -> None:
        if isinstance(op, Input):
            inputs[op] = None
        for operand in op.operands:
            visit(operand)

    for _, op in outputs:
        visit(op)
    return Graph(name, tuple(inputs), tuple(outputs))  # type: ignore[arg-type]
