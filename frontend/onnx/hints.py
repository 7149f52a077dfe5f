"""Formats of integer inputs: an int8 input that is dequantised with one scale is an affine input, not a plain int8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from edgec.diagnostics import EdgecError
from edgec.formats import Format, FormatError
from edgec.frontend.onnx.read import tensor_array, text
from edgec.frontend.onnx.structure import Item
from edgec.frontend.onnx.types import dtype_format, scaled

MOVES = frozenset(
    ["Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "MaxPool", "Pad", "Gather"]
)
"""Operators that hand codes on as they are (operand 0)."""
SCALED_OPERANDS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "DequantizeLinear": ((0, 1, 2),),
    "QLinearConv": ((0, 1, 2),),
    "QLinearMatMul": ((0, 1, 2), (3, 4, 5)),
}
"""Operator -> (operand, its scale, its zero point)."""


def input_hints(
    items: Iterable[Item], initializers: Mapping[str, TensorProto], folder: Path | None
) -> dict[str, Format]:
    """Tensor name -> the one format under which all its readers see it, for tensors that are given to the model."""
    known: dict[str, TensorProto] = dict(initializers)
    readers: dict[str, list[Item]] = {}
    for item in items:
        for name in item.inputs:
            readers.setdefault(name, []).append(item)
        if item.op_type == "Constant" and item.outputs:
            for attribute in item.proto.attribute:
                if attribute.name == "value":
                    known[item.outputs[0]] = attribute.t
    produced = {o for names in readers.values() for i in names for o in i.outputs}
    hints = {}
    for name in readers:
        if name in produced or name in known:
            continue
        formats = _seen_as(name, readers, known, folder)
        if len(formats) == 1 and (fmt := formats.pop()) is not None:
            hints[name] = fmt
    return hints


def _seen_as(
    start: str, readers: dict[str, list[Item]], known: dict[str, TensorProto], folder: Path | None
) -> set[Format | None]:
    formats: set[Format | None] = set()
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        for item in readers.get(name, []):
            if item.op_type in MOVES and item.inputs and item.inputs[0] == name and item.outputs:
                fresh = [o for o in item.outputs[:1] if o not in seen]
                seen.update(fresh)
                waiting += fresh
                continue
            formats |= {
                _format(item, scale, zero, known, folder)
                for operand, scale, zero in SCALED_OPERANDS.get(item.op_type, ())
                if operand < len(item.inputs) and item.inputs[operand] == name
            } or {None}
    return formats


def _format(item: Item, scale: int, zero: int, known: dict[str, TensorProto], folder: Path | None) -> Format | None:
    """The per-tensor format of an operand, None where it is not plainly stated (the node's import will say why)."""
    try:
        names = [item.inputs[i] if i < len(item.inputs) else "" for i in (scale, zero)]
        if not all(n in known and text(n) for n in names):
            return None
        scales, zeros = (tensor_array(known[n], folder) for n in names)
        base = dtype_format(zeros.dtype)
        if base is None or base.is_float or scales.size != 1 or zeros.size != 1 or scales.dtype.kind != "f":
            return None
        return scaled(base, scales.astype(np.float64), zeros.astype(np.int64), None)
    except (EdgecError, FormatError):
        return None
