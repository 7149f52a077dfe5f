"""Pipelines of passes: `fold-constants,quantize{bits=8,method=mse}`.

A pass is a module of `edgec.passes` named like it (`fold-constants` is `fold_constants.py`) with a function

    def apply(graph: Graph, context: Context, *, bits: int = 8, method: str = "minmax") -> Graph

whose keyword-only parameters are the options a pipeline string may give; their annotations (int, float, str,
bool, Format) say how they are read.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from edgec.diagnostics import Diagnostic, EdgecError, nearest
from edgec.formats import Format, FormatError
from edgec.graph import Graph
from edgec.text_parser import parse_format

PassFunction = Callable[..., Graph]


@dataclass
class Context:
    """What passes share: calibration data, the seed, and where they leave diagnostics and tables.

    `calibration` maps input names to real values [frames, *shape], or is None when the user gave none.
    `reports` maps a pass name to the rows of a table that the pass wants shown (accuracy per layer, ...).
    `tail` is what `cut-float-tail` left to the host. `pruned` are the first source names of layers whose zeros are a
    mask, which has to survive.
    """

    calibration: Mapping[str, np.ndarray] | None = None
    seed: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)
    reports: dict[str, Any] = field(default_factory=dict)
    tail: Graph | None = None
    pruned: set[str] = field(default_factory=set)

    def warn(self, code: str, what: str, **rest: str | None) -> None:
        """Leave a warning or note for the user; the same one is kept once."""
        diagnostic = Diagnostic(code, what, **rest)
        if diagnostic not in self.diagnostics:
            self.diagnostics.append(diagnostic)


@dataclass(frozen=True)
class Step:
    """One pass of a pipeline with its options."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        words = {None: "none", True: "true", False: "false"}
        inner = ",".join(f"{k}={words[v] if v is None or isinstance(v, bool) else v}" for k, v in self.options)
        return self.name + (f"{{{inner}}}" if inner else "")


@cache
def pass_names() -> tuple[str, ...]:
    """All passes, by the files of the folder."""
    package = importlib.import_module("edgec.passes")
    return tuple(
        sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    )


def load_pass(name: str) -> PassFunction:
    """The `apply` function of pass `name`; E0207 when there is none."""
    if name not in pass_names():
        raise EdgecError("E0207", f"unknown pass {name!r}", remedy=nearest(name, pass_names()))
    return importlib.import_module("edgec.passes." + name.replace("-", "_")).apply


_STEP = re.compile(r"\s*([a-z][a-z0-9-]*)\s*(?:\{([^{}]*)\})?\s*(,|$)")
_OPTION = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*=\s*((?:[^,<>\[\]]|<[^<>]*(?:<[^<>]*>[^<>]*)*>|\[[^\]]*\])+?)\s*(,|$)")


def parse_pipeline(text: str) -> tuple[Step, ...]:
    """The steps of a pipeline string, passes and option types checked; E0207 with the position otherwise."""
    steps, position = [], 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise EdgecError("E0207", f"pipeline does not parse at column {position + 1}: {text[position:]!r}")
        if match.group(3) == "," and match.end() == len(text):
            raise EdgecError("E0207", f"pipeline ends with a comma at column {match.start(3) + 1}: {text!r}")
        steps.append(make_step(match.group(1), _options(match.group(2) or "", match.group(1))))
        position = match.end()
    return tuple(steps)


def _options(text: str, name: str) -> dict[str, str]:
    options, position = {}, 0
    while position < len(text):
        match = _OPTION.match(text, position)
        if match is None or (match.group(3) == "," and match.end() == len(text)):
            raise EdgecError("E0207", f"options of {name} do not parse: {text[position:]!r}", remedy="key=value,...")
        if match.group(1) in options:
            raise EdgecError("E0207", f"option {match.group(1)!r} of {name} is given twice")
        options[match.group(1)] = match.group(2)
        position = match.end()
    return options


def make_step(name: str, options: Mapping[str, Any]) -> Step:
    """A step with its options converted to the types of the pass's parameters."""
    function = load_pass(name)
    hints = typing.get_type_hints(function)
    known = {
        p.name: hints[p.name]
        for p in inspect.signature(function).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    converted = []
    for key, value in options.items():
        if key not in known:
            raise EdgecError("E0207", f"pass {name} has no option {key!r}", remedy=nearest(key, known))
        converted.append((key, _convert(name, key, value, known[key]) if isinstance(value, str) else value))
    return Step(name, tuple(converted))


def _convert(name: str, key: str, text: str, hint: Any) -> Any:
    choices = [h for h in (typing.get_args(hint) or (hint,)) if h is not type(None)]
    if text == "none" and type(None) in typing.get_args(hint):
        return None
    try:
        if typing.get_origin(hint) is typing.Literal:
            if text not in choices:
                raise ValueError(f"one of {', '.join(map(str, choices))}")
            return text
        (kind,) = choices
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if isinstance(kind, type) and issubclass(kind, Format):
            return parse_format(text)
        return kind(text)
    except (ValueError, KeyError, FormatError) as error:
        raise EdgecError("E0207", f"option {key}={text} of pass {name}", why=str(error)) from None


def run_pipeline(
    graph: Graph,
    steps: Sequence[Step],
    context: Context,
    *,
    after: Callable[[int, Step, Graph], None] | None = None,
) -> Graph:
    """Apply `steps` in order; `after(index, step, graph)` sees every stage (for `--dump-after`)."""
    for index, step in enumerate(steps):
        graph = load_pass(step.name)(graph, context, **dict(step.options))
        if after is not None:
            after(index, step, graph)
    return graph
