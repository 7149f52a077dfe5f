"""The artefact: a folder that appears whole, lists every file with its hash, and can be checked.

A build is written beside its destination and renamed into place; an older artefact is replaced, anything else at
the destination is left alone (E0209).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgec.diagnostics import EdgecError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
BUILD_FOLDER = "sim/"
"""Where a user may build: files that are not listed are let pass there, listed ones are checked as everywhere."""
SYNTHESIS_FOLDER = "synth"
"""Where `edgec synth` writes, later than the build: its files are not listed, and hashed by their own report."""
RESULTS = "verify.json"
"""What `edgec verify` found: written later than the artefact, so neither hashed nor required."""
FAULTS, FAULTS_TABLE, FAULTS_PROGRESS = "faults.json", "faults.csv", "faults.progress"
"""What `edgec faults` found, likewise; and how far it came, while it is not finished."""
LATER = (RESULTS, FAULTS, FAULTS_TABLE, FAULTS_PROGRESS)


def to_json(data: Any) -> bytes:
    """Canonical JSON: sorted keys, two spaces, a final newline."""
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def disk_error(error: OSError, path: Path) -> EdgecError:
    """E0212 for a failed write, with the reason of the system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EdgecError("E0212", f"no space left while writing {path}", remedy="free space and build again")
    return EdgecError("E0212", f"{path} cannot be written", why=error.strerror or str(error))


def write_artefact(path: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Write `files` (relative path -> bytes) with manifest and sums to the folder `path`, whole or not at all."""
    replace = check_destination(path)
    listed = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}
    document = to_json({**manifest, "schema_version": SCHEMA_VERSION, "files": listed})
    everything = {**files, MANIFEST: document}
    sums = "".join(f"{sha256(everything[name])}  {name}\n" for name in sorted(everything))
    everything[SUMS] = sums.encode()
    for name in everything:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"artefact path {name!r} leaves the folder")
    staging: Path | None = None
    made: list[Path] = []
    try:
        made = [p for p in path.parents if not p.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        for name in sorted(everything):
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as stream:
                stream.write(everything[name])
        staging.chmod(0o755)
        if replace:
            exchange(staging, path)
        else:
            os.replace(staging, path)
        made = []
    except OSError as error:
        raise disk_error(error, path) from None
    finally:
        if staging is not None and staging.exists():
            shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def exchange(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of the folder `path`, and remove that one; after a failure it is back."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.replace(path, old / "artefact")
        try:
            os.replace(new, path)
        except BaseException:  # an interrupt as well
            os.replace(old / "artefact", path)
            raise
    except BaseException:
        with contextlib.suppress(OSError):
            old.rmdir()  # never with an artefact inside
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_destination(path: Path) -> bool:
    """Whether an artefact at `path` will be replaced; E0209 when something else is in the way."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise EdgecError("E0209", f"{path} exists and is not a folder", remedy="choose another -o")
        if not path.exists():
            return False
        if all(p.is_dir() and not p.is_symlink() for p in path.rglob("*")):
            return True  # nothing, or only folders: build tools make those of their outputs beforehand
        ours = (path / MANIFEST).is_file() and (path / SUMS).is_file()
    except OSError as error:  # a name too long, a folder that may not be read
        raise disk_error(error, path) from None
    if not ours:
        raise EdgecError("E0209", f"{path} is not empty and not an artefact", remedy="remove it or choose another -o")
    return True


def check_destination_file(path: Path) -> None:
    """E0212 where no file `path` can be written, for commands that work for minutes before they write it."""
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise EdgecError("E0212", f"{path} cannot be written", why=reason)


def write_aside(path: Path, data: bytes) -> None:
    """Replace one file atomically."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise disk_error(error, path) from None


def remove(path: Path) -> None:
    """Remove one file, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, path) from None


@dataclass(frozen=True)
class Artefact:
    """An artefact on disk."""

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Artefact:
        """Read the manifest of the folder `path`; E0704 when it is none of ours."""
        folder = Path(path)
        file = folder / MANIFEST
        try:
            found = file.is_file()
        except OSError:  # a name too long
            found = False
        if not found:
            raise EdgecError("E0704", f"{folder} has no {MANIFEST}", remedy="give the folder that edgec build made")
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise EdgecError("E0701", f"{file} cannot be read", why=str(error)) from None
        if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
            raise EdgecError(
                "E0704", f"{folder} has a manifest of another schema version", why=f"{SCHEMA_VERSION} wanted"
            )
        listed = manifest.get("files")
        if not isinstance(listed, dict) or not all(isinstance(e, dict) for e in listed.values()):
            raise EdgecError("E0701", f"{file} is damaged", why="it has no list of files")
        return cls(folder, manifest)

    def check(self) -> None:
        """Compare every file with SHA256SUMS and the manifest; E0701 names all that differ."""
        try:
            lines = (self.path / SUMS).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise EdgecError("E0701", f"{self.path / SUMS} cannot be read", why=str(error)) from None
        sums: dict[str, str] = {}
        for line in lines:
            digest, separator, name = line.partition("  ")
            if not separator:
                raise EdgecError("E0701", f"{self.path / SUMS} is damaged", why=f"line {line!r}")
            sums[name] = digest
        listed = {name: entry.get("sha256") for name, entry in self.manifest["files"].items()}
        present = {
            p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file() and p.name != "__pycache__"
        } - {SUMS, *LATER}
        problems = []
        for name in sorted(present | set(sums) | set(listed)):
            if name not in present:
                problems.append(f"{name}: missing")
            elif name not in sums and name not in listed and name.startswith((BUILD_FOLDER, f"{SYNTHESIS_FOLDER}/")):
                continue  # `make` in sim/ leaves its products there, `edgec synth` its results beside it
            elif name not in sums or (name != MANIFEST and name not in listed):
                problems.append(f"{name}: not listed")
            else:
                digest = sha256(self.read(name))
                if digest != sums[name] or (name != MANIFEST and digest != listed[name]):
                    problems.append(f"{name}: content differs")
        if problems:
            shown = "\n".join(problems[:10]) + (f"\nand {len(problems) - 10} more" if len(problems) > 10 else "")
            raise EdgecError(
                "E0701",
                f"{self.path}: {len(problems)} damaged file{'s' * (len(problems) > 1)}",
                why=shown,
                remedy="build the artefact again",
            )

    def read(self, name: str) -> bytes:
        """The bytes of one file of the artefact."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise EdgecError("E0701", f"{self.path / name} cannot be read", why=error.strerror) from None
