"""The integer operators of domain `edgec`, which exported integer networks carry (see `onnx_export.requantised`).

Their float operand holds exact values (or levels) of the format named by `from_format`; so does the result.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Format, FormatError, Quantizer, TensorType
from edgec.frontend.onnx.detector import DOMAIN, codes_of, values_of
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op
from edgec.ops import AvgPool, Constant, Lut, MultiThreshold, Op, Requantize, RequantizeFloat, integers
from edgec.rounding import OVERFLOWS, ROUNDINGS


def _format(node: Node, name: str) -> Format:
    from edgec.text_parser import parse_format

    text = node.string(name, "")
    try:
        return parse_format(text)
    except (FormatError, EdgecError) as error:
        node.malformed(f"attribute {name} = {text!r} is no number format", why=str(error))


def _quantizer(node: Node) -> Quantizer:
    rounding = node.string("rounding", "half_even", ROUNDINGS)
    overflow = node.string("overflow", "saturate", OVERFLOWS)
    return Quantizer(_format(node, "to_format"), rounding, overflow)  # type: ignore[arg-type]


def _ints(node: Node, index: int, what: str) -> np.ndarray:
    return np.array(node.known_ints(index, what), np.int64)


@imports("Requantize", domain=DOMAIN)
def requantize(node: Node) -> Op:
    """Operands: x, multiplier, divisor, offset; the rest follows from the formats."""
    x, out = codes_of(node, _format(node, "from_format")), _quantizer(node)
    multiplier, divisor, offset = (_ints(node, i, n) for i, n in ((1, "multiplier"), (2, "divisor"), (3, "offset")))
    if (divisor < 1).any() or (divisor & (divisor - 1)).any():
        node.malformed("a divisor that is no power of two")
    shift = integers(np.log2(divisor.astype(np.float64)).astype(np.int64))
    added = integers(offset) if offset.any() else None
    axis = node.integer("axis", 1)
    return values_of(node, Requantize(x, integers(multiplier), shift, added, out, axis, loc=node.loc))


@imports("RequantizeFloat", domain=DOMAIN)
def requantize_float(node: Node) -> Op:
    """Operands: x, scale."""
    x, out = codes_of(node, _format(node, "from_format")), _quantizer(node)
    scale = constant_op(node.known(1, "scale").astype(np.float32).reshape(-1), node.loc)
    return values_of(node, RequantizeFloat(x, scale, out, node.integer("axis", 1), loc=node.loc))


@imports("MultiThreshold", domain=DOMAIN)
def multi_threshold(node: Node) -> Op:
    """Operands: x, thresholds [..., L], sign."""
    x, to = codes_of(node, _format(node, "from_format")), _format(node, "to_format")
    table = node.known(1, "thresholds")
    if not table.ndim or table.dtype.kind != "i":
        node.malformed(f"thresholds {list(table.shape)} of {table.dtype}")
    thresholds = integers(table.reshape(-1, table.shape[-1]))
    sign = integers(_ints(node, 2, "sign"))
    return values_of(node, MultiThreshold(x, thresholds, sign, to, node.integer("axis", 1), loc=node.loc))


@imports("Lut", domain=DOMAIN)
def lut(node: Node) -> Op:
    """Operands: x, unit, offset, divisor, values; the table is encoded from its values."""
    x, to = codes_of(node, _format(node, "from_format")), _format(node, "to_format")
    codes = to.encode(node.known(4, "table").astype(np.float64).reshape(-1))
    table = Constant(codes, type=TensorType(to, codes.shape), loc=node.loc)
    return values_of(node, Lut(x, table, loc=node.loc))


@imports("AveragePool", domain=DOMAIN)
def average_pool(node: Node) -> Op:
    """The windows are in the attributes; the operands say the same to tools that run the local function."""
    x, out = codes_of(node, _format(node, "from_format")), _quantizer(node)
    kernel, strides, pads, dilations = (node.ints(n) or () for n in ("kernel_shape", "strides", "pads", "dilations"))
    rank = len(x.shape) - 2
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        node.malformed(f"window attributes do not fit {list(x.shape)}")
    node.limit(*(n + max(pads[i], 0) + max(pads[i + rank], 0) for i, n in enumerate(x.shape[2:])))
    ceil_mode, include = node.flag("ceil_mode"), node.flag("count_include_pad")
    return values_of(node, AvgPool(x, kernel, strides, pads, dilations, ceil_mode, include, out, loc=node.loc))
