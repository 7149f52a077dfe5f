"""Local functions of standard operators for the operators of other domains: any ONNX tool then runs the file.

Quant and BipolarQuant follow the qonnx executor; the detector operators follow `edgec.ops.detector`.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import FunctionProto, TensorProto

from edgec.frontend.onnx_export import integer_functions
from edgec.frontend.onnx_export.body import Body, function
from edgec.frontend.onnx_export.builder import DETECTOR, QONNX, Builder

_ROUND: dict[str, Callable[[Body, str], str]] = {
    "ROUND": lambda f, y: f("Round", y),
    "CEIL": lambda f, y: f("Ceil", y),
    "FLOOR": lambda f, y: f("Floor", y),
    "UP": lambda f, y: f("Mul", f("Sign", y), f("Ceil", f("Abs", y))),
    "DOWN": lambda f, y: f("Mul", f("Sign", y), f("Floor", f("Abs", y))),
    "HALF_UP": lambda f, y: f("Mul", f("Sign", y), f("Floor", f("Add", f("Abs", y), f.number(0.5, y)))),
    "HALF_DOWN": lambda f, y: f("Mul", f("Sign", y), f("Ceil", f("Sub", f("Abs", y), f.number(0.5, y)))),
}


def _quant(modes: set[str]) -> FunctionProto:
    """Clamp x / scale + zero point, round by the mode named in the attribute (of those that the model uses)."""
    f = Body()
    signed, narrow = (f.like(f.attribute(n), "x") for n in ("signed", "narrow"))
    one = f.number(1.0, "x")
    half = f("Pow", f.number(2.0, "x"), f("Sub", f.like("bitwidth", "x"), signed))
    high = f("Sub", f("Sub", half, one), f("Mul", f("Sub", one, signed), narrow))
    low = f("Mul", signed, f("Sub", narrow, half))
    y = f("Add", f("Div", "x", "scale"), "zeropt")
    y = f("Max", f("Min", y, high), low)
    first, *others = sorted(modes, key=list(_ROUND).index) or ["ROUND"]
    result = _ROUND[first](f, y)
    if others:
        mode = f.attribute("rounding_mode", "value_string")
        for name in others:
            chosen = f("Equal", mode, f("Constant", value_string=name))
            result = f("Where", chosen, _ROUND[name](f, y), result)
    f("Mul", f("Sub", result, "zeropt"), "scale", output="y")
    return function(QONNX, "Quant", ["x", "scale", "zeropt", "bitwidth"], f, ["signed", "narrow", "rounding_mode"])


def _bipolar() -> FunctionProto:
    f = Body()
    positive = f("GreaterOrEqual", "x", f.number(0.0, "x"))
    f("Mul", f("Where", positive, f.number(1.0, "x"), f.number(-1.0, "x")), "scale", output="y")
    return function(QONNX, "BipolarQuant", ["x", "scale"], f, [])


def _bit_length(f: Body, value: str, powers: str) -> str:
    """Bits of non-negative int64 values: how many powers of two they reach."""
    reached = f("GreaterOrEqual", f("Unsqueeze", value, f.ints([-1])), powers)
    return f("ReduceSum", f.cast(reached, TensorProto.INT64), f.ints([-1]), keepdims=0)


def _decode_float() -> FunctionProto:
    f = Body()
    powers, one, zero = f.powers(), f.integer(1), f.integer(0)
    code, drop = f.to_int("x"), f.attribute("drop")
    unit = f("Gather", powers, f.attribute("mantissa_bits"))
    exponent, mantissa = f("Div", code, unit), f("Mod", code, unit)
    shift = f("Max", f("Sub", exponent, one), zero)
    normal = f("Mul", f("Add", mantissa, unit), f("Gather", powers, shift))
    value = f("Where", f("Greater", exponent, zero), normal, mantissa)
    middle = f("Gather", powers, f("Max", f("Sub", f("Add", shift, drop), one), zero))
    shifted = f("Add", f("Mul", value, f("Gather", powers, drop)), middle)
    f("CastLike", f("Where", f("Greater", drop, zero), shifted, value), "x", output="y")
    return function(DETECTOR, "DecodeFloat", ["x"], f, ["exponent_bits", "mantissa_bits", "drop"])


def _encode_float() -> FunctionProto:
    f = Body()
    powers, one, zero = f.powers(), f.integer(1), f.integer(0)
    value, bits = f.to_int("x"), f.attribute("mantissa_bits")
    unit = f("Gather", powers, bits)
    exponent = f("Max", f("Sub", _bit_length(f, value, powers), bits), zero)
    shift = f("Gather", powers, f("Max", f("Sub", exponent, one), zero))
    mantissa = f("Where", f("Greater", exponent, zero), f("Mod", f("Div", value, shift), unit), value)
    code = f("Add", f("Mul", exponent, unit), mantissa)
    highest = f("Sub", f("Gather", powers, f("Add", bits, f.attribute("exponent_bits"))), one)
    f("CastLike", f("Min", code, highest), "x", output="y")
    return function(DETECTOR, "EncodeFloat", ["x"], f, ["exponent_bits", "mantissa_bits", "input_bits"])


def _normalize_pow2() -> FunctionProto:
    f = Body()
    powers, one, zero = f.powers(), f.integer(1), f.integer(0)
    value = f.to_int("x")
    total = f("ReduceSum", value, f.ints([-1]), keepdims=1)
    shift = f("Max", f("Sub", _bit_length(f, total, powers), one), zero)
    unit = f("Gather", powers, f.attribute("frac_bits"))
    scaled = f("Div", f("Mul", value, unit), f("Gather", powers, shift))
    highest = f("Sub", f("Gather", powers, f.attribute("width")), one)
    f("Div", f.like(f("Min", scaled, highest), "x"), f.like(unit, "x"), output="y")
    return function(DETECTOR, "NormalizePow2", ["x"], f, ["width", "frac_bits", "input_bits"])


def _pack_bits() -> FunctionProto:
    f = Body()
    powers = f.powers()
    two = f.number(2.0, "x")
    code = f.to_int(f("Mul", "x", f("Pow", two, f.like(f.attribute("input_frac"), "x"))))
    width = f("Unsqueeze", f.attribute("input_bits"), f.ints([0]))
    places = f("Slice", powers, f.ints([0]), width)
    bits = f("Mod", f("Div", f("Unsqueeze", code, f.ints([-1])), places), f.integer(2))
    shape = f("Concat", f("Slice", f("Shape", "x"), f.ints([0]), f.ints([-1])), f.ints([-1]), axis=0)
    chosen = f.cast(f.attribute("mask", "value_ints"), TensorProto.BOOL)
    f("CastLike", f("Compress", f("Reshape", bits, shape), chosen, axis=-1), "x", output="y")
    return function(DETECTOR, "PackBits", ["x"], f, ["input_bits", "input_frac", "mask"])


def _cell_map() -> FunctionProto:
    """A zero is put behind the last element, where index -1 finds it."""
    f = Body()
    first = f("Gather", "x", f.ints([0]))
    f.refer("axis", "axis")
    longer = f("Concat", "x", f("Mul", first, f.number(0.0, "x")))
    f.refer("axis", "axis")
    f("Gather", longer, f.attribute("indices", "value_ints"), output="y")
    f.refer("axis", "axis")
    return function(DETECTOR, "CellMap", ["x"], f, ["axis", "indices"])


def function_protos(b: Builder) -> list[FunctionProto]:
    """The functions that the model's nodes call."""
    make: dict[tuple[str, str], Callable[[], FunctionProto]] = {
        (QONNX, "Quant"): lambda: _quant(b.rounding_modes),
        (QONNX, "BipolarQuant"): _bipolar,
        (DETECTOR, "DecodeFloat"): _decode_float,
        (DETECTOR, "EncodeFloat"): _encode_float,
        (DETECTOR, "NormalizePow2"): _normalize_pow2,
        (DETECTOR, "PackBits"): _pack_bits,
        (DETECTOR, "CellMap"): _cell_map,
        **integer_functions.makers(b),
    }
    return [make[key]() for key in sorted(b.functions)]
