"""Fake-quantised float graphs for the tests of `integerize`, and the comparison of a graph with its integer form."""

from __future__ import annotations

import numpy as np

from edgec.formats import F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import BatchNorm, Constant, Dequantize, Input, Op, Quantize, constant
from edgec.passes import integerize
from edgec.pipeline import Context
from edgec.rounding import Overflow, Rounding
from edgec.text import parse_graph, print_graph

U8 = Fixed(8, 0, signed_=False)
S8 = Fixed(8, 1)
S6 = Fixed(6, 1)


def source(fmt: Format, *shape: int, name: str = "x") -> Op:
    """A float input behind its quantiser."""
    return quantized(Input(name, type=TensorType(F32, shape)), fmt, loc="input")


def quantized(
    x: Op, fmt: Format, rounding: Rounding = "half_even", overflow: Overflow = "saturate", loc: str = "q"
) -> Op:
    return Dequantize(Quantize(x, Quantizer(fmt, rounding, overflow), loc=(loc,)), loc=(loc,))


def random_codes(generator: np.random.Generator, fmt: Format, *shape: int) -> np.ndarray:
    lo, hi = fmt.code_range
    return generator.integers(lo, hi, shape, endpoint=True).astype(fmt.dtype)


def weights(generator: np.random.Generator, fmt: Format, *shape: int, loc: str = "w") -> Op:
    codes = random_codes(generator, fmt, *shape)
    return Dequantize(Constant(codes, type=TensorType(fmt, codes.shape), loc=(loc,)), loc=(loc,))


def batch_norm(generator: np.random.Generator, x: Op, loc: str = "bn") -> Op:
    """Scales of both signs, as trained networks have them."""
    n = x.shape[1]
    scale = generator.uniform(0.3, 2, n) * generator.choice([-1, 1], n)
    parameters = (scale, generator.normal(size=n), generator.normal(size=n), generator.uniform(0.3, 3, n))
    return BatchNorm(x, *map(constant, parameters), loc=(loc,))


def affine(scale: float, zero: int = 0, bits: int = 8, signed: bool = True) -> Affine:
    return Affine(Integer(bits, signed_=signed), (float(np.float32(scale)),), (zero,))


def graph_of(*outputs: Op, name: str = "net") -> Graph:
    found: dict[Input, None] = {}
    stack, seen = list(outputs), set(outputs)
    while stack:
        op = stack.pop()
        if isinstance(op, Input):
            found[op] = None
        stack.extend(o for o in op.operands if o not in seen)
        seen.update(op.operands)
    named = [("y" if i == 0 else f"y{i}", op) for i, op in enumerate(outputs)]
    return Graph(name, tuple(sorted(found, key=lambda i: i.name)), tuple(named))


def integer(graph: Graph, arithmetic: integerize.Arithmetic = "integer", context: Context | None = None) -> Graph:
    return integerize.apply(graph, context or Context(), arithmetic=arithmetic)


def real_frames(graph: Graph, generator: np.random.Generator, count: int = 32) -> dict[str, np.ndarray]:
    """Frames that reach beyond the ranges of the input quantisers now and then."""
    return {i.name: generator.normal(scale=0.7, size=(count, *i.shape)).astype(np.float32) for i in graph.inputs}


def kinds(graph: Graph) -> set[str]:
    return {op.mnemonic for op in graph.ops}


def computes_in_floats(graph: Graph) -> list[str]:
    """Ops that read floats, the quantisers of the inputs aside."""
    return [
        op.mnemonic
        for op in graph.ops
        if any(isinstance(o.type, TensorType) and o.format.is_float for o in op.operands)
        and not any(isinstance(o, Input) for o in op.operands)
    ]


def assert_equal(graph: Graph, new: Graph, frames: dict[str, np.ndarray]) -> None:
    """Both graphs give the same numbers, and the new one survives print and parse."""
    before, after = run(graph, frames), run(new, frames)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    text, arrays = print_graph(new)
    assert print_graph(parse_graph(text, arrays))[0] == text
