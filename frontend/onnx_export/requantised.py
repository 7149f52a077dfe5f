"""Integer rescaling, thresholds, tables and averages as nodes of domain `edgec`.

ONNX has no operators for them. `integer_functions.py` gives each as a local function of standard operators in
int64; the attributes name the formats, so that the import finds the op again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgec.formats import Affine, Format, Quantizer
from edgec.frontend.onnx.types import scaled
from edgec.frontend.onnx_export.builder import DETECTOR, F64, I64, Builder, dtype_of, exports, unit
from edgec.frontend.onnx_export.quantised import along, integer_base, is_binary, refuse
from edgec.frontend.onnx_export.unfold import window_indices
from edgec.ops import (
    AvgPool,
    Constant,
    Lut,
    MultiThreshold,
    Op,
    Requantize,
    RequantizeFloat,
    centered_levels,
    centered_range,
)
from edgec.passes._accumulator import level_interval


def carried(fmt: Format) -> Format:
    """The format of what an exported tensor holds: `fmt` itself, or its levels where the scale is left out."""
    if fmt.frac is not None or not isinstance(fmt, Affine):
        return fmt
    zero = fmt.zero_point_array
    if len(set(zero.tolist())) == 1:
        return scaled(fmt.base, np.ones(1), zero[:1], None)
    return scaled(fmt.base, np.ones(zero.size), zero, fmt.axis)


def call(b: Builder, op: Op, name: str, operands: list[str], source: Format, target: Format, **attributes: Any) -> str:
    """A node of domain `edgec` whose attributes name both formats; it works in the wider of the float types."""
    wide = F64 if F64 in (b.dtype(operands[0]), dtype_of(op)) else b.dtype(operands[0])
    operands = [b.cast(operands[0], wide), *operands[1:]]
    y = b.node(
        name,
        operands,
        op.shape,
        wide,
        domain=DETECTOR,
        from_format=str(carried(source)),
        to_format=str(carried(target)),
        **attributes,
    )
    return b.cast(y, dtype_of(op))


def ends(b: Builder, op: Op, source: Format, out: Quantizer) -> list[str]:
    """Operands that every rescaling needs: unit of x; zero point, lowest and highest level, unit of the result."""
    lo, hi = out.format.level_range
    if out.overflow == "saturate_symmetric" and lo < 0:
        lo = -hi
    if out.overflow == "wrap" and (hi - lo + 1) & (hi - lo):
        raise refuse(op, "wrapping into a narrow range")
    if lo < -(1 << 62) or hi > 1 << 62:
        raise refuse(op, f"levels of {out.format}")
    floats = [b.scalar(unit(f), F64) for f in (source, out.format)]
    zero = int(out.format.zero_point_array[0])
    return [floats[0], *(b.scalar(v, I64) for v in (zero, lo, hi)), floats[1]]


def _variant(b: Builder, name: str, out: Quantizer) -> dict[str, str]:
    b.variants.setdefault(name, set()).add((out.rounding, out.overflow))
    return {"rounding": out.rounding, "overflow": out.overflow}


@exports(Requantize)
def requantize(b: Builder, op: Requantize) -> str:
    """Multiply, add, divide by a power of two and round; all in int64."""
    rank = len(op.shape)
    parameters = []
    for p in (op.multiplier, op.shift, op.offset):
        if p is not None and not isinstance(p, Constant):
            raise refuse(op, "parameters that are computed")
        parameters.append(np.zeros(1, np.int64) if p is None else p.levels)
    multiplier, shift, offset = parameters
    lo, hi = level_interval(op.x)  # of a sum with known weights much less than its format could hold
    bound = max(-int(lo.min()), int(hi.max())) * int(np.abs(multiplier).max()) + int(np.abs(offset).max())
    up = np.maximum(-shift, 0)
    if int(up.max()) > 62 or int(shift.max()) > 61 or (bound << int(up.max())) >= 1 << 62:
        raise refuse(op, f"products up to {bound} shifted by {int(shift.max())}")
    divisor = 1 << np.maximum(shift, 0)
    arrays = [b.constant(along(a, op.axis, rank)) for a in (multiplier << up, divisor, offset << up)]
    operands = [b.read(op.x), *arrays, *ends(b, op, op.x.format, op.out)]
    axis = op.axis % rank if rank else 0
    return call(
        b, op, "Requantize", operands, op.x.format, op.out.format, axis=axis, **_variant(b, "Requantize", op.out)
    )


@exports(RequantizeFloat)
def requantize_float(b: Builder, op: RequantizeFloat) -> str:
    """The binary32 product of accumulator and scale, rounded."""
    if not isinstance(op.scale, Constant):
        raise refuse(op, "a scale that is computed")
    if op.out.overflow == "wrap":
        raise refuse(op, "a float quantiser that wraps")
    rank = len(op.shape)
    scale = b.constant(along(op.scale.data, op.axis, rank))
    operands = [b.read(op.x), scale, *ends(b, op, op.x.format, op.out)]
    axis = op.axis % rank if rank else 0
    return call(
        b,
        op,
        "RequantizeFloat",
        operands,
        op.x.format,
        op.out.format,
        axis=axis,
        **_variant(b, "RequantizeFloat", op.out),
    )


def _table(b: Builder, fmt: Format, codes: np.ndarray) -> str:
    return b.constant(centered_levels(codes, fmt) * unit(fmt))


@exports(MultiThreshold)
def multi_threshold(b: Builder, op: MultiThreshold) -> str:
    """Compare with every threshold, count, look the count up."""
    if not (isinstance(op.thresholds, Constant) and isinstance(op.sign, Constant)):
        raise refuse(op, "thresholds that are computed")
    rank = len(op.shape)
    levels = op.thresholds.levels
    shape = [1] * rank + [levels.shape[1]]
    if levels.shape[0] > 1:
        shape[op.axis % rank] = levels.shape[0]
    low, high = op.to.code_range
    operands = [
        b.read(op.x),
        b.constant(levels.reshape(shape)),
        b.constant(along(op.sign.levels, op.axis, rank)),
        b.scalar(unit(op.x.format), F64),
        _table(b, op.to, np.arange(low, high + 1)),
    ]
    return call(b, op, "MultiThreshold", operands, op.x.format, op.to, axis=op.axis % rank)


@exports(Lut)
def lut(b: Builder, op: Lut) -> str:
    """Gather from the table's values; the code of -1 and +1 is 0 and 1."""
    if not isinstance(op.table, Constant):
        raise refuse(op, "a table that is computed")
    fmt = op.x.format
    offset, divisor = np.ones((), np.int64), 2
    if not is_binary(fmt):
        if integer_base(fmt) is None:
            raise refuse(op, f"a look-up by {fmt}")
        offset, divisor = along(fmt.zero_point_array, fmt.axis, len(op.shape)) - fmt.code_range[0], 1
    operands = [
        b.read(op.x),
        b.scalar(unit(fmt), F64),
        b.constant(offset),
        b.scalar(divisor, I64),
        _table(b, op.format, op.table.data),
    ]
    return call(b, op, "Lut", operands, fmt, op.format)


