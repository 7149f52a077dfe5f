"""Resizing in plain C: tables of positions and weights, one an axis."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c.loops import affine
from edgec.backends.c.scalar import FLOATS, Body, Kind, Scalar
from edgec.backends.c.writer import Writer
from edgec.formats import FormatError
from edgec.interp.resample import nearest_indices, positions, taps
from edgec.ops import Resize


def _coordinates(op: Resize, i: int) -> np.ndarray:
    return positions(op.coordinates, op.x.shape[2 + i], op.sizes[i], op.scales[i])


def resize(w: Writer, op: Resize) -> list[str]:
    """Every result gathers its taps, axis after axis as the interpreter does."""
    if op.mode == "nearest":
        return _nearest(w, op)
    if not op.format.is_float:
        raise FormatError(f"resizing of mode {op.mode} for {op.format}")
    name, strides, offset = w.source(op.x)
    body, rank = Body(), len(op.sizes)
    kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
    tables = [_taps(op, i) for i in range(rank)]
    for i, (indices, weights) in enumerate(tables):
        for t in range(indices.shape[1]):
            body.lines.append(f"const int32_t a{i}_{t} = {w.constants.array(indices[:, t])}[i{2 + i}];")
            table = f"{w.constants.array(weights[:, t])}[i{2 + i}]"
            value = f"@from_half({table})" if kind == "half" else table
            body.lines.append(f"const {Scalar('', kind).ctype} w{i}_{t} = {value};")
    outer = [(f"i{a}", strides[a]) for a in range(2)]

    def blended(axis: int, chosen: list[tuple[str, int]]) -> Scalar:
        if axis < 0:
            return codes.load(body, op.format, f"{name}[{affine([*outer, *chosen], offset)}]", w.constants)
        total: Scalar | None = None
        for t in range(tables[axis][0].shape[1]):
            one = blended(axis - 1, [*chosen, (f"a{axis}_{t}", strides[2 + axis])])
            part = body.let_number(f"{one.code} * w{axis}_{t}", kind)
            total = part if total is None else body.let_number(f"{total.code} + {part.code}", kind)
        assert total is not None
        return total

    return w.over_axes(w.epilogue(body, blended(rank - 1, [])))


def _taps(op: Resize, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights [outputs, taps] along spatial axis `i`."""
    n, position = op.x.shape[2 + i], _coordinates(op, i)
    if op.mode == "cubic":
        index, weight = taps("cubic", position, n, cubic_a=op.cubic_a, exclude_outside=op.exclude_outside)
        return index, weight.astype(op.format.dtype)
    position = np.clip(position, 0, n - 1)
    low = np.floor(position).astype(np.int64)
    weight = (position - low).astype(op.format.dtype)
    return np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack([1 - weight, weight], 1)


def _nearest(w: Writer, op: Resize) -> list[str]:
    name, strides, offset = w.source(op.x)
    body = Body()
    terms = [("i0", strides[0]), ("i1", strides[1])]
    for i in range(len(op.sizes)):
        index = nearest_indices(_coordinates(op, i), op.nearest, op.x.shape[2 + i])
        body.lines.append(f"const int32_t q{i} = {w.constants.array(index)}[i{2 + i}];")
        terms.append((f"q{i}", strides[2 + i]))
    element = f"{name}[{affine(terms, offset)}]"
    return w.over_axes(w.epilogue(body, codes.load(body, op.format, element, w.constants)))
