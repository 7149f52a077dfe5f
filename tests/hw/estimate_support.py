"""Networks and plans that the tests of the estimators share."""

from __future__ import annotations

import numpy as np

from edgec.backend import BuildPlan, Kernel
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Input, Relu, Reshape

U8, S6, U9 = Fixed(8, 0, False), Fixed(6, 1), Fixed(9, 1, False)


def weights(shape: tuple[int, ...], seed: int = 3, spread: float = 6.0, fmt: Fixed = S6) -> Constant:
    """Seeded Laplace levels clipped to `fmt`."""
    lo, hi = fmt.code_range
    levels = np.clip(np.round(np.random.default_rng(seed).laplace(0, spread, shape)), lo, hi).astype(np.int64)
    return Constant(levels, type=TensorType(fmt, shape))


def encoder(shape: tuple[int, int, int], stride: int, pads: tuple[int, ...]) -> Graph:
    """The ECON-T encoder: convolution of 8 filters 3x3 and a dense layer of 16, u8 in, s6 weights, u9 out."""
    x = Input("x", type=TensorType(U8, (1, *shape)))
    conv = Conv(
        x,
        weights((8, shape[0], 3, 3)),
        weights((8,), 4),
        strides=(stride, stride),
        pads=pads,
        out=Quantizer(U8, "floor"),
        loc=("conv",),
    )
    flat = Reshape(Relu(conv, loc=("relu",)), (1, 128))
    dense = Dense(flat, weights((16, 128), 5), weights((16,), 6), out=Quantizer(U9, "floor"), loc=("dense",))
    return Graph("encoder", (x,), (("y", Relu(dense, loc=("relu_1",))),))


def design_a() -> Graph:
    """4x4x3 input, 2288 parameters: the published chip."""
    return encoder((3, 4, 4), 1, (1, 1, 1, 1))


def design_b() -> Graph:
    """8x8x1 input, 2144 parameters."""
    return encoder((1, 8, 8), 2, (0, 0, 1, 1))


def plan_of(*kernels: Kernel, latency: int | None = None) -> BuildPlan:
    interface = {"initiation_interval": 1} | ({} if latency is None else {"latency": latency})
    return BuildPlan("rtl", {}, kernels, interface)


def kernel(
    cells: dict[str, int] | None = None,
    *,
    stage: int = 1,
    cycles: int = 1,
    state: dict[str, int] | None = None,
    path: dict[str, int] | None = None,
    name: str = "k",
    layers: tuple[str, ...] = (),
) -> Kernel:
    return Kernel(name, layers, "dense", stage, cycles, cells=cells or {}, state=state or {}, path=path or {})
