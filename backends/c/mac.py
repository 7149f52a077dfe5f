"""Convolutions and matrix products in plain C: the loops of the definition, sums in 32 bits where these suffice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.element import requantize_dyadic
from edgec.backends.c.loops import affine
from edgec.backends.c.mac_weights import constant_weights
from edgec.backends.c.scalar import FLOATS, NUMBERS, Body, Scalar, integer, integer_type
from edgec.backends.c.view import dense
from edgec.backends.c.writer import Writer
from edgec.formats import FormatError
from edgec.ops import Constant, Conv, ConvTranspose, Dense, MatMul, Op, centered_range
from edgec.passes._accumulator import level_interval


def sum_type(op: Dense | Conv, weights: np.ndarray | None) -> str:
    """The type of the running sum: no partial sum may overflow."""
    reach = max(map(abs, centered_range(op.x.format)))
    if weights is None:
        bound = np.array([reach * max(map(abs, centered_range(op.w.format))) * op.terms], object)
    else:
        bound = np.abs(weights.reshape(len(weights), -1)).sum(axis=1) * reach
    if op.product is not None:
        a, b = op.product.format.level_range
        bound = np.array([op.terms * max(abs(a), abs(b))])
    bias = _start_levels(op)
    if bias is not None:
        bound = bound + np.abs(bias)
    most = int(bound.max(initial=0))
    return integer_type(-most, most)


def _fractions(op: Dense | Conv) -> tuple[int | None, int | None]:
    """Fraction bits of the products and of the sum with the bias; None for units that are no powers of two."""
    x, w = op.x.format.frac, op.w.format.frac
    frac = x + w if x is not None and w is not None else None
    if op.product is not None:
        frac = op.product.format.frac
    bias = op.b.format.frac if op.b is not None else None
    if frac is None or op.b is None or bias is None:
        return frac, frac
    return frac, max(frac, bias)


def _start_levels(op: Dense | Conv) -> np.ndarray | None:
    """The bias in units of the products, where it has them: the sum starts with it."""
    if op.b is None:
        return None
    if not isinstance(op.b, Constant):
        raise FormatError("a bias of integers that is computed")
    frac, common = _fractions(op)
    if frac != common:
        return None
    levels = op.b.levels
    bias = op.b.format.frac
    return levels if frac is None or bias is None else levels << (frac - bias)


def mac(w: Writer, op: Dense | Conv) -> list[str]:
    """The body of a step whose anchor is a dense layer or a convolution."""
    weights = constant_weights(op)
    body = Body()
    is_float = op.format.is_float
    channel = len(op.shape) - 1 if isinstance(op, Dense) else 1
    if is_float:
        kind = FLOATS[op.format.dtype.name]
        sum_ctype = NUMBERS[kind]
        start = _float_bias(w, op, body, channel)
    else:
        sum_ctype = sum_type(op, weights)
        first = _start_levels(op)
        start = w.along(body, first, channel).code if first is not None else "0"
    body.lines.append(f"{sum_ctype} sum = {start};")
    body.lines += _dense_taps(w, op, weights) if isinstance(op, Dense) else _conv_taps(w, op, weights)
    if is_float:
        return _ordered(w, op, w.epilogue(body, body.let_number("sum", kind)))  # type: ignore[arg-type]
    return _ordered(w, op, w.epilogue(body, _finished(w, op, body, channel)))


def _float_bias(w: Writer, op: Dense | Conv, body: Body, channel: int) -> str:
    """What a sum of floats starts with."""
    if op.b is None:
        return "0"
    if isinstance(op.b, Constant):
        return w.along(body, op.b.data, channel).code
    view = w.views[op.b]
    element = w.element_of(op.b, w.at([view.strides[0] * (a == channel) for a in range(len(op.shape))], view.offset))
    return codes.load(body, op.b.format, element, w.constants).code


def _ordered(w: Writer, op: Dense | Conv, lines: list[str]) -> list[str]:
    return w.over_axes(lines, range(len(op.shape)) if isinstance(op, Dense) else None)


def _finished(w: Writer, op: Dense | Conv, body: Body, channel: int) -> Scalar:
    """The level of the op from its sum."""
    frac, common = _fractions(op)
    bare = op if op.product is None else None
    interval = level_interval(op.replace(acc=None, out=None, type=None)) if bare is not None else None
    if bare is not None and not isinstance(op.w, Constant):
        most = op.terms * max(abs(a * b) for a in centered_range(op.x.format) for b in centered_range(op.w.format))
        first = _start_levels(op)
        reach = most + (int(np.abs(first).max(initial=0)) if first is not None else 0)
        interval = np.array([-reach], object), np.array([reach], object)
    if interval is not None:
        lo, hi = int(interval[0].min()), int(interval[1].max())
        if (
            frac is not None and common != frac and isinstance(op.w, Constant)
        ):  # of the products alone, in their own unit
            alone = level_interval(op.replace(acc=None, out=None, b=None, type=None))
            lo, hi = int(alone[0].min()), int(alone[1].max())
    else:
        assert op.product is not None
        a, b = op.product.format.level_range
        lo, hi = op.terms * min(a, 0), op.terms * max(b, 0)
        first = _start_levels(op)
        if first is not None:
            lo, hi = lo + int(first.min()), hi + int(first.max())
    total = body.let("sum", lo, hi)
    if body.lines[-1].startswith("const int32_t"):
        body.lines[-1] = body.lines[-1].replace("= sum", "= (int32_t)sum")
    if op.b is not None and frac != common:
        assert frac is not None and common is not None and isinstance(op.b, Constant)
        bias = op.b.levels << (common - (op.b.format.frac or 0))
        total = c.multiply(body, total, c.constant(1 << (common - frac)))
        total = c.add(body, total, w.along(body, bias, channel))
        frac = common
    for quantizer in (op.acc, op.out):
        if quantizer is not None:
            assert frac is not None
            total = requantize_dyadic(body, total, frac, quantizer)
            frac = quantizer.format.frac
    return total


def _accumulate(w: Writer, op: Dense | Conv, x: str, weight: str, total: str = "sum") -> list[str]:
    """Statements that add one product to `total`; `weight` is a number or, of integers, its level."""
    body = Body("v")
    value = codes.load(body, op.x.format, x, w.constants)
    if value.kind != "int":
        factor = f"@from_half({weight})" if value.kind == "half" else weight
        return [*body.lines, f"{total} += {value.code} * {factor};"]
    value = c.subtract(body, value, c.constant(int(op.x.format.zero_point_array[0])))
    if isinstance(op.w, Constant):
        lo, hi = centered_range(op.w.format)
        factor_ = body.let(f"({integer_type(lo, hi)}){weight}", lo, hi)
    else:
        zero = op.w.format.zero_point_array
        if (zero != zero[0]).any():
            raise FormatError("computed weights with zero points by channel")
        factor_ = c.subtract(body, codes.load(body, op.w.format, weight, w.constants), c.constant(int(zero[0])))
    product = c.multiply(body, value, factor_)
    if op.product is not None:
        frac = (op.x.format.frac or 0) + (op.w.format.frac or 0)
        product = requantize_dyadic(body, product, frac, op.product)
    return [*body.lines, f"{total} += {product.code};"]


def _stored(w: Writer, weights: np.ndarray, index: str) -> str:
    """An element of constant weights."""
    book = w.step.codes
    if book is None:
        return f"{w.constants.array(weights)}[{index}]"
    return book.looked_up(w.constants.array(book.packed(weights), as_is=True), w.constants.array(book.table), index)


BLOCK = 32
"""Terms of a sum of floats that are added up by themselves, which keeps the error of long sums small."""


def _summed(op: Op, count: int, inner: Callable[[str], list[str]], name: str = "k") -> list[str]:
    """A loop over `count` terms; `inner` gives the statements that add one to a total."""
    deeper = ["  " + line for line in inner("sum" if count <= BLOCK or not op.format.is_float else "part")]
    if count <= BLOCK or not op.format.is_float:
        return [f"for (int32_t {name} = 0; {name} < {count}; {name}++) {{", *deeper, "}"]
    kind = NUMBERS[FLOATS[op.format.dtype.name]]  # type: ignore[index]
    last = (
        f"{name}_ + {BLOCK}" if count % BLOCK == 0 else f"({name}_ + {BLOCK} < {count} ? {name}_ + {BLOCK} : {count})"
    )
    return [
        f"for (int32_t {name}_ = 0; {name}_ < {count}; {name}_ += {BLOCK}) {{",
        f"  const int32_t end = {last};",
        f"  {kind} part = 0;",
        f"  for (int32_t {name} = {name}_; {name} < end; {name}++) {{",
        *("  " + line for line in deeper),
        "  }",
        "  sum += part;",
        "}",
    ]


def _dense_taps(w: Writer, op: Dense, weights: np.ndarray | None) -> list[str]:
    view = w.views[op.x]
    terms = op.w.shape[1]
    lead = w.at((*view.strides[:-1], 0), view.offset)
    index = f"{lead} + {affine([('k', view.strides[-1])])}"
    if weights is None:
        y = w.views[op.w]
        row = w.at((0,) * (len(op.shape) - 1) + (y.strides[0],), y.offset)
        weight = w.element_of(op.w, f"{row} + {affine([('k', y.strides[1])])}")
    else:
        weight = _stored(w, weights, f"{w.at((0,) * (len(op.shape) - 1) + (terms,))} + k")
    return _summed(op, terms, lambda total: _accumulate(w, op, w.element_of(op.x, index), weight, total))


def _conv_taps(w: Writer, op: Conv, weights: np.ndarray | None) -> list[str]:
    view = w.views[op.x]
    kernel, rank, per_group = op.w.shape[2:], len(op.w.shape) - 2, op.w.shape[1]
    outputs = op.w.shape[0] // op.groups
    lines: list[str] = []
    split = op.format.is_float and per_group == 1 and kernel[-1] > BLOCK
    terms = [("i0", view.strides[0])]
    tap = []
    depth = 0
    room = int(np.prod(kernel)) * per_group
    for a in range(rank):
        opened, position = window_axis(a, kernel[a], op.x.shape[2 + a], op.strides[a], op.pads[a],
                                       op.pads[a + rank], op.dilations[a], op.shape[2 + a])  # fmt: skip
        if split and a == rank - 1:
            opened[1:1] = [f"  if (k{a} % {BLOCK} == 0) {{", "    sum += part;", "    part = 0;", "  }"]
        lines += ["  " * depth + line for line in opened]
        depth += 1
        if not view.strides[2 + a]:  # an axis of one element, or a broadcast one
            lines.append("  " * depth + f"(void){position};")
        terms.append((position, view.strides[2 + a]))
        room //= kernel[a]
        tap.append((f"k{a}", room))
    group = "" if op.groups == 1 else (f"(i1 / {outputs})" if outputs > 1 else "i1")
    if op.groups > 1:
        terms.append((group, per_group * view.strides[1]))
    if per_group > 1:
        terms.append(("c", view.strides[1]))
        tap.append(("c", 1))
    row = affine([("i1", int(np.prod(op.w.shape[1:]))), *tap])
    if weights is None:
        y = w.views[op.w]
        place = [("i1", y.strides[0]), *[("c", y.strides[1])] * (per_group > 1)]
        place += [(f"k{a}", y.strides[2 + a]) for a in range(rank)]
        weight = w.element_of(op.w, affine(place, y.offset))
    else:
        weight = _stored(w, weights, row)
    x = w.element_of(op.x, affine(terms, view.offset))
    if per_group > 1:
        inner = _summed(op, per_group, lambda total: _accumulate(w, op, x, weight, total), "c")
    else:
        inner = _accumulate(w, op, x, weight, "part" if split else "sum")
    lines += ["  " * depth + line for line in inner]
    lines += ["  " * d + "}" for d in reversed(range(depth))]
    if split:
        lines = [f"{NUMBERS[FLOATS[op.format.dtype.name]]} part = 0;", *lines, "sum += part;"]  # type: ignore[index]
    return lines


def window_axis(
    a: int, taps: int, size: int, stride: int, before: int, after: int, dilation: int, results: int
) -> tuple[list[str], str]:
    """The loop over the taps of spatial axis `a`, left open, and the variable with the position in the input."""
    start = affine([(f"i{2 + a}", stride), (f"k{a}", dilation)], -before)
    lines = [f"for (int32_t k{a} = 0; k{a} < {taps}; k{a}++) {{", f"  const int32_t p{a} = {start};"]
    reach = (results - 1) * stride + (taps - 1) * dilation - before
    tests = [f"p{a} < 0"] * (before > 0) + [f"p{a} >= {size}"] * (reach >= size)
    if tests:
        lines.append(f"  if ({' || '.join(tests)}) {{ continue; }}")
    return lines, f"p{a}"


def matmul(w: Writer, op: MatMul) -> list[str]:
    """The product of two computed matrices."""
    body = Body()
    kind = FLOATS[op.format.dtype.name]
    x, y = _matrix(w, op, 0), _matrix(w, op, 1)
    body.lines.append(f"{NUMBERS[kind]} sum = 0;")
    product = " * ".join(f"@from_half({e})" if kind == "half" else e for e in (x, y))
    body.lines += _summed(op, op.x.shape[-1], lambda total: [f"{total} += {product};"])
    return w.over_axes(w.epilogue(body, body.let_number("sum", kind)), range(len(op.shape)))  # type: ignore[arg-type]


def _matrix(w: Writer, op: MatMul, which: int) -> str:
    """An element of an operand: batch axes broadcast, row or column of the result, k along the other."""
    operand = op.operands[which]
    if isinstance(operand, Constant):
        strides, offset, base = dense(operand.shape), 0, w.constants.array(operand.data)
    else:
        view = w.views[operand]
        strides, offset, base = view.strides, view.offset, w.arguments[view.buffer]
    along_k = strides[-1] if which == 0 else strides[-2]
    kept = (strides[-2], 0) if which == 0 else (0, strides[-1])
    shape = operand.shape[:-2]
    batch = [0 if n == 1 else s for n, s in zip(shape, strides[:-2], strict=True)]
    batch = [0] * (len(op.shape) - 2 - len(batch)) + batch
    index = w.at((*batch, *kept), offset)
    return f"{base}[{index} + {affine([('k', along_k)])}]"


def conv_transpose(w: Writer, op: ConvTranspose) -> list[str]:
    """Transposed convolution: every result gathers the inputs that reach it."""
    if not isinstance(op.w, Constant) or not (op.b is None or isinstance(op.b, Constant)):
        raise FormatError("weights that are computed")
    view, rank = w.views[op.x], len(op.shape) - 2
    per_group, channels = op.w.shape[1], op.w.shape[0] // op.groups
    weights = w.constants.array(np.moveaxis(op.w.data, 0, -1))  # [O / groups, taps..., C]
    body = Body()
    kind = FLOATS[op.format.dtype.name]
    start = w.along(body, op.b.data, 1).code if op.b is not None else "0"
    body.lines.append(f"{NUMBERS[kind]} sum = {start};")
    kernel = op.w.shape[2:]
    terms, tap, depth = [("i0", view.strides[0])], [], 0
    room = int(np.prod(kernel)) * op.w.shape[0]
    for a in range(rank):
        start_ = affine([(f"i{2 + a}", 1), (f"k{a}", -op.dilations[a])], op.pads[a])
        lines = [f"for (int32_t k{a} = 0; k{a} < {kernel[a]}; k{a}++) {{", f"  const int32_t u{a} = {start_};"]
        tests = [f"u{a} < 0", f"u{a} >= {(op.x.shape[2 + a] - 1) * op.strides[a] + 1}"]
        if op.strides[a] > 1:
            tests.append(f"u{a} % {op.strides[a]} != 0")
        lines.append(f"  if ({' || '.join(tests)}) {{ continue; }}")
        body.lines += ["  " * depth + line for line in lines]
        depth += 1
        terms.append((f"(u{a} / {op.strides[a]})" if op.strides[a] > 1 else f"u{a}", view.strides[2 + a]))
        room //= kernel[a]
        tap.append((f"k{a}", room))
    first = "0" if op.groups == 1 else f"(i1 / {per_group}) * {channels}"
    terms.append((f"({first} + c)" if op.groups > 1 else "c", view.strides[1]))
    tap.append((f"({first} + c)" if op.groups > 1 else "c", 1))
    output = "i1" if op.groups == 1 else f"(i1 % {per_group})"
    row = affine([(output, int(np.prod(kernel)) * op.w.shape[0]), *tap])
    x, weight = w.element_of(op.x, affine(terms, view.offset)), f"{weights}[{row}]"
    product = " * ".join(f"@from_half({e})" if kind == "half" else e for e in (x, weight))
    inner = [f"for (int32_t c = 0; c < {channels}; c++) {{", f"  sum += {product};", "}"]
    body.lines += ["  " * depth + line for line in inner]
    body.lines += ["  " * d + "}" for d in reversed(range(depth))]
    return w.over_axes(w.epilogue(body, body.let_number("sum", kind)))  # type: ignore[arg-type]


__all__ = ["conv_transpose", "integer", "mac", "matmul", "window_axis"]
