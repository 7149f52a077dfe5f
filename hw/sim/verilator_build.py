"""Builds a Verilator library once for each content: sources, ports, probes, flags and tool versions.

The folder's name carries a digest of all that goes into the build, so an unchanged design is never built twice, and
a folder appears only when it is complete: a build that fails or is killed leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.sim.library_files import library_files
from edgec.hw.sim.ports import Ports, Probe, StreamPorts
from edgec.hw.sim.tracing import Waves
from edgec.hw.tools.doctor import require_tools
from edgec.hw.tools.process import disk_full_as_error, run

SOURCE_FOLDER = "rtl"
LOG = "build.log"


@dataclass(frozen=True)
class Library:
    """A built library: where it is, the prefix of its C names, and whether it had to be built."""

    folder: Path
    prefix: str
    built: bool

    @property
    def shared_object(self) -> Path:
        return self.folder / f"lib{self.prefix}_sim.so"

    @property
    def batch_program(self) -> Path:
        return self.folder / f"{self.prefix}_batch"


def build_library(
    files: Sequence[str | Path],
    top: str,
    ports: Ports | StreamPorts,
    *,
    workdir: str | Path,
    probes: Sequence[Probe] = (),
    defines: Sequence[str] = (),
    waves: Waves = None,
    prefix: str = "edgec",
    program: str = "batch",
    optimise: str = "-O1",
    jobs: int = 2,
    timeout: float = 1800.0,
) -> Library:
    """Build the library of `top` under `workdir`, or find it there.

    `files` are SystemVerilog sources in compilation order (and .svh headers); their base names must differ. `optimise`
    is the C++ compiler's level for the generated code, `program` the executable (see `library_files`),
    `timeout` seconds for the whole build.

    Raises E0202 (a source is missing) and E0601 to E0606 (tools).
    """
    tools = require_tools(["verilator", "c++", "make"])
    sources = _read(files)
    names = [f"{SOURCE_FOLDER}/{name}" for name in sources]
    texts: dict[str, bytes] = {f"{SOURCE_FOLDER}/{name}": text for name, text in sources.items()}
    generated = library_files(
        top, ports, names, prefix=prefix, probes=probes, defines=defines, waves=waves, program=program
    )
    texts |= {name: text.encode() for name, text in generated.items()}
    versions = [f"{t.path} {t.version}" for t in tools.values()]
    final = Path(workdir).absolute() / f"{top}-{_digest(texts, [*versions, optimise])}"
    library = Library(final, prefix, built=False)
    if library.shared_object.is_file() and library.batch_program.is_file():
        return library

    # make cannot work below a folder with a space in its name, so it never works in the user's.
    with disk_full_as_error(workdir), tempfile.TemporaryDirectory(prefix="edgec-build-") as folder:
        scratch = Path(folder)
        (scratch / SOURCE_FOLDER).mkdir()
        for name, text in texts.items():
            (scratch / name).write_bytes(text)
        verilator, cxx = tools["verilator"], tools["c++"]
        variables = {
            "VERILATOR": verilator.path,
            "CXX": cxx.path,
            "LINK": cxx.path,
            "PYTHON": sys.executable,
            "OPT": optimise,
            "JOBS": jobs,
        }
        run(
            [tools["make"].executable(), *[f"{name}={shlex.quote(str(v))}" for name, v in variables.items()]],
            cwd=scratch,
            timeout=timeout,
            env=verilator.environment,
            log=scratch / LOG,
        )
        shutil.rmtree(scratch / "obj", ignore_errors=True)  # objects: large, and of no more use
        _publish(scratch, final)
    return Library(final, prefix, built=True)


def _publish(scratch: Path, final: Path) -> None:
    """Put the finished folder in its place at once; if another process was faster, its result is as good."""
    near = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        shutil.copytree(scratch, near)
        near.chmod(0o755)  # temporary folders are private
        if final.is_dir() and not any(final.glob("lib*_sim.so")):  # somebody took files out of it
            shutil.rmtree(final)
        near.rename(final)
    except OSError:
        if not any(final.glob("lib*_sim.so")):
            raise
    finally:
        shutil.rmtree(near, ignore_errors=True)


def _read(files: Sequence[str | Path]) -> dict[str, bytes]:
    sources: dict[str, bytes] = {}
    for file in map(Path, files):
        if file.name in sources:
            raise EdgecError(
                "E0204", f"two sources are called {file.name}", why="the build copies them into one folder"
            )
        try:
            sources[file.name] = file.read_bytes()
        except OSError as error:
            raise EdgecError("E0202", f"cannot read {file}", why=error.strerror) from error
    return sources


def _digest(texts: dict[str, bytes], settings: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in [*settings, *texts]:
        digest.update(part.encode() + b"\0")
    for text in texts.values():
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:16]
