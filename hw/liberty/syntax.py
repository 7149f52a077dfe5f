"""Splits Liberty text into groups and attributes, by regular expressions.

A Liberty file is nested groups: `name (arguments) { attribute : value; name (values); ... }`. Libraries are megabytes
of tables of which a netlist uses a few cells, so the text is first cut into cells by counting braces (numpy, one pass
over the bytes) and a cell's body is parsed only when somebody asks for it. The PyPI package liberty-parser (0.0.29,
a full grammar in lark) reads the same files correctly, but takes 5.2 s for the 13 MB of sky130 where this takes 0.3 s
for the outline and a few milliseconds for each cell that is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edgec.diagnostics import EdgecError

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"^\s*//[^\n]*", re.MULTILINE)
_HEAD = re.compile(r'\s*library\s*\(\s*"?([^")]*?)"?\s*\)\s*\{')
_CELL = re.compile(r'\bcell\s*\(\s*"?([^")]+?)"?\s*\)\s*\{')
_STATEMENT = re.compile(
    r"""\s*(?:
        (?P<close>\})
      | ;
      | (?P<name>[A-Za-z_]\w*)\s*(?:
            :\s*(?P<value>"(?:[^"\\]|\\.)*"|[^;{}\n"]*)\s*;?
          | \(\s*(?P<args>(?:"(?:[^"\\]|\\.)*"|[^()"])*)\)\s*(?P<open>\{|;|(?=\s|\}))
        )
    )""",
    re.VERBOSE,
)
_ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,"]+)')


@dataclass
class Group:
    """One `name (args) { ... }`; of repeated attributes the last counts, of complex ones all values in a row."""

    name: str
    args: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    complex: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def each(self, *names: str) -> Iterator[Group]:
        """The direct sub-groups of these names, in file order."""
        return (group for group in self.groups if group.name in names)

    def number(self, name: str, default: float | None = None) -> float | None:
        """The attribute as a number; `default` where it is absent; E0213 where it is none."""
        text = self.attributes.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise malformed(f"{name} : {text!r} in {self.name} ({', '.join(self.args)}) is not a number") from None

    def flag(self, name: str) -> bool:
        return self.attributes.get(name, "").lower() == "true"


def malformed(what: str, *, where: str | None = None) -> EdgecError:
    return EdgecError(
        "E0213",
        f"{where}: {what}" if where else f"the Liberty library does not parse: {what}",
        remedy="give the .lib or .lib.gz file of a standard cell library with NLDM tables",
    )


def strip(text: str) -> str:
    """The text without comments and continued lines; line numbers change."""
    text = _COMMENT.sub(" ", text)
    return _LINE_COMMENT.sub("", text).replace("\\\r\n", " ").replace("\\\n", " ")


def outline(text: str) -> tuple[str, str, dict[str, str]]:
    """(name of the library, its text without the cells, text of each cell's body) of comment-free text."""
    head = _HEAD.match(text)
    if head is None:
        raise malformed("it does not begin with `library (name) {`")
    if not text.isascii():
        text = text.encode("ascii", "replace").decode("ascii")  # one byte a character, so that positions agree
    codes = np.frombuffer(text.encode("ascii"), np.uint8)
    quote = codes == ord('"')
    quote[1:] &= codes[:-1] != ord("\\")
    outside = (np.cumsum(quote, dtype=np.int64) & 1) == 0
    step = ((codes == ord("{")) & outside).astype(np.int32) - ((codes == ord("}")) & outside)
    positions = np.flatnonzero(step)
    depth = np.cumsum(step[positions])
    if len(depth) == 0 or depth[-1] != 0 or depth.min() < 0:
        raise malformed("its braces do not balance; the file is truncated or damaged")
    cells: dict[str, str] = {}
    rest, end = [], head.end()
    closing = positions[depth == 1]  # the positions where a group of depth 2 ends (or the library itself begins)
    for found in _CELL.finditer(text, head.end()):
        if found.start() < end or not outside[found.start()]:
            continue
        rest.append(text[end : found.start()])
        stop = int(closing[np.searchsorted(closing, found.end())])
        cells[found[1]] = text[found.end() : stop]
        end = stop + 1
    rest.append(text[end : int(positions[-1])])
    return head[1], "".join(rest), cells


def parse_body(text: str, name: str, args: list[str]) -> Group:
    """The group whose body (without its braces) is `text`; E0213 names what cannot be read."""
    root = Group(name, args)
    stack = [root]
    position, length = 0, len(text.rstrip())
    while position < length:
        found = _STATEMENT.match(text, position)
        if found is None or found.end() == position:
            excerpt = " ".join(text[position : position + 60].split())
            raise malformed(f"cannot read {excerpt!r} in {name} ({', '.join(args)})")
        position = found.end()
        if found["close"]:
            stack.pop()
            if not stack:
                raise malformed(f"one closing brace too many in {name} ({', '.join(args)})")
        elif found["name"] is None:
            continue
        elif found["args"] is not None:
            values = [a if a is not None else b for a, b in _arguments(found["args"])]
            if found["open"] == "{":
                inner = Group(found["name"], values)
                stack[-1].groups.append(inner)
                stack.append(inner)
            else:
                stack[-1].complex.setdefault(found["name"], []).extend(values)
        else:
            value = found["value"].strip()
            stack[-1].attributes[found["name"]] = value[1:-1] if value[:1] == '"' else value
    if len(stack) != 1:
        raise malformed(f"a brace is missing in {name} ({', '.join(args)})")
    return root


def _arguments(text: str) -> list[tuple[str | None, str]]:
    return [(m[1], m[2]) for m in _ARGUMENT.finditer(text)]
