"""Layers around other layers: the description of the inner one, and TimeDistributed."""

from __future__ import annotations

from typing import Any

from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.registry import handler_for, imports
from edgec.frontend.keras.tensor import Tensor, own
from edgec.ops import Reshape


class Inner(Layer):
    """A layer that another one describes in its settings; it takes its weights from those of the outer one."""

    def hand_back(self, outer: Layer) -> None:
        """Check that all settings were read, and let `outer` go on behind the weights that were taken."""
        self.finish_settings()
        outer.used, outer.made = self.used, self.made
        outer.warnings += self.warnings


def as_inner(outer: Layer, described: Any) -> Inner:
    """The layer that `{"class_name": ..., "config": ...}` describes, under the name of `outer`."""
    config = described.get("config") if isinstance(described, dict) else None
    if not isinstance(config, dict) or not isinstance(described.get("class_name"), str):
        outer.malformed("it describes no layer inside")
    registered = str(described.get("registered_name") or "")
    if ">" in registered and not registered.lower().startswith(("keras", "qkeras")):
        outer.unsupported(f"layer {registered!r:.60} inside", why="it is a class of one's own")
    inner = Inner(outer.spec, outer.name, outer.variables, outer.version, outer.shared)
    inner.class_name, inner.config, inner.unread = described["class_name"], config, set(config)
    inner.used, inner.made = outer.used, outer.made
    return inner


@imports("TimeDistributed")
def time_distributed(layer: Layer, xs: list[Tensor]) -> Tensor:
    """The inner layer on every step alone: the steps are made part of the batch. [N, T, ...] to [N, T, ...]."""
    x = layer.one(xs)
    if x.rank < 3:
        layer.malformed(f"an operand {list(x.shape)}", why="needs [batch, steps, ...]")
    inner = as_inner(layer, layer.raw("layer"))
    handler = None if inner.class_name in ("TimeDistributed", "Bidirectional") else handler_for(inner.class_name)
    if handler is None:
        layer.unsupported(
            f"{inner.class_name:.60} at every step",
            why="only single layers from the importer's table are distributed",
            remedy="distribute one supported layer after the other",
        )
    steps = x.shape[:2]
    if inner.class_name in ("Dense", "QDense"):  # it works on the last axis, whatever is in front
        y = handler(inner, [x])
    else:
        y = handler(inner, [own(Reshape(x.own, (steps[0] * steps[1], *x.shape[2:]), loc=layer.loc))])
        if not isinstance(y, Tensor):
            if len(y) != 1:
                layer.unsupported(f"{inner.class_name} with several results at every step")
            (y,) = y
        y = own(Reshape(y.own, (*steps, *y.shape[1:]), loc=layer.loc))
    inner.hand_back(layer)
    return y
