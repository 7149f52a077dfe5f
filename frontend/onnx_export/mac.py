"""Multiply-accumulate ops. Integer sums run in float32 where they are exact there, else in float64."""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import Quantizer
from edgec.frontend.onnx_export.builder import F32, F64, Builder, dtype_of, exact_dtype, exports, unit
from edgec.frontend.onnx_export.quantised import dyadic_quantised, refuse
from edgec.frontend.onnx_export.unfold import unfolded
from edgec.ops import Constant, Conv, ConvTranspose, Dense, MatMul, Op, centered_range


def _weights(op: Dense | Conv) -> np.ndarray:
    """Centred levels of the weights with one row an output."""
    if not isinstance(op.w, Constant):
        raise refuse(op, "integer weights that are computed")
    return op.w.levels.reshape(op.w.shape[0], -1)


def _step(op: Dense | Conv) -> float:
    """What one level of a product is worth: 1 in front of a sum without a power-of-two unit."""
    return unit(op.x.format) * unit(op.w.format) if op.format.frac is not None else 1.0


def _read_weights(b: Builder, op: Dense | Conv, dtype: np.dtype) -> str:
    """The weights; where one factor has a power-of-two unit and the sum has none, scaled so that levels are summed."""
    w = b.read(op.w, dtype)
    extra = _step(op) / (unit(op.x.format) * unit(op.w.format))
    return w if extra == 1.0 else b.each("Mul", w, b.scalar(extra, dtype))


def _bounds(op: Dense | Conv) -> tuple[int, int, int, float]:
    """Smallest and largest sum (products rounded, bias included), the largest partial sum, and their unit."""
    lo, hi = centered_range(op.x.format)
    step = _step(op)
    w = _weights(op)
    if int(np.abs(w).max(initial=0)) * max(-lo, hi) * max(op.terms, 1) >= 1 << 62:
        w = w.astype(object)
    low, high = np.minimum(w * lo, w * hi), np.maximum(w * lo, w * hi)
    if op.product is not None:
        finer = unit(op.product.format)
        low, high = (
            np.vectorize(lambda v: math.floor(v * step / finer), otypes=[object])(low),
            np.vectorize(lambda v: math.ceil(v * step / finer), otypes=[object])(high),
        )
        step = finer
    sums = [np.minimum(low, 0).sum(1).astype(object), np.maximum(high, 0).sum(1).astype(object)]
    if op.b is not None:
        bias = (
            op.b.levels.astype(object) if isinstance(op.b, Constant) else np.array(centered_range(op.b.format), object)
        )
        fine = min(step, unit(op.b.format))
        up, b_up = int(step / fine), int(unit(op.b.format) / fine)
        sums = [sums[0] * up + np.minimum(bias.min(), 0) * b_up, sums[1] * up + np.maximum(bias.max(), 0) * b_up]
        step = fine
    low_sum, high_sum = min(int(v) for v in sums[0]), max(int(v) for v in sums[1])
    biggest = max(int(np.abs(low).max(initial=0)), int(np.abs(high).max(initial=0)))
    return low_sum, high_sum, max(-low_sum, high_sum, biggest), step


def _product_dtype(op: Dense | Conv, dtype: np.dtype) -> np.dtype:
    """Products before they are rounded need more bits than after."""
    if op.product is None:
        return dtype
    lo, hi = centered_range(op.x.format)
    bound = max(-lo, hi) * int(np.abs(_weights(op)).max(initial=0))
    return F64 if dtype == F64 else exact_dtype(bound, op)


def _finish(b: Builder, op: Dense | Conv, y: str, low: float, high: float, step: float) -> str:
    bounds: tuple[float, float] | None = (low * step, high * step)
    for quantizer in (op.acc, op.out):
        if quantizer is not None:
            y = dyadic_quantised(b, y, quantizer, bounds, op)
            bounds = None
    return b.cast(y, dtype_of(op))


