"""Which function imports which layer class."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

Handler = Callable[..., Any]
_HANDLERS: dict[str, Handler] = {}
_MODULES = (
    "core",
    "convolution",
    "pooling",
    "activation",
    "normalization",
    "merge",
    "reshaping",
    "recurrent",
    "wrapper",
)


def imports(*classes: str) -> Callable[[Handler], Handler]:
    """Register `function(layer, tensors) -> tensor`, or a list of tensors, for layer classes."""

    def register(function: Handler) -> Handler:
        for name in classes:
            _HANDLERS[name] = function
        return function

    return register


@cache
def _handlers() -> dict[str, Handler]:
    for module in _MODULES:
        importlib.import_module(f"edgec.frontend.keras.{module}")
    return _HANDLERS


def handler_for(class_name: str) -> Handler | None:
    """The importer of a layer class, None when there is none."""
    return _handlers().get(class_name)


def layer_names() -> list[str]:
    """All layer classes that can be imported."""
    return sorted(_handlers())
