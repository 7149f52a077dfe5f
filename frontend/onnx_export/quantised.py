"""Number formats in ONNX: constants, quantisers, and the border between codes and real values.

Every exported integer tensor holds (level - zero_point) * unit, with `unit` as in `builder.unit`.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Affine, Fixed, Format, Integer, Quantizer
from edgec.formats_compressed import Binary
from edgec.frontend.onnx_export.builder import F32, QONNX, Builder, dtype_of, exports, unit
from edgec.frontend.onnx_export.rounding import QONNX_ROUNDINGS, overflowed, rounded
from edgec.graph import Graph
from edgec.interp import evaluate
from edgec.ops import (
    Cast,
    Constant,
    Dequantize,
    Input,
    Op,
    Quantize,
    centered_levels,
    centered_range,
)


def along(values: np.ndarray, axis: int | None, rank: int) -> np.ndarray:
    """[1] or [C] shaped to broadcast along `axis` of a tensor of `rank`."""
    if values.size == 1 or axis is None:
        return values.reshape(())
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def refuse(op: Op, what: str) -> EdgecError:
    return EdgecError("E0304", what, layer=op.label, op=op.mnemonic, why="it has no exact form in ONNX")


def integer_base(fmt: Format) -> Integer | Fixed | None:
    """The two's complement integers below a format, None for tables."""
    base = fmt.base if isinstance(fmt, Affine) else fmt
    return base if isinstance(base, Integer | Fixed) else None


def expressible(fmt: Format, rounding: str, overflow: str) -> bool:
    """Whether a QONNX Quant node says the same as this quantiser."""
    base = integer_base(fmt)
    return (
        base is not None
        and not fmt.zero_point_array.any()
        and overflow != "wrap"
        and rounding in QONNX_ROUNDINGS
        and base.width <= 32
        and not (base.width == 1 and base.signed_)
        and not (overflow == "saturate_symmetric" and not base.signed_)
    )


def quant_node(b: Builder, x: str, quantizer: Quantizer, rank: int) -> str:
    """A Quant node on real values; the result has the shape and element type of `x`."""
    fmt, dtype = quantizer.format, b.dtype(x)
    base = integer_base(fmt)
    assert base is not None
    mode = QONNX_ROUNDINGS[quantizer.rounding]
    b.rounding_modes.add(mode)
    narrow = base.narrow or quantizer.overflow == "saturate_symmetric"
    operands = [
        x,
        b.constant(along(fmt.scale_array, fmt.axis, rank).astype(dtype)),
        b.scalar(0, dtype),
        b.scalar(base.width, dtype),
    ]
    return b.node(
        "Quant",
        operands,
        b.shape(x),
        dtype,
        domain=QONNX,
        signed=int(base.signed_),
        narrow=int(narrow),
        rounding_mode=mode,
    )


def bipolar_node(b: Builder, x: str, fmt: Format, rank: int) -> str:
    scale = b.constant(along(fmt.scale_array, fmt.axis, rank).astype(b.dtype(x)))
    return b.node("BipolarQuant", [x, scale], b.shape(x), b.dtype(x), domain=QONNX)


def is_binary(fmt: Format) -> bool:
    return isinstance(fmt, Binary) or (isinstance(fmt, Affine) and isinstance(fmt.base, Binary))


def dyadic_quantised(b: Builder, x: str, quantizer: Quantizer, bounds: tuple[float, float] | None, op: Op) -> str:
    """Real values brought to a format with a power-of-two unit and zero point 0, by Quant or plain operators.

    `bounds` are the smallest and largest value that can occur; a quantiser that never overflows saturates as well
    as it wraps.
    """
    fmt, dtype = quantizer.format, b.dtype(x)
    step = unit(fmt)
    if quantizer.overflow == "wrap" and bounds is not None:
        lo, hi = fmt.level_range
        if lo + 1 <= bounds[0] / step and bounds[1] / step <= hi - 1:
            quantizer = Quantizer(fmt, quantizer.rounding)
    if expressible(fmt, quantizer.rounding, quantizer.overflow):
        return quant_node(b, x, quantizer, len(b.shape(x)))
    if integer_base(fmt) is None:
        raise refuse(op, f"a quantiser to {fmt}")
    levels = x if step == 1.0 else b.each("Div", x, b.scalar(step, dtype))
    levels = rounded(b, levels, quantizer.rounding)
    levels = overflowed(b, levels, *fmt.level_range, quantizer.overflow)
    return levels if step == 1.0 else b.each("Mul", levels, b.scalar(step, dtype))


