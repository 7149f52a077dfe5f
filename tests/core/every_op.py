"""One instance of every op, with attributes away from their defaults."""

from __future__ import annotations

import numpy as np
from core_support import inp

from edgec.formats import F16, F32, Affine, Fixed, Integer, Quantizer
from edgec.ops import (
    Add,
    ArgMax,
    AvgPool,
    BatchNorm,
    Binary,
    Cast,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Cumulate,
    DecodeFloat,
    Dense,
    Dequantize,
    EncodeFloat,
    Expand,
    Gather,
    Get,
    Gru,
    Lstm,
    Lut,
    MatMul,
    MaxPool,
    Mul,
    MultiThreshold,
    Normalize,
    NormalizePow2,
    Op,
    PackBits,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Relu,
    Requantize,
    RequantizeFloat,
    Reshape,
    Resize,
    Rnn,
    Scatter,
    Slice,
    Softmax,
    Split,
    Sub,
    Take,
    TopK,
    Transpose,
    Unary,
    Where,
    constant,
    integers,
)


def every_op() -> list[Op]:
    """Built anew on every call; inputs and constants are among their operands."""
    g = np.random.default_rng(0)
    f = inp(F32, 1, 4, 6, 6)
    q = inp(Fixed(8, 3), 1, 4, 6, 6)
    u = inp(Integer(7, False), 2, 5)
    w = constant(g.uniform(-1, 1, (6, 2, 3, 3)), Fixed(6, 1), loc=("w",))
    to = Quantizer(Fixed(8, 2), "half_up", "wrap")
    affine = Quantizer(Affine(Integer(8, False), (0.1,), (3,)), "half_away", "saturate_symmetric")
    condition = Binary(q, inp(Fixed(8, 3), 6, name="other"), "less_equal")
    four = constant(g.uniform(0.5, 1, 4))
    split = Split(q, (1, 3), 1, loc=("split",))
    table = constant(g.uniform(-2, 2, 256), Fixed(5, 2), loc=("table",))
    thresholds = integers(np.sort(g.integers(-99, 99, (4, 3)), axis=1))
    steps, state = inp(F32, 5, 2, 3), inp(F32, 2, 4, name="state")

    def gates(n: int) -> tuple[Op, Op, Op]:
        return tuple(constant(g.uniform(-1, 1, s)) for s in ((4 * n, 3), (4 * n, 4), (4 * n,)))  # type: ignore[return-value]

    lstm = Lstm(steps, *gates(4), state, state, ("hard_sigmoid", "tanh", "softsign"), True)
    index, q8 = inp(Integer(4), 2, 3, name="index"), inp(Integer(8), 5, name="q8")
    top = TopK(q, 2, 1, False)
    return [
        Add(q, q, to),
        Sub(q, q, loc=("a", "b")),
        Mul(q, q, to),
        ArgMax(q, 2, keepdims=False, select_last=True, smallest=True),
        AvgPool(q, (2, 2), (2, 1), (0, 1, 1, 0), (1, 2), True, count_include_pad=True, out=to),
        BatchNorm(f, four, four, four, four, 1e-3),
        condition,
        Cast(q, to),
        Binary(q8, q8, "floor_mod"),
        Binary(inp(Integer(8, False), 3), inp(Integer(8, False), 3, name="by"), "shift_left"),
        Clip(q, -1.5, 2.25),
        Concat((q, q), -1),
        Conv(q, w, constant(g.uniform(-1, 1, 6), Fixed(6, 1)), (2, 1), (1, 0, 1, 2), (1, 2), 2, to, to, to),
        ConvTranspose(f, constant(g.uniform(-1, 1, (4, 3, 2, 2))), None, (2, 2), (0, 1, 1, 0), (1, 1), (1, 0), 2),
        DecodeFloat(u, 4, 3, 2),
        EncodeFloat(inp(Integer(22, False), 3), 5, 4),
        NormalizePow2(inp(Integer(22, False), 3), 8, 7),
        PackBits(u, 5),
        PackBits(u, mask=(1, 0, 1) * 11 + (1, 0)),
        Dense(inp(Fixed(8, 3), 3, 5), constant(g.uniform(-1, 1, (2, 5)), Fixed(6, 1)), None, to, None, to),
        Dequantize(q, F16),
        Quantize(f, affine),
        Requantize(q, integers([5, 6, 7, 8]), integers([3]), None, affine),
        Requantize(q, integers([5]), integers([3, 4, 5, 6, 7, 8]), integers([-9]), affine, -1),
        RequantizeFloat(q, constant([0.1, 0.2, 0.3, 0.4]), affine),
        MultiThreshold(q, thresholds, integers([1, -1, 1, 1]), Integer(2)),
        Lut(q, table),
        Expand(q, (3, 4, 6, 6)),
        Gather(q, (3, -1, 0), 1),
        Take(q, index, -2),
        Resize(f, (12, 9), (2.0, 1.5), "cubic", "half_pixel_symmetric", cubic_a=-0.5, exclude_outside=True),
        Scatter(q, integers([0, -1]), inp(Fixed(8, 3), 2, 4, 6, 6, name="updates"), "max"),
        top,
        Get(top, 1),
        Cumulate(q8, 0, "sum", True, True, Quantizer(Integer(8), "floor", "wrap")),
        Cumulate(f, 2, "prod"),
        split,
        Get(split, 1),
        Rnn(steps, *gates(1), state, ("relu",), True),
        Gru(steps, *gates(3), state, four, True, ("hard_sigmoid", "relu"), True),
        Gru(steps, *gates(3), state, None, activations=("sigmoid", "softsign")),
        lstm,
        Get(lstm, 2),
        MatMul(f, f),
        MaxPool(q, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), True),
        Normalize(f, constant(g.uniform(0, 1, 6)), None, -1, 1e-6),
        Normalize(f, constant(g.uniform(0, 1, (6, 6))), constant(g.uniform(0, 1, (6, 6))), 2),
        Pad(q, (0, 0, 1, -1, 0, 0, 2, 0), value=0.5),
        Pad(q, (0, 0, 1, 0, 0, 0, 2, 0), "reflect"),
        PRelu(f, constant(g.uniform(0, 1, (4, 1, 1)))),
        Reduce(f, "log_sum_exp", (1, -1), False),
        Relu(q),
        Reshape(q, (4, 36)),
        Resize(q, (12, 9), (2.0, 1.5), "nearest", "asymmetric", "floor"),
        Slice(q, (0, 3, 0, 0), (1, -1, 6, 5), (1, -1, 2, 3)),
        Softmax(f, 1, True),
        Transpose(q, (0, 2, 3, 1)),
        Unary(f, "hard_sigmoid", 0.2, 0.5),
        Where(condition, q, q),
    ]
