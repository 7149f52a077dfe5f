"""Small networks whose C code is held to the guarantees, as plans."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from c_support import const, drawn, graph_of, inp

from edgec.api import compile_model, plan
from edgec.backends.c import plan as plan_c
from edgec.formats import F16, F32, Fixed, Integer, Quantizer
from edgec.ops import Add, Conv, Dense, Op, Relu, Requantize, Reshape, Softmax, Unary
from edgec.options import Options
from edgec.target import load_target

if TYPE_CHECKING:
    from edgec.backend import BuildPlan
    from edgec.graph import Graph

ROOT = Path(__file__).parents[2]
MNIST = ROOT / "examples" / "mnist"
DIGITS = MNIST / "digits.npz"
INT8 = "bits=8,format=affine"


def econ_t(target: str) -> BuildPlan:
    options = Options(numerics="econ-t")
    return plan(compile_model(ROOT / "examples" / "econ_t" / "econ_t_8x8x1.onnx", target, options))


def digits(target: str) -> BuildPlan:
    return plan(
        compile_model(MNIST / "mnist_cnn.onnx", target, Options(quantize=INT8, name="digits"), calibration=DIGITS)
    )


def perceptron(target: str) -> BuildPlan:
    return plan(compile_model(MNIST / "mnist_mlp.onnx", target, Options(name="mlp")))


def functions(target: str) -> BuildPlan:
    """Floats through the mathematical library, branches that join, a softmax at the end."""
    rng = np.random.default_rng(5)
    x = inp(F32, 1, 3, 9, 7)
    y: Op = Unary(Conv(x, drawn(rng, F32, 4, 3, 3, 3), pads=(1, 1, 1, 1)), "gelu")
    y = Add(Unary(y, "tanh"), Unary(Unary(y, "sigmoid"), "sqrt"))
    y = Dense(Reshape(y, (1, 4 * 9 * 7)), drawn(rng, F32, 5, 4 * 9 * 7))
    return plan_c(graph_of(Softmax(y, 1), Unary(y, "round")), load_target(target), {"name": "functions"})


def half(target: str) -> BuildPlan:
    rng = np.random.default_rng(6)
    y = Relu(Dense(inp(F16, 1, 20), drawn(rng, F16, 12, 20)))
    return plan_c(graph_of(Unary(y, "exp"), y), load_target(target), {"name": "half"})


def wide(target: str) -> BuildPlan:
    """Sums of 64 bits, which small processors leave to functions of the compiler."""
    rng = np.random.default_rng(7)
    x = inp(Fixed(24, 8), 1, 2, 6, 6)
    y = Conv(x, drawn(rng, Integer(20), 3, 2, 3, 3), out=Quantizer(Fixed(30, 20)))
    return plan_c(graph_of(Relu(y)), load_target(target), {"name": "wide"})


def dot(target: str) -> BuildPlan:
    """Bytes as dot products take them, with a border around the picture."""
    return plan_c(dot_graph(), load_target(target), {"name": "dot", **load_target(target).options})


def dot_graph() -> Graph:
    rng = np.random.default_rng(8)
    y: Op = inp(Integer(8), 1, 16, 7, 6)
    for _ in range(2):
        sums = Conv(y, drawn(rng, Integer(8), 16, 16, 3, 3), drawn(rng, Integer(12), 16), pads=(1, 1, 1, 1))
        scales = const(Integer(32), rng.integers(1 << 18, 1 << 20, 16)), const(Integer(8), np.full(16, 28))
        y = Relu(Requantize(sums, *scales, None, Quantizer(Integer(8), "half_up", "saturate")))
    return graph_of(y)


NETS: dict[str, Callable[[str], BuildPlan]] = {
    f.__name__: f for f in (econ_t, digits, perceptron, functions, half, wide, dot)
}


@lru_cache
def net(name: str, target: str = "host") -> BuildPlan:
    """The plan of one of `NETS`."""
    return NETS[name](target)


def write(made: BuildPlan, folder: Path) -> Path:
    """The files of a plan below `folder`."""
    for path, data in made.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
