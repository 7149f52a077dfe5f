"""Reading the unions of a serialised program: objects with one key that says what the value is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from edgec.diagnostics import EdgecError


def malformed(what: str) -> EdgecError:
    """E0302."""
    return EdgecError("E0302", what)


def only(union: Any, what: str) -> tuple[str, Any]:
    """Key and value of an object that has exactly one."""
    if not isinstance(union, dict) or len(union) != 1:
        raise malformed(f"an {what} is written as {str(union)[:60]}")
    return next(iter(union.items()))


def argument_of(body: Any) -> tuple[str, Any]:
    """Kind and content of the argument of an input or output specification."""
    if not isinstance(body, dict):
        raise malformed("an argument of the program is missing")
    return only(body.get("arg"), "argument")


def tensor_name(body: Any) -> str:
    """The name in `{"arg": {"name": ...}}`."""
    argument = body.get("arg") if isinstance(body, dict) else None
    name = argument.get("name") if isinstance(argument, dict) else None
    if not isinstance(name, str):
        raise malformed("a tensor without a name")
    return name


def output_names(output: Any) -> list[str]:
    """The names of the tensors or numbers that one result of a call holds."""
    kind, body = only(output, "output")
    if kind == "as_tensor":
        return [tensor_name({"arg": body})]
    if kind == "as_tensors" and isinstance(body, list):
        return [tensor_name({"arg": b}) for b in body]
    if kind in ("as_sym_int", "as_sym_bool") and isinstance(body, dict) and isinstance(body.get("as_name"), str):
        return [body["as_name"]]
    if kind == "as_none" or body is None:
        return []
    raise EdgecError("E0304", f"a result of kind {kind} is not supported")


def real(body: Any) -> float:
    """A float, which JSON cannot always write."""
    special = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
    if isinstance(body, str) and body in special:
        return special[body]
    if isinstance(body, bool) or not isinstance(body, int | float):
        raise malformed(f"{str(body)[:40]!r} is no number")
    return float(body)


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values of a nest of lists."""
    for value in values:
        if isinstance(value, list):
            yield from flat(value)
        else:
            yield value
