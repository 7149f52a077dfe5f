"""Activations, as a setting of a layer and as layers of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.quantizers import call_of, is_quantizer, quantised
from edgec.frontend.keras.registry import imports
from edgec.frontend.keras.tensor import FLAT, Tensor, own
from edgec.ops import Clip, Mul, Op, PRelu, Relu, Softmax, Sub, Unary

SELU = (1.67326324, 1.05070098)
"""alpha and scale of selu as Keras has them."""


def relu(layer: Layer, x: Op, slope: float = 0.0, top: float | None = None, threshold: float = 0.0) -> Op:
    """x where x > threshold (at most `top`), else slope · (x - threshold)."""
    if threshold == 0.0 and slope == 0.0:
        return Relu(x, loc=layer.loc) if top is None else Clip(x, 0.0, top, loc=layer.loc)
    if threshold == 0.0 and top is None:
        return Unary(x, "leaky_relu", slope, loc=layer.loc)
    y: Op = Unary(x, "thresholded_relu", threshold, loc=layer.loc) if threshold else Relu(x, loc=layer.loc)
    if top is not None:
        y = Clip(y, min(0.0, top), top, loc=layer.loc)
    if slope:
        below = Relu(Sub(layer.scalar(threshold), x, loc=layer.loc), loc=layer.loc)
        y = Sub(y, Mul(layer.scalar(slope), below, loc=layer.loc), loc=layer.loc)
    return y


def _unary(name: str, alpha: float = 0.0, beta: float = 0.0) -> Callable[[Layer, Op], Op]:
    return lambda layer, x: Unary(x, name, alpha, beta, loc=layer.loc)


def _swish(layer: Layer, x: Op) -> Op:
    return Mul(x, Unary(x, "sigmoid", loc=layer.loc), loc=layer.loc)


def _hard_sigmoid(layer: Layer, x: Op) -> Op:
    """Keras 2: clip(0.2 x + 0.5, 0, 1); Keras 3: relu6(x + 3) / 6."""
    return Unary(x, "hard_sigmoid", 1 / 6 if layer.keras3 else 0.2, 0.5, loc=layer.loc)


def _leaky_relu(layer: Layer, x: Op) -> Op:
    return relu(layer, x, 0.2)


ELEMENTWISE: dict[str, Callable[[Layer, Op], Op]] = {
    "linear": lambda layer, x: x,
    "relu": lambda layer, x: Relu(x, loc=layer.loc),
    "relu6": lambda layer, x: Clip(x, 0.0, 6.0, loc=layer.loc),
    "leaky_relu": _leaky_relu,
    "elu": _unary("elu", 1.0),
    "selu": _unary("selu", *SELU),
    "gelu": _unary("gelu"),
    "celu": _unary("celu", 1.0),
    "sigmoid": _unary("sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "tanh": _unary("tanh"),
    "hard_tanh": lambda layer, x: Clip(x, -1.0, 1.0, loc=layer.loc),
    "swish": _swish,
    "silu": _swish,
    "hard_swish": _unary("hard_swish"),
    "hard_silu": _unary("hard_swish"),
    "softplus": _unary("softplus"),
    "softsign": _unary("softsign"),
    "exponential": _unary("exp"),
    "mish": _unary("mish"),
}
"""Activation -> function of one tensor, in any order of elements."""
ACTIVATIONS = (*ELEMENTWISE, "softmax", "log_softmax")


def activate(layer: Layer, x: Tensor, setting: Any) -> Tensor:
    """`x` after the activation that a layer's setting names: a word, a description, or a quantiser of QKeras."""
    if setting is None:
        return x
    if isinstance(setting, dict):
        registered = str(setting.get("registered_name") or "")
        if ">" in registered and not registered.lower().startswith(("keras", "qkeras")):
            layer.unsupported(
                f"activation {registered!r:.60}", why="it is code of one's own, which a file does not hold"
            )
        if setting.get("class_name") == "function":
            setting = setting.get("config")
    if isinstance(setting, str) and setting in ELEMENTWISE:
        return x.with_op(ELEMENTWISE[setting](layer, x.op))
    if setting in ("softmax", "log_softmax"):
        return softmax(layer, x, x.rank - 1, setting == "log_softmax")
    if is_quantizer(setting):
        return quantised(layer, x, call_of(layer, setting))
    if isinstance(setting, dict) and setting.get("class_name") in LAYERS:
        return _as_layer(layer, x, setting)
    name = setting.get("class_name") if isinstance(setting, dict) else setting
    layer.unsupported(f"activation {name!r:.60}", why=f"supported: {', '.join(ACTIVATIONS)}, and layers")


