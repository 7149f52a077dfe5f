"""What synthesis needs to know of a Liberty file: cells, areas, pins with functions, flip-flops.

Tables of delays and powers are cut away before anything is parsed, so that a file of 13 MB takes a second or two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from edgec.diagnostics import EdgecError

_TABLES = re.compile(r"\b(?:index_\d|values)\s*\((?:[^()\"]|\"[^\"]*\")*\)\s*;?")
_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TOKEN = re.compile(r"\"([^\"]*)\"|([^\s\"(){};:,]+)|([(){};:,])")


@dataclass
class Group:
    """`kind (arguments) { attributes, groups }` of a Liberty file."""

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def children(self, kind: str) -> list[Group]:
        return [g for g in self.groups if g.kind == kind]


@dataclass(frozen=True)
class FlipFlop:
    """A flip-flop group: state variables, next state, clock, and asynchronous clear and preset, as functions."""

    state: str
    inverse: str
    next_state: str
    clocked_on: str
    clear: str = ""
    preset: str = ""


@dataclass(frozen=True)
class Cell:
    """A library cell: area in the unit of the file, input pins, functions of the output pins, its state."""

    name: str
    area: float
    inputs: tuple[str, ...]
    outputs: dict[str, str]
    flip_flop: FlipFlop | None = None
    latch: FlipFlop | None = None
    hidden: bool = False
    """Not for general logic: `dont_use`, isolation, retention, three-state, scan."""

    @property
    def combinational(self) -> bool:
        return self.flip_flop is None and self.latch is None and bool(self.outputs) and all(self.outputs.values())


def parse_liberty(text: str, where: str) -> tuple[str, dict[str, Cell]]:
    """The name of the library and its cells by name; E0210 for a text that is no Liberty file."""
    root = _parse(_TABLES.sub("", _COMMENTS.sub("", text)).replace("\\\n", " "), where)
    libraries = [g for g in root.groups if g.kind == "library"]
    if len(libraries) != 1 or not libraries[0].arguments:
        raise _bad(where, f"it has {len(libraries)} library groups")
    cells = {}
    for group in libraries[0].children("cell"):
        if group.arguments:
            cells[group.arguments[0]] = _cell(group, where)
    if not cells:
        raise _bad(where, "it has no cells")
    return libraries[0].arguments[0], cells


def _bad(where: str, why: str) -> EdgecError:
    return EdgecError("E0213", f"{where} is not a usable Liberty file", why=why, remedy="give the .lib of your cells")


def _parse(text: str, where: str) -> Group:
    """All groups below a nameless root."""
    root = Group("", ())
    stack = [root]
    words: list[str] = []  # of the statement that is being read
    arguments: list[str] | None = None
    colon = False
    for found in _TOKEN.finditer(text):
        sign = found[3]
        if sign is None:
            (arguments if arguments is not None and not colon else words).append(found[1] or found[2] or "")
        elif sign == "(":
            if colon:
                words.append("(")
            else:
                arguments = []
        elif sign == ")":
            if colon:
                words.append(")")
        elif sign == ":":
            colon = True
        elif sign == "{":
            if len(words) != 1:
                raise _bad(where, f"a group without a name after {' '.join(words)[:60]!r}")
            group = Group(words[0], tuple(arguments or ()))
            stack[-1].groups.append(group)
            stack.append(group)
            words, arguments, colon = [], None, False
        elif sign == ";":
            if colon and words:
                stack[-1].attributes[words[0]] = " ".join(words[1:])
            words, arguments, colon = [], None, False
        elif sign == "}":
            if len(stack) == 1:
                raise _bad(where, "a closing brace too many")
            stack.pop()
            words, arguments, colon = [], None, False
    if len(stack) != 1:
        raise _bad(where, f"the group {stack[-1].kind} {' '.join(stack[-1].arguments)} is not closed")
    return root


_HIDDEN = ("dont_use", "is_isolation_cell", "is_level_shifter", "always_on", "retention_cell", "switch_cell_type")


def _cell(group: Group, where: str) -> Cell:
    inputs, outputs, three_state = [], {}, False
    for pin in group.children("pin"):
        direction = pin.attributes.get("direction", "")
        if direction == "input":
            inputs.append(pin.arguments[0])
        elif direction in ("output", "inout"):
            outputs[pin.arguments[0]] = pin.attributes.get("function", "")
            three_state = three_state or "three_state" in pin.attributes
    special = any(group.attributes.get(key, "false") not in ("false", "") for key in _HIDDEN)
    try:
        area = float(group.attributes.get("area", "0"))
    except ValueError:
        raise _bad(where, f"cell {group.arguments[0]} has the area {group.attributes['area']!r}") from None
    return Cell(
        group.arguments[0],
        area,
        tuple(inputs),
        outputs,
        _state(group, "ff", "next_state", "clocked_on"),
        _state(group, "latch", "data_in", "enable"),
        special or three_state or bool(group.children("test_cell")),
    )


def _state(group: Group, kind: str, data: str, clock: str) -> FlipFlop | None:
    for state in group.children(kind):
        names = [name for argument in state.arguments for name in argument.split(",")]
        a = state.attributes
        return FlipFlop(
            names[0], names[1] if len(names) > 1 else "", a.get(data, ""), a.get(clock, ""), a.get("clear", ""),
            a.get("preset", ""),
        )  # fmt: skip
    return None
