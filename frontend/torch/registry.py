"""Which function imports which operator."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

Handler = Callable[..., Any]
_HANDLERS: dict[str, Handler] = {}

_MODULES = (
    "layers",
    "normalisation",
    "attention",
    "activation",
    "arithmetic",
    "pooling",
    "shapes",
    "indexing",
    "resampling",
    "creation",
    "sizes",
    "recurrent",
    "quantised",
)


def imports(*operators: str, domain: str = "aten") -> Callable[[Handler], Handler]:
    """Register `function(node) -> op, array, number, or a tuple of them` for operators `name.overload`."""

    def register(function: Handler) -> Handler:
        for operator in operators:
            key = f"{domain}.{operator}"
            assert key not in _HANDLERS, key
            _HANDLERS[key] = function
        return function

    return register


@cache
def _handlers() -> dict[str, Handler]:
    for module in _MODULES:
        importlib.import_module(f"edgec.frontend.torch.{module}")
    return _HANDLERS


def handler_for(operator: str) -> Handler | None:
    """The importer of an operator such as `aten.conv2d.default`, None when there is none."""
    return _handlers().get(operator)


def operators() -> list[str]:
    """All operators that can be imported."""
    return sorted(_handlers())
