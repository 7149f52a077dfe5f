"""Compile a graph to C, run it, compare every step with the interpreter."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import Format, TensorType
from edgec.graph import Graph
from edgec.hw.sim.c_program import run_plan
from edgec.hw.tools.doctor import FINDERS
from edgec.interp import random_frames
from edgec.ops import Constant, Input, Op
from edgec.target import load_target

HOST = load_target("host")


def need(*tools: str) -> None:
    """A missing tool skips a test at a desk, where `-ra` shows it, and fails it in continuous integration."""
    for name in tools:
        tool = FINDERS[name]()
        if not tool.usable:
            message = f"{name}: {tool.problem}; {tool.remedy}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


def inp(fmt: Format, *shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(fmt, shape))


def const(fmt: Format, data: Any) -> Constant:
    array = np.asarray(data, fmt.dtype)
    return Constant(array, type=TensorType(fmt, array.shape))


def drawn(generator: np.random.Generator, fmt: Format, *shape: int) -> Constant:
    """Codes uniform over the format, normal numbers for floats."""
    if fmt.is_float:
        return const(fmt, generator.standard_normal(shape))
    lo, hi = fmt.code_range
    return const(fmt, generator.integers(lo, hi, shape, endpoint=True))


def inputs_of(op: Op, seen: dict[Input, None] | None = None) -> list[Input]:
    """The inputs that `op` depends on."""
    found = {} if seen is None else seen
    for operand in op.operands:
        if isinstance(operand, Input):
            found[operand] = None
        inputs_of(operand, found)
    return list(found)


def graph_of(*outputs: Op) -> Graph:
    inputs: dict[Input, None] = {}
    for op in outputs:
        inputs |= dict.fromkeys(inputs_of(op))
    return Graph("t", tuple(inputs), tuple((f"y{i}", op) for i, op in enumerate(outputs)))


def check(graph: Graph, *, frames: int = 5, seed: int = 3, tolerance: float = 1e-5, **options: Any) -> Any:
    """Run `graph` in C; every step must equal the interpreter's codes (floats within `tolerance`)."""
    made = plan(graph, HOST, {"name": "t"})
    codes = random_frames(graph, frames, seed)
    result = run_plan(made, codes, **options)
    found = first_difference(reference(graph, codes), result.layers, result.outputs, tolerance=tolerance)
    assert found is None, found
    return made