def integer_average(b: Builder, op: AvgPool, counts: np.ndarray) -> str:
    """Exact sums over windows of levels, divided by `counts` and rounded in int64."""
    out = op.out or Quantizer(op.format)
    source, target = op.x.format, out.format
    up = (target.frac or 0) - (source.frac or 0) if source.frac is not None and target.frac is not None else 0
    places, taps = math.prod(op.shape[2:]), math.prod(op.kernel)
    lo, hi = centered_range(source)
    if abs(up) > 32 or (max(-lo, hi) * taps) << max(up, 0) >= 1 << 62:
        raise refuse(op, f"sums of {taps} levels of {source}")
    rank = len(op.kernel)
    indices = window_indices(op.x.shape[2:], op.kernel, op.strides, op.pads[:rank], op.dilations, op.shape[2:])
    operands = [
        b.read(op.x),
        b.constant(indices),
        b.ints([*op.shape[:2], places, taps]),
        b.ints(op.shape),
        b.scalar(1 << max(up, 0), I64),
        b.constant(counts.astype(np.int64) << max(-up, 0)),
        *ends(b, op, source, out),
    ]
    return call(
        b,
        op,
        "AveragePool",
        operands,
        source,
        target,
        kernel_shape=list(op.kernel),
        strides=list(op.strides),
        pads=list(op.pads),
        dilations=list(op.dilations),
        ceil_mode=int(op.ceil_mode),
        count_include_pad=int(op.count_include_pad),
        **_variant(b, "AveragePool", out),
    )
