"""Multiply-accumulate ops, which state all their arithmetic.

Products of levels are exact integers. `product` optionally rounds each product before it is summed (the
fabricated ECON-T chip floors every product). The sum with the bias is exact; `acc` optionally brings the finished
sum into an accumulator format (for `wrap` that equals wrapping at every addition; `saturate` clips once, at the
end); `out` then brings it into the output format. Without `acc` and `out` the result is the exact sum in the
narrowest format that holds every possible sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgec.formats import Affine, Format, Integer, Quantizer, TensorType, smallest_fixed
from edgec.ops.base import Op, broadcast, normalize_axis, require, same_float


def centered_range(fmt: Format) -> tuple[int, int]:
    """Smallest and largest level with the zero point subtracted, over all channels."""
    lo, hi = fmt.level_range
    zero = fmt.zero_point_array
    return lo - int(zero.max()), hi - int(zero.min())


def product_range(x: tuple[int, int], w: tuple[int, int]) -> tuple[int, int]:
    corners = [a * b for a in x for b in w]
    return min(corners), max(corners)


def quantized(fmt: Format, quantizer: Quantizer | None) -> Format:
    """The format after an optional quantizer; only dyadic units can be converted by shifting."""
    if quantizer is None:
        return fmt
    require(fmt.frac is not None, f"{fmt} has no power-of-two unit: use requantize")
    require(quantizer.format.frac is not None, f"{quantizer.format} has no power-of-two unit: use requantize")
    require(not quantizer.format.zero_point_array.any(), "a quantizer of a sum needs zero point 0: use requantize")
    return quantizer.format


def mac_format(
    x: Format,
    w: Format,
    bias: Format | None,
    terms: int,
    product: Quantizer | None,
    acc: Quantizer | None,
    out: Quantizer | None,
    channel_axis: int,
) -> Format:
    """The result format of `terms` products summed; `channel_axis` is the output axis of per-channel weights."""
    if x.is_float or w.is_float:
        require(x == w, f"float and integer operands mixed: {x} and {w}")
        require(product is None and acc is None and out is None, "quantizers need integer operands")
        require(bias is None or bias == x, f"bias {bias} for {x}")
        return x
    require(x.axis is None, "the activations of a multiply-accumulate op are quantised per tensor")
    lo, hi = product_range(centered_range(x), centered_range(w))
    if x.frac is not None and w.frac is not None:
        frac = x.frac + w.frac
        if product is not None:
            fmt = product.format
            require(fmt.frac is not None, "products can be rounded to power-of-two units only")
            require(fmt.has_zero, f"a product rounded to {fmt} is never zero, so a padded tap would count")
            quantized(smallest_fixed(lo, hi, frac), product)
            frac, (lo, hi) = fmt.frac or 0, fmt.level_range
        lo, hi = terms * min(lo, 0), terms * max(hi, 0)
        if bias is not None:
            require(bias.frac is not None, f"bias {bias} has no power-of-two unit")
            b_lo, b_hi = centered_range(bias)
            common = max(frac, bias.frac or 0)
            lo, hi = lo << (common - frac), hi << (common - frac)
            lo += min(b_lo << (common - (bias.frac or 0)), 0)
            hi += max(b_hi << (common - (bias.frac or 0)), 0)
            frac = common
        exact: Format = smallest_fixed(lo, hi, frac)
    else:
        require(product is None and acc is None and out is None, "quantizers need power-of-two units: use requantize")
        require(bias is None or isinstance(bias, Integer), f"the bias {bias} must be integers in accumulator units")
        b_lo, b_hi = bias.code_range if bias is not None else (0, 0)
        lo, hi = terms * min(lo, 0) + min(b_lo, 0), terms * max(hi, 0) + max(b_hi, 0)
        bits = smallest_fixed(min(lo, -1), hi, 0).bits
        scales = (x.scale_array * w.scale_array).tolist()
        axis = channel_axis if len(scales) > 1 else None
        exact = Affine(Integer(max(32, bits)), tuple(scales), (0,), axis)
    require(exact.bits <= 63, f"the exact sum needs {exact.bits} bits; at most 63")
    return quantized(quantized(exact, acc), out)


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """Fully connected layer: y[..., o] = sum_k x[..., k] * w[o, k] + b[o]. Shapes: x [..., K], w [O, K], b [O]."""

    x: Op
    w: Op
    b: Op | None = None
    product: Quantizer | None = None
    acc: Quantizer | None = None
    out: Quantizer | None = None

    @property
    def terms(self) -> int:
        """Products per output."""
        return self.w.shape[1]

    def infer(self) -> TensorType:
        x, w = self.x.tensor, self.w.tensor
        require(len(w.shape) == 2 and x.shape != (), "dense needs weights [O, K] and inputs [..., K]")
        require(x.shape[-1] == w.shape[1], f"{x.shape[-1]} inputs for weights {list(w.shape)}")
        if self.b is not None:
            require(self.b.shape == (w.shape[0],), f"bias {list(self.b.shape)} for {w.shape[0]} outputs")
        require(w.format.axis is None or normalize_axis(w.format.axis, 2) == 0, "weights are quantised per output")
        fmt = mac_format(
            x.format,
            w.format,
            self.b.format if self.b is not None else None,
            w.shape[1],
            self.product,
            self.acc,
            self.out,
            len(x.shape) - 1,
        )
        return TensorType(fmt, (*x.shape[:-1], w.shape[0]))


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """Convolution over any number of spatial axes. x [N, C, *S], w [O, C/groups, *K], b [O] -> [N, O, *T].

    `pads` are (begin..., end...) as in ONNX; a padded tap contributes nothing to the sum.
    """

    x: Op
    w: Op
    b: Op | None = None
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    groups: int = 1
    product: Quantizer | None = None
    acc: Quantizer | None = None
    out: Quantizer | None = None

    def __post_init__(self) -> None:
        rank = len(self.x.shape) - 2
        for name, default in (("strides", (1,) * rank), ("pads", (0,) * 2 * rank), ("dilations", (1,) * rank)):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        super().__post_init__()

    @property
    def terms(self) -> int:
        """Products per output, padded taps included."""
        return math.prod(self.w.shape[1:])

    def infer(self) -> TensorType:
        x, w = self.x.tensor, self.w.tensor
        rank = len(x.shape) - 2
        require(rank >= 1 and len(w.shape) == rank + 2, f"input {list(x.shape)} with weights {list(w.shape)}")
        require(self.groups >= 1 and w.shape[0] % self.groups == 0, f"{w.shape[0]} outputs in {self.groups} groups")
        require(x.shape[1] == w.shape[1] * self.groups, f"{x.shape[1]} channels for weights {list(w.shape)}")
        if self.b is not None:
            require(self.b.shape == (w.shape[0],), f"bias {list(self.b.shape)} for {w.shape[0]} outputs")
        require(
            w.format.axis is None or normalize_axis(w.format.axis, len(w.shape)) == 0,
            "weights are quantised per output channel",
        )
        spatial = window_shape(x.shape[2:], w.shape[2:], self.strides, self.pads, self.dilations)
        fmt = mac_format(
            x.format,
            w.format,
            self.b.format if self.b is not None else None,
            self.terms,
            self.product,
            self.acc,
            self.out,
            1,
        )
        return TensorType(fmt, (x.shape[0], w.shape[0], *spatial))


@dataclass(frozen=True, eq=False)
class ConvTranspose(Op):
    """Transposed convolution in floats. x [N, C, *S], w [C, O/groups, *K], b [O] (ONNX layout)."""

    x: Op
    w: Op
    b: Op | None = None
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        rank = len(self.x.shape) - 2
        defaults = {"strides": 1, "dilations": 1, "output_padding": 0}
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, (value,) * rank)
        if not self.pads:
            object.__setattr__(self, "pads", (0,) * 2 * rank)
        super().__post_init__()

    def infer(self) -> TensorType:
        x, w = self.x.tensor, self.w.tensor
        rank = len(x.shape) - 2
        require(rank >= 1 and len(w.shape) == rank + 2, f"input {list(x.shape)} with weights {list(w.shape)}")
        require(self.groups >= 1, f"{self.groups} groups")
        require(x.shape[1] == w.shape[0] and x.shape[1] % self.groups == 0, "channels do not fit the weights")
        fits = (
            len(self.strides) == len(self.dilations) == len(self.output_padding) == rank and len(self.pads) == 2 * rank
        )
        require(fits, f"window attributes do not fit {rank} axes")
        if self.b is not None:
            outputs = w.shape[1] * self.groups
            require(self.b.shape == (outputs,), f"bias {list(self.b.shape)} for {outputs} outputs")
        fmt = same_float(*self.operands)
        spatial = tuple(
            s * (n - 1) + op + d * (k - 1) + 1 - self.pads[i] - self.pads[i + rank]
            for i, (n, k, s, d, op) in enumerate(
                zip(x.shape[2:], w.shape[2:], self.strides, self.dilations, self.output_padding, strict=True)
            )
        )
        require(all(n > 0 for n in spatial), f"empty result {list(spatial)}")
        return TensorType(fmt, (x.shape[0], w.shape[1] * self.groups, *spatial))


@dataclass(frozen=True, eq=False)
class MatMul(Op):
    """Matrix product of two computed tensors with numpy's batching: [..., M, K] @ [..., K, N], floats."""

    x: Op
    y: Op

    def infer(self) -> TensorType:
        a, b = self.x.shape, self.y.shape
        require(min(len(a), len(b)) >= 2, "matmul needs at least two dimensions")
        require(a[-1] == b[-2], f"inner dimensions {a[-1]} and {b[-2]}")
        return TensorType(same_float(self.x, self.y), (*broadcast(a[:-2], b[:-2]), a[-2], b[-1]))


def window_shape(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Output sizes of a sliding window; raises when attributes do not fit the rank or nothing is left."""
    rank = len(size)
    require(len(kernel) == len(strides) == len(dilations) == rank, f"window attributes do not fit {rank} axes")
    require(len(pads) == 2 * rank, f"{len(pads)} pads for {rank} axes")
    require(all(v >= 1 for v in (*kernel, *strides, *dilations)), "kernel, strides and dilations are at least 1")
    require(all(p >= 0 for p in pads), "negative pads")
    result = []
    for i in range(rank):
        padded = size[i] + pads[i] + pads[i + rank]
        room = padded - dilations[i] * (kernel[i] - 1) - 1
        require(room >= 0, f"a window of {kernel[i]} (dilation {dilations[i]}) does not fit {padded} elements")
        n = -(-room // strides[i]) + 1 if ceil_mode else room // strides[i] + 1
        if ceil_mode and (n - 1) * strides[i] >= size[i] + pads[i]:
            n -= 1  # the last window would start inside the end padding (ONNX, PyTorch)
        result.append(n)
    return tuple(result)
