"""Convolutions, plain, depthwise, separable and transposed."""

from __future__ import annotations

import numpy as np

from edgec.frontend.keras.activation import activate
from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.quantizers import parameter
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import Tensor, first, own
from edgec.ops import Conv, ConvTranspose, Op


def same_pads(sizes: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """Pads (begin..., end...) of TensorFlow's `same`: ceil(n / stride) results, the odd element behind.

    `kernel` is the extent of the window, dilation included.
    """
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, kernel, strides, strict=True)]
    return (*(t // 2 for t in total), *(t - t // 2 for t in total))


def extent(kernel: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    """What a window covers."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))


def result(layer: Layer, y: Op, last: bool) -> Tensor:
    """The tensor of a computed [N, C, *S] in the layer's data format, after its activation."""
    return activate(layer, first(y) if last else own(y), layer.raw("activation"))


class Window:
    """The settings of a sliding window: kernel, strides, dilations, pads, and the operand [N, C, *S]."""

    def __init__(self, layer: Layer, xs: list[Tensor], rank: int) -> None:
        x = layer.one(xs, rank + 2)
        self.last = layer.channels_last()
        self.x = layer.channel_axis(x, self.last)
        self.channels, self.spatial = self.x.shape[1], self.x.shape[2:]
        self.kernel = layer.sizes("kernel_size", rank)
        self.strides = layer.sizes("strides", rank, 1)
        self.dilations = layer.sizes("dilation_rate", rank, 1)
        self.padding = layer.string("padding", "valid", ("valid", "same", *(("causal",) if rank == 1 else ())))
        window = extent(self.kernel, self.dilations)
        layer.limit(*(n + w for n, w in zip(self.spatial, window, strict=True)), what="the padded operand")
        self.pads = (0,) * 2 * rank
        if self.padding == "same":
            self.pads = same_pads(self.spatial, window, self.strides)
        elif self.padding == "causal":
            self.pads = (window[0] - 1, 0)

    def conv(self, layer: Layer, w: Op, b: Op | None, groups: int) -> Op:
        """The convolution of the operand with weights [O, C/groups, *K]."""
        return Conv(self.x, w, b, self.strides, self.pads, self.dilations, groups, loc=layer.loc)


def bias(layer: Layer, channels: int) -> Op | None:
    """The bias [channels] of a layer that has one."""
    if not layer.flag("use_bias", True):
        layer.ignore("bias_quantizer")
        return None
    return parameter(layer, layer.weight("bias", channels), "bias_quantizer", np.asarray)


def outputs_first(kernel: np.ndarray) -> np.ndarray:
    """[*K, C/groups, O] to [O, C/groups, *K]."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def depthwise_first(kernel: np.ndarray) -> np.ndarray:
    """[*K, C, M] to [C·M, 1, *K]."""
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *kernel.shape[:-2])


@imports("Conv1D", "Conv2D", "QConv1D", "QConv2D")
def conv(layer: Layer, xs: list[Tensor]) -> Tensor:
    window = Window(layer, xs, 1 if layer.class_name.endswith("1D") else 2)
    filters, groups = layer.integer("filters"), layer.integer("groups", 1)
    layer.require(not layer.raw("mask"), "a mask on the kernel", remedy="multiply the mask into the weights")
    if window.channels % groups or filters % groups:
        layer.malformed(f"{groups} groups of {window.channels} channels and {filters} filters")
    kernel = layer.weight("kernel", *window.kernel, window.channels // groups, filters)
    w = parameter(layer, kernel, "kernel_quantizer", outputs_first)
    return result(layer, window.conv(layer, w, bias(layer, filters), groups), window.last)


@imports("DepthwiseConv1D", "DepthwiseConv2D", "QDepthwiseConv2D")
def depthwise(layer: Layer, xs: list[Tensor]) -> Tensor:
    window = Window(layer, xs, 1 if layer.class_name.endswith("1D") else 2)
    multiplier = layer.integer("depth_multiplier", 1)
    layer.ignore("groups", "filters")  # what the base class stores; the kernel decides
    kernel = layer.weight("depthwise kernel", *window.kernel, window.channels, multiplier)
    w = parameter(layer, kernel, "depthwise_quantizer", depthwise_first)
    b = bias(layer, window.channels * multiplier)
    return result(layer, window.conv(layer, w, b, window.channels), window.last)


@imports("SeparableConv1D", "SeparableConv2D", "QSeparableConv1D", "QSeparableConv2D")
def separable(layer: Layer, xs: list[Tensor]) -> Tensor:
    """A depthwise convolution, then a pointwise one that has the bias."""
    rank = 1 if layer.class_name.endswith("1D") else 2
    window = Window(layer, xs, rank)
    filters, multiplier = layer.integer("filters"), layer.integer("depth_multiplier", 1)
    layer.ignore("groups")
    inner = window.channels * multiplier
    kernel = layer.weight("depthwise kernel", *window.kernel, window.channels, multiplier)
    point = layer.weight("pointwise kernel", *(1,) * rank, inner, filters)
    w = parameter(layer, kernel, "depthwise_quantizer", depthwise_first)
    y = window.conv(layer, w, None, window.channels)
    pointwise = parameter(layer, point, "pointwise_quantizer", outputs_first)
    return result(layer, Conv(y, pointwise, bias(layer, filters), loc=layer.loc), window.last)


@imports("Conv1DTranspose", "Conv2DTranspose")
def transposed(layer: Layer, xs: list[Tensor]) -> Tensor:
    """The gradient of a convolution: the forward convolution of the result gives the operand's shape."""
    rank = 1 if layer.class_name.startswith("Conv1D") else 2
    window = Window(layer, xs, rank)
    filters = layer.integer("filters")
    layer.require(layer.integer("groups", 1) == 1, "groups in a transposed convolution")
    stated = layer.raw("output_padding")
    extra = None if stated is None else layer.sizes("output_padding", rank, low=0)
    kernel = layer.weight("kernel", *window.kernel, filters, window.channels)
    pads, grow = _transposed_pads(layer, window, extra)
    x, w = window.x, parameter(layer, kernel, "", lambda a: np.moveaxis(a, (-1, -2), (0, 1)))
    b = bias(layer, filters)
    return result(
        layer, ConvTranspose(x, w, b, window.strides, pads, window.dilations, grow, loc=layer.loc), window.last
    )


def _transposed_pads(
    layer: Layer, window: Window, extra: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is cut from the full result, begin and end, and what is added behind it."""
    low, high, grow = [], [], []
    same = window.padding == "same"
    reach = extent(window.kernel, window.dilations)
    for i, (n, s, k) in enumerate(zip(window.spatial, window.strides, reach, strict=True)):
        full = (n - 1) * s + k
        if extra is not None:
            size = full - (2 * (k // 2) if same else 0) + extra[i]
        else:
            size = n * s if same else n * s + max(k - s, 0)
        layer.limit(size)
        cut = max(full - size, 0)
        low.append(cut // 2 if same else 0)
        high.append(cut - low[-1])
        grow.append(max(size - full, 0))
    return (*low, *high), tuple(grow)
