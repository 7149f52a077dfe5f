"""The quantisers of QKeras: how they are written in a file, and what they make of weights and activations.

Facts from QKeras 0.9.0 (quantizers.py). At inference a stochastic quantiser rounds as its plain one. A kernel quantiser
without `alpha` gets `auto_po2`: scales that are powers of two, found from the weights. QKeras adds the
difference x + (q - x) in float32, which can miss q by a unit in the last place; here are the exact codes of q.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.formats import Fixed, Format, Quantizer
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.frontend.keras.codes import (
    Codes,
    binary_codes,
    bits_codes,
    constant_of,
    exponent_range,
    po2_codes,
    ternary_codes,
)
from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.tensor import Tensor
from edgec.frontend.onnx.types import scaled
from edgec.ops import Add, Clip, Dequantize, Mul, Op, Quantize, Relu, Unary, Where
from edgec.ops import Binary as BinaryOp

_COMMON = ("qnoise_factor", "var_name", "use_ste", "use_variables")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "quantized_bits": (
        *("bits", "integer", "symmetric", "keep_negative", "alpha", "use_stochastic_rounding", "scale_axis"),
        *_COMMON,
    ),
    "quantized_relu": (
        *("bits", "integer", "use_sigmoid", "negative_slope", "use_stochastic_rounding", "relu_upper_bound"),
        *("is_quantized_clip", *_COMMON),
    ),
    "quantized_tanh": ("bits", "use_stochastic_rounding", "symmetric", "use_real_tanh"),
    "quantized_sigmoid": ("bits", "symmetric", "use_real_sigmoid", "use_stochastic_rounding"),
    "quantized_hswish": (
        *("bits", "integer", "symmetric", "alpha", "use_stochastic_rounding", "scale_axis", *_COMMON),
        *("relu_shift", "relu_upper_bound"),
    ),
    "binary": ("use_01", "alpha", "use_stochastic_rounding"),
    "stochastic_binary": ("alpha", "temperature", "use_real_sigmoid"),
    "ternary": ("alpha", "threshold", "use_stochastic_rounding", "number_of_unrolls"),
    "stochastic_ternary": ("alpha", "threshold", "temperature", "use_real_sigmoid", "number_of_unrolls"),
    "quantized_po2": (
        *("bits", "max_value", "use_stochastic_rounding", "quadratic_approximation", "log2_rounding"),
        *_COMMON,
    ),
    "quantized_relu_po2": (
        *("bits", "max_value", "negative_slope", "use_stochastic_rounding", "quadratic_approximation"),
        *("log2_rounding", *_COMMON),
    ),
}
"""Quantiser -> its arguments in order."""
MAX_TEXT = 1000


@dataclass
class Call:
    """A quantiser with its arguments, read by name and checked."""

    layer: Layer
    name: str
    arguments: dict[str, Any]

    def number(self, name: str, default: float) -> float:
        value = self.arguments.get(name)
        return default if value is None else self.layer.as_number(value, f"{self.name}.{name}")

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.number(name, default)
        if value != int(value) or not low <= value <= high:
            self.refuse(f"{name} = {value:g}", f"an integer from {low} to {high} is supported")
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.number(name, float(default)))

    @property
    def alpha(self) -> float | str | None:
        """A factor, `auto`, `auto_po2`, or None."""
        value = self.arguments.get("alpha")
        if value is None or value in ("auto", "auto_po2"):
            return value
        factor = self.layer.as_number(value, f"{self.name}.alpha")
        if factor <= 0:
            self.refuse(f"alpha = {factor:g}", "a positive factor is supported")
        return factor

    def fixed_alpha(self) -> float:
        """`alpha` of an activation's quantiser, which cannot be found from data."""
        if isinstance(self.alpha, str):
            self.refuse(f"alpha = {self.alpha!r} on an activation", "the scale would depend on the data")
        return 1.0 if self.alpha is None else float(self.alpha)

    def refuse(self, what: str, why: str) -> None:
        self.layer.unsupported(f"{self.name} with {what}", why=why)


