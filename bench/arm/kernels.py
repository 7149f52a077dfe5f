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
    Constant,
    Conv,
    Dense,
    Dequantize,
    Input,
    MaxPool,
    Mul,
    Op,
    Quantize,
    Relu,
    Requantize,
    Softmax,
    Transpose,
    Unary,
)  # fmt: skip

CODES = Affine(Integer(8), (0.05,), (-3,))
OUT = Quantizer(CODES, "half_up", "saturate")
S8 = Integer(8)
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Images lie channels last outside, too."""
Layer = Callable[[np.random.Generator, str], Op]


def _input(shape: tuple[int, ...], name: str, fmt: Affine | None = CODES) -> Op:
    stored = tuple(shape[a] for a in LAST) if len(shape) == 4 else shape
    x: Op = Input(name, type=TensorType(fmt if fmt is not None else F32, stored))
    return Relu(Transpose(x, FIRST) if len(shape) == 4 else x, loc=(f"{name}_in",))


def _codes(rng: np.random.Generator, *shape: int) -> Constant:
    return Constant(rng.integers(-127, 128, shape).astype(np.int8), type=TensorType(Affine(S8, (0.01,), (0,)), shape))


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
) -> Layer:
    """`first`: it reads the input itself, which dot-product code copies."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, inputs, height, width), name)
        x = x.operands[0] if first else x
        pad = kernel // 2
        y = Conv(
            x, _codes(rng, outputs, inputs, kernel, kernel), strides=(stride, stride), pads=(pad,) * 4, loc=(name,)
        )
        return _rescaled(rng, y, name, relu)

    return make


def depthwise(channels: int, height: int, width: int, stride: int = 1, relu: bool = True) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, channels, height, width), name)
        w = _codes(rng, channels, 1, 3, 3)
        y = Conv(x, w, strides=(stride, stride), pads=(1, 1, 1, 1), groups=channels, loc=(name,))
        return _rescaled(rng, y, name, relu)

    return make


def chain(channels: int, outputs: int, height: int, width: int) -> Layer:
    """Pointwise, depthwise, pointwise, window: results with the margins that the next one reads."""

    def make(rng: np.random.Generator, name: str) -> Op:
        y = _input((1, channels, height, width), name)
        for k, (o, kernel, groups) in enumerate(
            [(outputs, 1, 1), (outputs, 3, outputs), (outputs, 1, 1), (channels, 3, 1)]
        ):
            inputs = y.shape[1]
            w, label = _codes(rng, o, inputs // groups, kernel, kernel), f"{name}_{k}"
            y = Conv(y, w, pads=(kernel // 2,) * 4, groups=groups, loc=(label,))
            y = _rescaled(rng, y, label, True)
        return y

    return make


def portable(channels: int, size: int, kernel: int, groups: int) -> Layer:
    """A convolution that only portable code does."""

    def make(rng: np.random.Generator, name: str) -> Op:
        w = _codes(rng, channels, channels // groups, kernel, kernel)
        x = _input((1, channels, size, size), name)
        y = Conv(x, w, pads=(kernel // 2,) * 4, groups=groups, loc=(name,))
        return _rescaled(rng, y, name, True)

    return make


def dense(inputs: int, outputs: int, relu: bool = True) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        y = Dense(_input((1, inputs), name), _codes(rng, outputs, inputs), loc=(name,))
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
        return AvgPool(_input((1, channels, height, width), name), (height, width), out=OUT, loc=(name,))

    return make


def largest(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        return MaxPool(_input((1, channels, size, size), name), (2, 2), (2, 2), loc=(name,))

    return make


def ends(size: int) -> Layer:
    """Codes to numbers, softmax, numbers to codes."""

    def make(rng: np.random.Generator, name: str) -> Op:
        x = Dequantize(_input((1, size), name).operands[0], loc=(f"{name}_out",))
        probabilities = Softmax(x, loc=(name,))
        return Quantize(probabilities, Quantizer(Affine(S8, (1 / 256,), (-128,)), "half_even", "saturate"), loc=(name,))

    return make


def float_conv(inputs: int, outputs: int, size: int, kernel: int, groups: int = 1) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, inputs, size, size), name, None)
        w, pad = _floats(rng, outputs, inputs // groups, kernel, kernel), kernel // 2
        return Relu(Conv(x, w, _floats(rng, outputs), pads=(pad,) * 4, groups=groups, loc=(name,)), loc=(name,))

    return make


def float_dense(inputs: int, outputs: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        x = _input((1, inputs), name, None)
        return Relu(Dense(x, _floats(rng, outputs, inputs), _floats(rng, outputs), loc=(name,)), loc=(name,))

    return make


def scaled(channels: int, size: int) -> Layer:
    def make(rng: np.random.Generator, name: str) -> Op:
        one, other = (_input((1, channels, size, size), f"{name}{k}", None) for k in "ab")
        return Mul(one, other, loc=(name,))

    return make


def function(name: str, size: int) -> Layer:
    """A function of numbers, or softmax."""

    def make(rng: np.random.Generator, label: str) -> Op:
        x = _input((4, size), label, None)
        return Softmax(x, loc=(label,)) if name == "softmax" else Unary(x, name, loc=(label,))

    return make


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
    "chains": [chain(16, 32, 20, 20), chain(48, 48, 9, 13), chain(64, 64, 30, 5), chain(32, 96, 6, 6)],
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
    "dense": [
        dense(512, 96), dense(160, 128), dense(128, 96), dense(96, 8), dense(8, 96), dense(144, 512, relu=False),
        dense(48, 10, relu=False), dense(200, 2, relu=False), dense(64, 16),
    ],
    "others": [
        portable(16, 12, 5, 16), portable(48, 8, 5, 48), portable(32, 12, 3, 2), portable(64, 6, 1, 4),
        residual(16, 28), residual(48, 10), residual(64, 6),
        average(48, 20, 6), average(96, 6, 6), average(240, 4, 4), average(64, 10, 8),
        largest(16, 24), largest(48, 8), ends(4), ends(16), ends(40),
    ],
    "floats": [
        float_conv(3, 16, 24, 3), float_conv(16, 24, 16, 3), float_conv(32, 48, 10, 1), float_conv(48, 48, 10, 3, 48),
        float_dense(256, 64), float_dense(64, 128), scaled(16, 20), scaled(48, 9),
    ],
    "functions": [
        *(function(name, size) for name in ("exp", "sigmoid", "tanh", "erf", "gelu_tanh") for size in (24, 100)),
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
