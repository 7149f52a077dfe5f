"""The integer operators of domain `edgec` as local functions of standard operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from onnx import FunctionProto, TensorProto

from edgec.frontend.onnx_export.body import Body, function
from edgec.frontend.onnx_export.builder import DETECTOR, F32, F64, Builder
from edgec.frontend.onnx_export.rounding import rounded, rounded_quotient

FORMATS = ["from_format", "to_format"]
ENDS = ["unit", "zero", "low", "high", "new_unit"]
Variants = Iterable[tuple[str, str]]


def _levels(f: Body) -> str:
    """x in units of one level, int64; units are powers of two or one, so that the division is exact."""
    return f.to_int(f("Div", "x", f.like("unit", "x")))


def _chosen(f: Body, attribute: str, results: dict[str, str]) -> str:
    """The result whose name the string attribute holds; the first where there is only one."""
    first, *others = results
    chosen = results[first]
    if others:
        stated = f.attribute(attribute, "value_string")
        for name in others:
            chosen = f("Where", f("Equal", stated, f("Constant", value_string=name)), results[name], chosen)
    return chosen


def _finish(f: Body, level: str, variants: Variants) -> None:
    """Bring int64 levels (zero point added) into range and return real values."""
    results = {}
    for overflow in sorted({o for _, o in variants}):
        if overflow == "wrap":
            span = f("Add", f("Sub", "high", "low"), f.integer(1))
            results[overflow] = f("Add", f("Mod", f("Sub", level, "low"), span), "low")
        else:
            results[overflow] = f("Min", f("Max", level, "low"), "high")
    level = _chosen(f, "overflow", results)
    f("Mul", f.like(f("Sub", level, "zero"), "x"), f.like("new_unit", "x"), output="y")


def _quotient(f: Body, n: str, d: str, variants: Variants) -> str:
    return _chosen(
        f,
        "rounding",
        {r: rounded_quotient(f, n, d, r) for r in sorted({r for r, _ in variants})},  # type: ignore[arg-type]
    )


def requantize(variants: Variants) -> FunctionProto:
    f = Body()
    n = f("Add", f("Mul", _levels(f), "multiplier"), "offset")
    _finish(f, f("Add", _quotient(f, n, "divisor", variants), "zero"), variants)
    inputs = ["x", "multiplier", "divisor", "offset", *ENDS]
    return function(DETECTOR, "Requantize", inputs, f, ["axis", "rounding", "overflow", *FORMATS])


def requantize_float(variants: Variants) -> FunctionProto:
    f = Body()
    product = f("Mul", f.cast(_levels(f), F32), "scale")
    f.kind = F32
    level = _chosen(f, "rounding", {r: rounded(f, product, r) for r in sorted({r for r, _ in variants})})  # type: ignore[arg-type]
    low, high = (f.cast(f("Sub", bound, "zero"), F64) for bound in ("low", "high"))
    clipped = f("Min", f("Max", f.cast(level, F64), low), high)
    f("Mul", f.like(clipped, "x"), f.like("new_unit", "x"), output="y")
    return function(DETECTOR, "RequantizeFloat", ["x", "scale", *ENDS], f, ["axis", "rounding", "overflow", *FORMATS])


def multi_threshold() -> FunctionProto:
    f = Body()
    x = f("Unsqueeze", f("Mul", _levels(f), "sign"), f.ints([-1]))
    count = f("ReduceSum", f.cast(f("GreaterOrEqual", x, "thresholds"), TensorProto.INT64), f.ints([-1]), keepdims=0)
    f("CastLike", f("Gather", "values", count), "x", output="y")
    inputs = ["x", "thresholds", "sign", "unit", "values"]
    return function(DETECTOR, "MultiThreshold", inputs, f, ["axis", *FORMATS])


def lut() -> FunctionProto:
    f = Body()
    index = f("Div", f("Add", _levels(f), "offset"), "divisor")
    f("CastLike", f("Gather", "values", index), "x", output="y")
    return function(DETECTOR, "Lut", ["x", "unit", "offset", "divisor", "values"], f, FORMATS)


def average_pool(variants: Variants) -> FunctionProto:
    """A zero behind the last element stands for every tap outside; `indices` are the taps of all windows."""
    f = Body()
    flat = f("Reshape", _levels(f), f.ints([0, 0, -1]))
    none = f("Mul", f("Slice", flat, f.ints([0]), f.ints([1]), f.ints([2])), f.integer(0))
    taken = f("Gather", f("Concat", flat, none, axis=2), "indices", axis=2)
    total = f("ReduceSum", f("Reshape", taken, "windows"), f.ints([-1]), keepdims=0)
    n = f("Mul", f("Reshape", total, "shape"), "factor")
    _finish(f, f("Add", _quotient(f, n, "counts", variants), "zero"), variants)
    inputs = ["x", "indices", "windows", "shape", "factor", "counts", *ENDS]
    window = ["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "count_include_pad"]
    return function(DETECTOR, "AveragePool", inputs, f, [*window, "rounding", "overflow", *FORMATS])


def makers(b: Builder) -> dict[tuple[str, str], Callable[[], FunctionProto]]:
    """The function of each operator, for the roundings that the model uses."""
    used = b.variants
    return {
        (DETECTOR, "Requantize"): lambda: requantize(used["Requantize"]),
        (DETECTOR, "RequantizeFloat"): lambda: requantize_float(used["RequantizeFloat"]),
        (DETECTOR, "MultiThreshold"): multi_threshold,
        (DETECTOR, "Lut"): lut,
        (DETECTOR, "AveragePool"): lambda: average_pool(used["AveragePool"]),
    }
