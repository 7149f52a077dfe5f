"""Boolean expressions of Liberty as truth tables.

A table over n variables is an integer of 2**n bits: bit i is the value where variable k has bit k of i. Liberty
writes `!A`, `A'`, `A & B`, `A * B`, `A B`, `A ^ B`, `A + B`, `A | B`; exclusive or binds tighter than and, which
binds tighter than or.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgec.hw.liberty.syntax import malformed

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]\.]*|[01]|[!'&*^+|()~])")


def variables(expression: str) -> list[str]:
    """The names an expression uses, in order of first use."""
    names = (token for token in _tokens(expression) if token[0].isalpha() or token[0] == "_")
    return list(dict.fromkeys(names))


def truth_table(expression: str, inputs: Sequence[str]) -> int:
    """The table of `expression` over `inputs`; E0213 for anything that is not such an expression."""
    return _Parser(expression, inputs).table()


def column(index: int, count: int) -> int:
    """The table of variable `index` among `count` variables."""
    period = 1 << index
    ones = ((1 << period) - 1) << period
    return sum(ones << start for start in range(0, 1 << count, 2 * period))


def _tokens(expression: str) -> list[str]:
    tokens, position, text = [], 0, expression.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise malformed(f"cannot read the function {expression!r} at {text[position:]!r}")
        tokens.append(found[1])
        position = found.end()
    return tokens


class _Parser:
    def __init__(self, expression: str, inputs: Sequence[str]) -> None:
        self.expression = expression
        self.tokens = _tokens(expression)
        self.columns = {name: column(i, len(inputs)) for i, name in enumerate(inputs)}
        self.all = (1 << (1 << len(inputs))) - 1
        self.position = 0

    def table(self) -> int:
        value = self._or()
        if self.position != len(self.tokens):
            raise malformed(f"cannot read the function {self.expression!r}")
        return value

    def _peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _or(self) -> int:
        value = self._and()
        while self._peek() in ("+", "|"):
            self.position += 1
            value |= self._and()
        return value

    def _and(self) -> int:
        value = self._xor()
        while (token := self._peek()) and token not in "+|)'^":
            if token in "&*":
                self.position += 1
            value &= self._xor()
        return value

    def _xor(self) -> int:
        value = self._unary()
        while self._peek() == "^":
            self.position += 1
            value ^= self._unary()
        return value

    def _unary(self) -> int:
        token = self._peek()
        self.position += 1
        if token in ("!", "~"):
            return self.all ^ self._unary()
        if token == "(":
            value = self._or()
            if self._peek() != ")":
                raise malformed(f"a parenthesis is missing in the function {self.expression!r}")
            self.position += 1
        elif token in ("0", "1"):
            value = self.all if token == "1" else 0
        elif token in self.columns:
            value = self.columns[token]
        else:
            raise malformed(
                f"the function {self.expression!r} uses {token or 'nothing'!r}, which is no pin of the cell"
            )
        while self._peek() == "'":
            self.position += 1
            value ^= self.all
        return value
