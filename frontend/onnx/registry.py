"""Which function imports which operator."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

Handler = Callable[..., Any]
_HANDLERS: dict[tuple[str, str], Handler] = {}

QONNX_DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
"""The same operators under the three names that exporters have used."""
_MODULES = (
    "arithmetic",
    "activation",
    "indexing",
    "scattering",
    "masks",
    "layers",
    "einsum",
    "grid_sample",
    "pooling",
    "unpooling",
    "recurrent",
    "shapes",
    "resizing",
    "windows",
    "quantised",
    "computed_scales",
    "contrib",
    "qonnx",
    "detector",
    "integers",
)


def imports(*op_types: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register `function(node) -> op, array, or a tuple of them` for operators of one domain."""

    def register(function: Handler) -> Handler:
        for op_type in op_types:
            _HANDLERS[domain, op_type] = function
        return function

    return register


@cache
def _handlers() -> dict[tuple[str, str], Handler]:
    for module in _MODULES:
        importlib.import_module(f"edgec.frontend.onnx.{module}")
    return _HANDLERS


def handler_for(domain: str, op_type: str) -> Handler | None:
    """The importer of an operator, None when there is none."""
    return _handlers().get(("qonnx" if domain in QONNX_DOMAINS else domain, op_type))


def handler_names(domain: str) -> list[str]:
    """All operators of a domain that can be imported."""
    key = "qonnx" if domain in QONNX_DOMAINS else domain
    return sorted(name for d, name in _handlers() if d == key)
