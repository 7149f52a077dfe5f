"""What a self-checking test bench said.

Benches end with `$fatal` when something is wrong, or print one line that is the sentinel and call `$finish`. Both are
demanded: a bench that ends early without a word has not passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgec.diagnostics import EdgecError

SENTINEL = "EDGEC PASS"


@dataclass(frozen=True)
class BenchResult:
    """`passed`, the bench's output (its last MiB) and the wall time of the simulation in seconds."""

    passed: bool
    output: str
    seconds: float


def judge(status: int, output: str, sentinel: str, seconds: float) -> BenchResult:
    """Passed: exit status 0 and the sentinel as a line of its own."""
    said = any(line.strip() == sentinel for line in output.splitlines())
    return BenchResult(status == 0 and said, output, seconds)


def existing(files: Sequence[str | Path]) -> list[Path]:
    """The absolute paths of `files`; raises E0202 for one that is missing."""
    sources = [Path(f).absolute() for f in files]
    for source in sources:
        if not source.is_file():
            raise EdgecError("E0202", f"cannot read {source}", why="no such file")
    return sources
