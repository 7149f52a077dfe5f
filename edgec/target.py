"""Targets: chips as data, one TOML file each, with inheritance and a source for every constant.

A constant is a table `{ low, nominal, high, source }` or `{ value, source }`. Unknown keys are errors with a
nearest-name hint; a constant without a source, or one that no hardware has, is refused (E0206).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from edgec.diagnostics import EdgecError, nearest


@dataclass(frozen=True)
class Quantity:
    """A number with its error bar: low <= nominal <= high, and where it comes from."""

    low: float
    nominal: float
    high: float
    source: str

    def __mul__(self, factor: float) -> Quantity:
        return Quantity(self.low * factor, self.nominal * factor, self.high * factor, self.source)

    def as_dict(self) -> dict[str, Any]:
        return {"low": self.low, "nominal": self.nominal, "high": self.high, "source": self.source}


@dataclass(frozen=True)
class Target:
    """A target as read from its file, parents merged in.

    `constants` maps a dotted name (`area.nand2_um2`) to its quantity; `options` are defaults for the backend
    (`clock_mhz`, `max_area_kge`, ...); `passes` is the default pipeline.
    """

    name: str
    backend: str
    description: str
    passes: str
    constants: Mapping[str, Quantity]
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    def constant(self, name: str) -> Quantity:
        """A constant of the file; E0206 when it is missing."""
        if name not in self.constants:
            raise EdgecError(
                "E0206",
                f"target {self.name} lacks the constant {name}",
                remedy=nearest(name, self.constants),
            )
        return self.constants[name]


_TOP_KEYS = {"name", "inherits", "backend", "description", "passes", "options", "constants"}
_QUANTITY_KEYS = {"value", "low", "nominal", "high", "source"}


def target_names() -> tuple[str, ...]:
    """The shipped targets."""
    folder = resources.files("edgec.targets")
    return tuple(sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")))


def load_target(name: str) -> Target:
    """A shipped target by name, or any TOML file by path (`.toml`)."""
    data, where = _merged(name, ())
    for key in ("name", "backend", "description", "passes"):
        if not isinstance(data.get(key), str):
            raise _bad(where, f"the key {key!r} is missing or no string")
    constants = {k: _quantity(where, k, v) for k, v in _flatten(where, data.get("constants", {})).items()}
    options = data.get("options", {})
    if not isinstance(options, dict):
        raise _bad(where, "options must be a table")
    return Target(data["name"], data["backend"], data["description"], data["passes"], constants, options, where)


def _bad(where: str, what: str, remedy: str | None = None) -> EdgecError:
    return EdgecError("E0206", f"{where}: {what}", remedy=remedy)


def _read(name: str) -> tuple[dict[str, Any], str]:
    if name.endswith(".toml"):
        where = Path(name).name
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EdgecError("E0205", f"target file {name} cannot be read", why=str(error)) from None
    else:
        if name not in target_names():
            raise EdgecError("E0205", f"unknown target {name!r}", remedy=nearest(name, target_names()))
        where = f"{name}.toml"
        text = resources.files("edgec.targets").joinpath(where).read_text(encoding="utf-8")
    try:
        return tomllib.loads(text), where
    except tomllib.TOMLDecodeError as error:
        raise _bad(where, "not valid TOML", str(error)) from None


def _merged(name: str, seen: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    if name in seen:
        raise _bad(name, "inherits from itself: " + " -> ".join((*seen, name)))
    data, where = _read(name)
    for key in data:
        if key not in _TOP_KEYS:
            raise _bad(where, f"unknown key {key!r}", nearest(key, _TOP_KEYS))
    parent_name = data.pop("inherits", None)
    if parent_name is None:
        return data, where
    if not isinstance(parent_name, str):
        raise _bad(where, "inherits must be the name of a target")
    if parent_name.endswith(".toml") and name.endswith(".toml"):
        parent_name = str(Path(name).parent / parent_name)
    parent, _ = _merged(parent_name, (*seen, name))
    return _overlay(parent, data), where


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        both_tables = isinstance(old, dict) and isinstance(value, dict)
        is_quantity = both_tables and (_QUANTITY_KEYS & set(value)) and "source" in value
        merged[key] = _overlay(old, value) if both_tables and not is_quantity else value  # type: ignore[arg-type]
    return merged


def _flatten(where: str, table: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    if not isinstance(table, dict):
        raise _bad(where, f"constants{'.' + prefix if prefix else ''} must be a table of quantities")
    flat: dict[str, dict[str, Any]] = {}
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if not isinstance(value, dict):
            raise _bad(where, f"{name} needs {{ value or low/nominal/high, source }}")
        if any(isinstance(v, dict) for v in value.values()):
            flat |= _flatten(where, value, name)
        else:
            flat[name] = value
    return flat


def _quantity(where: str, name: str, table: dict[str, Any]) -> Quantity:
    for key in table:
        if key not in _QUANTITY_KEYS:
            raise _bad(where, f"{name}: unknown key {key!r}", nearest(key, _QUANTITY_KEYS))
    source = table.get("source")
    if not isinstance(source, str) or not source.strip():
        raise _bad(where, f"{name} has no source", 'add source = "..."')
    if "value" in table:
        if {"low", "nominal", "high"} & set(table):
            raise _bad(where, f"{name} has a value and an error bar")
        numbers = [table["value"]] * 3
    else:
        missing = [k for k in ("low", "nominal", "high") if k not in table]
        if missing:
            raise _bad(where, f"{name} lacks {', '.join(missing)}")
        numbers = [table[k] for k in ("low", "nominal", "high")]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
            raise _bad(where, f"{name}: {number!r} is no finite non-negative number")
    low, nominal, high = map(float, numbers)
    if not low <= nominal <= high:
        raise _bad(where, f"{name}: low {low} <= nominal {nominal} <= high {high} does not hold")
    return Quantity(low, nominal, high, source)
