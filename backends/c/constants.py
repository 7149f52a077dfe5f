"""The arrays of a model in C: every distinct one once, in the narrowest type that holds it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection

import numpy as np

from edgec.backends.c.codes import CTYPES
from edgec.backends.c.numerals import initialisers

MACRO = re.compile(r"\b([A-Z][A-Z0-9_]*)_\b")
"""Names of macros of the code itself, as they are written in the texts of functions."""


class Constants:
    """Arrays by content, and functions that several steps call. `array` gives the C name of an array.

    What is asked for while `guard` holds a condition of the preprocessor exists only under it: an array under one
    condition or always, a function under any of those under which it was asked for."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.arrays: list[tuple[str, np.ndarray]] = []
        self.functions: dict[str, tuple[str, list[str]]] = {}
        self.guard = ""
        self.guards: dict[str, str] = {}
        self._known: dict[bytes, str] = {}

    def array(self, values: np.ndarray, *, as_is: bool = False) -> str:
        """The name of an array with these values; integers are stored in the narrowest type unless `as_is`."""
        values = np.ascontiguousarray(values).ravel()
        if values.dtype.kind in "iub" and not as_is:
            values = values.astype(narrowest(values))
        if values.dtype == np.float16:
            values = values.view(np.uint16)
        key = hashlib.sha256(values.dtype.name.encode() + b"\0" + values.tobytes()).digest()
        if key not in self._known:
            self._known[key] = f"{self.prefix}_k{len(self.arrays)}"
            self.arrays.append((self._known[key], values))
            self.guards[self._known[key]] = self.guard
        name = self._known[key]
        if self.guards[name] != self.guard:
            self.guards[name] = ""
        return name

    def function(self, name: str, text: str) -> None:
        """Add a C function or type, once. `text` is that of its name; `@` in it stands for the prefix, which names of
        macros that end in `_` have in capitals in front of them (`FENCE_`: `NET_FENCE`)."""
        _, guards = self.functions.setdefault(name, (text, []))
        if self.guard not in guards:
            guards.append(self.guard)

    def function_lines(self) -> list[str]:
        """The functions in the order in which they were asked for, each under its conditions."""
        lines, condition = [], ""
        for text, guards in self.functions.values():
            if " || ".join(guards) != condition:
                lines += ["#endif", ""] if condition else []
                condition = " || ".join(guards)
                lines.append(f"#if {condition}")
            macros = MACRO.sub(rf"{self.prefix.upper()}_\1", text)
            lines.append(macros.replace("@", f"{self.prefix}_"))
        return [*lines, "#endif", ""] if condition else lines

    def bytes(self, guards: Collection[str] = ()) -> int:
        """Bytes of all arrays that exist where `guards` hold."""
        return sum(a.nbytes for name, a in self.arrays if self.guards[name] in ("", *guards))

    def declarations(self) -> list[str]:
        return self._lines(lambda name, a: [f"extern const {CTYPES[a.dtype.name]} {name}[{max(a.size, 1)}];"])

    def definitions(self) -> list[str]:
        def one(name: str, a: np.ndarray) -> list[str]:
            return [f"const {CTYPES[a.dtype.name]} {name}[{max(a.size, 1)}] = {{", initialisers(a), "};"]

        return self._lines(one)

    def _lines(self, write: Callable[[str, np.ndarray], list[str]]) -> list[str]:
        lines = []
        for name, a in self.arrays:
            guard = self.guards[name]
            lines += [*([f"#if {guard}"] if guard else []), *write(name, a), *(["#endif"] if guard else [])]
        return lines


def narrowest(values: np.ndarray) -> np.dtype:
    """The smallest integer type of C that holds all of `values`."""
    lo, hi = int(values.min(initial=0)), int(values.max(initial=0))
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32"):
        info = np.iinfo(name)
        if info.min <= lo and hi <= info.max:
            return np.dtype(name)
    return np.dtype("int64")
