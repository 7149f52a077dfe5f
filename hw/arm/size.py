"""How many bytes of an object or a program are in memory when it runs: code, constants and variables.

Read from the section headers of ELF (Tool Interface Standard 1.2; the 64-bit form from the System V ABI)."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgec.artefact import Artefact
from edgec.diagnostics import EdgecError
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS

ALLOC = 2
"""The flag of a section that is in memory."""


def loaded_bytes(files: Iterable[str | Path]) -> int:
    """The sum over objects or programs. Raises EdgecError E0202 for a file that is none (of ELF, little-endian)."""
    return sum(_one(Path(file)) for file in files)


def objects_of(artefact: Artefact, core: str, compiler: str | None = None) -> list[int]:
    """The same of every source of an artefact of C code, compiled for `core`. Raises E06xx for the compiler."""
    places = [artefact.path / "include", artefact.path / "src"]
    with tempfile.TemporaryDirectory(prefix="edgec-size-") as scratch:
        objects = [
            compile_c(
                [artefact.path / name], Path(scratch) / f"{k}.o", core=core, compiler=compiler, link=False,
                flags=FLAGS, include_dirs=places,
            )
            for k, name in enumerate(artefact.manifest["interface"]["files"])
        ]  # fmt: skip
        return [loaded_bytes([made]) for made in objects]


def _one(file: Path) -> int:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"object {file.name} cannot be read", why=str(error)) from None
    if data[:4] != b"\x7fELF" or data[4:5] not in (b"\x01", b"\x02") or data[5:6] != b"\x01":
        raise EdgecError("E0202", f"{file.name} is not an object of ELF", why="its first bytes are others")
    wide = data[4] == 2
    try:
        (table,) = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
        size, count = struct.unpack_from("<HH", data, 58 if wide else 46)
        total = 0
        for k in range(count):
            fields = struct.unpack_from("<IIQQQQ" if wide else "<IIIIII", data, table + k * size)
            total += fields[5] if fields[2] & ALLOC else 0
    except struct.error as error:
        raise EdgecError("E0202", f"{file.name} ends too early", why=str(error)) from None
    return total
