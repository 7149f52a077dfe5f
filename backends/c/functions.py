"""The named functions of one and of two operands as C statements on one element."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import scalar as c
from edgec.backends.c.scalar import NUMBERS, Body, Kind, Scalar, number
from edgec.backends.c.single import CALLS
from edgec.formats import Format, FormatError
from edgec.ops import Binary, Unary
from edgec.ops.elementwise import INTEGER_FUNCTIONS

UNARY = {
    "abs": "fabs{f}({x})",
    "neg": "-{x}",
    "exp": "exp({x})",
    "log": "log({x})",
    "sqrt": "sqrt{f}({x})",
    "reciprocal": "1 / {x}",
    "sigmoid": "{x} >= 0 ? 1 / (1 + {e}) : {e} / (1 + {e})",
    "tanh": "tanh({x})",
    "erf": "erf({x})",
    "softplus": "{p} + log1p({e})",
    "softsign": "{x} / (1 + fabs{f}({x}))",
    "elu": "{x} > 0 ? {x} : {a} * expm1({x})",
    "selu": "{b} * ({x} > 0 ? {x} : {a} * expm1({x}))",
    "celu": "{x} > 0 ? {x} : {a} * expm1({x} / {a})",
    "leaky_relu": "{x} >= 0 ? {x} : {a} * {x}",
    "thresholded_relu": "{x} > {a} ? {x} : 0",
    "gelu": "{x} * 0.5 * (1 + erf({x} / 0x1.6a09e667f3bcdp+0))",
    "gelu_tanh": "{x} * 0.5 * (1 + tanh(0x1.9884533d43651p-1 * ({x} + 0x1.6e4e26d4801f7p-5 * {x} * {x} * {x})))",
    "mish": "{x} * tanh({p} + log1p({e}))",
    "floor": "floor{f}({x})",
    "ceil": "ceil{f}({x})",
    "round": "rint{f}({x})",
    "sign": "{x} > 0 ? 1 : {x} < 0 ? -1 : {x}",
    "sin": "sin({x})",
    "cos": "cos({x})",
    "tan": "tan({x})",
    "asin": "asin({x})",
    "acos": "acos({x})",
    "atan": "atan({x})",
    "sinh": "sinh({x})",
    "cosh": "cosh({x})",
    "asinh": "asinh({x})",
    "acosh": "acosh({x})",
    "atanh": "atanh({x})",
}
"""x: the operand; e = exp(-|x|); p = max(x, 0); a, b: parameters; f: `f` where the precision is single."""
TRANSCENDENTAL = {
    "exp", "log", "sigmoid", "tanh", "erf", "softplus", "elu", "selu", "celu", "gelu", "gelu_tanh", "mish", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
}  # fmt: skip
"""Computed in double precision and rounded once, as the interpreter does, but for those of `single`."""


def unary(op: Unary, body: Body, x: Scalar) -> Scalar:
    """The function of `x`, rounded to the format of the op."""
    if op.function == "not":
        return body.let(f"1 - {x.code}", 0, 1)
    name = op.function
    if body.single and x.kind == "float" and name in CALLS:
        return body.let_number(CALLS[name].format(x=x.code), "float")
    wide: Kind = "double" if name in TRANSCENDENTAL else ("float" if x.kind == "half" else x.kind)
    f = "" if wide == "double" else "f"
    value = (
        x if wide == x.kind or (x.kind == "half" and wide == "float") else body.let_number(f"(double){x.code}", wide)
    )
    dtype = np.float64 if wide == "double" else np.float32
    a, b = (number(float(dtype(v)), wide) for v in (op.alpha, op.beta))
    if name in ("hard_sigmoid", "hard_swish"):
        if name == "hard_sigmoid":
            inner = body.let_number(f"{a} * {value.code}", wide)
            inner = body.let_number(f"{inner.code} + {b}", wide)
        else:
            inner = body.let_number(f"{value.code} / 6", wide)
            inner = body.let_number(f"{inner.code} + 0.5{f}", wide)
        inner = body.let_number(f"{inner.code} < 0 ? 0 : {inner.code} > 1 ? 1 : {inner.code}", wide)
        made = inner if name == "hard_sigmoid" else body.let_number(f"{value.code} * {inner.code}", wide)
    else:
        text, extra = UNARY[name], {}
        if "{e}" in text:
            extra["e"] = body.let_number(f"exp(-fabs({value.code}))", wide).code
        if "{p}" in text:
            extra["p"] = body.let_number(f"{value.code} > 0 ? {value.code} : 0", wide).code
        made = body.let_number(text.format(x=value.code, a=a, b=b, f=f, **extra), wide)
    return made if wide == x.kind else body.let_number(f"({NUMBERS[x.kind]}){made.code}", x.kind)


COMPARE = {"equal": "==", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
LOGIC = {"and": "({x} & {y})", "or": "({x} | {y})", "xor": "({x} ^ {y})"}


def binary(op: Binary, body: Body, x: Scalar, y: Scalar) -> Scalar:
    """The function of `x` and `y`: a level, a truth value or a number."""
    name, a, b = op.function, x.code, y.code
    if name in COMPARE:
        return body.let(f"{a} {COMPARE[name]} {b}", 0, 1)
    if name in LOGIC:
        return body.let(LOGIC[name].format(x=a, y=b), 0, 1)
    if x.kind == "int":
        if name == "max":
            return body.let(f"{a} < {b} ? {b} : {a}", max(x.lo, y.lo), max(x.hi, y.hi))
        if name == "min":
            return body.let(f"{a} < {b} ? {a} : {b}", min(x.lo, y.lo), min(x.hi, y.hi))
        if name in INTEGER_FUNCTIONS:
            return _integers(name, body, x, y, op.format)
        raise FormatError(f"{name} of integers has no C code")
    f = "" if x.kind == "double" else "f"
    if name == "floor_mod":
        rest = body.let_number(f"fmod{f}({a}, {b})", x.kind).code
        zero = number(0.0, x.kind)
        turned = f"({rest} < 0) != ({b} < 0) ? {rest} + {b} : {rest}"
        return body.let_number(f"{rest} == 0 ? copysign{f}({zero}, {b}) : {turned}", x.kind)
    text = {
        "div": f"{a} / {b}",
        "pow": f"({NUMBERS[x.kind]})pow((double){a}, (double){b})",
        "max": f"({a} >= {b} || {a} != {a}) ? {a} : {b}",
        "min": f"({a} <= {b} || {a} != {a}) ? {a} : {b}",
        "mod": f"fmod{f}({a}, {b})",
    }[name]
    return body.let_number(text, x.kind)


def _integers(name: str, body: Body, x: Scalar, y: Scalar, fmt: Format) -> Scalar:
    """A function of plain integers that wraps in their format. Nothing in it is undefined, whatever the operands."""
    (lo, hi), bits = fmt.level_range, fmt.bits
    ends = (min(x.lo, y.lo, lo), max(x.hi, y.hi, hi))
    wide = c.integer_type(*ends)
    a, b = (s.code if s.ctype == wide else f"({wide}){s.code}" for s in (x, y))
    if name.startswith("bit_"):
        return body.let(f"{a} {BITS[name]} {b}", lo, hi)
    inside = f"({b} >= 0 && {b} < {bits})"
    if name == "shift_left":
        distance = body.let(f"{inside} ? (int32_t){b} : 0", 0, bits - 1)
        kept = body.let(f"{inside} ? {a} : 0", x.lo, x.hi)
        return c.wrapped(body, "<<", kept, distance, lo, hi)
    if name == "shift_right":
        distance = body.let(f"{inside} ? (int32_t){b} : 0", 0, bits - 1)
        return body.let(f"{inside} ? {a} >> {distance.code} : ({a} < 0 ? -1 : 0)", lo, hi)
    if name == "div":
        safe = body.let(f"{b} == 0 || {b} == -1 ? 1 : {b}", *ends)
        quotient = body.let(f"{b} == 0 ? 0 : {a} / {safe.code}", *ends)
        sign = body.let(f"{b} == -1 ? -1 : 1", -1, 1)
        return c.wrapped(body, "*", quotient, sign, lo, hi)
    safe = body.let(f"{b} == 0 || {b} == -1 ? 1 : {b}", *ends)
    rest = body.let(f"{a} % {safe.code}", *ends)
    if name == "mod":
        return Scalar(rest.code, "int", *ends)
    turned = f"{rest.code} != 0 && ({rest.code} < 0) != ({b} < 0)"
    return body.let(f"{turned} ? {rest.code} + {safe.code} : {rest.code}", *ends)


BITS = {"bit_and": "&", "bit_or": "|", "bit_xor": "^"}
