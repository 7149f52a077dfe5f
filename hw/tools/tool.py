"""What is known about one external tool: where it is, which version, where it came from, and what to do without it.

Tools are looked up before any work starts, so that a missing one costs a second and not an hour.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.tools.process import run

VERSION_TIMEOUT = 30.0  # seconds a tool may take to say its version


@dataclass(frozen=True)
class Tool:
    """One tool. `problem` is None when it can be used, else `code` says which diagnostic describes it.

    `source` is where it was found: the name of an environment variable, `PATH`, or `python package`. `environment` and
    `make_variables` are needed to run it.
    """

    name: str
    purpose: str
    remedy: str
    path: Path | None = None
    version: str | None = None
    source: str | None = None
    problem: str | None = None
    code: str = "E0601"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.path is not None and self.problem is None

    def require(self) -> Tool:
        """This tool, if it can be used; raises E0601 (missing) or E0605 (unusable) otherwise."""
        if self.usable:
            return self
        raise EdgecError(
            self.code,
            f"{self.name} is {'missing' if self.code == 'E0601' else 'unusable'}",
            op=self.name,
            why=f"{self.problem}; it is needed for: {self.purpose}",
            remedy=self.remedy,
        )

    def executable(self) -> Path:
        """The path of a usable tool; raises like `require`."""
        path = self.require().path
        assert path is not None
        return path

    def as_dict(self) -> dict[str, str | bool | None]:
        """For `edgec doctor --json`."""
        return {
            "name": self.name,
            "usable": self.usable,
            "path": str(self.path) if self.path else None,
            "version": self.version,
            "source": self.source,
            "purpose": self.purpose,
            "problem": self.problem,
            "remedy": None if self.usable else self.remedy,
        }


def numbers(version: str) -> tuple[int, ...]:
    """`5.006` and `5.6.0` as comparable numbers: (5, 6), (5, 6, 0)."""
    return tuple(int(n) for n in re.findall(r"\d+", version))


def locate(variable: str, names: Sequence[str]) -> tuple[Path | None, str, str | None]:
    """Find a program: the one named by environment `variable`, else the first of `names` on PATH.

    Returns (path or None, source, problem or None). A variable that names nothing executable is a problem and is not
    passed over: who sets it wants that program.
    """
    wanted = os.environ.get(variable)
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            return None, variable, f"{variable} is {wanted!r}, which is not an executable program"
        return Path(found), variable, None
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return Path(found), "PATH", None
    return None, "PATH", f"no {' or '.join(names)} on PATH"


def ask_version(
    path: Path, option: str, pattern: str, environment: dict[str, str] | None = None
) -> tuple[str | None, str | None]:
    """Run `path option` and search its output for `pattern`'s first group: (version, None) or (None, problem)."""
    try:
        done = run([path, option], timeout=VERSION_TIMEOUT, env=environment)
    except EdgecError as error:
        reason = error.diagnostics[0]
        return None, f"{path} {option}: {reason.what}"
    found = re.search(pattern, done.output, re.MULTILINE)
    if found is None:
        first = done.output.strip().splitlines()
        return None, f"{path} {option} states no version (it said {first[0][:80] if first else 'nothing'!r})"
    return found[1], None