def is_quantizer(setting: Any) -> bool:
    """Whether a setting of a layer names a quantiser of QKeras."""
    name = setting.get("class_name") if isinstance(setting, dict) else setting
    return isinstance(name, str) and name.partition("(")[0].strip() in ARGUMENTS


def call_of(layer: Layer, setting: Any) -> Call:
    """The quantiser that a setting describes: `{"class_name", "config"}`, or text: `quantized_bits(6,0,alpha=1)`."""
    if isinstance(setting, dict):
        name, arguments = setting.get("class_name"), setting.get("config")
        if not isinstance(arguments, dict):
            arguments = {}
    else:
        name, arguments = _from_text(layer, str(setting))
    if name not in ARGUMENTS:
        known = ", ".join(ARGUMENTS)
        layer.unsupported(f"quantiser {name!r:.60}", why=f"supported: {known}")
    arguments = {k: v for k, v in arguments.items() if k not in ("name", "trainable", "dtype")}
    call = Call(layer, name, arguments)
    if unknown := sorted(set(arguments) - set(ARGUMENTS[name])):
        call.refuse(f"an argument {unknown[0]!r}", "this argument is not known")
    if call.number("qnoise_factor", 1.0) != 1.0:
        call.refuse(f"qnoise_factor = {call.number('qnoise_factor', 1.0):g}", "the network is quantised in part only")
    if arguments.get("scale_axis") is not None:
        call.refuse(f"scale_axis = {arguments['scale_axis']!r:.20}", "scales along the last axis are supported")
    return call


def _from_text(layer: Layer, text: str) -> tuple[str, dict[str, Any]]:
    try:
        if len(text) > MAX_TEXT:
            raise ValueError("too long")
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
            raise ValueError("not a call")
        names = ARGUMENTS.get(tree.func.id, ())
        arguments = {n: ast.literal_eval(a) for n, a in zip(names, tree.args, strict=False)}
        if len(tree.args) > len(names):
            raise ValueError("too many arguments")
        arguments.update({str(k.arg): ast.literal_eval(k.value) for k in tree.keywords})
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        layer.unsupported(f"quantiser {text!r:.80} does not parse", why=str(error))
    return tree.func.id, arguments


# --- weights --------------------------------------------------------------------------------------------------


def parameter(layer: Layer, array: np.ndarray, setting: str, rearrange: Callable[[np.ndarray], np.ndarray]) -> Op:
    """A weight in the IR's layout: floats, or the codes of the quantiser that `setting` names, dequantised.

    `array` and the scales of the quantiser are in Keras's layout; `rearrange` brings either into the IR's, outputs
    first.
    """
    described = layer.raw(setting) if setting else None
    if described is None:
        return layer.constant(rearrange(array))
    call = call_of(layer, described)
    if setting != "bias_quantizer" and call.alpha is None and "alpha" in ARGUMENTS[call.name]:
        call.arguments["alpha"] = "auto_po2"
    return Dequantize(constant_of(layer, _codes(call, array), rearrange), loc=layer.loc)


def real_parameter(layer: Layer, array: np.ndarray, setting: str) -> np.ndarray:
    """A parameter of batch normalisation as numbers, after its quantiser if it has one."""
    described = layer.raw(setting)
    if described is None:
        return array
    call = call_of(layer, described)
    trained = setting in ("gamma_quantizer", "variance_quantizer")
    if trained and call.alpha is None and "alpha" in ARGUMENTS[call.name]:
        call.arguments["alpha"] = "auto_po2"
    return _codes(call, array).values().astype(np.float32)


def _codes(call: Call, array: np.ndarray) -> Codes:
    if not np.isfinite(array).all():
        call.refuse("weights that are not finite", "they have no code")
    with np.errstate(all="ignore"):  # channels of zeros divide by zero, and give code 0
        match call.name:
            case "quantized_bits":
                return bits_codes(call, array)
            case "binary" | "stochastic_binary":
                return binary_codes(call, array)
            case "ternary" | "stochastic_ternary":
                return ternary_codes(call, array)
            case "quantized_po2" | "quantized_relu_po2":
                return po2_codes(call, array)
    call.layer.unsupported(f"weights quantised by {call.name}", why="it is a quantiser of activations")


