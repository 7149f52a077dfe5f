"""Pools and pads in C: windows that are written out, loops around some channels, one channel at a time."""

from __future__ import annotations

import numpy as np
import pytest
from c_support import HOST, check

from edgec.backends.c import plan
from edgec.backends.c.pool import inside, together, written
from edgec.backends.c.schedule import scheduled
from edgec.formats import F16, F32, Affine, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.interp import random_frames, run
from edgec.ops import AvgPool, Constant, Input, MaxPool, Mul, Op, Pad, Relu, Transpose

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CODES = Affine(Integer(8), (0.05,), (-3,))
BYTES = Affine(Integer(8, False), (0.05,), (128,))
SHAPES = [  # channels, size, kernel, stride, pad, dilation
    (1, 9, 2, 2, 0, 1), (3, 8, 3, 1, 1, 1), (6, 9, 3, 3, 0, 1), (20, 7, 3, 2, 1, 1), (64, 5, 5, 1, 0, 1),
    (67, 5, 5, 1, 0, 1), (96, 6, 3, 1, 1, 1), (130, 5, 5, 2, 2, 1), (16, 9, 2, 1, 0, 3), (12, 9, 3, 2, 2, 2),
    (5, 6, 1, 2, 0, 1),
]  # fmt: skip


def pools(kind: type[AvgPool | MaxPool], fmt: Format, last: bool) -> Graph:
    """Windows of all sorts over images whose channels come last or first; behind every other one a clamp."""
    rng = np.random.default_rng(5)
    inputs, outputs = [], []
    for k, (channels, size, kernel, stride, pad, dilation) in enumerate(SHAPES):
        shape = (2, channels, size, size + 1)
        x = Input(f"x{k}", type=TensorType(fmt, tuple(shape[a] for a in (0, 2, 3, 1)) if last else shape))
        y: Op = Transpose(x, (0, 3, 1, 2)) if last else x
        window = ((kernel, kernel), (stride, stride), (pad,) * 4, (dilation, dilation))
        if kind is MaxPool:
            y = MaxPool(y, *window, loc=(f"pool{k}",))
        else:
            out = None if fmt.is_float else Quantizer(fmt, ("half_even", "half_up")[k % 2], "saturate")
            y = AvgPool(y, *window, bool(k % 3), out, loc=(f"pool{k}",))
        if k % 2:
            y = Relu(y, loc=(f"pool{k}",))
        if fmt == F32 and k % 3 == 1:  # something that differs by channel
            w = rng.standard_normal((1, channels, 1, 1)).astype(np.float32)
            y = Mul(y, Constant(w, type=TensorType(F32, w.shape)), loc=(f"pool{k}",))
        inputs.append(x)
        outputs.append((f"y{k}", Transpose(y, (0, 2, 3, 1)) if last else y))
    return Graph("t", tuple(inputs), tuple(outputs))


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("fmt", [CODES, BYTES, F32, F16], ids=["int8", "uint8", "f32", "f16"])
@pytest.mark.parametrize("kind", [MaxPool, AvgPool])
def test_windows(kind: type[AvgPool | MaxPool], fmt: Format, last: bool) -> None:
    check(pools(kind, fmt, last), flags=SANITIZE)


@pytest.mark.parametrize("last", [True, False])
def test_every_form_is_drawn(last: bool) -> None:
    """Windows that are written out, loops around all channels or blocks of them, and around one."""
    graph = pools(MaxPool, CODES, last)
    views = scheduled(graph, "t").views
    forms = [(written(op), inside(op), together(views, op)) for op in graph.ops if isinstance(op, MaxPool)]
    assert len(forms) == len(SHAPES)
    assert {(True, True, 1), (False, False, 1)} <= set(forms)
    blocks = {block for *_, block in forms}
    assert blocks == ({1, 12, 20, 48, 64, 26} if last else {1})


@pytest.mark.parametrize("channels", [1, 5, 8])
@pytest.mark.parametrize("pad", [0, 1])
def test_nan_stays(channels: int, pad: int) -> None:
    x = Input("x", type=TensorType(F32, (1, 7, 7, channels)))
    y = Transpose(MaxPool(Transpose(x, (0, 3, 1, 2)), (3, 3), (1, 1), (pad,) * 4), (0, 2, 3, 1))
    graph = Graph("t", (x,), (("y", y),))
    frames = random_frames(graph, 2, 1)
    frames["x"][0, 0, 3, 3] = np.nan
    frames["x"][1, 0, 0, 0] = -np.inf
    found = run_plan(plan(graph, HOST, {"name": "t"}), frames).outputs["y"]
    np.testing.assert_array_equal(found, run(graph, frames)["y"])
    assert np.isnan(found[0]).sum() == 9 * channels


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("fmt", [CODES, F32, F16], ids=["int8", "f32", "f16"])
def test_pads(fmt: Format, mode: str) -> None:
    """A constant that is not zero, images whose channels come last, a clamp behind, and pads that cut."""
    outputs, inputs = [], []
    for k, pads in enumerate([(0, 0, 1, 2, 0, 0, 2, 1), (0, 0, 0, 3, 0, 0, 1, 0), (0, 0, -1, 2, 0, 0, 1, -1)]):
        x = Input(f"x{k}", type=TensorType(fmt, (1, 6, 7, 5)))
        y: Op = Pad(Transpose(x, (0, 3, 1, 2)), pads, mode, 0.5 if mode == "constant" else 0.0, loc=(f"pad{k}",))
        outputs.append((f"y{k}", Transpose(y, (0, 2, 3, 1)) if k != 1 else Relu(y, loc=("relu",))))
        inputs.append(x)
    check(Graph("t", tuple(inputs), tuple(outputs)), flags=SANITIZE)
