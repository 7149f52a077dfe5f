"""Ops that copy values to other places in plain C, where a view of the operand does not do."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c.loops import affine, nest
from edgec.backends.c.scalar import FLOATS, Body, integer, number
from edgec.backends.c.view import dense
from edgec.backends.c.writer import Writer
from edgec.formats import FormatError
from edgec.ops import Concat, Gather, Op, Pad, Reshape
from edgec.ops.shape import fill_code


def concat(w: Writer, op: Concat) -> list[str]:
    """One copy an operand. The codes are those of the operands: all have one format."""
    axis = op.axis % len(op.shape)
    lines, at = [], w.result.offset
    for x in op.xs:
        name, strides, offset = w.source(x)
        order = w.result.order
        loops = nest(x.shape, [strides, w.result.strides], order)
        if 0 not in x.shape:
            lines += loops.copy("y", at, name, offset, op.format.dtype.itemsize)
        at += x.shape[axis] * w.result.strides[axis]
    return lines


def reshape(w: Writer, op: Reshape) -> list[str]:
    """The elements in the order of the operand."""
    name, strides, offset = w.source(op.x)
    loops = nest(op.x.shape, [strides, dense(op.x.shape)])
    if not w.result.row_major:
        raise FormatError("a reshape into another layout")
    return loops.copy("y", w.result.offset, name, offset, op.format.dtype.itemsize)


def filled_first(op: Pad, result: Op) -> bool:
    """Whether a constant is written everywhere, and then what it surrounds."""
    return op.mode == "constant" and result is op and min(op.pads) >= 0


def pad(w: Writer, op: Pad) -> list[str]:
    name, strides, offset = w.source(op.x)
    rank = len(op.shape)
    before, body, outside = op.pads[:rank], Body(), []
    if filled_first(op, w.step.result):
        fill = _literal(op, fill_code(op.format, op.value))
        at = w.result.offset + sum(n * s for n, s in zip(before, w.result.strides, strict=True))
        everywhere = nest(op.shape, [w.result.strides], w.result.order)
        inside = nest(op.x.shape, [strides, w.result.strides], w.result.order)
        lines = everywhere.write([f"y[{everywhere.index(0, w.result.offset)}] = {fill};"])
        return lines + (inside.copy("y", at, name, offset, op.format.dtype.itemsize) if op.x.tensor.size else [])
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
        literal = _literal(op, fill_code(op.format, op.value))
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
    name, strides, offset = w.source(op.x)
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