# --- the border ------------------------------------------------------------------------------------------------


def input_value(b: Builder, op: Input) -> str:
    """The exported tensor of an input that is fed with real values."""
    fmt, x = op.format, op.name
    if fmt.is_float:
        return x
    if expressible(fmt, "half_even", "saturate") and fmt.frac is not None:
        return quant_node(b, x, Quantizer(fmt), len(op.shape))
    if fmt.frac is not None:
        return x
    scale = b.constant(along(fmt.scale_array, fmt.axis, len(op.shape)).astype(b.dtype(x)))
    return b.each("Round", b.each("Div", x, scale))


def output_value(b: Builder, op: Op, name: str) -> str:
    """Real values of `op` under the name of a graph output."""
    x, fmt = b.values[op], op.format
    if fmt.is_float or fmt.frac is not None:
        return b.node("Identity", [x], b.shape(x), b.dtype(x), output=name)
    scale = b.constant(along(fmt.scale_array, fmt.axis, len(op.shape)).astype(b.dtype(x)))
    return b.node("Mul", [x, scale], b.shape(x), b.dtype(x), output=name)


@exports(Constant)
def constant(b: Builder, op: Constant) -> str:
    """Levels times unit; a Quant node carries the format of dyadic ones."""
    fmt = op.format
    if fmt.is_float:
        return b.constant(op.data, b.unique(b.stem) if op.data.nbytes > 64 else "")
    values = (centered_levels(op.data, fmt) * unit(fmt)).astype(dtype_of(op))
    name = b.constant(values)
    if fmt.frac is not None and expressible(fmt, "half_even", "saturate") and op.shape:
        return quant_node(b, name, Quantizer(fmt), len(op.shape))
    return name


def fused_pairs(graph: Graph) -> set[Op]:
    """Quantize ops and constants of codes that only Dequantize ops read: written together with those."""
    kept = {o for _, o in graph.outputs}
    fused = set()
    for op in graph.ops:
        users = graph.users.get(op, ())
        if op in kept or not users or not all(isinstance(u, Dequantize) for u in users):
            continue
        if isinstance(op, Constant) and not op.format.is_float:
            fused.add(op)
        if isinstance(op, Quantize) and (_as_linear(op) or _as_quant(op) or is_binary(op.format)):
            fused.add(op)
    return fused


def _as_quant(op: Quantize) -> bool:
    return expressible(op.format, op.out.rounding, op.out.overflow) and op.x.format.dtype == F32


_LINEAR = {8: (np.int8, np.uint8), 16: (np.int16, np.uint16)}


def _as_linear(op: Quantize) -> bool:
    """Whether QuantizeLinear says the same: 8 or 16 bits, zero points, ties to even, saturating."""
    base = integer_base(op.format)
    return (
        isinstance(op.format, Affine)
        and base is not None
        and base.width in _LINEAR
        and not base.narrow
        and bool(op.format.zero_point_array.any())
        and (op.out.rounding, op.out.overflow) == ("half_even", "saturate")
        and op.x.format.dtype == F32
    )


def _linear_operands(b: Builder, fmt: Affine, op: Op) -> tuple[list[str], int | None]:
    base = integer_base(fmt)
    assert base is not None
    dtype = _LINEAR[base.width][not base.signed_] if base.width in _LINEAR else np.int32
    zero = np.broadcast_to(fmt.zero_point_array, fmt.scale_array.shape).astype(dtype)
    scale = fmt.scale_array.astype(np.float32)
    if fmt.axis is None:
        return [b.constant(scale.reshape(())), b.constant(zero.reshape(()))], None
    return [b.constant(scale), b.constant(zero)], fmt.axis % len(op.shape)