# --- activations ----------------------------------------------------------------------------------------------


def quantised(layer: Layer, x: Tensor, call: Call) -> Tensor:
    """An activation after its quantiser: codes, dequantised."""
    y = _ACTIVATIONS[call.name](call, x.op)
    return x.with_op(y)


def _pair(call: Call, x: Op, fmt: Format, lo: float = -math.inf, hi: float = math.inf) -> Op:
    """Quantize (half to even, saturating, into [lo, hi]), then Dequantize."""
    loc = call.layer.loc
    codes: Op = Quantize(x, Quantizer(fmt), loc=loc)
    if lo > -math.inf or hi < math.inf:
        codes = Clip(codes, lo, hi, loc=loc)
    return Dequantize(codes, loc=loc)


def _times(call: Call, x: Op, factor: float) -> Op:
    return x if factor == 1.0 else Mul(x, call.layer.scalar(factor), loc=call.layer.loc)


def bits_format(call: Call, default_integer: int = 0) -> Format:
    """The grid of `quantized_bits`: a sign bit, `integer` bits, the rest fraction bits; a sign alone for one bit."""
    bits, integer = call.integer("bits", 8, 1, 32), call.integer("integer", default_integer, -64, 64)
    signed = call.flag("keep_negative", True)
    if bits == 1 and signed:
        return Binary()
    return Fixed(bits, integer + signed, signed, narrow=signed and call.flag("symmetric"))


def _bits(call: Call, x: Op) -> Op:
    factor = call.fixed_alpha()
    return _times(call, _pair(call, x, bits_format(call)), factor)


def _relu(call: Call, x: Op) -> Op:
    bits, integer = call.integer("bits", 8, 1, 32), call.integer("integer", 0, -64, 64)
    if call.flag("use_sigmoid"):
        call.refuse("use_sigmoid", "a relu is supported")
    if not call.flag("is_quantized_clip", True) and call.arguments.get("relu_upper_bound") is not None:
        call.refuse("relu_upper_bound instead of is_quantized_clip", "the range of the format is the bound")
    slope = call.number("negative_slope", 0.0)
    if slope == 0.0:
        return _pair(call, Relu(x, loc=call.layer.loc), Fixed(bits, integer, signed_=False))
    if slope < 0 or math.frexp(slope)[0] != 0.5 or bits < 2:
        call.refuse(f"negative_slope = {slope:g}", "a power of two is supported, and at least 2 bits")
    leaky = Unary(x, "leaky_relu", slope, loc=call.layer.loc)
    lowest = -slope * math.ldexp(1.0, integer) if slope < 1 else -math.inf
    return _pair(call, leaky, Fixed(bits, integer + 1), lowest)


def _tanh(call: Call, x: Op) -> Op:
    """The hard tanh is the range of the format."""
    fmt = Fixed(call.integer("bits", 8, 2, 32), 1, narrow=call.flag("symmetric"))
    return _pair(call, Unary(x, "tanh", loc=call.layer.loc) if call.flag("use_real_tanh") else x, fmt)


def _sigmoid(call: Call, x: Op) -> Op:
    bits, loc = call.integer("bits", 8, 1, 32), call.layer.loc
    if call.flag("use_real_sigmoid"):
        y = Unary(x, "sigmoid", loc=loc)
    else:
        y = Unary(x, "hard_sigmoid", 0.5, 0.5, loc=loc)
    lowest = math.ldexp(1.0, -bits) if call.flag("symmetric") else -math.inf
    return _pair(call, y, Fixed(bits, 0, signed_=False), lowest)


