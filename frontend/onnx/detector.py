"""The operators of domain `edgec`: what the IR has for detector front ends and ONNX has not.

Exported models carry them as local functions of standard operators, so that other tools run the files as they are.
"""

from __future__ import annotations

import numpy as np

from edgec.formats import Fixed, Format, Integer, Quantizer
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.ops import (
    DecodeFloat,
    Dequantize,
    EncodeFloat,
    Gather,
    NormalizePow2,
    Op,
    PackBits,
    Quantize,
)

DOMAIN = "edgec"
VERSION = 1


def codes_of(node: Node, fmt: Format) -> Op:
    """Operand 0, a float tensor of exact values, as codes of `fmt`."""
    x = node.op(0)
    if not x.format.is_float:
        if x.format != fmt:
            node.unsupported(f"codes of {x.format}", why=f"needs {fmt}")
        return x
    if isinstance(x, Dequantize) and x.x.format == fmt:
        return x.x
    return Quantize(x, Quantizer(fmt, "floor"), loc=node.loc)


def values_of(node: Node, op: Op) -> Op:
    """The result of an op on codes in the element type of operand 0."""
    return Dequantize(op, node.op(0).format, loc=node.loc) if node.op(0).format.is_float else op


def _width(node: Node, name: str, highest: int = 48) -> int:
    value = node.integer(name, -1)
    if not 0 <= value <= highest:
        node.malformed(f"attribute {name!r} is {value}, outside 0..{highest}")
    return value


@imports("DecodeFloat", domain=DOMAIN)
def decode_float(node: Node) -> Op:
    exponent, mantissa, drop = (_width(node, n) for n in ("exponent_bits", "mantissa_bits", "drop"))
    node.require(1 <= exponent + mantissa <= 16, "this code width")
    codes = codes_of(node, Integer(exponent + mantissa, signed_=False))
    return values_of(node, DecodeFloat(codes, exponent, mantissa, drop, loc=node.loc))


@imports("EncodeFloat", domain=DOMAIN)
def encode_float(node: Node) -> Op:
    exponent, mantissa, bits = (_width(node, n) for n in ("exponent_bits", "mantissa_bits", "input_bits"))
    codes = codes_of(node, Integer(bits, signed_=False))
    return values_of(node, EncodeFloat(codes, exponent, mantissa, loc=node.loc))


@imports("NormalizePow2", domain=DOMAIN)
def normalize_pow2(node: Node) -> Op:
    width, frac, bits = (_width(node, n) for n in ("width", "frac_bits", "input_bits"))
    codes = codes_of(node, Integer(bits, signed_=False))
    return values_of(node, NormalizePow2(codes, width, frac, loc=node.loc))


@imports("PackBits", domain=DOMAIN)
def pack_bits(node: Node) -> Op:
    bits, frac = _width(node, "input_bits"), node.integer("input_frac", 0)
    mask = tuple(node.ints("mask") or ())
    fmt: Format = Fixed(bits, bits - frac, signed_=False) if frac else Integer(bits, signed_=False)
    x = node.op(0)
    if not x.format.is_float and x.format.bits == bits:
        fmt = x.format
    elif isinstance(x, Dequantize) and x.x.format.bits == bits and x.x.format.frac == frac:
        fmt = x.x.format
    return values_of(node, PackBits(codes_of(node, fmt), 0, mask, loc=node.loc))


@imports("CellMap", domain=DOMAIN)
def cell_map(node: Node) -> Op:
    """Elements at constant places along an axis; index -1 gives zero."""
    x, indices = node.op(0), node.ints("indices") or ()
    axis = node.axis(0, len(x.shape))
    node.limit(*np.array(x.shape, object)[:axis], len(indices), *x.shape[axis + 1 :])
    return Gather(x, tuple(indices), axis, loc=node.loc)
