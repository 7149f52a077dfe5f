"""Ops on whole rows in plain C: reductions, the index of the largest, softmax, layer normalisation."""

from __future__ import annotations

import math

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.element import centred
from edgec.backends.c.loops import affine
from edgec.backends.c.scalar import FLOATS, NUMBERS, Body, Kind, Scalar, integer, integer_type, number
from edgec.backends.c.writer import Writer
from edgec.formats import F32, FormatError
from edgec.ops import ArgMax, Normalize, Op, Reduce, Softmax

LONG_SUM = 4096
"""Terms from which on floats are summed in double precision."""


def _kept(op: Reduce | ArgMax, axes: tuple[int, ...]) -> dict[int, str]:
    """The loop variable of every axis of the operand: those of the result, r0, r1, ... for the axes that go."""
    names, k = {}, 0
    for a in range(len(op.x.shape)):
        if a in axes:
            names[a] = f"r{a}"
            k += op.keepdims
        else:
            names[a] = f"i{k}"
            k += 1
    return names


def _load(w: Writer, op: Op, x: Op, names: dict[int, str], body: Body) -> Scalar:
    view = w.views[x]
    index = affine([(names[a], s) for a, s in enumerate(view.strides) if view.shape[a] > 1], view.offset)
    return codes.load(body, x.format, w.element_of(x, index), w.constants)


def _loops(op: Op, axes: tuple[int, ...], shape: tuple[int, ...], inner: list[str]) -> list[str]:
    lines = []
    for depth, a in enumerate(axes):
        lines.append("  " * depth + f"for (int32_t r{a} = 0; r{a} < {shape[a]}; r{a}++) {{")
    lines += ["  " * len(axes) + line for line in inner]
    return lines + ["  " * d + "}" for d in reversed(range(len(axes)))]


def reduce(w: Writer, op: Reduce) -> list[str]:
    shape = op.x.shape
    axes = tuple(sorted(a % len(shape) for a in op.axes))
    names = _kept(op, axes)
    terms = math.prod(shape[a] for a in axes)
    inner, body = Body("v"), Body()
    value = _load(w, op, op.x, names, inner)
    if value.kind == "int":
        return _integer_reduce(w, op, axes, value, inner, body, terms)
    kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
    wide: Kind = "double" if kind == "double" or terms > LONG_SUM else "float"
    f = "" if wide == "double" else "f"
    x = inner.let_number(f"({NUMBERS[wide]}){value.code}", wide).code
    start, add, finish = {
        "sum": ("0", f"acc += {x};", "acc"),
        "mean": ("0", f"acc += {x};", f"acc / {number(float(terms), wide)}"),
        "max": ("-INFINITY", f"if ({x} > acc || {x} != {x}) {{ acc = {x}; }}", "acc"),
        "min": ("INFINITY", f"if ({x} < acc || {x} != {x}) {{ acc = {x}; }}", "acc"),
        "prod": ("1", f"acc *= {x};", "acc"),
        "l1": ("0", f"acc += fabs{f}({x});", "acc"),
        "l2": ("0", f"acc += {x} * {x};", f"sqrt{f}(acc)"),
        "sum_square": ("0", f"acc += {x} * {x};", "acc"),
        "log_sum": ("0", f"acc += {x};", f"log{f}(acc)"),
        "log_sum_exp": ("0", f"acc += exp{f}({x} - top);", f"log{f}(acc) + top"),
    }[op.function]
    if op.function == "log_sum_exp":
        body.lines.append(f"{NUMBERS[wide]} top = -INFINITY;")
        body.lines += _loops(op, axes, shape, [*inner.lines, f"if ({x} > top) {{ top = {x}; }}"])
    body.lines.append(f"{NUMBERS[wide]} acc = {start};")
    body.lines += _loops(op, axes, shape, [*inner.lines, add])
    done = body.let_number(f"({NUMBERS[kind]})({finish})", kind)
    return w.over_axes(w.epilogue(body, done))


