"""Where a command prints, and how it ends: results on stdout, the rest on stderr, one exit status."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgec.diagnostics import Diagnostic

SCHEMA_VERSION = 1
CELL_WIDTH = 60
"""Longer table cells are cut; --json has them whole."""


class Console:
    """Output of one command; with `--json` everything is collected into one object."""

    def __init__(self, command: str, as_json: bool, quiet: bool, verbose: bool) -> None:
        self.command, self.as_json, self.quiet, self.verbose = command, as_json, quiet, verbose
        self.collected: list[Diagnostic] = []

    def say(self, text: str) -> None:
        """A line of the result."""
        if not self.as_json:
            click.echo(text)

    def progress(self, text: str) -> None:
        """A passing remark; shown on a terminal, or with --verbose."""
        if not self.quiet and not self.as_json and (sys.stderr.isatty() or self.verbose):
            click.echo(f"edgec {self.command}: {text}", err=True)

    def diagnostics(self, items: Iterable[Diagnostic]) -> None:
        """Warnings, notes and errors on stderr."""
        for d in items:
            self.collected.append(d)
            hidden = self.quiet if d.severity != "note" else not self.verbose
            if not self.as_json and (d.severity == "error" or not hidden):
                click.echo(d.text(), err=True)

    def table(self, rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> None:
        """Rows of the result as aligned columns, numbers to the right."""
        if self.as_json or not rows:
            return
        shown = [c for c in (columns or list(rows[0])) if any(c in r for r in rows)]
        cells = [[_cell(r.get(c)) for c in shown] for r in rows]
        numeric = [all(isinstance(r.get(c), int | float | None) for r in rows) for c in shown]
        widths = [max(len(h), *(len(r[i]) for r in cells)) for i, h in enumerate(shown)]

        def line(values: Sequence[str]) -> str:
            parts = (v.rjust(w) if n else v.ljust(w) for v, w, n in zip(values, widths, numeric, strict=True))
            return "  ".join(parts).rstrip()

        click.echo(line(shown))
        for row in cells:
            click.echo(line(row))

    def finish(self, result: dict[str, Any], fail: Sequence[Diagnostic] = ()) -> None:
        """The end of a command: prints the JSON object; raises the errors in `fail`."""
        from edgec.diagnostics import EdgecError

        if fail:
            error = EdgecError.of(fail)
            error.partial = {k: v for k, v in result.items() if k != "errors"}  # type: ignore[attr-defined]
            raise error
        if self.as_json:
            self.json(True, result, self.collected)

    def json(self, ok: bool, result: Any, diagnostics: Iterable[Diagnostic]) -> None:
        document = {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "ok": ok,
            "result": result,
            "diagnostics": [d.as_dict() for d in diagnostics],
        }
        click.echo(json.dumps(document, indent=2, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    for convert in ("as_dict", "tolist"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    if isinstance(value, set | tuple):
        return list(value)
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    text = str(value)
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command its console, and end it with the exit status of what it raised."""

    @functools.wraps(function)
    def run(as_json: bool, quiet: bool, verbose: bool, **arguments: Any) -> None:
        console = Console(function.__name__, as_json, quiet, verbose)
        try:
            function(console, **arguments)
        except (click.ClickException, click.Abort, BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as error:
            sys.exit(_failed(console, error))

    return run


def _failed(console: Console, error: Exception) -> int:
    from edgec.diagnostics import Diagnostic, EdgecError

    if isinstance(error, EdgecError):
        items, partial = error.diagnostics, getattr(error, "partial", None)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = f"no space left while writing {error.filename or 'a file'}"
        items, partial = [Diagnostic("E0212", what, remedy="free space, or set TMPDIR to another disk")], None
    else:
        import traceback

        bundle = write_bundle(error)
        if console.verbose:
            traceback.print_exception(error)
        what = f"{type(error).__name__}: {error}"
        items, partial = [Diagnostic("E0101", what, remedy=f"report it with {bundle}")], None
        if isinstance(error, MemoryError):
            items = [Diagnostic("E0101", "out of memory", remedy="use a machine with more memory")]
    if console.as_json:
        console.json(False, partial, [*console.collected, *(i for i in items if i not in console.collected)])
    else:
        for item in items:
            click.echo(item.text(), err=True)
    return int(items[0].exit)


def write_bundle(error: BaseException) -> str:
    """Write what a bug report needs to a file in the current (or the temporary) folder; its name."""
    import platform
    import tempfile
    import traceback
    from pathlib import Path

    from edgec import __version__

    document = {
        "edgec": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "arguments": sys.argv[1:],
        "traceback": traceback.format_exception(error),
    }
    text = json.dumps(document, indent=2) + "\n"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        path = folder / "edgec-internal-error.json"
        try:
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return str(path)
    return "the output of --verbose (no bundle could be written)"


@contextlib.contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """Take SIGTERM and SIGHUP like Ctrl-C: child processes are ended and half-made folders removed on the way out."""

    def interrupt(number: int, frame: object) -> None:
        for each in numbers:  # a second one must not cut the cleaning up short
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    # One that is ignored (nohup) stays so.
    numbers = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    try:
        for each in numbers:
            signal.signal(each, interrupt)
        yield
    finally:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)


def run_command(cli: click.Group, arguments: list[str] | None) -> int:
    """Run the command line; the exit status. Usage errors are E0201, an interrupt is 130."""
    with ends_as_interrupt():
        status = _run(cli, arguments)
        try:
            sys.stdout.flush()
        except OSError as error:
            status = _cannot_print(error)
    return status


def _cannot_print(error: OSError) -> int:
    """The exit status when stdout takes no more: its reader is gone (as if by SIGPIPE), or its disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries once more
    if isinstance(error, BrokenPipeError):
        return 141
    click.echo(f"error[E0212]: the result cannot be written: {error.strerror}", err=True)
    return 2


def _run(cli: click.Group, arguments: list[str] | None) -> int:
    try:
        cli.main(args=arguments, prog_name="edgec", standalone_mode=False)
    except click.exceptions.Exit as request:
        return request.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("edgec: interrupted", err=True)
        return 130
    except click.ClickException as error:
        from edgec.diagnostics import Diagnostic

        context = getattr(error, "ctx", None)
        remedy = f"{context.command_path} --help" if context else "edgec --help"
        diagnostic = Diagnostic("E0201", error.format_message(), remedy=remedy)
        arguments = sys.argv[1:] if arguments is None else arguments
        if "--json" in arguments:
            Console(context.info_name if context else "edgec", True, False, False).json(False, None, [diagnostic])
        else:
            click.echo(diagnostic.text(), err=True)
        return 2
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 1
    except OSError as error:  # commands turn all others into diagnostics
        return _cannot_print(error)
    return 0
