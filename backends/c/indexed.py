"""Computed indices, ordering and running totals in plain C. No index reaches outside a tensor, whatever its value."""

from __future__ import annotations

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.loops import affine, nest
from edgec.backends.c.scalar import FLOATS, NUMBERS, Body, Kind, Scalar, integer_type
from edgec.backends.c.writer import Writer
from edgec.formats import FormatError
from edgec.ops import Cumulate, Op, Scatter, Take, TopK, centered_range


def _index(body: Body, w: Writer, op: Op, element: str, n: int) -> str:
    """The name of an index with those below zero counted from the end, int64."""
    value = codes.load(body, op.format, element, w.constants)
    name = body.name()
    body.lines.append(f"const int64_t {name} = {value.code} < 0 ? (int64_t){value.code} + {n} : {value.code};")
    return name


def take(w: Writer, op: Take) -> list[str]:
    axis, rank = op.axis % len(op.x.shape), len(op.indices.shape)
    n = op.x.shape[axis]
    x, strides, offset = w.source(op.x)
    indices, index_strides, index_offset = w.source(op.indices)
    body = Body()
    where = affine([(f"i{axis + a}", s) for a, s in enumerate(index_strides) if op.indices.shape[a] > 1], index_offset)
    index = _index(body, w, op.indices, f"{indices}[{where}]", n)
    body.lines.append(f"const int32_t q = {index} < 0 ? 0 : {index} > {n - 1} ? {n - 1} : (int32_t){index};")
    terms = [(f"i{a}", s) for a, s in enumerate(strides[:axis])]
    terms += [("q", strides[axis])]
    terms += [(f"i{a + rank}", s) for a, s in enumerate(strides[axis + 1 :], axis)]
    terms = [(name, s) for name, s in terms if s]
    if not strides[axis]:  # all elements are one
        body.lines.append("(void)q;")
    element = f"{x}[{affine(terms, offset)}]"
    return w.over_axes(w.epilogue(body, codes.load(body, op.format, element, w.constants)))


def scatter(w: Writer, op: Scatter) -> list[str]:
    """A copy of x, then the updates one after the other."""
    n, m = op.x.shape[0], op.indices.shape[0]
    x, strides, offset = w.source(op.x)
    loops = nest(op.shape, [strides, w.result.strides], w.result.order)
    lines = loops.write([f"y[{loops.index(1, w.result.offset)}] = {x}[{loops.index(0, offset)}];"])
    if 0 in op.updates.shape:
        return lines
    indices, index_strides, index_offset = w.source(op.indices)
    updates, update_strides, update_offset = w.source(op.updates)
    body = Body()
    where = affine([("u", index_strides[0])] if m > 1 else [], index_offset)
    index = _index(body, w, op.indices, f"{indices}[{where}]", n)
    body.lines.append(f"if ({index} < 0 || {index} >= {n}) {{ continue; }}")
    names = [f"i{a}" for a in range(1, len(op.shape))]
    to = affine([*zip(names, w.result.strides[1:], strict=True)], w.result.offset)
    source = affine([("u", update_strides[0]), *zip(names, update_strides[1:], strict=True)], update_offset)
    inner = Body("v")
    inner.lines.append(f"{codes.ctype(op.format)} *to = y + ({to}) + {index} * {w.result.strides[0]};")
    if op.reduction == "none":
        inner.lines.append(f"*to = {updates}[{source}];")
    else:
        old = codes.load(inner, op.format, "*to", w.constants)
        new = codes.load(inner, op.format, f"{updates}[{source}]", w.constants)
        inner.lines.append(f"*to = {codes.store(op.format, _combined(inner, op, old, new))};")
    for depth, name in enumerate(names, 1):
        body.lines.append("  " * (depth - 1) + f"for (int32_t {name} = 0; {name} < {op.shape[depth]}; {name}++) {{")
    body.lines += ["  " * len(names) + line for line in inner.lines]
    body.lines += ["  " * d + "}" for d in reversed(range(len(names)))]
    return [*lines, f"  for (int32_t u = 0; u < {m}; u++) {{", *("    " + line for line in body.lines), "  }"]


def _combined(body: Body, op: Scatter, old: Scalar, new: Scalar) -> Scalar:
    a, b = old.code, new.code
    if op.reduction in ("add", "mul"):
        if old.kind != "int":
            return body.let_number(f"{a} {'+' if op.reduction == 'add' else '*'} {b}", old.kind)
        return c.wrapped(body, "+", old, new, *op.format.level_range)
    better = ">" if op.reduction == "max" else "<"
    if old.kind != "int":
        return body.let_number(f"({a} {better}= {b} || {a} != {a}) ? {a} : {b}", old.kind)
    return body.let(f"{a} {better} {b} ? {a} : {b}", min(old.lo, new.lo), max(old.hi, new.hi))