def _integer_reduce(
    w: Writer, op: Reduce, axes: tuple[int, ...], value: Scalar, inner: Body, body: Body, terms: int
) -> list[str]:
    if op.function == "sum":
        if op.x.format.axis is not None and op.x.format.zero_point_array.any():
            raise FormatError("sums of a tensor with zero points by channel")
        value = centred(inner, value, op.x, lambda values, axis: c.constant(0))
        lo, hi = terms * min(value.lo, 0), terms * max(value.hi, 0)
        start, add = "0", f"acc += {value.code};"
    elif op.function in ("max", "min"):
        lo, hi = value.lo, value.hi
        start = integer(lo if op.function == "max" else hi)
        add = f"if ({value.code} {'>' if op.function == 'max' else '<'} acc) {{ acc = {value.code}; }}"
    else:
        raise FormatError(f"{op.function} of integers")
    body.lines.append(f"{integer_type(lo, hi)} acc = {start};")
    body.lines += _loops(op, axes, op.x.shape, [*inner.lines, add])
    return w.over_axes(w.epilogue(body, Scalar("acc", "int", lo, hi)))


def arg_max(w: Writer, op: ArgMax) -> list[str]:
    axis = op.axis % len(op.x.shape)
    names = _kept(op, (axis,))
    inner, body = Body("v"), Body()
    value = _load(w, op, op.x, names, inner)
    better = "<" if op.smallest else ">"
    better += "=" if op.select_last else ""
    body.lines.append("int32_t at = 0;")
    body.lines.append(f"{value.ctype} best = 0;")
    nan = f" || ({value.code} != {value.code} && best == best)" if value.kind != "int" else ""
    test = f"r{axis} == 0 || {value.code} {better} best{nan}"
    body.lines += _loops(op, (axis,), op.x.shape, [*inner.lines, f"if ({test}) {{", f"  at = r{axis};",
                                                    f"  best = {value.code};", "}"])  # fmt: skip
    return w.over_axes(w.epilogue(body, Scalar("at", "int", 0, max(op.x.shape[axis] - 1, 0))))


def _row_marks(w: Writer, op: Softmax | Normalize, axes: tuple[int, ...]) -> tuple[list[int], dict[int, str]]:
    """Outer axes, and names of the axes of the operand: i for outer ones, r inside a row."""
    outer = [a for a in range(len(op.shape)) if a not in axes]
    return outer, {a: (f"r{a}" if a in axes else f"i{a}") for a in range(len(op.shape))}


def over_rows(w: Writer, outer: list[int], axes: tuple[int, ...], first: list[str], last: list[str]) -> list[str]:
    """`first` once a row, then `last` on every element of it."""
    lines = []
    for depth, a in enumerate(outer):
        lines.append("  " * depth + f"for (int32_t i{a} = 0; i{a} < {w.shape[a]}; i{a}++) {{")
    inside = [*w.by_axes(first, 0)]
    for depth, a in enumerate(axes):
        inside.append("  " * depth + f"for (int32_t i{a} = 0; i{a} < {w.shape[a]}; i{a}++) {{")
    inside += ["  " * len(axes) + line for line in w.by_axes(last, 0)]
    inside += ["  " * d + "}" for d in reversed(range(len(axes)))]
    lines += ["  " * len(outer) + line for line in inside]
    lines += ["  " * d + "}" for d in reversed(range(len(outer)))]
    return ["  " + line for line in lines]


