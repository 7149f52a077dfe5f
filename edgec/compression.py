"""Which compression every layer gets: flags or a recipe in TOML, turned into passes, and the recipe that was in effect.

A recipe:

    [compress]
    weights = "pow2:4"            # every layer that no line below names; the first and the last one stay integers
    prune = 0.5                   # or "0.5,floor=0.001,skip=fc3"

    [compress.layers]             # glob patterns of source names; the first line that fits counts
    "/head/*" = "int:6"
    "conv?" = "ternary:median,per_channel=true"

A format is a word with an argument and options of its pass: `int`, `int:BITS`, `pow2:BITS`, `pow2z:BITS`, `ternary`,
`ternary:mean|median|search`, `binary`, each followed by `,option=value` where needed.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgec.diagnostics import EdgecError, nearest

if TYPE_CHECKING:
    from edgec.graph import Graph
    from edgec.pipeline import Step

COMPRESSION = ("prune", "integer", "pow2", "ternary", "binary")
"""Passes of compression, which `quantize` follows."""
KEYS = ("weights", "prune", "layers")
FORMATS = ("int", "pow2", "pow2z", "ternary", "binary")


@dataclass(frozen=True)
class Recipe:
    """`rules`: (glob, format) in order of precedence, "*" last; `prune`: share and options, or None."""

    rules: tuple[tuple[str, str], ...] = ()
    prune: str | None = None

    def steps(self) -> list[Step]:
        """The passes before batch norms are folded: pruning, then a pass for every line that is not an integer."""
        from edgec.pipeline import make_step

        steps = []
        if self.prune is not None:
            share, options = split_format(self.prune)
            steps.append(make_step("prune", {"sparsity": share, **options}))
        integers: list[str] = []
        for text, globs in self.grouped():
            name, options = pass_of(text)
            if name == "int":
                integers += globs
            else:
                skip = "|".join([*integers, *([options.pop("skip")] if "skip" in options else [])])
                steps.append(
                    make_step(name, {**options, "layers": "|".join(globs), **({"skip": skip} if skip else {})})
                )
        return steps

    def grouped(self) -> list[tuple[str, list[str]]]:
        """(format, globs) of neighbours with the same format, which one pass compresses together."""
        groups: list[tuple[str, list[str]]] = []
        for glob, text in self.rules:
            if groups and groups[-1][0] == text:
                groups[-1][1].append(glob)
            else:
                groups.append((text, [glob]))
        return groups


def split_format(text: str) -> tuple[str, dict[str, str]]:
    """The head of `head,key=value,...` and its options."""
    head, *rest = (part.strip() for part in text.split(","))
    options = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in options:
            raise EdgecError(
                "E0204", f"compress: {text!r} does not parse at {part!r}", remedy="FORMAT,option=value,..."
            )
        options[key] = value
    return head, options


def pass_of(text: str) -> tuple[str, dict[str, str]]:
    """The pass and its options for a format such as `pow2:4,per_channel=false`; `int` is left for `quantize`."""
    head, options = split_format(text)
    name, colon, argument = head.partition(":")
    if name not in FORMATS:
        raise EdgecError("E0204", f"compress: unknown weight format {name!r}", remedy=nearest(name, FORMATS))
    if name == "int":
        if not colon and not options:
            return "int", {}
        if not argument.isdecimal():
            why = "int is what quantize makes; another width and options need the bits"
            raise EdgecError("E0204", f"compress: {text!r}", why=why, remedy="int:6")
        return "integer", {"bits": argument, **options}
    if name in ("pow2", "pow2z"):
        if not argument.isdecimal():
            raise EdgecError("E0204", f"compress: {text!r}", why=f"{name} needs its bits", remedy=f"{name}:4")
        return "pow2", {"bits": argument, **({"zero": "true"} if name == "pow2z" else {}), **options}
    if name == "ternary" and colon:
        return "ternary", {"threshold": argument, **options}
    if colon:
        raise EdgecError("E0204", f"compress: {text!r}", why=f"{name} takes no argument")
    return name, options


def recipe_of(table: dict[str, Any], weights: str | None = None, prune: float | None = None) -> Recipe | None:
    """The recipe of a [compress] table under flags (which win); None when nothing is asked for. Raises E0203, E0204."""
    for key in table:
        if key not in KEYS:
            raise EdgecError("E0203", f"unknown key {key!r} in [compress]", remedy=nearest(key, KEYS))
    layers = table.get("layers", {})
    share = prune if prune is not None else table.get("prune")
    default = weights if weights is not None else table.get("weights")
    if not isinstance(layers, dict) or not all(isinstance(v, str) for v in layers.values()):
        raise EdgecError("E0204", "[compress.layers] wants a format for every pattern", remedy='"conv*" = "pow2:4"')
    if (
        not isinstance(default, str | None)
        or isinstance(share, bool)
        or not isinstance(share, str | float | int | None)
    ):
        raise EdgecError("E0204", "[compress] has a value of the wrong type", why="weights is a string, prune a number")
    for glob, text in layers.items():
        if "layers" in split_format(text)[1]:
            raise EdgecError("E0204", f"compress: {text!r} for {glob!r}", why="the pattern names the layers already")
    rules = (*layers.items(), *(default_rules(default) if default is not None else ()))
    if not rules and share is None:
        return None
    recipe = Recipe(tuple(rules), None if share is None else str(share))
    recipe.steps()  # refuses formats and options that do not exist
    return recipe


def default_rules(text: str) -> list[tuple[str, str]]:
    """The rules of a format that stands for every layer, or for those that its option `layers` names."""
    globs = split_format(text)[1].get("layers", "*").split("|")
    return [(glob.strip(), without(text, "layers")) for glob in globs]


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The [compress] table of a recipe file; E0202, E0203, E0204."""
    file = Path(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EdgecError("E0202", f"recipe {file} cannot be read", why=str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise EdgecError("E0204", f"{file.name} is not valid TOML", why=str(error)) from None
    for key in data:
        if key != "compress":
            raise EdgecError("E0203", f"{file.name}: unknown table {key!r}", remedy="the table is [compress]")
    if not isinstance(table := data.get("compress"), dict):
        what = f"{file.name}: compress is no table" if data else f"{file.name} has no table [compress]"
        raise EdgecError("E0204", what, remedy="[compress]")
    return table


def effective_toml(recipe: Recipe, graph: Graph) -> bytes:
    """The recipe with every layer of `graph` by name, for the artefact; as `--compress` it gives the same weights."""
    from edgec.passes._compress import layers_of, named, patterns

    layers = layers_of(graph)
    lines = ["# The weight format of every layer, as built; `edgec build --compress` takes this file.", "[compress]"]
    if recipe.prune is not None:
        lines.append(f"prune = {json.dumps(recipe.prune)}")
    lines += ["", "[compress.layers]"]
    found: list[tuple[int, str, str]] = []
    for k, op in enumerate(layers):
        if not op.loc:
            continue
        rule = next((i for i, (glob, _) in enumerate(recipe.rules) if named(op, (glob,))), None)
        glob, text = ("*", "int") if rule is None else recipe.rules[rule]
        name, options = pass_of(text)
        ends = ((k == 0, "keep_first"), (k == len(layers) - 1, "keep_last"))
        usual = "true" if glob == "*" and name != "integer" else "false"
        kept = any(at and options.get(o, usual).lower() == "true" for at, o in ends)
        if name == "int" or kept or named(op, patterns(options.get("skip", ""))):
            rule, text = None, "int"
        plain = without(text, "skip", "keep_first", "keep_last")
        found.append((-1 if rule is None else rule, escaped(op.loc[0]), plain))
    # in the order of the recipe, so that the same layers are compressed together again
    lines += [f"{json.dumps(name)} = {json.dumps(text)}" for _, name, text in sorted(found, key=lambda f: f[0])]
    return ("\n".join(lines) + "\n").encode()


def escaped(name: str) -> str:
    """A glob pattern that only `name` fits (a | in it becomes any character: it separates patterns)."""
    return "".join({"[": "[[]", "*": "[*]", "?": "[?]", "|": "?"}.get(c, c) for c in name)


def without(text: str, *dropped: str) -> str:
    """A format without some of its options, which name layers and mean nothing for a single one."""
    head, options = split_format(text)
    return ",".join([head, *(f"{k}={v}" for k, v in options.items() if k not in dropped)])
