"""Runs a list of yosys commands in a child process, in `pyosys` or in the program `yosys`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.tools.failure import tail
from edgec.hw.tools.process import Completed, disk_full_as_error, run
from edgec.hw.tools.yosys import REMEDY, find_yosys

DONE = "edgec: done"


def run_yosys(commands: Sequence[str], folder: Path, files: Mapping[str, str | bytes], timeout: float) -> str:
    """Write `files` to `folder` (relative names), run `commands` there, return the whole log.

    Raises E0601 without yosys, E0602 when a command fails, E0603 when yosys dies, E0604 after `timeout` seconds."""
    tool = find_yosys().require()
    package = tool.source == "python package"
    lines = [*commands] if package else [*commands, f"log {DONE}"]
    log = folder / "yosys.log"
    with disk_full_as_error(folder):
        for name, content in {**files, "commands.ys": "\n".join(lines) + "\n"}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if package:
        argv: list[str | Path] = [sys.executable, "-m", "edgec.hw.synth.child", "commands.ys"]
        environment = {"PYTHONPATH": _python_path(), "TMPDIR": str(folder)}
    else:
        argv = [tool.executable(), "-s", "commands.ys"]
        environment = {"TMPDIR": str(folder)}
    done = run(argv, cwd=folder, timeout=timeout, env=environment, log=log, remedy=REMEDY)
    if DONE not in done.output[-2000:]:  # yosys can leave the interpreter with status 0
        raise _stopped(done)
    return log.read_text(encoding="utf-8", errors="replace")


def _python_path() -> str:
    """Where this package and everything it imports are found, for the child."""
    return ":".join(dict.fromkeys(p for p in sys.path if p))


def _stopped(done: Completed) -> EdgecError:
    return EdgecError(
        "E0602",
        "yosys stopped before the end of its commands",
        op="yosys",
        why=tail(done.output),
        remedy="the end of its output tells why; `edgec doctor` shows which yosys is used",
    )
