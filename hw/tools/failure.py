"""Says how a child process failed: which diagnostic, in which words, with the end of its output.

A full disk and a killed grandchild show only in what a tool printed; they are looked for before plain failure is told.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edgec.diagnostics import EdgecError

TAIL_LINES = 25  # lines of output shown in an error
DISK_FULL = "No space left on device"
# A shell or make gives 128 + n for a child that died of signal n; only signals that a program does not choose.
_FATAL = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTERM", "SIGXCPU")
_WRAPPED = {128 + signal.Signals[name]: signal.Signals[name] for name in _FATAL}
# A compiler driver or make survives the death of what it started and only tells of it, in the words of strsignal.
_TOLD = {signal.strsignal(signal.Signals[name]): signal.Signals[name] for name in _FATAL}
_CHILD_KILLED = re.compile(
    r"(?P<driver>[A-Z][\w ]+) signal terminated program (?P<program>\S+)"
    r"|\*\*\* \[(?P<rule>[^\]]*)\] (?:Error (?P<status>\d+)|(?P<make>[A-Z][\w ]+?))(?: \(core dumped\))?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Completed:
    """A child that ended with an accepted exit status; `output` is stdout and stderr, at most the last 1 MiB.

    Where they were kept apart, `stdout` has the whole of stdout and `output` is stderr.
    """

    argv: tuple[str, ...]
    status: int
    output: str
    seconds: float
    stdout: bytes = b""


def raise_failure(name: str, done: Completed, remedy: str | None) -> NoReturn:
    """Tell the ways of failing apart; a full disk first, for it may show as anything."""
    status, why = done.status, describe(done)
    if DISK_FULL in done.output:
        raise EdgecError(
            "E0606",
            f"{name} could not write its files: the disk is full",
            op=name,
            why=why,
            remedy="free some space, or choose another place with TMPDIR or the output option",
        )
    number = -status if status < 0 else _WRAPPED.get(status)
    if number is not None:
        what = f"{name} was killed by {_signal_name(number)}"
        if status > 0:
            what += f" (it left with status {status})"
        raise EdgecError("E0603", what, op=name, why=why, remedy=_signal_remedy(number))
    child = _killed_child(done.output)
    if child is not None:
        what = f"{child[0]}, started by {name}, was killed by {_signal_name(child[1])}"
        raise EdgecError("E0603", what, op=name, why=why, remedy=_signal_remedy(child[1]))
    raise EdgecError("E0602", f"{name} failed with exit status {status}", op=name, why=why, remedy=remedy)


def _killed_child(output: str) -> tuple[str, int] | None:
    """(what, signal) of the first killed program that the output of make or of a compiler driver tells of."""
    for found in _CHILD_KILLED.finditer(output):
        number = _TOLD.get(found["driver"] or found["make"]) or _WRAPPED.get(int(found["status"] or 0))
        if number is not None:
            return found["program"] or f"the command of rule {found['rule']}", int(number)
    return None


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last `lines` lines of `text`, each cut to 400 characters."""
    rows = text.rstrip().splitlines()
    kept = [row[:400] for row in rows[-lines:]]
    return "\n".join(([f"... ({len(rows) - lines} lines before)"] if len(rows) > lines else []) + kept)


@contextlib.contextmanager
def disk_full_as_error(place: str | Path) -> Iterator[None]:
    """Turn 'no space left' from this process's own writes into E0606."""
    try:
        yield
    except OSError as error:
        # shutil.copytree has no errno, only the texts of what it met
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or DISK_FULL in str(error):
            raise disk_error(str(place), error) from error
        raise


def disk_error(place: str, error: OSError) -> EdgecError:
    return EdgecError(
        "E0606",
        f"cannot write {place}: {os.strerror(error.errno or errno.ENOSPC)}",
        remedy="free some space, or choose another place",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signal_remedy(number: int) -> str:
    if number == signal.SIGKILL:
        return "usually the machine ran out of memory: close other programs, or build with --jobs 1"
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return "somebody or something stopped it; run again"
    return "the tool crashed: try another version of it (`edgec doctor` shows which one is used)"


def describe(done: Completed) -> str:
    shown = shlex.join(done.argv)
    shown = shown if len(shown) <= 300 else shown[:300] + " ..."
    return f"command: {shown}\n" + (tail(done.output) or "it printed nothing")
