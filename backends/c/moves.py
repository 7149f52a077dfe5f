"""Ops that copy values to other places in plain C, where a view of the operand does not do."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c.loops import affine, nest
from edgec.backends.c.scalar import FLOATS, Body, Kind, Scalar, integer, number
from edgec.backends.c.view import dense
from edgec.backends.c.writer import Writer
from edgec.formats import FormatError
from edgec.interp.resample import positions
from edgec.ops import Concat, Constant, Gather, Op, Pad, Reshape, Resize
from edgec.ops.shape import fill_code


def _source(w: Writer, op: Op, x: Op) -> tuple[str, tuple[int, ...], int]:
    """Name, strides and offset of an operand, constants included."""
    if isinstance(x, Constant):
        return w.constants.array(x.data, as_is=True), dense(x.shape), 0
    view = w.views[x]
    return w.arguments[view.buffer], view.strides, view.offset


def concat(w: Writer, op: Concat) -> list[str]:
    """One copy an operand. The codes are those of the operands: all have one format."""
    axis = op.axis % len(op.shape)
    lines, at = [], w.result.offset
    for x in op.xs:
        name, strides, offset = _source(w, op, x)
        order = w.result.order
        loops = nest(x.shape, [strides, w.result.strides], order)
        if 0 not in x.shape:
            lines += loops.write([f"y[{loops.index(1, at)}] = {name}[{loops.index(0, offset)}];"])
        at += x.shape[axis] * w.result.strides[axis]
    return lines


def reshape(w: Writer, op: Reshape) -> list[str]:
    """The elements in the order of the operand."""
    name, strides, offset = _source(w, op, op.x)
    loops = nest(op.x.shape, [strides, dense(op.x.shape)])
    if not w.result.row_major:
        raise FormatError("a reshape into another layout")
    return loops.write([f"y[{loops.index(1, w.result.offset)}] = {name}[{loops.index(0, offset)}];"])


def _stored(w: Writer, op: Op, element: str) -> list[str]:
    """Statements that take a code over, through the elementwise ops behind."""
    body = Body()
    value = codes.load(body, op.format, element, w.constants)
    return w.epilogue(body, value)


def pad(w: Writer, op: Pad) -> list[str]:
    name, strides, offset = _source(w, op, op.x)
    rank = len(op.shape)
    before, body, outside = op.pads[:rank], Body(), []
    terms = []
    for a in range(rank):
        n, position = op.x.shape[a], f"q{a}"
        if op.shape[a] == 1 and before[a] == 0 and n == 1:
            continue
        body.lines.append(
            f"{'const ' if op.mode == 'constant' else ''}int32_t {position} = {affine([(f'i{a}', 1)], -before[a])};"
        )
        low, high = before[a] > 0, op.shape[a] - 1 - before[a] >= n
        if op.mode == "constant":
            outside += [f"{position} < 0"] * low + [f"{position} >= {n}"] * high
        elif op.mode == "edge":
            body.lines += [f"if ({position} < 0) {{ {position} = 0; }}"] * low
            body.lines += [f"if ({position} >= {n}) {{ {position} = {n - 1}; }}"] * high
        elif op.mode == "reflect":
            if max(before[a], op.shape[a] - n - before[a]) >= n and n > 1:
                raise FormatError("reflections of reflections")
            body.lines += [f"if ({position} < 0) {{ {position} = -{position}; }}"] * low
            body.lines += [f"if ({position} >= {n}) {{ {position} = {2 * (n - 1)} - {position}; }}"] * high
        else:
            raise FormatError(f"padding of mode {op.mode}")
        terms.append((position, strides[a]))
    element = f"{name}[{affine(terms, offset)}]"
    if outside:
        fill = fill_code(op.format, op.value)
        literal = _literal(op, fill)
        body.lines.append(f"const {codes.ctype(op.format)} code = ({' || '.join(outside)}) ? {literal} : {element};")
        element = "code"
    value = codes.load(body, op.format, element, w.constants)
    return w.over_axes(w.epilogue(body, value))


def _literal(op: Op, code: np.generic) -> str:
    """A code as C, as it is stored."""
    if op.format.dtype == np.float16:
        return str(int(np.array(code).view(np.uint16)))
    if op.format.is_float:
        return number(float(code), FLOATS[op.format.dtype.name])  # type: ignore[arg-type]
    return integer(int(code))


def gather(w: Writer, op: Gather) -> list[str]:
    """Constant indices; -1 gives zero."""
    name, strides, offset = _source(w, op, op.x)
    axis = op.axis % len(op.x.shape)
    indices = np.array(op.indices, np.int64)
    body = Body()
    table = w.constants.array(indices)
    body.lines.append(f"const int32_t g = {table}[i{axis}];")
    terms = [("g" if a == axis else f"i{a}", s) for a, s in enumerate(strides)]
    element = f"{name}[{affine(terms, offset)}]"
    if (indices < 0).any():
        fill = _literal(op, fill_code(op.format, 0.0))
        body.lines.append(f"const {codes.ctype(op.format)} code = g < 0 ? {fill} : {element};")
        element = "code"
    return w.over_axes(w.epilogue(body, codes.load(body, op.format, element, w.constants)))


NEAREST = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda p: np.ceil(p - 0.5),
    "round_prefer_ceil": lambda p: np.floor(p + 0.5),
}


def resize(w: Writer, op: Resize) -> list[str]:
    """Tables of positions and weights, one an axis."""
    name, strides, offset = _source(w, op, op.x)
    body, rank = Body(), len(op.sizes)
    terms = [("i0", strides[0]), ("i1", strides[1])]
    if op.mode == "nearest":
        for i in range(rank):
            lies = positions(op.coordinates, op.x.shape[2 + i], op.sizes[i], op.scales[i])
            position = np.clip(NEAREST[op.nearest](lies), 0, op.x.shape[2 + i] - 1)
            table = w.constants.array(position.astype(np.int64))
            body.lines.append(f"const int32_t q{i} = {table}[i{2 + i}];")
            terms.append((f"q{i}", strides[2 + i]))
        element = f"{name}[{affine(terms, offset)}]"
        return w.over_axes(w.epilogue(body, codes.load(body, op.format, element, w.constants)))
    if op.mode != "linear" or not op.format.is_float:
        raise FormatError(f"resizing of mode {op.mode} for {op.format}")
    kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
    for i in range(rank):
        n = op.x.shape[2 + i]
        position = np.clip(positions(op.coordinates, n, op.sizes[i], op.scales[i]), 0, n - 1)
        low = np.floor(position).astype(np.int64)
        weight = (position - low).astype(op.format.dtype)
        for label, values in (("a", low), ("b", np.minimum(low + 1, n - 1))):
            body.lines.append(f"const int32_t {label}{i} = {w.constants.array(values)}[i{2 + i}];")
        table = f"{w.constants.array(weight)}[i{2 + i}]"
        value = f"@from_half({table})" if kind == "half" else table
        body.lines.append(f"const {Scalar('', kind).ctype} w{i} = {value};")

    def blended(axis: int, chosen: list[tuple[str, int]]) -> Scalar:
        if axis < 0:
            return codes.load(body, op.format, f"{name}[{affine([*terms, *chosen], offset)}]", w.constants)
        one = blended(axis - 1, [*chosen, (f"a{axis}", strides[2 + axis])])
        two = blended(axis - 1, [*chosen, (f"b{axis}", strides[2 + axis])])
        left = body.let_number(f"{one.code} * (1 - w{axis})", kind)
        right = body.let_number(f"{two.code} * w{axis}", kind)
        return body.let_number(f"{left.code} + {right.code}", kind)

    return w.over_axes(w.epilogue(body, blended(rank - 1, [])))
