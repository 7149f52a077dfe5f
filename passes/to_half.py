"""Turns a network of binary32 into one of binary16: weights and activations take half of the memory.

Changes results: every tensor is rounded to 11 bits. Sums of products stay in binary32, by the rule of the ops
(docs/ir.md); ops that add up tensors in their own precision, and quantisers, keep binary32 between two casts (`WIDE`).
Inputs and outputs keep their format unless `io=half`. Integers and binary64 are left alone.

The table `to-half` says how far the outputs are apart, on the calibration frames or on normal numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, Format, Quantizer, TensorType
from edgec.frames import encode_frames
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import (
    AvgPool,
    BatchNorm,
    Cast,
    Constant,
    Cumulate,
    Dequantize,
    Input,
    Normalize,
    Op,
    Quantize,
    Reduce,
    RequantizeFloat,
    Softmax,
)
from edgec.pipeline import Context

WIDE = (AvgPool, BatchNorm, Cumulate, Dequantize, Normalize, Quantize, Reduce, RequantizeFloat, Softmax)
"""What loses more than the rounding of its result in half precision."""
FRAMES = 8
"""Frames that are compared, at the most."""


def apply(graph: Graph, context: Context, *, io: Literal["keep", "half"] = "keep") -> Graph:
    """`graph` in half precision; raises E0313 for a weight beyond 65504, and warns of values beyond (W0002)."""
    if not any(_is(op, F32) for op in graph.ops):
        context.warn("N0002", "to-half: nothing is in binary32")
        return graph
    made = _Halved()
    inputs = tuple(made.input(i, io) for i in graph.inputs)
    for op in graph.ops:
        if op not in made.new:
            made.new[op] = made.changed(op)
    outputs = tuple((n, made.get(op, F32 if io == "keep" else F16)) for n, op in graph.outputs)
    new = replace(graph, inputs=inputs, outputs=outputs)
    _compare(graph, new, context)
    return new


def _is(op: Op, fmt: Format) -> bool:
    return isinstance(op.type, TensorType) and op.format == fmt


class _Halved:
    """What ops became: `new` holds one of them, `casts` the same in the other precision."""

    def __init__(self) -> None:
        self.new: dict[Op, Op] = {}
        self.casts: dict[tuple[Op, Format], Op] = {}

    def get(self, op: Op, fmt: Format) -> Op:
        """The op that stands for one of binary32, in `fmt`; of any other the only one."""
        if not _is(op, F32):
            return self.new[op]
        if _is(self.new[op], fmt):
            return self.new[op]
        key = op, fmt
        if key not in self.casts:
            if isinstance(op, Constant):
                self.casts[key] = _rounded(op)
            else:
                self.casts[key] = Cast(self.new[op], Quantizer(fmt), loc=op.loc)
        return self.casts[key]

    def input(self, op: Input, io: str) -> Input:
        kept = op if io == "keep" or not _is(op, F32) else op.replace(type=TensorType(F16, op.shape))
        self.new[op] = kept
        return kept

    def changed(self, op: Op) -> Op:
        if isinstance(op, Constant):
            return op
        if isinstance(op, Cast) and op.out.format in (F16, F32) and (_is(op.x, F16) or _is(op.x, F32)):
            return self.get(op.x, F16)
        operands = [self.get(o, F32 if isinstance(op, WIDE) else F16) for o in op.operands]
        new = op.with_operands(operands)
        return new.replace(out=Quantizer(F16)) if isinstance(new, Cast) and new.out.format == F32 else new


def _rounded(op: Constant) -> Constant:
    """A constant in binary16."""
    with np.errstate(over="ignore", under="ignore"):
        data = op.data.astype(np.float16)
    if not np.array_equal(np.isfinite(data), np.isfinite(op.data)):
        raise EdgecError(
            "E0313",
            f"{np.abs(op.data[~np.isfinite(data)]).max():g} is beyond the largest number of binary16, 65504",
            layer=op.label,
            op=op.mnemonic,
            remedy="leave the network in binary32, or scale the weights of the layer",
        )
    return Constant(data, type=TensorType(F16, op.shape), loc=op.loc)


def _compare(before: Graph, after: Graph, context: Context) -> None:
    """Leave the table of the differences, and a warning of tensors whose numbers are beyond those of binary16."""
    if context.calibration is not None:
        frames = {name: codes[:FRAMES] for name, codes in encode_frames(before, context.calibration).items()}
    else:
        generator = np.random.default_rng(context.seed)
        frames = {i.name: _drawn(generator, i) for i in before.inputs}
    halves = {i.name: frames[i.name].astype(i.format.dtype) for i in after.inputs}
    beyond: list[str] = []

    def observe(op: Op, value: object) -> None:
        if isinstance(value, np.ndarray) and value.dtype == np.float16 and not np.isfinite(value).all():
            beyond.append(op.label)

    with np.errstate(all="ignore"):
        wanted, found = run(before, frames), run(after, halves, observe=observe)
    rows: list[dict[str, object]] = []
    for name, exact in wanted.items():
        if exact.dtype.kind != "f":
            rows.append({"output": name, "differing": int((exact != found[name]).sum()), "of": exact.size})
            continue
        largest = float(np.abs(exact[np.isfinite(exact)]).max(initial=0))
        with np.errstate(all="ignore"):
            error = np.abs(exact.astype(np.float64) - found[name])
        rows.append({"output": name, "largest": largest, "largest_error": float(error.max(initial=0))})
    context.reports["to-half"] = rows
    if beyond:
        layers = ", ".join(dict.fromkeys(beyond[:3])) + (", ..." if len(set(beyond)) > 3 else "")
        why = "a number is beyond 65504 and becomes infinite"
        context.warn("W0002", f"{len(set(beyond))} tensors overflow in half precision", layer=layers, why=why)


def _drawn(generator: np.random.Generator, op: Input) -> np.ndarray:
    shape, fmt = (FRAMES, *op.shape), op.format
    if fmt.is_float:
        return generator.standard_normal(shape).astype(fmt.dtype)
    lo, hi = fmt.code_range
    return generator.integers(lo, hi, shape, endpoint=True).astype(fmt.dtype)
