"""Boolean functions as Liberty writes them: `!` or a trailing `'`, `*` `&` or a blank, `+` or `|`, `^`, 0 and 1.

A function becomes a tree of tuples, and from there a truth table or a Verilog expression.
Precedence as in the Liberty manual: inversion, exclusive or, and, or.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Tree = tuple
"""("var", name), ("const", 0 or 1), ("not", tree), or ("and" | "or" | "xor", tree, tree)."""

_TOKEN = re.compile(r"\s*([A-Za-z_][\w.\[\]]*|[01]|[!'*&+|^()])")


class BadFunction(ValueError):
    """A text that is no Boolean function."""


def parse(text: str) -> Tree:
    """The tree of a Liberty function; raises BadFunction."""
    tokens, at = [], 0
    stripped = text.strip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None:
            raise BadFunction(f"{text!r} at {stripped[at : at + 8]!r}")
        tokens.append(found[1])
        at = found.end()
    parser = _Parser(tokens)
    tree = parser.sum()
    if parser.rest():
        raise BadFunction(f"{text!r} does not end at {parser.rest()!r}")
    return tree


class _Parser:
    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.at = tokens, 0

    def rest(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.rest()
        self.at += 1
        return token

    def sum(self) -> Tree:
        tree = self.product()
        while self.rest() and self.rest() in "+|":
            self.take()
            tree = ("or", tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.exclusive()
        while self.rest() and self.rest() not in "+|)'^":
            if self.rest() in "*&":
                self.take()
            tree = ("and", tree, self.exclusive())
        return tree

    def exclusive(self) -> Tree:
        tree = self.factor()
        while self.rest() == "^":
            self.take()
            tree = ("xor", tree, self.factor())
        return tree

    def factor(self) -> Tree:
        token = self.take()
        if token == "!":
            return ("not", self.factor())
        if token == "(":
            tree = self.sum()
            if self.take() != ")":
                raise BadFunction("a parenthesis is not closed")
        elif token in ("0", "1"):
            tree = ("const", int(token))
        elif token and (token[0].isalpha() or token[0] == "_"):
            tree = ("var", token)
        else:
            raise BadFunction(f"{token!r} where an operand should stand" if token else "an operand is missing")
        while self.rest() == "'":
            self.take()
            tree = ("not", tree)
        return tree


def variables(tree: Tree) -> tuple[str, ...]:
    """The names in `tree`, sorted."""
    if tree[0] == "var":
        return (tree[1],)
    if tree[0] == "const":
        return ()
    return tuple(sorted({name for part in tree[1:] for name in variables(part)}))


def evaluate(tree: Tree, values: Mapping[str, int], ones: int) -> int:
    """Bitwise over packed values; `ones` has every valid bit set."""
    kind = tree[0]
    if kind == "var":
        return values[tree[1]]
    if kind == "const":
        return ones * tree[1]
    if kind == "not":
        return ones & ~evaluate(tree[1], values, ones)
    a, b = evaluate(tree[1], values, ones), evaluate(tree[2], values, ones)
    return a & b if kind == "and" else a | b if kind == "or" else a ^ b


def truth_table(tree: Tree, inputs: Sequence[str]) -> int:
    """Bit i is the function where input j is bit j of i; KeyError for a name outside `inputs`."""
    rows = 1 << len(inputs)
    columns = {name: sum(1 << row for row in range(rows) if row >> j & 1) for j, name in enumerate(inputs)}
    return evaluate(tree, columns, (1 << rows) - 1)


def verilog(tree: Tree, rename: Mapping[str, str] | None = None) -> str:
    """The function as a Verilog expression."""
    kind = tree[0]
    if kind == "var":
        return (rename or {}).get(tree[1], tree[1])
    if kind == "const":
        return f"1'b{tree[1]}"
    if kind == "not":
        return f"~{verilog(tree[1], rename)}"
    sign = {"and": "&", "or": "|", "xor": "^"}[kind]
    return f"({verilog(tree[1], rename)} {sign} {verilog(tree[2], rename)})"
