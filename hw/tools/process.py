"""Runs every child process: with a time limit, in a process group of its own, with its exit status checked.

A compiler that runs out of memory, a simulator that hangs and a disk that fills up are ordinary events for a tool
that drives other tools. Each leaves here as one numbered diagnostic, with the end of the child's output, and no child
outlives the call, whether it returns, fails, times out or is interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, BinaryIO

from edgec.diagnostics import EdgecError
from edgec.hw.tools.failure import Completed, describe, disk_error, disk_full_as_error, raise_failure, tail

__all__ = ["Completed", "disk_full_as_error", "run", "tail"]

OUTPUT_LIMIT = 1 << 20  # bytes of output kept in memory: the last ones
GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL
STDOUT_LIMIT = 64 << 20  # bytes of a stdout that is a result; more is an error
LOG_LIMIT = 64 << 20  # bytes written to a log: a child that never stops talking must not fill the disk


def run(
    argv: Sequence[str | Path],
    *,
    cwd: str | Path | None = None,
    timeout: float,
    env: Mapping[str, str] | None = None,
    inherit: bool = True,
    stdin: bytes | None = None,
    apart: bool = False,
    log: str | Path | None = None,
    accept: Sequence[int] = (0,),
    remedy: str | None = None,
) -> Completed:
    """Run `argv` and wait for it.

    `timeout` is in seconds. `env` is added to this process's environment (the locale is C, so that messages can be
    read by programs; make's own variables are dropped), or stands alone without `inherit`. `stdin` is given to the
    child, else it reads nothing. With `apart`, stdout is a result of its own (64 MiB at most, else E0602) and
    `output` is stderr. `log` gets the output as it comes (64 MiB of it). `accept` lists the exit statuses that are
    results rather than failures.

    Raises EdgecError: E0601 there is no such program, E0602 it failed, E0603 it was killed, E0604 it ran out of time,
    E0605 it cannot be executed, E0606 the disk is full.
    """
    words = tuple(str(a) for a in argv)
    name = Path(words[0]).name
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        with disk_full_as_error(log or ""):
            sink = stack.enter_context(Path(log).open("ab", buffering=0)) if log is not None else None
        held = stack.enter_context(_HeldSignals())
        child = _start(words, cwd, _environment(env, inherit), stdin is not None, apart, remedy)
        collector = _Collector(child.stderr if apart else child.stdout, sink)
        results = _Collector(child.stdout, None, STDOUT_LIMIT) if apart else None
        if stdin is not None:
            threading.Thread(target=_feed, args=(child.stdin, stdin), daemon=True).start()
        try:
            held.release()  # an interrupt that came while the child was started is served here
            timed_out = not _wait(child, start + timeout)
        finally:  # also on KeyboardInterrupt: nothing in the group survives
            _end_group(child)
            output = collector.finish().decode("utf-8", errors="replace")
            stdout = results.finish() if results is not None else b""
    if collector.failure is not None:
        raise disk_error(str(log), collector.failure)
    done = Completed(words, child.returncode, output, time.monotonic() - start, stdout)
    told = dataclasses.replace(done, output=stdout[-OUTPUT_LIMIT:].decode("utf-8", errors="replace") + output)
    if timed_out:
        raise EdgecError(
            "E0604",
            f"{name} did not end within {timeout:g} s and was stopped",
            op=name,
            why=describe(told),
            remedy="give it more time with --timeout, or look into its last output for why it hangs",
        )
    if results is not None and results.lost:
        raise EdgecError("E0602", f"{name} wrote more than {STDOUT_LIMIT >> 20} MiB", op=name, why=describe(told))
    if child.returncode not in accept:
        raise_failure(name, told, remedy)
    return done


class _HeldSignals:
    """Holds interrupts back while a child is being started: one in between would leave it running, unknown to us."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
        self.pending: list[int] = []

    def __enter__(self) -> _HeldSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    self.handlers[number] = handler
                    signal.signal(number, lambda caught, frame: self.pending.append(caught))
        return self

    def release(self) -> None:
        """Put the handlers back and serve the first signal that came."""
        handlers, self.handlers = self.handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if handlers and self.pending:
            handlers[self.pending[0]](self.pending[0], None)

    def __exit__(self, *exception: object) -> None:
        self.release()


def _environment(extra: Mapping[str, str] | None, inherit: bool) -> dict[str, str]:
    if not inherit:
        return {"LC_ALL": "C", **(extra or {})}
    ours = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LANGUAGE")}
    return {**ours, "LC_ALL": "C", **(extra or {})}


def _start(
    words: tuple[str, ...], cwd: str | Path | None, env: dict[str, str], feed: bool, apart: bool, remedy: str | None
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
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
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
            raise disk_error(words[0], error) from error
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

    def __init__(self, stream: IO[bytes] | None, sink: BinaryIO | None, limit: int | None = None) -> None:
        assert stream is not None
        self.failure: OSError | None = None
        self.limit, self.lost = limit or OUTPUT_LIMIT, False
        self._stream, self._sink, self._kept = stream, sink, bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        written = 0
        while block := self._stream.read1(1 << 16):  # type: ignore[attr-defined]
            self._kept += block
            if len(self._kept) > 2 * self.limit:
                del self._kept[: -self.limit]
                self.lost = True
            if self._sink is not None and self.failure is None and written < LOG_LIMIT:
                try:
                    written += self._sink.write(block)
                    self._sink.flush()
                except OSError as error:
                    self.failure = error
                except ValueError:  # closed: nobody waits for this output any more
                    return

    def finish(self) -> bytes:
        # A grandchild that left the group may hold the pipe open; its output is not waited for.
        self._thread.join(timeout=GRACE_SECONDS)
        if not self._thread.is_alive():
            self._stream.close()
        self.lost |= len(self._kept) > self.limit
        return bytes(self._kept[-self.limit :])


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)
