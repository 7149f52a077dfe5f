"""Runs every child process: with a time limit, in a process group of its own, with its exit status checked.

A compiler that runs out of memory, a simulator that hangs and a disk that fills up are ordinary events for a tool
that drives other tools. Each leaves here as one numbered diagnostic, with the end of the child's output, and no child
outlives the call, whether it returns, fails, times out or is interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

from edgec.diagnostics import EdgecError

OUTPUT_LIMIT = 1 << 20  # bytes of output kept in memory: the last ones
TAIL_LINES = 25  # lines of output shown in an error
GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL
DISK_FULL = "No space left on device"
# A compiler driver or make survives the death of what it started and only tells of it.
_CHILD_KILLED = re.compile(r"Killed signal terminated program (\S+)|\*\*\* \[.*\] (Killed)$", re.MULTILINE)
# A shell or make gives 128 + n for a child that died of signal n; only signals that a program does not choose.
_FATAL = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTERM", "SIGXCPU")
_WRAPPED = {128 + signal.Signals[name]: signal.Signals[name] for name in _FATAL}


@dataclass(frozen=True)
class Completed:
    """A child that ended with an accepted exit status; `output` is stdout and stderr, at most the last 1 MiB."""

    argv: tuple[str, ...]
    status: int
    output: str
    seconds: float


def run(
    argv: Sequence[str | Path],
    *,
    cwd: str | Path | None = None,
    timeout: float,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    log: str | Path | None = None,
    accept: Sequence[int] = (0,),
    remedy: str | None = None,
) -> Completed:
    """Run `argv` and wait for it.

    `timeout` is in seconds. `env` is added to this process's environment (the locale is C, so that messages can be
    read by programs; make's own variables are dropped). `stdin` is given to the child, else it reads nothing. `log`
    gets all of the output, as it comes. `accept` lists the exit statuses that are results rather than failures.

    Raises EdgecError: E0601 there is no such program, E0602 it failed, E0603 it was killed, E0604 it ran out of time,
    E0605 it cannot be executed, E0606 the disk is full.
    """
    words = tuple(str(a) for a in argv)
    name = Path(words[0]).name
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        with disk_full_as_error(log or ""):
            sink = stack.enter_context(Path(log).open("ab")) if log is not None else None
        child = _start(words, cwd, _environment(env), stdin is not None, remedy)
        collector = _Collector(child.stdout, sink)
        if stdin is not None:
            threading.Thread(target=_feed, args=(child.stdin, stdin), daemon=True).start()
        try:
            timed_out = not _wait(child, start + timeout)
        finally:  # also on KeyboardInterrupt: nothing in the group survives
            _end_group(child)
            output = collector.finish()
    if collector.failure is not None:
        raise _disk_error(str(log), collector.failure)
    done = Completed(words, child.returncode, output, time.monotonic() - start)
    if timed_out:
        raise EdgecError(
            "E0604",
            f"{name} did not end within {timeout:g} s and was stopped",
            op=name,
            why=_why(done),
            remedy="give it more time with --timeout, or look into its last output for why it hangs",
        )
    if child.returncode not in accept:
        _raise_failure(name, done, remedy)
    return done


def _raise_failure(name: str, done: Completed, remedy: str | None) -> NoReturn:
    """Tell the ways of failing apart; a full disk first, for it may show as anything."""
    status, why = done.status, _why(done)
    if DISK_FULL in done.output:
        raise EdgecError(
            "E0606",
            f"{name} could not write its files: the disk is full",
            op=name,
            why=why,
            remedy="free some space, or choose another place with TMPDIR or the output option",
        )
    wrapped = None if status < 0 else _WRAPPED.get(status)
    nested = _CHILD_KILLED.search(done.output)
    if status < 0 or wrapped is not None:
        number = -status if status < 0 else int(wrapped or 0)
        what = f"{name} was killed by {_signal_name(number)}"
        if wrapped is not None:
            what += f" (it left with status {status})"
        raise EdgecError("E0603", what, op=name, why=why, remedy=_signal_remedy(number))
    if nested:
        what = f"{nested[1] or 'a program'}, started by {name}, was killed by SIGKILL"
        raise EdgecError("E0603", what, op=name, why=why, remedy=_signal_remedy(signal.SIGKILL))
    raise EdgecError("E0602", f"{name} failed with exit status {status}", op=name, why=why, remedy=remedy)


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
            raise _disk_error(str(place), error) from error
        raise


def _disk_error(place: str, error: OSError) -> EdgecError:
    return EdgecError(
        "E0606",
        f"cannot write {place}: {os.strerror(error.errno or errno.ENOSPC)}",
        remedy="free some space, or choose another place",
    )


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    ours = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LANGUAGE")}
    return {**ours, "LC_ALL": "C", **(extra or {})}


def _start(
    words: tuple[str, ...], cwd: str | Path | None, env: dict[str, str], feed: bool, remedy: str | None
) -> subprocess.Popen[bytes]:
    name = Path(words[0]).name
    if cwd is not None and not Path(cwd).is_dir():  # Popen reports this like a missing program
        raise EdgecError("E0202", f"cannot run {name} in {cwd}: no such folder")
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise EdgecError(
            "E0601",
            f"{name} is not installed",
            op=name,
            why=f"no such program: {words[0]}",
            remedy=remedy or "`edgec doctor` lists the tools and how to get them",
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_error(words[0], error) from error
        raise EdgecError(
            "E0605", f"{name} cannot be executed", op=name, why=f"{words[0]}: {error.strerror}", remedy=remedy
        ) from error


def _wait(child: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait without reaping: while the dead leader is kept, its number cannot become another group's."""
    pause = 0.0005
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.02)
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Stop what is left of the group (first politely if the leader still runs), then reap the leader."""
    running = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if running:
            os.killpg(child.pid, signal.SIGTERM)
            _wait(child, time.monotonic() + GRACE_SECONDS)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class _Collector:
    """Reads the child's output on a thread of its own, so that a full pipe never blocks the child."""

    def __init__(self, stream: IO[bytes] | None, sink: BinaryIO | None) -> None:
        assert stream is not None
        self.failure: OSError | None = None
        self._stream, self._sink, self._kept = stream, sink, bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while block := self._stream.read1(1 << 16):  # type: ignore[attr-defined]
            self._kept += block
            if len(self._kept) > 2 * OUTPUT_LIMIT:
                del self._kept[:-OUTPUT_LIMIT]
            if self._sink is not None and self.failure is None:
                try:
                    self._sink.write(block)
                    self._sink.flush()
                except OSError as error:
                    self.failure = error

    def finish(self) -> str:
        # A grandchild that left the group may hold the pipe open; its output is not waited for.
        self._thread.join(timeout=GRACE_SECONDS)
        if not self._thread.is_alive():
            self._stream.close()
        return bytes(self._kept[-OUTPUT_LIMIT:]).decode("utf-8", errors="replace")


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


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


def _why(done: Completed) -> str:
    shown = shlex.join(done.argv)
    shown = shown if len(shown) <= 300 else shown[:300] + " ..."
    return f"command: {shown}\n" + (tail(done.output) or "it printed nothing")
