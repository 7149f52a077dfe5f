"""Quantised programs: the operators of `quantized_decomposed`, as PyTorch 2 export quantisation writes them.

quantize: clamp(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max); dequantize: (code - zero_point) *
scale. The IR divides by the scale instead of multiplying by its rounded inverse: where x / scale is within two units in
the last place of a tie, the code can differ by one. Scales that are powers of two give the same code always.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.formats import F32, Format, FormatError, Integer, Quantizer
from edgec.frontend.onnx.types import constant_op, is_plain, reinterpret, scaled
from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.ops import Constant, Dequantize, Op, Quantize

DOMAIN = "quantized_decomposed"


def _base(node: Node) -> Format:
    """The integers from quant_min to quant_max, which need not fill the element type that stores them."""
    lo, hi = node.integer("quant_min"), node.integer("quant_max")
    node.ignore("dtype")  # of the storage
    width = max(hi, -lo - 1, 1).bit_length()
    if lo == 0 and hi == (1 << width) - 1:
        return Integer(width, signed_=False)
    if hi == (1 << width) - 1 and lo in (-hi - 1, -hi):
        return Integer(width + 1, narrow=lo == -hi)
    node.unsupported(f"codes from {lo} to {hi}", why="supported: all codes of a width, or all but the most negative")


def _parameter(node: Node, names: tuple[str, ...], what: str) -> np.ndarray:
    name = next((n for n in names if n in node.values), names[0])
    value = node.raw(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.array([value], np.float64)
    return node.known(name, what).reshape(-1).astype(np.float64)


def _format(node: Node, shape: tuple[int, ...]) -> Format:
    scale = _parameter(node, ("scale", "scales"), "scale")
    zero = _parameter(node, ("zero_point", "zero_points"), "zero point")
    axis = None
    if "per_channel" in node.operator:
        axis = node.axis("axis", len(shape))
        if scale.size != shape[axis] or zero.size != scale.size:
            node.malformed(f"{scale.size} scales and {zero.size} zero points for {shape[axis]} channels")
    elif scale.size != 1 or zero.size != 1:
        node.malformed("one scale and zero point for a tensor")
    try:
        # PyTorch computes with scales of float32 whatever holds them
        return scaled(_base(node), scale.astype(np.float32).astype(np.float64), np.rint(zero).astype(np.int64), axis)
    except FormatError as error:
        node.unsupported(str(error))


_KINDS = ("per_tensor.default", "per_tensor.tensor", "per_channel.default")


@imports(*(f"quantize_{kind}" for kind in _KINDS), domain=DOMAIN)
def quantize(node: Node) -> Op:
    x = node.floating("input")
    return Quantize(x, Quantizer(_format(node, x.shape)), loc=node.loc)


@imports(*(f"dequantize_{kind}" for kind in _KINDS), domain=DOMAIN)
def dequantize(node: Node) -> Op:
    x = node.op("input")
    if x.format.is_float:
        node.malformed(f"the codes are {x.format}")
    node.ignore("out_dtype")  # the file states the type of the result
    fmt, to = _format(node, x.shape), node.format()
    node.require(to == F32, f"codes to {to}", why="float32 is supported")
    return Dequantize(_read_as(node, x, fmt), to, loc=node.loc)


def _read_as(node: Node, x: Op, fmt: Format) -> Op:
    """Codes `x` with the scale and zero point of `fmt`."""
    if x.format == fmt:
        return x
    if isinstance(x, Constant) and is_plain(x.format):
        lo, hi = fmt.code_range
        if x.data.size and not (lo <= x.data.min() and x.data.max() <= hi):
            node.malformed(f"stored codes outside {lo} to {hi}")
        return constant_op(x.data, x.loc, fmt)
    try:
        return reinterpret(x, fmt)
    except FormatError as error:
        node.unsupported(f"codes of {x.format} read as {fmt}", why=str(error))


def _dynamic(node: Node) -> Any:
    node.unsupported(
        "scales that are computed from the data",
        why="integer hardware needs them when compiling",
        remedy="quantise statically, with a calibrated scale",
    )


imports("choose_qparams.tensor", "choose_qparams_symmetric.tensor", domain=DOMAIN)(_dynamic)
