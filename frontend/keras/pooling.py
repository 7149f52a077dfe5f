"""Pooling. Padding never wins a maximum and never counts in a mean, as in TensorFlow."""

from __future__ import annotations

from edgec.frontend.keras.convolution import same_pads
from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import Tensor, first, own
from edgec.ops import AvgPool, MaxPool, Op, Reshape


@imports("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
def pool(layer: Layer, xs: list[Tensor]) -> Tensor:
    rank = 1 if layer.class_name.endswith("1D") else 2
    x, last = layer.one(xs, rank + 2), layer.channels_last()
    op = layer.channel_axis(x, last)
    kernel = layer.sizes("pool_size", rank, 2)
    strides = layer.sizes("strides", rank, kernel)
    same = layer.string("padding", "valid", ("valid", "same")) == "same"
    pads = same_pads(op.shape[2:], kernel, strides) if same else (0,) * 2 * rank
    if layer.class_name.startswith("Max"):
        y: Op = MaxPool(op, kernel, strides, pads, loc=layer.loc)
    else:
        y = AvgPool(op, kernel, strides, pads, loc=layer.loc)
    return first(y) if last else own(y)


@imports("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D")
def global_pool(layer: Layer, xs: list[Tensor]) -> Tensor:
    rank = 1 if layer.class_name.endswith("1D") else 2
    x, last = layer.one(xs, rank + 2), layer.channels_last()
    op = layer.channel_axis(x, last)
    kind = MaxPool if "Max" in layer.class_name else AvgPool
    y = kind(op, op.shape[2:], loc=layer.loc)
    if layer.flag("keepdims"):
        return first(y) if last else own(y)
    return own(Reshape(y, y.shape[:2], loc=layer.loc))
