"""Dense layers, inputs, and layers that do nothing at inference."""

from __future__ import annotations

import numpy as np

from edgec.frontend.keras.activation import activate
from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.quantizers import parameter
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import FLAT, Tensor, own
from edgec.ops import Dense

INFERENCE_IDENTITY = {
    "Dropout": ("rate",),
    "SpatialDropout1D": ("rate",),
    "SpatialDropout2D": ("rate", "data_format"),
    "GaussianDropout": ("rate",),
    "AlphaDropout": ("rate",),
    "GaussianNoise": ("stddev",),
    "ActivityRegularization": ("l1", "l2"),
}
"""Layers that train only, with their settings."""


@imports("InputLayer")
def input_layer(layer: Layer, xs: list[Tensor]) -> Tensor:
    layer.malformed("it is not among the inputs of its model")


@imports(*INFERENCE_IDENTITY)
def nothing(layer: Layer, xs: list[Tensor]) -> Tensor:
    layer.ignore(*INFERENCE_IDENTITY[layer.class_name])
    return layer.one(xs)


@imports("Dense", "QDense")
def dense(layer: Layer, xs: list[Tensor]) -> Tensor:
    """Over the last axis. Behind a flattened convolution the weights are put in the order of its channels."""
    x, units = layer.one(xs), layer.integer("units")
    if x.rank < 2:
        layer.malformed(f"an operand {list(x.shape)}")
    kernel = layer.weight("kernel", x.shape[-1], units)
    rows = x.flat_order() if x.order == FLAT else None
    w = parameter(layer, kernel, "kernel_quantizer", lambda a: (a if rows is None else a[rows]).T)
    b = None
    if layer.flag("use_bias", True):
        b = parameter(layer, layer.weight("bias", units), "bias_quantizer", np.asarray)
    else:
        layer.ignore("bias_quantizer")
    y = Dense(x.own if rows is None else x.op, w, b, loc=layer.loc)
    return activate(layer, own(y), layer.raw("activation"))