@exports(Dequantize)
def dequantize(b: Builder, op: Dequantize) -> str:
    """One Quant node (or a QuantizeLinear pair) for a whole quantise-dequantise pair, else levels times scale."""
    source, fmt, rank = op.x, op.x.format, len(op.shape)
    if source in b.values:
        return _scaled(b, op, b.read(source))
    if isinstance(source, Constant):
        return _dequantised_constant(b, op, source)
    assert isinstance(source, Quantize)
    x = b.read(source.x)
    if is_binary(fmt):
        return b.cast(bipolar_node(b, x, fmt, rank), op.to.dtype)
    if _as_quant(source):
        return b.cast(quant_node(b, x, source.out, rank), op.to.dtype)
    assert isinstance(fmt, Affine)
    parameters, axis = _linear_operands(b, fmt, op)
    codes = b.node("QuantizeLinear", [x, *parameters], op.shape, b.dtype(parameters[1]), axis=axis)
    return b.cast(b.node("DequantizeLinear", [codes, *parameters], op.shape, F32, axis=axis), op.to.dtype)


def _scaled(b: Builder, op: Dequantize, x: str) -> str:
    x = b.cast(x, op.to.dtype)
    fmt = op.x.format
    if fmt.frac is not None:
        return x if b.dtype(x) == op.to.dtype else b.cast(x, op.to.dtype)
    scale = along(fmt.scale_array, fmt.axis, len(op.shape)).astype(op.to.dtype)
    return b.each("Mul", x, b.constant(scale))


def _dequantised_constant(b: Builder, op: Dequantize, source: Constant) -> str:
    fmt, base = source.format, integer_base(source.format)
    values = evaluate(op, [source.data[None]])[0].astype(op.to.dtype)
    if op.to.dtype == F32 and op.shape and is_binary(fmt):
        return bipolar_node(b, b.constant(values), fmt, len(op.shape))
    if op.to.dtype == F32 and op.shape and base is not None:
        if base.width <= 20 and expressible(fmt, "half_even", "saturate"):
            return quant_node(b, b.constant(values), Quantizer(fmt), len(op.shape))
        whole = base.width == 32 and base.signed_ and not fmt.zero_point_array.any()
        if isinstance(fmt, Affine) and (base.width in _LINEAR or whole):
            parameters, axis = _linear_operands(b, fmt, op)
            return b.node("DequantizeLinear", [b.constant(source.data), *parameters], op.shape, F32, axis=axis)
    return b.constant(values)


# --- format changes --------------------------------------------------------------------------------------------


@exports(Quantize)
def quantize(b: Builder, op: Quantize) -> str:
    """Float values to levels: Quant where it says the same, else divide, round, bring into range."""
    fmt, x, rank = op.format, b.read(op.x), len(op.shape)
    target = dtype_of(op)
    if is_binary(fmt):
        if fmt.frac is not None:
            return b.cast(bipolar_node(b, x, fmt, rank), target)
        return b.cast(bipolar_node(b, x, Binary(), rank), target)
    if integer_base(fmt) is None:
        raise refuse(op, f"activations in {fmt}")
    if fmt.frac is not None and expressible(fmt, op.out.rounding, op.out.overflow):
        return b.cast(quant_node(b, x, op.out, rank), target)
    dtype = b.dtype(x)
    levels = b.each("Div", x, b.constant(along(fmt.scale_array, fmt.axis, rank).astype(dtype)))
    levels = b.cast(rounded(b, levels, op.out.rounding), np.dtype(np.float64) if dtype != F32 else F32)
    zero = along(fmt.zero_point_array, fmt.axis, rank)
    levels = overflowed(b, levels, *fmt.level_range, op.out.overflow, zero)
    if unit(fmt) != 1.0:
        levels = b.each("Mul", levels, b.scalar(unit(fmt), b.dtype(levels)))
    return b.cast(levels, target)


@exports(Cast)
def cast(b: Builder, op: Cast) -> str:
    if op.format.is_float:
        return b.cast(b.read(op.x), op.format.dtype)
    lo, hi = centered_range(op.x.format)
    step = unit(op.x.format)
    return b.cast(dyadic_quantised(b, b.read(op.x), op.out, (lo * step, hi * step), op), dtype_of(op))