def _as_layer(layer: Layer, x: Tensor, setting: dict[str, Any]) -> Tensor:
    """An activation layer that is the activation of another layer."""
    inner = Layer(layer.spec, layer.name, [], layer.version)
    inner.class_name, config = setting["class_name"], setting.get("config")
    if not isinstance(config, dict):
        layer.malformed(f"activation {inner.class_name} has no configuration")
    inner.config, inner.unread = config, set(config)
    result = LAYERS[inner.class_name](inner, [x])
    inner.finish()
    return result


def softmax(layer: Layer, x: Tensor, axis: int, log: bool = False) -> Tensor:
    """Over axis `axis` of the model."""
    if x.order == FLAT:
        x = own(x.own)
    if not 0 <= axis < x.rank or x.rank < 2:
        layer.malformed(f"softmax over axis {axis} of {list(x.shape)}")
    return x.with_op(Softmax(x.op, x.axis(axis), log, loc=layer.loc))


@imports("Activation", "QActivation")
def activation(layer: Layer, xs: list[Tensor]) -> Tensor:
    return activate(layer, layer.one(xs), layer.raw("activation"))


@imports("ReLU", "ops.Relu", "ops.Relu6")
def relu_layer(layer: Layer, xs: list[Tensor]) -> Tensor:
    x, top = layer.one(xs), layer.raw("max_value")
    if layer.class_name == "Relu6":
        top = 6.0
    slope = layer.number("negative_slope", 0.0)
    limit = None if top is None else layer.as_number(top, "max_value")
    if slope < 0 or (limit is not None and limit < 0):
        layer.malformed(f"negative_slope {slope} and max_value {limit}")
    return x.with_op(relu(layer, x.op, slope, limit, layer.number("threshold", 0.0)))


@imports("LeakyReLU")
def leaky_relu_layer(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    slope = layer.number("alpha") if "alpha" in layer.config else layer.number("negative_slope", 0.3)
    return x.with_op(relu(layer, x.op, slope))


@imports("ELU")
def elu_layer(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    return x.with_op(Unary(x.op, "elu", layer.number("alpha", 1.0), loc=layer.loc))


@imports("ThresholdedReLU")
def thresholded_relu(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    return x.with_op(Unary(x.op, "thresholded_relu", layer.number("theta", 1.0), loc=layer.loc))


@imports("Softmax")
def softmax_layer(layer: Layer, xs: list[Tensor]) -> Tensor:
    x = layer.one(xs)
    axes = layer.axes("axis", x.rank)
    layer.require(len(axes) == 1, "softmax over several axes")
    return softmax(layer, x, axes[0])


@imports("PReLU")
def prelu(layer: Layer, xs: list[Tensor]) -> Tensor:
    """A slope for every element, or one along each of the shared axes."""
    x = layer.one(xs)
    shared = layer.axes("shared_axes", x.rank, []) if layer.raw("shared_axes") else ()
    shape = tuple(1 if axis in shared else n for axis, n in enumerate(x.shape))[1:]
    slope = layer.weight("slope", *shape)[None]
    if x.order == FLAT:
        x = own(x.own)
    if x.order != "own":
        slope = np.moveaxis(slope, -1, 1)
    return x.with_op(PRelu(x.op, layer.constant(slope), loc=layer.loc))


LAYERS: dict[str, Callable[[Layer, list[Tensor]], Tensor]] = {
    "ReLU": relu_layer,
    "LeakyReLU": leaky_relu_layer,
    "ELU": elu_layer,
    "ThresholdedReLU": thresholded_relu,
    "Softmax": softmax_layer,
}
"""Activation layers that another layer can have as its activation."""
