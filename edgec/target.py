"""Targets: chips as data, one TOML file each, with inheritance and a source for every constant.

A constant is a table `{ low, nominal, high, source }` or `{ value, source }`. Unknown keys are errors with a
nearest-name hint; a constant without a source, or one that no hardware has, is refused (E0206).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from edgec.diagnostics import EdgecError, nearest
from edgec.target_constants import ANCHOR_FIGURES, CONSTANTS, OPTIONS, Known


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
    (`clock_mhz`, `max_area_kge`, ...); `passes` is the default pipeline; `anchors` are published points of
    real chips, for comparison only.
    """

    name: str
    backend: str
    description: str
    passes: str
    constants: Mapping[str, Quantity]
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    anchors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def constant(self, name: str) -> Quantity:
        """A constant of the file; E0206 when it is missing."""
        if name not in self.constants:
            raise EdgecError(
                "E0206",
                f"target {self.name} lacks the constant {name}",
                remedy=nearest(name, self.constants),
            )
        return self.constants[name]


_TOP_KEYS = {"name", "inherits", "backend", "description", "passes", "options", "constants", "anchors"}
_QUANTITY_KEYS = {"value", "low", "nominal", "high", "source"}
_BAR_MARGIN = 4.0


def target_names() -> tuple[str, ...]:
    """The shipped targets. Files whose name starts with an underscore only serve to be inherited from."""
    return tuple(n for n in _shipped() if not n.startswith("_"))


def _shipped() -> tuple[str, ...]:
    folder = resources.files("edgec.targets")
    return tuple(sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")))


def load_target(name: str) -> Target:
    """A shipped target by name, or any TOML file by path (`.toml`). Raises E0205 and E0206."""
    if name.startswith("_") and not name.endswith(".toml"):
        raise EdgecError(
            "E0205", f"{name!r} is no target, only a base for others", remedy=nearest(name, target_names())
        )
    data, where = _merged(name, ())
    for key in ("name", "backend", "description", "passes"):
        if not isinstance(data.get(key), str):
            raise _bad(where, f"the key {key!r} is missing or no string")
    constants = {k: _quantity(where, k, v) for k, v in _flatten(where, data.get("constants", {})).items()}
    for key, quantity in constants.items():
        _plausible(where, key, quantity)
    options = _options(where, data.get("options", {}))
    anchors = _anchors(where, data.get("anchors", {}))
    return Target(
        data["name"], data["backend"], data["description"], data["passes"], constants, options, where, anchors
    )


def _bad(where: str, what: str, remedy: str | None = None) -> EdgecError:
    return EdgecError("E0206", f"{where}: {what}", remedy=remedy)


def _read(name: str) -> tuple[dict[str, Any], str]:
    if name.endswith(".toml"):
        where = Path(name).name
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # ValueError: bytes that are not UTF-8, a NUL in the path
            raise EdgecError("E0205", f"target file {name} cannot be read", why=str(error)) from None
    else:
        if name not in _shipped():
            raise EdgecError("E0205", f"unknown target {name!r}", remedy=nearest(name, target_names()))
        where = f"{name}.toml"
        text = resources.files("edgec.targets").joinpath(where).read_text(encoding="utf-8")
    try:
        return tomllib.loads(text), where
    except tomllib.TOMLDecodeError as error:
        raise _bad(where, "not valid TOML", str(error)) from None
    except (RecursionError, ValueError) as error:  # nested too deep; a number of too many digits
        raise _bad(where, "not usable TOML", str(error)) from None


def _merged(name: str, seen: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    data, where = _read(name)
    identity = str(Path(name).resolve()) if name.endswith(".toml") else name
    if identity in seen:
        raise _bad(Path(name).name, "inherits from itself: " + " -> ".join(Path(n).name for n in (*seen, identity)))
    for key in data:
        if key not in _TOP_KEYS:
            raise _bad(where, f"unknown key {key!r}", nearest(key, _TOP_KEYS))
    if "inherits" not in data:
        return data, where
    parent_name = data.pop("inherits")
    if not isinstance(parent_name, str):
        raise _bad(where, "inherits must be the name of a target")
    if parent_name.endswith(".toml"):
        parent_name = str(Path(name).parent / parent_name)
    elif parent_name not in _shipped():
        raise _bad(where, f"inherits from the unknown target {parent_name!r}", nearest(parent_name, _shipped()))
    parent, _ = _merged(parent_name, (*seen, identity))
    return _overlay(parent, data), where


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`top` over `base`, table by table; a quantity is replaced whole, never half."""
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        both_tables = isinstance(old, dict) and isinstance(value, dict)
        is_quantity = both_tables and any(k in _QUANTITY_KEYS and not isinstance(v, dict) for k, v in value.items())
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
        nested = any(isinstance(v, dict) for v in value.values())
        entries = _flatten(where, value, name) if nested else {name: value}
        if flat.keys() & entries.keys():
            raise _bad(where, f"{name} is given twice")
        flat |= entries
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
    low, nominal, high = (_number(where, name, n) for n in numbers)
    if not low <= nominal <= high:
        raise _bad(where, f"{name}: low {low} <= nominal {nominal} <= high {high} does not hold")
    return Quantity(low, nominal, high, source)


def _number(where: str, name: str, number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e300 or number < 0:
        shown = repr(number) if len(repr(number)) < 40 else "a number of that size"
        raise _bad(where, f"{name}: {shown} is no finite non-negative number")
    return float(number)


def _plausible(where: str, name: str, quantity: Quantity) -> None:
    if name not in CONSTANTS:
        raise _bad(where, f"unknown constant {name}", nearest(name, CONSTANTS))
    known = CONSTANTS[name]
    inside = known.low <= quantity.nominal <= known.high
    if not inside or quantity.low < known.low / _BAR_MARGIN or quantity.high > known.high * _BAR_MARGIN:
        figures = f"{quantity.low:g} / {quantity.nominal:g} / {quantity.high:g} {known.unit}".rstrip()
        raise _bad(
            where, f"{name} = {figures}", f"no hardware has that: {known.low:g} to {known.high:g}; check the unit"
        )


def _options(where: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise _bad(where, "options must be a table")
    for key, value in table.items():
        _in_range(where, f"options.{key}", value, OPTIONS.get(key), nearest(key, OPTIONS))
    return table


def _anchors(where: str, table: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise _bad(where, "anchors must be tables of published figures")
    for name, anchor in table.items():
        for key in ("description", "source"):
            if not isinstance(anchor.get(key), str) or not anchor[key].strip():
                raise _bad(where, f"anchors.{name} has no {key}")
        for key, value in anchor.items():
            if key not in ("description", "source"):
                _in_range(where, f"anchors.{name}.{key}", value, ANCHOR_FIGURES.get(key), nearest(key, ANCHOR_FIGURES))
    return table


def _in_range(where: str, name: str, value: Any, known: Known | None, hint: str | None) -> None:
    if known is None:
        raise _bad(where, f"unknown key {name}", hint)
    if not known.low <= _number(where, name, value) <= known.high:
        raise _bad(where, f"{name} = {value!r} lies outside {known.low:g} to {known.high:g} {known.unit}")