@exports(Dense)
def dense(b: Builder, op: Dense) -> str:
    x = b.read(op.x)
    if op.format.is_float:
        w = b.transpose(b.read(op.w), (1, 0))
        y = b.node("MatMul", [x, w], op.shape, b.dtype(x))
        return y if op.b is None else b.each("Add", y, b.read(op.b))
    low, high, bound, step = _bounds(op)
    dtype = exact_dtype(bound, op)
    if op.product is None:
        w = b.transpose(_read_weights(b, op, dtype), (1, 0))
        y = b.node("MatMul", [b.read(op.x, dtype), w], op.shape, dtype)
    else:
        wide = _product_dtype(op, dtype)
        rows = b.reshape(b.read(op.x, wide), (*op.x.shape[:-1], 1, op.x.shape[-1]))
        y = _rounded_sum(b, op, b.each("Mul", rows, b.read(op.w, wide)), op.product, dtype)
    if op.b is not None:
        y = b.each("Add", y, b.read(op.b, dtype))
    return _finish(b, op, y, low, high, step)


def _rounded_sum(b: Builder, op: Dense | Conv, products: str, quantizer: Quantizer, dtype: np.dtype) -> str:
    """Products [..., K] each brought to a format, then summed over K."""
    lo, hi = centered_range(op.x.format)
    w = _weights(op)
    corners = [a * int(v) for a in (lo, hi) for v in (w.min(initial=0), w.max(initial=0))]
    step = unit(op.x.format) * unit(op.w.format)
    terms = dyadic_quantised(b, products, quantizer, (min(corners) * step, max(corners) * step), op)
    terms = b.cast(terms, dtype)
    return b.node("ReduceSum", [terms, b.ints([-1])], b.shape(terms)[:-1], dtype, keepdims=0)


@exports(Conv)
def conv(b: Builder, op: Conv) -> str:
    rank = len(op.x.shape) - 2
    attributes = {
        "strides": list(op.strides),
        "pads": list(op.pads),
        "dilations": list(op.dilations),
        "group": op.groups,
        "kernel_shape": list(op.w.shape[2:]),
    }
    if op.format.is_float:
        operands = [b.read(o) for o in (op.x, op.w, op.b) if o is not None]
        return b.node("Conv", operands, op.shape, op.format.dtype, **attributes)
    low, high, bound, step = _bounds(op)
    dtype = exact_dtype(bound, op)
    if dtype == F32 and op.product is None:
        operands = [b.read(op.x, F32), _read_weights(b, op, F32), *([b.read(op.b, F32)] if op.b is not None else [])]
        return _finish(b, op, b.node("Conv", operands, op.shape, F32, **attributes), low, high, step)
    n, groups, outputs = op.x.shape[0], op.groups, op.w.shape[0]
    places, terms = math.prod(op.shape[2:]), op.terms
    wide = _product_dtype(op, dtype)
    patches = unfolded(
        b, b.read(op.x, wide), op.w.shape[2:], op.strides, op.pads, op.dilations, op.shape[2:]
    )  # [N, C, T, K]
    patches = b.reshape(patches, (n, groups, op.w.shape[1], places, math.prod(op.w.shape[2:])))
    patches = b.reshape(b.transpose(patches, (0, 1, 3, 2, 4)), (n, groups, places, terms))
    kernel = b.reshape(_read_weights(b, op, wide), (groups, outputs // groups, terms))
    if op.product is None:
        kernel = b.transpose(kernel, (0, 2, 1))
        y = b.node("MatMul", [patches, kernel], (n, groups, places, outputs // groups), dtype)
    else:
        rows = b.reshape(patches, (n, groups, places, 1, terms))
        columns = b.reshape(kernel, (groups, 1, outputs // groups, terms))
        y = _rounded_sum(b, op, b.each("Mul", rows, columns), op.product, dtype)
    y = b.reshape(b.transpose(y, (0, 1, 3, 2)), op.shape)
    if op.b is not None:
        y = b.each("Add", y, b.reshape(b.read(op.b, dtype), (1, outputs, *(1,) * rank)))
    return _finish(b, op, y, low, high, step)


@exports(ConvTranspose)
def conv_transpose(b: Builder, op: ConvTranspose) -> str:
    operands = [b.read(o) for o in (op.x, op.w, op.b) if o is not None]
    return b.node(
        "ConvTranspose",
        operands,
        op.shape,
        op.format.dtype,
        strides=list(op.strides),
        pads=list(op.pads),
        dilations=list(op.dilations),
        output_padding=list(op.output_padding),
        group=op.groups,
        kernel_shape=list(op.w.shape[2:]),
    )


@exports(MatMul)
def matmul(b: Builder, op: Op) -> str:
    return b.node("MatMul", [b.read(o) for o in op.operands], op.shape, op.format.dtype)
