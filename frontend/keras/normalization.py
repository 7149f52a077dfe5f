"""Normalisations with stored statistics, layer normalisation, and fixed rescaling of inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.quantizers import real_parameter
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import FLAT, OWN, Tensor, own
from edgec.ops import Add, BatchNorm, Mul, Normalize, Sub


@imports("BatchNormalization", "QBatchNormalization")
def batch_normalization(layer: Layer, xs: list[Tensor]) -> Tensor:
    """Along one axis. Quantisers of QKeras act on the stored parameters, which stay numbers of float32."""
    x = layer.one(xs)
    axes = layer.axes("axis", x.rank)
    layer.require(len(axes) == 1, "batch normalisation along several axes")
    axis, channels = axes[0], x.shape[axes[0]]
    epsilon = layer.number("epsilon", 1e-3)
    if layer.class_name.startswith("Q"):
        layer.ignore("activation")  # stored by the class, never applied by it
    gamma, beta = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if layer.flag("scale", True):
        gamma = real_parameter(layer, layer.weight("gamma", channels), "gamma_quantizer")
    if layer.flag("center", True):
        beta = real_parameter(layer, layer.weight("beta", channels), "beta_quantizer")
    mean = real_parameter(layer, layer.weight("moving mean", channels), "mean_quantizer")
    variance = real_parameter(layer, layer.weight("moving variance", channels), "variance_quantizer")
    layer.ignore("gamma_quantizer", "beta_quantizer")
    parameters = [gamma, beta, mean, variance]
    if axis == 0:
        layer.unsupported("batch normalisation along the batch")
    if x.order == FLAT:
        order = x.flat_order()
        parameters = [p[order] for p in parameters]
        op, rebuild = x.op, x.with_op
    elif axis == 1 and x.order == OWN:
        op, rebuild = x.op, own
    elif axis == x.rank - 1:
        op, rebuild = x.first, lambda y: Tensor(y, x.shape, "first")
    elif axis == 1:
        op, rebuild = x.own, own
    else:
        layer.unsupported(f"batch normalisation along axis {axis} of {x.rank}", remedy="normalise the channels")
    scale, bias, mean, variance = (layer.constant(p) for p in parameters)
    return rebuild(BatchNorm(op, scale, bias, mean, variance, epsilon, loc=layer.loc))


@imports("LayerNormalization")
def layer_normalization(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    axes = sorted(layer.axes("axis", x.rank))
    layer.require(axes == list(range(axes[0], x.rank)) and axes[0] > 0, f"layer normalisation over axes {axes}")
    layer.require(not layer.flag("rms_scaling"), "layer normalisation with rms_scaling")
    shape = x.shape[axes[0] :]
    scale = layer.weight("gamma", *shape) if layer.flag("scale", True) else np.ones(shape, np.float32)
    bias = layer.constant(layer.weight("beta", *shape)) if layer.flag("center", True) else None
    epsilon = layer.number("epsilon", 1e-3)
    return own(Normalize(x.own, layer.constant(scale), bias, axes[0], epsilon, loc=layer.loc))


@imports("Rescaling")
def rescaling(layer: Layer, xs: list[Tensor]) -> Tensor:
    """x · scale + offset; either may be one number for each channel."""
    x = layer.one(xs)
    scale, offset = (_numbers(layer, name, default) for name, default in (("scale", None), ("offset", 0.0)))
    if max(scale.ndim, offset.ndim) and x.order != OWN:
        x = own(x.own)
    y = Mul(x.op, layer.constant(scale), loc=layer.loc)
    return x.with_op(y if not offset.any() else Add(y, layer.constant(offset), loc=layer.loc))


@imports("Normalization")
def normalization(layer: Layer, xs: list[Tensor]) -> Tensor:
    """(x - mean) / max(sqrt(variance), 1e-7) with adapted or given statistics."""
    x = layer.one(xs)
    layer.require(not layer.flag("invert"), "a normalisation that is inverted")
    axis = layer.raw("axis", -1)
    axes = layer.axes("axis", x.rank) if axis not in (None, [], ()) else ()
    layer.require(0 not in axes, "normalisation along the batch")
    kept = tuple(x.shape[a] if a in axes else 1 for a in range(x.rank))
    stored = tuple(x.shape[a] for a in sorted(axes))
    if layer.raw("mean") is not None:
        mean, variance = (_numbers(layer, name, None) for name in ("mean", "variance"))
        if mean.ndim:
            flat = (math.prod(stored),)
            mean, variance = (np.broadcast_to(a.reshape(-1), flat).reshape(kept) for a in (mean, variance))
    else:
        layer.ignore("variance")
        mean, variance = (layer.weight(what, *stored).reshape(kept) for what in ("mean", "variance"))
        layer.used = len(layer.variables)  # the number of samples that were seen
    deviation = np.maximum(np.sqrt(variance), np.float32(1e-7))
    y = Sub(x.own, layer.constant(mean), loc=layer.loc)
    return own(Mul(y, layer.constant(1 / deviation), loc=layer.loc))


def _numbers(layer: Layer, name: str, default: Any) -> np.ndarray:
    """A setting that is a number or nested lists of numbers."""
    value = layer.raw(name, default)
    if not isinstance(value, list):
        return np.array(layer.as_number(value, name), np.float32)
    array = np.array(value, np.float32)
    if not np.isfinite(array).all():
        layer.unsupported(f"setting {name!r} holds numbers that are not finite")
    return array