def _hswish(call: Call, x: Op) -> Op:
    """x · min(max(x + shift, 0), bound) / bound, then the grid of `quantized_bits`."""
    shift, bound, layer = call.number("relu_shift", 3.0), call.number("relu_upper_bound", 6.0), call.layer
    if bound <= 0 or shift <= 0:
        call.refuse(f"relu_shift = {shift:g} and relu_upper_bound = {bound:g}", "positive numbers are supported")
    gate = Clip(Add(x, layer.scalar(shift), loc=layer.loc), 0.0, bound, loc=layer.loc)
    product = Mul(x, gate, loc=layer.loc)
    return _bits(call, BinaryOp(product, layer.scalar(bound), "div", loc=layer.loc))


def _binary(call: Call, x: Op) -> Op:
    factor, layer = call.fixed_alpha(), call.layer
    if call.flag("use_01"):
        positive = BinaryOp(x, layer.scalar(0.0), "greater_equal", loc=layer.loc)
        return _times(call, Dequantize(positive, loc=layer.loc), factor)
    return _times(call, _pair(call, x, Binary()), factor)


def _ternary(call: Call, x: Op) -> Op:
    factor, layer = call.fixed_alpha(), call.layer
    threshold = call.number("threshold", 0.33)
    if threshold <= 0:
        call.refuse(f"threshold = {threshold:g}", "a positive one is supported")
    above = BinaryOp(x, layer.scalar(threshold), "greater_equal", loc=layer.loc)
    below = BinaryOp(x, layer.scalar(-threshold), "less_equal", loc=layer.loc)
    one, zero, minus = (layer.scalar(v) for v in (1.0, 0.0, -1.0))
    y = Where(above, one, Where(below, minus, zero, loc=layer.loc), loc=layer.loc)
    return _times(call, _pair(call, y, Ternary()), factor)


def _po2(call: Call, x: Op) -> Op:
    """2 to the rounded logarithm, with the sign of x (+ for zero); a relu has no sign."""
    layer, loc = call.layer, call.layer.loc
    relu = call.name == "quantized_relu_po2"
    low, high, step = exponent_range(call)
    if relu and call.number("negative_slope", 0.0) != 0.0:
        call.refuse("negative_slope", "on activations a plain relu is supported")
    if step * (high - low) > 31:
        call.refuse(f"exponents from {step * low} to {step * high} on an activation", "at most 32 powers are supported")
    magnitude = Relu(x, loc=loc) if relu else Unary(x, "abs", loc=loc)
    bound = call.arguments.get("max_value")
    top = math.inf if bound is None else call.number("max_value", math.inf)
    bounded = Clip(magnitude, 1e-7, max(top, 1e-7), loc=loc)
    logarithm = BinaryOp(Unary(bounded, "log", loc=loc), layer.scalar(step * math.log(2.0)), "div", loc=loc)
    rounding = "floor" if call.arguments.get("log2_rounding") == "floor" else "round"
    exponent = Clip(Unary(logarithm, rounding, loc=loc), float(low), float(high), loc=loc)
    tiny = BinaryOp(magnitude, layer.scalar(1e-7), "less", loc=loc)
    exponent = Where(tiny, layer.scalar(low / step), exponent, loc=loc)
    power = BinaryOp(layer.scalar(float(2**step)), exponent, "pow", loc=loc)
    if not relu:
        negative = BinaryOp(x, layer.scalar(0.0), "less", loc=loc)
        power = Where(negative, Unary(power, "neg", loc=loc), power, loc=loc)
    base = Pow2(max(math.ceil(math.log2(max(step * (high - low) + 1, 2))) + 1, 2))
    unit = np.array([math.ldexp(1.0, step * low)])
    return _pair(call, power, scaled(base, unit, np.zeros(1, np.int64), None))


_ACTIVATIONS: dict[str, Callable[[Call, Op], Op]] = {
    "quantized_bits": _bits,
    "quantized_relu": _relu,
    "quantized_tanh": _tanh,
    "quantized_sigmoid": _sigmoid,
    "quantized_hswish": _hswish,
    "binary": _binary,
    "stochastic_binary": _binary,
    "ternary": _ternary,
    "stochastic_ternary": _ternary,
    "quantized_po2": _po2,
    "quantized_relu_po2": _po2,
}
