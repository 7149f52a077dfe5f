"""Small floats of detector front ends in plain C (see `edgec.ops.detector`)."""

from __future__ import annotations

from edgec.backends.c import scalar as c
from edgec.backends.c.scalar import Body, Scalar, integer
from edgec.ops import DecodeFloat, EncodeFloat


def bit_length(body: Body, x: Scalar) -> Scalar:
    """Bits of a non-negative integer; 0 has none."""
    name = body.name()
    body.lines.append(f"int32_t {name} = 0;")
    body.lines.append(f"while (((int64_t){x.code} >> {name}) != 0) {{ {name}++; }}")
    return Scalar(name, "int", 0, x.hi.bit_length())


def decode_float(op: DecodeFloat, body: Body, x: Scalar) -> Scalar:
    m, (lo, hi) = op.mantissa_bits, op.format.level_range
    exponent = c.shift_round(body, x, m, "floor")
    mantissa = body.let(f"(int32_t){x.code} & {integer((1 << m) - 1)}", 0, (1 << m) - 1)
    up = body.let(f"{exponent.code} > 0 ? {exponent.code} - 1 : 0", 0, max(exponent.hi - 1, 0))
    value = f"(({exponent.code} > 0 ? ((int64_t){mantissa.code} | {integer(1 << m)}) : {mantissa.code}) << {up.code})"
    if op.drop:
        value = f"({value} << {op.drop}) + ((int64_t)1 << ({up.code} + {op.drop - 1}))"
    made = body.let("", lo, hi)
    body.lines[-1] = f"const {made.ctype} {made.code} = ({made.ctype})({value});"
    return made


def encode_float(op: EncodeFloat, body: Body, x: Scalar) -> Scalar:
    m, (_, hi) = op.mantissa_bits, op.format.level_range
    length = bit_length(body, x)
    exponent = c.maximum(body, c.subtract(body, length, c.constant(m)), 0)
    mask = (1 << m) - 1
    inner = f"(((int64_t){x.code} >> ({exponent.code} - 1)) & {integer(mask)})"
    mantissa = body.let(f"(int64_t)({exponent.code} > 0 ? {inner} : (int64_t){x.code})", 0, max(mask, 1 << 40))
    code = body.let(f"((int64_t){exponent.code} << {m}) | {mantissa.code}", 0, (1 << 41) + (exponent.hi << m))
    return c.minimum(body, code, hi)