def top_k(w: Writer, op: TopK) -> list[str]:
    """Insertion into the row of the k best indices; of equals the first stays in front, NaN is behind all numbers."""
    axis = op.axis % len(op.x.shape)
    n = op.x.shape[axis]
    x, strides, offset = w.source(op.x)
    at = w.views[w.step.results[1]]
    outer = [a for a in range(len(op.x.shape)) if a != axis]
    base = affine([(f"i{a}", strides[a]) for a in outer if op.x.shape[a] > 1], offset)
    kind = codes.ctype(at.buffer.format)

    def kept(place: str) -> str:
        terms = [(f"i{a}", at.strides[a]) for a in outer if op.x.shape[a] > 1]
        return f"y1[{affine([*terms, (place, at.strides[axis])], at.offset)}]"

    body = Body("v")
    new = codes.load(body, op.x.format, f"{x}[row + {affine([('r', strides[axis])])}]", w.constants)
    inner = Body("o")
    place = f"{x}[row + (int32_t){kept('(j - 1)')}{f' * {strides[axis]}' if strides[axis] != 1 else ''}]"
    old = codes.load(inner, op.x.format, place, w.constants)
    better = f"{new.code} {'>' if op.largest else '<'} {old.code}"
    if new.kind != "int":
        better += f" || ({old.code} != {old.code} && {new.code} == {new.code})"
    result = w.result
    terms = [(f"i{a}", result.strides[a]) for a in outer if op.x.shape[a] > 1]
    value = f"y[{affine([*terms, ('j', result.strides[axis])], result.offset)}]"
    taken = f"{x}[row + (int32_t){kept('j')}{f' * {strides[axis]}' if strides[axis] != 1 else ''}]"
    lines = [
        f"const int32_t row = {base};",
        "int32_t count = 0;",
        f"for (int32_t r = 0; r < {n}; r++) {{",
        *("  " + line for line in body.lines),
        "  int32_t j = count;",
        "  while (j > 0) {",
        *("    " + line for line in inner.lines),
        f"    if (!({better})) {{ break; }}",
        f"    if (j < {op.k}) {{ {kept('j')} = {kept('(j - 1)')}; }}",
        "    j--;",
        "  }",
        f"  if (j < {op.k}) {{ {kept('j')} = ({kind})r; }}",
        f"  if (count < {op.k}) {{ count++; }}",
        "}",
        f"for (int32_t j = 0; j < {op.k}; j++) {{ {value} = {taken}; }}",
    ]
    for a in reversed(outer):
        lines = [f"for (int32_t i{a} = 0; i{a} < {op.x.shape[a]}; i{a}++) {{", *("  " + t for t in lines), "}"]
    return ["  " + line for line in lines]


def cumulate(w: Writer, op: Cumulate) -> list[str]:
    axis = op.axis % len(op.shape)
    n, body = op.shape[axis], Body()
    x, strides, offset = w.source(op.x)
    element = f"{x}[{affine([(f'i{a}', s) for a, s in enumerate(strides) if op.shape[a] > 1], offset)}]"
    value = codes.load(body, op.x.format, element, w.constants)
    sign, start = ("+", "0") if op.function == "sum" else ("*", "1")
    if value.kind == "int":
        kind, total = _total(op)
        add = f"acc = ({kind})(acc {sign} ({kind}){value.code});"
    else:
        number: Kind = FLOATS[op.format.dtype.name]  # type: ignore[assignment]
        kind, total = NUMBERS[number], Scalar("acc", number)
        add = f"acc = @round_half(acc {sign} {value.code});" if number == "half" else f"acc {sign}= {value.code};"
    finish = Body("f")
    if value.kind == "int":
        lo, hi = op.format.level_range
        if kind == "uint64_t":
            total = c.wrapped(finish, "+", total, c.constant(0), lo, hi)
        else:
            total = c.overflow(finish, total, lo, hi, op.out.overflow if op.out is not None else "saturate")
    last = w.epilogue(finish, total)
    inner = [*body.lines, *last, add] if op.exclusive else [*body.lines, add, *last]
    position = f"{n - 1} - s" if op.reverse else "s"
    unused = [f"(void)i{axis};"] if n == 1 else []
    lines = [f"{kind} acc = {start};", f"for (int32_t s = 0; s < {n}; s++) {{"]
    lines += ["  " + line for line in [f"const int32_t i{axis} = {position};", *unused, *inner]]
    lines = w.by_axes([*lines, "}"], 0)
    for a in reversed([a for a in range(len(op.shape)) if a != axis]):
        lines = [f"for (int32_t i{a} = 0; i{a} < {op.shape[a]}; i{a}++) {{", *("  " + t for t in lines), "}"]
    return ["  " + line for line in lines]


def _total(op: Cumulate) -> tuple[str, Scalar]:
    """The type of the running total of integers and its interval; unsigned where it wraps."""
    lo, hi = centered_range(op.x.format)
    n = max(op.shape[op.axis % len(op.shape)], 1)
    if op.function == "sum":
        low, high = n * min(lo, 0), n * max(hi, 0)
    else:
        high = max(-lo, hi, 1) ** n
        low = -high if lo < 0 else 0
    try:
        return integer_type(low, high), Scalar("acc", "int", low, high)
    except FormatError:
        low, high = op.format.level_range
        return "uint64_t", Scalar("acc", "int", low, high)
