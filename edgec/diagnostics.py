"""Diagnostics: what a user is told, in text and in JSON, and with which exit status.

A diagnostic names its code, the layer (source name in the user's model), the op, what happened, why, and
what to do. The first two digits of a code after the letter are the exit status (`E0312` leaves with 3).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from edgec.codes import CODES

SCHEMA_VERSION = 1


class Exit(IntEnum):
    """Exit status of the command line; never renumbered."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    UNSUPPORTED = 3
    GATE = 4
    MISMATCH = 5
    TOOL = 6
    INTEGRITY = 7
    DEVICE = 8
    INTERRUPTED = 130


@dataclass(frozen=True)
class Diagnostic:
    """One message to the user; `code` must be listed in `edgec.codes`."""

    code: str
    what: str
    layer: str | None = None
    op: str | None = None
    why: str | None = None
    remedy: str | None = None

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"diagnostic code {self.code} is not in edgec.codes")

    @property
    def severity(self) -> Literal["error", "warning", "note"]:
        return {"E": "error", "W": "warning", "N": "note"}[self.code[0]]  # type: ignore[return-value]

    @property
    def exit(self) -> Exit:
        return Exit(int(self.code[1:3])) if self.code[0] == "E" else Exit.OK

    def text(self) -> str:
        """Several lines for a terminal."""
        lines = [f"{self.severity}[{self.code}]: {self.what}"]
        place = " ".join(filter(None, [self.layer, f"({self.op})" if self.op else None]))
        for name, value in (("at", place or None), ("why", self.why), ("fix", self.remedy)):
            if value:
                lines.append(f"  {name:>3}: " + value.replace("\n", "\n       "))
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "layer": self.layer,
            "op": self.op,
            "what": self.what,
            "why": self.why,
            "remedy": self.remedy,
        }


class EdgecError(Exception):
    """An expected failure: carries one or more diagnostics; the CLI prints them and exits accordingly."""

    def __init__(
        self,
        code: str,
        what: str,
        *,
        layer: str | None = None,
        op: str | None = None,
        why: str | None = None,
        remedy: str | None = None,
        more: Sequence[Diagnostic] = (),
    ) -> None:
        self.diagnostics: list[Diagnostic] = [Diagnostic(code, what, layer, op, why, remedy), *more]
        super().__init__(what)

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> EdgecError:
        """Raise all of `diagnostics` together; the first decides the exit status."""
        first, *rest = diagnostics
        return cls(
            first.code,
            first.what,
            layer=first.layer,
            op=first.op,
            why=first.why,
            remedy=first.remedy,
            more=rest,
        )

    @property
    def code(self) -> str:
        return self.diagnostics[0].code

    @property
    def exit(self) -> Exit:
        return self.diagnostics[0].exit

    def __str__(self) -> str:
        return "\n".join(d.text() for d in self.diagnostics)


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence 'did you mean ...?' for an unknown `name`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"known: {shown}" if names else "there are none"