def softmax(w: Writer, op: Softmax) -> list[str]:
    """In double precision, rounded once, as the interpreter does, but where single precision does; binary16 rounds
    every step."""
    if op in w.single and op.format == F32 and not op.log and op.shape[op.axis] <= LONG_SUM and not w.step.chain:
        return _softmax_single(w, op)
    axis = op.axis % len(op.shape)
    outer, names = _row_marks(w, op, (axis,))
    kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
    half = kind == "half"
    t, f = ("float", "f") if half else ("double", "")

    def rounded(text: str) -> str:
        return f"@round_half({text})" if half else text

    def shifted(x: str) -> str:
        return rounded(f"({t}){x} - top")

    scan = Body("v")
    x = _load(w, op, op.x, names, scan).code
    first = [f"{t} top = -INFINITY;"]
    first += _loops(op, (axis,), op.shape, [*scan.lines, f"if (({t}){x} > top) {{ top = ({t}){x}; }}"])
    first.append(f"{t} sum = 0;")
    first += _loops(op, (axis,), op.shape, [*scan.lines, f"sum += {rounded(f'exp{f}({shifted(x)})')};"])
    first += ["sum = @round_half(sum);"] if half else []
    body = Body()
    value = _load(w, op, op.x, {**names, axis: f"i{axis}"}, body).code
    own = shifted(value)
    text = f"{own} - {rounded(f'log{f}(sum)')}" if op.log else f"{rounded(f'exp{f}({own})')} / sum"
    return over_rows(w, outer, (axis,), first, w.epilogue(body, body.let_number(f"({NUMBERS[kind]})({text})", kind)))


def _softmax_single(w: Writer, op: Softmax) -> list[str]:
    """Exponentials where the results go, then their sum, then the quotients: loops that compilers make vectors of."""
    axis = op.axis % len(op.shape)
    outer, names = _row_marks(w, op, (axis,))
    scan = Body("v")
    x = _load(w, op, op.x, names, scan).code
    y = f"y[{affine([(names[a], s) for a, s in enumerate(w.result.strides) if op.shape[a] > 1], w.result.offset)}]"
    lines = ["float top = -INFINITY, sum = 0;"]
    lines += _loops(op, (axis,), op.shape, [*scan.lines, f"top = {x} > top ? {x} : top;"])
    lines += _loops(op, (axis,), op.shape, [*scan.lines, f"{y} = @exp_f32({x} - top);"])
    lines += _loops(op, (axis,), op.shape, [f"sum += {y};"])
    lines.append("const float inverse = 1.0f / sum;")
    lines += _loops(op, (axis,), op.shape, [f"{y} *= inverse;"])
    for a in reversed(outer):
        lines = [f"for (int32_t i{a} = 0; i{a} < {op.shape[a]}; i{a}++) {{", *("  " + line for line in lines), "}"]
    return ["  " + line for line in lines]


def normalize(w: Writer, op: Normalize) -> list[str]:
    rank = len(op.shape)
    axes = tuple(range(op.axis % rank, rank))
    outer, names = _row_marks(w, op, axes)
    terms = math.prod(op.shape[a] for a in axes)
    kind: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
    wide: Kind = "double" if kind == "double" or terms > LONG_SUM else "float"
    t, f = NUMBERS[wide], "" if wide == "double" else "f"
    count = number(float(terms), wide)
    scan = Body("v")
    x = _load(w, op, op.x, names, scan).code
    first = [f"{t} mean = 0;"]
    first += _loops(op, axes, op.shape, [*scan.lines, f"mean += ({t}){x};"])
    first += [f"mean = mean / {count};", f"{t} var = 0;"]
    first += _loops(op, axes, op.shape, [*scan.lines, f"var += (({t}){x} - mean) * (({t}){x} - mean);"])
    epsilon = number(float(op.format.dtype.type(op.epsilon)), wide)
    first.append(f"const {t} deviation = sqrt{f}(var / {count} + {epsilon});")
    body = Body()
    value = _load(w, op, op.x, {a: f"i{a}" for a in range(rank)}, body).code
    y = body.let_number(f"({NUMBERS[kind]})((({t}){value} - mean) / deviation)", kind)
    for sign, parameter in (("*", op.scale), ("+", op.bias)):
        if parameter is not None:
            y = body.let_number(f"{y.code} {sign} {w.read(body, parameter).code}", kind)
    return over_rows(w, outer, axes, first, w.epilogue(body, y))
